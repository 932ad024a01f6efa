//! relucent

pub mod clock;
pub mod dataset;
pub mod eval;
pub mod frame;
pub mod metrics;
pub mod prior;
pub mod recover;
pub mod sensing;
pub mod sim;
#[cfg(feature = "train")]
pub mod train;
