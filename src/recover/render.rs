//! From an estimate to an image.

use super::model::Model;
use super::report::Estimate;
use super::whiten::Whitener;
use crate::frame::{Measurement, RangeImage};
use crate::prior::Activations;
use crate::sensing::{Operator, SensorDescription};
use std::sync::Arc;

/// Makes images of a sensor's estimates. Needs nothing of the tracker's, so that it may run beside the next solve.
#[derive(Clone, Debug)]
pub struct Renderer {
    description: Arc<SensorDescription>,
    model: Arc<Model>,
    /// s₀, in units of returns at the prior's mean return
    half_trust: f32,
    /// variance that ψ puts on each reading, (J·m), of each pattern set
    energies: Vec<Vec<f32>>,
}

impl Renderer {
    pub(super) fn new(
        description: Arc<SensorDescription>,
        model: Arc<Model>,
        half_trust: f32,
    ) -> Self {
        let energy = |pattern: &crate::sensing::Pattern| {
            let (readings, pixels) = pattern.shape();
            let mut out = vec![0.0; model.output_len() / pixels * readings];
            let channels = model.remainder.chunks_exact(pixels);
            for (variance, out) in channels.zip(out.chunks_exact_mut(readings)) {
                pattern.row_energy(variance, out);
            }
            out
        };
        Self {
            energies: description.patterns.iter().map(energy).collect(),
            description,
            model,
            half_trust,
        }
    }

    /// x₀ of the estimate that `measurement` led to, read out into `frame`.
    ///
    /// # Panics
    /// Where the estimate or the measurement is not of the sensor's own tracker.
    pub fn render(&self, estimate: &Estimate, measurement: &Measurement, frame: &mut RangeImage) {
        let state = &estimate.state;
        let (rows, cols) = (self.description.rows, self.description.cols);
        if (frame.rows, frame.cols) != (rows, cols) {
            *frame = RangeImage::empty(rows, cols);
        }
        let mut generated = vec![0.0; self.model.output_len()];
        let mut correction = generated.clone();
        let at = &mut Activations::default();
        self.model.generate(state, at, &mut generated);
        self.model.correct(state, &mut correction);
        self.add_remainder(&generated, estimate.scale, measurement, &mut correction);
        let half_trust = self.half_trust * estimate.error_scale.sqrt();
        self.model.take_in(&correction, half_trust, &mut generated);
        generated.iter_mut().for_each(|x| *x *= estimate.scale);
        self.description
            .knots
            .read_out(&generated, self.description.s_min, frame);
    }

    /// correction += E[rest | y] = ψ ∘ (I_J⊗A)ᵀ S₀⁻¹ (y − (I_J⊗A)(G(u) + correction)): the rest is white, and of what
    /// the readings leave over, ψ says how much is each pixel's.
    fn add_remainder(
        &self,
        generated: &[f32],
        scale: f32,
        measurement: &Measurement,
        correction: &mut [f32],
    ) {
        let set = measurement.pattern_set;
        let pattern = &self.description.patterns[set];
        let (readings, pixels) = pattern.shape();
        let noise = &self.description.noise;
        let energy = &self.energies[set];
        let gain = measurement.gain / (scale * scale);
        let whitener = Whitener::new(energy, noise, gain, &measurement.missing);
        let Some(whitener) = whitener else {
            return; // the tracker has refused it
        };
        let mut scratch = vec![0.0; pattern.scratch()];
        let mut image = vec![0.0; pixels];
        let mut left: Vec<f32> = measurement.y.iter().map(|y| y / scale).collect();
        for (g, left) in left.chunks_exact_mut(readings).enumerate() {
            let at = g * pixels..(g + 1) * pixels;
            let parts = generated[at.clone()].iter().zip(&correction[at]);
            image
                .iter_mut()
                .zip(parts)
                .for_each(|(x, (a, b))| *x = a + b);
            let mut explained = vec![0.0; readings];
            pattern.apply(&image, &mut explained, &mut scratch);
            left.iter_mut().zip(&explained).for_each(|(l, e)| *l -= e);
        }
        whitener.weigh(&mut left);
        let channels = left
            .chunks_exact(readings)
            .zip(correction.chunks_exact_mut(pixels));
        for ((left, out), variance) in channels.zip(self.model.remainder.chunks_exact(pixels)) {
            pattern.adjoint(left, &mut image, &mut scratch);
            let parts = image.iter().zip(variance);
            out.iter_mut()
                .zip(parts)
                .for_each(|(out, (v, psi))| *out += psi * v);
        }
    }
}
