//! The model that sensors are recovered with, which another prior's may replace while frames come.

use crate::prior::Prior;
use crate::recover::{ErrorModel, Model, TrackerError};
use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

/// The model of the moment.
pub(super) struct Current {
    model: RwLock<Arc<Model>>,
    error: ErrorModel,
}

/// Why a pipeline keeps the prior that it has.
#[derive(Debug, thiserror::Error)]
#[error("sensor `{sensor}`, which is in use, cannot go on with the new prior")]
pub struct ReplaceError {
    /// the sensor
    pub sensor: String,
    /// what it would need
    pub source: TrackerError,
}

impl Current {
    pub(super) fn new(model: Arc<Model>, error: ErrorModel) -> Self {
        Self {
            model: RwLock::new(model),
            error,
        }
    }

    pub(super) fn get(&self) -> Arc<Model> {
        Arc::clone(&self.model.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The model of another prior, folded as the present one was.
    pub(super) fn model_of<'a>(&self, prior: impl Into<Cow<'a, Prior>>) -> Arc<Model> {
        Arc::new(Model::new(prior, self.error))
    }

    pub(super) fn set(&self, model: Arc<Model>) {
        *self.model.write().unwrap_or_else(PoisonError::into_inner) = model;
    }
}
