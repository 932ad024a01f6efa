//! Linear estimates from second moments: x ≈ x̄ + V s, s ~ N(0, Σ), the closed form of any A.

use super::columns::Columns;
use super::fuse::{Patterns, symmetric_product};
use super::grid::Grid;
use super::model::eight_bits_of;
use super::rest::{Rest, Spread};
use super::whiten::Whitener;
use crate::frame::Measurement;
use crate::prior::{Matrix, SecondMoments};
use crate::sensing::Operator;
use faer::{Mat, MatRef};

/// Largest pattern set whose readings are whitened together: beyond it each frame would wait for that, and it gains nothing.
const MOST_FULL: usize = 512;

/// Second moments of frames: x̄ and V, Σ of x ≈ x̄ + V s, the covariance of s and the whitened code, and what V leaves over.
#[derive(Debug)]
pub(super) struct FrameMoments {
    /// x̄, (J·n)
    pub(super) mean: Vec<f32>,
    /// V, r images
    pub(super) directions: Columns,
    /// diagonal of Σ, (r)
    pub(super) variances: Vec<f32>,
    /// C, (k × r)
    cross: Matrix,
    /// variance that V leaves over, (J·n)
    pub(super) remainder: Vec<f32>,
}

impl FrameMoments {
    /// Those that a prior carries, whose directions are as small as they are stored.
    pub(super) fn new(moments: &SecondMoments) -> Self {
        let all = &moments.directions;
        let units = (0..all.rows()).map(|r| eight_bits_of(all.row(r)));
        let stored = (vec![1.0; all.cols()], units.collect());
        let directions = Columns::stored(stored, all.rows(), |i, values| {
            let values = values.iter_mut().enumerate();
            values.for_each(|(r, v)| *v = all.row(r)[i]);
        });
        Self {
            mean: moments.mean.clone(),
            directions,
            variances: moments.variances.clone(),
            cross: moments.cross.clone(),
            remainder: moments.remainder.clone(),
        }
    }

    /// E\[u | s\] = C Σ⁻¹ s, (k).
    pub(super) fn code(&self, mut s: Vec<f32>) -> Vec<f32> {
        let scores = s.iter_mut().zip(&self.variances);
        scores.for_each(|(s, v)| *s /= v);
        let mut u = vec![0.0; self.cross.rows()];
        self.cross.apply(&s, &mut u);
        u
    }
}

/// The second moments seen through a pattern set.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    /// A V, (J·m × r)
    matrix: Mat<f32>,
    /// A x̄, (J·m)
    offset: Vec<f32>,
    /// covariance that what V leaves over puts on the readings
    spread: Spread,
}

impl Linear {
    /// With the first `directions` of the moments; the others count as what they leave over, which is taken as white.
    pub(super) fn new(moments: &FrameMoments, directions: usize, operator: &dyn Operator) -> Self {
        let variance = left_over(moments, directions);
        let pixels = operator.shape().1;
        let rest = Rest::white(variance, moments.mean.len() / pixels, pixels);
        let spread = Spread::Apart(rest.energy(operator));
        Self::of(moments, directions, spread, operator)
    }

    /// The same, but what is left over is correlated from pixel to pixel as `rest` is.
    pub(super) fn correlated(
        moments: &FrameMoments,
        directions: usize,
        rest: &Rest,
        operator: &dyn Operator,
    ) -> Self {
        let rest = rest.with_variance(left_over(moments, directions));
        let spread = if operator.shape().0 > MOST_FULL {
            Spread::Apart(rest.energy(operator))
        } else {
            rest.spread(operator)
        };
        Self::of(moments, directions, spread, operator)
    }

    fn of(
        moments: &FrameMoments,
        directions: usize,
        spread: Spread,
        operator: &dyn Operator,
    ) -> Self {
        let mut patterns = Patterns::new(operator);
        Self {
            matrix: patterns.images(&moments.directions, directions),
            offset: patterns.image(&moments.mean),
            spread,
        }
    }

