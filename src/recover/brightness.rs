//! How bright a frame is: the scale between a sensor's returns and those that the prior was trained on.
//!
//! A prior knows frames of one rms return; what a sensor calls 1 is its own affair. The mean return is linear in the
//! image, and patterns that hold the flat one read it almost exactly; how returns spread about it is told by the energy of
//! what they read beyond it, about as well as m allows, beside the energy that the prior expects these very patterns to
//! read: low frequencies, say, see most of it.

use super::linear::FrameMoments;
use super::rest::Rest;
use crate::frame::Measurement;
use crate::pool::Buffer;
use crate::sensing::Operator;
use serde::{Deserialize, Serialize};

/// Steps of conjugate gradients; one is enough where rows are orthonormal.
const STEPS: usize = 60;
/// Residual, over its first, at which they are enough.
const ENOUGH: f32 = 1e-4;
/// Share of a frame's own readings in how returns spread, on a track.
const SPREAD_SHARE: f32 = 0.3;
/// How much more returns may spread, squared, than on the frame before, and than the frame itself says: one reading that was
/// never light must not count for more, nor for longer.
const MOST_SPREAD: f32 = 4.0;
/// The same as [`SPREAD_SHARE`] where the mean is guessed, in logarithms.
const GUESS_SHARE: f32 = 0.1;
/// Least share of what all readings see of the mean that those present must see to speak for it.
const LEAST_SEEN: f32 = 0.5;
/// Greatest error of a mean, over the spread of returns, that speaks for it: squared, and were pixels independent.
const MOST_UNSEEN: f32 = 0.1;

/// Least rms return that counts, over the noise of the mean return: how bright a darker frame seems changes from frame to frame by
/// chance.
const LEAST_TOLD: f32 = 10.0;

/// What a pattern set sees without any decoder.
#[derive(Debug)]
pub(super) struct Sight {
    /// weights of readings that make the mean of an image, (m)
    mean: Vec<f32>,
    /// share of a flat image's energy that all readings see
    seen: f32,
    /// readings of an image of ones, (m)
    flat: Vec<f32>,
    /// energy expected of each reading of an image without its mean, over the mean square of its pixels, (m)
    contrast: Vec<f32>,
    pixels: f32,
    /// mean variance that ψ puts on a reading
    pub(super) energy: f32,
}

/// Returns of a frame, over all pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Brightness {
    /// mean, > 0, where readings tell it
    mean: Option<f32>,
    /// whether a channel did not tell its share of the mean
    guessed: bool,
    /// root mean square, > 0
    pub(super) rms: f32,
}

impl Brightness {
    /// Whether its numbers can be a frame's.
    pub(super) fn is_usable(self) -> bool {
        let usable = |v: f32| v.is_finite() && v > 0.0;
        usable(self.rms) && self.mean.is_none_or(usable)
    }

    /// After `last`: the mean counts as it is read, but how returns spread about it is badly told by few readings.
    /// A guess counts little beside what the frames before have told.
    pub(super) fn after(self, last: Self) -> Self {
        if self.guessed {
            let towards = |last: f32, now: f32| last * (now / last).powf(GUESS_SHARE);
            return Self {
                mean: last
                    .mean
                    .zip(self.mean)
                    .map(|(last, now)| towards(last, now)),
                rms: towards(last.rms, self.rms),
                ..self
            };
        }
        let blend = |last: f32, now: f32| {
            let towards = last + SPREAD_SHARE * (now.min(MOST_SPREAD * last) - last);
            towards.min(MOST_SPREAD * now).sqrt()
        };
        let rms = match (last.mean, self.mean) {
            (Some(before), Some(now)) => now * blend(last.spread(before), self.spread(now)),
            _ => blend(last.rms.powi(2), self.rms.powi(2)),
        };
        Self { rms, ..self }
    }

    /// Mean square return over the square of the mean, ≥ 1.
    fn spread(self, mean: f32) -> f32 {
        (self.rms / mean).powi(2)
    }

    /// The same, or as much brighter as makes its rms return the least.
    pub(super) fn at_least(self, rms: f32) -> Self {
        if !rms.is_normal() || rms <= self.rms {
            return self;
        }
        Self {
            mean: self.mean.map(|mean| mean * (rms / self.rms)),
            rms,
            ..self
        }
    }
}

