//! The inverse of a symmetric positive definite matrix.
//!
//! Symmetric Gauss–Jordan elimination: to sweep pivots K is to replace A by A_IJ − A_IK P A_KJ with P = A_KK⁻¹, A_IK by A_IK P and
//! A_KK by −P (Goodnight 1979, "A tutorial on the SWEEP operator"); once all are swept, −A⁻¹ is left. Nearly all of it is
//! products of a panel with itself on one triangle, which stays in the caches: factor, triangular inverse and product one after
//! another, by recursion down to pairs of columns, take twice as long at the few hundred columns of a state.

use super::aligned::{REGISTER, from_line};
use super::grid::Grid;
use crate::pool::Buffer;
use pulp::{Arch, Simd, WithSimd};

/// Pivots that are swept at once.
const PIVOTS: usize = REGISTER;
/// Columns that are updated at once, each in so many registers.
const COLUMNS: usize = 4;
const REGISTERS: usize = 3;

/// M⁻¹ of `matrix`, by its lower triangle; `None` where it is not positive definite.
pub(super) fn inverse(matrix: &Grid<f32>) -> Option<Grid<f32>> {
    inverse_by(matrix, |sweeps| Arch::new().dispatch(sweeps))
}

/// The same, swept in registers of some width.
fn inverse_by(
    matrix: &Grid<f32>,
    sweep: impl FnOnce(Sweeps<'_>) -> Option<()>,
) -> Option<Grid<f32>> {
    let len = matrix.nrows();
    let stride = len.next_multiple_of(REGISTER);
    let (square, panel) = (len.next_multiple_of(COLUMNS) * stride, PIVOTS * stride);
    let mut room = Buffer::zeros(square + 2 * panel + REGISTER);
    let (values, panels) = from_line(&mut room).split_at_mut(square);
    let (panel, products) = panels.split_at_mut(panel);
    for (c, column) in values.chunks_exact_mut(stride).take(len).enumerate() {
        column[c..len].copy_from_slice(&matrix.column(c)[c..]);
    }
    sweep(Sweeps {
        len,
        stride,
        values,
        panel,
        products,
    })?;
    let mut out = Grid::zeros(len, len);
    for (to, column) in out.columns_mut().zip(values.chunks_exact(stride)) {
        let lower = to.iter_mut().zip(column);
        lower.for_each(|(to, v)| *to = -v);
    }
    out.mirror();
    Some(out)
}

/// All pivots of a matrix, its columns `stride` apart, of which only the lower triangle is read and written.
struct Sweeps<'a> {
    len: usize,
    stride: usize,
    values: &'a mut [f32],
    /// A_IK, 0 where I is in K, (pivots × stride)
    panel: &'a mut [f32],
    /// −A_IK P, (pivots × stride)
    products: &'a mut [f32],
}

/// A block of pivots, column after column.
type Block = [[f32; PIVOTS]; PIVOTS];

impl WithSimd for Sweeps<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> Option<()> {
        for first in (0..self.len).step_by(PIVOTS) {
            let count = PIVOTS.min(self.len - first);
            self.gather(first, count);
            let swept = self.swept_block(simd, first, count)?;
            self.multiply(simd, count, &swept);
            for column in (0..self.len).step_by(COLUMNS) {
                if !(first..first + count).contains(&column) {
                    self.update(simd, column, count);
                }
            }
            self.scatter(first, count, &swept);
        }
        Some(())
    }
}

impl Sweeps<'_> {
    /// Reads the panel of `count` pivots from `first` on.
    #[inline(always)]
    fn gather(&mut self, first: usize, count: usize) {
        let (stride, end) = (self.stride, first + PIVOTS);
        let columns = self.values.chunks_exact(stride);
        let panels = self.panel.chunks_exact_mut(stride);
        for (panel, column) in panels.zip(columns.clone().skip(first)).take(count) {
            panel[first..end].fill(0.0);
            panel[end..].copy_from_slice(&column[end..]);
        }
        for (row, column) in columns.take(first).enumerate() {
            for (k, value) in column[first..end].iter().enumerate() {
                self.panel[k * stride + row] = *value;
            }
        }
    }

    /// −P; `None` where a pivot is not positive.
    #[inline(always)]
    fn swept_block<S: Simd>(&self, simd: S, first: usize, count: usize) -> Option<Block> {
        let mut block = [[0.0; PIVOTS]; PIVOTS];
        let columns = self.values.chunks_exact(self.stride).skip(first);
        for (c, column) in columns.take(count).enumerate() {
            let lower = column[first..first + count].iter().enumerate().skip(c);
            for (r, &value) in lower {
                (block[c][r], block[r][c]) = (value, value);
            }
        }
        for k in 0..count {
            let column = block[k];
            let pivot = column[k];
            if !(pivot.is_normal() && pivot > 0.0) {
                return None;
            }
            let inverse = pivot.recip();
            let products = column.map(|v| -v * inverse);
            let (wide, _) = S::as_simd_f32s(&products);
            for c in 0..PIVOTS {
                let share = simd.splat_f32s(column[c]);
                let (values, _) = S::as_mut_simd_f32s(&mut block[c]);
                for (value, product) in values.iter_mut().zip(wide) {
                    *value = simd.mul_add_f32s(share, *product, *value);
                }
                block[c][k] = -products[c];
            }
            block[k] = products.map(|v| -v);
            block[k][k] = -inverse;
        }
        Some(block)
    }

    /// −A_IK P.
    #[inline(always)]
    fn multiply<S: Simd>(&mut self, simd: S, count: usize, swept: &Block) {
        let stride = self.stride;
        self.products.fill(0.0);
        for first in (0..count).step_by(COLUMNS) {
            let swept = swept.iter().map(|swept| &swept[first..first + COLUMNS]);
            let panels = self.panel.chunks_exact(stride).zip(swept).take(count);
            let columns = &mut self.products[first * stride..][..COLUMNS * stride];
            add_products(simd, panels, 0, stride, columns);
        }
    }

    /// Takes A_IK P A_KJ out of [`COLUMNS`] from `first` on.
    #[inline(always)]
    fn update<S: Simd>(&mut self, simd: S, first: usize, count: usize) {
        let stride = self.stride;
        let products = self.products.chunks_exact(stride);
        let panels = self.panel.chunks_exact(stride);
        let shares = panels.map(|panel| &panel[first..first + COLUMNS]);
        let columns = &mut self.values[first * stride..][..COLUMNS * stride];
        let from = first / S::F32_LANES;
        add_products(
            simd,
            products.zip(shares).take(count),
            from,
            stride,
            columns,
        );
    }

    /// Writes A_IK P and −P.
    #[inline(always)]
    fn scatter(&mut self, first: usize, count: usize, swept: &Block) {
        let (stride, end) = (self.stride, first + PIVOTS);
        for (row, column) in self.values.chunks_exact_mut(stride).take(first).enumerate() {
            for (k, value) in column[first..end].iter_mut().enumerate() {
                *value = -self.products[k * stride + row];
            }
        }
        let columns = self.values.chunks_exact_mut(stride).skip(first);
        let products = self.products.chunks_exact(stride);
        for ((column, products), swept) in columns.zip(products).zip(swept).take(count) {
            column[first..end].copy_from_slice(swept);
            let below = column[end..].iter_mut().zip(&products[end..]);
            below.for_each(|(value, product)| *value = -product);
        }
    }
}

