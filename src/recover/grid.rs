//! Small dense algebra in vectors that are used again: matrices, products, Cholesky factors.

use crate::pool::{Buffer, Element};
use crate::simd::{add_columns, add_scaled, dot};
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};
use std::cell::RefCell;
use std::ops::{Index, IndexMut};

/// A value of a [`Grid`].
pub(super) trait Value: Element + ComplexField + Copy {}

impl Value for f32 {}
impl Value for f64 {}

/// A dense matrix, column after column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid<T: Element> {
    values: Buffer<T>,
    rows: usize,
    cols: usize,
}

/// A lower triangular L of L Lᵀ = M.
#[derive(Clone, Debug)]
pub(super) struct Factor<T: Element>(Grid<T>);

impl<T: Value> Grid<T> {
    pub(super) fn zeros(rows: usize, cols: usize) -> Self {
        Self {
            values: Buffer::zeros(rows * cols),
            rows,
            cols,
        }
    }

    /// Of entries by row and column.
    pub(super) fn from_fn(
        rows: usize,
        cols: usize,
        mut entry: impl FnMut(usize, usize) -> T,
    ) -> Self {
        let mut grid = Self::zeros(rows, cols);
        for (c, column) in grid.columns_mut().enumerate() {
            let slots = column.iter_mut().enumerate();
            slots.for_each(|(r, value)| *value = entry(r, c));
        }
        grid
    }

    /// Of another matrix's values, converted.
    pub(super) fn of<A: Copy>(matrix: MatRef<'_, A>, to: impl Fn(A) -> T) -> Self {
        let mut grid = Self::zeros(matrix.nrows(), matrix.ncols());
        for (slots, column) in grid.columns_mut().zip(matrix.col_iter()) {
            let slots = slots.iter_mut().zip(column.iter());
            slots.for_each(|(slot, value)| *slot = to(*value));
        }
        grid
    }

    /// A B.
    pub(super) fn product(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Self {
        let mut out = Self::zeros(a.nrows(), b.ncols());
        matmul(out.as_mut(), Accum::Replace, a, b, T::one_impl(), Par::Seq);
        out
    }

    /// Mᵀ M.
    pub(super) fn square(matrix: MatRef<'_, T>) -> Self {
        let mut out = Self::zeros(matrix.ncols(), matrix.ncols());
        triangular::matmul(
            out.as_mut(),
            BlockStructure::TriangularLower,
            Accum::Replace,
            matrix.transpose(),
            BlockStructure::Rectangular,
            matrix,
            BlockStructure::Rectangular,
            T::one_impl(),
            Par::Seq,
        );
        out.mirror();
        out
    }

    pub(super) fn nrows(&self) -> usize {
        self.rows
    }

    pub(super) fn as_ref(&self) -> MatRef<'_, T> {
        MatRef::from_column_major_slice(&self.values, self.rows, self.cols)
    }

    pub(super) fn as_mut(&mut self) -> MatMut<'_, T> {
        MatMut::from_column_major_slice_mut(&mut self.values, self.rows, self.cols)
    }

    /// All values, column after column.
    pub(super) fn values(&self) -> &[T] {
        &self.values
    }

    /// The same to write.
    pub(super) fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// Column `c`.
    pub(super) fn column(&self, c: usize) -> &[T] {
        &self.values[c * self.rows..][..self.rows]
    }

    /// All columns.
    pub(super) fn columns_mut(&mut self) -> impl Iterator<Item = &mut [T]> {
        self.values.chunks_exact_mut(self.rows.max(1))
    }

    /// M ← s M.
    pub(super) fn scale(&mut self, by: T)
    where
        T: std::ops::MulAssign,
    {
        self.values.iter_mut().for_each(|v| *v *= by);
    }

    /// By its lower triangle; `None` where it is not positive definite.
    pub(super) fn cholesky(mut self) -> Option<Factor<T>> {
        thread_local! {
            static SCRATCH: RefCell<MemBuffer> = RefCell::new(MemBuffer::new(StackReq::EMPTY));
        }
        let needed = cholesky_in_place_scratch::<T>(self.rows, Par::Seq, Default::default());
        SCRATCH.with_borrow_mut(|scratch| {
            let bytes = needed.unaligned_bytes_required();
            if scratch.len() < bytes {
                *scratch = MemBuffer::new(StackReq::new::<u8>(bytes));
            }
            let stack = MemStack::new(scratch);
            let regularization = Default::default();
            let all = Default::default();
            cholesky_in_place(self.as_mut(), regularization, Par::Seq, stack, all).ok()
        })?;
        for (c, column) in self.columns_mut().enumerate() {
            column[..c].fill(T::zero_impl());
        }
        Some(Factor(self))
    }
}

