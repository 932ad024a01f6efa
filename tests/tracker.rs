//! The tracker as its users meet it: cold, warm, lost; readings missing; measurements that do not fit.

#![allow(clippy::unwrap_used)]

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use relucent::clock::{Clock, Manual};
use relucent::frame::{Measurement, RangeImage};
use relucent::metrics::RangeErrors;
use relucent::prior::Prior;
use relucent::recover::{
    Checkpoint, ErrorModel, MeasurementError, Refine, Settings, StartKind, StopReason, Tracker,
    TrackerError,
};
use relucent::sensing::SensorDescription;
use relucent::sim::{self, Split};
use std::cell::Cell;
use std::sync::Arc;

const READINGS: usize = 205;

fn tracker(prior: &Prior) -> Tracker<Manual> {
    let sensor = sim::describe((64, 64), &prior.knots, 30.0, (2, READINGS), 5).unwrap();
    Tracker::new(
        Arc::new(sensor),
        prior,
        Settings::default(),
        Manual::default(),
    )
    .unwrap()
}

/// A frame of a room, (scene index 2, 7, 12, …), and what the sensor reads of it.
fn frame(sensor: &SensorDescription, scene: u64, index: u64) -> (RangeImage, Measurement) {
    let mut truth = RangeImage::default();
    sim::scene(Split::HeldOut, scene).cast(
        &sim::rays(64, 64),
        index as f32 / 30.0,
        30.0,
        &mut truth,
    );
    let mut rng = ChaCha8Rng::seed_from_u64(scene * 1000 + index);
    let measurement = sim::measure(sensor, (index % 2) as usize, &truth, 0.005, &mut rng);
    (
        truth,
        Measurement {
            sequence: index,
            stamp_ns: index * 33_333_333,
            ..measurement
        },
    )
}

fn rmse(recovered: &RangeImage, truth: &RangeImage) -> f64 {
    let mut errors = RangeErrors::default();
    errors.add(recovered, truth, 30.0);
    errors.range_rmse_m()
}

/// Of what total variation leaves, the unrolled network takes a tenth and more, cold and on a track.
#[test]
fn the_network_refines_further() {
    let prior = Prior::embedded().unwrap();
    let sensor = sim::describe((64, 64), &prior.knots, 30.0, (2, READINGS), 5).unwrap();
    let sensor = Arc::new(sensor);
    let errors = |preset| {
        let settings = Settings::preset(preset).unwrap();
        let clock = Manual::default();
        let mut tracker = Tracker::new(Arc::clone(&sensor), &prior, settings, clock).unwrap();
        let (mut cold, mut warm) = (0.0, 0.0);
        for scene in 0..5 {
            tracker.forget();
            let mut recovered = RangeImage::default();
            for index in 0..5 {
                let (truth, mut measurement) = frame(&sensor, scene, index);
                measurement.missing = vec![7, 300];
                measurement.y[7] = f32::NAN;
                tracker.recover(&measurement, &mut recovered).unwrap();
                *(if index == 0 { &mut cold } else { &mut warm }) += rmse(&recovered, &truth);
            }
        }
        [cold, warm]
    };
    let (network, variation) = (errors("latent+net"), errors("latent+tv"));
    println!("{network:?} {variation:?}");
    assert!(network[0] < 0.9 * variation[0] && network[1] < 0.9 * variation[1]);
}

#[test]
fn starts_cold_goes_on_warm_and_repeats_itself() {
    let prior = Prior::embedded().unwrap();
    let run = || {
        let mut tracker = tracker(&prior);
        let sensor = Arc::clone(tracker.description());
        let mut recovered = RangeImage::default();
        let mut kinds = vec![];
        for index in 0..6 {
            let (truth, measurement) = frame(&sensor, 2, index);
            let report = tracker.recover(&measurement, &mut recovered).unwrap();
            assert!(rmse(&recovered, &truth) < 3.0);
            kinds.push(report.start);
        }
        (kinds, recovered)
    };
    let (kinds, recovered) = run();
    assert_eq!(kinds[0], StartKind::Cold);
    assert!(
        kinds[1..].iter().all(|kind| *kind == StartKind::Warm),
        "{kinds:?}"
    );
    assert_eq!(
        run().1,
        recovered,
        "the same measurements give the same bytes"
    );
}