/// out ← out + Σ panel · shares of [`COLUMNS`] columns, from the register `from` of each on. All are `stride` long.
#[inline(always)]
fn add_products<'a, S: Simd>(
    simd: S,
    panels: impl Iterator<Item = (&'a [f32], &'a [f32])> + Clone,
    from: usize,
    stride: usize,
    out: &mut [f32],
) {
    let (registers, mut at) = (stride / S::F32_LANES, from);
    while at + REGISTERS <= registers {
        add_tile::<S, REGISTERS>(simd, panels.clone(), at, stride, out);
        at += REGISTERS;
    }
    match registers - at {
        2 => add_tile::<S, 2>(simd, panels, at, stride, out),
        1 => add_tile::<S, 1>(simd, panels, at, stride, out),
        _ => {}
    }
}

/// The same of so many registers.
#[inline(always)]
fn add_tile<'a, S: Simd, const R: usize>(
    simd: S,
    panels: impl Iterator<Item = (&'a [f32], &'a [f32])>,
    from: usize,
    stride: usize,
    out: &mut [f32],
) {
    let (at, width) = (from * S::F32_LANES, R * S::F32_LANES);
    let mut sums = [[simd.splat_f32s(0.0); R]; COLUMNS];
    for (panel, shares) in panels {
        let (panel, _) = S::as_simd_f32s(&panel[at..at + width]);
        for c in 0..COLUMNS {
            let share = simd.splat_f32s(shares[c]);
            for r in 0..R {
                sums[c][r] = simd.mul_add_f32s(share, panel[r], sums[c][r]);
            }
        }
    }
    for c in 0..COLUMNS {
        let (values, _) = S::as_mut_simd_f32s(&mut out[c * stride + at..][..width]);
        for r in 0..R {
            values[r] = simd.add_f32s(values[r], sums[c][r]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverts_whatever_the_size() {
        for len in [1, 2, 5, 15, 16, 17, 40, 64, 163, 164] {
            let matrix = Grid::from_fn(len, len, |r, c| {
                let near = 0.7f32.powi(r.abs_diff(c) as i32) * (0.3 * (r + c) as f32).cos();
                near * 0.3 + f32::from(u8::from(r == c)) * (1.0 + r as f32 / 50.0)
            });
            let lower = Grid::from_fn(len, len, |r, c| match r >= c {
                true => matrix[(r, c)],
                false => f32::NAN, // is not read
            });
            let inverse = inverse(&lower).unwrap();
            let narrow = inverse_by(&lower, |sweeps| sweeps.with_simd(pulp::Scalar));
            let wider = inverse_by(&lower, |sweeps| sweeps.with_simd(pulp::Scalar256b));
            assert_eq!([&narrow, &wider], [&Some(inverse.clone()); 2]);
            let unit = Grid::product(matrix.as_ref(), inverse.as_ref());
            for (r, c) in (0..len).flat_map(|r| (0..len).map(move |c| (r, c))) {
                let expected = f32::from(u8::from(r == c));
                assert!((unit[(r, c)] - expected).abs() < 1e-5, "{len}: {r}, {c}");
                assert_eq!(inverse[(r, c)], inverse[(c, r)]);
            }
        }
    }

    #[test]
    fn refuses_what_is_not_positive_definite() {
        let of = |diagonal: f32, beside: f32| {
            Grid::from_fn(20, 20, |r, c| if r == c { diagonal } else { beside })
        };
        assert!(inverse(&of(2.0, 1.0)).is_some());
        for (diagonal, beside) in [
            (0.0, 0.0),
            (-1.0, 0.0),
            (1.0, 1.5),
            (f32::NAN, 0.0),
            (1.0, f32::INFINITY),
        ] {
            assert!(
                inverse(&of(diagonal, beside)).is_none(),
                "{diagonal} {beside}"
            );
        }
    }
}
