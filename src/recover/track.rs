//! The synchronous entry: measurement in, frame and report out.

use super::belief::{Belief, Posterior};
use super::fuse::{Fused, Readings, System};
use super::model::{ErrorModel, Model};
use super::render::Renderer;
use super::solve::{Limits, Problem, Solution, StopReason};
use crate::clock::Clock;
use crate::frame::{Measurement, RangeImage};
use crate::prior::Prior;
use crate::sensing::{DescriptionError, Operator, SensorDescription};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// Systems kept ready at most, beyond one for each pattern set.
const SPARE_SYSTEMS: usize = 8;
/// Noise levels are rounded to powers of this.
const GAIN_STEP: f32 = 1.25;

/// How frames are recovered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// how the representation error is treated
    pub error: ErrorModel,
    /// time constants of u and c, s: how long a frame's code and error go on to speak for later frames
    pub time_constants_s: (f64, f64),
    /// when the solver stops
    pub limits: Limits,
    /// random codes tried at a cold start, each with its negative, after the linear estimate and zero
    pub random_starts: usize,
    /// residual ratio at which a cold start is content with what it has and tries no further code
    pub content_ratio: f64,
    /// residual ratio above which a warm track counts as lost
    pub lost_residual_ratio: f64,
    /// innovation ratio above which a warm track counts as lost
    pub lost_innovation_ratio: f64,
    /// carry nothing from frame to frame
    pub always_cold: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            error: ErrorModel::Directions,
            time_constants_s: (0.8, 0.5),
            limits: Limits::default(),
            random_starts: 2,
            content_ratio: 2.0,
            lost_residual_ratio: 4.0,
            lost_innovation_ratio: 3.0, // of 440 warm frames of 40 scenes the highest had 2.6, cuts between scenes up to 6.6
            always_cold: false,
        }
    }
}

/// How a frame's recovery started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartKind {
    /// from the measurement alone
    Cold,
    /// from the frame before
    Warm,
    /// from the frame before, found lost, and again from the measurement alone
    Restarted,
}

/// Where a frame's time went, ns of the tracker's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// preparing the pattern set at this noise level; 0 once it is known
    pub prepare_ns: u64,
    /// whitening, projecting and solving
    pub solve_ns: u64,
    /// from the code to the image
    pub render_ns: u64,
}

/// How a frame's recovery went: data, not an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// how it started
    pub start: StartKind,
    /// why it ended
    pub stop: StopReason,
    /// linear systems solved, over all starts
    pub iterations: usize,
    /// ½‖whitened residual‖² + ½‖v − v⁻‖²_Ω at the estimate
    pub cost: f64,
    /// χ² of the estimate over the number of readings: about 1 where the model holds
    pub residual_ratio: f64,
    /// χ² of what the readings said beyond the prediction, over their number, had the decoder been linear
    pub innovation_ratio: f64,
    /// whitened code û, (k)
    pub code: Vec<f32>,
    /// time by step
    pub timing: Timing,
}

/// Why a tracker cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrackerError {
    /// the description does not agree with itself
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// the prior is for another grid
    #[error("expected a sensor of {expected:?} rows and columns, as the prior, got {got:?}")]
    Grid {
        /// the prior's
        expected: (usize, usize),
        /// the sensor's
        got: (usize, usize),
    },
    /// the prior is for other channels
    #[error("expected range knots at {expected:?} of the last one, as the prior, got {got:?}")]
    Knots {
        /// the prior's
        expected: Vec<f32>,
        /// the sensor's
        got: Vec<f32>,
    },
}

/// Why a measurement cannot be used. The tracker is as it was before.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MeasurementError {
    /// an unknown pattern set
    #[error("expected a pattern set within 0..{sets}, got {got}")]
    PatternSet {
        /// how many there are
        sets: usize,
        /// the one named
        got: usize,
    },
    /// another number of readings
    #[error("expected {channels} × {readings} readings, got {got}")]
    Length {
        /// J
        channels: usize,
        /// m
        readings: usize,
        /// readings present
        got: usize,
    },
    /// a noise gain that cannot be
    #[error("expected a noise gain > 0, got {got}")]
    Gain {
        /// its value
        got: f32,
    },
    /// missing readings not in order or out of range
    #[error(
        "expected positions of missing readings strictly increasing below {readings}, got {got} at position {index}"
    )]
    Missing {
        /// J·m
        readings: usize,
        /// position in the list
        index: usize,
        /// its value
        got: u32,
    },
    /// nothing was read
    #[error("expected at least one reading, all {readings} are missing")]
    Nothing {
        /// J·m
        readings: usize,
    },
    /// a reading that is no number and not marked as missing
    #[error("expected finite readings, got {got} at position {index}")]
    Value {
        /// position in y
        index: usize,
        /// its value
        got: f32,
    },
    /// readings so large or noise so small that the numbers run out
    #[error("the readings, with noise gain {gain}, leave no finite estimate")]
    Degenerate {
        /// the frame's gain
        gain: f32,
    },
}

