//! Patterns given as an explicit matrix.

use super::Operator;
use crate::simd::{add_scaled, dot};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// An explicit pattern matrix with rows of unit norm: Gaussian, Bernoulli ±1, or a measured calibration.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    readings: usize,
    pixels: usize,
    weights: Vec<f32>,
}

/// Why an array is no pattern matrix.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DenseError {
    /// the array does not fill the shape
    #[error("expected {readings} × {pixels} pattern weights (both ≥ 1), got {got}")]
    Shape {
        /// m
        readings: usize,
        /// n
        pixels: usize,
        /// length of the array
        got: usize,
    },
    /// a row without length or with a weight that is no number
    #[error("expected pattern {row} finite and of norm > 0, got norm {norm}")]
    Row {
        /// index of the pattern
        row: usize,
        /// its norm
        norm: f32,
    },
}

impl Dense {
    /// Patterns from a row-major matrix, (m × n); each row is scaled to unit norm.
    ///
    /// # Errors
    /// Where the array does not fill the shape, or a row is not finite or has norm 0.
    pub fn new(readings: usize, pixels: usize, mut weights: Vec<f32>) -> Result<Self, DenseError> {
        if readings == 0 || pixels == 0 || readings.checked_mul(pixels) != Some(weights.len()) {
            return Err(DenseError::Shape {
                readings,
                pixels,
                got: weights.len(),
            });
        }
        for (row, pattern) in weights.chunks_exact_mut(pixels).enumerate() {
            let norm = pattern
                .iter()
                .map(|&w| f64::from(w).powi(2))
                .sum::<f64>()
                .sqrt() as f32;
            if !norm.is_finite() || norm <= 0.0 {
                return Err(DenseError::Row { row, norm });
            }
            pattern.iter_mut().for_each(|w| *w /= norm);
        }
        Ok(Self {
            readings,
            pixels,
            weights,
        })
    }

    /// Independent Gaussian patterns.
    ///
    /// # Errors
    /// Where either size is 0.
    pub fn gaussian(readings: usize, pixels: usize, seed: u64) -> Result<Self, DenseError> {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let weights = StandardNormal
            .sample_iter(rng)
            .take(readings * pixels)
            .collect();
        Self::new(readings, pixels, weights)
    }

    /// The patterns, row-major, (m × n).
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }
}

impl Operator for Dense {
    fn shape(&self) -> (usize, usize) {
        (self.readings, self.pixels)
    }

    fn scratch(&self) -> usize {
        0
    }

    fn apply(&self, v: &[f32], y: &mut [f32], _: &mut [f32]) {
        assert_eq!((y.len(), v.len()), self.shape());
        for (out, pattern) in y.iter_mut().zip(self.weights.chunks_exact(self.pixels)) {
            *out = dot(pattern, v);
        }
    }

    fn adjoint(&self, y: &[f32], v: &mut [f32], _: &mut [f32]) {
        assert_eq!((y.len(), v.len()), self.shape());
        v.fill(0.0);
        for (&value, pattern) in y.iter().zip(self.weights.chunks_exact(self.pixels)) {
            add_scaled(value, pattern, v);
        }
    }

    fn row_energy(&self, variance: &[f32], out: &mut [f32]) {
        assert_eq!((out.len(), variance.len()), self.shape());
        for (out, pattern) in out.iter_mut().zip(self.weights.chunks_exact(self.pixels)) {
            *out = pattern.iter().zip(variance).map(|(a, v)| a * a * v).sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_unit_norm() {
        let op = Dense::gaussian(5, 9, 1).unwrap();
        let mut energy = vec![0.0; 5];
        op.row_energy(&[1.0; 9], &mut energy);
        assert!(energy.iter().all(|e| (e - 1.0).abs() < 1e-5));
    }

    #[test]
    fn refuses_what_is_no_matrix() {
        assert_eq!(
            Dense::new(2, 2, vec![1.0; 3]),
            Err(DenseError::Shape {
                readings: 2,
                pixels: 2,
                got: 3
            })
        );
        assert_eq!(
            Dense::new(2, 1, vec![1.0, 0.0]),
            Err(DenseError::Row { row: 1, norm: 0.0 })
        );
        assert!(Dense::new(1, 1, vec![f32::NAN]).is_err());
    }
}
