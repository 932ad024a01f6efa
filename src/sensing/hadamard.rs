//! Hadamard patterns by the fast Walsh–Hadamard transform.

use super::Operator;
use rand::seq::SliceRandom;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// A = S·H·Z·P/√N: permute the pixels, pad with zeros to N, transform, pick rows.
///
/// (P v)_i = v\[perm_i\]; N is the next power of two ≥ n; H_ij = (−1)^popcount(i & j). Permutation and rows are
/// explicit, so that a client in any language can reproduce A exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Hadamard {
    permutation: Vec<u32>,
    rows: Vec<u32>,
    padded: usize,
}

/// Why a permutation and a list of rows are no Hadamard pattern set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HadamardError {
    /// an entry is out of range or repeated
    #[error("expected a permutation of 0..{pixels}, got {value} at position {index}")]
    Permutation {
        /// number of pixels
        pixels: usize,
        /// position of the entry
        index: usize,
        /// the entry
        value: u32,
    },
    /// no pixel, or so many that the transform would not fit
    #[error("expected 1 to 2^24 pixels, got {got}")]
    Pixels {
        /// how many there were
        got: usize,
    },
    /// the flat pattern is missing
    #[error("expected row 0, the flat pattern, among the {got} rows, found none")]
    Flat {
        /// how many rows there were
        got: usize,
    },
    /// a row is out of range or repeated
    #[error("expected distinct rows of 0..{padded}, got {value} at position {index}")]
    Row {
        /// order of the transform, N
        padded: usize,
        /// position of the entry
        index: usize,
        /// the entry
        value: u32,
    },
}

impl Hadamard {
    /// Patterns from an explicit permutation of the pixels, (n), and the rows picked, (m), row 0 among them.
    ///
    /// # Errors
    /// Where `permutation` is none, or `rows` are not distinct rows of the transform with row 0 among them.
    pub fn new(permutation: Vec<u32>, rows: Vec<u32>) -> Result<Self, HadamardError> {
        let pixels = permutation.len();
        if pixels == 0 || pixels > 1 << 24 {
            return Err(HadamardError::Pixels { got: pixels });
        }
        let padded = pixels.next_power_of_two();
        if let Some((index, value)) = first_repeated(&permutation, pixels) {
            return Err(HadamardError::Permutation {
                pixels,
                index,
                value,
            });
        }
        if let Some((index, value)) = first_repeated(&rows, padded) {
            return Err(HadamardError::Row {
                padded,
                index,
                value,
            });
        }
        if !rows.contains(&0) {
            return Err(HadamardError::Flat { got: rows.len() });
        }
        Ok(Self {
            permutation,
            rows,
            padded,
        })
    }

    /// Row 0 and `readings − 1` other rows at random, under a random permutation of `pixels` pixels.
    ///
    /// # Errors
    /// Where `pixels` is 0 or too large, or `readings` is 0. More readings than rows exist give every row.
    pub fn random(pixels: usize, readings: usize, seed: u64) -> Result<Self, HadamardError> {
        if pixels == 0 || pixels > 1 << 24 {
            return Err(HadamardError::Pixels { got: pixels });
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut permutation: Vec<u32> = (0..pixels as u32).collect();
        permutation.shuffle(&mut rng);
        let mut others: Vec<u32> = (1..pixels.next_power_of_two() as u32).collect();
        others.shuffle(&mut rng);
        others.truncate(readings.saturating_sub(1));
        others.sort_unstable();
        let mut rows = Vec::with_capacity(readings);
        rows.extend((readings > 0).then_some(0));
        rows.extend(others);
        Self::new(permutation, rows)
    }

    /// The permutation of the pixels, (n).
    pub fn permutation(&self) -> &[u32] {
        &self.permutation
    }

    /// The rows picked, (m).
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    fn scale(&self) -> f32 {
        1.0 / (self.padded as f32).sqrt()
    }
}

impl Operator for Hadamard {
    fn shape(&self) -> (usize, usize) {
        (self.rows.len(), self.permutation.len())
    }

    fn scratch(&self) -> usize {
        self.padded
    }

