//! From an estimate to an image.

use super::model::Model;
use crate::frame::RangeImage;
use crate::prior::Activations;
use crate::sensing::SensorDescription;
use std::sync::Arc;

/// Makes images of a sensor's estimates. Needs nothing of the tracker's, so that it may run beside the next solve.
#[derive(Clone, Debug)]
pub struct Renderer {
    description: Arc<SensorDescription>,
    model: Arc<Model>,
}

impl Renderer {
    pub(super) fn new(description: Arc<SensorDescription>, model: Arc<Model>) -> Self {
        Self { description, model }
    }

    /// x₀ of a state v = (u, c), (k + q), read out into `frame`.
    ///
    /// # Panics
    /// Where the state has another length.
    pub fn render(&self, state: &[f32], frame: &mut RangeImage) {
        let (rows, cols) = (self.description.rows, self.description.cols);
        if (frame.rows, frame.cols) != (rows, cols) {
            *frame = RangeImage::empty(rows, cols);
        }
        let mut channels = vec![0.0; self.model.output_len()];
        let mut correction = channels.clone();
        let at = &mut Activations::default();
        self.model.image(state, at, &mut correction, &mut channels);
        self.description
            .knots
            .read_out(&channels, self.description.s_min, frame);
    }
}