/// One sensor's recovery, frame after frame.
#[derive(Debug)]
pub struct Tracker<C> {
    description: Arc<SensorDescription>,
    model: Arc<Model>,
    settings: Settings,
    clock: C,
    fused: Vec<Option<Fused>>,
    systems: VecDeque<(usize, i32, System)>,
    last: Option<(u64, Posterior)>,
    renderer: Renderer,
}

/// A frame's estimate, not yet an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// how it went
    pub report: Report,
    /// v = (û, ĉ), (k + q): what [`Renderer::render`] makes an image of
    pub state: Vec<f32>,
}

impl<C: Clock> Tracker<C> {
    /// A tracker for one sensor.
    ///
    /// # Errors
    /// Where the description does not agree with itself or with the prior.
    pub fn new(
        description: Arc<SensorDescription>,
        prior: &Prior,
        settings: Settings,
        clock: C,
    ) -> Result<Self, TrackerError> {
        let model = Arc::new(Model::new(prior, settings.error));
        Self::with_model(description, prior, model, settings, clock)
    }

    /// A tracker over the model of `prior`, made with the error model of `settings`, that several sensors share.
    ///
    /// # Errors
    /// As [`Tracker::new`].
    pub fn with_model(
        description: Arc<SensorDescription>,
        prior: &Prior,
        model: Arc<Model>,
        settings: Settings,
        clock: C,
    ) -> Result<Self, TrackerError> {
        Self::check(&description, prior)?;
        Ok(Self {
            fused: vec![None; description.patterns.len()],
            renderer: Renderer::new(Arc::clone(&description), Arc::clone(&model)),
            description,
            model,
            settings,
            clock,
            systems: VecDeque::new(),
            last: None,
        })
    }

    fn check(description: &SensorDescription, prior: &Prior) -> Result<(), TrackerError> {
        description.validate()?;
        let (expected, got) = (
            (prior.rows, prior.cols),
            (description.rows, description.cols),
        );
        if expected != got {
            return Err(TrackerError::Grid { expected, got });
        }
        let got = description.knots.relative();
        let agree = got.len() == prior.knots.len()
            && got
                .iter()
                .zip(&prior.knots)
                .all(|(a, b)| (a - b).abs() < 1e-4);
        if !agree {
            return Err(TrackerError::Knots {
                expected: prior.knots.clone(),
                got,
            });
        }
        Ok(())
    }

    /// The sensor's description.
    pub fn description(&self) -> &Arc<SensorDescription> {
        &self.description
    }

    /// What makes images of this tracker's estimates, for a thread of its own.
    pub fn renderer(&self) -> &Renderer {
        &self.renderer
    }

    /// Forgets the frames before: the next one starts cold.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// Prepares every pattern set at a noise gain, so that no frame has to wait for it.
    ///
    /// # Errors
    /// Where the gain is not a positive number.
    pub fn prepare(&mut self, gain: f32) -> Result<(), MeasurementError> {
        if !gain.is_finite() || gain <= 0.0 {
            return Err(MeasurementError::Gain { got: gain });
        }
        (0..self.description.patterns.len()).try_for_each(|set| self.ready(set, gain))
    }

    /// Recovers one frame into `frame`: [`Tracker::estimate`] and [`Renderer::render`].
    ///
    /// # Errors
    /// Where the measurement does not fit the description; the track goes on as if it had not come.
    pub fn recover(
        &mut self,
        measurement: &Measurement,
        frame: &mut RangeImage,
    ) -> Result<Report, MeasurementError> {
        let Estimate { mut report, state } = self.estimate(measurement)?;
        let solved = self.clock.now_ns();
        self.renderer.render(&state, frame);
        report.timing.render_ns = self.clock.now_ns() - solved;
        Ok(report)
    }

    /// Estimates one frame's state, from which the next frame is predicted.
    ///
    /// # Errors
    /// As [`Tracker::recover`].
    pub fn estimate(&mut self, measurement: &Measurement) -> Result<Estimate, MeasurementError> {
        self.check_measurement(measurement)?;
        let started = self.clock.now_ns();
        self.ready(measurement.pattern_set, measurement.gain)?;
        let prepared = self.clock.now_ns();
        let (start, solution, count) = self.solve(measurement)?;
        let state: Vec<f32> = solution.state.iter().map(|&v| v as f32).collect();
        let stamp_ns = measurement.stamp_ns;
        self.last = solution.posterior.map(|posterior| (stamp_ns, posterior));
        let report = Report {
            start,
            stop: solution.stop,
            iterations: solution.iterations,
            cost: solution.cost,
            residual_ratio: 2.0 * solution.cost / count,
            innovation_ratio: 2.0 * solution.innovation / count,
            code: state[..self.model.code_len()].to_vec(),
            timing: Timing {
                prepare_ns: prepared - started,
                solve_ns: self.clock.now_ns() - prepared,
                render_ns: 0,
            },
        };
        Ok(Estimate { report, state })
    }

