//! Dense matrices as the prior stores them.

use crate::simd::{add_scaled, dot};
use faer::{MatMut, MatRef};

/// A row-major matrix of f32.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f32>,
}

impl Matrix {
    /// A matrix over row-major `data`, (rows × cols).
    ///
    /// # Panics
    /// Where `data` is not rows·cols long.
    pub fn new(rows: usize, cols: usize, data: Vec<f32>) -> Self {
        assert_eq!(data.len(), rows * cols, "rows × cols");
        Self { rows, cols, data }
    }

    /// A matrix of zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self::new(rows, cols, vec![0.0; rows * cols])
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All entries, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Row-major values, to be changed.
    #[cfg(feature = "train")]
    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Row `r`, (cols).
    pub fn row(&self, r: usize) -> &[f32] {
        &self.data[r * self.cols..(r + 1) * self.cols]
    }

    /// Row `r`, (cols), to change.
    pub fn row_mut(&mut self, r: usize) -> &mut [f32] {
        &mut self.data[r * self.cols..(r + 1) * self.cols]
    }

    /// The same entries for faer's kernels.
    pub fn view(&self) -> MatRef<'_, f32> {
        MatRef::from_row_major_slice(&self.data, self.rows, self.cols)
    }

    /// The transposed matrix.
    pub fn transposed(&self) -> Self {
        Self::from_view(self.view().transpose())
    }

    /// A copy of faer's matrix.
    pub fn from_view(view: MatRef<'_, f32>) -> Self {
        let mut data = Vec::with_capacity(view.nrows() * view.ncols());
        for r in 0..view.nrows() {
            data.extend((0..view.ncols()).map(|c| view[(r, c)]));
        }
        Self::new(view.nrows(), view.ncols(), data)
    }

    /// self · right.
    pub fn product(&self, right: &Self) -> Self {
        Self::of_product(self.view(), right)
    }

    /// left · right.
    pub fn of_product(left: MatRef<'_, f32>, right: &Self) -> Self {
        let mut out = Self::zeros(left.nrows(), right.cols);
        faer::linalg::matmul::matmul(
            MatMut::from_row_major_slice_mut(&mut out.data, left.nrows(), right.cols),
            faer::Accum::Replace,
            left,
            right.view(),
            1.0,
            faer::Par::Seq,
        );
        out
    }

    /// out = self · v.
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub fn apply(&self, v: &[f32], out: &mut [f32]) {
        assert_eq!((out.len(), v.len()), (self.rows, self.cols), "rows, cols");
        for (out, row) in out.iter_mut().zip(self.data.chunks_exact(self.cols.max(1))) {
            *out = dot(row, v);
        }
    }

    /// out = selfᵀ · v.
    ///
    /// # Panics
    /// Where the lengths do not fit.
    pub fn apply_transposed(&self, v: &[f32], out: &mut [f32]) {
        assert_eq!((v.len(), out.len()), (self.rows, self.cols), "rows, cols");
        out.fill(0.0);
        let rows = v.iter().zip(self.data.chunks_exact(self.cols.max(1)));
        for (&scale, row) in rows.filter(|(scale, _)| **scale != 0.0) {
            add_scaled(scale, row, out);
        }
    }
}
