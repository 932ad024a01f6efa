//! What imperfect sensors cost, each imperfection alone.

use super::recovery::paired;
use super::{EvalError, Options, options};
use crate::clock::Monotonic;
use crate::frame::{Measurement, RangeImage};
use crate::metrics::{RangeErrors, RangeSummary};
use crate::prior::Prior;
use crate::recover::{StartKind, Tracker};
use crate::sim::{self, Drift, Imperfections, VirtualSensor};
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
    /// what is wrong with the sensor, and what its frames are judged against where that is not the scene along its own rays
    pub imperfection: String,
    /// errors of the last frame of each sequence
    pub tracked: RangeSummary,
    /// the same of the perfect sensor
    pub perfect: RangeSummary,
    /// mean over sequences of RMSE − RMSE of the perfect sensor, m, and its standard error
    pub cost_m: (f64, f64),
    /// frames at which the tracker found itself lost, of all it has seen
    pub restarted: (usize, usize),
}

/// A sensor that falls short of its description.
#[derive(Clone, Copy, Debug)]
struct Faulty {
    name: &'static str,
    imperfections: Imperfections,
    /// pixels by which its patterns lie to the right of where they should: they see the scene along other rays
    turned: f32,
}

/// Period of a drifting gain, s: at the last frame of a sequence of half a second it changes fastest.
const DRIFT_PERIOD_S: f32 = 1.0;

/// The perfect sensor first, then each imperfection alone: patterns shown over the whole interval between frames, a gain that
/// is 2 % off from frame to frame, one that drifts by 10 % and back while the patterns are shown one by one, patterns half a
/// pixel off, the same as an average of neighbours, which smooths the scene besides, 5 % of the readings lost.
fn sensors(rate_hz: f64) -> [Faulty; 7] {
    let perfect = Imperfections::default();
    let frame_s = (1.0 / rate_hz) as f32;
    let drift = Drift {
        amplitude: 0.1,
        period_s: DRIFT_PERIOD_S,
        frame_s,
    };
    let alone = |name, imperfections| Faulty {
        name,
        imperfections,
        turned: 0.0,
    };
    [
        alone("none", perfect),
        alone(
            "rolling",
            Imperfections {
                rolling_s: frame_s,
                ..perfect
            },
        ),
        alone(
            "2 % gain error",
            Imperfections {
                gain_error: 0.02,
                ..perfect
            },
        ),
        alone("10 % gain drift", Imperfections { drift, ..perfect }),
        Faulty {
            name: "half a pixel off",
            imperfections: perfect,
            turned: 0.5,
        },
        alone(
            "half a pixel off, averaged",
            Imperfections {
                misregistered: 0.5,
                ..perfect
            },
        ),
        alone(
            "5 % missing",
            Imperfections {
                missing: 0.05,
                ..perfect
            },
        ),
    ]
}

/// One row for each m/n and imperfection, two more for patterns that are only turned: their frames judged by what they look
/// at, and what they look at judged by what they should, the least that such a turn can cost. `progress` hears of each
/// sequence.
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
        let mut perfect: Option<Judged> = None;
        for faulty in sensors(options.rate_hz) {
            let tracked = track(prior, options, ratio, faulty, progress)?;
            let perfect = perfect.get_or_insert_with(|| tracked.recovered.clone());
            let mut row = |imperfection: String, judged: &Judged| {
                rows.push(ImperfectionRow {
                    ratio,
                    readings: options::readings(prior, ratio),
                    imperfection,
                    tracked: judged.errors.summary(),
                    perfect: perfect.errors.summary(),
                    cost_m: paired(&judged.each, &perfect.each),
                    restarted: tracked.restarted,
                });
            };
            row(faulty.name.to_owned(), &tracked.recovered);
            if faulty.turned != 0.0 {
                let name = |what| format!("{}: {what}", faulty.name);
                row(name("against what it looks at"), &tracked.seen);
                row(name("what it looks at itself"), &tracked.truth_seen);
            }
        }
    }
    Ok(rows)
}

/// Errors over sequences.
#[derive(Clone, Debug, Default)]
struct Judged {
    errors: RangeErrors,
    /// RMSE of each sequence's last frame, m
    each: Vec<f64>,
}

impl Judged {
    fn add(&mut self, frame: &RangeImage, truth: &RangeImage) {
        let mut errors = RangeErrors::default();
        errors.add(frame, truth, sim::MAX_RANGE);
        self.errors.merge(&errors);
        self.each.push(errors.range_rmse_m());
    }
}

/// What came of all sequences.
#[derive(Default)]
struct Tracked {
    /// recovered frames against the truth
    recovered: Judged,
    /// recovered frames against what the patterns look at
    seen: Judged,
    /// what the patterns look at against the truth
    truth_seen: Judged,
    restarted: (usize, usize),
}

fn track(
    prior: &Prior,
    options: &Options,
    ratio: f64,
    faulty: Faulty,
    progress: &mut dyn FnMut(),
) -> Result<Tracked, EvalError> {
    let Faulty {
        imperfections,
        turned,
        ..
    } = faulty;
    let description = options.sensor(prior, ratio)?;
    let noise = sim::Noise::Share(options.noise);
    let sensor = VirtualSensor::imperfect(description, noise, imperfections)?;
    let mut tracker = Tracker::new(
        Arc::new(sensor.description().clone()),
        prior,
        options.settings.clone(),
        Monotonic::default(),
    )?;
    let rays = sim::rays(prior.rows, prior.cols);
    let seen_along = rays.turned(turned);
    let (mut truth, mut seen) = (RangeImage::default(), RangeImage::default());
    let (mut frame, mut moments) = (RangeImage::default(), vec![]);
    let mut tracked = Tracked::default();
    for index in 0..options.frames {
        let scene = sim::scene(options.split, index as u64);
        tracker.forget();
        for number in 0..=options.lead_in {
            let time_s = number as f64 / options.rate_hz;
            imperfections.expose(&scene, &seen_along, time_s as f32, &mut moments);
            // noise of its own for each frame: what an imperfection draws besides leaves the frames after it alone
            let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
            rng.set_stream(((index as u64) << 32) + number as u64);
            let set = (index + number) % options.sets;
            let measurement = Measurement {
                sequence: number as u64,
                stamp_ns: (time_s * 1e9) as u64,
                ..sensor.measure_at(&moments, set, time_s, &mut rng)?
            };
            let report = tracker.recover(&measurement, &mut frame)?;
            tracked.restarted.1 += 1;
            tracked.restarted.0 += usize::from(report.start == StartKind::Restarted);
        }
        let last_s = (options.lead_in as f64 / options.rate_hz) as f32;
        scene.cast(&rays, last_s, sim::MAX_RANGE, &mut truth);
        scene.cast(&seen_along, last_s, sim::MAX_RANGE, &mut seen);
        tracked.recovered.add(&frame, &truth);
        tracked.seen.add(&frame, &seen);
        tracked.truth_seen.add(&seen, &truth);
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
        assert_eq!((rows.len(), sequences), (9, 28));
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
            assert_eq!(row.perfect, rows[0].tracked);
        }
        let rmse = |name: &str| {
            let row = rows.iter().find(|row| row.imperfection == name).unwrap();
            row.tracked.range_rmse_m
        };
        let (off, seen) = (
            "half a pixel off",
            "half a pixel off: against what it looks at",
        );
        assert!(rmse(seen) < rmse(off), "{rows:?}");
    }
}
