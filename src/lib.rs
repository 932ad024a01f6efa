//! relucent

pub mod dataset;
pub mod frame;
pub mod sensing;
pub mod sim;
