//! Weights of an unrolled network: what a prior has learnt of how images go on where total variation leaves them.

use super::{Affine, Matrix};
use crate::pool::Buffer;
#[cfg(feature = "train")]
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
#[cfg(feature = "train")]
use rand_distr::{Distribution, StandardNormal};

/// How far beyond what they are trained for networks are used.
const MARGIN: f32 = 1.2;

/// A vector that depends on how a frame was measured: base + slope · conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditional {
    /// its value where both conditions are 0, (out)
    pub base: Vec<f32>,
    /// how it changes with each condition, (out × 2)
    pub slope: Matrix,
}

impl Conditional {
    /// Its value, (out).
    pub fn at(&self, conditions: [f32; 2]) -> Buffer<f32> {
        let rows = (0..self.slope.rows()).map(|r| self.slope.row(r));
        let values = self.base.iter().zip(rows);
        values
            .map(|(base, slope)| base + slope[0] * conditions[0] + slope[1] * conditions[1])
            .collect()
    }

    #[cfg(feature = "train")]
    fn parts_mut<'a>(&'a mut self, parts: &mut Vec<&'a mut [f32]>) {
        parts.push(&mut self.base);
        parts.push(self.slope.data_mut());
    }
}

/// A step along the readings' residual, and one of a network of two scales.
///
/// Weights of k × k pixels are (out × in·k²), in order of input feature, row and column; fine features stand at every second
/// row and column of pixels, coarse ones at every fourth, and what is taken apart or put together is in order of channel or
/// feature, row and column.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// logit of the step along the residual, over [`Unrolled::LONGEST_STEP`], (J)
    pub step: Conditional,
    /// image, residual and the stage before to fine features, (C × 8J + C)
    pub merge: Matrix,
    /// its bias
    pub merge_bias: Conditional,
    /// fine features of 3 × 3
    pub near: Affine,
    /// fine features, taken apart, to coarse ones, (D × 4C)
    pub down: Affine,
    /// coarse features of 3 × 3
    pub far: Affine,
    /// coarse features to fine ones, taken apart, that are added to those of `near`, (4C × D)
    pub up: Affine,
    /// fine features of 3 × 3, which the next stage knows too
    pub join: Affine,
    /// fine features to what is added to the image, taken apart, (4J × C)
    pub out: Affine,
}

/// An unrolled network (Gregor & LeCun 2010; Adler & Öktem 2018): steps along the residual of the readings and steps of a
/// network in turn, all trained together, for images x, (J·n).
#[derive(Clone, Debug, PartialEq)]
pub struct Unrolled {
    /// image, residual, x₀ and the frame before, taken apart, to the features before the first stage, (C × 16J)
    pub first: Matrix,
    /// its bias
    pub first_bias: Conditional,
    /// stages, in turn
    pub stages: Vec<Stage>,
    /// of the last step along the residual, as [`Stage::step`], (J)
    pub step: Conditional,
}

impl Unrolled {
    /// The longest step along a residual.
    pub const LONGEST_STEP: f32 = 1.2;
    /// m/n that networks are trained for: a condition is its decimal logarithm, between these.
    const RATIOS: [f32; 2] = [0.008, 0.25];
    /// Spreads of a reading's noise, at the return that the prior knows, that networks are trained for.
    const NOISES: [f32; 2] = [5e-5, 1.2e-2];

    /// The conditions of a frame with `ratio` = m/n whose readings' noise spreads by `noise`, at the return that the prior
    /// knows. `None` where there are more readings or more noise than networks are trained for, and they do harm.
    pub fn conditions(ratio: f32, noise: f32) -> Option<[f32; 2]> {
        let [few, many] = Self::RATIOS;
        let [quiet, loud] = Self::NOISES;
        let trained = ratio <= MARGIN * many && noise <= MARGIN * loud;
        trained.then(|| {
            [
                ratio.clamp(few, many).log10() + 1.5,
                noise.clamp(quiet, loud).log10() + 3.5,
            ]
        })
    }

    /// A network that has learnt nothing, with weights at random for ReLUs (He et al. 2015) and stages that change images
    /// but a little; C and D are its fine and coarse features.
    #[cfg(feature = "train")]
    pub(crate) fn untrained(
        channels: usize,
        stages: usize,
        (fine, coarse): (usize, usize),
        seed: u64,
    ) -> Self {
        let mut normal = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(seed));
        let mut random = |rows: usize, cols: usize, gain: f32| {
            let spread = gain * (2.0 / cols as f32).sqrt();
            let values = normal.by_ref().take(rows * cols);
            let values: Vec<f32> = values.map(|v: f32| spread * v).collect();
            Matrix::new(rows, cols, values)
        };
        let conditional = |len: usize, base: f32| Conditional {
            base: vec![base; len],
            slope: Matrix::zeros(len, 2),
        };
        let affine = |weight: Matrix| Affine {
            bias: vec![0.0; weight.rows()],
            weight,
        };
        let first = random(fine, 16 * channels, 1.0);
        let stages = (0..stages).map(|_| Stage {
            step: conditional(channels, 0.0),
            merge: random(fine, 8 * channels + fine, 1.0),
            merge_bias: conditional(fine, 0.0),
            near: affine(random(fine, 9 * fine, 1.0)),
            down: affine(random(coarse, 4 * fine, 1.0)),
            far: affine(random(coarse, 9 * coarse, 1.0)),
            up: affine(random(4 * fine, coarse, 0.3)),
            join: affine(random(fine, 9 * fine, 1.0)),
            out: affine(random(4 * channels, fine, 0.02)),
        });
        Self {
            first,
            first_bias: conditional(fine, 0.0),
            stages: stages.collect(),
            step: conditional(channels, -1.0),
        }
    }

    /// All its weights, part by part.
    #[cfg(feature = "train")]
    pub(crate) fn parts_mut(&mut self) -> Vec<&mut [f32]> {
        let mut parts: Vec<&mut [f32]> = vec![self.first.data_mut()];
        self.first_bias.parts_mut(&mut parts);
        self.step.parts_mut(&mut parts);
        for stage in &mut self.stages {
            stage.step.parts_mut(&mut parts);
            parts.push(stage.merge.data_mut());
            stage.merge_bias.parts_mut(&mut parts);
            let Stage {
                near,
                down,
                far,
                up,
                join,
                out,
                ..
            } = stage;
            for layer in [near, down, far, up, join, out] {
                parts.push(layer.weight.data_mut());
                parts.push(&mut layer.bias);
            }
        }
        parts
    }

    /// A network of the same sizes whose weights are all 0.
    #[cfg(feature = "train")]
    pub(crate) fn zeroed(&self) -> Self {
        let mut zeroed = self.clone();
        zeroed
            .parts_mut()
            .into_iter()
            .for_each(|part| part.fill(0.0));
        zeroed
    }

    /// The step along a residual of which this is the logit, over the longest one.
    pub(crate) fn step_of(logit: f32) -> f32 {
        Self::LONGEST_STEP / (1.0 + (-logit).exp())
    }

    /// C, fine features.
    pub fn features(&self) -> usize {
        self.first.rows()
    }

    /// D, coarse features.
    pub fn coarse_features(&self) -> usize {
        self.stages.first().map_or(0, |stage| stage.far.bias.len())
    }
}
