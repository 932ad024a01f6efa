//! A random network, a code that is to be found again, and patterns.

use crate::eval::EvalError;
use crate::prior::{Activations, Decoder};
use crate::recover::Instance;
use crate::sensing::{Dense, Operator};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// Relative error of an image that counts as found.
const FOUND: f64 = 1e-3;

/// Everything random in it follows from one seed.
pub(super) struct Case {
    pub(super) generator: Decoder,
    /// z*, (k)
    pub(super) code: Vec<f32>,
    /// G(z*), (n)
    pub(super) image: Vec<f32>,
    seed: u64,
}

impl Case {
    pub(super) fn new(widths: &[usize], seed: u64) -> Self {
        let generator = Decoder::random(widths, seed);
        let code = gaussian(widths[0], seed, 1);
        Self {
            image: decode(&generator, &code),
            generator,
            code,
            seed,
        }
    }

    /// The instance seen through m Gaussian patterns, and its readings.
    pub(super) fn seen(&self, readings: usize) -> Result<(Instance, Vec<f32>), EvalError> {
        let patterns = Dense::gaussian(readings, self.image.len(), self.seed + (1 << 32))?;
        let mut y = vec![0.0; readings];
        patterns.apply(&self.image, &mut y, &mut []);
        Ok((Instance::new(self.generator.clone(), &patterns)?, y))
    }

    /// A code to start from.
    pub(super) fn start(&self, index: usize) -> Vec<f32> {
        gaussian(self.code.len(), self.seed, 2 + index as u64)
    }

    /// t·z*
    pub(super) fn along(&self, t: f64) -> Vec<f32> {
        self.code.iter().map(|z| z * t as f32).collect()
    }

    /// ‖G(z) − G(z*)‖²
    pub(super) fn error_energy(&self, code: &[f32]) -> f64 {
        let image = decode(&self.generator, code);
        let pairs = image.iter().zip(&self.image);
        pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum()
    }

    pub(super) fn is_found(&self, code: &[f32]) -> bool {
        self.error_energy(code) <= FOUND * FOUND * energy(&self.image)
    }
}

/// ‖v‖²
pub(super) fn energy(v: &[f32]) -> f64 {
    v.iter().map(|&v| f64::from(v).powi(2)).sum()
}

/// ⟨a, b⟩
pub(super) fn product(a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b);
    pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// N(0, I) of a length, one for each stream of a seed.
pub(super) fn gaussian(len: usize, seed: u64, stream: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    StandardNormal.sample_iter(rng).take(len).collect()
}

fn decode(generator: &Decoder, code: &[f32]) -> Vec<f32> {
    let mut image = vec![0.0; generator.output_len()];
    generator.decode(code, &mut Activations::default(), &mut image);
    image
}
