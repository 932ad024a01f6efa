//! What unrolled networks learn from: frames as recovery leaves them to a network, with the truth.

use super::clutter::Clutter;
use super::emphasis::emphasis;
use crate::clock::Monotonic;
use crate::frame::{Measurement, RangeImage};
use crate::prior::Prior;
use crate::recover::{Model, Refined, Renderer, Settings, Tracker, TrackerError};
use crate::sensing::SensorDescription;
use crate::sim::{self, MAX_RANGE, Rays, Sampling, SensorError, Split};
use crate::train::recorded::{CROPS_PER_FRAME, RecordedFrames};
use crate::train::stream::mirror;
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// Pattern sets that a sensor shows in turn.
const SETS: usize = 8;
/// m/n of every other sensor, and the bounds of the others, which lie evenly on a logarithmic scale.
pub(super) const RATIOS: [f64; 5] = [0.01, 0.02, 0.05, 0.1, 0.25];
const RATIO_BOUNDS: (f64, f64) = (0.008, 0.25);
/// Share of sensors whose patterns are of variable density.
const VARIABLE_DENSITY: f64 = 0.85;
/// Noise over mean |y| of most sensors, their share, and the bounds of the others.
const NOISE: f32 = 0.005;
const USUAL_NOISE: f64 = 0.65;
const NOISE_BOUNDS: (f32, f32) = (0.001, 0.04);
/// Frames of a sequence.
const LENGTHS: [usize; 4] = [1, 1, 4, 9];
/// Frames a second, and the share of sequences that have the first.
const RATES_HZ: [f32; 2] = [30.0, 10.0];
const USUAL_RATE: f64 = 0.75;
/// Share of sequences with clutter, and most pieces of it.
const CLUTTERED: f64 = 0.8;
const PIECES: usize = 6;
/// Sequences that are tried at most for each lesson wanted.
const TRIES: usize = 4;
/// What recorded ranges are stretched by.
const STRETCH: (f32, f32) = (0.8, 1.25);

/// A frame to learn from.
#[derive(Clone, Debug)]
pub(super) struct Lesson {
    pub(super) sensor: Arc<SensorDescription>,
    pub(super) pattern_set: usize,
    pub(super) refined: Refined,
    /// the truth: ranges over κ_J, returns over that which the prior knows
    pub(super) truth: RangeImage,
    /// true ranges over κ_J, NaN where nothing returned, (n)
    pub(super) range: Vec<f32>,
    /// how much its pixels weigh, (n)
    pub(super) emphasis: Vec<f32>,
}

/// Where lessons come from.
pub(super) struct Lessons {
    pub(super) prior: Prior,
    model: Arc<Model>,
    rays: Rays,
    recorded: Vec<RecordedFrames>,
    recorded_share: f64,
    seed: u64,
    split: Split,
}

/// How a sensor measures.
struct Kind {
    ratio: f64,
    sampling: Sampling,
    noise: f32,
}

/// A sequence of frames of one scene, in turn.
struct Footage {
    frames: Vec<RangeImage>,
    rate_hz: f32,
}

impl Lessons {
    /// Of a prior that has a network.
    pub(super) fn new(
        prior: Prior,
        mut recorded: Vec<RecordedFrames>,
        recorded_share: f64,
        seed: u64,
        split: Split,
    ) -> Self {
        recorded.retain(|sequence| !sequence.frames.is_empty());
        Self {
            model: Arc::new(Model::new(&prior, Settings::default().error)),
            rays: sim::rays(prior.rows, prior.cols),
            prior,
            recorded,
            recorded_share,
            seed,
            split,
        }
    }

    /// `count` lessons of sensor number `number`, and those of sensors after it, until the receiver is dropped.
    pub(super) fn spawn(self: Arc<Self>, count: usize) -> Receiver<Vec<Lesson>> {
        let (sender, receiver) = sync_channel(1);
        std::thread::spawn(move || {
            for number in 0.. {
                let mut random = self.random(number);
                let kind = Kind::some(&mut random);
                let lessons = self.of_sensor(&kind, count, number, &mut random);
                let Ok(lessons) = lessons else { continue }; // as good as no sensor
                if sender.send(lessons).is_err() {
                    break;
                }
            }
        });
        receiver
    }

