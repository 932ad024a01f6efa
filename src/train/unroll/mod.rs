//! Fits the unrolled network of a prior, to frames as the prior's own recovery leaves them.

mod clutter;
mod emphasis;
mod lessons;

use super::adam;
use super::loss::{Gradients, Weights, loss};
use super::{RecordedFrames, TrainError, threads};
use crate::frame::{Knots, RangeImage};
use crate::prior::{Prior, Unrolled};
use crate::recover::{Given, Learner, Tape};
use crate::sim::Split;
use emphasis::stands_out;
pub use lessons::LessonError;
use lessons::{Lesson, Lessons, RATIOS};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::sync::{Arc, Mutex, PoisonError};

/// Weights of errors of the channels, of the range, and of the range over itself.
const CHANNELS: f32 = 1.0;
const READ_OUT: f32 = 6.0;
const RELATIVE: f32 = 0.25;
/// Weight of what the stages make on the way, beside what comes out in the end.
const ON_THE_WAY: f32 = 0.2;
/// Steps over which the rate rises to its full value.
const WARM_UP: usize = 100;
/// Longest gradient of a step; longer ones are shortened.
const LONGEST: f32 = 0.5;
/// Lessons that are taken of one sensor.
const OF_A_SENSOR: usize = 256;
/// Times that a lesson is drawn on average, before there is another: recovery takes longer than learning from it.
const TIMES: usize = 4;
/// Lessons of each m/n that progress is measured by.
const EXAMINED: usize = 64;
/// Pixels across that things may have which count as small in [`Score`].
const SMALL: usize = 5;

/// How a network is to be trained, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// the command that asked for it, for the provenance
    pub command: String,
    /// steps
    pub steps: usize,
    /// frames a step
    pub batch: usize,
    /// highest rate of Adam; it falls to zero by half a cosine
    pub rate: f32,
    /// frames that steps draw from; new ones take the place of the oldest
    pub pool: usize,
    /// stages, fine and coarse features of a network that starts from nothing
    pub size: [usize; 3],
    /// share of sequences that are recorded, where there are any
    pub recorded_share: f64,
    /// seed of everything random
    pub seed: u64,
    /// steps between two examinations
    pub examine_every: usize,
}

/// Progress of training, as it happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// a step was made
    Step {
        /// steps made so far
        step: usize,
        /// its loss
        loss: f64,
    },
    /// how far the network is, on frames that training never sees
    Examination {
        /// steps made so far
        step: usize,
        /// by m/n: of total variation alone, and with the network
        scores: Vec<(f64, [Score; 2])>,
    },
}

/// What images are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// root mean square error of range, over κ_J
    pub rmse: f64,
    /// share of pixels of small near things whose range is within a tenth
    pub small_things: f64,
}

/// Trains the prior's unrolled network on, or makes it one; `keep` is given the prior at every examination.
///
/// # Errors
/// Where the prior cannot be recovered with, or `keep` fails.
pub fn unroll(
    options: &Options,
    mut prior: Prior,
    recorded: Vec<RecordedFrames>,
    observe: &mut dyn FnMut(Event),
    keep: &mut dyn FnMut(&Prior) -> Result<(), TrainError>,
) -> Result<Prior, TrainError> {
    let mut network = prior.unrolled.take().unwrap_or_else(|| {
        let [stages, features, coarse] = options.size;
        Unrolled::untrained(prior.channels(), stages, (features, coarse), options.seed)
    });
    prior.unrolled = Some(network.clone());
    let origins: Vec<String> = recorded.iter().map(|r| r.origin.clone()).collect();
    let lessons = |recorded, seed, split| {
        Lessons::new(prior.clone(), recorded, options.recorded_share, seed, split)
    };
    let examination = examination(&lessons(vec![], options.seed, Split::Tune))?;
    // another course over the same network is not to be over the same frames
    let courses = prior.provenance.earlier.len() as u64;
    let seed = options.seed.wrapping_add(courses << 32);
    let stream = Arc::new(lessons(recorded, seed, Split::Train)).spawn(OF_A_SENSOR);
    let mut trained = prior.clone();
    trained.provenance.earlier.push(options.command.clone());
    for origin in origins {
        if !trained.provenance.data.contains(&origin) {
            trained.provenance.data.push(origin);
        }
    }
    let course = Course::new(&prior)?;
    let mut moments = [network.zeroed(), network.zeroed()];
    let mut pool: Vec<Lesson> = vec![];
    let mut taken = 0;
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    for step in 0..options.steps {
        let fresh = match (pool.is_empty(), TIMES * taken <= step * options.batch) {
            (true, _) => Some(stream.recv().map_err(|_| TrainError::Stream)?),
            (false, due) => due.then(|| stream.try_recv().ok()).flatten(),
        };
        for lesson in fresh.into_iter().flatten() {
            match pool.get_mut(taken % options.pool) {
                Some(oldest) => *oldest = lesson,
                None => pool.push(lesson),
            }
            taken += 1;
        }
        let batch: Vec<&Lesson> = (0..options.batch)
            .map(|_| &pool[random.random_range(0..pool.len())])
            .collect();
        let learner = Learner::new(&network, (prior.rows, prior.cols));
        let (loss, gradient) = course.learn(&learner, &network, &batch);
        descend(options, step, &mut network, gradient, &mut moments)?;
        observe(Event::Step {
            step: step + 1,
            loss,
        });
        let done = step + 1;
        if done.is_multiple_of(options.examine_every) || done == options.steps {
            trained.unrolled = Some(network.clone());
            keep(&trained)?;
            let learner = Learner::new(&network, (prior.rows, prior.cols));
            observe(Event::Examination {
                step: done,
                scores: course.examine(&learner, &examination),
            });
        }
    }
    Ok(trained)
}

