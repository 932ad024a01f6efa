//! Floor 3: how good recovery is, on frames that no prior was trained on.

mod bars;
mod basins;
mod entrant;
mod examples;
mod fewer;
mod footage;
mod found;
mod imperfections;
pub mod landscape;
mod logged;
mod methods;
mod obstacles;
mod options;
mod problem;
mod recovery;
mod representation;
mod stage;
mod uncertainty;

pub use bars::{Bar, Ratio, bars};
pub use basins::{Basins, basins};
pub use entrant::MethodRow;
pub use examples::{Example, examples};
pub use fewer::{Fewer, Goal, Needed, fewer, goals};
pub use footage::Recorded;
pub use found::{false_obstacles, found};
pub use imperfections::{ImperfectionRow, imperfections};
pub use logged::Logged;
pub use methods::{ALL_SCENES, Comparison, methods};
pub use obstacles::{Contender, MakeRecover, ObstacleRow, Recover, obstacles};
pub use options::Options;
pub use problem::{Problem, UnknownProblem};
pub use recovery::{Row, recovery};
pub use representation::{Representation, recorded, simulated};
pub use uncertainty::{UncertaintyRow, Untrusted, calibrate, uncertainty};

use crate::frame::KnotsError;
use crate::recover::{MeasurementError, TrackerError};
use crate::sim::{DetectorError, SensorError};

/// How many of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RateOf {
    /// those that did
    pub count: usize,
    /// all of them
    pub of: usize,
}

impl RateOf {
    /// Their share; not a number of none.
    pub fn share(self) -> f64 {
        self.count as f64 / self.of as f64
    }

    fn count(&mut self, did: bool) {
        self.count += usize::from(did);
        self.of += 1;
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.of += other.of;
    }
}

/// Why nothing could be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// the sensor could not be described
    #[error(transparent)]
    Sensor(#[from] SensorError),
    /// the tracker could not be made
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// the virtual sensor cannot measure
    #[error(transparent)]
    Detector(#[from] DetectorError),
    /// a measurement was refused
    #[error(transparent)]
    Measurement(#[from] MeasurementError),
    /// the prior's knots do not fit
    #[error(transparent)]
    Knots(#[from] KnotsError),
    /// no random network has these widths
    #[error("expected widths k, h₁, …, n of at least two layers, each ≥ 1, got {got:?}")]
    Widths {
        /// the widths
        got: Vec<usize>,
    },
    /// no random patterns of this size
    #[error(transparent)]
    Patterns(#[from] crate::sensing::DenseError),
    /// no such single pixels
    #[error(transparent)]
    Mask(#[from] crate::sensing::MaskError),
    /// no such blocks of pixels
    #[error(transparent)]
    Blocks(#[from] crate::sensing::BlocksError),
    /// no such Fourier coefficients
    #[error(transparent)]
    Fourier(#[from] crate::sensing::FourierError),
    /// nothing would be scored of a recorded sequence or a log
    #[error(
        "expected recorded sequence {name} to last longer than the {lead_in_s} s that are not scored, got {frames} frames"
    )]
    TooShort {
        /// its name
        name: String,
        /// time that only warms the tracker up, s
        lead_in_s: f64,
        /// its evaluation frames
        frames: usize,
    },
    /// a random instance does not fit together
    #[error(transparent)]
    Instance(#[from] crate::recover::InstanceError),
    /// obstacles asked for in training scenes
    #[error(
        "expected scenes to tune on or held out, got those for training, which have no obstacles"
    )]
    TrainingScenes,
    /// a recorded sequence cannot be read
    #[error(transparent)]
    Dataset(#[from] crate::dataset::DatasetError),
}
