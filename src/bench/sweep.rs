//! How cost grows: short runs of one thing changed at a time.

use super::{Bench, BenchError, Options, Workload};
use crate::pipeline::{self, Exposure};
use crate::prior::Prior;
use crate::recover::{Model, Settings};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// m/n.
const RATIOS: [f64; 6] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.25];
/// Sensors at once.
const SENSORS: [usize; 4] = [1, 4, 16, 64];
/// Frames of a run, over all sensors.
const FRAMES: u64 = 128;
/// Pattern sets of each sensor: few, as each sensor prepares its own.
const SETS: usize = 2;

/// One run of a sweep, flat out.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// m, patterns a frame
    pub readings: usize,
    /// sensors
    pub sensors: usize,
    /// workers
    pub workers: usize,
    /// preparing a pattern set in the warm-up, the longest, ms
    pub prepare_ms: f64,
    /// solving, median, µs
    pub solve_us: f64,
    /// linear systems solved, mean
    pub iterations: f64,
    /// iterations over linear systems solved, µs
    pub iteration_us: f64,
    /// the rest of solving: whitening and projecting readings, mean, µs
    pub projecting_us: f64,
    /// rendering with refinement, median, µs
    pub render_us: f64,
    /// frames that came out a second
    pub frames_per_s: f64,
    /// memory in use at the end, MiB
    pub resident_mib: Option<f64>,
}

/// How a cost grows with something: cost ~ something^exponent.
#[derive(Clone, Debug, Serialize)]
pub struct Growth {
    /// which cost
    pub cost: &'static str,
    /// with what
    pub with: &'static str,
    /// least squares over the logarithms
    pub measured: Option<f64>,
    /// what theory says
    pub expected: &'static str,
}

/// A sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Sweep {
    /// readings over pixels, one sensor and one worker
    pub readings: Vec<Point>,
    /// sensors, one worker
    pub sensors: Vec<Point>,
    /// workers, eight sensors
    pub workers: Vec<Point>,
    /// what these come to
    pub growth: Vec<Growth>,
}

impl Sweep {
    /// Runs it; `each` is called after every run.
    ///
    /// # Errors
    /// As [`Bench::run`].
    pub fn run(
        prior: &Prior,
        settings: &Settings,
        layout: pipeline::Options,
        stop: &AtomicBool,
        each: &mut dyn FnMut(),
    ) -> Result<Self, BenchError> {
        let model = Arc::new(Model::new(prior, settings.error));
        let mut point = |ratio, sensors, workers| {
            let layout = pipeline::Options { workers, ..layout };
            let point = run((prior, &model), settings, layout, (ratio, sensors), stop);
            each();
            point
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let collect = |points: Vec<Result<Point, BenchError>>| -> Result<Vec<Point>, BenchError> {
            points.into_iter().collect()
        };
        let readings = collect(RATIOS.map(|r| point(r, 1, 1)).into())?;
        let sensors = collect(SENSORS.map(|s| point(0.05, s, 1)).into())?;
        let doubled = std::iter::successors(Some(1), |w| Some(2 * w));
        let doubled = doubled.take_while(|w| *w <= cores);
        let workers = collect(doubled.map(|w| point(0.05, 8, w)).collect())?;
        Ok(Self {
            growth: growth(prior, &readings, &sensors, &workers),
            readings,
            sensors,
            workers,
        })
    }

    /// Number of runs.
    pub fn runs() -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        RATIOS.len() + SENSORS.len() + cores.ilog2() as usize + 1
    }
}

fn run(
    (prior, model): (&Prior, &Arc<Model>),
    settings: &Settings,
    layout: pipeline::Options,
    (ratio, sensors): (f64, usize),
    stop: &AtomicBool,
) -> Result<Point, BenchError> {
    let exposure = Exposure {
        ratio,
        sets: SETS,
        ..Exposure::default()
    };
    let workload = Workload::simulated(prior, sensors, exposure)?;
    let readings = workload.measurement(0, 0)?.y.len() / prior.channels();
    let bench = Bench {
        model,
        settings,
        pipeline: layout,
        workload: &workload,
        options: Options {
            rate_hz: 0.0,
            frames: FRAMES.div_ceil(sensors as u64),
            warm_up: 2 * SETS as u64,
            ..Options::default()
        },
        allocations: None,
    };
    let measured = bench.run(stop, &mut || ())?;
    let (times, warm_up) = (&measured.latency_us, &measured.warm_up_us);
    Ok(Point {
        readings,
        sensors,
        workers: layout.workers,
        prepare_ms: warm_up.as_ref().map_or(0.0, |w| w.prepare.max * 1e-3),
        solve_us: times.solve.p50,
        iterations: times.iterations.mean,
        iteration_us: times.iterate.mean / times.iterations.mean.max(1.0),
        projecting_us: times.solve.mean - times.iterate.mean,
        render_us: times.render.p50 + times.finish.p50,
        frames_per_s: measured.throughput.frames_per_s,
        resident_mib: measured
            .memory
            .last()
            .map(|phase| phase.memory.resident_mib),
    })
}

