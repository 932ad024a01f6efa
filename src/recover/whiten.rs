//! Whitening of readings by S₀ = A C Aᵀ + αN₀, missing ones left out.

use super::rest::Spread;
use crate::pool::Buffer;
use crate::simd::{add_columns, dots};
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::prelude::ReborrowMut;
use faer::{Accum, Mat, MatRef, Par, Side};

/// Most readings, of all channels, that are factored as one where noise couples the channels and the rest the readings.
const MOST_COUPLED: usize = 4096;
/// Rows of an inverse that are multiplied at a time.
const PANEL: usize = 32;
/// Columns of an inverse that are stored alike.
const TOGETHER: usize = 4;

/// The rows that count, and L⁻¹ of S₀ = L Lᵀ for each block of rows that are correlated: no value waits for the one before,
/// as it would in solving with L.
#[derive(Clone, Debug)]
pub(super) struct Whitener {
    blocks: Vec<Block>,
    /// number of whitened rows
    len: usize,
}

#[derive(Clone, Debug)]
struct Block {
    /// positions in y
    rows: Vec<u32>,
    /// L⁻¹, lower triangular: its columns one after another, [`TOGETHER`] of them from the first one's diagonal down
    inverse: Vec<f32>,
}

impl Whitener {
    /// `spread` is the covariance that the rest puts on the readings; `noise`, (J × J), is N₀; `missing` are positions in
    /// y, strictly increasing.
    ///
    /// Readings are correlated within a channel, by the rest, and between channels, by the noise. Where both would make
    /// more than [`MOST_COUPLED`] rows one block, the noise's are left out: the rest is what most readings are short of.
    ///
    /// `None` where a block is not positive definite.
    pub(super) fn new(spread: &Spread, noise: &[f32], gain: f32, missing: &[u32]) -> Option<Self> {
        let channels = noise.len().isqrt();
        let readings = match spread {
            Spread::Together(covariance) => covariance.first().map_or(0, Mat::nrows),
            Spread::Apart(energy) => energy.len() / channels,
        };
        let together = matches!(spread, Spread::Together(_));
        let coupled = (0..noise.len()).any(|i| i % (channels + 1) != 0 && noise[i] != 0.0)
            && !(together && channels * readings > MOST_COUPLED);
        let mut present = vec![true; channels * readings];
        missing.iter().for_each(|&i| present[i as usize] = false);
        let block_of = |row: usize| match (together, coupled) {
            (true, true) => 0,
            (true, false) => row / readings,
            (false, _) => row % readings,
        };
        let mut rows = vec![Vec::new(); readings.max(channels)];
        for row in (0..present.len()).filter(|&row| present[row]) {
            rows[block_of(row)].push(row as u32);
        }
        let noise = |g: usize, h: usize| f64::from(gain) * f64::from(noise[g * channels + h]);
        let covariance = |(g, i): (usize, usize), (h, j): (usize, usize)| {
            let own = match spread {
                Spread::Together(covariance) if g == h => covariance[g][(i, j)],
                Spread::Apart(energy) if (g, i) == (h, j) => energy[g * readings + i],
                _ => 0.0,
            };
            f64::from(own) + if i == j { noise(g, h) } else { 0.0 }
        };
        let blocks = rows.into_iter().filter(|rows| !rows.is_empty());
        let blocks = blocks.map(|rows| {
            let size = rows.len();
            let at = |row: &u32| (*row as usize / readings, *row as usize % readings);
            let at: Vec<(usize, usize)> = rows.iter().map(at).collect();
            let mut matrix: Mat<f64> = Mat::zeros(size, size);
            for c in 0..size {
                let lower = matrix.col_as_slice_mut(c)[c..].iter_mut().zip(&at[c..]);
                lower.for_each(|(value, row)| *value = covariance(*row, at[c]));
            }
            let factor = matrix.llt(Side::Lower).ok()?;
            let mut inverse: Mat<f64> = Mat::zeros(size, size);
            invert_lower_triangular(inverse.as_mut(), factor.L(), Par::Seq);
            let columns = inverse.col_iter().enumerate();
            let entries = columns.flat_map(|(c, column)| {
                let from = c - c % TOGETHER;
                column.iter().skip(from).map(|&v| v as f32)
            });
            let inverse: Vec<f32> = entries.collect();
            let block = Block { rows, inverse };
            let usable = (0..size).all(|c| block.column(c)[c % TOGETHER].is_normal());
            usable.then_some(block)
        });
        let blocks = blocks.collect::<Option<Vec<_>>>()?;
        let len = blocks.iter().map(|block| block.rows.len()).sum();
        Some(Self { blocks, len })
    }

