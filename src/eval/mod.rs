//! Floor 3: how good recovery is, on frames that no prior was trained on.

mod basins;
mod recovery;
mod representation;

pub use basins::{Basins, basins};
pub use recovery::{Options, Row, recovery};
pub use representation::{Representation, held_out, recorded};

use crate::frame::KnotsError;
use crate::recover::{MeasurementError, TrackerError};
use crate::sim::SensorError;

/// Why nothing could be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// the sensor could not be described
    #[error(transparent)]
    Sensor(#[from] SensorError),
    /// the tracker could not be made
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// a measurement was refused
    #[error(transparent)]
    Measurement(#[from] MeasurementError),
    /// the prior's knots do not fit
    #[error(transparent)]
    Knots(#[from] KnotsError),
    /// a recorded sequence cannot be read
    #[error(transparent)]
    Dataset(#[from] crate::dataset::DatasetError),
}