/// Exponents, beside those that theory has: iterations grow with m only until J·m readings are as many as there are columns
/// in the fused head, H + q; refinement's fast transform does not know m.
fn growth(prior: &Prior, readings: &[Point], sensors: &[Point], workers: &[Point]) -> Vec<Growth> {
    let columns = prior.decoder.feature_len() + prior.error.variances.len();
    let full = |point: &&Point| point.readings * prior.channels() >= columns;
    let below: Vec<&Point> = readings.iter().filter(|p| !full(p)).collect();
    let above: Vec<&Point> = readings.iter().filter(full).collect();
    let all: Vec<&Point> = readings.iter().collect();
    let sensors: Vec<&Point> = sensors.iter().collect();
    let workers: Vec<&Point> = workers.iter().collect();
    let m = |p: &Point| p.readings as f64;
    let fit = |points: &[&Point], x: fn(&Point) -> f64, y: fn(&Point) -> f64| {
        exponent(points.iter().map(|p| (x(p), y(p))))
    };
    let row = |cost, with, measured, expected| Growth {
        cost,
        with,
        measured,
        expected,
    };
    vec![
        row(
            "iteration",
            "m, J m < H + q",
            fit(&below, m, |p| p.iteration_us),
            "≤ 1",
        ),
        row(
            "iteration",
            "m, J m ≥ H + q",
            fit(&above, m, |p| p.iteration_us),
            "0",
        ),
        row(
            "projecting y",
            "m, J m ≥ H + q",
            fit(&above, m, |p| p.projecting_us),
            "≤ 2",
        ),
        row("render", "m", fit(&all, m, |p| p.render_us), "0"),
        row(
            "prepare",
            "m",
            fit(&all, m, |p| p.prepare_ms),
            "≤ 1, and the QR",
        ),
        row(
            "frames/s",
            "sensors",
            fit(&sensors, |p| p.sensors as f64, |p| p.frames_per_s),
            "0",
        ),
        row(
            "memory",
            "sensors",
            fit(
                &sensors,
                |p| p.sensors as f64,
                |p| p.resident_mib.unwrap_or(0.0),
            ),
            "≤ 1, the prior is shared",
        ),
        row(
            "frames/s",
            "workers",
            fit(&workers, |p| p.workers as f64, |p| p.frames_per_s),
            "1 while cores are idle",
        ),
    ]
}

/// The slope of ln y over ln x by least squares; `None` of fewer than two x.
fn exponent(points: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points
        .filter(|(x, y)| *x > 0.0 && *y > 0.0)
        .map(|(x, y)| (x.ln(), y.ln()))
        .collect();
    let count = logs.len() as f64;
    let mean = logs
        .iter()
        .fold((0.0, 0.0), |(x, y), l| (x + l.0 / count, y + l.1 / count));
    let (mut along, mut both) = (0.0, 0.0);
    for (x, y) in logs {
        along += (x - mean.0).powi(2);
        both += (x - mean.0) * (y - mean.1);
    }
    (along > 0.0).then(|| both / along)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_found() {
        let cubes = (1..5).map(|x| (f64::from(x), 7.0 * f64::from(x).powi(3)));
        assert!((exponent(cubes).unwrap() - 3.0).abs() < 1e-9);
        assert!(
            exponent([(1.0, 2.0), (2.0, 2.0)].into_iter())
                .unwrap()
                .abs()
                < 1e-12
        );
        assert_eq!(exponent([(1.0, 2.0)].into_iter()), None);
        assert_eq!(exponent([].into_iter()), None);
    }
}