impl<T: Value> Factor<T> {
    /// L
    pub(super) fn lower(&self) -> MatRef<'_, T> {
        self.0.as_ref()
    }

    /// B ← M⁻¹ B.
    pub(super) fn solve(&self, mut right: MatMut<'_, T>) {
        self.solve_lower(right.as_mut());
        self.solve_lower_transposed(right);
    }

    /// B ← L⁻¹ B.
    pub(super) fn solve_lower(&self, right: MatMut<'_, T>) {
        solve_lower_triangular_in_place(self.lower(), right, Par::Seq);
    }

    /// B ← L⁻ᵀ B.
    pub(super) fn solve_lower_transposed(&self, right: MatMut<'_, T>) {
        solve_upper_triangular_in_place(self.lower().transpose(), right, Par::Seq);
    }

    /// M⁻¹
    pub(super) fn inverse(&self) -> Grid<T> {
        let size = self.0.rows;
        let mut lower = Grid::zeros(size, size);
        invert_lower_triangular(lower.as_mut(), self.lower(), Par::Seq);
        let mut out = Grid::zeros(size, size);
        triangular::matmul(
            out.as_mut(),
            BlockStructure::TriangularLower,
            Accum::Replace,
            lower.as_ref().transpose(),
            BlockStructure::TriangularUpper,
            lower.as_ref(),
            BlockStructure::TriangularLower,
            T::one_impl(),
            Par::Seq,
        );
        out.mirror();
        out
    }
}

impl<T: Value> Grid<T> {
    /// Makes it symmetric by its lower triangle.
    pub(super) fn mirror(&mut self) {
        const TILE: usize = 16; // whose lines stay in the nearest cache
        for from in (0..self.cols).step_by(TILE) {
            for c in from..self.cols {
                for r in from..c.min(from + TILE) {
                    self[(r, c)] = self[(c, r)];
                }
            }
        }
    }
}

/// Rows, or columns, of a positive semidefinite matrix that nearly all the others follow from, largest first, and a factor's
/// columns that go with them, until it is `enough` what they leave of the diagonal.
pub(super) fn pivoted(
    matrix: &Grid<f32>,
    enough: impl Fn(&[f64]) -> bool,
) -> (Vec<usize>, Vec<Vec<f32>>) {
    let mut left: Vec<f64> = (0..matrix.rows).map(|i| matrix[(i, i)].into()).collect();
    let (mut pivots, mut columns): (Vec<usize>, Vec<Vec<f32>>) = (vec![], vec![]);
    while pivots.len() < left.len() && !enough(&left) {
        let largest = left.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let Some((pivot, &size)) = largest.filter(|(_, size)| **size > 0.0) else {
            break;
        };
        let mut column = matrix.column(pivot).to_vec();
        let known = columns.iter().map(|known| (-known[pivot], &known[..]));
        add_columns(known, &mut column);
        let scale = size.sqrt().recip() as f32;
        for (column, left) in column.iter_mut().zip(&mut left) {
            *column *= scale;
            *left = (*left - f64::from(*column).powi(2)).max(0.0);
        }
        left[pivot] = 0.0;
        pivots.push(pivot);
        columns.push(column);
    }
    (pivots, columns)
}

/// An orthonormal basis of some vectors, by Gram and Schmidt, twice: once leaves in f32 what is much smaller than was taken out.
pub(super) fn orthonormal(vectors: impl Iterator<Item = Vec<f32>>) -> Vec<Vec<f32>> {
    let mut basis: Vec<Vec<f32>> = Vec::new();
    for mut vector in vectors {
        let whole = energy(&vector);
        for other in basis.iter().chain(&basis) {
            take_out(other, &mut vector);
        }
        let length = energy(&vector).sqrt() as f32;
        if f64::from(length).powi(2) > 1e-6 * whole {
            vector.iter_mut().for_each(|v| *v /= length);
            basis.push(vector);
        }
    }
    basis
}

/// Takes what lies along `unit`, of length 1, out of `v`.
pub(super) fn take_out(unit: &[f32], v: &mut [f32]) {
    add_scaled(-dot(unit, v), unit, v);
}

/// ‖v‖²
pub(super) fn energy(v: &[f32]) -> f64 {
    v.iter().map(|&v| f64::from(v).powi(2)).sum()
}

impl<T: Element> Index<(usize, usize)> for Grid<T> {
    type Output = T;

    fn index(&self, (r, c): (usize, usize)) -> &T {
        &self.values[c * self.rows + r]
    }
}

impl<T: Element> IndexMut<(usize, usize)> for Grid<T> {
    fn index_mut(&mut self, (r, c): (usize, usize)) -> &mut T {
        &mut self.values[c * self.rows + r]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_solves_and_inverts() {
        let matrix = Grid::from_fn(5, 5, |r, c| {
            let near: f64 = 0.4f64.powi(r.abs_diff(c) as i32);
            near + f64::from(u8::from(r == c)) * (1.0 + r as f64)
        });
        let factor = matrix.clone().cholesky().unwrap();
        let again = Grid::product(factor.lower(), factor.lower().transpose());
        let unit = Grid::product(matrix.as_ref(), factor.inverse().as_ref());
        let mut right = Grid::from_fn(5, 2, |r, c| (r * 2 + c) as f64);
        let wanted = right.clone();
        factor.solve(right.as_mut());
        let found = Grid::product(matrix.as_ref(), right.as_ref());
        for (r, c) in (0..5).flat_map(|r| (0..5).map(move |c| (r, c))) {
            assert!((again[(r, c)] - matrix[(r, c)]).abs() < 1e-12);
            assert!((unit[(r, c)] - f64::from(u8::from(r == c))).abs() < 1e-12);
            assert!(c > 1 || (found[(r, c)] - wanted[(r, c)]).abs() < 1e-12);
        }
        assert!(
            Grid::from_fn(2, 2, |_, _| 1.0f32 - 2.0)
                .cholesky()
                .is_none()
        );
    }
}
