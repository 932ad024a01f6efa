//! Whether σ is what errors are, and whether readings that do not fit are noticed; refined frames, tracked.

use super::recovery::measured;
use super::{EvalError, Options, RateOf};
use crate::clock::Monotonic;
use crate::frame::{Measurement, RangeImage};
use crate::metrics::{Coverage, CoverageSummary, median};
use crate::prior::Prior;
use crate::recover::{Settings, Tracker};
use crate::sensing::SensorDescription;
use crate::sim;
use serde::Serialize;
use std::sync::Arc;

/// Added to a seed to have other patterns.
const OTHER_PATTERNS: u64 = 1000;
/// Side of σ's blocks, pixels, where the settings want no σ.
const BLOCK: usize = 4;
/// Parts that pixels are calibrated in, from the least raw σ to the largest.
const PARTS: usize = 24;
/// Share of errors that σ is to hold, and the most.
const WITHIN: (f64, f64) = (0.73, 0.765);
/// Share of errors that 2 σ is to hold, where that does not take 1 σ beyond its most.
const WITHIN_TWICE: f64 = 0.94;

/// σ and trust at one number of measurements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UncertaintyRow {
    /// m/n; all of them together where there is none
    pub ratio: Option<f64>,
    /// errors within σ
    pub coverage: CoverageSummary,
    /// what σ adds to a frame's time, median, ms
    pub cost_ms: f64,
    /// frames not trusted: as described, patterns of another seed, readings in another order
    pub untrusted: [Untrusted; 3],
}

/// Frames that were not trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Untrusted {
    /// of first frames
    pub cold: RateOf,
    /// of those that come after others of their kind
    pub tracked: RateOf,
}

/// One row for each ratio and one for all of them; `progress` hears of each scene.
///
/// # Errors
/// Where the options describe no sensor.
pub fn uncertainty(
    prior: &Prior,
    options: &Options,
    progress: &mut dyn FnMut(),
) -> Result<Vec<UncertaintyRow>, EvalError> {
    let mut rows = Vec::new();
    let (mut all, mut costs, mut untrusted) =
        (Coverage::default(), vec![], [Untrusted::default(); 3]);
    for &ratio in &options.ratios {
        let mut bench = Bench::new(prior, options, ratio)?;
        for index in 0..options.frames {
            bench.scene(options, index)?;
            progress();
        }
        all.merge(&bench.coverage);
        costs.extend_from_slice(&bench.costs_ms);
        for (all, own) in untrusted.iter_mut().zip(&bench.untrusted) {
            all.cold.merge(own.cold);
            all.tracked.merge(own.tracked);
        }
        rows.push(UncertaintyRow {
            ratio: Some(ratio),
            coverage: bench.coverage.summary(),
            cost_ms: median(bench.costs_ms).unwrap_or(f64::NAN),
            untrusted: bench.untrusted,
        });
    }
    rows.push(UncertaintyRow {
        ratio: None,
        coverage: all.summary(),
        cost_ms: median(costs).unwrap_or(f64::NAN),
        untrusted,
    });
    Ok(rows)
}

/// (raw σ, σ) over κ_J, both rising: what the errors of frames say that raw σ should have been, over all ratios together.
///
/// # Errors
/// Where the options describe no sensor.
pub fn calibrate(
    prior: &Prior,
    options: &Options,
    progress: &mut dyn FnMut(),
) -> Result<Vec<(f32, f32)>, EvalError> {
    let mut options = options.clone();
    options.settings.sigma_raw = true;
    let mut all = Coverage::default();
    for &ratio in &options.ratios {
        let mut bench = Bench::new(prior, &options, ratio)?;
        for index in 0..options.frames {
            bench.score(&measured(&bench.sensor, &options, index))?;
            progress();
        }
        all.merge(&bench.coverage);
    }
    let pairs = all.into_sorted();
    let mut last = 0.0f32;
    let parts = (0..PARTS)
        .map(|part| &pairs[part * pairs.len() / PARTS..(part + 1) * pairs.len() / PARTS])
        .filter(|part| !part.is_empty());
    Ok(parts
        .map(|part| {
            let mut errors: Vec<f32> = part.iter().map(|(_, error)| *error).collect();
            errors.sort_by(f32::total_cmp);
            let holding = |share: f64| errors[(share * (errors.len() - 1) as f64) as usize];
            let twice = 0.5 * holding(WITHIN_TWICE);
            let sigma = holding(WITHIN.0).max(twice).min(holding(WITHIN.1));
            last = last.max(sigma);
            let raw = part[part.len() / 2].0;
            (raw / sim::MAX_RANGE, last / sim::MAX_RANGE)
        })
        .collect())
}

