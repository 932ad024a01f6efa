//! Linear estimates from second moments: x ≈ x̄ + V s, s ~ N(0, Σ), the closed form of any A.

use super::fuse::{Patterns, add_columns, symmetric_product};
use super::rest::{Rest, Spread};
use super::whiten::Whitener;
use crate::frame::Measurement;
use crate::prior::{Matrix, SecondMoments};
use crate::sensing::Operator;
use faer::linalg::solvers::Solve;
use faer::{Mat, MatRef, Side};

/// The second moments seen through a pattern set.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    /// A V, (J·m × r)
    matrix: Mat<f32>,
    /// A x̄, (J·m)
    offset: Vec<f32>,
    /// variance that what V leaves over puts on each reading
    spread: Spread,
}

impl Linear {
    /// With the first `directions` of the moments; the others count as what they leave over.
    pub(super) fn new(moments: &SecondMoments, directions: usize, operator: &dyn Operator) -> Self {
        let mut patterns = Patterns::new(operator);
        let (kept, variance) = split(moments, directions);
        let pixels = operator.shape().1;
        let rest = Rest::white(variance, moments.mean.len() / pixels, pixels);
        Self {
            matrix: patterns.images(&kept),
            offset: patterns.image(&moments.mean),
            spread: Spread::Apart(rest.energy(operator)),
        }
    }

    /// Mean square of each reading of the images that the moments are of, (J·m).
    pub(super) fn energy(&self, moments: &SecondMoments) -> Vec<f32> {
        let mut energy = self.remainder().to_vec();
        let directions = (0..self.matrix.ncols())
            .map(|c| (self.matrix.col_as_slice(c), moments.variances[c]))
            .chain([(self.offset.as_slice(), 1.0)]);
        for (readings, variance) in directions {
            let squares = energy.iter_mut().zip(readings);
            squares.for_each(|(energy, y)| *energy += variance * y * y);
        }
        energy
    }

    /// A V, (J·m × r).
    pub(super) fn matrix(&self) -> MatRef<'_, f32> {
        self.matrix.as_ref()
    }

    /// Variance that what V leaves over puts on each reading, (J·m).
    pub(super) fn remainder(&self) -> &[f32] {
        match &self.spread {
            Spread::Apart(variance) => variance,
            Spread::Together(_) => &[],
        }
    }

    /// A x̄, (J·m).
    pub(super) fn offset(&self) -> &[f32] {
        &self.offset
    }

    /// A E\[x | y\], (J·m).
    pub(super) fn readings(
        &self,
        moments: &SecondMoments,
        noise: &[f32],
        measurement: &Measurement,
    ) -> Option<Vec<f32>> {
        let scores = self.scores(moments, noise, measurement)?;
        let mut readings = self.offset.clone();
        add_columns(self.matrix.as_ref(), scores.into_iter(), &mut readings);
        Some(readings)
    }

    /// ŝ, (r): (Σ⁻¹ + (AV)ᵀ N⁻¹ AV) ŝ = (AV)ᵀ N⁻¹ (y − A x̄). `None` where the noise is not positive definite.
    fn scores(
        &self,
        moments: &SecondMoments,
        noise: &[f32],
        measurement: &Measurement,
    ) -> Option<Vec<f32>> {
        let Measurement {
            gain, missing, y, ..
        } = measurement;
        let whitener = Whitener::new(&self.spread, noise, *gain, missing)?;
        let matrix = whitener.apply_columns(self.matrix.as_ref());
        let centred: Vec<f32> = y.iter().zip(&self.offset).map(|(y, o)| y - o).collect();
        let mut readings = vec![0.0; whitener.len()];
        whitener.apply(&centred, &mut readings);
        let mut normal = symmetric_product(matrix.as_ref());
        let variances = moments.variances.iter().take(matrix.ncols());
        variances
            .enumerate()
            .for_each(|(i, v)| normal[(i, i)] += 1.0 / f64::from(*v));
        let right = Mat::from_fn(matrix.ncols(), 1, |c, _| {
            let column = matrix.col_as_slice(c).iter().zip(&readings);
            column
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum::<f64>()
        });
        let scores = normal.llt(Side::Lower).ok()?.solve(&right);
        Some((0..matrix.ncols()).map(|i| scores[(i, 0)] as f32).collect())
    }

    /// E\[u | y\] = C Σ⁻¹ ŝ, (k), with C the covariance of u and s.
    pub(super) fn code(
        &self,
        moments: &SecondMoments,
        noise: &[f32],
        measurement: &Measurement,
    ) -> Option<Vec<f32>> {
        let mut scores = self.scores(moments, noise, measurement)?;
        let variances = scores.iter_mut().zip(&moments.variances);
        variances.for_each(|(s, v)| *s /= v);
        let mut u = vec![0.0; moments.cross.rows()];
        moments.cross.apply(&scores, &mut u);
        Some(u)
    }

    /// E\[x | y\] = x̄ + V ŝ, (J·n).
    pub(super) fn image(
        &self,
        moments: &SecondMoments,
        noise: &[f32],
        measurement: &Measurement,
    ) -> Option<Vec<f32>> {
        let scores = self.scores(moments, noise, measurement)?;
        let mut image = moments.mean.clone();
        for (r, score) in scores.iter().enumerate() {
            let direction = image.iter_mut().zip(moments.directions.row(r));
            direction.for_each(|(x, v)| *x += score * v);
        }
        Some(image)
    }
}

/// The first directions, and the variance that they leave over, (J·n).
pub(super) fn split(moments: &SecondMoments, directions: usize) -> (Matrix, Vec<f32>) {
    let all = &moments.directions;
    let kept = directions.min(all.rows());
    let mut variance = moments.remainder.clone();
    for r in kept..all.rows() {
        let direction = variance.iter_mut().zip(all.row(r));
        direction.for_each(|(rest, v)| *rest += moments.variances[r] * v * v);
    }
    let data = all.data()[..kept * all.cols()].to_vec();
    (Matrix::new(kept, all.cols(), data), variance)
}