#[test]
fn missing_readings_are_left_out() {
    let prior = Prior::embedded().unwrap();
    let (grid, shown) = ((64, 64), (1, READINGS));
    let sampling = sim::Sampling::Scrambled; // where one reading tells as much as another
    let sensor = sim::describe_sampled(sampling, grid, &prior.knots, 30.0, shown, 5).unwrap();
    let sensor = Arc::new(sensor);
    let settings = Settings {
        refine: Refine::NONE, // of x₀
        ..Settings::default()
    };
    let mut tracker =
        Tracker::new(Arc::clone(&sensor), &prior, settings, Manual::default()).unwrap();
    let (truth, mut measurement) = frame(&sensor, 2, 0);
    let mut recovered = RangeImage::default();
    tracker.recover(&measurement, &mut recovered).unwrap();
    let whole = rmse(&recovered, &truth);
    let y = measurement.y.clone();
    // with every flat pattern, and without that of channel 0: how bright the channel is must then be guessed
    for (first, bound) in [(1, 0.3), (0, 0.5)] {
        measurement.missing = (first..4 * READINGS as u32).step_by(13).collect();
        measurement.y.clone_from(&y);
        for &index in &measurement.missing {
            measurement.y[index as usize] = f32::NAN; // what is marked as missing may hold anything
        }
        tracker.forget();
        tracker.recover(&measurement, &mut recovered).unwrap();
        let partial = rmse(&recovered, &truth);
        assert!(
            (partial - whole).abs() < bound * whole,
            "from {first}: {partial} m against {whole} m"
        );
    }
}

#[test]
fn as_few_readings_as_there_may_be_are_recovered_from() {
    let prior = Prior::embedded().unwrap();
    for readings in [1, 2, 24, 25, 26] {
        let sensor = sim::describe((64, 64), &prior.knots, 30.0, (2, readings), 5).unwrap();
        let sensor = Arc::new(sensor);
        let settings = Settings::default();
        let mut tracker =
            Tracker::new(Arc::clone(&sensor), &prior, settings, Manual::default()).unwrap();
        let mut recovered = RangeImage::default();
        for index in 0..2 {
            let (truth, measurement) = frame(&sensor, 1, index);
            tracker.recover(&measurement, &mut recovered).unwrap();
            assert!(rmse(&recovered, &truth) < 10.0, "{readings} readings");
        }
    }
}

#[test]
fn a_flat_reading_lost_on_a_track_hardly_matters() {
    let prior = Prior::embedded().unwrap();
    let mut tracker = tracker(&prior);
    let sensor = Arc::clone(tracker.description());
    let mut recovered = RangeImage::default();
    let mut last_rmse = |lost: &[u32]| {
        tracker.forget();
        let mut last = f64::NAN;
        for index in 0..6 {
            let (truth, mut measurement) = frame(&sensor, 2, index);
            if index > 3 {
                measurement.missing = lost.to_vec();
            }
            tracker.recover(&measurement, &mut recovered).unwrap();
            last = rmse(&recovered, &truth);
        }
        last
    };
    let whole = last_rmse(&[]);
    let partial = last_rmse(&[0]); // row 0 of the transform in channel 0
    assert!(partial < 1.1 * whole, "{partial} m against {whole} m");
}

