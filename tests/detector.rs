//! The virtual sensor: what it measures, how it is disturbed, and what it says of that.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use relucent::frame::{Knots, Measurement, RangeImage};
use relucent::sensing::{
    Binning, Data, Dense, Fourier, Hadamard, HistogramError, Mask, Operator, Pattern,
    SensorDescription,
};
use relucent::sim::{DetectorError, Noise, PhotonCounting, VirtualSensor};

const ROWS: usize = 6;
const COLS: usize = 10;
const PIXELS: usize = ROWS * COLS;

fn description(range_power: u8) -> SensorDescription {
    SensorDescription {
        rows: ROWS,
        cols: COLS,
        knots: Knots::even(3, 12.0).unwrap(),
        patterns: vec![
            Pattern::Hadamard(Hadamard::random(PIXELS, 20, 1).unwrap()),
            Pattern::Dense(Dense::gaussian(20, PIXELS, 2).unwrap()),
            Pattern::Mask(Mask::random(PIXELS, 20, 3).unwrap()),
            Pattern::Fourier(Fourier::random(ROWS, COLS, 20, 4).unwrap()),
        ],
        noise: vec![2.0, 0.6, 0.0, 0.6, 1.0, -0.3, 0.0, -0.3, 3.0],
        s_min: 0.01,
        range_power,
        data: Data::Linear,
    }
}

fn scene() -> RangeImage {
    let mut image = RangeImage::empty(ROWS, COLS);
    for i in 0..PIXELS {
        image.range[i] = 2.0 + 9.0 * (0.37 * i as f32).sin().abs();
        image.returns[i] = 0.3 + 0.2 * (0.9 * i as f32).cos();
        image.valid[i] = i % 7 != 3;
    }
    image
}

fn counting(range_power: u8, photons: f32, background: f32) -> PhotonCounting {
    PhotonCounting {
        binning: Binning {
            bins: 320,
            bin_m: 0.05,
            first_bin_range_m: -2.0,
            range_power,
            gate: 40..320,
            background: 0..30,
        },
        photons,
        pulse_sigma_bins: 1.5,
        background,
    }
}

fn truth(description: &SensorDescription, image: &RangeImage, set: usize) -> Vec<f32> {
    let mut x = vec![0.0; description.channels() * PIXELS];
    description.knots.split(image, &mut x);
    let pattern = &description.patterns[set];
    let mut scratch = vec![0.0; pattern.scratch()];
    let mut y = vec![0.0; description.channels() * 20];
    for (x, y) in x.chunks(PIXELS).zip(y.chunks_mut(20)) {
        pattern.apply(x, y, &mut scratch);
    }
    y
}

fn measure(noise: Noise, missing: f32, range_power: u8, set: usize, seed: u64) -> Measurement {
    let sensor = VirtualSensor::new(description(range_power), noise, missing).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    sensor.measure(&scene(), set, &mut rng).unwrap()
}

fn rms(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = values.fold((0.0f64, 0), |(sum, count), v| {
        (sum + f64::from(v).powi(2), count + 1)
    });
    (sum / f64::from(count)).sqrt() as f32
}

fn difference<'a>(a: &'a [f32], b: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
    a.iter().zip(b).map(|(a, b)| a - b)
}

#[test]
fn without_noise_it_is_the_operator() {
    for set in 0..4 {
        let measurement = measure(Noise::None, 0.0, 2, set, 1);
        assert_eq!(measurement.y, truth(&description(2), &scene(), set));
        assert_eq!(measurement.pattern_set, set);
        assert!(measurement.gain > 0.0 && measurement.missing.is_empty());
    }
}

#[test]
fn gaussian_noise_has_the_covariance_it_states() {
    let sensor = VirtualSensor::gaussian(description(2), 0.02).unwrap();
    let truth = truth(sensor.description(), &scene(), 0);
    let mean = truth.iter().map(|v| v.abs()).sum::<f32>() / truth.len() as f32;
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let draws = 2000;
    let mut covariance = [0.0f64; 9];
    for _ in 0..draws {
        let measurement = sensor.measure(&scene(), 0, &mut rng).unwrap();
        assert!((measurement.gain * 2.0 / (0.02 * mean).powi(2) - 1.0).abs() < 1e-4); // tr N₀ / J = 2
        let noise: Vec<f32> = difference(&measurement.y, &truth).collect();
        for (at, sum) in covariance.iter_mut().enumerate() {
            for j in 0..20 {
                let product = noise[at / 3 * 20 + j] * noise[at % 3 * 20 + j];
                *sum += f64::from(product / measurement.gain) / f64::from(20 * draws);
            }
        }
    }
    for (drawn, &stated) in covariance.iter().zip(&description(2).noise) {
        assert!((drawn - f64::from(stated)).abs() < 0.06, "{drawn} {stated}");
    }
    let fixed = measure(Noise::Sigma(0.3), 0.0, 2, 0, 5);
    assert!((fixed.gain * 2.0 - 0.09).abs() < 1e-6);
}

#[test]
fn bright_photons_measure_what_the_operator_does() {
    for range_power in [0, 2] {
        for set in 0..4 {
            let photons = Noise::Photons(counting(range_power, 1e8, 1000.0));
            let y = measure(photons, 0.0, range_power, set, 3).y;
            let truth = truth(&description(range_power), &scene(), set);
            let error = rms(difference(&y, &truth)) / rms(truth.into_iter());

            assert!(error < 0.005, "r^{range_power}, set {set}: {error}");
        }
    }
}

