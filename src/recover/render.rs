//! From an estimate to an image.

use super::checkpoint::{Checkpoint, CheckpointError};
use super::doubt::doubt;
use super::finish::{Refined, Settling, Unfinished, ratio};
use super::gauge::Gauge;
use super::lasso::{Basis, lasso};
use super::linear::left_over;
use super::method::{Method, Refine};
use super::model::Model;
use super::report::{Estimate, Settings, Source, StartKind};
use super::track::{USUAL_INTERVAL_S, apart_s, without};
use super::variation::{State, Terms};
use super::weighing::{Weighed, weighed};
use crate::frame::Measurement;
use crate::pool::Buffer;
use crate::prior::{Activations, Unrolled};
use crate::sensing::{Data, Operator, SensorDescription};
use crate::simd::kernel;
use std::sync::Arc;

/// Energy that x₀ may leave of the readings over what ψ puts on them; where it leaves more, the prior knows no such scene.
const USUAL_SURPRISE: f32 = 0.3;
/// Least time between frames, s, that counts in [`Refine::last_proximity`], which is of [`USUAL_INTERVAL_S`]: the longer ago a
/// frame was, the less it says, as the variance of a random walk grows.
const LEAST_INTERVAL_S: f32 = 1.0 / 120.0;
/// Least variance over ψ that an image's errors are taken to have.
const LEAST_SURPRISE: f32 = 0.01;

/// Makes images of a sensor's estimates, one after another, each refined from where the one before stands. Needs nothing of
/// the tracker's, so that it may run beside the next solve.
#[derive(Clone, Debug)]
pub struct Renderer {
    description: Arc<SensorDescription>,
    model: Arc<Model>,
    settings: Settings,
    /// 1/ψ, ψ the variance of x₀, (J·n)
    certainty: Arc<[f32]>,
    basis: Option<Basis>,
    /// of each pattern set, where it is known
    gauges: Vec<Option<Gauge>>,
    /// where refinement stands, at the sensor's own scale: what total variation made of the frame, from which the next one goes
    /// on, and not what a network made of that, which would feed on its own errors
    pub(super) state: State,
    /// when the frame was that it stands at
    stamp_ns: u64,
}

/// A first image.
struct First {
    x: Buffer<f32>,
    /// precision of each value over γ, (J·n)
    precision: Buffer<f32>,
    /// share of the error that each pixel takes in, (n); empty where there is none
    trust: Buffer<f32>,
}

impl Renderer {
    pub(super) fn new(
        description: Arc<SensorDescription>,
        model: Arc<Model>,
        settings: &Settings,
    ) -> Self {
        let (rows, cols) = (description.rows, description.cols);
        let certainty = match (settings.method, &model.moments) {
            (Method::Principal, Some(moments)) => {
                reciprocals(&left_over(moments, settings.directions))
            }
            _ => reciprocals(&model.rest.variance),
        };
        Self {
            gauges: vec![None; description.patterns.len()],
            basis: match settings.method {
                Method::Cosines => Some(Basis::cosines(rows, cols)),
                Method::Wavelets => Some(Basis::Wavelets { grid: (rows, cols) }),
                Method::Latent | Method::Principal | Method::Blank => None,
            },
            certainty,
            settings: settings.clone(),
            state: State::default(),
            stamp_ns: 0,
            description,
            model,
        }
    }

