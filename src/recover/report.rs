//! How frames are to be recovered, and how that went.

use super::model::ErrorModel;
use super::solve::{Limits, StopReason};
use serde::{Deserialize, Serialize};

/// How frames are recovered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// how the representation error is treated
    pub error: ErrorModel,
    /// return, at the prior's mean return and where errors are as large as usual, of a pixel that takes in half of the
    /// error found: darker ones take in less
    pub half_trust_return: f32,
    /// time constants of u and c, s: how long a frame's code and error go on to speak for later frames
    pub time_constants_s: (f64, f64),
    /// when the solver stops
    pub limits: Limits,
    /// random codes tried at a cold start, each with its negative, after the linear estimate and zero
    pub random_starts: usize,
    /// residual ratio at which a cold start is content with what it has and tries no further code
    pub content_ratio: f64,
    /// residual ratio, over the track's error scale, above which a warm track counts as lost
    pub lost_residual_ratio: f64,
    /// innovation ratio, over the track's error scale, above which a warm track counts as lost
    pub lost_innovation_ratio: f64,
    /// carry nothing from frame to frame
    pub always_cold: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            error: ErrorModel::Directions,
            half_trust_return: 0.15,
            time_constants_s: (1.6, 1.0),
            limits: Limits::default(),
            random_starts: 2,
            content_ratio: 2.0,
            lost_residual_ratio: 8.0,
            lost_innovation_ratio: 6.0, // 9 of 900 warm frames of tuning scenes have more, without being lost
            always_cold: false,
        }
    }
}

/// How a frame's recovery started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartKind {
    /// from the measurement alone
    Cold,
    /// from the frame before
    Warm,
    /// from the frame before, found lost, and again from the measurement alone
    Restarted,
}

/// Where a frame's time went, ns of the tracker's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// preparing the pattern set at this noise level; 0 once it is known
    pub prepare_ns: u64,
    /// whitening, projecting and solving
    pub solve_ns: u64,
    /// from the code to the image
    pub render_ns: u64,
}

/// How a frame's recovery went: data, not an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// how it started
    pub start: StartKind,
    /// why it ended
    pub stop: StopReason,
    /// linear systems solved, over all starts
    pub iterations: usize,
    /// ½‖whitened residual‖² + ½e²‖v − v⁻‖²_Ω at the estimate, e² the track's error scale, see [`Estimate::error_scale`]
    pub cost: f64,
    /// χ² of the estimate over the number of readings: about 1 where the model holds
    pub residual_ratio: f64,
    /// χ² of what the readings said beyond the prediction, over their number, had the decoder been linear
    pub innovation_ratio: f64,
    /// whitened code û, (k)
    pub code: Vec<f32>,
    /// time by step
    pub timing: Timing,
}

/// A frame's estimate, not yet an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// how it went
    pub report: Report,
    /// v = (û, ĉ), (k + q), of the frame at the prior's mean return
    pub state: Vec<f32>,
    /// what the frame's returns are divided by to be at the prior's mean return
    pub scale: f32,
    /// e², variance of the frame's errors over their usual one
    pub error_scale: f32,
}