    /// S₀^(−½) v, (rows), of each of `vectors` v indexed like y, (J·m): what takes long is to read the factors, once.
    pub(super) fn apply<const V: usize>(&self, vectors: [&[f32]; V]) -> [Buffer<f32>; V] {
        let mut out = vectors.map(|_| Buffer::zeros(self.len));
        let mut values = vectors.map(|_| Buffer::zeros(self.largest()));
        let mut start = 0;
        for block in &self.blocks {
            let size = block.rows.len();
            for (values, v) in values.iter_mut().zip(vectors) {
                let gathered = values.iter_mut().zip(&block.rows);
                gathered.for_each(|(to, &row)| *to = v[row as usize]);
            }
            let values = values.each_ref().map(|values| &values[..size]);
            let out = out.each_mut().map(|out| &mut out[start..start + size]);
            block.apply(values, out);
            start += size;
        }
        out
    }

    /// The same of so many columns, as (rows × columns); `pick(c, rows, values)` writes what column c is at some positions in y.
    pub(super) fn apply_columns(
        &self,
        columns: usize,
        pick: impl Fn(usize, &[u32], &mut [f32]),
    ) -> Mat<f32> {
        let mut out: Mat<f32> = Mat::zeros(self.len, columns);
        let mut room = vec![0.0; self.largest() * columns];
        let mut start = 0;
        for block in &self.blocks {
            let size = block.rows.len();
            let picked = &mut room[..size * columns];
            for (c, values) in picked.chunks_exact_mut(size).enumerate() {
                pick(c, &block.rows, values);
            }
            let picked = MatRef::from_column_major_slice(picked, size, columns);
            let inverse = block.matrix();
            let mut part = out.as_mut().subrows_mut(start, size);
            for from in (0..size).step_by(PANEL) {
                let to = size.min(from + PANEL); // beyond are zeros
                matmul(
                    part.rb_mut().subrows_mut(from, to - from),
                    Accum::Replace,
                    inverse.as_ref().submatrix(from, 0, to - from, to),
                    picked.subrows(0, to),
                    1.0,
                    Par::Seq,
                );
            }
            start += size;
        }
        out
    }

    /// The same of every column of a matrix, (J·m × columns).
    pub(super) fn apply_matrix(&self, matrix: MatRef<'_, f32>) -> Mat<f32> {
        self.apply_columns(matrix.ncols(), |c, rows, values| {
            let column = matrix.col(c);
            let values = values.iter_mut().zip(rows);
            values.for_each(|(value, &row)| *value = column[row as usize]);
        })
    }

    /// S₀^(−½)ᵀ w of `w`, (rows), into `out` indexed like y, (J·m); 0 where a reading is missing.
    pub(super) fn apply_transposed(&self, w: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        let (mut values, mut start) = (Buffer::zeros(self.largest()), 0);
        for block in &self.blocks {
            let values = &mut values[..block.rows.len()];
            block.apply_transposed(&w[start..start + values.len()], values);
            let scattered = values.iter().zip(&block.rows);
            scattered.for_each(|(v, &row)| out[row as usize] = *v);
            start += values.len();
        }
    }

    /// Diagonal of S₀⁻¹, indexed like y, (`len`); 0 where a reading is missing.
    pub(super) fn precision(&self, len: usize) -> Vec<f32> {
        let mut out = vec![0.0; len];
        for block in &self.blocks {
            for (c, &row) in block.rows.iter().enumerate() {
                out[row as usize] = block.column(c).iter().map(|v| v * v).sum();
            }
        }
        out
    }

    /// Rows of the largest block.
    fn largest(&self) -> usize {
        let sizes = self.blocks.iter().map(|block| block.rows.len());
        sizes.max().unwrap_or(0)
    }
}

impl Block {
    /// Column `c` of L⁻¹ from the row on that its group is stored from.
    fn column(&self, c: usize) -> &[f32] {
        let (size, from) = (self.rows.len(), c - c % TOGETHER);
        let groups = from / TOGETHER;
        // groups before are whole, their columns TOGETHER shorter from one group to the next
        let shorter = TOGETHER * (groups * groups.saturating_sub(1) / 2);
        let before = TOGETHER * (groups * size - shorter);
        &self.inverse[before + (c - from) * (size - from)..][..size - from]
    }

    /// L⁻¹
    fn matrix(&self) -> Mat<f32> {
        let mut matrix = Mat::zeros(self.rows.len(), self.rows.len());
        for c in 0..self.rows.len() {
            matrix.col_as_slice_mut(c)[c - c % TOGETHER..].copy_from_slice(self.column(c));
        }
        matrix
    }

