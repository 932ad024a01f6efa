//! Recovery of x₀ against the number of measurements, cold and tracked, the error modelled and not.

use super::{EvalError, Options, options};
use crate::clock::Monotonic;
use crate::frame::{Measurement, RangeImage};
use crate::metrics::{RangeErrors, RangeSummary, median};
use crate::prior::Prior;
use crate::recover::{ErrorModel, Refine, Report, Settings, StartKind, Tracker};
use crate::sensing::SensorDescription;
use crate::sim;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::Serialize;
use std::sync::Arc;

/// Errors at one number of measurements. All methods recover the same frames from the same readings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// m/n
    pub ratio: f64,
    /// m, patterns a frame
    pub readings: usize,
    /// from the measurement alone
    pub cold: RangeSummary,
    /// the same, with the representation error taken as white noise
    pub cold_white: RangeSummary,
    /// as the last of a sequence
    pub tracked: RangeSummary,
    /// mean over frames of RMSE(white) − RMSE(cold), m, and its standard error
    pub gain_over_white_m: (f64, f64),
    /// mean over frames of RMSE(cold) − RMSE(tracked), m, and its standard error
    pub gain_of_tracking_m: (f64, f64),
    /// median number of linear systems solved for a warm frame
    pub warm_iterations_p50: f64,
    /// median time to solve a warm frame, ms
    pub warm_solve_ms_p50: f64,
    /// median time to solve a cold frame, ms
    pub cold_solve_ms_p50: f64,
    /// median χ² over the number of readings, cold and tracked
    pub residual_ratio_p50: (f64, f64),
    /// frames at which the tracker found itself lost, of all it has seen
    pub restarted: (usize, usize),
}

/// One way to recover, and what came of it.
struct Method {
    tracker: Tracker<Monotonic>,
    errors: RangeErrors,
    each: Vec<f64>,
    residual: Vec<f64>,
    solve_ms: Vec<f64>,
}

/// One row for each ratio; `progress` hears of each scene.
///
/// # Errors
/// Where the options describe no sensor.
pub fn recovery(
    prior: &Prior,
    options: &Options,
    progress: &mut dyn FnMut(),
) -> Result<Vec<Row>, EvalError> {
    options
        .ratios
        .iter()
        .map(|&ratio| row(prior, options, ratio, progress))
        .collect()
}

fn row(
    prior: &Prior,
    options: &Options,
    ratio: f64,
    progress: &mut dyn FnMut(),
) -> Result<Row, EvalError> {
    let description = Arc::new(options.sensor(prior, ratio)?);
    let method = |settings: Settings| -> Result<Method, EvalError> {
        let tracker = Tracker::new(
            Arc::clone(&description),
            prior,
            settings,
            Monotonic::default(),
        )?;
        Ok(Method {
            tracker,
            errors: RangeErrors::default(),
            each: vec![],
            residual: vec![],
            solve_ms: vec![],
        })
    };
    let tracked = Settings {
        refine: Refine::NONE, // the bars are for x₀
        ..options.settings.clone()
    };
    let cold = Settings {
        always_cold: true,
        ..tracked
    };
    let white = Settings {
        error: ErrorModel::White,
        ..cold
    };
    let (mut cold, mut white) = (method(cold)?, method(white)?);
    let mut tracked = method(tracked)?;
    let (mut iterations, mut solve_ms, mut restarted) = (vec![], vec![], (0, 0));
    let mut frame = RangeImage::default();
    for index in 0..options.frames {
        tracked.tracker.forget();
        let (lead_in, last, truth) = measured(&description, options, index);
        let mut reports = vec![];
        for measurement in &lead_in {
            reports.push(tracked.tracker.recover(measurement, &mut frame)?);
        }
        for method in [&mut cold, &mut white] {
            method.score(&last, &truth)?;
        }
        reports.push(tracked.score(&last, &truth)?);
        for report in &reports {
            restarted.1 += 1;
            restarted.0 += usize::from(report.start == StartKind::Restarted);
            if report.start == StartKind::Warm {
                iterations.push(report.iterations as f64);
                solve_ms.push(report.timing.solve_ns as f64 * 1e-6);
            }
        }
        progress();
    }
    Ok(Row {
        ratio,
        readings: options::readings(prior, ratio),
        gain_over_white_m: paired(&white.each, &cold.each),
        gain_of_tracking_m: paired(&cold.each, &tracked.each),
        warm_iterations_p50: median(iterations).unwrap_or(f64::NAN),
        warm_solve_ms_p50: median(solve_ms).unwrap_or(f64::NAN),
        cold_solve_ms_p50: median(cold.solve_ms).unwrap_or(f64::NAN),
        residual_ratio_p50: (
            median(cold.residual).unwrap_or(f64::NAN),
            median(tracked.residual).unwrap_or(f64::NAN),
        ),
        restarted,
        cold: cold.errors.summary(),
        cold_white: white.errors.summary(),
        tracked: tracked.errors.summary(),
    })
}

impl Method {
    fn score(
        &mut self,
        measurement: &Measurement,
        truth: &RangeImage,
    ) -> Result<Report, EvalError> {
        let mut frame = RangeImage::default();
        let report = self.tracker.recover(measurement, &mut frame)?;
        let mut errors = RangeErrors::default();
        errors.add(&frame, truth, sim::MAX_RANGE);
        self.errors.merge(&errors);
        self.each.push(errors.range_rmse_m());
        self.residual.push(report.residual_ratio);
        self.solve_ms.push(report.timing.solve_ns as f64 * 1e-6);
        Ok(report)
    }
}

/// [`sequence`] of a sensor that measures as it should.
pub(super) fn measured(
    description: &SensorDescription,
    options: &Options,
    index: usize,
) -> (Vec<Measurement>, Measurement, RangeImage) {
    let mut measure = |set, truth: &RangeImage, rng: &mut ChaCha8Rng| {
        sim::measure(description, set, truth, options.noise, rng)
    };
    sequence(description, options, index, &mut measure)
}

/// What a frame reads with a pattern set, without sequence number and stamp.
pub(super) type Measure<'a> = &'a mut dyn FnMut(usize, &RangeImage, &mut ChaCha8Rng) -> Measurement;

/// What `measure` makes of scene number `index`: the measurements before, the one that is scored, and its truth.
pub(super) fn sequence(
    description: &SensorDescription,
    options: &Options,
    index: usize,
    measure: Measure<'_>,
) -> (Vec<Measurement>, Measurement, RangeImage) {
    let rays = sim::rays(description.rows, description.cols);
    let scene = sim::scene(options.split, index as u64);
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    rng.set_stream(index as u64);
    let mut truth = RangeImage::default();
    let mut measurements: Vec<Measurement> = (0..=options.lead_in)
        .map(|frame| {
            let time_s = frame as f64 / options.rate_hz;
            scene.cast(&rays, time_s as f32, sim::MAX_RANGE, &mut truth);
            let set = (index + frame) % description.patterns.len();
            Measurement {
                sequence: frame as u64,
                stamp_ns: (time_s * 1e9) as u64,
                ..measure(set, &truth, &mut rng)
            }
        })
        .collect();
    let last = measurements.pop().unwrap_or_default();
    (measurements, last, truth)
}

/// Mean of a − b and its standard error; frames without any true return do not count.
pub(super) fn paired(a: &[f64], b: &[f64]) -> (f64, f64) {
    let differences: Vec<f64> = a
        .iter()
        .zip(b)
        .map(|(a, b)| a - b)
        .filter(|d| d.is_finite())
        .collect();
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}