impl Sight {
    pub(super) fn new(rest: &Rest, moments: Option<&FrameMoments>, pattern: &dyn Operator) -> Self {
        let (readings, pixels) = pattern.shape();
        let energy = rest.energy(pattern);
        let mut flat = vec![0.0; readings];
        pattern.apply(
            &vec![1.0; pixels],
            &mut flat,
            &mut vec![0.0; pattern.scratch()],
        );
        let (mean, seen) = mean_weights(pattern, &vec![true; readings]);
        Self {
            mean,
            seen,
            contrast: contrast(moments, pattern, &flat),
            flat,
            pixels: pixels as f32,
            energy: energy.iter().sum::<f32>() / energy.len() as f32,
        }
    }

    /// Least rms return that counts beside noise of covariance αN₀, (J × J): [`LEAST_TOLD`] times that of the mean return.
    pub(super) fn darkest(&self, gain: f32, noise: &[f32]) -> f32 {
        let channels = noise.len().isqrt();
        let variance = gain * noise.iter().step_by(channels + 1).sum::<f32>();
        let of_mean = variance * self.mean.iter().map(|w| w * w).sum::<f32>();
        LEAST_TOLD * of_mean.sqrt()
    }
}

/// What [`Sight::contrast`] says; without moments, of white images.
fn contrast(moments: Option<&FrameMoments>, pattern: &dyn Operator, flat: &[f32]) -> Vec<f32> {
    let (readings, pixels) = pattern.shape();
    let remainder = match moments {
        Some(moments) => total(&moments.remainder, pixels),
        None => vec![1.0; pixels],
    };
    let white = remainder.iter().sum::<f32>() / pixels as f32;
    let mut energy = vec![0.0; readings];
    pattern.row_energy(&remainder, &mut energy);
    for (energy, flat) in energy.iter_mut().zip(flat) {
        *energy = (*energy - white * flat * flat / pixels as f32).max(0.0);
    }
    let mut square = white;
    if let Some(moments) = moments {
        let (mut y, mut scratch) = (vec![0.0; readings], vec![0.0; pattern.scratch()]);
        let mut image = vec![0.0; moments.mean.len()];
        for (k, variance) in (0..).zip(moments.variances.iter().copied().chain([1.0])) {
            match k < moments.variances.len() {
                true => moments.directions.image(k, &mut image),
                false => image.copy_from_slice(&moments.mean),
            }
            let mut image = total(&image, pixels);
            let mean = image.iter().sum::<f32>() / pixels as f32;
            image.iter_mut().for_each(|s| *s -= mean);
            square += variance * image.iter().map(|s| s * s).sum::<f32>() / pixels as f32;
            pattern.apply(&image, &mut y, &mut scratch);
            let read = energy.iter_mut().zip(&y);
            read.for_each(|(energy, y)| *energy += variance * y * y);
        }
    }
    energy
        .iter_mut()
        .for_each(|e| *e /= square.max(f32::MIN_POSITIVE));
    energy
}

/// Σ_g x_g, (n), of an image of J·n values.
fn total(image: &[f32], pixels: usize) -> Vec<f32> {
    let mut sum = vec![0.0; pixels];
    for channel in image.chunks_exact(pixels) {
        sum.iter_mut().zip(channel).for_each(|(s, x)| *s += x);
    }
    sum
}

/// Weights t, (m), for which ⟨t, A v⟩ is nearest to the mean of v, of the readings that are present, and exact where v is
/// flat; and the share of a flat image's energy that they see, in \[0, 1\]. Both 0 where that is too little.
fn mean_weights(operator: &dyn Operator, present: &[bool]) -> (Vec<f32>, f32) {
    let (readings, pixels) = operator.shape();
    let mut scratch = vec![0.0; operator.scratch()];
    let mut image = vec![1.0 / pixels as f32; pixels];
    let mut residual = vec![0.0; readings];
    operator.apply(&image, &mut residual, &mut scratch);
    let mask = |v: &mut [f32]| {
        v.iter_mut()
            .zip(present)
            .filter(|(_, present)| !**present)
            .for_each(|(v, _)| *v = 0.0);
    };
    mask(&mut residual);
    let energy = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>();
    let mut weights = vec![0.0; readings];
    let mut direction = residual.clone();
    let mut image_of = vec![0.0; readings];
    let first = energy(&residual);
    let mut now = first;
    for _ in 0..STEPS {
        if now <= ENOUGH * ENOUGH * first || now == 0.0 {
            break;
        }
        operator.adjoint(&direction, &mut image, &mut scratch);
        operator.apply(&image, &mut image_of, &mut scratch);
        mask(&mut image_of);
        let curvature: f32 = direction.iter().zip(&image_of).map(|(d, a)| d * a).sum();
        let step = now / curvature.max(f32::MIN_POSITIVE);
        for i in 0..readings {
            weights[i] += step * direction[i];
            residual[i] -= step * image_of[i];
        }
        let next = energy(&residual);
        let turn = next / now;
        direction
            .iter_mut()
            .zip(&residual)
            .for_each(|(d, r)| *d = r + turn * *d);
        now = next;
    }
    operator.adjoint(&weights, &mut image, &mut scratch);
    let seen = image.iter().sum::<f32>();
    if 1.0 - seen > MOST_UNSEEN * seen * pixels as f32 {
        return (vec![0.0; readings], 0.0);
    }
    weights.iter_mut().for_each(|t| *t /= seen);
    (weights, seen)
}

