//! Hadamard patterns by the fast Walsh–Hadamard transform.

use super::{MAX_PIXELS, Operator};
use crate::simd::kernel;
use pulp::{Arch, Simd, WithSimd};
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
    /// rows that see the pixels where they are as `rows` see them permuted, where there are any
    unpermuted: Option<Vec<u32>>,
    /// of these, or of `rows`
    groups: Groups,
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
        let unpermuted = unpermuted(&permutation, &rows);
        Ok(Self {
            groups: Groups::new(unpermuted.as_ref().unwrap_or(&rows)),
            unpermuted,
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

    /// H·Sᵀ·y/√N, H being symmetric.
    fn transposed(&self, y: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        put(&self.groups.ends, &self.groups.rows, y, self.scale(), out);
        transform(None, out);
    }
}

impl Operator for Hadamard {
    fn shape(&self) -> (usize, usize) {
        (self.rows.len(), self.permutation.len())
    }

    fn scratch(&self) -> usize {
        self.padded.max(LANES)
    }

    fn apply(&self, v: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        assert_eq!((y.len(), v.len()), self.shape());
        let rows = match &self.unpermuted {
            Some(rows) if v.len() == scratch.len() && v.len() > LANES => {
                transform(Some(v), scratch);
                rows
            }
            _ => {
                let (seen, beyond) = scratch.split_at_mut(v.len());
                beyond.fill(0.0);
                let pixels = self.permutation.iter().map(|&i| i as usize);
                seen.iter_mut().zip(pixels).for_each(|(to, i)| *to = v[i]);
                transform(None, scratch);
                &self.rows
            }
        };
        take(rows, scratch, self.scale(), y);
    }

    fn adjoint(&self, y: &[f32], v: &mut [f32], scratch: &mut [f32]) {
        assert_eq!((y.len(), v.len()), self.shape());
        match &self.unpermuted {
            Some(_) if v.len() >= LANES => self.transposed(y, v),
            Some(_) => {
                self.transposed(y, scratch);
                v.copy_from_slice(&scratch[..v.len()]);
            }
            None => {
                self.transposed(y, scratch);
                let pixels = self.permutation.iter().map(|&i| i as usize);
                pixels.zip(scratch).for_each(|(i, from)| v[i] = *from);
            }
        }
    }

    fn row_energy(&self, variance: &[f32], out: &mut [f32]) {
        assert_eq!((out.len(), variance.len()), self.shape());
        let total: f64 = variance.iter().map(|&v| f64::from(v)).sum();
        out.fill((total / self.padded as f64) as f32); // every |A_ji|² is 1/N
    }
}

/// Rows r' that see the pixels where they are as `rows` r see them permuted, where the permutation is linear over the bits of
/// an index, i = M p, as Morton order is: popcount(r & M⁻¹ p) and popcount(M⁻ᵀ r & p) agree modulo 2.
fn unpermuted(permutation: &[u32], rows: &[u32]) -> Option<Vec<u32>> {
    let linear = |i: usize| {
        let low = i & i.wrapping_neg();
        permutation[i] == permutation[i ^ low] ^ permutation[low]
    };
    if !permutation.len().is_power_of_two()
        || permutation[0] != 0
        || !(1..permutation.len()).all(linear)
    {
        return None;
    }
    let mut back = vec![0; permutation.len()];
    (0..)
        .zip(permutation)
        .for_each(|(at, &i)| back[i as usize] = at);
    let bits = 0..permutation.len().ilog2();
    let row = |&r: &u32| {
        let bits = bits
            .clone()
            .map(|bit| ((r & back[1 << bit]).count_ones() & 1) << bit);
        bits.sum()
    };
    Some(rows.iter().map(row).collect())
}

/// Values that are transformed side by side. The transform of each group of as many is left to [`take`] and [`put`], for of
/// few rows signs are cheaper there than shuffles within registers.
const LANES: usize = 8;
type Lanes = [f32; LANES];

/// Rows of the transform of a group.
const SIGNS: [Lanes; LANES] = {
    let mut signs = [[1.0; LANES]; LANES];
    let mut at = 0;
    while at < LANES * LANES {
        let (row, lane) = (at / LANES, at % LANES);
        if (row & lane).count_ones() % 2 == 1 {
            signs[row][lane] = -1.0;
        }
        at += 1;
    }
    signs
};

kernel! {
    /// y_j = scale · row_j of what [`transform`] left.
    fn take<'a>(rows: &'a [u32], transformed: &'a [f32], scale: f32, y: &'a mut [f32]) {
        let groups = transformed.as_chunks::<LANES>().0;
        for (&row, y) in rows.iter().zip(y) {
            let (group, signs) = (&groups[row as usize / LANES], &SIGNS[row as usize % LANES]);
            let v: Lanes = std::array::from_fn(|l| group[l] * signs[l]);
            *y = scale * (((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])));
        }
    }
}

