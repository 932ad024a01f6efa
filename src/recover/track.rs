//! The synchronous entry: measurement in, frame and report out.

use super::belief::{Belief, Posterior};
use super::brightness::{Brightness, brightness};
use super::checkpoint::{Checkpoint, CheckpointError, Header};
use super::deadline::{Deadline, Reserve};
use super::error::{MeasurementError, TrackerError, check};
use super::fingerprint::of_values;
use super::finish::{Finisher, Workspace};
use super::fuse::System;
use super::health::untrusted;
use super::innovation::{Innovation, Lesson, rest_lesson};
use super::method::Method;
use super::model::Model;
use super::pace::{Pace, TimeConstants};
use super::render::Renderer;
use super::report::{Estimate, Report, Settings, Signs, Source, StartKind, Timing};
use super::solve::{Solution, StopReason};
use super::start::{Chosen, Start, blended};
use super::view::{Ahead, Views};
use crate::clock::Clock;
use crate::frame::{Measurement, RangeImage};
use crate::pool::Buffer;
use crate::prior::{Activations, Prior};
use crate::sensing::{Operator, SensorDescription};
use std::sync::Arc;

mod judge;
mod unsigned;

/// Least noise of a reading, over the variance that the representation error puts on it.
const LEAST_NOISE: f32 = 0.003;
/// Stamps nearer than this, s, tell no time, as those of a sensor without a clock.
const TELLS_TIME_S: f64 = 1e-3;
/// Time that frames are then taken to be apart, s, and that settings were chosen at.
pub(super) const USUAL_INTERVAL_S: f64 = 1.0 / 30.0;
/// Frames of which one says how fast the state changes.
const LESSON_EVERY: u64 = 4;

/// A frame's solution.
struct Solved {
    chosen: Chosen,
    /// readings that count
    count: f64,
    /// E\[rest | y\], (J·n)
    rest: Buffer<f32>,
    /// see [`Report::unexplained`]
    unexplained: f64,
    /// what the frame says of the time constants of state and rest, where the track goes on
    lessons: Option<(Option<Lesson>, Lesson)>,
    /// see [`Timing::iterate_ns`]
    iterate_ns: u64,
}

/// What a frame leaves to the next.
#[derive(Debug)]
struct Last {
    sequence: u64,
    stamp_ns: u64,
    posterior: Posterior,
    /// E\[rest | y\], (J·n), at the sensor's own scale
    rest: Buffer<f32>,
    /// tells its readings from others, where they are known
    readings: Option<u64>,
}

impl Last {
    /// Whether a measurement is the very same, come twice.
    fn is(&self, measurement: &Measurement, readings: u64) -> bool {
        let now = (measurement.sequence, measurement.stamp_ns, Some(readings));
        (self.sequence, self.stamp_ns, self.readings) == now
    }

    /// Time since then, s.
    fn elapsed_s(&self, measurement: &Measurement) -> f64 {
        apart_s(measurement.stamp_ns.abs_diff(self.stamp_ns) as f64 * 1e-9)
    }
}

