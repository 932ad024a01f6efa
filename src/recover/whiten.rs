//! Whitening of readings by S₀ = A C Aᵀ + αN₀, missing ones left out.

use super::aligned::{Aligned, REGISTER, from_line};
use super::grid::orthonormal;
use super::rest::Spread;
use crate::pool::Buffer;
use crate::simd::total;
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::prelude::ReborrowMut;
use faer::{Accum, Mat, MatRef, Par, Side};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

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

/// Directions of whitened rows.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// the first row that they change
    pub(super) start: usize,
    /// an orthonormal basis, (rows from there) each; one at least
    pub(super) basis: Vec<Vec<f32>>,
}

impl Span {
    /// All rows that they change.
    pub(super) fn rows(&self) -> Range<usize> {
        self.start..self.start + self.basis[0].len()
    }
}

#[derive(Clone, Debug)]
struct Block {
    /// positions in y
    rows: Vec<u32>,
    /// L⁻¹, lower triangular: its columns one after another, [`TOGETHER`] of them from the register that holds the first one's
    /// diagonal to the last one
    inverse: Aligned,
    /// where each such group begins
    groups: Vec<usize>,
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
            let block = Block::new(rows, inverse.as_ref());
            let usable = (0..size).all(|c| block.column(c)[0].is_normal());
            usable.then_some(block)
        });
        let blocks = blocks.collect::<Option<Vec<_>>>()?;
        let len = blocks.iter().map(|block| block.rows.len()).sum();
        Some(Self { blocks, len })
    }

    /// S₀^(−½) v, (rows), of each of `vectors` v indexed like y, (J·m): what takes long is to read the factors, once.
    pub(super) fn apply<const V: usize>(&self, vectors: [&[f32]; V]) -> [Buffer<f32>; V] {
        let mut out = vectors.map(|_| Buffer::with_capacity(self.len));
        let room = || Buffer::zeros(self.largest().next_multiple_of(REGISTER) + REGISTER);
        let mut room = vectors.map(|_| [room(), room()]);
        for block in &self.blocks {
            let height = block.height();
            let mut sums = room.each_mut().map(|[values, sums]| {
                (
                    &mut from_line(values)[..height],
                    &mut from_line(sums)[..height],
                )
            });
            for ((values, sums), v) in sums.iter_mut().zip(vectors) {
                let gathered = values.iter_mut().zip(&block.rows);
                gathered.for_each(|(to, &row)| *to = v[row as usize]);
                sums.fill(0.0);
            }
            Arch::new().dispatch(Products {
                block,
                sums: &mut sums,
            });
            for (out, (_, sums)) in out.iter_mut().zip(&sums) {
                out.extend_from_slice(&sums[..block.rows.len()]);
            }
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
        let mut room = Buffer::zeros(self.largest().next_multiple_of(REGISTER) + REGISTER);
        let mut start = 0;
        for block in &self.blocks {
            let size = block.rows.len();
            let w = &w[start..start + size];
            let values = &mut from_line(&mut room)[..block.height()];
            values[..size].copy_from_slice(w);
            values[size..].fill(0.0);
            Arch::new().dispatch(Transposed {
                block,
                w: values,
                out,
            });
            start += size;
        }
    }

    /// What some positions in y change of whitened rows: bases of S₀^(−½) I at these positions.
    pub(super) fn span(&self, positions: &[u32]) -> Vec<Span> {
        let mut wanted = vec![false; positions.last().map_or(0, |last| *last as usize + 1)];
        positions.iter().for_each(|&at| wanted[at as usize] = true);
        let (mut start, mut spans) = (0, vec![]);
        for block in &self.blocks {
            let rows = block.rows.iter().enumerate();
            let own = rows.filter(|(_, row)| wanted.get(**row as usize) == Some(&true));
            let size = block.rows.len();
            let basis = orthonormal(own.map(|(at, _)| {
                let mut column = vec![0.0; size];
                column[at..].copy_from_slice(block.column(at));
                column
            }));
            if !basis.is_empty() {
                spans.push(Span { start, basis });
            }
            start += size;
        }
        spans
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
    fn new(rows: Vec<u32>, inverse: MatRef<'_, f64>) -> Self {
        let mut block = Self {
            groups: vec![],
            inverse: Aligned::default(),
            rows,
        };
        let (size, height) = (block.rows.len(), block.height());
        let mut len = 0;
        for first in (0..size).step_by(TOGETHER) {
            block.groups.push(len);
            len += TOGETHER * (height - begin(first));
        }
        block.inverse = Aligned::zeros(len);
        for c in 0..size {
            let column = inverse.col(c).iter().skip(c);
            let slots = block.slots(c);
            let slots = block.inverse[slots].iter_mut().skip(c - begin(c));
            slots.zip(column).for_each(|(slot, v)| *slot = *v as f32);
        }
        block
    }

    /// Rows, with zeros that make the last register full.
    fn height(&self) -> usize {
        self.rows.len().next_multiple_of(REGISTER)
    }

    /// Where column `c` of L⁻¹ is, from row [`begin`] on.
    fn slots(&self, c: usize) -> Range<usize> {
        let len = self.height() - begin(c);
        let from = self.groups[c / TOGETHER] + c % TOGETHER * len;
        from..from + len
    }

    /// Column `c` of L⁻¹ from its diagonal down.
    fn column(&self, c: usize) -> &[f32] {
        &self.inverse[self.slots(c)][c - begin(c)..][..self.rows.len() - c]
    }

    /// L⁻¹
    fn matrix(&self) -> Mat<f32> {
        let mut matrix = Mat::zeros(self.rows.len(), self.rows.len());
        for c in 0..self.rows.len() {
            matrix.col_as_slice_mut(c)[c..].copy_from_slice(self.column(c));
        }
        matrix
    }

    /// The columns in groups, in registers each, with the first register's number.
    #[inline(always)]
    fn columns<S: Simd>(&self) -> impl Iterator<Item = (usize, [&[S::f32s]; TOGETHER])> {
        let registers = self.height() / S::F32_LANES;
        let groups = self.groups.iter().enumerate();
        groups.map(move |(group, &at)| {
            let from = begin(group * TOGETHER) / S::F32_LANES;
            let len = (registers - from) * S::F32_LANES;
            let columns = [0, 1, 2, 3].map(|c| &self.inverse[at + c * len..][..len]);
            (from, columns.map(|column| S::as_simd_f32s(column).0))
        })
    }
}

/// The register that holds row `c` begins with that row.
fn begin(c: usize) -> usize {
    c - c % REGISTER
}

/// Adds L⁻¹ v of each of some v to sums, both as high as a block.
struct Products<'a, 'b> {
    block: &'a Block,
    sums: &'a mut [(&'b mut [f32], &'b mut [f32])],
}

impl WithSimd for Products<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (group, (from, [a, b, c, d])) in self.block.columns::<S>().enumerate() {
            for (values, sums) in &mut *self.sums {
                let weights = &values[group * TOGETHER..][..TOGETHER];
                let weights = [0, 1, 2, 3].map(|c| simd.splat_f32s(weights[c]));
                let (sums, _) = S::as_mut_simd_f32s(sums);
                let columns = a.iter().zip(b).zip(c).zip(d);
                for (sum, (((a, b), c), d)) in sums[from..].iter_mut().zip(columns) {
                    let first = simd.mul_add_f32s(*b, weights[1], simd.mul_f32s(*a, weights[0]));
                    let second = simd.mul_add_f32s(*d, weights[3], simd.mul_f32s(*c, weights[2]));
                    *sum = simd.add_f32s(*sum, simd.add_f32s(first, second));
                }
            }
        }
    }
}