/// Lessons by m/n.
fn examination(lessons: &Lessons) -> Result<Vec<(f64, Vec<Lesson>)>, TrainError> {
    let of = |ratio| Ok((ratio, lessons.examination(ratio, EXAMINED)?));
    RATIOS.into_iter().map(of).collect()
}

/// A step of Adam against the gradient of a batch.
fn descend(
    options: &Options,
    step: usize,
    network: &mut Unrolled,
    mut gradient: Unrolled,
    moments: &mut [Unrolled; 2],
) -> Result<(), TrainError> {
    let parts = gradient.parts_mut();
    let energy: f32 = parts
        .iter()
        .flat_map(|part| part.iter())
        .map(|g| g * g)
        .sum();
    if !energy.is_finite() {
        return Err(TrainError::Diverged);
    }
    let shortened = (LONGEST / energy.sqrt().max(f32::MIN_POSITIVE)).min(1.0);
    let rise = ((step + 1) as f32 / WARM_UP as f32).min(1.0);
    let fall = 0.5 + 0.5 * (std::f32::consts::PI * step as f32 / options.steps as f32).cos();
    let rate = adam::corrected(options.rate * rise * fall, step + 1);
    let [first, second] = moments;
    let moments = first.parts_mut().into_iter().zip(second.parts_mut());
    for ((weights, gradient), (m, v)) in network.parts_mut().into_iter().zip(parts).zip(moments) {
        gradient.iter_mut().for_each(|g| *g *= shortened);
        adam::descend(weights, gradient, m, v, rate);
    }
    Ok(())
}

/// What a network is taught, and how it is examined.
struct Course {
    /// relative to κ_J
    knots: Knots,
    cols: usize,
}

impl Course {
    fn new(prior: &Prior) -> Result<Self, TrainError> {
        Ok(Self {
            knots: Knots::new(prior.knots.clone())?,
            cols: prior.cols,
        })
    }

