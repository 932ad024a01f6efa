//! Floor 2: from the measurement of a frame, and what is known from the frames before, to a frame.

mod aligned;
mod belief;
mod brightness;
mod checkpoint;
mod cold;
mod columns;
mod compress;
mod deadline;
mod differences;
mod doubt;
mod error;
mod fingerprint;
mod finish;
mod forward;
mod fuse;
mod gaps;
mod gauge;
mod grid;
mod guesses;
mod health;
mod innovation;
mod instance;
mod inverse;
mod lasso;
mod linear;
mod magnitudes;
mod method;
mod model;
mod pace;
mod planes;
mod reference;
mod render;
mod report;
mod rest;
mod sigma;
mod signs;
mod solve;
mod start;
mod track;
mod unroll;
mod variation;
mod view;
mod weighing;
mod whiten;

pub use crate::sensing::Data;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use error::{MeasurementError, TrackerError};
pub use finish::{Finisher, Refined, Workspace};
pub use forward::Forward;
pub use instance::{Descent, Instance, InstanceError, Inverse};
pub use method::{Lasso, Method, PRESETS, Refine};
pub use model::{ErrorModel, Model};
pub use reference::{FirstOrder, Solver};
pub use render::Renderer;
pub use report::{Estimate, Report, Settings, Signs, Source, StartKind, Timing};
#[cfg(feature = "serve")]
pub(crate) use rest::MOST_TOGETHER;
pub use solve::{Limits, StopReason};
pub use track::Tracker;
#[cfg(feature = "train")]
pub(crate) use unroll::{
    Given,
    gradient::{Learner, Tape},
};
pub use view::Ahead;