    /// The cost that the next frame would end at, were it solved from `code`, (k), instead of from the prediction; `None`
    /// where there is no frame before. Changes nothing: it is for judging the start.
    ///
    /// # Errors
    /// As [`Tracker::recover`].
    pub fn warm_cost_from(
        &mut self,
        measurement: &Measurement,
        code: &[f32],
    ) -> Result<Option<f64>, MeasurementError> {
        self.check_measurement(measurement)?;
        self.ready(measurement.pattern_set, measurement.gain)?;
        let Some(system) = self.system(measurement.pattern_set, measurement.gain) else {
            return Ok(None);
        };
        let readings = system.project(&measurement.y);
        let Some(belief) = self.predict(measurement) else {
            return Ok(None);
        };
        let problem = Problem::new(&self.model, system, &readings, &belief);
        Ok(problem.map(|p| {
            p.descend(code, self.settings.limits)
                .with_outside(&readings)
                .cost
        }))
    }

    /// What the frames before say of the next; `None` at the first.
    fn predict(&self, measurement: &Measurement) -> Option<Belief> {
        let (stamp_ns, posterior) = self.last.as_ref().filter(|_| !self.settings.always_cold)?;
        let elapsed_s = measurement.stamp_ns.abs_diff(*stamp_ns) as f64 * 1e-9;
        posterior.predict(
            self.model.code_len(),
            elapsed_s,
            self.settings.time_constants_s,
        )
    }

    /// Warm where there is a frame before, cold where there is none or where the track is lost.
    fn solve(
        &self,
        measurement: &Measurement,
    ) -> Result<(StartKind, Solution, f64), MeasurementError> {
        let degenerate = || MeasurementError::Degenerate {
            gain: measurement.gain,
        };
        let partial = self.partial_system(measurement)?;
        let system = match &partial {
            Some(system) => system,
            None => self
                .system(measurement.pattern_set, measurement.gain)
                .ok_or_else(degenerate)?,
        };
        let readings = system.project(&measurement.y);
        let count = readings.count as f64;
        let cold = || {
            self.cold(measurement, system, &readings)
                .ok_or_else(degenerate)
        };
        let Some(mut warm) = self.warm(measurement, system, &readings) else {
            return Ok((StartKind::Cold, cold()?, count));
        };
        let lost = 2.0 * warm.cost > self.settings.lost_residual_ratio * count
            || 2.0 * warm.innovation > self.settings.lost_innovation_ratio * count;
        if !lost {
            return Ok((StartKind::Warm, warm, count));
        }
        let mut fresh = cold()?;
        let iterations = warm.iterations + fresh.iterations;
        if self
            .prior_cost(system, &readings, &warm)
            .is_some_and(|cost| cost < fresh.cost)
        {
            warm.iterations = iterations;
            return Ok((StartKind::Restarted, warm, count));
        }
        fresh.iterations = iterations;
        Ok((StartKind::Restarted, fresh, count))
    }

    /// From the frame before, as an iterated extended Kalman filter; `None` at the first frame.
    fn warm(
        &self,
        measurement: &Measurement,
        system: &System,
        readings: &Readings,
    ) -> Option<Solution> {
        let belief = self.predict(measurement)?;
        let start: Vec<f32> = belief.mean[..self.model.code_len()]
            .iter()
            .map(|&m| m as f32)
            .collect();
        let solution = Problem::new(&self.model, system, readings, &belief)?
            .descend(&start, self.settings.limits);
        solution
            .cost
            .is_finite()
            .then(|| solution.with_outside(readings))
    }

    /// From the measurement alone: the linear estimate, zero, random codes, each against its negative, whose basin near
    /// −ρ_d z* is the other one (Hand & Voroninski 2017, theorem 2). The lowest cost wins.
    fn cold(
        &self,
        measurement: &Measurement,
        system: &System,
        readings: &Readings,
    ) -> Option<Solution> {
        let belief = Belief::prior(self.model.state_len());
        let fused = self.fused[measurement.pattern_set].as_ref();
        let linear = fused.and_then(|fused| {
            fused.linear_estimate(
                &self.model,
                &self.description.noise,
                measurement.gain,
                &measurement.missing,
                &measurement.y,
            )
        });
        let problem = Problem::new(&self.model, system, readings, &belief)?;
        let k = self.model.code_len();
        let starts = linear
            .into_iter()
            .chain([vec![0.0; k]])
            .chain(random_codes(k, self.settings.random_starts));
        let content = 0.5 * self.settings.content_ratio * readings.count as f64;
        let best = lowest(
            &problem,
            starts,
            self.settings.limits,
            content - 0.5 * readings.outside,
        )?;
        best.cost.is_finite().then(|| best.with_outside(readings))
    }

