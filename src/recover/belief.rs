//! What is known of the state v = (u, c) before and after a frame: a Gaussian, carried from frame to frame.

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// Draws from a posterior that tell a pixel's variance, about ±35 % of it each on its own.
const DRAWS: usize = 8;

/// A Gaussian by its mean and precision, as the solver takes it.
#[derive(Clone, Debug)]
pub(super) struct Belief {
    /// (k + q)
    pub(super) mean: Vec<f64>,
    /// inverse covariance, (k + q × k + q)
    pub(super) precision: Mat<f64>,
}

/// A Gaussian by its mean and covariance, as a frame leaves it.
#[derive(Clone, Debug)]
pub(super) struct Posterior {
    /// (k + q)
    pub(super) mean: Vec<f64>,
    /// (k + q × k + q)
    pub(super) covariance: Mat<f64>,
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
            mean: vec![0.0; len],
            precision: Mat::from_fn(len, len, precision),
        }
    }

    /// The same beside readings whose errors have `error_scale` times the variance that they are whitened with: only
    /// ratios count, so that the belief grows stiffer instead of the readings weaker.
    pub(super) fn beside(mut self, error_scale: f64) -> Self {
        self.precision *= faer::Scale(error_scale);
        self
    }

    /// Nothing known at all: the theory's setting.
    pub(super) fn flat(len: usize) -> Self {
        Self {
            mean: vec![0.0; len],
            precision: Mat::zeros(len, len),
        }
    }
}

impl Posterior {
    /// From the normal equations at the estimate; `None` where they are singular.
    pub(super) fn new(mean: Vec<f64>, precision: &Mat<f64>) -> Option<Self> {
        Some(Self {
            mean,
            covariance: precision.llt(Side::Lower).ok()?.inverse(),
        })
    }

    /// From a solution beside readings with `error_scale` times their variance, see [`Belief::beside`].
    pub(super) fn of_scaled(mut self, error_scale: f64) -> Self {
        self.covariance *= faer::Scale(error_scale);
        self
    }

    /// Deviations from the mean, [`DRAWS`] of them, (k + q) each, flattened: always the same ones of the same posterior.
    /// Empty where the covariance is not positive definite.
    pub(super) fn draws(&self) -> Vec<f32> {
        let Ok(factor) = self.covariance.llt(Side::Lower) else {
            return vec![];
        };
        let len = self.mean.len();
        let mut white = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(0));
        let white = Mat::from_fn(len, DRAWS, |_, _| white.next().unwrap_or(0.0));
        let draws = factor.L() * white;
        (0..DRAWS)
            .flat_map(|d| {
                draws
                    .col_as_slice(d)
                    .iter()
                    .map(|&v: &f64| v as f32)
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// The belief `elapsed_s` seconds later: mean φ·v, covariance φ²P + (1 − φ²)P₀ with φ = exp(−Δt/τ) for each of the
    /// blocks u (of length `code`) and c, P₀ = diag(I, e²I) the prior's. Uncertainty grows with the time passed, and never
    /// beyond the prior's.
    pub(super) fn predict(
        &self,
        code: usize,
        elapsed_s: f64,
        time_constants_s: (f64, f64),
        error_scale: f64,
    ) -> Option<Belief> {
        let decay = |tau: f64| (-elapsed_s.abs() / tau).exp();
        let (code_decay, error_decay) = (decay(time_constants_s.0), decay(time_constants_s.1));
        let phi = |i: usize| if i < code { code_decay } else { error_decay };
        let len = self.mean.len();
        let phi: Vec<f64> = (0..len).map(phi).collect();
        let mut covariance = self.covariance.clone();
        for (c, &own) in phi.iter().enumerate() {
            let column = covariance.col_as_slice_mut(c);
            column
                .iter_mut()
                .zip(&phi)
                .for_each(|(p, phi)| *p *= phi * own);
            let most = if c < code { 1.0 } else { error_scale };
            column[c] += most * (1.0 - own * own); // what time adds
        }
        Some(Belief {
            mean: self.mean.iter().zip(&phi).map(|(m, phi)| phi * m).collect(),
            precision: covariance.llt(Side::Lower).ok()?.inverse(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_takes_a_posterior_back_to_the_prior() {
        let precision = Mat::from_fn(3, 3, |r, c| if r == c { 50.0 } else { 5.0 });
        let posterior = Posterior::new(vec![1.0, -2.0, 0.5], &precision).unwrap();
        let at_once = posterior.predict(2, 0.0, (1.0, 0.1), 1.0).unwrap();
        assert!(
            (at_once.mean[1] + 2.0).abs() < 1e-12 && (at_once.precision[(0, 1)] - 5.0).abs() < 1e-6
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