    /// `count` lessons of the usual sensor with so many readings, that no training ever sees.
    pub(super) fn examination(&self, ratio: f64, count: usize) -> Result<Vec<Lesson>, LessonError> {
        let kind = Kind {
            ratio,
            sampling: Sampling::default(),
            noise: NOISE,
        };
        self.of_sensor(&kind, count, 0, &mut self.random(0))
    }

    fn random(&self, number: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(number);
        random
    }

    fn of_sensor(
        &self,
        kind: &Kind,
        count: usize,
        number: u64,
        random: &mut ChaCha8Rng,
    ) -> Result<Vec<Lesson>, LessonError> {
        let grid = (self.prior.rows, self.prior.cols);
        let readings = ((grid.0 * grid.1) as f64 * kind.ratio).round().max(1.0) as usize;
        let seed = self.seed.wrapping_add(number * SETS as u64);
        let knots = &self.prior.knots;
        let sensor = sim::describe_sampled(
            kind.sampling,
            grid,
            knots,
            MAX_RANGE,
            (SETS, readings),
            seed,
        )?;
        let sensor = Arc::new(sensor);
        let mut tracker = Tracker::with_model(
            Arc::clone(&sensor),
            Arc::clone(&self.model),
            Settings::default(),
            Monotonic::default(),
        )?;
        let mut renderer = tracker.renderer().clone();
        let mut lessons = Vec::with_capacity(count);
        for sequence in 0..(TRIES * count) as u64 {
            let first = self.seed.wrapping_mul(1 << 32);
            let index = first.wrapping_add(number << 12).wrapping_add(sequence);
            let footage = self.footage(index, random);
            tracker.forget();
            self.of_sequence(
                kind,
                &footage,
                &mut tracker,
                &mut renderer,
                random,
                &mut lessons,
            );
            if lessons.len() >= count {
                break;
            }
        }
        lessons.truncate(count);
        match lessons.is_empty() {
            true => Err(LessonError::Nothing {
                readings,
                noise: kind.noise,
            }),
            false => Ok(lessons),
        }
    }

    /// Frames of a sequence as recovery leaves them; those that it refuses are left out.
    fn of_sequence(
        &self,
        kind: &Kind,
        footage: &Footage,
        tracker: &mut Tracker<Monotonic>,
        renderer: &mut Renderer,
        random: &mut ChaCha8Rng,
        lessons: &mut Vec<Lesson>,
    ) {
        let sensor = Arc::clone(tracker.description());
        let first = random.random_range(0..SETS);
        for (frame, image) in footage.frames.iter().enumerate() {
            let measurement = Measurement {
                sequence: frame as u64,
                stamp_ns: ((1.0 + frame as f64 / f64::from(footage.rate_hz)) * 1e9) as u64,
                ..sim::measure(&sensor, (first + frame) % SETS, image, kind.noise, random)
            };
            let Ok(estimate) = tracker.estimate(&measurement) else {
                continue;
            };
            let refined = renderer.render(&estimate, &measurement);
            if refined.unrolled.is_none() {
                continue;
            }
            let mut truth = image.clone();
            truth.range.iter_mut().for_each(|range| *range /= MAX_RANGE);
            truth.returns.iter_mut().for_each(|s| *s /= estimate.scale);
            let pixels = truth.range.iter().zip(&truth.valid);
            let seen = |(range, valid): (&f32, &bool)| match *valid && *range <= 1.0 {
                true => *range,
                false => f32::NAN,
            };
            let range: Vec<f32> = pixels.map(seen).collect();
            lessons.push(Lesson {
                sensor: Arc::clone(&sensor),
                pattern_set: measurement.pattern_set,
                refined,
                truth,
                emphasis: emphasis(&range, sensor.cols, kind.ratio as f32),
                range,
            });
        }
    }

