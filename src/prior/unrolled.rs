//! Weights of an unrolled network: what a prior has learnt of how images go on where total variation leaves them.

use super::{Affine, Matrix};

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
    pub fn at(&self, conditions: [f32; 2]) -> Vec<f32> {
        let rows = (0..self.slope.rows()).map(|r| self.slope.row(r));
        let values = self.base.iter().zip(rows);
        values
            .map(|(base, slope)| base + slope[0] * conditions[0] + slope[1] * conditions[1])
            .collect()
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

    /// C, fine features.
    pub fn features(&self) -> usize {
        self.first.rows()
    }

    /// D, coarse features.
    pub fn coarse_features(&self) -> usize {
        self.stages.first().map_or(0, |stage| stage.far.bias.len())
    }
}