    /// Mean loss of a batch and its gradient, frames spread over the cores.
    fn learn(&self, learner: &Learner, network: &Unrolled, batch: &[&Lesson]) -> (f64, Unrolled) {
        let share = batch.len().div_ceil(threads());
        let sum = Mutex::new((0.0, network.zeroed()));
        std::thread::scope(|scope| {
            for part in batch.chunks(share) {
                scope.spawn(|| {
                    let (mut tape, mut gradient) = (Tape::default(), network.zeroed());
                    let losses = part
                        .iter()
                        .map(|lesson| self.learn_one(learner, lesson, &mut tape, &mut gradient));
                    let loss: f64 = losses.sum();
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.0 += loss / batch.len() as f64;
                    let parts = sum.1.parts_mut().into_iter().zip(gradient.parts_mut());
                    for (sum, part) in parts {
                        crate::simd::add_scaled(1.0 / batch.len() as f32, part, sum);
                    }
                });
            }
        });
        sum.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loss of a frame; adds to the gradient.
    fn learn_one(
        &self,
        learner: &Learner,
        lesson: &Lesson,
        tape: &mut Tape,
        gradient: &mut Unrolled,
    ) -> f64 {
        let Some(given) = lesson.given() else {
            return 0.0;
        };
        let x = &lesson.refined.x;
        learner.run(&given, x, tape);
        let mut truth = vec![0.0; x.len()];
        self.knots.split(&lesson.truth, &mut truth);
        let weights = Weights {
            channels: CHANNELS,
            read_out: READ_OUT,
            relative: RELATIVE,
            pixels: &lesson.emphasis,
        };
        let stages = tape.images().count() - 1;
        let mut total = 0.0;
        let mut of_channels = vec![0.0; truth.len()];
        let errors: Vec<Vec<f32>> = tape
            .images()
            .enumerate()
            .map(|(stage, image)| {
                let mut error = vec![0.0; truth.len()];
                let gradients = Gradients {
                    channels: &mut of_channels,
                    total: &mut error,
                };
                let own = loss(
                    weights,
                    image,
                    &truth,
                    &lesson.range,
                    &self.knots,
                    gradients,
                );
                if stage < stages {
                    let weight = ON_THE_WAY / stages as f32;
                    error.iter_mut().for_each(|e| *e *= weight);
                } else {
                    total = own;
                }
                error
            })
            .collect();
        learner.go_back(&given, tape, &errors, gradient);
        total
    }

    fn examine(
        &self,
        learner: &Learner,
        examination: &[(f64, Vec<Lesson>)],
    ) -> Vec<(f64, [Score; 2])> {
        let mut tape = Tape::default();
        let mut of = |lessons: &[Lesson]| {
            let mut tallies = [Tally::default(), Tally::default()];
            for lesson in lessons {
                let Some(given) = lesson.given() else {
                    continue;
                };
                learner.run(&given, &lesson.refined.x, &mut tape);
                let last = tape.images().last().unwrap_or_default();
                for (tally, image) in tallies.iter_mut().zip([&lesson.refined.x, last]) {
                    tally.add(self, image, &lesson.range);
                }
            }
            tallies.map(|tally| tally.score())
        };
        examination
            .iter()
            .map(|(ratio, lessons)| (*ratio, of(lessons)))
            .collect()
    }
}

impl Lesson {
    fn given(&self) -> Option<Given<'_>> {
        let pattern = &self.sensor.patterns[self.pattern_set];
        self.refined.given(pattern, &[])
    }
}

/// Errors so far.
#[derive(Default)]
struct Tally {
    squares: f64,
    pixels: usize,
    /// pixels of small things, all and those found
    small: [usize; 2],
}

impl Tally {
    fn add(&mut self, course: &Course, image: &[f32], range: &[f32]) {
        let rows = range.len() / course.cols;
        let mut read = RangeImage::empty(rows, course.cols);
        course.knots.read_out(image, 0.0, &mut read);
        let small = stands_out(range, course.cols, SMALL);
        let pixels = read.range.iter().zip(range).zip(small);
        for ((got, truth), small) in pixels.filter(|((_, truth), _)| !truth.is_nan()) {
            self.squares += f64::from(got - truth).powi(2);
            self.pixels += 1;
            self.small[0] += usize::from(small);
            self.small[1] += usize::from(small && (got - truth).abs() <= 0.1 * truth);
        }
    }

    fn score(&self) -> Score {
        Score {
            rmse: (self.squares / self.pixels.max(1) as f64).sqrt(),
            small_things: self.small[1] as f64 / self.small[0].max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_knows_nothing_learns_what_it_is_shown() {
        let mut prior = Prior::embedded().unwrap();
        let mut network = Unrolled::untrained(prior.channels(), 1, (8, 8), 1);
        prior.unrolled = Some(network.clone());
        let course = Course::new(&prior).unwrap();
        let size = (prior.rows, prior.cols);
        let lessons = Lessons::new(prior, vec![], 0.0, 1, Split::Tune);
        let lessons = lessons.examination(0.02, 8).unwrap();
        let batch: Vec<&Lesson> = lessons.iter().collect();
        let options = Options {
            command: String::new(),
            steps: 150,
            batch: batch.len(),
            rate: 5e-3,
            pool: 1,
            size: [1, 8, 8],
            recorded_share: 0.0,
            seed: 1,
            examine_every: 1,
        };
        let mut moments = [network.zeroed(), network.zeroed()];
        let mut losses = vec![];
        for step in 0..options.steps {
            let learner = Learner::new(&network, size);
            let (loss, gradient) = course.learn(&learner, &network, &batch);
            losses.push(loss);
            descend(&options, step, &mut network, gradient, &mut moments).unwrap();
        }
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(last < 0.9 * first, "{first} {last}");
        let scores = course.examine(&Learner::new(&network, size), &[(0.02, lessons)]);
        let [before, after] = scores[0].1;
        assert!(after.rmse < 0.95 * before.rmse, "{before:?} {after:?}");
    }
}