/// L⁻ᵀ w, w as high as the block, into `out` where its rows are.
struct Transposed<'a> {
    block: &'a Block,
    w: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Transposed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (w, _) = S::as_simd_f32s(self.w);
        let rows = self.block.rows.chunks(TOGETHER);
        for (rows, (from, columns)) in rows.zip(self.block.columns::<S>()) {
            let mut sums = [[simd.splat_f32s(0.0); REGISTER]; TOGETHER];
            for (i, w) in w[from..].iter().enumerate() {
                let turn = i % (REGISTER / S::F32_LANES); // as many partial sums, whatever the machine's registers are
                for (sums, column) in sums.iter_mut().zip(columns) {
                    sums[turn] = simd.mul_add_f32s(column[i], *w, sums[turn]);
                }
            }
            for (row, sums) in rows.iter().zip(sums) {
                let mut partial = [0.0; REGISTER];
                let (registers, _) = S::as_mut_simd_f32s(&mut partial);
                registers
                    .iter_mut()
                    .zip(sums)
                    .for_each(|(to, sum)| *to = sum);
                self.out[*row as usize] = total(partial);
            }
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
    fn registers_of_any_width_whiten_alike() {
        let size = 37;
        let inverse = Mat::from_fn(size, size, |r, c| match r >= c {
            true => f64::from(((3 * r + c) as f32).sin()),
            false => 0.0,
        });
        let block = Block::new((0..size as u32).collect(), inverse.as_ref());
        let mut v: Vec<f32> = (0..size).map(|i| (i as f32).cos()).collect();
        v.resize(block.height(), 0.0);
        let products = |run: &dyn Fn(Products<'_, '_>)| {
            let (mut v, mut sums) = (v.clone(), vec![0.0; block.height()]);
            run(Products {
                block: &block,
                sums: &mut [(&mut v, &mut sums)],
            });
            sums
        };
        let transposed = |run: &dyn Fn(Transposed<'_>)| {
            let mut out = vec![0.0; size];
            run(Transposed {
                block: &block,
                w: &v,
                out: &mut out,
            });
            out
        };
        let native = products(&|p| Arch::new().dispatch(p));
        assert_eq!(products(&|p| p.with_simd(pulp::Scalar)), native);
        assert_eq!(products(&|p| p.with_simd(pulp::Scalar256b)), native);
        let native = transposed(&|t| Arch::new().dispatch(t));
        assert_eq!(transposed(&|t| t.with_simd(pulp::Scalar)), native);
        assert_eq!(transposed(&|t| t.with_simd(pulp::Scalar256b)), native);
    }

    #[test]
    fn refuses_what_has_no_factor() {
        let apart = Spread::Apart(vec![0.0, 0.0]);
        assert!(Whitener::new(&apart, &[0.0], 1.0, &[]).is_none());
        let together = Spread::Together(vec![Mat::zeros(2, 2)]);
        assert!(Whitener::new(&together, &[0.0], 1.0, &[]).is_none());
    }
}
