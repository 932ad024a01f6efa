//! How bright a frame is: the scale between a sensor's returns and those that the prior was trained on.
//!
//! A prior knows frames of one mean return; what a sensor calls 1 is its own affair. The mean return is linear in the
//! image, and patterns that hold the flat one read it almost exactly.

use super::model::Model;
use crate::frame::Measurement;
use crate::sensing::Operator;

/// Steps of conjugate gradients; one is enough where rows are orthonormal.
const STEPS: usize = 60;
/// Residual, over its first, at which they are enough.
const ENOUGH: f32 = 1e-4;
/// Least share of the mean that readings must see to speak for it.
const LEAST_SEEN: f32 = 0.5;

/// What a pattern set sees without any decoder.
#[derive(Debug)]
pub(super) struct Sight {
    /// weights of readings that make the mean of an image, (m)
    pub(super) mean: Vec<f32>,
    /// mean variance that ψ puts on a reading
    pub(super) energy: f32,
}

impl Sight {
    pub(super) fn new(model: &Model, pattern: &dyn Operator) -> Self {
        let (readings, pixels) = pattern.shape();
        let mut energy = vec![0.0; readings];
        let (mut total, mut channels) = (0.0, 0.0);
        for variance in model.remainder.chunks_exact(pixels) {
            pattern.row_energy(variance, &mut energy);
            total += energy.iter().sum::<f32>();
            channels += 1.0;
        }
        Self {
            mean: mean_weights(pattern, &vec![true; readings]).0,
            energy: total / (channels * readings as f32),
        }
    }
}

/// Weights t, (m), for which ⟨t, A v⟩ is nearest to the mean of v, of the readings that are present; and the share of the
/// mean of a flat image that they see, in \[0, 1\].
fn mean_weights(operator: &dyn Operator, present: &[bool]) -> (Vec<f32>, f32) {
    let (readings, pixels) = operator.shape();
    let mut scratch = vec![0.0; operator.scratch()];
    let mut image = vec![1.0 / pixels as f32; pixels];
    let mut residual = vec![0.0; readings];
    operator.apply(&image, &mut residual, &mut scratch);
    let mask = |v: &mut [f32]| {
        v.iter_mut()
            .zip(present)
            .filter(|(_, present)| !**present)
            .for_each(|(v, _)| *v = 0.0);
    };
    mask(&mut residual);
    let energy = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>();
    let mut weights = vec![0.0; readings];
    let mut direction = residual.clone();
    let mut image_of = vec![0.0; readings];
    let first = energy(&residual);
    let mut now = first;
    for _ in 0..STEPS {
        if now <= ENOUGH * ENOUGH * first || now == 0.0 {
            break;
        }
        operator.adjoint(&direction, &mut image, &mut scratch);
        operator.apply(&image, &mut image_of, &mut scratch);
        mask(&mut image_of);
        let curvature: f32 = direction.iter().zip(&image_of).map(|(d, a)| d * a).sum();
        let step = now / curvature.max(f32::MIN_POSITIVE);
        for i in 0..readings {
            weights[i] += step * direction[i];
            residual[i] -= step * image_of[i];
        }
        let next = energy(&residual);
        let turn = next / now;
        direction
            .iter_mut()
            .zip(&residual)
            .for_each(|(d, r)| *d = r + turn * *d);
        now = next;
    }
    operator.adjoint(&weights, &mut image, &mut scratch);
    let seen = image.iter().sum::<f32>();
    (weights, seen)
}

/// Mean return over all pixels, > 0, from a measurement under patterns whose weights for all readings are `weights`;
/// `noise` is N₀, (J × J). `None` where the readings that would tell are missing.
///
/// A channel that does not tell is taken to be as bright, beside those that do, as its other readings are strong.
pub(super) fn mean_return(
    measurement: &Measurement,
    operator: &dyn Operator,
    weights: &[f32],
    noise: &[f32],
) -> Option<f32> {
    let (readings, channels) = (weights.len(), noise.len().isqrt());
    let greatest = weights
        .iter()
        .fold(f32::MIN_POSITIVE, |a, w| a.max(w.abs()));
    let mut present = vec![true; channels * readings];
    measurement
        .missing
        .iter()
        .for_each(|&i| present[i as usize] = false);
    let (mut total, mut variance) = (0.0, 0.0);
    let (mut strength, mut strength_seen) = (0.0, 0.0);
    for g in 0..channels {
        let at = g * readings..(g + 1) * readings;
        let (present, y) = (&present[at.clone()], &measurement.y[at]);
        let others = weights.iter().zip(y).zip(present).filter(|(_, p)| **p);
        let own = others
            .map(|((w, y), _)| (1.0 - (w / greatest).powi(2)) * y * y)
            .sum::<f32>()
            .sqrt();
        strength += own;
        let masked;
        let (weights, seen) = if present.iter().all(|p| *p) {
            (weights, 1.0)
        } else {
            masked = mean_weights(operator, present);
            (masked.0.as_slice(), masked.1)
        };
        if seen < LEAST_SEEN {
            continue;
        }
        let told = weights.iter().zip(y).filter(|(t, _)| **t != 0.0);
        total += told.map(|(t, y)| t * y).sum::<f32>();
        variance += weights.iter().map(|t| t * t).sum::<f32>() * noise[g * channels + g];
        strength_seen += own;
    }
    if variance == 0.0 {
        return None;
    }
    if strength_seen > 0.0 {
        total *= strength / strength_seen;
    }
    let least = (measurement.gain * variance).sqrt(); // darker than its noise nothing is told apart
    let value = total.max(least).max(f32::MIN_POSITIVE);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensing::{Dense, Hadamard};

    #[test]
    fn the_mean_is_read_from_any_patterns_that_see_it() {
        let image: Vec<f32> = (0..100).map(|i| 0.2 + 0.1 * (i % 7) as f32).collect();
        let mean = image.iter().sum::<f32>() / 100.0;
        let hadamard = Hadamard::random(100, 20, 1).unwrap();
        let dense = Dense::gaussian(90, 100, 1).unwrap();
        let operators: [(&dyn Operator, f32); 2] = [(&hadamard, 0.05), (&dense, 0.15)];
        for (operator, tolerance) in operators {
            let (m, _) = operator.shape();
            let (weights, seen) = mean_weights(operator, &vec![true; m]);
            let mut y = vec![0.0; m];
            operator.apply(&image, &mut y, &mut vec![0.0; operator.scratch()]);
            let read: f32 = weights.iter().zip(&y).map(|(t, y)| t * y).sum();
            assert!((read / mean - 1.0).abs() < tolerance, "{read} for {mean}");
            assert!(seen > 0.7, "{seen}");
        }
    }

    #[test]
    fn without_the_flat_pattern_nothing_is_said() {
        let hadamard = Hadamard::random(64, 8, 1).unwrap();
        let (weights, _) = mean_weights(&hadamard, &[true; 8]);
        let measurement = |missing| Measurement {
            gain: 1e-6,
            missing,
            y: [[0.5; 8], [1.0; 8]].concat(),
            ..Measurement::default()
        };
        let read = |missing| {
            mean_return(
                &measurement(missing),
                &hadamard,
                &weights,
                &[1.0, 0.0, 0.0, 1.0],
            )
        };
        let flat = hadamard.rows().iter().position(|r| *r == 0).unwrap() as u32;
        let whole = read(vec![]).unwrap();
        let half = read(vec![flat]).unwrap(); // channel 0 does not tell
        assert!((half / whole - 1.0).abs() < 1e-4, "{whole} {half}");
        assert_eq!(read(vec![flat, 8 + flat]), None);
    }
}
