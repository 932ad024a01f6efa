//! Are obstacles found that no prior was trained on, and are any seen where there are none?

use super::found::{false_obstacles, found};
use super::{EvalError, Options, options};
use crate::clock::Monotonic;
use crate::frame::{Measurement, RangeImage};
use crate::prior::Prior;
use crate::recover::{Settings, Tracker};
use crate::sensing::SensorDescription;
use crate::sim::{self, Obstacle, ObstacleKind, Split};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::Serialize;
use std::sync::Arc;

/// Scenes looked at for each obstacle wanted, at most.
const PATIENCE: usize = 4;

/// Recovers the last frame of a sequence, of which it has seen nothing yet, into the image.
pub type Recover<'a> =
    Box<dyn FnMut(&[Measurement], &mut RangeImage) -> Result<(), EvalError> + 'a>;

/// Makes what recovers a sensor's frames.
pub type MakeRecover<'a> =
    Box<dyn Fn(Arc<SensorDescription>) -> Result<Recover<'a>, EvalError> + 'a>;

/// A way to recover, under a name.
pub struct Contender<'a> {
    /// what tables call it
    pub name: String,
    /// made anew for each m/n
    pub make: MakeRecover<'a>,
}

/// How one way to recover did on one kind of obstacle. All ways see the same frames by the same readings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObstacleRow {
    /// m/n
    pub ratio: f64,
    /// m, patterns a frame
    pub readings: usize,
    /// kind of obstacle, with its size where it has one
    pub kind: String,
    /// way to recover
    pub method: String,
    /// obstacles, each in a frame of its own
    pub obstacles: usize,
    /// mean number of pixels of an obstacle
    pub pixels: f64,
    /// share of the obstacles that were found, and its binomial standard error
    pub recall: (f64, f64),
    /// false obstacles a frame, and the standard error of this mean
    pub false_per_frame: (f64, f64),
    /// share of frames with a false obstacle, and its binomial standard error
    pub frames_with_false: (f64, f64),
}

impl<'a> Contender<'a> {
    /// A tracker; with no frames before the one that is scored it starts cold.
    pub fn tracker(name: &str, prior: &'a Prior, settings: Settings) -> Self {
        let make = move |description: Arc<SensorDescription>| {
            let mut tracker =
                Tracker::new(description, prior, settings.clone(), Monotonic::default())?;
            let recover: Recover<'a> = Box::new(move |measurements, frame| {
                tracker.forget();
                for measurement in measurements {
                    tracker.recover(measurement, frame)?;
                }
                Ok(())
            });
            Ok(recover)
        };
        Self {
            name: name.to_owned(),
            make: Box::new(make),
        }
    }
}

