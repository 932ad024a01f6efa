//! Hadamard patterns by the fast Walsh–Hadamard transform.

use super::{MAX_PIXELS, Operator};
use crate::simd::kernel;
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
        Self::check_pixels(pixels)?;
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

    /// Row 0 and `readings − 1` other rows at random, all as likely, under a random permutation of `pixels` pixels: a scrambled
    /// Hadamard ensemble.
    ///
    /// # Errors
    /// Where `pixels` is 0 or too large, or `readings` is 0. More readings than rows exist give every row.
    pub fn random(pixels: usize, readings: usize, seed: u64) -> Result<Self, HadamardError> {
        Self::check_pixels(pixels)?;
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

    pub(super) fn check_pixels(pixels: usize) -> Result<(), HadamardError> {
        match pixels {
            1..=MAX_PIXELS => Ok(()),
            _ => Err(HadamardError::Pixels { got: pixels }),
        }
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
        self.apply_interleaved(1, v, y, scratch);
    }

    fn adjoint(&self, y: &[f32], v: &mut [f32], scratch: &mut [f32]) {
        self.adjoint_interleaved(1, y, v, scratch);
    }

    fn interleaved_scratch(&self, channels: usize) -> usize {
        channels * self.padded
    }

    fn apply_interleaved(&self, channels: usize, v: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let (m, n) = self.shape();
        assert_eq!((y.len(), v.len()), (m * channels, n * channels));
        gather(v, &self.permutation, channels, scratch);
        scratch[n * channels..].fill(0.0);
        transform(scratch, channels);
        gather(scratch, &self.rows, channels, y);
        let scale = self.scale();
        y.iter_mut().for_each(|y| *y *= scale);
    }

    fn adjoint_interleaved(&self, channels: usize, y: &[f32], v: &mut [f32], scratch: &mut [f32]) {
        let (m, n) = self.shape();
        assert_eq!((y.len(), v.len()), (m * channels, n * channels));
        scratch.fill(0.0);
        scatter(y, &self.rows, channels, scratch);
        transform(scratch, channels); // H is symmetric
        scatter(scratch, &self.permutation, channels, v);
        let scale = self.scale();
        v.iter_mut().for_each(|v| *v *= scale);
    }

    fn row_energy(&self, variance: &[f32], out: &mut [f32]) {
        assert_eq!((out.len(), variance.len()), self.shape());
        let total: f64 = variance.iter().map(|&v| f64::from(v)).sum();
        out.fill((total / self.padded as f64) as f32); // every |A_ji|² is 1/N
    }
}

/// to\[i\] = from\[indices\[i\]\], of groups of `channels` values.
fn gather(from: &[f32], indices: &[u32], channels: usize, to: &mut [f32]) {
    let indices = indices.iter().map(|&i| i as usize);
    match channels {
        1 => indices.zip(to).for_each(|(i, to)| *to = from[i]),
        4 => {
            let from = from.as_chunks::<4>().0; // groups of known size move in one go
            let groups = to.as_chunks_mut::<4>().0;
            indices.zip(groups).for_each(|(i, to)| *to = from[i]);
        }
        _ => indices
            .zip(to.chunks_exact_mut(channels))
            .for_each(|(i, to)| to.copy_from_slice(&from[i * channels..][..channels])),
    }
}

/// to\[indices\[i\]\] = from\[i\], of groups of `channels` values.
fn scatter(from: &[f32], indices: &[u32], channels: usize, to: &mut [f32]) {
    let indices = indices.iter().map(|&i| i as usize);
    match channels {
        1 => indices.zip(from).for_each(|(i, from)| to[i] = *from),
        4 => {
            let to = to.as_chunks_mut::<4>().0;
            let groups = from.as_chunks::<4>().0;
            indices.zip(groups).for_each(|(i, from)| to[i] = *from);
        }
        _ => indices
            .zip(from.chunks_exact(channels))
            .for_each(|(i, from)| to[i * channels..][..channels].copy_from_slice(from)),
    }
}

kernel! {
    /// The unnormalised Walsh–Hadamard transform in place, of `channels` signals that lie interleaved.
    fn transform<'a>(v: &'a mut [f32], channels: usize) {
        let mut half = channels;
        if channels == 4 && v.len() >= 8 * 4 {
            butterflies(v, 4); // a length that the compiler knows
            half = 8 * 4;
        }
        while 8 * half <= v.len() {
            butterflies(v, half);
            half *= 8;
        }
        while half < v.len() {
            for block in v.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for (a, b) in low.iter_mut().zip(high) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            half *= 2;
        }
    }
}

/// Three levels of butterflies at once, of blocks of eight times `half` values.
#[inline(always)]
fn butterflies(v: &mut [f32], half: usize) {
    for block in v.chunks_exact_mut(8 * half) {
        let (low, high) = block.split_at_mut(4 * half);
        let ((a, b), (c, d)) = (low.split_at_mut(2 * half), high.split_at_mut(2 * half));
        let ((a0, a1), (b0, b1)) = (a.split_at_mut(half), b.split_at_mut(half));
        let ((c0, c1), (d0, d1)) = (c.split_at_mut(half), d.split_at_mut(half));
        for i in 0..half {
            let x = [
                a0[i] + a1[i],
                a0[i] - a1[i],
                b0[i] + b1[i],
                b0[i] - b1[i],
                c0[i] + c1[i],
                c0[i] - c1[i],
                d0[i] + d1[i],
                d0[i] - d1[i],
            ];
            let ab = [x[0] + x[2], x[1] + x[3], x[0] - x[2], x[1] - x[3]];
            let cd = [x[4] + x[6], x[5] + x[7], x[4] - x[6], x[5] - x[7]];
            (a0[i], a1[i], b0[i], b1[i]) =
                (ab[0] + cd[0], ab[1] + cd[1], ab[2] + cd[2], ab[3] + cd[3]);
            (c0[i], c1[i], d0[i], d1[i]) =
                (ab[0] - cd[0], ab[1] - cd[1], ab[2] - cd[2], ab[3] - cd[3]);
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
