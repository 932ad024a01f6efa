//! How frames are to be recovered, and how that went.

use super::error::TrackerError;
use super::method::{Lasso, Method, Refine};
use super::model::ErrorModel;
use super::reference::{FirstOrder, Solver};
use super::solve::{Limits, StopReason};
use crate::pool::Buffer;
use serde::{Deserialize, Serialize};

/// How frames are recovered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// what makes a frame's first image x₀
    pub method: Method,
    /// principal directions of that method, at most as many as the prior carries
    pub directions: usize,
    /// what x₀ is refined by
    pub refine: Refine,
    /// sparsity of the methods that ask for it
    pub lasso: Lasso,
    /// how the representation error is treated
    pub error: ErrorModel,
    /// return, beside those that the prior knows and where errors are as large as usual, of a pixel that takes in half of the
    /// error found: darker ones take in less
    pub half_trust_return: f32,
    /// time constants of u and c, s, that a track starts with: how long a frame's code and error go on to speak for later
    /// frames
    pub time_constants_s: (f64, f64),
    /// time constant of what neither of them says, s, that a track starts with
    pub rest_time_constant_s: f64,
    /// keep the time constants as they are, instead of learning them from the track's innovations
    pub fixed_time_constants: bool,
    /// what finds the code
    pub solver: Solver,
    /// when Levenberg–Marquardt stops
    pub limits: Limits,
    /// time that a frame may take to be solved, ms, from when it came to the tracker; when it nears, the best state so far is
    /// taken as it is. 0 is none. Preparing a pattern set at its first frame cannot be cut short, nor can finding the signs of
    /// magnitudes, nor solvers other than Levenberg–Marquardt.
    pub deadline_ms: f64,
    /// how the other solvers run
    pub first_order: FirstOrder,
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
    /// side of the blocks of pixels that share a posterior variance in range σ, pixels; 0 computes no σ, 1 is full resolution, and
    /// 4 is as well calibrated in a fifth of the time
    pub sigma_block: usize,
    /// leave σ as it comes out of the linearisation: for who calibrates it
    pub sigma_raw: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            method: Method::Latent,
            directions: 200,
            refine: Refine::default(),
            lasso: Lasso::default(),
            error: ErrorModel::Directions,
            half_trust_return: 0.15,
            time_constants_s: (1.6, 1.0),
            rest_time_constant_s: 0.3,
            fixed_time_constants: false,
            solver: Solver::default(),
            limits: Limits::default(),
            deadline_ms: 0.0,
            first_order: FirstOrder::default(),
            random_starts: 2,
            content_ratio: 2.0,
            lost_residual_ratio: 8.0,
            lost_innovation_ratio: 6.0, // 9 of 900 warm frames of tuning scenes have more, without being lost
            always_cold: false,
            sigma_block: 0,
            sigma_raw: false,
        }
    }
}

impl Settings {
    /// Checks what is asked for.
    ///
    /// # Errors
    /// The first setting that cannot be.
    pub fn check(&self) -> Result<(), TrackerError> {
        self.refine.check()?;
        let deadline = self.deadline_ms;
        let (of_code, of_error) = self.time_constants_s;
        let weight = f64::from(self.lasso.weight);
        let half_trust = f64::from(self.half_trust_return);
        let all = [
            (
                "deadline_ms of at least 0 (0: none)",
                deadline,
                (0.0..f64::INFINITY).contains(&deadline),
            ),
            ("time_constants_s > 0", of_code, of_code > 0.0),
            ("time_constants_s > 0", of_error, of_error > 0.0),
            (
                "rest_time_constant_s > 0",
                self.rest_time_constant_s,
                self.rest_time_constant_s > 0.0,
            ),
            (
                "limits.tolerance > 0",
                self.limits.tolerance,
                self.limits.tolerance > 0.0,
            ),
            ("half_trust_return ≥ 0", half_trust, half_trust >= 0.0),
            ("lasso.weight ≥ 0", weight, weight >= 0.0),
            (
                "content_ratio ≥ 0",
                self.content_ratio,
                self.content_ratio >= 0.0,
            ),
            (
                "lost_residual_ratio > 0",
                self.lost_residual_ratio,
                self.lost_residual_ratio > 0.0,
            ),
            (
                "lost_innovation_ratio > 0",
                self.lost_innovation_ratio,
                self.lost_innovation_ratio > 0.0,
            ),
        ];
        match all.into_iter().find(|(_, _, good)| !good) {
            None => Ok(()),
            Some((what, got, _)) => Err(TrackerError::Setting { what, got }),
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
    /// finding signs, where readings have none, whitening, projecting and solving
    pub solve_ns: u64,
    /// of that, from the first start to the last step, which does not grow with m in a warm frame once readings are as many as
    /// the unknowns' images; 0 of a method without a code
    pub iterate_ns: u64,
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
    /// ½‖whitened residual‖² + ½e²‖v − v⁻‖²_Ω at the estimate, e² the track's error scale, see [`Source::Latent`]
    pub cost: f64,
    /// χ² of the estimate over the number of readings: about 1 where the model holds
    pub residual_ratio: f64,
    /// χ² of what the readings said beyond the prediction, over their number, had the decoder been linear
    pub innovation_ratio: f64,
    /// χ² of the estimate over that of a frame of which nothing were known but the mean of its channels: small where the
    /// estimate explains the readings, about 1 where they are not what the description says; 0 without a code. On a track it
    /// is at least what the state leaves without the rest of the frames before.
    pub unexplained: f64,
    /// the readings do not fit the description: more is unexplained than on all but the rarest frames that fit
    pub untrusted: bool,
    /// whitened code û, (k)
    pub code: Buffer<f32>,
    /// time constants of u, c and the rest that the frame was predicted with, s; those of the next frame where it started cold
    pub time_constants_s: [f64; 3],
    /// time by step
    pub timing: Timing,
}

/// A frame's estimate, not yet an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// how it went
    pub report: Report,
    /// what the image is made from
    pub source: Source,
    /// what the frame's returns are divided by to be those that the prior knows
    pub scale: f32,
    /// what was found of readings that are magnitudes
    pub signs: Signs,
}

/// Signs found of readings of which only magnitudes are told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signs {
    /// what is expected of each, in \[−1, 1\], (J·m); empty where readings have signs
    pub expected: Vec<f32>,
}

/// What a first image x₀ is made from, at the return that the prior knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// the generator and its error
    Latent {
        /// v = (û, ĉ), (k + q)
        state: Buffer<f32>,
        /// E\[rest | y\], what the readings say beyond (û, ĉ), (J·n)
        rest: Buffer<f32>,
        /// e², variance of the frame's errors over their usual one
        error_scale: f32,
        /// draws of v − v̂ from the posterior, (any × k + q), flattened; empty where no σ was asked for
        draws: Buffer<f32>,
        /// share of the rest's variance that the readings see
        seen: f32,
    },
    /// the image itself, (J·n)
    Image(Vec<f32>),
    /// nothing
    Blank,
}
