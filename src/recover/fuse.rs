//! The head seen through a pattern set: computed once, so that no iteration touches a pixel.

use super::model::Model;
use super::whiten::Whitener;
use crate::sensing::Operator;
use faer::linalg::matmul::matmul;
use faer::linalg::solvers::Solve;
use faer::{Accum, Mat, MatRef, Par, Side};

/// A·\[W_d, E Λ^½\] and what else patterns make of a model, before any noise level.
#[derive(Clone, Debug)]
pub(super) struct Fused {
    /// (J·m × H + q)
    matrix: Mat<f32>,
    /// A(b + ē), (J·m)
    offset: Vec<f32>,
    /// variance that ψ puts on each reading, (J·m)
    energy: Vec<f32>,
    /// the same of the second moments
    linear: Option<Linear>,
}

#[derive(Clone, Debug)]
struct Linear {
    /// A V, (J·m × r)
    matrix: Mat<f32>,
    /// A x̄, (J·m)
    offset: Vec<f32>,
    /// variance that the moments' remainder puts on each reading, (J·m)
    energy: Vec<f32>,
}

impl Fused {
    pub(super) fn new(model: &Model, operator: &dyn Operator) -> Self {
        let mut patterns = Patterns::new(operator);
        let linear = model.moments.as_ref().map(|moments| Linear {
            matrix: patterns.images(&moments.directions),
            offset: patterns.image(&moments.mean),
            energy: patterns.energy(&moments.remainder),
        });
        Self {
            matrix: patterns.images(&model.columns),
            offset: patterns.image(&model.offset()),
            energy: patterns.energy(&model.remainder),
            linear,
        }
    }

    /// The whitened system at a noise level, with the readings that are there; `None` where the noise is not
    /// positive definite.
    pub(super) fn whitened(
        &self,
        model: &Model,
        noise: &[f32],
        gain: f32,
        missing: &[u32],
    ) -> Option<System> {
        let whitener = Whitener::new(&self.energy, noise, gain, missing)?;
        let matrix = whitened_columns(&whitener, self.matrix.as_ref());
        let mut offset = vec![0.0; whitener.len()];
        whitener.apply(&self.offset, &mut offset);
        let (matrix, basis) = if matrix.nrows() > matrix.ncols() {
            let qr = matrix.qr(); // exact, and no iteration grows with m any more
            (qr.thin_R().to_owned(), Some(qr.compute_thin_Q()))
        } else {
            (matrix, None)
        };
        let error = matrix
            .as_ref()
            .subcols(model.feature_len(), model.error_len());
        let gram = symmetric_product(error);
        Some(System {
            features: model.feature_len(),
            whitener,
            matrix,
            basis,
            offset,
            gram,
        })
    }

    /// The linear estimate of u from readings y, (k): E\[u | y\] under the model's second moments.
    ///
    /// With x ≈ x̄ + V s, s ~ N(0, Σ): ŝ solves (Σ⁻¹ + (AV)ᵀ N⁻¹ AV) ŝ = (AV)ᵀ N⁻¹ (y − A x̄), and û = C Σ⁻¹ ŝ with C the
    /// covariance of u and s. `None` without moments, or where the noise is not positive definite.
    pub(super) fn linear_estimate(
        &self,
        model: &Model,
        noise: &[f32],
        gain: f32,
        missing: &[u32],
        y: &[f32],
    ) -> Option<Vec<f32>> {
        let (linear, moments) = (self.linear.as_ref()?, model.moments.as_ref()?);
        let whitener = Whitener::new(&linear.energy, noise, gain, missing)?;
        let matrix = whitened_columns(&whitener, linear.matrix.as_ref());
        let centred: Vec<f32> = y.iter().zip(&linear.offset).map(|(y, o)| y - o).collect();
        let mut readings = vec![0.0; whitener.len()];
        whitener.apply(&centred, &mut readings);
        let mut normal = symmetric_product(matrix.as_ref());
        moments
            .variances
            .iter()
            .enumerate()
            .for_each(|(i, v)| normal[(i, i)] += 1.0 / f64::from(*v));
        let right = Mat::from_fn(matrix.ncols(), 1, |c, _| {
            matrix
                .col_as_slice(c)
                .iter()
                .zip(&readings)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum::<f64>()
        });
        let scores = normal.llt(Side::Lower).ok()?.solve(&right);
        let scores: Vec<f32> = moments
            .variances
            .iter()
            .enumerate()
            .map(|(i, v)| (scores[(i, 0)] / f64::from(*v)) as f32)
            .collect();
        let mut u = vec![0.0; model.code_len()];
        moments.cross.apply(&scores, &mut u);
        Some(u)
    }
}