/// Returns of the frame of a measurement under `operator`, whose sight is `sight`; `noise` is N₀, (J × J). `None` where
/// the readings that would tell are missing.
pub(super) fn brightness(
    measurement: &Measurement,
    operator: &dyn Operator,
    sight: &Sight,
    noise: &[f32],
) -> Option<Brightness> {
    let (mean, guessed) = mean_return(measurement, operator, sight, noise).unzip();
    let guessed = guessed.unwrap_or(false);
    let (readings, channels) = (sight.flat.len(), noise.len().isqrt());
    let mut whole = Buffer::of(true, readings); // in every channel
    measurement
        .missing
        .iter()
        .for_each(|&i| whole[i as usize % readings] = false);
    let variance = measurement.gain * noise.iter().sum::<f32>();
    let (mut seen, mut energy, mut flat) = (0.0, 0.0, 0.0);
    for j in (0..readings).filter(|&j| whole[j]) {
        let total: f32 = (0..channels).map(|g| measurement.y[g * readings + j]).sum();
        let beyond = total - mean.unwrap_or(0.0) * sight.flat[j];
        seen += beyond * beyond - variance;
        energy += sight.contrast[j];
        flat += sight.flat[j] * sight.flat[j] / sight.pixels;
    }
    let square = match mean {
        Some(mean) if energy > 0.0 => mean * mean + (seen / energy).max(0.0),
        Some(mean) => mean * mean,
        // patterns that see the mean as they see everything, such as random ones
        None if flat * sight.pixels > 0.5 * energy => {
            seen.max(variance).max(f32::MIN_POSITIVE) / (energy + flat)
        }
        None => return None,
    };
    let rms = square.sqrt();
    rms.is_normal().then_some(Brightness { mean, guessed, rms })
}

