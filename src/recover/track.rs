//! The synchronous entry: measurement in, frame and report out.

use super::belief::{Belief, Posterior};
use super::brightness::{Sight, mean_return};
use super::cold::{lowest, random_codes};
use super::error::{MeasurementError, TrackerError, check};
use super::fuse::{Fused, Readings, System};
use super::model::Model;
use super::render::Renderer;
use super::report::{Estimate, Report, Settings, StartKind, Timing};
use super::solve::{Problem, Solution};
use crate::clock::Clock;
use crate::frame::{Measurement, RangeImage};
use crate::prior::Prior;
use crate::sensing::SensorDescription;
use std::collections::VecDeque;
use std::sync::Arc;

/// Systems kept ready at most, beyond one for each pattern set.
const SPARE_SYSTEMS: usize = 8;
/// Least noise of a reading, over the variance that the representation error puts on it.
const LEAST_NOISE: f32 = 0.01;
/// The greatest error scale, and one over the least.
const MOST_ERROR_SCALE: f64 = 30.0;
/// How much of it a frame decides.
const ERROR_SCALE_SHARE: f64 = 0.5;
/// Noise levels are rounded to powers of this.
const GAIN_STEP: f32 = 1.25;

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
    last_scale: Option<f32>,
    /// e², variance of the track's errors over their usual one
    error_scale: f64,
    sights: Vec<Option<Sight>>,
    renderer: Renderer,
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
            sights: description.patterns.iter().map(|_| None).collect(),
            last_scale: None,
            error_scale: 1.0,
            renderer: Renderer::new(
                Arc::clone(&description),
                Arc::clone(&model),
                settings.half_trust_return,
            ),
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
        self.last_scale = None;
        self.error_scale = 1.0;
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
        let mut estimate = self.estimate(measurement)?;
        let solved = self.clock.now_ns();
        self.renderer.render(&estimate, measurement, frame);
        estimate.report.timing.render_ns = self.clock.now_ns() - solved;
        Ok(estimate.report)
    }

    /// Estimates one frame's state, from which the next frame is predicted.
    ///
    /// # Errors
    /// As [`Tracker::recover`].
    pub fn estimate(&mut self, measurement: &Measurement) -> Result<Estimate, MeasurementError> {
        check(&self.description, measurement)?;
        let started = self.clock.now_ns();
        let (scale, measurement) = &self.scaled(measurement)?;
        self.ready(measurement.pattern_set, measurement.gain)?;
        let prepared = self.clock.now_ns();
        let (start, solution, count, error_scale) = self.solve(measurement)?;
        let state: Vec<f32> = solution.state.iter().map(|&v| v as f32).collect();
        let stamp_ns = measurement.stamp_ns;
        let posterior = solution.posterior.map(|p| p.of_scaled(error_scale));
        self.last = posterior.map(|posterior| (stamp_ns, posterior));
        self.error_scale = blended(error_scale, 2.0 * solution.cost / count);
        self.last_scale = Some(*scale);
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
        Ok(Estimate {
            report,
            state,
            scale: *scale,
            error_scale: error_scale as f32,
        })
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
        check(&self.description, measurement)?;
        let (_, measurement) = &self.scaled(measurement)?;
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

    /// The frame at the prior's mean return, and what its readings were divided by.
    ///
    /// Its noise is kept from falling far below what the representation error puts on the readings, which changes nothing
    /// but spares preparing systems that hardly differ.
    fn scaled(
        &mut self,
        measurement: &Measurement,
    ) -> Result<(f32, Measurement), MeasurementError> {
        let set = measurement.pattern_set;
        let pattern = &self.description.patterns[set];
        let sight = self.sights[set].get_or_insert_with(|| Sight::new(&self.model, pattern));
        let noise = &self.description.noise;
        let read = mean_return(measurement, pattern, &sight.mean, noise);
        let scale = match read {
            Some(mean) => mean / self.model.mean_return,
            None => self.last_scale.ok_or(MeasurementError::NoMean)?,
        };
        let channels = self.description.channels();
        let trace: f32 = noise.iter().step_by(channels + 1).sum();
        let least = LEAST_NOISE * sight.energy * channels as f32 / trace;
        let gain = (measurement.gain / (scale * scale)).max(least);
        if !gain.is_finite() || gain <= 0.0 {
            return Err(MeasurementError::Degenerate {
                gain: measurement.gain,
            });
        }
        let scaled = Measurement {
            gain,
            y: measurement.y.iter().map(|y| y / scale).collect(),
            missing: measurement.missing.clone(),
            ..*measurement
        };
        Ok((scale, scaled))
    }

    /// What the frames before say of the next; `None` at the first.
    fn predict(&self, measurement: &Measurement) -> Option<Belief> {
        let (stamp_ns, posterior) = self.last.as_ref().filter(|_| !self.settings.always_cold)?;
        let elapsed_s = measurement.stamp_ns.abs_diff(*stamp_ns) as f64 * 1e-9;
        let belief = posterior.predict(
            self.model.code_len(),
            elapsed_s,
            self.settings.time_constants_s,
            self.error_scale,
        );
        Some(belief?.beside(self.error_scale))
    }

    /// Warm where there is a frame before, cold where there is none or where the track is lost.
    fn solve(
        &self,
        measurement: &Measurement,
    ) -> Result<(StartKind, Solution, f64, f64), MeasurementError> {
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
            let (solution, error_scale) = cold()?;
            return Ok((StartKind::Cold, solution, count, error_scale));
        };
        let usual = self.error_scale * count;
        let lost = 2.0 * warm.cost > self.settings.lost_residual_ratio * usual
            || 2.0 * warm.innovation > self.settings.lost_innovation_ratio * usual;
        if !lost {
            return Ok((StartKind::Warm, warm, count, self.error_scale));
        }
        let (mut fresh, error_scale) = cold()?;
        let iterations = warm.iterations + fresh.iterations;
        if self
            .prior_cost(system, &readings, &warm, error_scale)
            .is_some_and(|cost| cost < fresh.cost)
        {
            warm.iterations = iterations;
            return Ok((StartKind::Restarted, warm, count, self.error_scale));
        }
        fresh.iterations = iterations;
        Ok((StartKind::Restarted, fresh, count, error_scale))
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
    ) -> Option<(Solution, f64)> {
        let (k, len) = (self.model.code_len(), self.model.state_len());
        let belief = Belief::prior(k, len, 1.0);
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
        if !best.cost.is_finite() {
            return None;
        }
        let iterations = best.iterations;
        let best = best.with_outside(readings);
        // once more, with the spread of errors that this frame shows
        let error_scale = blended(1.0, 2.0 * best.cost / readings.count as f64);
        let belief = Belief::prior(k, len, error_scale).beside(error_scale);
        let problem = Problem::new(&self.model, system, readings, &belief)?;
        let start: Vec<f32> = best.state[..k].iter().map(|&u| u as f32).collect();
        let mut solution = problem.descend(&start, self.settings.limits);
        solution.iterations += iterations;
        let finite = solution.cost.is_finite();
        finite.then(|| (solution.with_outside(readings), error_scale))
    }

    /// The cost of a warm solution had the frame been the first.
    fn prior_cost(
        &self,
        system: &System,
        readings: &Readings,
        solution: &Solution,
        error_scale: f64,
    ) -> Option<f64> {
        let (k, len) = (self.model.code_len(), self.model.state_len());
        let belief = Belief::prior(k, len, error_scale).beside(error_scale);
        let code: Vec<f32> = solution.state[..self.model.code_len()]
            .iter()
            .map(|&u| u as f32)
            .collect();
        Some(
            Problem::new(&self.model, system, readings, &belief)?.cost_at(&code)
                + 0.5 * readings.outside,
        )
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

/// The next frame's error scale: of the last one and of what this frame's χ² over its readings says, in their logarithms.
fn blended(last: f64, ratio: f64) -> f64 {
    let ratio = ratio.clamp(1.0 / MOST_ERROR_SCALE, MOST_ERROR_SCALE);
    (last.ln() * (1.0 - ERROR_SCALE_SHARE) + ratio.ln() * ERROR_SCALE_SHARE).exp()
}

/// The power of [`GAIN_STEP`] nearest to a gain.
fn gain_level(gain: f32) -> i32 {
    (gain.ln() / GAIN_STEP.ln()).round() as i32
}

fn rounded_gain(level: i32) -> f32 {
    GAIN_STEP.powi(level)
}
