//! Floor 2: from the measurement of a frame, and what is known from the frames before, to a frame.

mod belief;
mod brightness;
mod cold;
mod error;
mod expectation;
mod fuse;
mod gauge;
mod health;
mod instance;
mod lasso;
mod linear;
mod magnitudes;
mod method;
mod model;
mod reference;
mod render;
mod report;
mod rest;
mod sigma;
mod signs;
mod solve;
mod start;
mod track;
mod variation;
mod whiten;

pub use crate::sensing::Data;
pub use error::{MeasurementError, TrackerError};
pub use instance::{Descent, Instance, InstanceError, Inverse};
pub use method::{Lasso, Method, PRESETS, Refine};
pub use model::{ErrorModel, Model};
pub use reference::{FirstOrder, Solver};
pub use render::Renderer;
pub use report::{Estimate, Report, Settings, Signs, Source, StartKind, Timing};
pub use solve::{Limits, StopReason};
pub use track::Tracker;