    fn apply(&self, v: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        assert_eq!((y.len(), v.len()), self.shape());
        for (slot, &pixel) in scratch.iter_mut().zip(&self.permutation) {
            *slot = v[pixel as usize];
        }
        scratch[self.permutation.len()..].fill(0.0);
        transform(scratch);
        let scale = self.scale();
        for (out, &row) in y.iter_mut().zip(&self.rows) {
            *out = scale * scratch[row as usize];
        }
    }

    fn adjoint(&self, y: &[f32], v: &mut [f32], scratch: &mut [f32]) {
        assert_eq!((y.len(), v.len()), self.shape());
        scratch.fill(0.0);
        let scale = self.scale();
        for (&value, &row) in y.iter().zip(&self.rows) {
            scratch[row as usize] = scale * value;
        }
        transform(scratch); // H is symmetric
        for (&value, &pixel) in scratch.iter().zip(&self.permutation) {
            v[pixel as usize] = value;
        }
    }

    fn row_energy(&self, variance: &[f32], out: &mut [f32]) {
        assert_eq!((out.len(), variance.len()), self.shape());
        let total: f64 = variance.iter().map(|&v| f64::from(v)).sum();
        out.fill((total / self.padded as f64) as f32); // every |A_ji|² is 1/N
    }
}

/// The unnormalised Walsh–Hadamard transform in place, two butterfly levels at a time.
fn transform(v: &mut [f32]) {
    let len = v.len();
    let mut half = 1;
    while half * 4 <= len {
        for block in v.chunks_exact_mut(4 * half) {
            let (ab, cd) = block.split_at_mut(2 * half);
            let (a, b) = ab.split_at_mut(half);
            let (c, d) = cd.split_at_mut(half);
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                let (s, t, u, w) = (*a + *b, *a - *b, *c + *d, *c - *d);
                (*a, *b, *c, *d) = (s + u, t + w, s - u, t - w);
            }
        }
        half *= 4;
    }
    if half < len {
        let (low, high) = v.split_at_mut(half);
        for (a, b) in low.iter_mut().zip(high) {
            (*a, *b) = (*a + *b, *a - *b);
        }
    }
}

/// The first entry that is ≥ `bound` or stood before.
fn first_repeated(entries: &[u32], bound: usize) -> Option<(usize, u32)> {
    let mut seen = vec![false; bound];
    for (index, &value) in entries.iter().enumerate() {
        match seen.get_mut(value as usize) {
            Some(slot) if !*slot => *slot = true,
            _ => return Some((index, value)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_its_definition() {
        for pixels in [1usize, 2, 6, 16, 33] {
            let padded = pixels.next_power_of_two();
            let op = Hadamard::random(pixels, padded.div_ceil(2), 3).unwrap();
            let v: Vec<f32> = (0..pixels).map(|i| (i as f32 * 0.7).sin()).collect();
            let mut y = vec![0.0; op.shape().0];
            op.apply(&v, &mut y, &mut vec![f32::NAN; op.scratch()]);
            for (j, &row) in op.rows().iter().enumerate() {
                let sum: f32 = (0..pixels)
                    .map(|i| {
                        let sign = if (row & i as u32).count_ones().is_multiple_of(2) {
                            1.0
                        } else {
                            -1.0
                        };
                        sign * v[op.permutation()[i] as usize]
                    })
                    .sum();
                assert!((y[j] - sum / (padded as f32).sqrt()).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn refuses_what_is_no_pattern_set() {
        let identity = vec![0, 1, 2];
        assert_eq!(
            Hadamard::new(vec![0, 1, 1], vec![0]),
            Err(HadamardError::Permutation {
                pixels: 3,
                index: 2,
                value: 1
            })
        );
        assert_eq!(
            Hadamard::new(vec![], vec![0]),
            Err(HadamardError::Pixels { got: 0 })
        );
        assert_eq!(
            Hadamard::new(identity.clone(), vec![1]),
            Err(HadamardError::Flat { got: 1 })
        );
        assert_eq!(
            Hadamard::new(identity, vec![0, 4]),
            Err(HadamardError::Row {
                padded: 4,
                index: 1,
                value: 4
            })
        );
    }
}
