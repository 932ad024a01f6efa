//! Where a frame starts that nothing is known of.

use super::solve::{Problem, Solution, StopReason};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// The best that `descend` makes of several starts, each taken with the sign of lower cost; stops early at a cost of
/// `content`, and when the deadline nears.
pub(super) fn lowest(
    problem: &Problem<'_>,
    starts: impl Iterator<Item = Vec<f32>>,
    descend: impl Fn(&[f32]) -> Solution,
    content: f64,
) -> Option<Solution> {
    let mut best: Option<Solution> = None;
    let mut iterations = 0;
    for start in starts {
        let negative: Vec<f32> = start.iter().map(|u| -u).collect();
        let first = if problem.cost_at(&negative) < problem.cost_at(&start) {
            negative
        } else {
            start
        };
        let solution = descend(&first);
        iterations += solution.iterations;
        if best.as_ref().is_none_or(|best| solution.cost < best.cost) {
            best = Some(solution);
        }
        let enough = |best: &Solution| best.cost <= content || best.stop == StopReason::Deadline;
        if best.as_ref().is_some_and(enough) {
            break;
        }
    }
    best.map(|best| Solution { iterations, ..best })
}

/// Codes drawn from N(0, I), always the same.
pub(super) fn random_codes(k: usize, count: usize) -> impl Iterator<Item = Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    (0..count).map(move |_| StandardNormal.sample_iter(&mut rng).take(k).collect())
}
