//! What a client says of its sensor once, before any frame.

use super::{Data, Operator, Pattern};
use crate::frame::Knots;

/// Everything about a sensor that does not change from frame to frame.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorDescription {
    /// rows of pixels
    pub rows: usize,
    /// columns of pixels
    pub cols: usize,
    /// range knots of the J channels
    pub knots: Knots,
    /// pattern sets; a frame names the one it used
    pub patterns: Vec<Pattern>,
    /// N₀: nominal noise covariance of the J channels of one reading, row-major, (J × J)
    pub noise: Vec<f32>,
    /// least return of a valid pixel, > 0, unitless
    pub s_min: f32,
    /// p ∈ {0, 2}: returns are compensated by r^p
    pub range_power: u8,
    /// what readings tell of A x
    pub data: Data,
}

/// Why a description cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DescriptionError {
    /// no pixels or no patterns
    #[error(
        "expected at least one row, column and pattern set, got {rows} × {cols} pixels and {sets} pattern sets"
    )]
    Empty {
        /// rows
        rows: usize,
        /// columns
        cols: usize,
        /// pattern sets
        sets: usize,
    },
    /// a pattern set is for another number of pixels
    #[error("expected pattern set {set} over {pixels} pixels, got {got}")]
    Pixels {
        /// index of the set
        set: usize,
        /// rows × cols
        pixels: usize,
        /// pixels of the set
        got: usize,
    },
    /// a pattern set is for an image of another shape
    #[error("expected pattern set {set} over {expected:?} rows and columns, got {got:?}")]
    Grid {
        /// index of the set
        set: usize,
        /// the sensor's
        expected: (usize, usize),
        /// the set's
        got: (usize, usize),
    },
    /// the noise covariance has another size
    #[error("expected a noise covariance of {channels} × {channels} values, got {got}")]
    NoiseShape {
        /// J
        channels: usize,
        /// values present
        got: usize,
    },
    /// the noise covariance is not symmetric positive definite
    #[error(
        "expected a symmetric positive definite noise covariance, found otherwise at row {row}"
    )]
    NoiseValue {
        /// first row at which it fails
        row: usize,
    },
    /// the validity threshold is not a positive number
    #[error("expected s_min > 0, got {got}")]
    Threshold {
        /// its value
        got: f32,
    },
    /// an unknown range compensation
    #[error("expected a range compensation r^0 or r^2, got r^{got}")]
    RangePower {
        /// its exponent
        got: u8,
    },
}

impl SensorDescription {
    /// Number of pixels, n.
    pub fn pixels(&self) -> usize {
        self.rows * self.cols
    }

    /// Number of range channels, J.
    pub fn channels(&self) -> usize {
        self.knots.channels()
    }

    /// Checks that all parts agree.
    ///
    /// # Errors
    /// The first disagreement found.
    pub fn validate(&self) -> Result<(), DescriptionError> {
        let Self { rows, cols, .. } = *self;
        if rows == 0 || cols == 0 || self.patterns.is_empty() {
            return Err(DescriptionError::Empty {
                rows,
                cols,
                sets: self.patterns.len(),
            });
        }
        for (set, pattern) in self.patterns.iter().enumerate() {
            let got = pattern.shape().1;
            if rows.checked_mul(cols) != Some(got) {
                return Err(DescriptionError::Pixels {
                    set,
                    pixels: rows.saturating_mul(cols),
                    got,
                });
            }
            if let Some(got) = pattern.grid().filter(|got| *got != (rows, cols)) {
                return Err(DescriptionError::Grid {
                    set,
                    expected: (rows, cols),
                    got,
                });
            }
        }
        let channels = self.channels();
        if self.noise.len() != channels * channels {
            return Err(DescriptionError::NoiseShape {
                channels,
                got: self.noise.len(),
            });
        }
        if let Some(row) = first_indefinite_row(&self.noise, channels) {
            return Err(DescriptionError::NoiseValue { row });
        }
        if !self.s_min.is_finite() || self.s_min <= 0.0 {
            return Err(DescriptionError::Threshold { got: self.s_min });
        }
        if !matches!(self.range_power, 0 | 2) {
            return Err(DescriptionError::RangePower {
                got: self.range_power,
            });
        }
        Ok(())
    }
}

/// The first row at which a matrix fails to be symmetric positive definite, by its Cholesky factor.
fn first_indefinite_row(matrix: &[f32], size: usize) -> Option<usize> {
    let at = |r: usize, c: usize| f64::from(matrix[r * size + c]);
    let mut factor = vec![0.0f64; size * size];
    for r in 0..size {
        for c in 0..=r {
            let tolerance = 1e-4 * (at(r, r) * at(c, c)).abs().sqrt();
            if (at(r, c) - at(c, r)).abs() > tolerance {
                return Some(r);
            }
            let sum: f64 = (0..c)
                .map(|i| factor[r * size + i] * factor[c * size + i])
                .sum();
            let rest = at(r, c) - sum;
            if r == c {
                if !rest.is_finite() || rest <= 0.0 {
                    return Some(r);
                }
                factor[r * size + r] = rest.sqrt();
            } else {
                factor[r * size + c] = rest / factor[c * size + c];
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensing::{Blocks, Dense};

    fn description() -> SensorDescription {
        SensorDescription {
            rows: 2,
            cols: 3,
            knots: Knots::even(2, 10.0).unwrap(),
            patterns: vec![Pattern::Dense(Dense::gaussian(3, 6, 1).unwrap())],
            noise: vec![1.0, 0.1, 0.1, 1.0],
            s_min: 0.01,
            range_power: 2,
            data: Data::Linear,
        }
    }

    #[test]
    fn accepts_a_whole_one_and_names_each_fault() {
        let good = description();
        assert_eq!(good.validate(), Ok(()));
        let fault = |change: fn(&mut SensorDescription)| {
            let mut bad = description();
            change(&mut bad);
            bad.validate().unwrap_err()
        };
        assert_eq!(
            fault(|d| d.cols = 2),
            DescriptionError::Pixels {
                set: 0,
                pixels: 4,
                got: 6
            }
        );
        assert_eq!(
            fault(|d| d.patterns[0] = Pattern::Blocks(Blocks::new(3, 2, 1).unwrap())),
            DescriptionError::Grid {
                set: 0,
                expected: (2, 3),
                got: (3, 2)
            }
        );
        assert_eq!(
            fault(|d| d.patterns.clear()),
            DescriptionError::Empty {
                rows: 2,
                cols: 3,
                sets: 0
            }
        );
        assert_eq!(
            fault(|d| d.noise = vec![1.0]),
            DescriptionError::NoiseShape {
                channels: 2,
                got: 1
            }
        );
        assert_eq!(
            fault(|d| d.noise = vec![1.0, 2.0, 2.0, 1.0]),
            DescriptionError::NoiseValue { row: 1 }
        );
        assert_eq!(
            fault(|d| d.noise[0] = f32::NAN),
            DescriptionError::NoiseValue { row: 0 }
        );
        assert_eq!(
            fault(|d| d.noise[1] = 0.5),
            DescriptionError::NoiseValue { row: 1 }
        );
        assert_eq!(
            fault(|d| d.s_min = 0.0),
            DescriptionError::Threshold { got: 0.0 }
        );
        assert_eq!(
            fault(|d| d.range_power = 1),
            DescriptionError::RangePower { got: 1 }
        );
    }
}