    /// Goes on from the refined image of a checkpoint.
    ///
    /// # Errors
    /// Where it is of another prior.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        checkpoint.check(&self.model)?;
        self.state = checkpoint.refined.clone();
        self.stamp_ns = checkpoint.header.stamp_ns;
        Ok(())
    }

    /// The image of an estimate: x₀ as it is, or refined, for a [`Finisher`](super::Finisher) to go on with.
    ///
    /// # Panics
    /// Where the estimate or the measurement is not of the sensor's own tracker.
    pub fn render(&mut self, estimate: &Estimate, measurement: &Measurement) -> Refined {
        let scale = estimate.scale;
        let pattern = &self.description.patterns[measurement.pattern_set];
        let gauge = self.gauges[measurement.pattern_set]
            .get_or_insert_with(|| Gauge::new(&self.model.rest, pattern));
        let norm = gauge.norm;
        let mut y: Buffer<f32> = measurement.y.iter().map(|y| y / scale).collect();
        let signs = y.iter_mut().zip(&estimate.signs.expected);
        signs.for_each(|(y, sign)| *y = y.copysign(*sign));
        let warm = estimate.report.start == StartKind::Warm && !self.state.x.is_empty();
        let last = warm.then(|| {
            self.state
                .x
                .iter()
                .map(|x| x / scale)
                .collect::<Buffer<_>>()
        });
        if !warm {
            self.state = State::default();
        }
        let mut first = self.first(estimate);
        let mut unrolled = None;
        if let Some(basis) = &self.basis {
            let settings = &self.settings.lasso;
            let mut x = last.unwrap_or(first.x);
            let limits = (settings.weight, settings.iterations);
            let missing = &measurement.missing;
            lasso(pattern, norm, basis, limits, &y, missing, &mut x);
            self.state.restart(&x);
        } else if self.settings.refine.iterations > 0 {
            let own = first.x.clone();
            let pull = self.pull(&mut first, last.as_deref(), &y, measurement);
            let noise = self.noise(scale, measurement.gain);
            let told = Terms {
                norm,
                y: &y,
                missing: &measurement.missing,
                noise: &noise,
                near: &first.x,
                pull: &pull,
                ..Terms::new(&self.settings.refine, pattern, self.description.cols)
            };
            let start = match (&estimate.source, &last) {
                (Source::Blank, Some(last)) => last,
                _ => &first.x,
            };
            self.state.restart(start);
            let weighed = self.weighed(&told, estimate, measurement.pattern_set, warm);
            let terms = match &weighed {
                Some(Weighed { y, noise }) => Terms { y, noise, ..told },
                None => told,
            };
            let ratio = ratio(pattern, measurement);
            let conditions = self.conditions(ratio, terms.noise);
            let steps = match conditions {
                Some(_) => self.settings.refine.unrolled_steps(warm, ratio),
                None => self.settings.refine.steps(warm),
            };
            let descended = terms.descend(&mut self.state, steps);
            let (y, noise) = weighed.map_or((y, noise), |weighed| (weighed.y, weighed.noise));
            if descended.is_none() {
                self.state.x = first.x;
            } else if let Some(conditions) = conditions {
                unrolled = Some(Unfinished {
                    norm,
                    conditions,
                    last: last.unwrap_or_else(|| own.clone()),
                    first: own,
                    settling: Settling::of(ratio, noise, pull, self.state.duals()),
                    y,
                });
            }
        } else {
            self.state.restart(&first.x);
        }
        let x = self.state.x.clone();
        self.state.x.iter_mut().for_each(|x| *x *= scale);
        self.stamp_ns = measurement.stamp_ns;
        Refined {
            x,
            trust: first.trust,
            unrolled,
        }
    }

    /// Readings as refined images expect them, from where refinement stands on; `None` where their signs are told.
    fn weighed(
        &self,
        terms: &Terms<'_>,
        estimate: &Estimate,
        set: usize,
        warm: bool,
    ) -> Option<Weighed> {
        let gauge = self.gauges[set].as_ref()?;
        let unsigned = self.description.data == Data::Magnitudes && gauge.sure.contains(&0.0);
        unsigned.then(|| {
            let state = State::of(self.state.x.clone(), self.state.duals().clone());
            let from = (state, self.settings.refine.steps(warm));
            weighed(terms, &gauge.sure, estimate.signs.expected.clone(), from)
        })
    }

    /// αN₀, (J × J), of a frame `scale` times as bright as the return that the prior knows.
    fn noise(&self, scale: f32, gain: f32) -> Buffer<f32> {
        let gain = gain / (scale * scale);
        self.description.noise.iter().map(|v| gain * v).collect()
    }

    /// What the unrolled network goes by with readings of an m/n of `ratio`, αN₀ being `noise`; `None` where there is none, or it
    /// is not trained for such.
    fn conditions(&self, ratio: f32, noise: &[f32]) -> Option<[f32; 2]> {
        let channels = self.description.channels();
        let variance = noise.iter().step_by(channels + 1).sum::<f32>() / channels as f32;
        let conditions = Unrolled::conditions(ratio, variance.sqrt());
        let wanted = self.settings.refine.unrolled && self.model.network.is_some();
        conditions.filter(|_| wanted)
    }

    /// x₀ and how far it is to be trusted.
    fn first(&self, estimate: &Estimate) -> First {
        let freedom = self.settings.refine.freedom;
        match &estimate.source {
            Source::Latent {
                state,
                rest,
                error_scale,
                ..
            } => {
                let mut x = Buffer::zeros(self.model.output_len());
                let mut correction = x.clone();
                self.model
                    .generate(state, &mut Activations::default(), &mut x);
                self.model.correct(state, &mut correction);
                let parts = correction.iter_mut().zip(rest);
                parts.for_each(|(correction, rest)| *correction += rest);
                let half_trust = self.settings.half_trust_return * error_scale.sqrt();
                let trust = self.model.take_in(&correction, half_trust, &mut x);
                let share = trust.iter().map(|w| 1.0 / (error_scale * (w + freedom)));
                let share: Buffer<f32> = share.collect();
                let mut precision = Buffer::from(&*self.certainty);
                scale_channels(&share, &mut precision);
                First {
                    x,
                    precision,
                    trust,
                }
            }
            Source::Image(x) => First {
                x: x[..].into(),
                precision: Buffer::from(&*self.certainty),
                trust: Buffer::default(),
            },
            Source::Blank => First {
                x: Buffer::zeros(self.model.output_len()),
                precision: Buffer::zeros(self.model.output_len()),
                trust: Buffer::default(),
            },
        }
    }

    /// What readings y, at the return that the prior knows, leave of an image, (J·m); 0 where they are missing.
    fn left(&self, image: &[f32], y: &[f32], measurement: &Measurement) -> Buffer<f32> {
        let pattern = &self.description.patterns[measurement.pattern_set];
        let mut left = without(pattern, image, y);
        let missing = measurement.missing.iter();
        missing.for_each(|&i| left[i as usize] = 0.0);
        left
    }

    /// The energy of what an image leaves of the readings over what ψ puts on them.
    fn surprise(&self, left: &[f32], measurement: &Measurement) -> f32 {
        let gauge = self.gauges[measurement.pattern_set].as_ref();
        let usual = gauge.map_or(&[][..], |gauge| &gauge.energy);
        let missing = measurement.missing.iter();
        let missed: f32 = missing.filter_map(|&i| usual.get(i as usize)).sum();
        let found: f32 = left.iter().map(|v| v * v).sum();
        (found / (usual.iter().sum::<f32>() - missed)).max(LEAST_SURPRISE)
    }

    /// How far each pixel is to be believed that leaves so much of the readings, in (0, 1], (n).
    fn belief(&self, left: &[f32], measurement: &Measurement) -> Buffer<f32> {
        let pattern = &self.description.patterns[measurement.pattern_set];
        let disbelief = self.settings.refine.doubt;
        if disbelief == 0.0 {
            return Buffer::of(1.0, pattern.shape().1);
        }
        let doubt = doubt(pattern, self.description.cols, left);
        doubt.iter().map(|d| 1.0 / (1.0 + disbelief * d)).collect()
    }

    /// Γ, (J·n), of a first image, which the refined frame before, `last`, draws nearer; each counts less where the
    /// readings contradict it.
    fn pull(
        &self,
        first: &mut First,
        last: Option<&[f32]>,
        y: &[f32],
        measurement: &Measurement,
    ) -> Buffer<f32> {
        let Refine {
            proximity,
            last_proximity,
            ..
        } = self.settings.refine;
        let level = match &self.gauges[measurement.pattern_set] {
            Some(gauge) if first.trust.is_empty() => &gauge.even_level,
            Some(gauge) => &gauge.level,
            None => return first.precision.clone(),
        };
        let left = self.left(&first.x, y, measurement);
        let usual = (USUAL_SURPRISE / self.surprise(&left, measurement)).sqrt();
        let believed = |left: &[f32], weight: f32, precision: &[f32]| {
            let belief = self.belief(left, measurement);
            let share = belief
                .iter()
                .zip(level)
                .map(|(b, level)| weight * level * b);
            let share: Buffer<f32> = share.collect();
            let mut pull = Buffer::from(precision);
            scale_channels(&share, &mut pull);
            pull
        };
        let mut pull = believed(&left, proximity * usual.min(1.0), &first.precision);
        if let Some(last) = last.filter(|_| last_proximity > 0.0) {
            let left = self.left(last, y, measurement);
            let told_s = 1e-9 * measurement.stamp_ns.abs_diff(self.stamp_ns) as f32;
            let elapsed_s = (apart_s(told_s.into()) as f32).max(LEAST_INTERVAL_S);
            let known = USUAL_INTERVAL_S as f32 / elapsed_s;
            let weight = known * last_proximity / self.surprise(&left, measurement);
            let other = believed(&left, weight, &self.certainty);
            draw(&mut first.x, &mut pull, last, &other);
        }
        pull
    }
}

fn reciprocals(values: &[f32]) -> Arc<[f32]> {
    values.iter().map(|v| v.recip()).collect()
}

kernel! {
    /// v ← v ∘ w in each channel, of `v`, (J·n), and w, (n).
    fn scale_channels<'a>(w: &'a [f32], v: &'a mut [f32]) {
        for channel in v.chunks_exact_mut(w.len()) {
            channel.iter_mut().zip(w).for_each(|(v, w)| *v *= w);
        }
    }
}

kernel! {
    /// Draws x, pulled by Γ, to `other` too, which pulls by Γ'.
    fn draw<'a>(x: &'a mut [f32], pull: &'a mut [f32], other: &'a [f32], other_pull: &'a [f32]) {
        let values = x.iter_mut().zip(pull).zip(other).zip(other_pull);
        for (((x, pull), other), other_pull) in values {
            *x = (*pull * *x + other_pull * other) / (*pull + other_pull);
            *pull += other_pull;
        }
    }
}
