//! The virtual sensor: what a compressive sensor would have read of an image.

use super::Sampling;
use crate::frame::{Knots, KnotsError, Measurement, RangeImage};
use crate::sensing::{Data, HadamardError, Operator, Pattern, SensorDescription};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// Least return of a valid pixel of the simulated sensor.
const S_MIN: f32 = 0.02;

/// Why a sensor cannot be described.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SensorError {
    /// no such patterns
    #[error(transparent)]
    Patterns(#[from] HadamardError),
    /// no such knots
    #[error(transparent)]
    Knots(#[from] KnotsError),
}

/// A sensor with `sets` random Hadamard pattern sets of `readings` patterns each, coarse patterns more often than fine ones;
/// N₀ = I, so that a frame's gain is the variance of a reading's noise.
///
/// # Errors
/// Where there are no pixels or no readings, or `relative_knots` times `max_range` (m) are no knots.
pub fn describe(
    grid: (usize, usize),
    relative_knots: &[f32],
    max_range: f32,
    shown: (usize, usize),
    seed: u64,
) -> Result<SensorDescription, SensorError> {
    describe_sampled(
        Sampling::default(),
        grid,
        relative_knots,
        max_range,
        shown,
        seed,
    )
}

/// [`describe`] of patterns that are drawn as `sampling` says.
///
/// # Errors
/// As [`describe`].
pub fn describe_sampled(
    sampling: Sampling,
    (rows, cols): (usize, usize),
    relative_knots: &[f32],
    max_range: f32,
    (sets, readings): (usize, usize),
    seed: u64,
) -> Result<SensorDescription, SensorError> {
    let knots = Knots::new(relative_knots.iter().map(|k| k * max_range).collect())?;
    let channels = knots.channels();
    let patterns = (0..sets as u64).map(|set| {
        let patterns = sampling.patterns((rows, cols), readings, seed.wrapping_add(set));
        patterns.map(Pattern::Hadamard)
    });
    Ok(SensorDescription {
        rows,
        cols,
        patterns: patterns.collect::<Result<_, _>>()?,
        noise: (0..channels * channels)
            .map(|i| f32::from(u8::from(i % (channels + 1) == 0)))
            .collect(),
        knots,
        s_min: S_MIN,
        range_power: 2,
        data: Data::Linear,
    })
}

/// The exact readings A x_g of an image, (J·m).
///
/// # Panics
/// Where the image has another size than the sensor, or the pattern set does not exist.
pub fn readings(description: &SensorDescription, set: usize, image: &RangeImage) -> Vec<f32> {
    readings_of(description, set, image, |_| ())
}

/// The readings of an image whose channels, (J·n), `change` alters first.
pub(super) fn readings_of(
    description: &SensorDescription,
    set: usize,
    image: &RangeImage,
    change: impl FnOnce(&mut [f32]),
) -> Vec<f32> {
    let pattern = &description.patterns[set];
    let (m, n) = pattern.shape();
    let mut x = vec![0.0; description.channels() * n];
    description.knots.split(image, &mut x);
    change(&mut x);
    let mut y = vec![0.0; description.channels() * m];
    let mut scratch = vec![0.0; pattern.scratch()];
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(m)) {
        pattern.apply(x, y, &mut scratch);
    }
    y
}

/// What a sensor tells of disturbed readings.
pub(super) fn detect(data: Data, y: &mut [f32]) {
    if data == Data::Magnitudes {
        y.iter_mut().for_each(|y| *y = y.abs());
    }
}

/// A measurement with Gaussian noise whose standard deviation is `noise` of the mean |y|, for a sensor with N₀ = I.
///
/// # Panics
/// As [`readings`].
pub fn measure(
    description: &SensorDescription,
    set: usize,
    image: &RangeImage,
    noise: f32,
    rng: &mut impl Rng,
) -> Measurement {
    let mut y = readings(description, set, image);
    let mean = y.iter().map(|y| y.abs()).sum::<f32>() / y.len() as f32;
    let spread = (noise * mean).max(1e-4); // an empty scene still has a noise floor
    y.iter_mut().for_each(|y| {
        let normal: f32 = StandardNormal.sample(rng);
        *y += spread * normal;
    });
    detect(description.data, &mut y);
    Measurement {
        pattern_set: set,
        gain: spread * spread,
        y,
        ..Measurement::default()
    }
}
