//! Inverse problems that one prior solves: what is recovered from what.

use super::EvalError;
use super::options::{Options, readings};
use crate::frame::{Measurement, RangeImage};
use crate::prior::Prior;
use crate::sensing::{Blocks, Data, Fourier, Mask, Operator, Pattern, SensorDescription};
use crate::sim::{self, Sampling, SensorError};
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Pixels along a block's side in super-resolution.
const SIDES: [usize; 3] = [8, 4, 2];
/// Standard deviation of the noise over the frame's rms return in denoising.
const NOISE_LEVELS: [f32; 3] = [0.05, 0.1, 0.2];

/// What is recovered from what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Problem {
    /// the image from Hadamard patterns
    #[default]
    CompressedSensing,
    /// the image from single pixels of it, at random
    Inpainting,
    /// the image from sums over square blocks of 8, 4 and 2 pixels a side
    SuperResolution,
    /// the image from all its pixels, under noise of 5, 10 and 20 % of the rms return
    Denoising,
    /// the image from Fourier coefficients, at random and denser near the zero frequency
    Fourier,
    /// the image from the magnitudes of what Hadamard patterns read
    PhaseRetrieval,
}

/// A name that is no problem's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected one of compressed-sensing, inpainting, super-resolution, denoising, fourier, phase-retrieval as a problem, got `{got}`"
)]
pub struct UnknownProblem {
    /// the name given
    pub got: String,
}

impl Problem {
    /// Every problem.
    pub const ALL: [Self; 6] = [
        Self::CompressedSensing,
        Self::Inpainting,
        Self::SuperResolution,
        Self::Denoising,
        Self::Fourier,
        Self::PhaseRetrieval,
    ];

    /// The problem that a sensor of such patterns poses; all pixels of a mask once are no inpainting.
    pub(super) fn of(pattern: &Pattern) -> Self {
        let (readings, pixels) = pattern.shape();
        match pattern {
            Pattern::Hadamard(_) | Pattern::Dense(_) => Self::CompressedSensing,
            Pattern::Mask(_) if readings == pixels => Self::Denoising,
            Pattern::Mask(_) => Self::Inpainting,
            Pattern::Blocks(_) => Self::SuperResolution,
            Pattern::Fourier(_) => Self::Fourier,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::CompressedSensing => "compressed-sensing",
            Self::Inpainting => "inpainting",
            Self::SuperResolution => "super-resolution",
            Self::Denoising => "denoising",
            Self::Fourier => "fourier",
            Self::PhaseRetrieval => "phase-retrieval",
        }
    }

    /// The operators and levels of noise at which it is solved: of `options` where it has none of its own.
    pub(super) fn cases(self, prior: &Prior, options: &Options) -> Vec<Case> {
        let noise = Noise::OfReadings(options.noise);
        let by_ratio = |shown: fn(usize) -> Shown| {
            let cases = options.ratios.iter().map(|ratio| Case {
                fraction: *ratio,
                shown: shown(readings(prior, *ratio)),
                noise,
                data: match self {
                    Self::PhaseRetrieval => Data::Magnitudes,
                    _ => Data::Linear,
                },
            });
            cases.collect()
        };
        match self {
            Self::CompressedSensing | Self::PhaseRetrieval => by_ratio(Shown::Hadamard),
            Self::Inpainting => by_ratio(Shown::Pixels),
            Self::Fourier => by_ratio(Shown::Frequencies),
            Self::SuperResolution => SIDES
                .map(|side| Case {
                    fraction: 1.0 / (side * side) as f64,
                    shown: Shown::Blocks(side),
                    noise,
                    data: Data::Linear,
                })
                .to_vec(),
            Self::Denoising => NOISE_LEVELS
                .map(|level| Case {
                    fraction: 1.0,
                    shown: Shown::All,
                    noise: Noise::OfReturns(level),
                    data: Data::Linear,
                })
                .to_vec(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Problem {
    type Err = UnknownProblem;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|problem| problem.name() == name)
            .ok_or_else(|| UnknownProblem { got: name.into() })
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct At {
    pub(super) problem: Problem,
    /// m/n
    pub(super) fraction: f64,
    /// see [`MethodRow::noise`](super::MethodRow::noise)
    pub(super) noise: f64,
}

/// What a sensor shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    /// so many Hadamard patterns
    Hadamard(usize),
    /// so many single pixels
    Pixels(usize),
    /// so many Fourier coefficients
    Frequencies(usize),
    /// blocks of so many pixels a side
    Blocks(usize),
    /// every pixel
    All,
}

/// Standard deviation of a reading's noise.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Noise {
    /// over the frame's mean |y|
    OfReadings(f32),
    /// over the frame's rms return
    OfReturns(f32),
}

/// A problem at one kind of readings and one level of noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Case {
    /// m/n
    pub(super) fraction: f64,
    shown: Shown,
    noise: Noise,
    data: Data,
}

impl Case {
    pub(super) fn at(&self, problem: Problem) -> At {
        At {
            problem,
            fraction: self.fraction,
            noise: self.noise(),
        }
    }

