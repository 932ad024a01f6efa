//! The two-dimensional discrete Fourier transform, within the caller's scratch.

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::fmt;
use std::sync::Arc;

/// Unscaled transforms of an image of rows × cols pixels, F\[k·cols + l\] = Σ v\[r·cols + c\]·e^{−2πi(kr/rows + lc/cols)}.
///
/// Rows first, then only those columns of the spectrum that are asked for.
pub(super) struct Dft {
    rows: usize,
    cols: usize,
    /// along a row of `cols` pixels: forward, inverse
    along: [Arc<dyn Fft<f32>>; 2],
    /// down a column of `rows` pixels: forward, inverse
    down: [Arc<dyn Fft<f32>>; 2],
    /// complex values that they work in
    work: usize,
}

/// A scratch buffer, cut to its uses.
struct Parts<'a> {
    /// (rows × cols)
    image: &'a mut [Complex<f32>],
    /// (rows)
    column: &'a mut [Complex<f32>],
    work: &'a mut [Complex<f32>],
}

impl Dft {
    pub(super) fn new(rows: usize, cols: usize) -> Self {
        let mut planner = FftPlanner::new();
        let mut plans = |len| [planner.plan_fft_forward(len), planner.plan_fft_inverse(len)];
        let (along, down) = (plans(cols), plans(rows));
        let all = along.iter().chain(&down);
        let work = all.map(|plan| plan.get_inplace_scratch_len()).max();
        Self {
            rows,
            cols,
            work: work.unwrap_or(0),
            along,
            down,
        }
    }

    /// (rows, cols)
    pub(super) fn grid(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Length of the scratch buffer of the transforms.
    pub(super) fn scratch(&self) -> usize {
        2 * (self.rows * self.cols + self.rows + self.work)
    }

    fn parts<'a>(&self, scratch: &'a mut [f32]) -> Parts<'a> {
        assert_eq!(scratch.len(), self.scratch());
        let complex = bytemuck::cast_slice_mut(scratch);
        let (image, rest) = complex.split_at_mut(self.rows * self.cols);
        let (column, work) = rest.split_at_mut(self.rows);
        Parts {
            image,
            column,
            work,
        }
    }

    /// The spectrum of a real image, (rows × cols), of which only `columns` are right.
    pub(super) fn forward<'a>(
        &self,
        v: &[f32],
        columns: &[u32],
        scratch: &'a mut [f32],
    ) -> &'a [Complex<f32>] {
        let mut parts = self.parts(scratch);
        for (slot, &v) in parts.image.iter_mut().zip(v) {
            *slot = Complex::new(v, 0.0);
        }
        self.along[0].process_with_scratch(parts.image, parts.work);
        self.transform_columns(&*self.down[0], columns, &mut parts);
        parts.image
    }

    /// The real part of Σ F·e^{2πi(kr/rows + lc/cols)}, (rows × cols), of a spectrum that `fill` puts into zeros and that
    /// is 0 but for `columns`.
    pub(super) fn inverse(
        &self,
        fill: impl FnOnce(&mut [Complex<f32>]),
        columns: &[u32],
        v: &mut [f32],
        scratch: &mut [f32],
    ) {
        let mut parts = self.parts(scratch);
        parts.image.fill(Complex::default());
        fill(parts.image);
        self.transform_columns(&*self.down[1], columns, &mut parts);
        self.along[1].process_with_scratch(parts.image, parts.work);
        for (out, value) in v.iter_mut().zip(parts.image.iter()) {
            *out = value.re;
        }
    }

    fn transform_columns(&self, plan: &dyn Fft<f32>, columns: &[u32], parts: &mut Parts<'_>) {
        for &column in columns {
            let slots = parts.image.iter().skip(column as usize);
            let gathered = parts.column.iter_mut().zip(slots.step_by(self.cols));
            gathered.for_each(|(out, v)| *out = *v);
            plan.process_with_scratch(parts.column, parts.work);
            let slots = parts.image.iter_mut().skip(column as usize);
            let scattered = slots.step_by(self.cols).zip(parts.column.iter());
            scattered.for_each(|(out, v)| *out = *v);
        }
    }
}

impl fmt::Debug for Dft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dft({} × {})", self.rows, self.cols)
    }
}