    /// Mean square of each reading of the images that the moments are of, (J·m).
    pub(super) fn energy(&self, moments: &FrameMoments) -> Vec<f32> {
        let mut energy = self.remainder();
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
    pub(super) fn remainder(&self) -> Vec<f32> {
        self.spread.variances()
    }

    /// A x̄, (J·m).
    pub(super) fn offset(&self) -> &[f32] {
        &self.offset
    }

    /// ŝ, (r): (Σ⁻¹ + (AV)ᵀ N⁻¹ AV) ŝ = (AV)ᵀ N⁻¹ (y − A x̄). `None` where the noise is not positive definite.
    fn scores(
        &self,
        moments: &FrameMoments,
        noise: &[f32],
        measurement: &Measurement,
    ) -> Option<Vec<f32>> {
        let Measurement {
            gain, missing, y, ..
        } = measurement;
        let whitener = Whitener::new(&self.spread, noise, *gain, missing)?;
        let matrix = whitener.apply_matrix(self.matrix.as_ref());
        let centred: Vec<f32> = y.iter().zip(&self.offset).map(|(y, o)| y - o).collect();
        let [readings] = whitener.apply([&centred]);
        let mut normal = symmetric_product(matrix.as_ref());
        let variances = moments.variances.iter().take(matrix.ncols());
        variances
            .enumerate()
            .for_each(|(i, v)| normal[(i, i)] += 1.0 / f64::from(*v));
        let mut scores = Grid::from_fn(matrix.ncols(), 1, |c, _| {
            let column = matrix.col_as_slice(c).iter().zip(&readings);
            column
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum::<f64>()
        });
        normal.cholesky()?.solve(scores.as_mut());
        Some(scores.values().iter().map(|v| *v as f32).collect())
    }

    /// E\[u | y\] = C Σ⁻¹ ŝ, (k), with C the covariance of u and s.
    pub(super) fn code(
        &self,
        moments: &FrameMoments,
        noise: &[f32],
        measurement: &Measurement,
    ) -> Option<Vec<f32>> {
        self.scores(moments, noise, measurement)
            .map(|scores| moments.code(scores))
    }

    /// E\[x | y\] = x̄ + V ŝ, (J·n).
    pub(super) fn image(
        &self,
        moments: &FrameMoments,
        noise: &[f32],
        measurement: &Measurement,
    ) -> Option<Vec<f32>> {
        let scores = self.scores(moments, noise, measurement)?;
        let mut image = moments.mean.clone();
        let mut direction = vec![0.0; image.len()];
        for (r, score) in scores.iter().enumerate() {
            moments.directions.image(r, &mut direction);
            let direction = image.iter_mut().zip(&direction);
            direction.for_each(|(x, v)| *x += score * v);
        }
        Some(image)
    }
}

/// Variance that the first `directions` leave over, (J·n).
pub(super) fn left_over(moments: &FrameMoments, directions: usize) -> Vec<f32> {
    let all = &moments.directions;
    let mut variance = moments.remainder.clone();
    let mut direction = vec![0.0; variance.len()];
    for r in directions.min(all.count())..all.count() {
        all.image(r, &mut direction);
        let direction = variance.iter_mut().zip(&direction);
        direction.for_each(|(rest, v)| *rest += moments.variances[r] * v * v);
    }
    variance
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensing::Hadamard;
    use faer::Side;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    const SIDE: usize = 16;
    const PIXELS: usize = SIDE * SIDE;

    /// One direction of variance 4, a smooth bump, and 0.5 of variance left over in each pixel.
    fn moments() -> FrameMoments {
        let bump = |i: usize| (-((i / SIDE) as f32 - 7.0).powi(2) / 20.0).exp();
        let length = (0..PIXELS).map(|i| bump(i).powi(2)).sum::<f32>().sqrt();
        let direction = (0..PIXELS).map(|i| bump(i) / length).collect();
        FrameMoments::new(&SecondMoments {
            mean: vec![0.0; PIXELS],
            directions: Matrix::new(1, PIXELS, direction),
            variances: vec![4.0],
            remainder: vec![0.5; PIXELS],
            cross: Matrix::new(1, 1, vec![0.0]),
        })
    }

    #[test]
    fn what_is_left_over_misleads_less_where_its_correlation_is_known() {
        const FRAMES: usize = 200;
        let moments = moments();
        let pattern = Hadamard::variable_density(SIDE, SIDE, 20, 1).unwrap();
        let smooth = Rest::new(vec![0.5; PIXELS], vec![[0.9, 0.9]], SIDE);
        let white = Rest::white(vec![0.5; PIXELS], 1, SIDE);
        let linears = [
            Linear::new(&moments, 1, &pattern),
            Linear::correlated(&moments, 1, &white, &pattern),
            Linear::correlated(&moments, 1, &smooth, &pattern),
        ];
        let Spread::Together(covariance) = smooth.spread(&pattern) else {
            panic!("20 readings are few");
        };
        let factor = covariance[0].llt(Side::Lower).unwrap();
        let mut random = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(1));
        let mut draw = move || -> f32 { random.next().unwrap() };
        let mut errors = [0.0f32; 3];
        for _ in 0..FRAMES {
            let truth = 2.0 * draw();
            let left = factor.L() * Mat::from_fn(20, 1, |_, _| draw());
            let seen = linears[0].matrix().col(0);
            let measurement = Measurement {
                gain: 1e-4,
                y: (0..20).map(|j| truth * seen[j] + left[(j, 0)]).collect(),
                ..Measurement::default()
            };
            let found = linears.each_ref().map(|linear| {
                let scores = linear.scores(&moments, &[1.0], &measurement).unwrap();
                (scores[0] - truth).powi(2)
            });
            assert!((found[0] - found[1]).abs() < 1e-3 * (1.0 + found[0])); // the same model
            errors.iter_mut().zip(found).for_each(|(sum, e)| *sum += e);
        }
        assert!(errors[2] < 0.8 * errors[0], "{errors:?}");
    }
}