#[test]
fn what_a_sensor_calls_1_is_its_own_affair() {
    let prior = Prior::embedded().unwrap();
    let mut plain = tracker(&prior);
    let sensor = Arc::clone(plain.description());
    let (_, measurement) = frame(&sensor, 2, 0);
    let mut recovered = RangeImage::default();
    plain.recover(&measurement, &mut recovered).unwrap();
    for unit in [1e-3f32, 250.0] {
        let mut other = SensorDescription::clone(&sensor);
        other.s_min *= unit;
        let mut tracker = Tracker::new(
            Arc::new(other),
            &prior,
            Settings::default(),
            Manual::default(),
        )
        .unwrap();
        let scaled = Measurement {
            gain: measurement.gain * unit * unit,
            y: measurement.y.iter().map(|y| y * unit).collect(),
            ..measurement.clone()
        };
        let mut same = RangeImage::default();
        tracker.recover(&scaled, &mut same).unwrap();
        for i in 0..4096 {
            let (a, b) = (recovered.range[i], same.range[i]);
            assert!(
                (a - b).abs() < 0.05,
                "unit {unit}, pixel {i}: {a} and {b} m"
            );
            let returned = same.returns[i] / unit;
            assert!((returned - recovered.returns[i]).abs() < 1e-3);
        }
    }
}

#[test]
fn a_lost_track_starts_again() {
    let prior = Prior::embedded().unwrap();
    let mut tracker = tracker(&prior);
    let sensor = Arc::clone(tracker.description());
    let mut recovered = RangeImage::default();
    for index in 0..4 {
        tracker
            .recover(&frame(&sensor, 2, index).1, &mut recovered)
            .unwrap();
    }
    let (truth, measurement) = frame(&sensor, 0, 4); // from a room into a street
    let report = tracker.recover(&measurement, &mut recovered).unwrap();
    let tracked = rmse(&recovered, &truth);
    tracker.forget();
    let cold = tracker.recover(&measurement, &mut recovered).unwrap();
    assert_eq!(
        report.start,
        StartKind::Restarted,
        "innovation {}",
        report.innovation_ratio
    );
    assert_eq!(cold.start, StartKind::Cold);
    assert!(
        tracked <= 1.2 * rmse(&recovered, &truth),
        "as good as a first frame"
    );
}

/// τ of u that a track has come to after 12 frames of a street, 0.1 s apart, that shows `rate` times as much time.
fn time_constant_s(prior: &Prior, rate: f32) -> f64 {
    let mut tracker = tracker(prior);
    let sensor = Arc::clone(tracker.description());
    let scene = sim::scene(Split::HeldOut, 0);
    let (mut truth, mut recovered) = (RangeImage::default(), RangeImage::default());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut last = f64::NAN;
    for index in 0..12u32 {
        scene.cast(
            &sim::rays(64, 64),
            0.1 * rate * index as f32,
            30.0,
            &mut truth,
        );
        let measurement = Measurement {
            sequence: u64::from(index),
            stamp_ns: u64::from(index) * 100_000_000,
            ..sim::measure(&sensor, (index % 2) as usize, &truth, 0.005, &mut rng)
        };
        let report = tracker.recover(&measurement, &mut recovered).unwrap();
        last = report.time_constants_s[0];
    }
    last
}

#[test]
fn a_fast_scene_is_forgotten_sooner_than_a_still_one() {
    let prior = Prior::embedded().unwrap();
    let (still, fast) = (time_constant_s(&prior, 0.0), time_constant_s(&prior, 8.0));
    let first = Settings::default().time_constants_s.0;
    assert!(still > first && fast < first, "{still} s and {fast} s");
}