/// A sensor at one number of measurements, and what came of it.
struct Bench {
    sensor: Arc<SensorDescription>,
    /// the same with other patterns
    other: SensorDescription,
    tracker: Tracker<Monotonic>,
    /// the same without σ
    plain: Tracker<Monotonic>,
    coverage: Coverage,
    costs_ms: Vec<f64>,
    untrusted: [Untrusted; 3],
}

impl Bench {
    fn new(prior: &Prior, options: &Options, ratio: f64) -> Result<Self, EvalError> {
        let sensor = Arc::new(options.sensor(prior, ratio)?);
        let other = Options {
            seed: options.seed + OTHER_PATTERNS,
            ..options.clone()
        };
        let tracker = |sigma_block| {
            let settings = Settings {
                sigma_block,
                ..options.settings.clone()
            };
            Tracker::new(Arc::clone(&sensor), prior, settings, Monotonic::default())
        };
        Ok(Self {
            tracker: tracker(match options.settings.sigma_block {
                0 => BLOCK,
                block => block,
            })?,
            plain: tracker(0)?,
            other: other.sensor(prior, ratio)?,
            sensor,
            coverage: Coverage::default(),
            costs_ms: vec![],
            untrusted: [Untrusted::default(); 3],
        })
    }

    fn scene(&mut self, options: &Options, index: usize) -> Result<(), EvalError> {
        let right = measured(&self.sensor, options, index);
        self.score(&right)?;
        let wrong = measured(&self.other, options, index);
        let turned = |measurement: &Measurement| {
            let mut measurement = measurement.clone();
            let readings = measurement.y.len() / self.sensor.channels();
            let channels = measurement.y.chunks_exact_mut(readings);
            channels.for_each(|y| y.rotate_left(1 + readings / 3));
            measurement
        };
        let turned = (
            right.0.iter().map(turned).collect::<Vec<_>>(),
            turned(&right.1),
        );
        let kinds = [
            (&right.0, &right.1),
            (&wrong.0, &wrong.1),
            (&turned.0, &turned.1),
        ];
        for (kind, (before, last)) in kinds.into_iter().enumerate() {
            self.plain.forget();
            for (frame, measurement) in before.iter().chain([last]).enumerate() {
                let raised = self.plain.estimate(measurement)?.report.untrusted;
                let untrusted = &mut self.untrusted[kind];
                match frame {
                    0 => untrusted.cold.count(raised),
                    _ => untrusted.tracked.count(raised),
                }
            }
        }
        Ok(())
    }

    /// σ of the last frame of a sequence, and what it costs.
    fn score(
        &mut self,
        (before, last, truth): &(Vec<Measurement>, Measurement, RangeImage),
    ) -> Result<(), EvalError> {
        let mut frame = RangeImage::default();
        let mut times = [0.0; 2];
        for (tracker, time) in [&mut self.plain, &mut self.tracker]
            .into_iter()
            .zip(&mut times)
        {
            tracker.forget();
            for measurement in before {
                tracker.recover(measurement, &mut frame)?;
            }
            let timing = tracker.recover(last, &mut frame)?.timing;
            *time = (timing.solve_ns + timing.render_ns) as f64 * 1e-6;
        }
        self.costs_ms.push(times[1] - times[0]);
        self.coverage.add(&frame, truth, sim::MAX_RANGE);
        Ok(())
    }
}
