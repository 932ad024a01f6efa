//! How one sensor fares, while the pipeline runs.

use super::{Accounts, Quantiles, Stage};
use std::sync::Arc;

/// What became of a sensor's frames until now. Frames that name no sensor known are in [`super::Ingress::accounts`] alone.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorStatus {
    /// the sensor
    pub id: Arc<str>,
    /// whether it is described, so that frames of it are taken
    pub described: bool,
    /// what became of its frames; offered ≥ emitted + dropped + rejected, by those that are under way
    pub accounts: Accounts,
    /// how long those emitted took, stage by stage, to two digits
    pub latency: Vec<(Stage, Quantiles)>,
}