#[test]
fn a_clock_that_stands_or_jumps_leaves_the_track_in_order() {
    let prior = Prior::embedded().unwrap();
    let mut tracker = tracker(&prior);
    let sensor = Arc::clone(tracker.description());
    let mut recovered = RangeImage::default();
    let stamps = [0, 0, 0, u64::MAX, 5, 33_333_333, 33_333_333, 66_666_666];
    for (index, stamp_ns) in stamps.into_iter().enumerate() {
        let (truth, mut measurement) = frame(&sensor, 2, index as u64);
        measurement.stamp_ns = stamp_ns;
        measurement.missing = (index as u32..4 * READINGS as u32).step_by(9).collect();
        let report = tracker.recover(&measurement, &mut recovered).unwrap();
        let finite = report
            .time_constants_s
            .iter()
            .all(|tau| tau.is_finite() && *tau > 0.0);
        assert!(finite, "{:?}", report.time_constants_s);
        assert!(rmse(&recovered, &truth) < 4.0);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let prior = Prior::embedded().unwrap();
    let mut tracker = tracker(&prior);
    let sensor = Arc::clone(tracker.description());
    let mut recovered = RangeImage::default();
    let (_, good) = frame(&sensor, 2, 0);
    tracker.recover(&good, &mut recovered).unwrap();
    let before = recovered.clone();
    let mut refused = |change: &dyn Fn(&mut Measurement)| {
        let mut bad = good.clone();
        change(&mut bad);
        let error = tracker.recover(&bad, &mut recovered).unwrap_err();
        assert_eq!(recovered, before);
        error
    };
    assert_eq!(
        refused(&|m| m.pattern_set = 2),
        MeasurementError::PatternSet { sets: 2, got: 2 }
    );
    let channels = sensor.channels();
    let all = channels * READINGS;
    let length = MeasurementError::Length {
        channels,
        readings: READINGS,
        got: all - 1,
    };
    assert_eq!(refused(&|m| m.y.truncate(all - 1)), length);
    assert!(matches!(
        refused(&|m| m.y[3] = f32::NAN),
        MeasurementError::Value { index: 3, .. }
    ));
    assert!(matches!(
        refused(&|m| m.gain = 0.0),
        MeasurementError::Gain { .. }
    ));
    assert!(matches!(
        refused(&|m| m.missing = vec![4, 4]),
        MeasurementError::Missing {
            index: 1,
            got: 4,
            ..
        }
    ));
    assert!(matches!(
        refused(&|m| m.missing = (0..all as u32).collect()),
        MeasurementError::Nothing { readings } if readings == all
    ));
    assert_eq!(
        tracker
            .recover(&frame(&sensor, 2, 1).1, &mut recovered)
            .unwrap()
            .start,
        StartKind::Warm
    );
}

#[test]
fn a_frame_of_long_ago_holds_the_next_one_less() {
    let prior = Prior::embedded().unwrap();
    let sensor = sim::describe((64, 64), &prior.knots, 30.0, (2, READINGS), 5).unwrap();
    let sensor = Arc::new(sensor);
    let moved = |stamp_ns: u64| {
        let settings = Settings::preset("tv").unwrap(); // nothing but the frame before holds it
        let clock = Manual::default();
        let mut tracker = Tracker::new(Arc::clone(&sensor), &prior, settings, clock).unwrap();
        let (mut before, mut after) = (RangeImage::default(), RangeImage::default());
        let first = frame(&sensor, 2, 0).1;
        tracker.recover(&first, &mut before).unwrap();
        let second = Measurement {
            stamp_ns,
            ..frame(&sensor, 2, 9).1
        };
        let report = tracker.recover(&second, &mut after).unwrap();
        assert_eq!(report.start, StartKind::Warm);
        rmse(&after, &before)
    };
    let (soon, late) = (moved(33_333_333), moved(1_000_000_000));
    assert!(late > 1.01 * soon, "{late} {soon}");
}

#[test]
fn a_sensor_of_another_size_is_refused() {
    let prior = Prior::embedded().unwrap();
    let sensor = sim::describe((32, 64), &prior.knots, 30.0, (1, 50), 1).unwrap();
    let error = Tracker::new(
        Arc::new(sensor),
        &prior,
        Settings::default(),
        Manual::default(),
    )
    .unwrap_err();
    assert_eq!(
        error,
        TrackerError::Grid {
            expected: (64, 64),
            got: (32, 64)
        }
    );
}

/// A clock that moves on by a millisecond whenever it is read.
#[derive(Default)]
struct Ticking(Cell<u64>);

impl Clock for Ticking {
    fn now_ns(&self) -> u64 {
        self.0.set(self.0.get() + 1_000_000);
        self.0.get()
    }
}

#[test]
fn a_deadline_cuts_a_frame_short_and_says_so() {
    let prior = Prior::embedded().unwrap();
    let run = |deadline_ms: f64| {
        let sensor = sim::describe((64, 64), &prior.knots, 30.0, (2, READINGS), 5).unwrap();
        let settings = Settings {
            deadline_ms,
            ..Settings::default()
        };
        let sensor = Arc::new(sensor);
        let mut tracker =
            Tracker::new(Arc::clone(&sensor), &prior, settings, Ticking::default()).unwrap();
        let recover = |index| {
            let (_, measurement) = frame(&sensor, 2, index);
            let mut image = RangeImage::default();
            let report = tracker.recover(&measurement, &mut image).unwrap();
            assert!(image.range.iter().all(|r| r.is_finite()));
            (report.start, report.stop, report.iterations, report.cost)
        };
        (0..4).map(recover).collect::<Vec<_>>()
    };
    for got in [-3.0, f64::NAN] {
        let sensor = sim::describe((64, 64), &prior.knots, 30.0, (2, READINGS), 5).unwrap();
        let settings = Settings {
            deadline_ms: got,
            ..Settings::default()
        };
        let refused = Tracker::new(Arc::new(sensor), &prior, settings, Manual::default());
        assert!(
            matches!(refused, Err(TrackerError::Setting { .. })),
            "{got}"
        );
    }
    let free = run(0.0);
    assert_eq!(free, run(1e6));
    let tight = run(4.0);
    assert!(tight[0].3 >= free[0].3); // later frames come after other ones
    let stepped = tight.iter().filter(|frame| frame.2 == 1).count();
    assert!(
        stepped > 1,
        "the first step is found without asking: {tight:?}"
    );
    for ((start, stop, iterations, _), free) in tight.iter().zip(&free) {
        assert_eq!(*stop, StopReason::Deadline);
        let starts = if *start == StartKind::Warm { 1 } else { 2 };
        assert!(*iterations <= starts, "the first step of each");
        assert_eq!(start, &free.0);
    }
}

#[test]
fn a_checkpoint_goes_on_where_the_track_was() {
    let prior = Prior::embedded().unwrap();
    let mut first = tracker(&prior);
    let sensor = Arc::clone(first.description());
    let mut image = RangeImage::default();
    assert!(first.checkpoint(first.renderer()).is_none());
    for index in 0..4 {
        first
            .recover(&frame(&sensor, 2, index).1, &mut image)
            .unwrap();
    }
    let bytes = first
        .checkpoint(first.renderer())
        .unwrap()
        .to_bytes()
        .unwrap();
    let checkpoint = Checkpoint::from_bytes(&bytes).unwrap();
    assert_eq!(
        (checkpoint.sequence(), checkpoint.stamp_ns()),
        (3, 99_999_999)
    );
    let mut second = tracker(&prior);
    second.restore(&checkpoint).unwrap();
    let mut other = RangeImage::default();
    for index in 4..6 {
        let (_, measurement) = frame(&sensor, 2, index);
        let expected = first.recover(&measurement, &mut image).unwrap();
        let got = second.recover(&measurement, &mut other).unwrap();
        assert_eq!(got.start, StartKind::Warm);
        assert_eq!((got.cost, got.code), (expected.cost, expected.code));
        assert_eq!(other.range, image.range, "bit for bit");
    }
    let white = Settings {
        error: ErrorModel::White,
        ..Settings::default()
    };
    let mut third = Tracker::new(sensor, &prior, white, Manual::default()).unwrap();
    let refused = third.restore(&checkpoint).unwrap_err().to_string();
    assert!(
        refused.starts_with("expected a checkpoint of model"),
        "{refused}"
    );
}

#[test]
fn a_checkpoint_of_a_track_that_nothing_refines_can_be_read() {
    let prior = Prior::embedded().unwrap();
    let settings = Settings {
        refine: Refine::NONE,
        ..Settings::default()
    };
    let sensor = Arc::clone(tracker(&prior).description());
    let mut tracker =
        Tracker::new(Arc::clone(&sensor), &prior, settings, Manual::default()).unwrap();
    let mut image = RangeImage::default();
    let (_, measurement) = frame(&sensor, 2, 0);
    tracker.recover(&measurement, &mut image).unwrap();
    let checkpoint = tracker.checkpoint(tracker.renderer()).unwrap();
    let again = Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap()).unwrap();
    tracker.restore(&again).unwrap();
}