/// One pattern set at one noise level: whitened, and shrunk to at most H + q rows.
#[derive(Clone, Debug)]
pub(super) struct System {
    /// H
    features: usize,
    whitener: Whitener,
    /// M = S₀^(−½) A \[W_d, E Λ^½\], or R of its QR factorisation, (rows × H + q)
    matrix: Mat<f32>,
    /// Q, where there is one, (readings × rows)
    basis: Option<Mat<f32>>,
    /// S₀^(−½) A(b + ē), (readings)
    offset: Vec<f32>,
    /// M_Eᵀ M_E, (q × q)
    pub(super) gram: Mat<f64>,
}

/// A frame's readings in a system's coordinates.
#[derive(Clone, Debug, Default)]
pub(super) struct Readings {
    /// ỹ, or Qᵀỹ, (rows)
    pub(super) y: Vec<f32>,
    /// ‖ỹ‖² − ‖Qᵀỹ‖²: what no state can explain
    pub(super) outside: f64,
    /// readings that count
    pub(super) count: usize,
}

impl System {
    /// The columns of the head, (rows × H).
    pub(super) fn head(&self) -> MatRef<'_, f32> {
        self.matrix.as_ref().subcols(0, self.features)
    }

    /// The columns of the error, (rows × q).
    pub(super) fn error(&self) -> MatRef<'_, f32> {
        self.matrix
            .as_ref()
            .subcols(self.features, self.matrix.ncols() - self.features)
    }

    /// Whitens and projects readings y, (J·m).
    pub(super) fn project(&self, y: &[f32]) -> Readings {
        let mut whitened = vec![0.0; self.whitener.len()];
        self.whitener.apply(y, &mut whitened);
        whitened
            .iter_mut()
            .zip(&self.offset)
            .for_each(|(y, o)| *y -= o);
        let count = whitened.len();
        let Some(basis) = &self.basis else {
            return Readings {
                y: whitened,
                outside: 0.0,
                count,
            };
        };
        let energy = |v: &[f32]| v.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        let y: Vec<f32> = (0..basis.ncols())
            .map(|c| crate::prior::dot(basis.col_as_slice(c), &whitened))
            .collect();
        Readings {
            outside: (energy(&whitened) - energy(&y)).max(0.0),
            y,
            count,
        }
    }
}

/// Mᵀ M in f64, (cols × cols).
pub(super) fn symmetric_product(matrix: MatRef<'_, f32>) -> Mat<f64> {
    let mut product: Mat<f32> = Mat::zeros(matrix.ncols(), matrix.ncols());
    matmul(
        product.as_mut(),
        Accum::Replace,
        matrix.transpose(),
        matrix,
        1.0,
        Par::Seq,
    );
    Mat::from_fn(matrix.ncols(), matrix.ncols(), |r, c| {
        f64::from(product[(r, c)])
    })
}

fn whitened_columns(whitener: &Whitener, matrix: MatRef<'_, f32>) -> Mat<f32> {
    let mut out: Mat<f32> = Mat::zeros(whitener.len(), matrix.ncols());
    let mut column = vec![0.0; matrix.nrows()];
    for c in 0..matrix.ncols() {
        column
            .iter_mut()
            .zip(matrix.col(c).iter())
            .for_each(|(to, from)| *to = *from);
        whitener.apply(&column, out.col_as_slice_mut(c));
    }
    out
}

/// I_J ⊗ A, applied to images of J·n values.
struct Patterns<'a> {
    operator: &'a dyn Operator,
    scratch: Vec<f32>,
}

impl<'a> Patterns<'a> {
    fn new(operator: &'a dyn Operator) -> Self {
        Self {
            operator,
            scratch: vec![0.0; operator.scratch()],
        }
    }

    fn apply(&mut self, image: &[f32], out: &mut [f32]) {
        let (readings, pixels) = self.operator.shape();
        for (channel, out) in image
            .chunks_exact(pixels)
            .zip(out.chunks_exact_mut(readings))
        {
            self.operator.apply(channel, out, &mut self.scratch);
        }
    }

    fn image(&mut self, image: &[f32]) -> Vec<f32> {
        let (readings, pixels) = self.operator.shape();
        let mut out = vec![0.0; image.len() / pixels * readings];
        self.apply(image, &mut out);
        out
    }

    /// The images in the rows of `images`, as columns of readings.
    fn images(&mut self, images: &crate::prior::Matrix) -> Mat<f32> {
        let (readings, pixels) = self.operator.shape();
        let mut out: Mat<f32> = Mat::zeros(images.cols() / pixels * readings, images.rows());
        for r in 0..images.rows() {
            self.apply(images.row(r), out.col_as_slice_mut(r));
        }
        out
    }

    fn energy(&self, variance: &[f32]) -> Vec<f32> {
        let (readings, pixels) = self.operator.shape();
        let mut out = vec![0.0; variance.len() / pixels * readings];
        for (channel, out) in variance
            .chunks_exact(pixels)
            .zip(out.chunks_exact_mut(readings))
        {
            self.operator.row_energy(channel, out);
        }
        out
    }
}