/// Mean return over all pixels, > 0, from a measurement under `operator`, whose sight is `sight`, and whether part of it is
/// a guess: a channel that does not tell is taken to be as bright, beside those that do, as its other readings are strong.
fn mean_return(
    measurement: &Measurement,
    operator: &dyn Operator,
    sight: &Sight,
    noise: &[f32],
) -> Option<(f32, bool)> {
    let weights = sight.mean.as_slice();
    let (readings, channels) = (weights.len(), noise.len().isqrt());
    let greatest = weights
        .iter()
        .fold(f32::MIN_POSITIVE, |a, w| a.max(w.abs()));
    let mut present = Buffer::of(true, channels * readings);
    measurement
        .missing
        .iter()
        .for_each(|&i| present[i as usize] = false);
    let (mut total, mut variance) = (0.0, 0.0);
    let (mut strength, mut strength_seen) = (0.0, 0.0);
    let mut guessed = false;
    for g in 0..channels {
        let at = g * readings..(g + 1) * readings;
        let (present, y) = (&present[at.clone()], &measurement.y[at]);
        let others = weights.iter().zip(y).zip(present).filter(|(_, p)| **p);
        let own = others
            .map(|((w, y), _)| (1.0 - (w / greatest).powi(2)) * y * y)
            .sum::<f32>()
            .sqrt();
        strength += own;
        let masked;
        let (weights, seen) = if present.iter().all(|p| *p) {
            (weights, sight.seen)
        } else {
            masked = mean_weights(operator, present);
            (masked.0.as_slice(), masked.1)
        };
        if seen < LEAST_SEEN * sight.seen {
            guessed = true;
            continue;
        }
        let told = weights.iter().zip(y).filter(|(t, _)| **t != 0.0);
        total += told.map(|(t, y)| t * y).sum::<f32>();
        variance += weights.iter().map(|t| t * t).sum::<f32>() * noise[g * channels + g];
        strength_seen += own;
    }
    if variance == 0.0 {
        return None;
    }
    if strength_seen > 0.0 {
        total *= strength / strength_seen;
    }
    let least = (measurement.gain * variance).sqrt(); // darker than its noise nothing is told apart
    let value = total.max(least).max(f32::MIN_POSITIVE);
    value.is_finite().then_some((value, guessed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::RangeImage;
    use crate::prior::Prior;
    use crate::recover::{ErrorModel, Model};
    use crate::sensing::Pattern;
    use crate::sensing::{Blocks, Dense, Fourier, Hadamard, Mask};
    use crate::sim::{self, Split};
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    #[test]
    fn the_mean_is_read_from_any_patterns_that_see_it() {
        let image: Vec<f32> = (0..100).map(|i| 0.2 + 0.1 * (i % 7) as f32).collect();
        let mean = image.iter().sum::<f32>() / 100.0;
        let hadamard = Hadamard::random(100, 20, 1).unwrap();
        let dense = Dense::gaussian(90, 100, 1).unwrap();
        let mask = Mask::random(100, 40, 1).unwrap();
        let blocks = Blocks::new(10, 10, 5).unwrap();
        let fourier = Fourier::random(10, 10, 5, 1).unwrap();
        let operators: [(&dyn Operator, f32, f32); 5] = [
            (&hadamard, 0.05, 1.0),
            (&dense, 0.15, 0.9),
            (&mask, 0.15, 0.4),
            (&blocks, 1e-5, 1.0),
            (&fourier, 1e-5, 1.0),
        ];
        for (operator, tolerance, share) in operators {
            let (m, _) = operator.shape();
            let (weights, seen) = mean_weights(operator, &vec![true; m]);
            let mut y = vec![0.0; m];
            operator.apply(&image, &mut y, &mut vec![0.0; operator.scratch()]);
            let read: f32 = weights.iter().zip(&y).map(|(t, y)| t * y).sum();
            assert!((read / mean - 1.0).abs() < tolerance, "{read} for {mean}");
            assert!((seen - share).abs() < 0.1, "{seen}, not {share}");
        }
    }

    #[test]
    fn the_spread_of_returns_is_told_by_the_energy_of_the_readings() {
        let n = 4096; // J = 2, of which the second channel holds a third of each pixel's return
        let image: Vec<f32> = (0..n)
            .map(|i| if i / 64 % 5 == 0 { 0.9 } else { 0.1 })
            .collect();
        let mean = image.iter().sum::<f32>() / n as f32;
        let variance = image.iter().map(|s| (s - mean).powi(2)).sum::<f32>() / n as f32;
        let rest = Rest::white(vec![0.0; n], 1, 64);
        let hadamard = Hadamard::random(n, 400, 1).unwrap();
        let dense = Dense::gaussian(400, n, 1).unwrap();
        let operators: [&dyn Operator; 2] = [&hadamard, &dense];
        for operator in operators {
            let mut y = vec![0.0; 400];
            operator.apply(&image, &mut y, &mut vec![0.0; operator.scratch()]);
            let missing = vec![77, 510];
            let y =
                [2.0 / 3.0, 1.0 / 3.0].map(|share| y.iter().map(|y| share * y).collect::<Vec<_>>());
            let measurement = Measurement {
                gain: 1e-6,
                missing,
                y: y.concat(),
                ..Measurement::default()
            };
            let sight = Sight::new(&rest, None, operator);
            let read = brightness(&measurement, operator, &sight, &[1.0, 0.0, 0.0, 1.0]).unwrap();
            let ratio = read.rms / (mean * mean + variance).sqrt();
            assert!((ratio - 1.0).abs() < 0.1, "{ratio}, about 1 ± 0.03");
        }
    }

    #[test]
    fn patterns_of_every_kind_tell_the_rms_return() {
        let prior = Prior::embedded().unwrap();
        let model = Model::new(&prior, ErrorModel::Directions);
        let mut sensor = sim::describe((64, 64), &prior.knots, 30.0, (1, 1), 1).unwrap();
        let mut images = vec![RangeImage::default(); 40];
        for (index, image) in images.iter_mut().enumerate() {
            let rays = sim::rays(64, 64);
            sim::frame(Split::HeldOut, index as u64, &rays, image);
        }
        let hadamard = Hadamard::random(4096, 410, 1).unwrap();
        let dense = Dense::gaussian(410, 4096, 1).unwrap();
        let mask = Mask::random(4096, 410, 1).unwrap();
        let blocks = Blocks::new(64, 64, 4).unwrap();
        let fourier = Fourier::random(64, 64, 410, 1).unwrap();
        for (pattern, tolerance) in [
            (Pattern::Hadamard(hadamard), 0.03),
            (Pattern::Dense(dense), 0.05),
            (Pattern::Mask(mask), 0.08),
            (Pattern::Mask(Mask::all(4096).unwrap()), 1e-3),
            (Pattern::Blocks(blocks), 0.06), // taken for incoherent: 1.5
            (Pattern::Fourier(fourier), 0.06), // the same: 1.1
        ] {
            sensor.patterns = vec![pattern];
            let pattern = &sensor.patterns[0];
            let sight = Sight::new(&model.rest, model.moments.as_ref(), pattern);
            let errors = images.iter().map(|image| {
                let measurement = Measurement {
                    gain: 1e-8,
                    y: sim::readings(&sensor, 0, image),
                    ..Measurement::default()
                };
                let read = brightness(&measurement, pattern, &sight, &sensor.noise).unwrap();
                let square = image.returns.iter().map(|s| s * s).sum::<f32>() / 4096.0;
                (read.rms / square.sqrt() - 1.0).powi(2)
            });
            let error = (errors.sum::<f32>() / 40.0).sqrt();
            assert!(error < tolerance, "{pattern:.9?}: {error}");
        }
    }

    #[test]
    fn without_the_flat_pattern_nothing_is_said() {
        let hadamard = Hadamard::random(64, 8, 1).unwrap();
        let sight = Sight::new(&Rest::white(vec![0.0; 64], 1, 8), None, &hadamard);
        let measurement = |missing| Measurement {
            gain: 1e-6,
            missing,
            y: [[0.5; 8], [1.0; 8]].concat(),
            ..Measurement::default()
        };
        let read = |missing| {
            mean_return(
                &measurement(missing),
                &hadamard,
                &sight,
                &[1.0, 0.0, 0.0, 1.0],
            )
        };
        let flat = hadamard.rows().iter().position(|r| *r == 0).unwrap() as u32;
        let (whole, guessed) = read(vec![]).unwrap();
        assert!(!guessed);
        let (half, guessed) = read(vec![flat]).unwrap(); // channel 0 does not tell
        assert!(guessed);
        assert!((half / whole - 1.0).abs() < 1e-4, "{whole} {half}");
        assert_eq!(read(vec![flat, 8 + flat]), None);
    }

    #[test]
    fn a_reading_that_was_no_light_is_soon_forgotten() {
        let of = |mean: f32, rms: f32| Brightness {
            mean: Some(mean),
            guessed: false,
            rms,
        };
        let usual = of(0.3, 0.45);
        for wrong in [of(0.3, 1e15), of(1e-6, 0.45), of(1e9, 1e9)] {
            for first in [wrong, wrong.after(usual)] {
                let mut last = first;
                for _ in 0..12 {
                    last = usual.after(last);
                }
                let ratio = last.rms / usual.rms;
                assert!((ratio - 1.0).abs() < 0.05, "{wrong:?}: {ratio}");
            }
            let next = usual.after(wrong.after(usual));
            assert!(next.rms < 1.4 * usual.rms, "{wrong:?}: {next:?}");
        }
    }

    #[test]
    fn a_sensor_that_sees_nothing_is_as_bright_from_frame_to_frame() {
        let prior = Prior::embedded().unwrap();
        let model = Model::new(&prior, ErrorModel::Directions);
        let sensor = sim::describe((64, 64), &prior.knots, 30.0, (1, 82), 1).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (nothing, pattern) = (RangeImage::empty(64, 64), &sensor.patterns[0]);
        let sight = Sight::new(&model.rest, model.moments.as_ref(), pattern);
        let mut frame = || {
            let measurement = sim::measure(&sensor, 0, &nothing, 0.0, &mut rng);
            let read = brightness(&measurement, pattern, &sight, &sensor.noise).unwrap();
            let darkest = sight.darkest(measurement.gain, &sensor.noise);
            (read, darkest)
        };
        let (mut last, darkest) = frame();
        let mut brightest = 0.0f32;
        for _ in 0..200 {
            last = frame().0.after(last).at_least(darkest);
            brightest = brightest.max(last.rms);
        }
        assert!(brightest < 1.25 * darkest, "{}", brightest / darkest);
    }
}