#[test]
fn photon_noise_has_the_gain_it_states() {
    for set in [0, 1] {
        let counting = counting(2, 3e3, 2.0);
        let sensor = VirtualSensor::new(description(2), Noise::Photons(counting), 0.0).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let draws: Vec<Measurement> = (0..400)
            .map(|_| sensor.measure(&scene(), set, &mut rng).unwrap())
            .collect();
        let mut mean = vec![0.0; 60];
        for draw in &draws {
            let share = draw.y.iter().map(|v| v / draws.len() as f32);
            mean.iter_mut().zip(share).for_each(|(m, v)| *m += v);
        }
        let drawn = rms(draws.iter().flat_map(|draw| difference(&draw.y, &mean))).powi(2);
        let gain = draws.iter().map(|draw| draw.gain).sum::<f32>() / draws.len() as f32;
        let stated = gain * 2.0; // tr N₀ / J
        assert!(
            (drawn / stated - 1.0).abs() < 0.03,
            "set {set}: {drawn} {stated}"
        );
    }
}

#[test]
fn a_nominal_noise_is_the_mean_of_the_frames_own() {
    let counting = counting(2, 3e3, 2.0);
    let mut description = description(2);
    let pattern = &description.patterns[0];
    let knots = &description.knots;
    description.noise = counting.nominal_noise(knots, pattern, &scene()).unwrap();
    assert_eq!(description.validate(), Ok(()));
    let sensor = VirtualSensor::new(description, Noise::Photons(counting), 0.0).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let gain = sensor.measure(&scene(), 0, &mut rng).unwrap().gain;
    assert!((gain - 1.0).abs() < 0.02, "{gain}");
}

#[test]
fn the_same_seed_gives_the_same_frame() {
    for noise in [Noise::Share(0.1), Noise::Photons(counting(2, 100.0, 1.0))] {
        let frame = |seed| measure(noise.clone(), 0.2, 2, 1, seed);
        assert_eq!(frame(7), frame(7));
        assert_ne!(frame(7).y, frame(8).y);
        assert_ne!(frame(7).missing, frame(8).missing);
    }
}

#[test]
fn readings_go_missing() {
    let lost: Vec<Measurement> = (0..50)
        .map(|seed| measure(Noise::None, 0.25, 2, 0, seed))
        .collect();
    let count: usize = lost.iter().map(|frame| frame.missing.len()).sum();
    assert!((600..900).contains(&count), "{count} of 3000");
    for frame in &lost {
        assert!(frame.missing.is_sorted_by(|a, b| a < b));
        assert!(frame.missing.iter().all(|&i| frame.y[i as usize] == 0.0));
    }
}

#[test]
fn names_what_cannot_be_measured() {
    let fault = |noise, missing| VirtualSensor::new(description(2), noise, missing).unwrap_err();
    let value = |noise, missing| match fault(noise, missing) {
        DetectorError::Value { what, .. } => what,
        other => panic!("{other}"),
    };
    assert_eq!(value(Noise::Share(-0.1), 0.0), "a noise level");
    assert_eq!(value(Noise::Sigma(f32::NAN), 0.0), "a noise level");
    assert_eq!(value(Noise::None, 1.0), "the share of missing readings");
    let photons = |change: fn(&mut PhotonCounting)| {
        let mut counting = counting(2, 100.0, 1.0);
        change(&mut counting);
        Noise::Photons(counting)
    };
    assert_eq!(value(photons(|p| p.photons = 0.0), 0.0), "photons");
    assert_eq!(value(photons(|p| p.background = -1.0), 0.0), "background");
    assert_eq!(
        value(photons(|p| p.pulse_sigma_bins = 0.0), 0.0),
        "pulse_sigma_bins"
    );
    assert_eq!(
        fault(photons(|p| p.binning.range_power = 0), 0.0),
        DetectorError::RangePower {
            expected: 2,
            got: 0
        }
    );
    assert!(matches!(
        fault(photons(|p| p.binning.gate.end = 999), 0.0),
        DetectorError::Histogram(HistogramError::Window { .. })
    ));
    let mut bad = description(2);
    bad.s_min = 0.0;
    assert!(matches!(
        VirtualSensor::gaussian(bad, 0.1),
        Err(DetectorError::Description(_))
    ));

    let sensor = VirtualSensor::new(description(2), photons(|p| p.background = 0.0), 0.0).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut measure = |image: &RangeImage, set| sensor.measure(image, set, &mut rng);
    assert_eq!(
        measure(&scene(), 4),
        Err(DetectorError::Set { sets: 4, got: 4 })
    );
    assert!(matches!(
        measure(&RangeImage::empty(COLS, ROWS), 0),
        Err(DetectorError::Image { got_rows: 10, .. })
    ));
    assert_eq!(
        measure(&RangeImage::empty(ROWS, COLS), 0),
        Err(DetectorError::Histogram(HistogramError::Dark))
    );
    let mut endless = scene();
    endless.range[0] = f32::INFINITY;
    endless.range[1] = f32::NAN;
    assert!(measure(&endless, 0).is_ok());
}

#[test]
fn photons_of_a_moving_scene_are_refused() {
    let photons = Noise::Photons(counting(2, 1e4, 1.0));
    let sensor = VirtualSensor::new(description(2), photons, 0.0).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    assert_eq!(
        sensor.measure_moving(&[scene(), scene()], 0, &mut rng),
        Err(DetectorError::Photons {
            moments: 2,
            pixels: 0.0
        })
    );
}