    /// Sequence number `index`.
    fn footage(&self, index: u64, random: &mut ChaCha8Rng) -> Footage {
        let frames = LENGTHS[random.random_range(0..LENGTHS.len())];
        let recorded = !self.recorded.is_empty() && random.random_bool(self.recorded_share);
        let mut footage = match recorded {
            true => self.recorded(frames, random),
            false => self.simulated(index, frames, random),
        };
        if self.split == Split::Train {
            if random.random_bool(0.5) {
                footage.frames.iter_mut().for_each(mirror);
            }
            clutter(&mut footage.frames, random);
        }
        footage
    }

    fn simulated(&self, index: u64, frames: usize, random: &mut ChaCha8Rng) -> Footage {
        let scene = sim::scene(self.split, index);
        let start_s = random.random_range(0.0..6.0);
        let rate_hz = RATES_HZ[usize::from(!random.random_bool(USUAL_RATE))];
        let frames = (0..frames).map(|frame| {
            let mut image = RangeImage::empty(self.prior.rows, self.prior.cols);
            let time_s = start_s + frame as f32 / rate_hz;
            scene.cast(&self.rays, time_s, MAX_RANGE, &mut image);
            image
        });
        Footage {
            frames: frames.collect(),
            rate_hz,
        }
    }

    /// Successive frames of a recorded sequence, with its largest range at that of the simulated ones.
    fn recorded(&self, frames: usize, random: &mut ChaCha8Rng) -> Footage {
        let sequence = &self.recorded[random.random_range(0..self.recorded.len())];
        let frames = frames.min(sequence.frames.len() / CROPS_PER_FRAME);
        let last = sequence.frames.len() / CROPS_PER_FRAME - frames;
        let first = random.random_range(0..=last) * CROPS_PER_FRAME;
        let crop = match frames {
            1 => random.random_range(0..CROPS_PER_FRAME),
            _ => 0, // the only one that is the same in every frame
        };
        let stretch = random.random_range(STRETCH.0..STRETCH.1) * MAX_RANGE / sequence.max_range;
        let frames = sequence.frames[first + crop..]
            .iter()
            .step_by(CROPS_PER_FRAME)
            .take(frames);
        let frames = frames.map(|frame| {
            let mut image = frame.clone();
            for pixel in 0..image.pixels() {
                image.range[pixel] *= stretch;
                if image.range[pixel] > MAX_RANGE {
                    image.clear(pixel);
                }
            }
            image
        });
        Footage {
            frames: frames.collect(),
            rate_hz: 1.0 / sequence.interval_s.max(1e-3),
        }
    }
}

impl Kind {
    fn some(random: &mut ChaCha8Rng) -> Self {
        let between = |(low, high): (f64, f64), random: &mut ChaCha8Rng| {
            low * (high / low).powf(random.random_range(0.0..1.0))
        };
        Self {
            ratio: match random.random_bool(0.5) {
                true => RATIOS[random.random_range(0..RATIOS.len())],
                false => between(RATIO_BOUNDS, random),
            },
            sampling: match random.random_bool(VARIABLE_DENSITY) {
                true => Sampling::VariableDensity,
                false => Sampling::Scrambled,
            },
            noise: match random.random_bool(USUAL_NOISE) {
                true => NOISE,
                false => between((NOISE_BOUNDS.0.into(), NOISE_BOUNDS.1.into()), random) as f32,
            },
        }
    }
}

/// Puts clutter into most sequences.
fn clutter(frames: &mut [RangeImage], random: &mut ChaCha8Rng) {
    if !random.random_bool(CLUTTERED) {
        return;
    }
    for _ in 0..random.random_range(1..=PIECES) {
        let piece = Clutter::somewhere(&frames[0], MAX_RANGE, frames.len(), random);
        for (frame, image) in frames.iter_mut().enumerate() {
            piece.show(frame, image);
        }
    }
}

/// Why there are no lessons of a sensor.
#[derive(Debug, thiserror::Error)]
pub enum LessonError {
    /// it cannot be described
    #[error(transparent)]
    Sensor(#[from] SensorError),
    /// it cannot be tracked
    #[error(transparent)]
    Tracker(#[from] TrackerError),
    /// nothing that it measures would be left to a network
    #[error(
        "expected frames that the network is to go on from, got none with {readings} readings and noise of {noise} of the mean"
    )]
    Nothing {
        /// m
        readings: usize,
        /// over the mean reading
        noise: f32,
    },
}
