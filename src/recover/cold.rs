//! Where a frame starts that nothing is known of.

use super::solve::{Limits, Problem, Solution};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// The best of several starts, each taken with the sign of lower cost; stops early at a cost of `content`.
pub(super) fn lowest(
    problem: &Problem<'_>,
    starts: impl Iterator<Item = Vec<f32>>,
    limits: Limits,
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
        let solution = problem.descend(&first, limits);
        iterations += solution.iterations;
        if best.as_ref().is_none_or(|best| solution.cost < best.cost) {
            best = Some(solution);
        }
        if best.as_ref().is_some_and(|best| best.cost <= content) {
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

#[cfg(test)]
mod tests {
    use super::super::belief::Belief;
    use super::super::fuse::Fused;
    use super::super::model::Model;
    use super::*;
    use crate::prior::{Activations, Decoder};
    use crate::sensing::{Dense, Operator};

    /// Hand & Voroninski's setting: S₀ = I, no prior term, no noise.
    fn recovers_a_random_instance(widths: &[usize], seed: u64) {
        let decoder = Decoder::random(widths, seed);
        let (k, n) = (decoder.code_len(), decoder.output_len());
        let code = random_codes(k, seed as usize + 2).last().unwrap();
        let mut truth = vec![0.0; n];
        decoder.decode(&code, &mut Activations::default(), &mut truth);
        let operator = Dense::gaussian(10 * k, n, seed + 1000).unwrap();
        let mut y = vec![0.0; 10 * k];
        operator.apply(&truth, &mut y, &mut []);
        let model = Model::exact(decoder);
        let system = Fused::new(&model, &operator)
            .whitened(&model, &[1.0], 1.0, &[])
            .unwrap();
        let readings = system.project(&y);
        let belief = Belief::flat(k);
        let problem = Problem::new(&model, &system, &readings, &belief).unwrap();
        let limits = Limits {
            iterations: 200,
            tolerance: 1e-12,
        };
        let energy: f64 = y.iter().map(|y| f64::from(*y).powi(2)).sum();
        let starts = random_codes(k, 8).map(|u| u.iter().map(|u| 0.1 * u).collect());
        let found = lowest(&problem, starts, limits, 1e-10 * energy).unwrap();
        let state: Vec<f32> = found.state.iter().map(|&v| v as f32).collect();
        let mut image = vec![0.0; n];
        model.generate(&state, &mut Activations::default(), &mut image);
        let error: f32 = image
            .iter()
            .zip(&truth)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f32>()
            .sqrt();
        let norm: f32 = truth.iter().map(|b| b * b).sum::<f32>().sqrt();
        assert!(
            error <= 1e-4 * norm,
            "{widths:?}, seed {seed}: relative error {}",
            error / norm
        );
    }

    #[test]
    fn recovers_random_instances_of_two_and_three_layers() {
        for seed in 0..20 {
            recovers_a_random_instance(&[20, 500, 500, 784], seed);
            recovers_a_random_instance(&[2, 30, 60, 100], seed);
        }
    }
}
