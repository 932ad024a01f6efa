//! Sums over square blocks of pixels.

use super::{MAX_PIXELS, Operator};

/// A coarser sensor, b × b pixels to a reading: super-resolution.
///
/// A reading is the sum over its block times 1/b, so that every pattern has unit norm and the rows are orthonormal; the
/// mean of a block is its reading over b. Readings go block by block, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    rows: usize,
    cols: usize,
    side: usize,
}

/// Why an image cannot be cut into blocks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlocksError {
    /// no pixel, or more than an image has
    #[error("expected 1 to 2^24 pixels, got {rows} × {cols}")]
    Pixels {
        /// rows
        rows: usize,
        /// columns
        cols: usize,
    },
    /// blocks do not tile the image
    #[error("expected a block side ≥ 1 that divides {rows} rows and {cols} columns, got {got}")]
    Side {
        /// rows
        rows: usize,
        /// columns
        cols: usize,
        /// pixels along a block's side
        got: usize,
    },
}

impl Blocks {
    /// Blocks of `side` × `side` pixels that tile an image.
    ///
    /// # Errors
    /// Where the image has no pixel or too many, or `side` does not divide both its rows and its columns.
    pub fn new(rows: usize, cols: usize, side: usize) -> Result<Self, BlocksError> {
        let pixels = rows.saturating_mul(cols);
        if pixels == 0 || pixels > MAX_PIXELS {
            return Err(BlocksError::Pixels { rows, cols });
        }
        if side == 0 || !rows.is_multiple_of(side) || !cols.is_multiple_of(side) {
            return Err(BlocksError::Side {
                rows,
                cols,
                got: side,
            });
        }
        Ok(Self { rows, cols, side })
    }

    /// (rows, columns) of the image.
    pub fn grid(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Pixels along a block's side, b.
    pub fn side(&self) -> usize {
        self.side
    }

    /// What every weight is, 1/b.
    fn weight(&self) -> f32 {
        1.0 / self.side as f32
    }

    /// out_j = weight · Σ of block j of `v`.
    fn sum(&self, v: &[f32], weight: f32, out: &mut [f32]) {
        assert_eq!((out.len(), v.len()), self.shape());
        let across = self.cols / self.side;
        let bands = v.chunks_exact(self.cols * self.side);
        for (band, out) in bands.zip(out.chunks_exact_mut(across)) {
            out.fill(0.0);
            for row in band.chunks_exact(self.cols) {
                for (out, part) in out.iter_mut().zip(row.chunks_exact(self.side)) {
                    *out += weight * part.iter().sum::<f32>();
                }
            }
        }
    }
}

impl Operator for Blocks {
    fn shape(&self) -> (usize, usize) {
        let pixels = self.rows * self.cols;
        (pixels / (self.side * self.side), pixels)
    }

    fn scratch(&self) -> usize {
        0
    }

    fn apply(&self, v: &[f32], y: &mut [f32], _: &mut [f32]) {
        self.sum(v, self.weight(), y);
    }

    fn adjoint(&self, y: &[f32], v: &mut [f32], _: &mut [f32]) {
        assert_eq!((y.len(), v.len()), self.shape());
        let (across, weight) = (self.cols / self.side, self.weight());
        let bands = v.chunks_exact_mut(self.cols * self.side);
        for (band, y) in bands.zip(y.chunks_exact(across)) {
            for row in band.chunks_exact_mut(self.cols) {
                for (part, value) in row.chunks_exact_mut(self.side).zip(y) {
                    part.fill(weight * value);
                }
            }
        }
    }

    fn row_energy(&self, variance: &[f32], out: &mut [f32]) {
        self.sum(variance, self.weight().powi(2), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_its_blocks_mean_times_the_side() {
        let op = Blocks::new(2, 4, 2).unwrap();
        let mut y = [0.0; 2];
        op.apply(&[1.0, 2.0, 5.0, 5.0, 3.0, 2.0, 5.0, 5.0], &mut y, &mut []);
        assert_eq!(y, [4.0, 10.0]);
    }

    #[test]
    fn refuses_blocks_that_do_not_tile() {
        assert_eq!(
            Blocks::new(0, 4, 2),
            Err(BlocksError::Pixels { rows: 0, cols: 4 })
        );
        assert!(Blocks::new(usize::MAX, 2, 1).is_err());
        for side in [0, 3, 4] {
            let expected = BlocksError::Side {
                rows: 6,
                cols: 4,
                got: side,
            };
            assert_eq!(Blocks::new(6, 4, side), Err(expected));
        }
    }
}
