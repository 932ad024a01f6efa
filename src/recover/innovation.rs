//! What a frame's innovation says of the time constants that it was predicted with.
//!
//! The innovation ν ~ N(0, Σ), Σ = H P⁻ Hᵀ + R. No reading is looked at again for the derivative of its likelihood: prediction
//! and posterior hold HᵀΣ⁻¹ν = Ω(v̂ − v⁻) and HᵀΣ⁻¹H = Ω − ΩPΩ, where Ω = (P⁻)⁻¹ and P is the posterior's covariance.
//! Products are in f32: a score is a statistic, whose own noise is greater by orders of magnitude.

use super::belief::{Belief, Posterior, single};
use super::grid::Grid;
use crate::pool::Buffer;
use faer::MatRef;
use std::ops::Range;

/// Δt/τ beyond which nothing of the last frame is left that could speak for a τ.
const FORGOTTEN: f64 = 20.0;

/// What a frame says of a time constant τ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lesson {
    /// ∂ ln p(ν)/∂ ln τ
    pub(super) score: f64,
    /// about the score's variance, were the model right
    pub(super) information: f64,
}

/// A warm frame's prediction and what came of it.
pub(super) struct Innovation<'a> {
    /// what the frame before left
    pub(super) last: &'a Posterior,
    /// the prediction, [beside](Belief::beside) the error scale
    pub(super) belief: &'a Belief,
    /// the solution, beside the error scale
    pub(super) posterior: &'a Posterior,
    /// e²
    pub(super) error_scale: f64,
}

impl Innovation<'_> {
    /// What it says of a factor on the time constants of u, of length `code`, and c; `elapsed` is Δt/τ of each. `None` where a
    /// posterior is singular.
    pub(super) fn lesson(&self, code: usize, elapsed: [f64; 2]) -> Option<Lesson> {
        let precision = single(self.belief.precision.as_ref());
        let covariance = self.posterior.covariance()?;
        let kept = Grid::product(covariance.as_ref(), precision.as_ref()); // PΩ
        let last = self.last.covariance()?;
        let blocks = [0..code, code..self.posterior.mean.len()];
        let most = [1.0, self.error_scale];
        let mut all = Lesson::default();
        for ((block, elapsed), most) in blocks.into_iter().zip(elapsed).zip(most) {
            if elapsed < FORGOTTEN {
                let lesson = self.block(block, elapsed, most, [&precision, &kept, &last]);
                all.score += lesson.score;
                all.information += lesson.information;
            }
        }
        Some(all)
    }

    /// Of one block's own: ∂v⁻ = δ D v⁻ and ∂P⁻ = δ (D P⁻ + P⁻ D − 2 D P₀), with δ = Δt/τ, D the identity on the block and
    /// P₀ = `most`·I the prior's covariance there, of e²Ω, PΩ and the covariance of the frame before.
    fn block(
        &self,
        block: Range<usize>,
        elapsed: f64,
        most: f64,
        [single, kept, last]: [&Grid<f32>; 3],
    ) -> Lesson {
        let precision = &self.belief.precision; // e²Ω
        let (mean, predicted) = (&self.posterior.mean, &self.belief.mean);
        let pairs = mean.iter().zip(predicted.iter());
        let away: Buffer<f64> = pairs.map(|(v, m)| v - m).collect();
        let kept_here = kept.as_ref().subcols(block.start, block.len());
        let known = Grid::product(single.as_ref().subrows(block.start, block.len()), kept_here); // e²ΩPΩ
        let mut score = 0.0;
        for (at, i) in block.clone().enumerate() {
            let pairs = precision.column(i).iter().zip(away.iter());
            let force = pairs.map(|(p, d)| p * d).sum::<f64>() / self.error_scale; // HᵀΣ⁻¹ν
            let gained = (precision[(i, i)] - f64::from(known[(at, at)])) / self.error_scale; // HᵀΣ⁻¹H
            score += force * mean[i] - most * force * force;
            score += most * gained - (1.0 - f64::from(kept[(i, i)]));
        }
        Lesson {
            score: elapsed * score,
            information: self.information(block, elapsed, most, [known.as_ref(), last.as_ref()]),
        }
    }

    /// ½ tr((Σ⁻¹ ∂Σ)²) of what ∂P⁻ holds within the block.
    fn information(
        &self,
        block: Range<usize>,
        elapsed: f64,
        most: f64,
        [known, last]: [MatRef<'_, f32>; 2],
    ) -> f64 {
        let (start, size) = (block.start, block.len());
        let growth = 2.0 * elapsed * (-2.0 * elapsed).exp();
        let precision = self.belief.precision.as_ref();
        let mut gained = single(precision.submatrix(start, start, size, size));
        for (gained, known) in gained.columns_mut().zip(known.col_iter()) {
            let pairs = gained.iter_mut().zip(known.iter());
            pairs.for_each(|(gained, known)| *gained -= known);
        }
        gained.scale(self.error_scale.recip() as f32);
        let mut moved = Grid::of(last.submatrix(start, start, size, size), |v| v);
        (0..size).for_each(|i| moved[(i, i)] -= most as f32);
        let change = Grid::product(gained.as_ref(), moved.as_ref());
        let row = |r: usize| {
            let column = change.column(r).iter().enumerate();
            column
                .map(|(c, v)| f64::from(v * change[(r, c)]))
                .sum::<f64>()
        };
        0.5 * growth * growth * (0..size).map(row).sum::<f64>()
    }
}