    /// Adds L⁻¹ v of each of `vectors` v to its `out`.
    fn apply<const V: usize>(&self, vectors: [&[f32]; V], mut out: [&mut [f32]; V]) {
        let size = self.rows.len();
        for from in (0..size).step_by(TOGETHER) {
            for (v, out) in vectors.iter().zip(&mut out) {
                let columns = from..size.min(from + TOGETHER);
                let columns = columns.map(|c| (v[c], self.column(c)));
                add_columns(columns, &mut out[from..]);
            }
        }
    }

    /// L⁻ᵀ w into `out`.
    fn apply_transposed(&self, w: &[f32], out: &mut [f32]) {
        for (group, out) in out.chunks_mut(TOGETHER).enumerate() {
            let from = group * TOGETHER;
            let column = |c: usize| self.column(from + c.min(out.len() - 1)); // what there is none left of is the last again
            let products = dots([column(0), column(1), column(2), column(3)], &w[from..]);
            out.copy_from_slice(&products[..out.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S₀^(−½) S₀ S₀^(−½)ᵀ = I and S₀^(−½)ᵀ S₀^(−½) S₀ = I, for S₀ of `len` rows of which `missing` are left out.
    fn assert_whitens(
        whitener: &Whitener,
        len: usize,
        missing: &[usize],
        s: impl Fn(usize, usize) -> f32,
    ) {
        let covariance = Mat::from_fn(len, len, &s);
        let columns = whitener.apply_matrix(covariance.as_ref()); // S₀^(−½) S₀
        let whitened = whitener.apply_matrix(columns_of_rows(&columns, whitener, len).as_ref());
        assert_eq!(whitener.len, len - missing.len());
        for r in 0..whitener.len {
            for c in 0..whitener.len {
                let unit = f32::from(u8::from(r == c));
                assert!((whitened[(r, c)] - unit).abs() < 1e-4, "{r}, {c}");
            }
        }
        for c in (0..len).filter(|c| !missing.contains(c)) {
            let [one, other] =
                whitener.apply([covariance.col_as_slice(c), covariance.col_as_slice(0)]);
            for (a, b) in one.iter().zip(columns.col_as_slice(c)) {
                assert!((a - b).abs() < 1e-5);
            }
            assert_eq!([other], whitener.apply([covariance.col_as_slice(0)]));
            let mut back = vec![9.0; len];
            whitener.apply_transposed(&one, &mut back);
            for (r, back) in back.iter().enumerate() {
                let expected = f32::from(u8::from(r == c));
                assert!((back - expected).abs() < 1e-4, "{r}, {c}: {back}");
            }
        }
    }

    /// The transpose of S₀^(−½) S₀ as columns indexed like y; what is missing is 0 in it already where it must be.
    fn columns_of_rows(columns: &Mat<f32>, whitener: &Whitener, len: usize) -> Mat<f32> {
        Mat::from_fn(len, whitener.len, |r, c| columns[(c, r)])
    }

    #[test]
    fn whitens_readings_taken_by_themselves() {
        let noise = [2.0, 0.5, 0.0, 0.5, 1.0, 0.2, 0.0, 0.2, 3.0];
        let energy = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]; // J = 3, m = 2
        let whitener = Whitener::new(&Spread::Apart(energy.to_vec()), &noise, 1.5, &[2]).unwrap();
        assert_whitens(&whitener, 6, &[2], |a, b| {
            if a % 2 != b % 2 {
                return 0.0;
            }
            let own = if a == b { energy[a] } else { 0.0 };
            own + 1.5 * noise[(a / 2) * 3 + b / 2]
        });
    }

    #[test]
    fn whitens_readings_correlated_in_their_channels() {
        let m = 20;
        let channel = |seed: usize| {
            Mat::from_fn(m, m, |r, c| {
                0.3f32.powi(r.abs_diff(c) as i32) * if r == c { 1.0 + seed as f32 } else { 0.8 }
            })
        };
        let covariance = vec![channel(0), channel(1)];
        let spread = Spread::Together(covariance.clone());
        for noise in [[0.5, 0.0, 0.0, 0.7], [0.5, 0.2, 0.2, 0.7]] {
            let whitener = Whitener::new(&spread, &noise, 1.2, &[3, 30]).unwrap();
            assert_whitens(&whitener, 2 * m, &[3, 30], |a, b| {
                let own = if a / m == b / m {
                    covariance[a / m][(a % m, b % m)]
                } else {
                    0.0
                };
                let seen = if a % m == b % m {
                    noise[a / m * 2 + b / m]
                } else {
                    0.0
                };
                own + 1.2 * seen
            });
        }
    }

    #[test]
    fn refuses_what_has_no_factor() {
        let apart = Spread::Apart(vec![0.0, 0.0]);
        assert!(Whitener::new(&apart, &[0.0], 1.0, &[]).is_none());
        let together = Spread::Together(vec![Mat::zeros(2, 2)]);
        assert!(Whitener::new(&together, &[0.0], 1.0, &[]).is_none());
    }
}
