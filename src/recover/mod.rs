//! Floor 2: from the measurement of a frame, and what is known from the frames before, to a frame.

mod belief;
mod brightness;
mod cold;
mod error;
mod forward;
mod fuse;
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
mod solve;
mod start;
mod track;
mod variation;
mod whiten;

pub use error::{MeasurementError, TrackerError};
pub use forward::Forward;
pub use instance::{Data, Descent, Instance, InstanceError, Inverse};
pub use method::{Lasso, Method, PRESETS, Refine};
pub use model::{ErrorModel, Model};
pub use reference::{FirstOrder, Solver};
pub use render::Renderer;
pub use report::{Estimate, Report, Settings, Source, StartKind, Timing};
pub use solve::{Limits, StopReason};
pub use track::Tracker;
