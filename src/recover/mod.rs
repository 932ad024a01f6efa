//! Floor 2: from the measurement of a frame, and what is known from the frames before, to a frame.

mod belief;
mod brightness;
mod cold;
mod doubt;
mod error;
mod fuse;
mod gauge;
mod health;
mod innovation;
mod instance;
mod lasso;
mod linear;
mod magnitudes;
mod method;
mod model;
mod pace;
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
pub use instance::{Data, Descent, Instance, InstanceError, Inverse};
pub use method::{Lasso, Method, PRESETS, Refine};
pub use model::{ErrorModel, Model};
pub use reference::{FirstOrder, Solver};
pub use render::Renderer;
pub use report::{Estimate, Report, Settings, Source, StartKind, Timing};
pub use solve::{Limits, StopReason};
pub use track::Tracker;
