//! First-order solvers as others published them, on the same cost: what Levenberg–Marquardt is held against.

use super::solve::{Limits, Point, Problem, Solution, StopReason, moved, negligible};
use crate::prior::Activations;
use serde::{Deserialize, Serialize};

/// What searches for the code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Solver {
    /// with the exact Jacobian, and carried from frame to frame
    #[default]
    LevenbergMarquardt,
    /// subgradient steps, each from the better of u and −u, from one random code (Huang, Hand, Heckel & Voroninski 2018,
    /// algorithm 1); each frame by itself
    Subgradient,
    /// Adam from several random codes (Bora, Jalal, Price & Dimakis 2017, section 6); each frame by itself
    Adam,
}

/// How the first-order solvers run; the defaults are those of their authors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FirstOrder {
    /// most gradients computed for one start
    pub steps: usize,
    /// random codes that Adam starts from
    pub restarts: usize,
    /// Adam's step, in standard deviations of a code
    pub adam_rate: f64,
    /// subgradient steps start from the better of u and −u
    pub negation: bool,
}

impl Default for FirstOrder {
    fn default() -> Self {
        Self {
            steps: 1000,
            restarts: 10,
            adam_rate: 0.1,
            negation: true,
        }
    }
}

/// Decay of Adam's two moments, and what keeps their quotient finite (Kingma & Ba 2015, algorithm 1).
const ADAM: (f64, f64, f64) = (0.9, 0.999, 1e-8);

impl Solver {
    /// Descends from `start`, (k). What is not Levenberg–Marquardt leaves no posterior, so that no frame speaks for the next,
    /// and takes the cost at its start for the innovation.
    pub(super) fn descend(
        self,
        problem: &Problem<'_>,
        start: &[f32],
        limits: Limits,
        first_order: FirstOrder,
    ) -> Solution {
        match self {
            Self::LevenbergMarquardt => problem.descend(start, limits),
            Self::Subgradient => subgradient(problem, start, first_order),
            Self::Adam => adam(problem, start, first_order),
        }
    }
}

/// u ← ū − ν ∂cost(ū), ū the better of u and −u.
///
/// The paper's ν = K₁ 2^d/d² is for Gaussian weights; here it is one over the largest curvature at the start, which on those
/// networks is of this size, and is halved where a step raises the cost: a trained prior is not curved alike everywhere.
fn subgradient(problem: &Problem<'_>, start: &[f32], settings: FirstOrder) -> Solution {
    let (at, mirrored) = (&mut Activations::default(), &mut Activations::default());
    let mut point = problem.evaluate(start.into(), at);
    let first = point.cost;
    let curvature = problem.curvature(&point, at).unwrap_or(1.0);
    let mut rate = 1.0 / curvature.max(f64::MIN_POSITIVE);
    let (mut iterations, mut stop) = (0, StopReason::Iterations);
    while iterations < settings.steps {
        iterations += 1;
        if settings.negation {
            let negative = problem.evaluate(point.u.iter().map(|u| -u).collect(), mirrored);
            if negative.cost < point.cost {
                point = negative;
                std::mem::swap(at, mirrored);
            }
        }
        let gradient = problem.gradient(&point, at);
        let next = loop {
            let step: Vec<f64> = gradient.iter().map(|g| -rate * g).collect();
            if negligible(&step, &point.u) {
                break None;
            }
            let next = problem.evaluate(moved(&point.u, &step), at);
            if next.cost <= point.cost {
                break Some(next);
            }
            rate *= 0.5;
        };
        let Some(next) = next else {
            stop = StopReason::Converged;
            break;
        };
        point = next;
    }
    solution(&point, first, iterations, stop)
}

/// Adam, without the bias of its first moments; the best code on its way counts.
fn adam(problem: &Problem<'_>, start: &[f32], settings: FirstOrder) -> Solution {
    let (decay_first, decay_second, tiny) = ADAM;
    let at = &mut Activations::default();
    let mut point = problem.evaluate(start.into(), at);
    let first = point.cost;
    let mut best = point.clone();
    let mut moments = vec![(0.0, 0.0); start.len()];
    for iteration in 1..=settings.steps {
        let gradient = problem.gradient(&point, at);
        let unbias = |decay: f64| 1.0 - decay.powf(iteration as f64);
        let (unbias_first, unbias_second) = (unbias(decay_first), unbias(decay_second));
        let step: Vec<f64> = moments
            .iter_mut()
            .zip(&gradient)
            .map(|((mean, square), g)| {
                *mean = decay_first * *mean + (1.0 - decay_first) * g;
                *square = decay_second * *square + (1.0 - decay_second) * g * g;
                -settings.adam_rate * (*mean / unbias_first)
                    / ((*square / unbias_second).sqrt() + tiny)
            })
            .collect();
        point = problem.evaluate(moved(&point.u, &step), at);
        if point.cost < best.cost {
            best.clone_from(&point);
        }
    }
    solution(&best, first, settings.steps, StopReason::Iterations)
}

fn solution(point: &Point, first: f64, iterations: usize, stop: StopReason) -> Solution {
    Solution {
        posterior: None,
        state: point.state(),
        cost: point.cost,
        innovation: first,
        iterations,
        stop,
    }
}
