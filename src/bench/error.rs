//! Why nothing can be measured.

use crate::journal::JournalError;
use crate::pipeline::{PipelineError, RecordingError, SensorError};
use crate::recover::{MeasurementError, TrackerError};
use crate::wire::WireError;

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// a value out of its range
    #[error("expected {expected} as {what}, got {got}")]
    Value {
        /// which
        what: &'static str,
        /// what would do
        expected: &'static str,
        /// its value
        got: f64,
    },
    /// a log without described measurements
    #[error("expected a sensor's description and its measurements in the log, found {found}")]
    Empty {
        /// what it holds instead
        found: &'static str,
    },
    /// all frames were given up
    #[error("expected frames to come out, got none of {offered} offered: {reason}")]
    NothingOut {
        /// frames offered
        offered: u64,
        /// what became of the first
        reason: String,
    },
    /// no pipeline
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// no simulated sensor
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// no log
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// a message of the log
    #[error(transparent)]
    Wire(#[from] WireError),
    /// a description of the log
    #[error(transparent)]
    Sensor(#[from] SensorError),
    /// no tracker
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// a frame of the log
    #[error(transparent)]
    Measurement(#[from] MeasurementError),
}