/// One sensor's recovery, frame after frame.
#[derive(Debug)]
pub struct Tracker<C> {
    description: Arc<SensorDescription>,
    model: Arc<Model>,
    settings: Settings,
    clock: C,
    views: Views,
    last: Option<Last>,
    last_brightness: Option<Brightness>,
    /// e², variance of the track's errors over their usual one
    error_scale: f64,
    pace: Pace,
    reserve: Reserve,
    renderer: Renderer,
    finisher: Arc<Finisher>,
    workspace: Workspace,
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
        Self::with_model(description, model, settings, clock)
    }

    /// A tracker over the model of a prior, made with the error model of `settings`, that several sensors share; the prior
    /// itself is not needed any more.
    ///
    /// # Errors
    /// As [`Tracker::new`].
    pub fn with_model(
        description: Arc<SensorDescription>,
        model: Arc<Model>,
        settings: Settings,
        clock: C,
    ) -> Result<Self, TrackerError> {
        settings.check()?;
        description.validate()?;
        model.check(&description)?;
        let (shared, own) = (Arc::clone(&description), Arc::clone(&model));
        let finisher = Finisher::new(shared, own, &settings);
        Ok(Self {
            views: Views::new(Arc::clone(&model), &description, &settings),
            last_brightness: None,
            error_scale: 1.0,
            pace: Pace::new(first_time_constants(&settings)),
            reserve: Reserve::default(),
            renderer: Renderer::new(Arc::clone(&description), Arc::clone(&model), &settings),
            finisher: Arc::new(finisher),
            workspace: Workspace::default(),
            description,
            model,
            settings,
            clock,
            last: None,
        })
    }

    /// The sensor's description.
    pub fn description(&self) -> &Arc<SensorDescription> {
        &self.description
    }

    /// What makes images of this tracker's estimates, for a thread of its own.
    pub fn renderer(&self) -> &Renderer {
        &self.renderer
    }

    /// What makes frames of those images, for yet another thread.
    pub fn finisher(&self) -> &Arc<Finisher> {
        &self.finisher
    }

    /// What another thread may find before the next frames come, which otherwise wait for it: after a frame of a pattern set
    /// that was not seen before, or in another light. `None` where nothing is new.
    pub fn ahead(&mut self) -> Option<Ahead> {
        self.views.ahead()
    }

    /// Forgets the frames before: the next one starts cold.
    pub fn forget(&mut self) {
        self.last = None;
        self.last_brightness = None;
        self.error_scale = 1.0;
        self.pace = Pace::new(first_time_constants(&self.settings));
    }

    /// What the track knows, with where `renderer` stands, which may be [another](Tracker::renderer) than its own; `None`
    /// where there is no frame before.
    pub fn checkpoint(&self, renderer: &Renderer) -> Option<Checkpoint> {
        let (last, brightness) = self.last.as_ref().zip(self.last_brightness)?;
        let at = (last.sequence, last.stamp_ns);
        let track = (brightness, self.error_scale, &self.pace);
        Some(Checkpoint {
            header: Header::new(&self.model, at, track),
            posterior: last.posterior.clone(),
            rest: last.rest.clone(),
            refined: renderer.state.clone(),
        })
    }

    /// Goes on from a checkpoint: the next frame starts warm. A renderer elsewhere needs [`Renderer::restore`].
    ///
    /// # Errors
    /// Where it is of another prior; the track is as it was before.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        checkpoint.check(&self.model)?;
        self.renderer.restore(checkpoint)?;
        let header = checkpoint.header;
        self.last = Some(Last {
            sequence: header.sequence,
            stamp_ns: header.stamp_ns,
            posterior: checkpoint.posterior.clone(),
            rest: checkpoint.rest.clone(),
            readings: None,
        });
        self.last_brightness = Some(header.brightness);
        self.error_scale = header.error_scale;
        let first = first_time_constants(&self.settings);
        self.pace = match self.settings.fixed_time_constants {
            true => Pace::new(first),
            false => header.pace.over(first),
        };
        Ok(())
    }

    /// Recovers one frame into `frame`: [`Tracker::estimate`], [`Renderer::render`] and [`Finisher::finish`].
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
        let refined = self.renderer.render(&estimate, measurement);
        let workspace = &mut self.workspace;
        self.finisher
            .finish(&estimate, measurement, refined, workspace, frame);
        estimate.report.timing.render_ns = self.clock.now_ns() - solved;
        Ok(estimate.report)
    }

    /// Estimates one frame's state, from which the next frame is predicted.
    ///
    /// # Errors
    /// As [`Tracker::recover`].
    pub fn estimate(&mut self, measurement: &Measurement) -> Result<Estimate, MeasurementError> {
        check(&self.description, measurement)?;
        let arrived = self.clock.now_ns();
        let readings = of_values(measurement.y.iter());
        let signed = self.signed(measurement)?;
        let started = self.clock.now_ns();
        let signs_ns = started - arrived;
        let (signed, signs) = signed.unzip();
        let (measurement, signs) = (
            signed.as_ref().unwrap_or(measurement),
            signs.unwrap_or_default(),
        );
        let (brightness, scaled) = self.scaled(measurement)?;
        let measurement = &scaled;
        if self.settings.method != Method::Latent {
            let estimate = self.estimate_image(measurement, brightness, arrived)?;
            return Ok(Estimate { signs, ..estimate });
        }
        let system = self.views.system(measurement)?;
        let prepared = self.clock.now_ns();
        let after_ms = self.settings.deadline_ms;
        let deadline = Deadline::new(&self.clock, arrived, after_ms, self.reserve);
        let scale = self.model.scale(brightness);
        let carried = self.carried(measurement, scale);
        let Solved {
            chosen,
            count,
            rest,
            unexplained,
            lessons,
            iterate_ns,
        } = self.solve(measurement, &system, carried, &deadline)?;
        let Chosen {
            start,
            solution,
            error_scale,
            lost,
            ..
        } = chosen;
        let state: Buffer<f32> = solution.state.iter().map(|&v| v as f32).collect();
        let posterior = solution.posterior.map(|p| p.of_scaled(error_scale));
        let draws = match (&posterior, self.settings.sigma_block) {
            (None, _) | (_, 0) => Buffer::default(),
            (Some(posterior), _) => posterior.draws(),
        };
        self.reserve = deadline.reserve();
        let time_constants = self.pace.now();
        let again = self.last.as_ref();
        if !again.is_some_and(|last| last.is(measurement, readings)) {
            self.last = posterior.filter(|_| !lost).map(|posterior| Last {
                sequence: measurement.sequence,
                stamp_ns: measurement.stamp_ns,
                posterior,
                rest: rest.iter().map(|v| v * scale).collect(),
                readings: Some(readings),
            });
            self.error_scale = blended(error_scale, 2.0 * solution.cost / count);
            if let Some((state, rest)) = lessons.filter(|_| !self.settings.fixed_time_constants) {
                self.pace.learn(state, rest);
            }
            self.last_brightness = Some(brightness);
        }
        let report = Report {
            start,
            stop: solution.stop,
            iterations: solution.iterations,
            cost: solution.cost,
            residual_ratio: 2.0 * solution.cost / count,
            innovation_ratio: 2.0 * solution.innovation / count,
            unexplained,
            untrusted: untrusted(unexplained, count),
            code: state[..self.model.code_len()].into(),
            time_constants_s: [
                time_constants.code,
                time_constants.error,
                time_constants.rest,
            ],
            timing: Timing {
                prepare_ns: prepared - started,
                solve_ns: self.clock.now_ns() - prepared + signs_ns,
                iterate_ns,
                render_ns: 0,
            },
        };
        let seen = measurement.present() * self.views.fused(measurement.pattern_set).seen;
        drop(Buffer::from(scaled.y)); // for the next frame's
        Ok(Estimate {
            report,
            source: Source::Latent {
                state,
                rest,
                error_scale: error_scale as f32,
                draws,
                seen,
            },
            scale,
            signs,
        })
    }

    /// The estimate of a method that solves for no code.
    fn estimate_image(
        &mut self,
        measurement: &Measurement,
        brightness: Brightness,
        started: u64,
    ) -> Result<Estimate, MeasurementError> {
        let principal = self.settings.method == Method::Principal;
        let linear = principal.then(|| self.views.linear(measurement.pattern_set));
        let source = match linear.flatten() {
            Some((linear, moments)) => {
                let image = linear.image(moments, &self.description.noise, measurement);
                Source::Image(image.ok_or(MeasurementError::Degenerate {
                    gain: measurement.gain,
                })?)
            }
            None => Source::Blank,
        };
        let warm = self.last_brightness.is_some() && !self.settings.always_cold;
        self.last_brightness = Some(brightness);
        Ok(Estimate {
            report: Report {
                start: if warm {
                    StartKind::Warm
                } else {
                    StartKind::Cold
                },
                stop: StopReason::Converged,
                iterations: 0,
                cost: 0.0,
                residual_ratio: 0.0,
                innovation_ratio: 0.0,
                unexplained: 0.0,
                untrusted: false,
                code: Buffer::default(),
                time_constants_s: [0.0; 3],
                timing: Timing {
                    solve_ns: self.clock.now_ns() - started,
                    ..Timing::default()
                },
            },
            source,
            scale: self.model.scale(brightness),
            signs: Signs::default(),
        })
    }

    /// How bright the frame is, and the frame at the return that the prior knows.
    ///
    /// Its noise is kept from falling far below what the representation error puts on the readings, and the frame from being darker
    /// than [`Sight::darkest`], which changes little but spares preparing systems that hardly differ.
    fn scaled(
        &self,
        measurement: &Measurement,
    ) -> Result<(Brightness, Measurement), MeasurementError> {
        let set = measurement.pattern_set;
        let pattern = &self.description.patterns[set];
        let sight = self.views.sight(set);
        let (energy, noise) = (sight.energy, &self.description.noise);
        let darkest = sight.darkest(measurement.gain, noise);
        let read = brightness(measurement, pattern, sight, noise);
        let brightness = match (read, self.last_brightness) {
            (Some(read), Some(last)) => read.after(last),
            (Some(brightness), None) | (None, Some(brightness)) => brightness,
            (None, None) => return Err(MeasurementError::NoMean),
        }
        .at_least(darkest);
        let scaled = self.at_scale(measurement, self.model.scale(brightness), energy)?;
        Ok((brightness, scaled))
    }

    /// A measurement at the return that the prior knows, of a frame `scale` times as bright; ψ puts a mean variance of
    /// `energy` on a reading.
    fn at_scale(
        &self,
        measurement: &Measurement,
        scale: f32,
        energy: f32,
    ) -> Result<Measurement, MeasurementError> {
        let noise = &self.description.noise;
        let channels = self.description.channels();
        let trace: f32 = noise.iter().step_by(channels + 1).sum();
        let least = LEAST_NOISE * energy * channels as f32 / trace;
        let gain = (measurement.gain / (scale * scale)).max(least);
        if !gain.is_finite() || gain <= 0.0 {
            return Err(MeasurementError::Degenerate {
                gain: measurement.gain,
            });
        }
        Ok(Measurement {
            gain,
            y: Buffer::from_iter(measurement.y.iter().map(|y| y / scale)).into_vec(),
            missing: measurement.missing.clone(),
            ..*measurement
        })
    }

    /// What the frames before say of the next; `None` at the first.
    fn predict(&self, measurement: &Measurement) -> Option<Belief> {
        let last = self.last.as_ref().filter(|_| !self.settings.always_cold)?;
        let belief = last.posterior.predict(
            self.model.code_len(),
            last.elapsed_s(measurement),
            (self.pace.now().code, self.pace.now().error),
            self.error_scale,
        );
        Some(belief?.beside(self.error_scale))
    }

    /// What remains of the rest of the frame before, (J·n), at this frame's scale; `None` at the first.
    fn carried(&self, measurement: &Measurement, scale: f32) -> Option<Buffer<f32>> {
        let last = self.last.as_ref().filter(|_| !self.settings.always_cold)?;
        let decay = (-last.elapsed_s(measurement) / self.pace.now().rest).exp();
        let factor = decay as f32 / scale;
        Some(last.rest.iter().map(|v| v * factor).collect())
    }

    /// Solves the frame; where the track goes on, beside the rest of the frame before, `carried`, (J·n).
    fn solve(
        &self,
        measurement: &Measurement,
        system: &System,
        carried: Option<Buffer<f32>>,
        deadline: &Deadline<'_>,
    ) -> Result<Solved, MeasurementError> {
        let degenerate = || MeasurementError::Degenerate {
            gain: measurement.gain,
        };
        let pattern = &self.description.patterns[measurement.pattern_set];
        let y = &measurement.y;
        let (whitened, warm) = match carried.zip(self.predict(measurement)) {
            Some((rest, belief)) => {
                let [whitened, beyond] = system.whiten([y, &without(pattern, &rest, y)]);
                let beyond = system.project_whitened(beyond);
                (whitened, Some((rest, belief, beyond)))
            }
            None => {
                let [whitened] = system.whiten([y]);
                (whitened, None)
            }
        };
        let start = Start {
            model: &self.model,
            settings: &self.settings,
            system,
            whitened: &whitened,
            error_scale: self.error_scale,
            deadline,
        };
        let linear = || {
            let (linear, moments) = self.views.linear(measurement.pattern_set)?;
            linear.code(moments, &self.description.noise, measurement)
        };
        let before = warm.as_ref().map(|(_, belief, left)| (belief, left));
        let projected = self.clock.now_ns();
        let chosen = start.choose(before, linear).ok_or_else(degenerate)?;
        let iterate_ns = self.clock.now_ns() - projected;
        let solution = &chosen.solution;
        let (code, error) = solution.state.split_at(self.model.code_len());
        let code: Buffer<f32> = code.iter().map(|&u| u as f32).collect();
        let mut at = Activations::default();
        self.model.evaluate(&code, &mut at);
        let mut misfit = 2.0 * solution.cost;
        let (mut lessons, mut rest) = (None, Buffer::zeros(self.model.output_len()));
        let mut left = system.left(&whitened, at.features(), error);
        if let Some((before, belief, beyond)) = warm.filter(|_| chosen.warm) {
            // wrong patterns that come again are remembered in the rest, which the state must do without here
            misfit = misfit.max(left.iter().map(|&l| f64::from(l).powi(2)).sum());
            let carried = whitened.iter().zip(&beyond.whitened);
            let carried: Buffer<f32> = carried.map(|(all, beyond)| all - beyond).collect();
            left.iter_mut().zip(&carried).for_each(|(l, c)| *l -= c);
            lessons = self.lessons(measurement, &belief, solution, (&carried, &left));
            rest = before;
        }
        let dual = system.dual(&left);
        self.model.rest.explain(pattern, &dual, &mut rest);
        Ok(Solved {
            count: system.count() as f64,
            unexplained: system.contrast(&whitened).map_or(0.0, |most| misfit / most),
            chosen,
            rest,
            lessons,
            iterate_ns,
        })
    }

    /// What a warm frame says of the time constants of state and rest: by its prediction, its solution, and in whitened
    /// readings what was carried of the rest and what is left over.
    fn lessons(
        &self,
        measurement: &Measurement,
        belief: &Belief,
        solution: &Solution,
        (carried, left): (&[f32], &[f32]),
    ) -> Option<(Option<Lesson>, Lesson)> {
        let last = self.last.as_ref()?;
        let (elapsed_s, now) = (last.elapsed_s(measurement), self.pace.now());
        let innovation = Innovation {
            last: &last.posterior,
            belief,
            posterior: solution.posterior.as_ref()?,
            error_scale: self.error_scale,
        };
        let elapsed = [elapsed_s / now.code, elapsed_s / now.error];
        let turn = |sequence: u64| sequence / LESSON_EVERY;
        // where frames are not numbered, each is
        let due = last.sequence == measurement.sequence
            || turn(last.sequence) != turn(measurement.sequence);
        let told = due && solution.iterations > 0;
        let state = told.then(|| innovation.lesson(self.model.code_len(), elapsed));
        Some((
            state.flatten(),
            rest_lesson(carried, left, elapsed_s / now.rest, self.error_scale),
        ))
    }
}