    /// The cost of a warm solution had the frame been the first.
    fn prior_cost(&self, system: &System, readings: &Readings, solution: &Solution) -> Option<f64> {
        let belief = Belief::prior(self.model.state_len());
        let code: Vec<f32> = solution.state[..self.model.code_len()]
            .iter()
            .map(|&u| u as f32)
            .collect();
        Some(
            Problem::new(&self.model, system, readings, &belief)?.cost_at(&code)
                + 0.5 * readings.outside,
        )
    }

    fn check_measurement(&self, measurement: &Measurement) -> Result<(), MeasurementError> {
        let sets = self.description.patterns.len();
        let Some(pattern) = self.description.patterns.get(measurement.pattern_set) else {
            return Err(MeasurementError::PatternSet {
                sets,
                got: measurement.pattern_set,
            });
        };
        let (channels, readings) = (self.description.channels(), pattern.shape().0);
        let (total, got) = (channels * readings, measurement.y.len());
        if got != total {
            return Err(MeasurementError::Length {
                channels,
                readings,
                got,
            });
        }
        if !measurement.gain.is_finite() || measurement.gain <= 0.0 {
            return Err(MeasurementError::Gain {
                got: measurement.gain,
            });
        }
        let mut floor = 0;
        for (index, &got) in measurement.missing.iter().enumerate() {
            if got < floor || got as usize >= total {
                return Err(MeasurementError::Missing {
                    readings: total,
                    index,
                    got,
                });
            }
            floor = got + 1;
        }
        if measurement.missing.len() == total {
            return Err(MeasurementError::Nothing { readings: total });
        }
        let mut missing = measurement.missing.iter().peekable();
        for (index, &got) in measurement.y.iter().enumerate() {
            if missing.next_if(|&&m| m as usize == index).is_none() && !got.is_finite() {
                return Err(MeasurementError::Value { index, got });
            }
        }
        Ok(())
    }

    /// The system of a frame with missing readings, which is nobody else's.
    fn partial_system(
        &self,
        measurement: &Measurement,
    ) -> Result<Option<System>, MeasurementError> {
        if measurement.missing.is_empty() {
            return Ok(None);
        }
        let gain = rounded_gain(gain_level(measurement.gain));
        let fused = self.fused[measurement.pattern_set].as_ref();
        let system = fused.and_then(|f| {
            f.whitened(
                &self.model,
                &self.description.noise,
                gain,
                &measurement.missing,
            )
        });
        system.map(Some).ok_or(MeasurementError::Degenerate {
            gain: measurement.gain,
        })
    }

    fn system(&self, set: usize, gain: f32) -> Option<&System> {
        let level = gain_level(gain);
        self.systems
            .iter()
            .find(|(s, l, _)| (*s, *l) == (set, level))
            .map(|(_, _, system)| system)
    }

    /// Makes sure that a pattern set is fused, and whitened at a noise level; the longest unused makes room.
    fn ready(&mut self, set: usize, gain: f32) -> Result<(), MeasurementError> {
        let level = gain_level(gain);
        if let Some(at) = self
            .systems
            .iter()
            .position(|(s, l, _)| (*s, *l) == (set, level))
        {
            if let Some(used) = self.systems.remove(at) {
                self.systems.push_back(used);
            }
            return Ok(());
        }
        let fused = self.fused[set]
            .get_or_insert_with(|| Fused::new(&self.model, &self.description.patterns[set]));
        let system = fused
            .whitened(
                &self.model,
                &self.description.noise,
                rounded_gain(level),
                &[],
            )
            .ok_or(MeasurementError::Degenerate { gain })?;
        if self.systems.len() >= self.description.patterns.len() + SPARE_SYSTEMS {
            self.systems.pop_front();
        }
        self.systems.push_back((set, level, system));
        Ok(())
    }
}

impl Solution {
    /// Counts in what lies outside the span of the system, which no state changes.
    fn with_outside(mut self, readings: &Readings) -> Self {
        self.cost += 0.5 * readings.outside;
        self.innovation += 0.5 * readings.outside;
        self
    }
}

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

/// The power of [`GAIN_STEP`] nearest to a gain.
fn gain_level(gain: f32) -> i32 {
    (gain.ln() / GAIN_STEP.ln()).round() as i32
}

fn rounded_gain(level: i32) -> f32 {
    GAIN_STEP.powi(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior::{Activations, Decoder};
    use crate::sensing::Dense;

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
        model.image(&state, &mut Activations::default(), &mut [], &mut image);
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
