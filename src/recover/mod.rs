//! Floor 2: from the measurement of a frame, and what is known from the frames before, to a frame.

mod belief;
mod brightness;
mod cold;
mod error;
mod fuse;
mod model;
mod render;
mod report;
mod solve;
mod track;
mod whiten;

pub use error::{MeasurementError, TrackerError};
pub use model::{ErrorModel, Model};
pub use render::Renderer;
pub use report::{Estimate, Report, Settings, StartKind, Timing};
pub use solve::{Limits, StopReason};
pub use track::Tracker;
