//! What imperfect sensors cost, each imperfection alone.

use super::recovery::paired;
use super::{EvalError, Options};
use crate::clock::Monotonic;
use crate::frame::{Measurement, RangeImage};
use crate::metrics::{RangeErrors, RangeSummary};
use crate::prior::Prior;
use crate::recover::{StartKind, Tracker};
use crate::sim::{self, Imperfections, VirtualSensor};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::Serialize;
use std::sync::Arc;

/// Tracked recovery from a sensor with one imperfection. All rows of an m/n see the same moments of the same scenes, the same
/// patterns and noise of the same seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImperfectionRow {
    /// m/n
    pub ratio: f64,
    /// m, patterns a frame
    pub readings: usize,
    /// what is wrong with the sensor
    pub imperfection: String,
    /// errors of the last frame of each sequence
    pub tracked: RangeSummary,
    /// mean over sequences of RMSE − RMSE of the perfect sensor, m, and its standard error
    pub cost_m: (f64, f64),
    /// frames at which the tracker found itself lost, of all it has seen
    pub restarted: (usize, usize),
}

/// The perfect sensor first, then each imperfection alone: patterns shown over the whole interval between frames, a gain that
/// is 2 % off from frame to frame, patterns half a pixel off, 5 % of the readings lost.
fn sensors(rate_hz: f64) -> [(&'static str, Imperfections); 5] {
    let perfect = Imperfections::default();
    let rolling_s = (1.0 / rate_hz) as f32;
    [
        ("none", perfect),
        (
            "rolling",
            Imperfections {
                rolling_s,
                ..perfect
            },
        ),
        (
            "2 % gain error",
            Imperfections {
                gain_error: 0.02,
                ..perfect
            },
        ),
        (
            "half a pixel off",
            Imperfections {
                misregistered: 0.5,
                ..perfect
            },
        ),
        (
            "5 % missing",
            Imperfections {
                missing: 0.05,
                ..perfect
            },
        ),
    ]
}

/// One row for each m/n and imperfection; `progress` hears of each sequence.
///
/// # Errors
/// Where the options describe no sensor.
pub fn imperfections(
    prior: &Prior,
    options: &Options,
    progress: &mut dyn FnMut(),
) -> Result<Vec<ImperfectionRow>, EvalError> {
    let mut rows = vec![];
    for &ratio in &options.ratios {
        let mut perfect: Option<Vec<f64>> = None;
        for (name, imperfections) in sensors(options.rate_hz) {
            let tracked = track(prior, options, ratio, imperfections, progress)?;
            let baseline = perfect.get_or_insert_with(|| tracked.each.clone());
            rows.push(ImperfectionRow {
                ratio,
                readings: tracked.readings,
                imperfection: name.to_owned(),
                tracked: tracked.errors.summary(),
                cost_m: paired(&tracked.each, baseline),
                restarted: tracked.restarted,
            });
        }
    }
    Ok(rows)
}

/// What came of all sequences.
#[derive(Default)]
struct Tracked {
    readings: usize,
    errors: RangeErrors,
    /// RMSE of each sequence's last frame, m
    each: Vec<f64>,
    restarted: (usize, usize),
}

fn track(
    prior: &Prior,
    options: &Options,
    ratio: f64,
    imperfections: Imperfections,
    progress: &mut dyn FnMut(),
) -> Result<Tracked, EvalError> {
    let grid = (prior.rows, prior.cols);
    let readings = ((prior.pixels() as f64 * ratio).round() as usize).max(1);
    let shown = (options.sets, readings);
    let description = sim::describe(grid, &prior.knots, sim::MAX_RANGE, shown, options.seed)?;
    let noise = sim::Noise::Share(options.noise);
    let sensor = VirtualSensor::imperfect(description, noise, imperfections)?;
    let mut tracker = Tracker::new(
        Arc::new(sensor.description().clone()),
        prior,
        options.settings.clone(),
        Monotonic::default(),
    )?;
    let rays = sim::rays(prior.rows, prior.cols);
    let (mut truth, mut frame, mut moments) =
        (RangeImage::default(), RangeImage::default(), vec![]);
    let mut tracked = Tracked {
        readings,
        ..Tracked::default()
    };
    for index in 0..options.frames {
        let scene = sim::scene(options.split, index as u64);
        tracker.forget();
        for number in 0..=options.lead_in {
            let time_s = number as f64 / options.rate_hz;
            imperfections.expose(&scene, &rays, time_s as f32, &mut moments);
            // noise of its own for each frame: what an imperfection draws besides leaves the frames after it alone
            let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
            rng.set_stream(((index as u64) << 32) + number as u64);
            let measurement = Measurement {
                sequence: number as u64,
                stamp_ns: (time_s * 1e9) as u64,
                ..sensor.measure_moving(&moments, (index + number) % options.sets, &mut rng)?
            };
            let report = tracker.recover(&measurement, &mut frame)?;
            tracked.restarted.1 += 1;
            tracked.restarted.0 += usize::from(report.start == StartKind::Restarted);
        }
        let last_s = options.lead_in as f64 / options.rate_hz;
        scene.cast(&rays, last_s as f32, sim::MAX_RANGE, &mut truth);
        let mut errors = RangeErrors::default();
        errors.add(&frame, &truth, sim::MAX_RANGE);
        tracked.errors.merge(&errors);
        tracked.each.push(errors.range_rmse_m());
        progress();
    }
    Ok(tracked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imperfections_cost_something_and_the_perfect_sensor_nothing() {
        let prior = Prior::embedded().unwrap();
        let options = Options {
            frames: 4,
            lead_in: 3,
            sets: 2,
            ratios: vec![0.05],
            ..Options::default()
        };
        let mut sequences = 0;
        let rows = imperfections(&prior, &options, &mut || sequences += 1).unwrap();
        assert_eq!((rows.len(), sequences), (5, 20));
        assert_eq!(
            (rows[0].imperfection.as_str(), rows[0].cost_m.0),
            ("none", 0.0)
        );
        for row in &rows {
            assert!(
                row.tracked.range_rmse_m < 4.0 && row.restarted.1 == 16,
                "{row:?}"
            );
        }
        for row in &rows[1..] {
            assert_ne!(row.tracked, rows[0].tracked, "{row:?}");
        }
    }
}
