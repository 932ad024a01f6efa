//! The theory's setting: an exact generator, noise of unit variance, nothing known before.

use super::belief::Belief;
use super::cold::{lowest, random_codes};
use super::fuse::{Fused, Readings, System};
use super::model::Model;
use super::reference::{FirstOrder, Solver};
use super::solve::{Limits, Problem, Solution};
use crate::prior::Decoder;
use crate::sensing::{Data, Operator};

/// Why a generator, patterns and readings make no instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstanceError {
    /// patterns of other images
    #[error("expected patterns of {expected} pixels, as the generator makes, got {got}")]
    Pixels {
        /// n of the generator
        expected: usize,
        /// n of the patterns
        got: usize,
    },
    /// another number of readings
    #[error("expected {expected} readings, as there are patterns, got {got}")]
    Readings {
        /// m
        expected: usize,
        /// readings present
        got: usize,
    },
    /// patterns that are no numbers
    #[error("expected finite patterns")]
    Patterns,
}

/// Where a search ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Descent {
    /// z, (k)
    pub code: Vec<f32>,
    /// ½‖A G(z) − y‖², or of the magnitudes
    pub cost: f64,
    /// steps over all starts
    pub iterations: usize,
}

/// A generator seen through patterns: J = 1, S₀ = I.
#[derive(Debug)]
pub struct Instance {
    model: Model,
    system: System,
    belief: Belief,
}

/// The code z of least ½‖A G(z) − y‖², or ½‖|A G(z)| − y‖².
#[derive(Debug)]
pub struct Inverse<'a> {
    instance: &'a Instance,
    readings: Readings,
}

/// Length of a random start that no length makes better than 0: a little way off, where there is a gradient.
const LEAST_LENGTH: f64 = 0.1;
/// Exact data deserve an exact answer.
const LIMITS: Limits = Limits {
    iterations: 200,
    tolerance: 1e-12,
};

impl Instance {
    /// The images of a generator, (n), seen through patterns, (m × n).
    ///
    /// # Errors
    /// Where sizes do not agree or a pattern is not finite.
    pub fn new(generator: Decoder, operator: &dyn Operator) -> Result<Self, InstanceError> {
        let (expected, got) = (generator.output_len(), operator.shape().1);
        if expected != got {
            return Err(InstanceError::Pixels { expected, got });
        }
        let belief = Belief::flat(generator.code_len());
        let model = Model::exact(generator);
        let system = Fused::new(&model, operator).unmixed(&model);
        Ok(Self {
            model,
            system: system.ok_or(InstanceError::Patterns)?,
            belief,
        })
    }

    /// What is to be found from readings `y`, (m).
    ///
    /// # Errors
    /// Where there are not m of them.
    pub fn inverse(&self, data: Data, y: &[f32]) -> Result<Inverse<'_>, InstanceError> {
        let (expected, got) = (self.system.offset.len(), y.len());
        if expected != got {
            return Err(InstanceError::Readings { expected, got });
        }
        Ok(Inverse {
            instance: self,
            readings: match data {
                Data::Linear => self.system.project(y),
                Data::Magnitudes => self.system.magnitudes(y),
            },
        })
    }
}

impl Inverse<'_> {
    fn problem(&self) -> Option<Problem<'_>> {
        let Instance {
            model,
            system,
            belief,
        } = self.instance;
        Problem::new(model, system, &self.readings, belief)
    }

    /// The loss at `code`, (k).
    pub fn cost(&self, code: &[f32]) -> f64 {
        self.problem().map_or(f64::NAN, |p| p.cost_at(code))
    }

    /// t ≥ 0 of the least loss at t·`code` for a generator without biases: there the loss is a parabola on every ray.
    pub fn best_length(&self, code: &[f32]) -> f64 {
        let at = |t: f32| self.cost(&scaled(code, t));
        let (zero, one, two) = (at(0.0), at(1.0), at(2.0));
        let (slope, bend) = (2.0 * one - 1.5 * zero - 0.5 * two, zero - 2.0 * one + two);
        (-slope / bend).max(0.0)
    }

    /// Descends from `start`, (k). With `negation`, its negative is taken where that has the lower loss: by the subgradient
    /// scheme before every step, by the others at the start.
    pub fn descend(&self, solver: Solver, start: &[f32], negation: bool) -> Option<Descent> {
        let problem = self.problem()?;
        let first_order = FirstOrder {
            negation,
            ..FirstOrder::default()
        };
        let descend = |start: &[f32]| solver.descend(&problem, start, LIMITS, first_order);
        if negation {
            return lowest(&problem, [start.to_vec()].into_iter(), descend, 0.0).map(Descent::of);
        }
        Some(Descent::of(descend(start)))
    }

    /// The best of `starts` random codes, each at its best length and against its negative; content with a loss of
    /// `content`.
    pub fn recover(&self, starts: usize, content: f64) -> Option<Descent> {
        let problem = self.problem()?;
        let codes = random_codes(self.instance.model.code_len(), starts);
        let codes = codes.map(|code| {
            let length = self.best_length(&code).max(LEAST_LENGTH);
            scaled(&code, length as f32)
        });
        let descend = |start: &[f32]| problem.descend(start, LIMITS);
        lowest(&problem, codes, descend, content).map(Descent::of)
    }
}

