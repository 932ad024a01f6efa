//! Every kind of pattern serves the tracker, about as well as as many Hadamard patterns or better.

#![allow(clippy::unwrap_used)]

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use relucent::clock::Manual;
use relucent::frame::{Measurement, RangeImage};
use relucent::metrics::RangeErrors;
use relucent::prior::Prior;
use relucent::recover::{Refine, Settings, StartKind, Tracker};
use relucent::sensing::{Blocks, Fourier, Hadamard, Mask, Pattern};
use relucent::sim::{self, Split};
use std::sync::{Arc, LazyLock};

const SCENES: u64 = 6;
const FRAMES: u64 = 3;

static PRIOR: LazyLock<Prior> = LazyLock::new(|| Prior::embedded().unwrap());

/// Range RMSE of the first frames of several scenes, m; `coupling` is the noise's correlation between channels, as told.
fn rmse(pattern: Pattern, coupling: f32, refine: Refine) -> f64 {
    let mut sensor = sim::describe((64, 64), &PRIOR.knots, 30.0, (1, 1), 1).unwrap();
    sensor.patterns = vec![pattern];
    let size = sensor.channels();
    (1..size).for_each(|g| {
        sensor.noise[g * size + g - 1] = coupling;
        sensor.noise[(g - 1) * size + g] = coupling;
    });
    let sensor = Arc::new(sensor);
    let settings = Settings {
        refine,
        ..Settings::default()
    };
    let clock = Manual::default();
    let mut tracker = Tracker::new(Arc::clone(&sensor), &PRIOR, settings, clock).unwrap();
    let rays = sim::rays(64, 64);
    let (mut truth, mut recovered) = (RangeImage::default(), RangeImage::default());
    let mut errors = RangeErrors::default();
    for scene in 0..SCENES {
        tracker.forget();
        let mut rng = ChaCha8Rng::seed_from_u64(scene);
        for frame in 0..FRAMES {
            let time_s = frame as f32 / 30.0;
            sim::scene(Split::HeldOut, scene).cast(&rays, time_s, 30.0, &mut truth);
            let measurement = Measurement {
                stamp_ns: frame * 33_333_333,
                ..sim::measure(&sensor, 0, &truth, 0.005, &mut rng)
            };
            let report = tracker.recover(&measurement, &mut recovered).unwrap();
            assert_eq!(report.start == StartKind::Cold, frame == 0);
            errors.add(&recovered, &truth, 30.0);
        }
    }
    errors.range_rmse_m()
}

/// The error over that of `readings` random Hadamard patterns.
fn beside_hadamard(name: &str, pattern: Pattern, readings: usize, refine: Refine) -> f64 {
    let hadamard = Pattern::Hadamard(Hadamard::random(4096, readings, 1).unwrap());
    let (own, theirs) = (rmse(pattern, 0.0, refine), rmse(hadamard, 0.0, refine));
    println!("{name}: {own:.3} m; {readings} Hadamard patterns: {theirs:.3} m");
    own / theirs
}

#[test]
fn single_pixels() {
    let mask = Pattern::Mask(Mask::random(4096, 410, 1).unwrap());
    // x₀ alone: refinement gains less from scattered pixels than from patterns that see every pixel
    assert!(beside_hadamard("410 pixels", mask, 410, Refine::NONE) < 1.25);
}

#[test]
fn every_pixel() {
    let identity = Pattern::Mask(Mask::all(4096).unwrap());
    assert!(beside_hadamard("every pixel", identity, 410, Refine::default()) < 0.85);
}

#[test]
fn every_hadamard_pattern() {
    let whole = Pattern::Hadamard(Hadamard::random(4096, 4096, 1).unwrap());
    assert!(beside_hadamard("every pattern", whole, 410, Refine::default()) < 0.85);
}

#[test]
fn blocks_of_pixels() {
    let blocks = || Pattern::Blocks(Blocks::new(64, 64, 4).unwrap());
    assert!(beside_hadamard("256 blocks, x₀", blocks(), 256, Refine::NONE) < 1.1);
    // within a block total variation has nothing to go by, and the network has learnt from other patterns
    let alone = Refine {
        unrolled: false,
        ..Refine::default()
    };
    assert!(beside_hadamard("256 blocks", blocks(), 256, alone) < 1.2);
    let network = rmse(blocks(), 0.0, Refine::default());
    assert!(network < 0.9 * rmse(blocks(), 0.0, alone));
}

#[test]
fn fourier_coefficients() {
    let fourier = Pattern::Fourier(Fourier::random(64, 64, 410, 1).unwrap());
    assert!(beside_hadamard("410 Fourier patterns", fourier, 410, Refine::default()) < 1.1);
}

/// Too many readings to whiten all channels together.
#[test]
fn coupled_noise() {
    let mask = || Pattern::Mask(Mask::random(4096, 1229, 1).unwrap());
    let (coupled, apart) = (
        rmse(mask(), 0.1, Refine::default()),
        rmse(mask(), 0.0, Refine::default()),
    );
    println!("1229 pixels: {apart:.3} m, said to be coupled {coupled:.3} m");
    assert!(coupled < 1.1 * apart);
}
