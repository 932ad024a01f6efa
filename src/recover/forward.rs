//! One forward pass in measurement space: what no solver that evaluates its model can do without.

use super::fuse::{Fused, System, add_columns};
use super::model::Model;
use crate::prior::Activations;
use crate::sensing::SensorDescription;
use std::sync::Arc;

/// R·φ(u): the decoder's features φ at a whitened code u, times the head as one pattern set sees it, fused and whitened,
/// R = S₀^(−½) A W_d, shrunk to its QR factor where that has fewer rows.
///
/// It is what solvers evaluate at each step, on its own: a yardstick for their speed.
#[derive(Clone, Debug)]
pub struct Forward {
    model: Arc<Model>,
    system: System,
    at: Activations,
    out: Vec<f32>,
}

impl Forward {
    /// Through pattern set `set` of `description`, at noise level `gain`, α; `None` where there is no such set or the
    /// noise is not positive definite.
    ///
    /// # Panics
    /// Where the description is not of the model's grid and channels.
    pub fn new(
        description: &SensorDescription,
        model: Arc<Model>,
        set: usize,
        gain: f32,
    ) -> Option<Self> {
        let fused = Fused::new(&model, description.patterns.get(set)?);
        let system = fused.whitened(&model, &description.noise, gain, &[])?;
        Some(Self {
            out: vec![0.0; system.head().nrows()],
            at: Activations::default(),
            model,
            system,
        })
    }

    /// R·φ(u), (rows of R), of `code` u, (k).
    ///
    /// # Panics
    /// Where `code` is not k long.
    pub fn apply(&mut self, code: &[f32]) -> &[f32] {
        self.model.evaluate(code, &mut self.at);
        self.out.fill(0.0);
        let features = self.at.features().iter().copied();
        add_columns(self.system.head(), features, &mut self.out);
        &self.out
    }

    /// Number of weights that the last [`Forward::apply`] read: all of the layers', and R's columns of features that are
    /// not 0.
    pub fn weights_read(&self) -> usize {
        let layers = self.model.decoder.layers.iter();
        let layers: usize = layers.map(|layer| layer.weight.data().len()).sum();
        layers + self.out.len() * self.active()
    }

    /// Number of features that were not 0 at the last [`Forward::apply`], of H.
    pub fn active(&self) -> usize {
        self.at.features().iter().filter(|f| **f != 0.0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior::Prior;
    use crate::recover::ErrorModel;
    use crate::sensing::Operator;
    use crate::sim;

    #[test]
    fn a_pass_is_the_decoded_image_seen_by_the_patterns_and_whitened() {
        let prior = Prior::embedded().unwrap();
        let model = Arc::new(Model::new(&prior, ErrorModel::Directions));
        let sensor = sim::describe((64, 64), &prior.knots, 30.0, (1, 60), 3).unwrap();
        let mut forward = Forward::new(&sensor, Arc::clone(&model), 0, 1e-4).unwrap();
        let code: Vec<f32> = (0..model.code_len()).map(|i| (i as f32).sin()).collect();
        let measured = forward.apply(&code).to_vec();

        let mut image = vec![0.0; model.output_len()];
        let decoder = prior.whitened_decoder();
        decoder.decode(&code, &mut Activations::default(), &mut image);
        let pattern = &sensor.patterns[0];
        let mut y = vec![0.0; prior.channels() * 60];
        let mut scratch = vec![0.0; pattern.scratch()];
        for (x, y) in image.chunks_exact(4096).zip(y.chunks_exact_mut(60)) {
            pattern.apply(x, y, &mut scratch);
        }
        let readings = forward.system.project(&y); // whitened, without b and ē
        let of_nothing = forward.system.project(&{
            let mut bias = vec![0.0; y.len()];
            for (x, y) in model.bias.chunks_exact(4096).zip(bias.chunks_exact_mut(60)) {
                pattern.apply(x, y, &mut scratch);
            }
            bias
        });
        let size = measured.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        let expected = readings.y.iter().zip(&of_nothing.y).map(|(y, b)| y - b);
        for (got, expected) in measured.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-3 * size, "{got} {expected}");
        }
        let rows = measured.len();
        assert!(rows == readings.y.len() && (y.len() / 2..=y.len()).contains(&rows)); // those in which images differ
        assert!(forward.active() > 64 && forward.weights_read() > rows * forward.active());
        assert!(Forward::new(&sensor, model, 1, 1e-4).is_none());
    }
}
