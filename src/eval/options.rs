//! What to evaluate on.

use super::EvalError;
use crate::prior::Prior;
use crate::recover::Settings;
use crate::sensing::SensorDescription;
use crate::sim::{self, Sampling, Split};

/// Which scenes, how they are measured, and how they are recovered.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// which scenes: held out, or to choose parameters on
    pub split: Split,
    /// scenes, one frame scored in each
    pub frames: usize,
    /// frames that the tracker sees before the one that is scored
    pub lead_in: usize,
    /// frames a second
    pub rate_hz: f64,
    /// pattern sets shown in turn
    pub sets: usize,
    /// how Hadamard patterns are drawn; `None`: as suits what readings tell
    pub sampling: Option<Sampling>,
    /// m/n, patterns over pixels
    pub ratios: Vec<f64>,
    /// standard deviation of a reading's noise over the mean |y|
    pub noise: f32,
    /// seed of patterns and noise
    pub seed: u64,
    /// how frames are recovered
    pub settings: Settings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            split: Split::HeldOut,
            frames: 200,
            lead_in: 15,
            rate_hz: 30.0,
            sets: 8,
            sampling: None,
            ratios: vec![0.01, 0.02, 0.05, 0.1],
            noise: 0.005,
            seed: 1,
            settings: Settings::default(),
        }
    }
}

impl Options {
    /// The virtual sensor of the prior's grid and channels, with `ratio` patterns a pixel.
    pub(super) fn sensor(&self, prior: &Prior, ratio: f64) -> Result<SensorDescription, EvalError> {
        let shown = (self.sets, readings(prior, ratio));
        let (grid, knots) = ((prior.rows, prior.cols), &prior.knots);
        Ok(sim::describe_sampled(
            self.sampling.unwrap_or_default(),
            grid,
            knots,
            sim::MAX_RANGE,
            shown,
            self.seed,
        )?)
    }
}

/// Patterns that m/n = `ratio` stands for, at least one.
pub(super) fn readings(prior: &Prior, ratio: f64) -> usize {
    ((prior.pixels() as f64 * ratio).round() as usize).max(1)
}
