//! Recovery on its own, without pipeline, and the physical floors beside it.

use super::{BenchError, Spread, Workload};
use crate::clock::{Clock, Monotonic};
use crate::frame::{Measurement, RangeImage};
use crate::metrics::median;
use crate::recover::{
    Finisher, Forward, Model, Refine, Renderer, Report, Settings, Tracker, Workspace,
};
use serde::Serialize;
use std::hint::black_box;
use std::sync::Arc;

/// Frames that come before those that are measured, at least: twice through the usual pattern sets.
const LEAD_IN: u64 = 16;
/// Warm frames, then cold ones, that are measured.
const FRAMES: (u64, u64) = (64, 16);
/// Frames after which a renderer knows its pattern sets.
const SETTLING: usize = 8;
/// Passes of which the median is taken.
const PASSES: usize = 200;
/// The same of passes over the whole last layer.
const LONG_PASSES: usize = 20;

/// What one thread needs, µs where nothing else is said.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Parts {
    /// R·φ(u): one forward pass in measurement space, see [`Forward`]
    pub forward_us: f64,
    /// the weights that it reads, summed up
    pub forward_stream_us: f64,
    /// the last layer's weights, (J·n × H), read once from memory and summed up
    pub stream_us: f64,
    /// as many bytes as rendering a frame reads: weights of features that are not 0, and images of all error directions
    pub stream_rendered_us: f64,
    /// bytes of the last layer's weights, in as few bits as rendering reads
    pub stream_bytes: usize,
    /// bytes that rendering a frame reads, over warm frames
    pub rendered_bytes: usize,
    /// share of features that are not 0, over warm frames
    pub active: f64,
    /// solving, of frames that know the frame before
    pub warm_solve_us: Spread,
    /// from the code to the image x₀, of the same frames, without refinement
    pub render_us: Spread,
    /// refinement on top of it
    pub refine_us: Spread,
    /// solving, of frames that do not, by pattern sets that are known
    pub cold_solve_us: Spread,
    /// linear systems solved by such frames, median
    pub cold_iterations: f64,
    /// preparing a pattern set at its first frame, or at a new noise level
    pub prepare_us: Option<Spread>,
    /// allocations of a warm [`Tracker::recover`], refinement included, where somebody counts them
    pub allocations_per_frame: Option<f64>,
}

impl Parts {
    /// Measured on the workload's first sensor.
    ///
    /// # Errors
    /// Where its frames cannot be recovered.
    pub fn measure(
        model: Arc<Model>,
        settings: &Settings,
        workload: &Workload,
        allocations: Option<fn() -> u64>,
    ) -> Result<Self, BenchError> {
        let sensor = workload.sensor(0).description;
        let shared = Arc::clone(&model);
        let clock = Monotonic::default();
        let tracker = Tracker::with_model(Arc::clone(&sensor), shared, settings.clone(), clock)?;
        let mut alone = Alone {
            tracker,
            workload,
            settings,
            image: RangeImage::default(),
        };
        let lead_in = LEAD_IN.max(2 * sensor.patterns.len() as u64);
        let first = alone.recover(0..lead_in)?;
        let count = || allocations.map(|count| count());
        let warm = alone.measurements(lead_in..lead_in + FRAMES.0)?;
        let k = model.code_len();
        let mut codes = Vec::with_capacity(warm.len() * k);
        let mut solve_ns = Vec::with_capacity(warm.len());
        let before = count();
        for measurement in &warm {
            let report = alone.tracker.recover(measurement, &mut alone.image)?;
            codes.extend_from_slice(&report.code);
            solve_ns.push(report.timing.solve_ns);
        }
        let allocated = count().zip(before).map(|(after, before)| after - before);
        let next = lead_in + FRAMES.0;
        let (render_us, refine_us) = alone.render(&model, next..next + FRAMES.0)?;
        let next = next + FRAMES.0;
        let mut cold = vec![];
        for frame in next..next + FRAMES.1 {
            alone.tracker.forget();
            cold.extend(alone.recover(frame..frame + 1)?);
        }
        let solve = |solve_ns: &[u64]| {
            let spread = Spread::of(solve_ns.iter().map(|&ns| ns as f64 * 1e-3));
            spread.ok_or(BenchError::Empty { found: "no frame" })
        };
        let cold_ns: Vec<u64> = cold.iter().map(|r| r.timing.solve_ns).collect();
        let codes: Vec<&[f32]> = codes.chunks_exact(k).collect();
        let stream_bytes = model.image_bytes();
        let rendered = codes.iter().map(|code| model.rendered_bytes(code));
        let rendered: Vec<usize> = rendered.collect();
        let rendered_bytes = rendered.iter().sum::<usize>() / rendered.len().max(1);
        let floor = Floor::measure(&alone, model, &codes, &clock);
        let (stream_us, stream_rendered_us) = stream(stream_bytes, rendered_bytes, &clock);
        let prepared = first.iter().map(|r| r.timing.prepare_ns as f64 * 1e-3);
        Ok(Self {
            forward_us: floor.forward_us,
            forward_stream_us: floor.stream_us,
            stream_us,
            stream_rendered_us,
            stream_bytes,
            rendered_bytes,
            active: floor.active,
            warm_solve_us: solve(&solve_ns)?,
            render_us,
            refine_us,
            cold_solve_us: solve(&cold_ns)?,
            cold_iterations: median(cold.iter().map(|r| r.iterations as f64).collect())
                .unwrap_or(0.0),
            prepare_us: Spread::of(prepared.take(sensor.patterns.len())),
            allocations_per_frame: allocated.map(|a| a as f64 / warm.len() as f64),
        })
    }
}