    /// Level of the noise, over the frame's mean |y|, or over its rms return where all pixels are read.
    fn noise(&self) -> f64 {
        let (Noise::OfReadings(share) | Noise::OfReturns(share)) = self.noise;
        (f64::from(share) * 1e6).round() * 1e-6 // 0.005, not 0.004999999888
    }

    /// A sensor of the prior's grid and channels up to `max_range`, m; where patterns are random, with as many sets as `options` say.
    pub(super) fn describe(
        &self,
        prior: &Prior,
        max_range: f32,
        options: &Options,
    ) -> Result<SensorDescription, EvalError> {
        let (rows, cols) = (prior.rows, prior.cols);
        let pixels = prior.pixels();
        let sets = match self.shown {
            Shown::Blocks(_) | Shown::All => 1,
            _ => options.sets as u64,
        };
        let sampling = options.sampling.unwrap_or(Sampling::for_data(self.data));
        let pattern = |set: u64| -> Result<Pattern, EvalError> {
            let seed = options.seed.wrapping_add(set);
            Ok(match self.shown {
                Shown::Hadamard(readings) => {
                    let patterns = sampling.patterns((rows, cols), readings, seed);
                    Pattern::Hadamard(patterns.map_err(SensorError::from)?)
                }
                Shown::Pixels(readings) => Pattern::Mask(Mask::random(pixels, readings, seed)?),
                Shown::Frequencies(readings) => {
                    Pattern::Fourier(Fourier::random(rows, cols, readings, seed)?)
                }
                Shown::Blocks(side) => Pattern::Blocks(Blocks::new(rows, cols, side)?),
                Shown::All => Pattern::Mask(Mask::all(pixels)?),
            })
        };
        let any = sim::describe((rows, cols), &prior.knots, max_range, (1, 1), options.seed)?;
        Ok(SensorDescription {
            patterns: (0..sets).map(pattern).collect::<Result<_, _>>()?,
            data: self.data,
            ..any
        })
    }

    /// What the sensor reads of a frame with pattern set `set`; neither sequence number nor stamp.
    pub(super) fn measure(
        &self,
        sensor: &SensorDescription,
        set: usize,
        frame: &RangeImage,
        rng: &mut ChaCha8Rng,
    ) -> Measurement {
        let share = match self.noise {
            Noise::OfReadings(share) => share,
            Noise::OfReturns(level) => {
                let y = sim::readings(sensor, set, frame);
                let mean = y.iter().map(|y| y.abs()).sum::<f32>() / y.len() as f32;
                let energy: f32 = frame.returns.iter().map(|s| s * s).sum();
                let rms = (energy / sensor.patterns[set].shape().1 as f32).sqrt();
                level * rms / mean.max(f32::MIN_POSITIVE)
            }
        };
        sim::measure(sensor, set, frame, share, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn names_read_back() {
        for problem in Problem::ALL {
            assert_eq!(problem.to_string().parse(), Ok(problem));
        }
        assert!("guessing".parse::<Problem>().is_err());
    }

    #[test]
    fn sensors_read_as_many_values_as_the_problem_says() {
        let prior = Prior::embedded().unwrap();
        let options = Options {
            ratios: vec![0.05],
            sets: 2,
            ..Options::default()
        };
        let shapes = |problem: Problem| -> Vec<(usize, usize)> {
            let cases = problem.cases(&prior, &options);
            let sensor = |case: Case| case.describe(&prior, 30.0, &options).unwrap();
            let shape = |s: SensorDescription| (s.patterns.len(), s.patterns[0].shape().0);
            cases.into_iter().map(sensor).map(shape).collect()
        };
        for random in [
            Problem::CompressedSensing,
            Problem::Inpainting,
            Problem::Fourier,
            Problem::PhaseRetrieval,
        ] {
            assert_eq!(shapes(random), [(2, 205)], "{random}");
        }
        assert_eq!(
            shapes(Problem::SuperResolution),
            [(1, 64), (1, 256), (1, 1024)]
        );
        assert_eq!(shapes(Problem::Denoising), [(1, 4096); 3]);
    }

    #[test]
    fn noise_to_remove_is_a_share_of_the_rms_return() {
        let prior = Prior::embedded().unwrap();
        let options = Options::default();
        let case = Problem::Denoising.cases(&prior, &options)[1];
        let sensor = case.describe(&prior, 30.0, &options).unwrap();
        let mut frame = RangeImage::empty(64, 64);
        for pixel in 0..2048 {
            (frame.range[pixel], frame.returns[pixel], frame.valid[pixel]) = (10.0, 2.0, true);
        }
        let measured = case.measure(&sensor, 0, &frame, &mut ChaCha8Rng::seed_from_u64(1));
        let expected = 0.1 * 2.0f32.sqrt(); // 10 % of √(half of the pixels of return 2)
        assert!((measured.gain.sqrt() - expected).abs() < 1e-4);
    }
}
