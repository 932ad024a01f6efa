//! Phase retrieval as users meet it: a sensor that tells magnitudes, and the same one that tells signs too.

#![allow(clippy::unwrap_used)]

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use relucent::clock::Manual;
use relucent::frame::{Measurement, RangeImage};
use relucent::metrics::RangeErrors;
use relucent::prior::Prior;
use relucent::recover::{MeasurementError, Refine, Settings, Tracker};
use relucent::sensing::{Data, Mask, Pattern, SensorDescription};
use relucent::sim::{self, Sampling, Split};
use std::sync::Arc;

fn tracker(prior: &Prior, sensor: &SensorDescription, data: Data) -> Tracker<Manual> {
    let settings = Settings {
        refine: Refine::NONE, // of x₀
        ..Settings::default()
    };
    tracker_with(settings, prior, sensor, data)
}

fn tracker_with(
    settings: Settings,
    prior: &Prior,
    sensor: &SensorDescription,
    data: Data,
) -> Tracker<Manual> {
    let sensor = SensorDescription {
        data,
        ..sensor.clone()
    };
    Tracker::new(Arc::new(sensor), prior, settings, Manual::default()).unwrap()
}

fn magnitudes(measurement: &Measurement) -> Measurement {
    Measurement {
        y: measurement.y.iter().map(|y| y.abs()).collect(),
        ..measurement.clone()
    }
}

/// The first frame of a scene and its readings.
fn frame(sensor: &SensorDescription, scene: u64) -> (RangeImage, Measurement) {
    let mut truth = RangeImage::default();
    sim::frame(Split::HeldOut, scene, &sim::rays(64, 64), &mut truth);
    let mut rng = ChaCha8Rng::seed_from_u64(scene);
    let measurement = sim::measure(sensor, 0, &truth, 0.005, &mut rng);
    (truth, measurement)
}

/// With the patterns that magnitudes need, m/n = 10 %.
fn unsigned_sensor(prior: &Prior) -> SensorDescription {
    let sampling = Sampling::for_data(Data::Magnitudes);
    sim::describe_sampled(sampling, (64, 64), &prior.knots, 30.0, (1, 410), 1).unwrap()
}

#[test]
fn most_frames_come_back_nearly_as_well_without_signs() {
    let prior = Prior::embedded().unwrap();
    let sensor = unsigned_sensor(&prior);
    let mut signed = tracker(&prior, &sensor, Data::Linear);
    let mut unsigned = tracker(&prior, &sensor, Data::Magnitudes);
    let mut ratios = vec![];
    for scene in 0..10 {
        let (truth, mut measurement) = frame(&sensor, scene);
        measurement.missing = vec![7, 900];
        let error = |tracker: &mut Tracker<Manual>, measurement: &Measurement| {
            let mut recovered = RangeImage::default();
            tracker.forget();
            tracker.recover(measurement, &mut recovered).unwrap();
            let mut errors = RangeErrors::default();
            errors.add(&recovered, &truth, 30.0);
            errors.range_rmse_m()
        };
        let usual = error(&mut signed, &measurement);
        ratios.push(error(&mut unsigned, &magnitudes(&measurement)) / usual);
    }
    ratios.sort_by(f64::total_cmp);
    // from signs of the nearest minimum: 2.1 in the middle
    assert!(ratios[4] < 1.2 && ratios[7] < 1.4, "{ratios:?}");
}

#[test]
fn refinement_brings_a_frame_without_signs_nearer() {
    let prior = Prior::embedded().unwrap();
    let sensor = unsigned_sensor(&prior);
    let (truth, measurement) = frame(&sensor, 2);
    let error = |name: &str| {
        let settings = Settings::preset(name).unwrap();
        let mut tracker = tracker_with(settings, &prior, &sensor, Data::Magnitudes);
        let mut recovered = RangeImage::default();
        let measurement = magnitudes(&measurement);
        tracker.recover(&measurement, &mut recovered).unwrap();
        let mut errors = RangeErrors::default();
        errors.add(&recovered, &truth, 30.0);
        errors.range_rmse_m()
    };
    let [plain, refined, network] = ["latent", "latent+tv", "latent+net"].map(error);
    assert!(
        refined < 0.8 * plain && network < 0.95 * refined,
        "{plain} {refined} {network}"
    );
    for other in ["pca", "pca+tv", "tv", "wavelet", "dct"] {
        assert!(error(other).is_finite(), "{other}");
    }
}

#[test]
fn what_is_missing_may_hold_anything() {
    let prior = Prior::embedded().unwrap();
    let sensor = unsigned_sensor(&prior);
    let (_, measurement) = frame(&sensor, 2);
    let recover = |settings: &Settings, anything: f32| {
        let mut measurement = magnitudes(&measurement);
        measurement.missing = (3..2000).step_by(100).collect();
        for &at in &measurement.missing {
            measurement.y[at as usize] = anything;
        }
        let settings = settings.clone();
        let mut tracker = tracker_with(settings, &prior, &sensor, Data::Magnitudes);
        let mut recovered = [RangeImage::default(), RangeImage::default()];
        for (sequence, recovered) in (0..).zip(&mut recovered) {
            measurement.sequence = sequence;
            measurement.stamp_ns = sequence * 33_000_000;
            tracker.recover(&measurement, recovered).unwrap(); // cold, then warm
        }
        recovered
    };
    for name in ["latent+net", "latent", "pca+tv", "tv"] {
        let settings = Settings::preset(name).unwrap();
        let usual = recover(&settings, 0.0);
        assert!(recover(&settings, f32::NAN) == usual, "{name}");
        assert!(recover(&settings, -3.0) == usual, "{name}");
    }
}

#[test]
fn what_sees_no_negative_light_needs_no_signs() {
    let prior = Prior::embedded().unwrap();
    let any = sim::describe((64, 64), &prior.knots, 30.0, (1, 1), 1).unwrap();
    let sensor = SensorDescription {
        patterns: vec![Pattern::Mask(Mask::random(4096, 300, 1).unwrap())],
        ..any
    };
    let (_, measurement) = frame(&sensor, 3);
    let measurement = magnitudes(&measurement);
    let recover = |data| {
        let mut recovered = RangeImage::default();
        let mut tracker = tracker(&prior, &sensor, data);
        tracker.recover(&measurement, &mut recovered).unwrap();
        recovered
    };
    assert_eq!(recover(Data::Magnitudes), recover(Data::Linear));
}

#[test]
fn a_magnitude_below_0_is_refused() {
    let prior = Prior::embedded().unwrap();
    let sensor = sim::describe((64, 64), &prior.knots, 30.0, (1, 41), 1).unwrap();
    let (_, measurement) = frame(&sensor, 2);
    let mut bad = magnitudes(&measurement);
    bad.y[5] = -0.25;
    let mut tracker = tracker(&prior, &sensor, Data::Magnitudes);
    let error = tracker.estimate(&bad).unwrap_err();
    assert!(matches!(error, MeasurementError::Negative { index: 5, .. }));
    let text = "expected magnitudes, each ≥ 0, as the description says, got -0.25 at position 5";
    assert_eq!(error.to_string(), text);
    bad.missing = vec![5]; // what is marked as missing may hold anything
    assert!(tracker.estimate(&bad).is_ok());
}