/// A tracker and what its sensor sends.
struct Alone<'a> {
    tracker: Tracker<Monotonic>,
    workload: &'a Workload,
    settings: &'a Settings,
    image: RangeImage,
}

impl Alone<'_> {
    fn measurements(&self, frames: std::ops::Range<u64>) -> Result<Vec<Measurement>, BenchError> {
        frames
            .map(|frame| self.workload.measurement(0, frame))
            .collect()
    }

    fn recover(&mut self, frames: std::ops::Range<u64>) -> Result<Vec<Report>, BenchError> {
        let measurements = self.measurements(frames)?;
        let recover = |m| Ok(self.tracker.recover(m, &mut self.image)?);
        measurements.iter().map(recover).collect()
    }

    /// Times of rendering without refinement, and of what refinement adds, µs.
    fn render(
        &mut self,
        model: &Arc<Model>,
        frames: std::ops::Range<u64>,
    ) -> Result<(Spread, Spread), BenchError> {
        let plain = Settings {
            refine: Refine::NONE,
            ..self.settings.clone()
        };
        let sensor = Arc::clone(self.tracker.description());
        let clock = Monotonic::default();
        let plain = Tracker::with_model(sensor, Arc::clone(model), plain, clock)?;
        let of = |tracker: &Tracker<Monotonic>| {
            let (renderer, finisher) = (tracker.renderer(), tracker.finisher());
            (renderer.clone(), Arc::clone(finisher), Workspace::default())
        };
        let (mut plain, mut whole) = (of(&plain), of(&self.tracker));
        let (mut render, mut refine) = (vec![], vec![]);
        for measurement in &self.measurements(frames)? {
            let estimate = self.tracker.estimate(measurement)?;
            let mut time = |(renderer, finisher, workspace): &mut (Renderer, Arc<Finisher>, _)| {
                let began = clock.now_ns();
                let refined = renderer.render(&estimate, measurement);
                finisher.finish(&estimate, measurement, refined, workspace, &mut self.image);
                (clock.now_ns() - began) as f64 * 1e-3
            };
            let (without, with) = (time(&mut plain), time(&mut whole));
            render.push(without);
            refine.push(with - without);
        }
        Spread::of(render.into_iter().skip(SETTLING))
            .zip(Spread::of(refine.into_iter().skip(SETTLING)))
            .ok_or(BenchError::Empty { found: "no frame" })
    }
}

/// The floor of solving.
struct Floor {
    forward_us: f64,
    stream_us: f64,
    active: f64,
}

impl Floor {
    /// Over codes of frames that were recovered; all 0 where these have none.
    fn measure(alone: &Alone<'_>, model: Arc<Model>, codes: &[&[f32]], clock: &Monotonic) -> Self {
        let features = model.feature_len() as f64;
        let sensor = alone.tracker.description();
        let gain = alone.workload.measurement(0, 0).map_or(1.0, |m| m.gain);
        let forward = Forward::new(sensor, model, 0, gain);
        let solved = codes.first().is_some_and(|code| !code.is_empty());
        let Some(mut forward) = forward.filter(|_| solved) else {
            return Self {
                forward_us: 0.0,
                stream_us: 0.0,
                active: 0.0,
            };
        };
        let mut codes = codes.iter().cycle();
        let (mut active, mut read) = (0, 0);
        let forward_us = typical_us(PASSES, clock, || {
            if let Some(code) = codes.next() {
                black_box(forward.apply(code));
            }
            active += forward.active();
            read += forward.weights_read();
        });
        let weights = vec![1.0f32; read / PASSES];
        Self {
            forward_us,
            stream_us: typical_us(PASSES, clock, || {
                black_box(sum(black_box(&weights)));
            }),
            active: active as f64 / PASSES as f64 / features,
        }
    }
}

/// Time to sum up so many bytes, and so many others.
fn stream(bytes: usize, others: usize, clock: &Monotonic) -> (f64, f64) {
    let weights = vec![1.0f32; bytes.max(others) / size_of::<f32>()];
    let time = |bytes: usize| {
        let weights = &weights[..bytes / size_of::<f32>()];
        typical_us(LONG_PASSES, clock, || {
            black_box(sum(black_box(weights)));
        })
    };
    (time(bytes), time(others))
}

/// Median time of a pass, µs.
fn typical_us(passes: usize, clock: &Monotonic, mut pass: impl FnMut()) -> f64 {
    let times = (0..passes).map(|_| {
        let began = clock.now_ns();
        pass();
        (clock.now_ns() - began) as f64 * 1e-3
    });
    median(times.collect()).unwrap_or(0.0)
}

/// Σ v, in partial sums that the compiler keeps in vector registers: as fast as values come from memory.
fn sum(values: &[f32]) -> f32 {
    const LANES: usize = 32;
    let mut partial = [0.0f32; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in chunks.by_ref() {
        for (partial, v) in partial.iter_mut().zip(chunk) {
            *partial += v;
        }
    }
    partial.iter().chain(chunks.remainder()).sum()
}