/// Rows by their groups: so the sums of each are made in registers.
#[derive(Clone, Debug, PartialEq)]
struct Groups {
    /// the number of each group that rows are of, and where they end in `rows`
    ends: Vec<[u32; 2]>,
    /// where each row's reading stands, and the row within its group
    rows: Vec<[u32; 2]>,
}

impl Groups {
    fn new(rows: &[u32]) -> Self {
        let group = |row: u32| row / LANES as u32;
        let mut sorted: Vec<(u32, u32)> = (0..).zip(rows.iter().copied()).collect();
        sorted.sort_by_key(|&(_, row)| group(row));
        let mut ends: Vec<[u32; 2]> = vec![];
        for of_group in sorted.chunk_by(|a, b| group(a.1) == group(b.1)) {
            let before = ends.last().map_or(0, |&[_, end]| end);
            ends.push([group(of_group[0].1), before + of_group.len() as u32]);
        }
        let rows = sorted.into_iter().map(|(at, row)| [at, row % LANES as u32]);
        Self {
            ends,
            rows: rows.collect(),
        }
    }
}

kernel! {
    /// Writes Σ scale · y_j row_j for [`transform`] to take, but where that is 0; see [`Groups`].
    fn put<'a>(ends: &'a [[u32; 2]], rows: &'a [[u32; 2]], y: &'a [f32], scale: f32, out: &'a mut [f32]) {
        let groups = out.as_chunks_mut::<LANES>().0;
        let mut from = 0;
        for &[group, end] in ends {
            let mut sums = [0.0; LANES];
            for &[at, row] in &rows[from..end as usize] {
                let (y, signs) = (scale * y[at as usize], &SIGNS[row as usize % LANES]);
                for lane in 0..LANES {
                    sums[lane] += y * signs[lane];
                }
            }
            groups[group as usize] = sums;
            from = end as usize;
        }
    }
}

/// The unnormalised Walsh–Hadamard transform across groups of values, in place, or of more than one group that is `from`
/// elsewhere, as long.
fn transform(from: Option<&[f32]>, v: &mut [f32]) {
    Arch::new().dispatch(Transform { from, v });
}

struct Transform<'a> {
    from: Option<&'a [f32]>,
    v: &'a mut [f32],
}

impl WithSimd for Transform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.passes::<S, 16>(simd), // of 32 registers
            _ => self.passes::<S, 8>(simd),
        }
    }
}

impl Transform<'_> {
    /// As many levels in each pass as make so many registers one.
    #[inline(always)]
    fn passes<S: Simd, const N: usize>(self, simd: S) {
        let v = S::as_mut_simd_f32s(self.v).0;
        let from = self.from.map(|from| S::as_simd_f32s(from).0);
        // of two groups in a register, the level between them
        let signs: [f32; 2 * LANES] =
            std::array::from_fn(|lane| if lane < LANES { 1.0 } else { -1.0 });
        let signs = S::as_simd_f32s(&signs).0;
        let within = |x: S::f32s| match signs {
            [signs] => simd.mul_add_f32s(x, *signs, simd.rotate_right_f32s(x, LANES)), // exact: ±1
            _ => x,
        };
        let mut half = (LANES / S::F32_LANES).max(1);
        if half == 1 && v.len() >= N {
            match from {
                Some(from) => {
                    let blocks = v.as_chunks_mut::<N>().0.iter_mut();
                    for (block, from) in blocks.zip(from.as_chunks::<N>().0) {
                        for at in 0..N {
                            block[at] = within(from[at]);
                        }
                        butterflies(simd, block);
                    }
                }
                None => {
                    for block in v.as_chunks_mut::<N>().0 {
                        for x in &mut *block {
                            *x = within(*x);
                        }
                        butterflies(simd, block);
                    }
                }
            }
            half = N;
        } else {
            if let Some(from) = from {
                v.copy_from_slice(from);
            }
            v.iter_mut().for_each(|x| *x = within(*x));
        }
        while N * half <= v.len() {
            pass::<S, N>(simd, v, half);
            half *= N;
        }
        while 4 * half <= v.len() {
            pass::<S, 4>(simd, v, half);
            half *= 4;
        }
        while 2 * half <= v.len() {
            pass::<S, 2>(simd, v, half);
            half *= 2;
        }
    }
}