/// What readings say of the rest's time constant: `carried` is what they show of the rest of the frame before, and `left` what
/// the solution beside it leaves of them, both whitened; `elapsed` is Δt/τ.
pub(super) fn rest_lesson(carried: &[f32], left: &[f32], elapsed: f64, error_scale: f64) -> Lesson {
    let along = |a: &[f32], b: &[f32]| f64::from(crate::simd::dot(a, b));
    Lesson {
        score: elapsed * along(carried, left) / error_scale,
        information: elapsed * elapsed * along(carried, carried) / error_scale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faer::linalg::solvers::Solve;
    use faer::{Mat, Side};

    /// u of two values and c of one, four readings whose errors have e² = 2.
    const SCALE: f64 = 2.0;
    const ELAPSED_S: f64 = 0.2;

    fn seen() -> Mat<f64> {
        Mat::from_fn(4, 3, |r, c| ((3 * r + 2 * c) as f64).sin())
    }

    fn last() -> Posterior {
        Posterior {
            mean: vec![0.8, -0.4, 1.1].into(),
            precision: Grid::from_fn(3, 3, |r, c| if r == c { 4.0 } else { 0.5 }),
        }
    }

    fn predict() -> Belief {
        last().predict(2, ELAPSED_S, (1.5, 0.7), SCALE).unwrap()
    }

    /// ln p(ν) up to a constant, by the definition, of time constants `factor` times as long.
    fn likelihood(factor: f64, y: &Mat<f64>) -> f64 {
        let (seen, last) = (seen(), last());
        let phi = |i: usize| (-ELAPSED_S / (factor * if i < 2 { 1.5 } else { 0.7 })).exp();
        let mean = Mat::from_fn(3, 1, |r, _| phi(r) * last.mean[r]);
        let nothing: Mat<f64> = Mat::identity(3, 3);
        let before = last.precision.as_ref().llt(Side::Lower).unwrap();
        let before = before.solve(&nothing);
        let covariance = Mat::from_fn(3, 3, |r, c| {
            let most = if r < 2 { 1.0 } else { SCALE };
            let added = if r == c {
                most * (1.0 - phi(r) * phi(r))
            } else {
                0.0
            };
            phi(r) * before[(r, c)] * phi(c) + added
        });
        let errors = Mat::from_fn(4, 4, |r, c| if r == c { SCALE } else { 0.0 });
        let spread = &seen * covariance * seen.transpose() + errors;
        let innovation = y - &seen * mean;
        let chi = innovation.transpose() * spread.llt(Side::Lower).unwrap().solve(&innovation);
        -0.5 * (chi[(0, 0)] + spread.determinant().ln())
    }

    #[test]
    fn the_score_is_the_likelihoods_derivative() {
        let y = Mat::from_fn(4, 1, |r, _| [1.0, -2.0, 0.3, 1.7][r]);
        let belief = predict().beside(SCALE);
        let seen = seen();
        let normal = seen.transpose() * &seen + belief.precision.as_ref();
        let mean = Mat::from_fn(3, 1, |r, _| belief.mean[r]);
        let right = seen.transpose() * &y + belief.precision.as_ref() * mean;
        let state = normal.llt(Side::Lower).unwrap().solve(&right);
        let posterior = Posterior {
            mean: (0..3).map(|i| state[(i, 0)]).collect(),
            precision: Grid::of(normal.as_ref(), |v| v),
        };
        let innovation = Innovation {
            last: &last(),
            belief: &belief,
            posterior: &posterior,
            error_scale: SCALE,
        };
        let lesson = innovation
            .lesson(2, [ELAPSED_S / 1.5, ELAPSED_S / 0.7])
            .unwrap();
        let step = 1e-4f64;
        let slope = (likelihood(step.exp(), &y) - likelihood((-step).exp(), &y)) / (2.0 * step);
        assert!(
            (lesson.score - slope).abs() < 1e-4 * slope.abs().max(1.0),
            "{} instead of {slope}",
            lesson.score
        );
        assert!(lesson.information > 0.0);
    }

    #[test]
    fn a_rest_that_stays_asks_for_longer() {
        let carried = [0.5, -1.0, 0.2];
        let more = carried.map(|v| 0.3 * v);
        let less = carried.map(|v| -0.3 * v);
        assert!(rest_lesson(&carried, &more, 0.1, 1.0).score > 0.0);
        assert!(rest_lesson(&carried, &less, 0.1, 1.0).score < 0.0);
        assert_eq!(rest_lesson(&carried, &less, 0.0, 1.0), Lesson::default());
    }
}
