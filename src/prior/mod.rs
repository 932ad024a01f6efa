//! Floor 1: the generative ReLU prior, what is known of its codes and of its errors, and its file.

mod encoder;
mod error;
mod format;
mod matrix;
mod net;
mod random;
mod unrolled;

pub use encoder::{Encoder, TokenGrid};
pub use error::PriorError;
pub use matrix::Matrix;
pub use net::{Activations, Affine, Decoder, Head, Jacobian};
pub use unrolled::{Conditional, Stage, Unrolled};

use crate::simd::dot;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How a prior came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// command that trained it
    pub command: String,
    /// commands that trained it before, oldest first
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
    /// seed of everything random
    pub seed: u64,
    /// training steps
    pub steps: usize,
    /// frames a step
    pub batch: usize,
    /// what it was trained on, with origin and licence
    pub data: Vec<String>,
}

/// Codes over scenes: z = mean + factor·u with u ~ N(0, I).
#[derive(Clone, Debug, PartialEq)]
pub struct CodeDistribution {
    /// z̄, (k)
    pub mean: Vec<f32>,
    /// L, lower triangular, (k × k)
    pub factor: Matrix,
}

/// The representation error e = x − G(enc(x)): mean ē, directions E with variances Λ, and a remainder of variance ψ whose
/// correlation falls geometrically along rows and columns of pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct RepresentationError {
    /// ē, (J·n)
    pub mean: Vec<f32>,
    /// Eᵀ, orthonormal rows, strongest first, (q × J·n)
    pub directions: Matrix,
    /// Λ, variance along each direction, (q)
    pub variances: Vec<f32>,
    /// ψ, variance that the directions leave over, > 0, (J·n)
    pub remainder: Vec<f32>,
    /// correlation of what they leave over between neighbours in a row and in a column of pixels, within \[0, 1), (J × 2)
    pub correlation: Matrix,
}

/// Second moments of frames and codes, from which u is estimated linearly out of any measurement.
///
/// Its directions are the principal directions of frames: the linear prior of any size up to r.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SecondMoments {
    /// x̄, (J·n)
    pub mean: Vec<f32>,
    /// Vᵀ, orthonormal rows, strongest first, (r × J·n)
    pub directions: Matrix,
    /// variance along each direction, > 0, (r)
    pub variances: Vec<f32>,
    /// covariance of the whitened code with the scores along the directions, (k × r)
    pub cross: Matrix,
    /// variance that the directions leave over, > 0, (J·n)
    pub remainder: Vec<f32>,
}

/// A trained prior of images of rows × cols pixels and J channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    /// its name
    pub name: String,
    /// rows of pixels
    pub rows: usize,
    /// columns of pixels
    pub cols: usize,
    /// knots of the J channels, relative to κ_J, (J)
    pub knots: Vec<f32>,
    /// root mean square over all pixels of the return that its frames are scaled to, unitless
    pub rms_return: f32,
    /// how it was trained
    pub provenance: Provenance,
    /// G as trained, over codes z
    pub decoder: Decoder,
    /// how codes spread
    pub code: CodeDistribution,
    /// what the decoder cannot say
    pub error: RepresentationError,
    /// what is linear
    pub moments: SecondMoments,
    /// from frames to codes
    pub encoder: Encoder,
    /// what refines images after total variation, where it was trained
    pub unrolled: Option<Unrolled>,
}

impl<'a> From<&'a Prior> for Cow<'a, Prior> {
    fn from(prior: &'a Prior) -> Self {
        Self::Borrowed(prior)
    }
}

impl From<Prior> for Cow<'_, Prior> {
    fn from(prior: Prior) -> Self {
        Self::Owned(prior)
    }
}

impl Prior {
    /// The bytes of the embedded default prior.
    pub const EMBEDDED: &'static [u8] = include_bytes!("default.safetensors");

    /// The embedded default prior: 64 × 64 pixels, six channels.
    ///
    /// # Errors
    /// As [`Prior::from_bytes`]; never, in a build that passes its tests.
    pub fn embedded() -> Result<Self, PriorError> {
        Self::from_bytes(Self::EMBEDDED)
    }

    /// Number of pixels, n.
    pub fn pixels(&self) -> usize {
        self.rows * self.cols
    }

    /// Number of channels, J.
    pub fn channels(&self) -> usize {
        self.knots.len()
    }

    /// The encoder's grid.
    pub fn token_grid(&self) -> TokenGrid {
        TokenGrid {
            rows: self.rows,
            cols: self.cols,
            channels: self.channels(),
        }
    }

    /// Scales channels `x`, (J·n), to the return that the prior knows, and says what they were divided by.
    pub fn scale_to_known_return(&self, x: &mut [f32]) -> f32 {
        let scale = rms_return(x, self.pixels()) / self.rms_return;
        if scale <= 0.0 {
            return 1.0;
        }
        x.iter_mut().for_each(|x| *x /= scale);
        scale
    }

    /// Whitened code u, (k), of channels `x`, (J·n), at the return that the prior knows: L⁻¹(enc(x) − z̄).
    ///
    /// # Panics
    /// Where `x` is not J·n long.
    pub fn encode(&self, x: &[f32]) -> Vec<f32> {
        self.whiten(&self.encoder.encode(self.token_grid(), x))
    }

    /// u = L⁻¹(z − z̄), (k).
    pub(crate) fn whiten(&self, z: &[f32]) -> Vec<f32> {
        let mut u: Vec<f32> = z.iter().zip(&self.code.mean).map(|(z, m)| z - m).collect();
        for r in 0..u.len() {
            let row = self.code.factor.row(r);
            let known = dot(&row[..r], &u[..r]);
            u[r] = (u[r] - known) / row[r];
        }
        u
    }

    /// The decoder over whitened codes: G(u).
    pub fn whitened_decoder(&self) -> Decoder {
        self.decoder.whitened(&self.code.mean, &self.code.factor)
    }

    /// The projection of channels `x`, (J·n), on the first `count` principal directions: the linear rival.
    ///
    /// # Panics
    /// Where `x` is not J·n long.
    pub fn principal_projection(&self, x: &[f32], count: usize) -> Vec<f32> {
        let centred: Vec<f32> = x
            .iter()
            .zip(&self.moments.mean)
            .map(|(x, m)| x - m)
            .collect();
        let mut out = self.moments.mean.clone();
        for r in 0..count.min(self.moments.directions.rows()) {
            let row = self.moments.directions.row(r);
            let score = dot(row, &centred);
            out.iter_mut()
                .zip(row)
                .for_each(|(out, v)| *out += score * v);
        }
        out
    }
}

/// Root mean square over the `pixels` of the return s = Σ_g x_g of channels `x`, (J·n).
pub(crate) fn rms_return(x: &[f32], pixels: usize) -> f32 {
    let channels = x.len() / pixels;
    let energy: f64 = (0..pixels)
        .map(|i| {
            let s: f32 = (0..channels).map(|g| x[g * pixels + i]).sum();
            f64::from(s).powi(2)
        })
        .sum();
    (energy / pixels as f64).sqrt() as f32
}