/// Time between two frames, s, of what their stamps tell.
pub(super) fn apart_s(told: f64) -> f64 {
    if told < TELLS_TIME_S {
        USUAL_INTERVAL_S
    } else {
        told
    }
}

/// The time constants that a track starts with.
fn first_time_constants(settings: &Settings) -> TimeConstants {
    let (code, error) = settings.time_constants_s;
    TimeConstants {
        code,
        error,
        rest: settings.rest_time_constant_s,
    }
}

/// y − (I_J⊗A) x, (J·m), of an image x, (J·n).
pub(super) fn without(operator: &dyn Operator, x: &[f32], y: &[f32]) -> Buffer<f32> {
    let mut scratch = Buffer::zeros(operator.scratch());
    let mut out = Buffer::zeros(y.len());
    without_into(operator, x, y, &mut out, &mut scratch);
    out
}

/// The same into the caller's buffers.
pub(super) fn without_into(
    operator: &dyn Operator,
    x: &[f32],
    y: &[f32],
    out: &mut [f32],
    scratch: &mut [f32],
) {
    let (readings, pixels) = operator.shape();
    for (x, out) in x.chunks_exact(pixels).zip(out.chunks_exact_mut(readings)) {
        operator.apply(x, out, scratch);
    }
    out.iter_mut().zip(y).for_each(|(out, y)| *out = y - *out);
}
