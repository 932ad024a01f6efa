//! Floor 2: from the measurement of a frame, and what is known from the frames before, to a frame.

mod belief;
mod fuse;
mod model;
mod render;
mod solve;
mod track;
mod whiten;

pub use model::{ErrorModel, Model};
pub use render::Renderer;
pub use solve::{Limits, StopReason};
pub use track::{
    Estimate, MeasurementError, Report, Settings, StartKind, Timing, Tracker, TrackerError,
};