/// All levels of registers that are `half` apart, N of them at a time.
#[inline(always)]
fn pass<S: Simd, const N: usize>(simd: S, v: &mut [S::f32s], half: usize) {
    for block in v.chunks_exact_mut(N * half) {
        let mut parts = block.chunks_exact_mut(half);
        let mut parts: [&mut [S::f32s]; N] =
            std::array::from_fn(|_| &mut parts.next().unwrap_or_default()[..half]);
        for i in 0..half {
            butterflies_across(simd, &mut parts, i);
        }
    }
}

/// The transform of register `i` of so many parts.
#[inline(always)]
fn butterflies_across<S: Simd, const N: usize>(simd: S, parts: &mut [&mut [S::f32s]; N], i: usize) {
    let mut registers = [simd.splat_f32s(0.0); N];
    for at in 0..N {
        registers[at] = parts[at][i];
    }
    butterflies(simd, &mut registers);
    for at in 0..N {
        parts[at][i] = registers[at];
    }
}

/// The transform of so many registers.
#[inline(always)]
fn butterflies<S: Simd, const N: usize>(simd: S, v: &mut [S::f32s; N]) {
    let mut half = 1;
    while half < N {
        for at in 0..N {
            if at & half == 0 {
                let (a, b) = (v[at], v[at + half]);
                (v[at], v[at + half]) = (simd.add_f32s(a, b), simd.sub_f32s(a, b));
            }
        }
        half *= 2;
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
        for pixels in [1usize, 2, 6, 16, 33, 130, 1000] {
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
    fn registers_of_any_width_transform_alike() {
        for len in [8usize, 16, 64, 128, 1024, 4096] {
            let values: Vec<f32> = (0..len).map(|i| (i as f32 * 0.7).sin()).collect();
            let in_place = |run: &dyn Fn(Transform<'_>)| {
                let mut v = values.clone();
                run(Transform {
                    from: None,
                    v: &mut v,
                });
                v
            };
            let elsewhere = |run: &dyn Fn(Transform<'_>)| {
                let mut v = vec![f32::NAN; len];
                run(Transform {
                    from: Some(&values),
                    v: &mut v,
                });
                v
            };
            let runs: [&dyn Fn(Transform<'_>); 5] = [
                &|t| t.with_simd(pulp::Scalar),
                &|t| t.with_simd(pulp::Scalar128b),
                &|t| t.with_simd(pulp::Scalar256b),
                &|t| t.with_simd(pulp::Scalar512b),
                &|t| Arch::new().dispatch(t),
            ];
            let narrow = in_place(runs[0]);
            for run in runs {
                assert_eq!(in_place(run), narrow);
                assert!(len == LANES || elsewhere(run) == narrow, "{len}");
            }
        }
    }

    #[test]
    fn linear_permutations_need_no_gathering() {
        let shuffled = Hadamard::random(64, 20, 3).unwrap();
        assert_eq!(shuffled.unpermuted, None);
        for (rows, cols, readings) in [(8, 8, 20), (4, 4, 9), (2, 4, 5)] {
            let pixels = rows * cols;
            let morton = Hadamard::variable_density(rows, cols, readings, 3).unwrap();
            assert!(morton.unpermuted.is_some(), "{pixels}");
            let gathering = Hadamard {
                unpermuted: None,
                groups: Groups::new(&morton.rows),
                ..morton.clone()
            };
            let v: Vec<f32> = (0..pixels).map(|i| (i as f32 * 0.7).sin()).collect();
            let seen = |op: &Hadamard| {
                let readings = op.shape().0;
                let (mut y, mut scratch) = (vec![0.0; readings], vec![f32::NAN; op.scratch()]);
                op.apply(&v, &mut y, &mut scratch);
                let mut back = vec![0.0; pixels];
                op.adjoint(&y, &mut back, &mut scratch);
                [y, back].concat()
            };
            let mut pairs = seen(&morton).into_iter().zip(seen(&gathering));
            assert!(pairs.all(|(a, b)| (a - b).abs() < 1e-5), "{pixels}");
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
