//! What is known of the state v = (u, c) before and after a frame: a Gaussian, carried from frame to frame.

use super::grid::Grid;
use super::inverse::inverse;
use crate::pool::Buffer;
use crate::simd::kernel;
use faer::linalg::triangular_solve::solve_upper_triangular_in_place;
use faer::{MatRef, Par};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// Draws from a posterior that tell a pixel's variance, about ±35 % of it each on its own.
const DRAWS: usize = 8;
/// Least share of the prior's variance that time adds: less is nothing to divide by.
const LEAST_GROWTH: f64 = 1e-4;

/// A Gaussian by its mean and precision, as the solver takes it.
#[derive(Clone, Debug)]
pub(super) struct Belief {
    /// (k + q)
    pub(super) mean: Buffer<f64>,
    /// inverse covariance, (k + q × k + q)
    pub(super) precision: Grid<f64>,
}

/// A Gaussian by its mean and precision, as a frame leaves it.
#[derive(Clone, Debug)]
pub(super) struct Posterior {
    /// (k + q)
    pub(super) mean: Buffer<f64>,
    /// H, inverse covariance, (k + q × k + q): the normal equations at the estimate
    pub(super) precision: Grid<f64>,
}

impl Belief {
    /// What the prior says of any scene whose error has `error_scale` times its usual variance: u ~ N(0, I) of length
    /// `code`, c ~ N(0, e²I).
    pub(super) fn prior(code: usize, len: usize, error_scale: f64) -> Self {
        let precision = |r: usize, c| match (r == c, r < code) {
            (false, _) => 0.0,
            (true, true) => 1.0,
            (true, false) => 1.0 / error_scale,
        };
        Self {
            mean: Buffer::zeros(len),
            precision: Grid::from_fn(len, len, precision),
        }
    }

    /// The same beside readings whose errors have `error_scale` times the variance that they are whitened with: only
    /// ratios count, so that the belief grows stiffer instead of the readings weaker.
    pub(super) fn beside(mut self, error_scale: f64) -> Self {
        self.precision.scale(error_scale);
        self
    }

    /// What is known after a frame that told nothing.
    pub(super) fn unmoved(&self) -> Posterior {
        Posterior {
            mean: self.mean.clone(),
            precision: self.precision.clone(),
        }
    }

    /// The code to start from, of length `code`: the mean.
    pub(super) fn start(&self, code: usize) -> Buffer<f32> {
        self.mean[..code].iter().map(|&m| m as f32).collect()
    }

    /// Nothing known at all: the theory's setting.
    pub(super) fn flat(len: usize) -> Self {
        Self {
            mean: Buffer::zeros(len),
            precision: Grid::zeros(len, len),
        }
    }
}

impl Posterior {
    /// From a solution beside readings with `error_scale` times their variance, see [`Belief::beside`].
    pub(super) fn of_scaled(mut self, error_scale: f64) -> Self {
        self.precision.scale(error_scale.recip());
        self
    }

    /// (k + q × k + q); `None` where the precision is singular.
    pub(super) fn covariance(&self) -> Option<Grid<f32>> {
        inverse(&single(self.precision.as_ref()))
    }

    /// Deviations from the mean, [`DRAWS`] of them, (k + q) each, flattened: always the same ones of the same posterior.
    /// Empty where the precision is not positive definite.
    pub(super) fn draws(&self) -> Buffer<f32> {
        let Some(factor) = self.precision.clone().cholesky() else {
            return Buffer::default();
        };
        let mut white = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(0));
        let mut draws = Grid::from_fn(self.mean.len(), DRAWS, |_, _| white.next().unwrap_or(0.0));
        solve_upper_triangular_in_place(factor.lower().transpose(), draws.as_mut(), Par::Seq);
        draws.values().iter().map(|&v: &f64| v as f32).collect()
    }

    /// The belief `elapsed_s` seconds later: mean φ·v, covariance φ²P + Q with φ = exp(−Δt/τ) for each of the blocks u (of
    /// length `code`) and c, and Q = (1 − φ²)P₀, P₀ = diag(I, e²I) the prior's. Uncertainty grows with the time passed, and
    /// never beyond the prior's.
    ///
    /// Its precision is Q⁻¹ − Q⁻¹Φ (H + ΦQ⁻¹Φ)⁻¹ ΦQ⁻¹ by Woodbury's identity: one inverse, of a matrix that is conditioned far
    /// better than H, so that f32 holds it.
    pub(super) fn predict(
        &self,
        code: usize,
        elapsed_s: f64,
        time_constants_s: (f64, f64),
        error_scale: f64,
    ) -> Option<Belief> {
        let block = |tau: f64, most: f64| {
            let phi = (-elapsed_s / tau).exp();
            let added = most * (1.0 - phi * phi).max(LEAST_GROWTH);
            (phi, added.recip())
        };
        let (of_code, of_error) = (
            block(time_constants_s.0, 1.0),
            block(time_constants_s.1, error_scale),
        );
        let len = self.mean.len();
        let at = |i: usize| if i < code { of_code } else { of_error };
        let mut known = single(self.precision.as_ref());
        for i in 0..len {
            let (phi, added) = at(i);
            known[(i, i)] += (phi * phi * added) as f32;
        }
        let covariance = inverse(&known)?;
        let shares: Buffer<f64> = (0..len).map(|i| at(i).0 * at(i).1).collect();
        let mut precision = Grid::zeros(len, len);
        for (c, column) in precision.columns_mut().enumerate() {
            scale_by(covariance.column(c), -shares[c], &shares, column);
            column[c] += at(c).1;
        }
        let mean = self.mean.iter().enumerate();
        Some(Belief {
            mean: mean.map(|(i, m)| at(i).0 * m).collect(),
            precision,
        })
    }
}

kernel! {
    /// out ← factor · v ∘ factors.
    fn scale_by<'a>(v: &'a [f32], factor: f64, factors: &'a [f64], out: &'a mut [f64]) {
        for ((out, v), other) in out.iter_mut().zip(v).zip(factors) {
            *out = f64::from(*v) * (factor * other);
        }
    }
}

pub(super) fn single(matrix: MatRef<'_, f64>) -> Grid<f32> {
    Grid::of(matrix, |v| v as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_takes_a_posterior_back_to_the_prior() {
        let precision = Grid::from_fn(3, 3, |r, c| if r == c { 50.0 } else { 5.0 });
        let mean = vec![1.0, -2.0, 0.5].into();
        let posterior = Posterior { mean, precision };
        let at_once = posterior.predict(2, 0.0, (1.0, 0.1), 1.0).unwrap();
        let along = |eigenvalue: f64| eigenvalue / (1.0 + LEAST_GROWTH * eigenvalue);
        let grown = (along(60.0) - along(45.0)) / 3.0; // (P + Q)⁻¹ of H = 45 I + 5, a matrix of fives
        assert!(
            (at_once.mean[1] + 2.0).abs() < 1e-12
                && (at_once.precision[(0, 1)] - grown).abs() < 1e-3
        );
        let soon = posterior.predict(2, 0.1, (1.0, 0.1), 1.0).unwrap();
        assert!(soon.precision[(0, 0)] < 50.0 && soon.precision[(0, 0)] > 1.0);
        assert!(
            soon.mean[0] > 0.9 && soon.mean[2] < 0.2,
            "each block has its own time constant"
        );
        let late = posterior.predict(2, 1e3, (1.0, 0.1), 1.0).unwrap();
        assert!(late.mean[0].abs() < 1e-9 && (late.precision[(2, 2)] - 1.0).abs() < 1e-9);
    }
}