fn scaled(code: &[f32], length: f32) -> Vec<f32> {
    code.iter().map(|z| length * z).collect()
}

impl Descent {
    fn of(solution: Solution) -> Self {
        Self {
            code: solution.state.iter().map(|&v| v as f32).collect(),
            cost: solution.cost,
            iterations: solution.iterations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior::Activations;
    use crate::sensing::Dense;

    /// The relative error of the image found from m = 10k Gaussian readings without noise.
    fn recovered(widths: &[usize], seed: u64, data: Data) -> f32 {
        let generator = Decoder::random(widths, seed);
        let (k, n) = (generator.code_len(), generator.output_len());
        let code = random_codes(k, seed as usize + 2).last().unwrap();
        let image = |code: &[f32]| {
            let mut image = vec![0.0; n];
            generator.decode(code, &mut Activations::default(), &mut image);
            image
        };
        let truth = image(&code);
        let operator = Dense::gaussian(10 * k, n, seed + 1000).unwrap();
        let mut y = vec![0.0; 10 * k];
        operator.apply(&truth, &mut y, &mut []);
        if data == Data::Magnitudes {
            y.iter_mut().for_each(|y| *y = y.abs());
        }
        let energy: f64 = y.iter().map(|y| f64::from(*y).powi(2)).sum();
        let instance = Instance::new(generator.clone(), &operator).unwrap();
        let inverse = instance.inverse(data, &y).unwrap();
        let found = inverse.recover(STARTS, 1e-10 * energy).unwrap();
        let distance = |(a, b): (&f32, &f32)| (a - b).powi(2);
        let error: f32 = image(&found.code).iter().zip(&truth).map(distance).sum();
        (error / truth.iter().map(|x| x * x).sum::<f32>()).sqrt()
    }

    const STARTS: usize = 32;

    #[test]
    fn recovers_random_instances_with_and_without_signs() {
        for data in [Data::Linear, Data::Magnitudes] {
            for seed in 0..20 {
                for widths in [&[20, 500, 500, 784][..], &[2, 30, 60, 100]] {
                    let error = recovered(widths, seed, data);
                    assert!(error <= 1e-4, "{data:?}, {widths:?}, seed {seed}: {error}");
                }
            }
        }
    }

    #[test]
    fn without_signs_only_magnitudes_count() {
        let generator = Decoder::random(&[3, 20, 40], 1);
        let operator = Dense::gaussian(30, 40, 2).unwrap();
        let instance = Instance::new(generator.clone(), &operator).unwrap();
        let b: Vec<f32> = (0..30).map(|i| 0.1 * i as f32).collect();
        let code = [0.3, -1.0, 0.5];
        let mut image = vec![0.0; 40];
        generator.decode(&code, &mut Activations::default(), &mut image);
        let mut seen = vec![0.0; 30];
        operator.apply(&image, &mut seen, &mut []);
        let loss = seen.iter().zip(&b).map(|(a, b)| (a.abs() - b).powi(2));
        let (loss, got) = (
            0.5 * loss.sum::<f32>(),
            instance.inverse(Data::Magnitudes, &b).unwrap().cost(&code),
        );
        assert!((got as f32 - loss).abs() < 1e-4 * loss, "{got}, not {loss}");
    }

    #[test]
    fn negation_leaves_the_second_basin() {
        let generator = Decoder::random(&[5, 150, 300, 600, 1200], 0);
        let code = random_codes(5, 1).next().unwrap();
        let mut image = vec![0.0; 1200];
        generator.decode(&code, &mut Activations::default(), &mut image);
        let operator = Dense::gaussian(200, 1200, 2).unwrap();
        let mut y = vec![0.0; 200];
        operator.apply(&image, &mut y, &mut []);
        let instance = Instance::new(generator, &operator).unwrap();
        let inverse = instance.inverse(Data::Linear, &y).unwrap();
        let start = scaled(&code, -0.8);
        let end = |negation| {
            let descent = inverse.descend(Solver::Subgradient, &start, negation);
            let products = code.iter().zip(descent.unwrap().code);
            let position: f32 = products.map(|(a, b)| a * b).sum();
            position / code.iter().map(|z| z * z).sum::<f32>()
        };
        let (held, freed) = (end(false), end(true));
        assert!((held + 0.6).abs() < 0.15, "{held}"); // ρ₄ = 0.6048
        assert!((freed - 1.0).abs() < 1e-4, "{freed}");
    }

    #[test]
    fn refuses_sizes_that_do_not_agree() {
        let generator = Decoder::random(&[2, 5, 9], 1);
        let error = |pixels| {
            Dense::gaussian(4, pixels, 1).map(|a| Instance::new(generator.clone(), &a).err())
        };
        assert_eq!(
            error(8).unwrap(),
            Some(InstanceError::Pixels {
                expected: 9,
                got: 8
            })
        );
        let instance =
            Instance::new(generator.clone(), &Dense::gaussian(4, 9, 1).unwrap()).unwrap();
        let error = instance.inverse(Data::Linear, &[0.0; 3]).err();
        assert_eq!(
            error,
            Some(InstanceError::Readings {
                expected: 4,
                got: 3
            })
        );
    }
}