/// One row for each m/n, kind and way to recover, in this order; `progress` hears of each frame. The obstacle is in view in
/// the last `in_view` frames, of which the last is scored, at one place seen from the sensor.
///
/// # Errors
/// Where the options describe no sensor or the scenes are those for training, or a way to recover fails.
pub fn obstacles(
    prior: &Prior,
    options: &Options,
    (kinds, in_view): (&[ObstacleKind], usize),
    contenders: &[Contender<'_>],
    progress: &mut dyn FnMut(),
) -> Result<Vec<ObstacleRow>, EvalError> {
    if options.split == Split::Train {
        return Err(EvalError::TrainingScenes);
    }
    let mut rows = vec![];
    for &ratio in &options.ratios {
        let readings = options::readings(prior, ratio);
        let description = Arc::new(options.sensor(prior, ratio)?);
        let mut recovers = contenders
            .iter()
            .map(|contender| (contender.make)(Arc::clone(&description)))
            .collect::<Result<Vec<_>, _>>()?;
        for &kind in kinds {
            let tallies = tally(
                &description,
                options,
                (kind, in_view),
                &mut recovers,
                progress,
            )?;
            for (contender, tally) in contenders.iter().zip(tallies) {
                rows.push(tally.row(ratio, readings, kind, &contender.name));
            }
        }
    }
    Ok(rows)
}

/// One kind at one m/n: what each of `recovers` finds.
fn tally(
    description: &SensorDescription,
    options: &Options,
    shown: (ObstacleKind, usize),
    recovers: &mut [Recover<'_>],
    progress: &mut dyn FnMut(),
) -> Result<Vec<Tally>, EvalError> {
    let mut tallies = vec![Tally::default(); recovers.len()];
    let mut frame = RangeImage::default();
    let sequences = (0..(PATIENCE * options.frames) as u64)
        .filter_map(|index| sequence(description, options, shown, index));
    for (measurements, truth, obstacle) in sequences.take(options.frames) {
        for (recover, tally) in recovers.iter_mut().zip(&mut tallies) {
            recover(&measurements, &mut frame)?;
            tally.add(&frame, &truth, &obstacle);
        }
        progress();
    }
    Ok(tallies)
}

/// What is measured of scene number `index` while an obstacle comes into view, and the truth of the last frame.
fn sequence(
    description: &SensorDescription,
    options: &Options,
    (kind, in_view): (ObstacleKind, usize),
    index: u64,
) -> Option<(Vec<Measurement>, RangeImage, Obstacle)> {
    let rays = sim::rays(description.rows, description.cols);
    let scene = sim::scene(options.split, index);
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    rng.set_stream(index);
    let time_s = |frame: usize| frame as f64 / options.rate_hz;
    let mut truth = RangeImage::default();
    let cast = |frame, image: &mut RangeImage| {
        scene.cast(&rays, time_s(frame) as f32, sim::MAX_RANGE, image);
    };
    cast(options.lead_in, &mut truth);
    let obstacle = sim::with_obstacle(options.split, index, kind, &rays, &mut truth)?;
    let last = truth.clone();
    let measurements = (0..=options.lead_in).map(|frame| {
        cast(frame, &mut truth);
        if frame + in_view > options.lead_in {
            obstacle.stand_in(&mut truth);
        }
        let set = (index as usize + frame) % options.sets;
        Measurement {
            sequence: frame as u64,
            stamp_ns: (time_s(frame) * 1e9) as u64,
            ..sim::measure(description, set, &truth, options.noise, &mut rng)
        }
    });
    Some((measurements.collect(), last, obstacle))
}

/// Counts over frames, each with one obstacle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    frames: usize,
    pixels: usize,
    found: usize,
    falsely: usize,
    falsely_squared: usize,
    with_false: usize,
}

impl Tally {
    fn add(&mut self, recovered: &RangeImage, truth: &RangeImage, obstacle: &Obstacle) {
        let falsely = false_obstacles(recovered, truth);
        self.frames += 1;
        self.pixels += obstacle.pixels.len();
        self.found += usize::from(found(recovered, truth, &obstacle.pixels));
        self.falsely += falsely;
        self.falsely_squared += falsely * falsely;
        self.with_false += usize::from(falsely > 0);
    }

    fn row(self, ratio: f64, readings: usize, kind: ObstacleKind, method: &str) -> ObstacleRow {
        let frames = self.frames as f64;
        let mean = self.falsely as f64 / frames;
        let squares = (self.falsely_squared as f64 - frames * mean * mean).max(0.0);
        let error = (squares / (frames - 1.0) / frames).sqrt(); // of one frame: not known
        ObstacleRow {
            ratio,
            readings,
            kind: kind.to_string(),
            method: method.to_owned(),
            obstacles: self.frames,
            pixels: self.pixels as f64 / frames,
            recall: share(self.found, self.frames),
            false_per_frame: (mean, error),
            frames_with_false: share(self.with_false, self.frames),
        }
    }
}

/// A share and its binomial standard error √(p(1 − p)/N).
fn share(count: usize, of: usize) -> (f64, f64) {
    let p = count as f64 / of as f64;
    (p, (p * (1.0 - p) / of as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_knows_the_truth_finds_all_and_who_sees_nothing_none() {
        let prior = Prior::embedded().unwrap();
        let kinds = [ObstacleKind::Debris { side: 3 }, ObstacleKind::Sphere];
        let options = Options {
            frames: 4,
            lead_in: 0,
            ratios: vec![1.0],
            sets: 1,
            noise: 0.0,
            ..Options::default()
        };
        let knowing = Contender {
            name: "inverse".to_owned(),
            make: Box::new(|description| {
                Ok(Box::new(move |seen, frame| {
                    inverse(&description, seen, frame)
                }))
            }),
        };
        let blind = Contender {
            name: "blind".to_owned(),
            make: Box::new(|_| {
                Ok(Box::new(|_, frame| {
                    *frame = RangeImage::empty(64, 64);
                    Ok(())
                }))
            }),
        };
        let mut frames = 0;
        let contenders = [knowing, blind];
        let rows = obstacles(&prior, &options, (&kinds, 1), &contenders, &mut || {
            frames += 1;
        })
        .unwrap();
        assert_eq!((rows.len(), frames), (4, 8));
        for row in rows {
            let all = if row.method == "inverse" { 1.0 } else { 0.0 };
            assert_eq!((row.obstacles, row.recall), (4, (all, 0.0)), "{row:?}");
            assert_eq!(row.false_per_frame, (0.0, 0.0), "{row:?}");
        }
        let training = Options {
            split: Split::Train,
            ..options
        };
        assert!(obstacles(&prior, &training, (&kinds, 1), &[], &mut || ()).is_err());
    }

    #[test]
    fn an_obstacle_is_in_view_in_the_last_frames_and_in_no_others() {
        let prior = Prior::embedded().unwrap();
        let options = Options {
            lead_in: 5,
            ..Options::default()
        };
        let description = options.sensor(&prior, 0.02).unwrap();
        let kind = ObstacleKind::Debris { side: 8 };
        let seen = |in_view| sequence(&description, &options, (kind, in_view), 0).unwrap();
        let ((once, truth, obstacle), (thrice, same, _)) = (seen(1), seen(3));
        assert_eq!((once.len(), &truth), (6, &same));
        let alike: Vec<bool> = once.iter().zip(&thrice).map(|(a, b)| a.y == b.y).collect();
        assert_eq!(alike, [true, true, true, false, false, true]);
        assert!(obstacle.pixels.iter().all(|&pixel| truth.valid[pixel]));
    }

    /// As many patterns as pixels, with orthonormal rows: the adjoint is the inverse.
    fn inverse(
        description: &SensorDescription,
        seen: &[Measurement],
        frame: &mut RangeImage,
    ) -> Result<(), EvalError> {
        use crate::sensing::Operator;
        let pattern = &description.patterns[0];
        let n = description.pixels();
        let mut x = vec![0.0; description.channels() * n];
        let mut scratch = vec![0.0; pattern.scratch()];
        let y = &seen.last().unwrap().y;
        for (x, y) in x.chunks_exact_mut(n).zip(y.chunks_exact(n)) {
            pattern.adjoint(y, x, &mut scratch);
        }
        *frame = RangeImage::empty(description.rows, description.cols);
        description.knots.read_out(&x, description.s_min, frame);
        Ok(())
    }

    #[test]
    fn shares_carry_their_binomial_error() {
        assert_eq!(share(0, 10), (0.0, 0.0));
        let (p, error) = share(50, 200);
        assert!((p - 0.25).abs() < 1e-12 && (error - (0.1875f64 / 200.0).sqrt()).abs() < 1e-12);
    }
}