#[test]
fn bytes_that_are_no_checkpoint_are_refused() {
    let prior = Prior::embedded().unwrap();
    let mut tracker = tracker(&prior);
    let sensor = Arc::clone(tracker.description());
    let mut image = RangeImage::default();
    tracker
        .recover(&frame(&sensor, 2, 0).1, &mut image)
        .unwrap();
    let bytes = tracker
        .checkpoint(tracker.renderer())
        .unwrap()
        .to_bytes()
        .unwrap();
    for cut in [0, 1, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        let error = Checkpoint::from_bytes(&bytes[..cut])
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("expected"), "{error}");
    }
    let header = bytes
        .windows(12)
        .position(|w| w == b"error_scale\\")
        .unwrap();
    for (at, value, expected) in [
        (bytes.len() - 4, &f32::NAN.to_le_bytes()[..], "finite"),
        (header + 14, b"-", "expected"),
    ] {
        let mut hostile = bytes.clone();
        hostile[at..at + value.len()].copy_from_slice(value);
        let error = Checkpoint::from_bytes(&hostile).unwrap_err().to_string();
        assert!(
            error.starts_with("expected") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn a_track_learns_once_from_a_frame_that_comes_twice() {
    let prior = Prior::embedded().unwrap();
    let (mut once, mut twice) = (tracker(&prior), tracker(&prior));
    let sensor = Arc::clone(once.description());
    for index in 0..6 {
        let (_, measurement) = frame(&sensor, 2, index);
        let expected = once.estimate(&measurement).unwrap().report;
        let got = twice.estimate(&measurement).unwrap().report;
        assert_eq!((got.start, got.cost), (expected.start, expected.cost));
        assert_eq!(got.code, expected.code);
        twice.estimate(&measurement).unwrap();
    }
}

#[test]
fn stamps_that_stand_still_tell_no_time() {
    let prior = Prior::embedded().unwrap();
    let (mut timed, mut untimed) = (tracker(&prior), tracker(&prior));
    let sensor = Arc::clone(timed.description());
    for index in 0..6 {
        let (_, measurement) = frame(&sensor, 2, index);
        let expected = timed.estimate(&measurement).unwrap().report;
        let unstamped = Measurement {
            stamp_ns: 0,
            ..measurement
        };
        let got = untimed.estimate(&unstamped).unwrap().report;
        assert_eq!(got.start, expected.start);
        let near = (got.cost / expected.cost - 1.0).abs();
        assert!(near < 1e-3, "{} {}", got.cost, expected.cost);
    }
}

#[test]
fn one_wrong_reading_costs_its_frame_alone() {
    let prior = Prior::embedded().unwrap();
    let (mut clean, mut hit) = (tracker(&prior), tracker(&prior));
    let sensor = Arc::clone(clean.description());
    let mut image = RangeImage::default();
    for index in 0..12 {
        let (truth, measurement) = frame(&sensor, 2, index);
        clean.recover(&measurement, &mut image).unwrap();
        let usual = rmse(&image, &truth);
        let mut wrong = measurement;
        if index == 4 {
            wrong.y[50] = 1e15;
        }
        hit.recover(&wrong, &mut image).unwrap();
        let error = rmse(&image, &truth);
        assert!(
            index == 4 || error < 1.5 * usual + 0.2,
            "{index}: {error} m, not {usual}"
        );
    }
}

#[test]
fn settings_that_cannot_be_are_named() {
    let set = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().unwrap_err().to_string()
    };
    assert_eq!(
        set(|s| s.rest_time_constant_s = f64::NAN),
        "expected recover.rest_time_constant_s > 0, got NaN"
    );
    assert_eq!(
        set(|s| s.time_constants_s.1 = -1.0),
        "expected recover.time_constants_s > 0, got -1"
    );
    assert_eq!(
        set(|s| s.limits.tolerance = 0.0),
        "expected recover.limits.tolerance > 0, got 0"
    );
}
