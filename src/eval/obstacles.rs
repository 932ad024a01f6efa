//! Are obstacles found that no prior was trained on, and are any seen where there are none?

use super::EvalError;
use crate::clock::Monotonic;
use crate::frame::{Measurement, RangeImage};
use crate::prior::Prior;
use crate::recover::{Settings, Tracker};
use crate::sensing::SensorDescription;
use crate::sim::{self, NEARER, Obstacle, ObstacleKind, Split};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::Serialize;
use std::sync::Arc;

/// Range error of a pixel of a found obstacle over its true range, at most.
const FOUND_WITHIN: f32 = 0.1;
/// Fewest pixels of a false obstacle, as many as the smallest true one has.
const LEAST_FALSE: usize = sim::LEAST_PIXELS;
/// Scenes looked at for each obstacle wanted, at most.
const PATIENCE: usize = 4;

/// What to evaluate on.
#[derive(Clone, Debug, PartialEq)]
pub struct ObstacleOptions {
    /// which scenes: held out, or to choose parameters on; training scenes have no obstacles
    pub split: Split,
    /// kinds of obstacle
    pub kinds: Vec<ObstacleKind>,
    /// obstacles of each kind, one a frame
    pub obstacles: usize,
    /// frames without the obstacle before the one that is scored
    pub lead_in: usize,
    /// frames a second
    pub rate_hz: f64,
    /// pattern sets shown in turn
    pub sets: usize,
    /// m/n, patterns over pixels
    pub ratios: Vec<f64>,
    /// standard deviation of a reading's noise over the mean |y|
    pub noise: f32,
    /// seed of patterns and noise
    pub seed: u64,
}

impl Default for ObstacleOptions {
    fn default() -> Self {
        Self {
            split: Split::HeldOut,
            kinds: ObstacleKind::ALL.to_vec(),
            obstacles: 500,
            lead_in: 0,
            rate_hz: 30.0,
            sets: 8,
            ratios: vec![0.01, 0.02, 0.05, 0.1],
            noise: 0.005,
            seed: 1,
        }
    }
}

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

/// One row for each m/n, kind and way to recover, in this order; `progress` hears of each frame.
///
/// # Errors
/// Where the options describe no sensor or the scenes are those for training, or a way to recover fails.
pub fn obstacles(
    prior: &Prior,
    options: &ObstacleOptions,
    contenders: &[Contender<'_>],
    progress: &mut dyn FnMut(),
) -> Result<Vec<ObstacleRow>, EvalError> {
    if options.split == Split::Train {
        return Err(EvalError::TrainingScenes);
    }
    let mut rows = vec![];
    for &ratio in &options.ratios {
        let readings = ((prior.pixels() as f64 * ratio).round() as usize).max(1);
        let description = Arc::new(sim::describe(
            (prior.rows, prior.cols),
            &prior.knots,
            sim::MAX_RANGE,
            (options.sets, readings),
            options.seed,
        )?);
        let mut recovers = contenders
            .iter()
            .map(|contender| (contender.make)(Arc::clone(&description)))
            .collect::<Result<Vec<_>, _>>()?;
        for &kind in &options.kinds {
            let tallies = tally(&description, options, kind, &mut recovers, progress)?;
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
    options: &ObstacleOptions,
    kind: ObstacleKind,
    recovers: &mut [Recover<'_>],
    progress: &mut dyn FnMut(),
) -> Result<Vec<Tally>, EvalError> {
    let mut tallies = vec![Tally::default(); recovers.len()];
    let mut frame = RangeImage::default();
    let sequences = (0..(PATIENCE * options.obstacles) as u64)
        .filter_map(|index| sequence(description, options, kind, index));
    for (measurements, truth, obstacle) in sequences.take(options.obstacles) {
        for (recover, tally) in recovers.iter_mut().zip(&mut tallies) {
            recover(&measurements, &mut frame)?;
            tally.add(&frame, &truth, &obstacle);
        }
        progress();
    }
    Ok(tallies)
}

/// What is measured of scene number `index` up to the frame in which the obstacle appears, and the truth of that frame.
fn sequence(
    description: &SensorDescription,
    options: &ObstacleOptions,
    kind: ObstacleKind,
    index: u64,
) -> Option<(Vec<Measurement>, RangeImage, Obstacle)> {
    let rays = sim::rays(description.rows, description.cols);
    let scene = sim::scene(options.split, index);
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    rng.set_stream(index);
    let mut truth = RangeImage::default();
    let mut obstacle = None;
    let mut measurements = vec![];
    for frame in 0..=options.lead_in {
        let time_s = frame as f64 / options.rate_hz;
        scene.cast(&rays, time_s as f32, sim::MAX_RANGE, &mut truth);
        if frame == options.lead_in {
            obstacle = sim::with_obstacle(options.split, index, kind, &rays, &mut truth);
            obstacle.as_ref()?;
        }
        let set = (index as usize + frame) % options.sets;
        measurements.push(Measurement {
            sequence: frame as u64,
            stamp_ns: (time_s * 1e9) as u64,
            ..sim::measure(description, set, &truth, options.noise, &mut rng)
        });
    }
    Some((measurements, truth, obstacle?))
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
        self.found += usize::from(found(recovered, truth, obstacle));
        self.falsely += falsely;
        self.falsely_squared += falsely * falsely;
        self.with_false += usize::from(falsely > 0);
    }

    fn row(self, ratio: f64, readings: usize, kind: ObstacleKind, method: &str) -> ObstacleRow {
        let frames = self.frames as f64;
        let mean = self.falsely as f64 / frames;
        let variance = self.falsely_squared as f64 / frames - mean * mean;
        ObstacleRow {
            ratio,
            readings,
            kind: kind.to_string(),
            method: method.to_owned(),
            obstacles: self.frames,
            pixels: self.pixels as f64 / frames,
            recall: share(self.found, self.frames),
            false_per_frame: (mean, (variance.max(0.0) / frames).sqrt()),
            frames_with_false: share(self.with_false, self.frames),
        }
    }
}

/// A share and its binomial standard error √(p(1 − p)/N).
fn share(count: usize, of: usize) -> (f64, f64) {
    let p = count as f64 / of as f64;
    (p, (p * (1.0 - p) / of as f64).sqrt())
}

/// Whether at least half of an obstacle's pixels are recovered as valid, within 10 % of their true range.
pub fn found(recovered: &RangeImage, truth: &RangeImage, obstacle: &Obstacle) -> bool {
    let right = obstacle.pixels.iter().filter(|&&pixel| {
        let (range, true_range) = (recovered.range[pixel], truth.range[pixel]);
        recovered.valid[pixel] && (range - true_range).abs() <= FOUND_WITHIN * true_range
    });
    2 * right.count() >= obstacle.pixels.len()
}

/// Number of false obstacles: groups of at least 4 pixels, joined by their sides, that are recovered as valid and more than
/// 20 % nearer than everything truly within a pixel of them; where nothing truly returned there is nothing nearer than
/// [`sim::MAX_RANGE`].
///
/// The pixel around forgives an edge that is recovered one pixel off.
pub fn false_obstacles(recovered: &RangeImage, truth: &RangeImage) -> usize {
    let (rows, cols) = (truth.rows, truth.cols);
    let nearest_around = |pixel: usize| {
        let (row, col) = (pixel / cols, pixel % cols);
        let mut nearest = sim::MAX_RANGE;
        for r in row.saturating_sub(1)..(row + 2).min(rows) {
            for c in col.saturating_sub(1)..(col + 2).min(cols) {
                if truth.valid[r * cols + c] {
                    nearest = nearest.min(truth.range[r * cols + c]);
                }
            }
        }
        nearest
    };
    let mut open: Vec<bool> = (0..truth.pixels())
        .map(|i| recovered.valid[i] && recovered.range[i] < NEARER * nearest_around(i))
        .collect();
    let mut groups = 0;
    for start in 0..open.len() {
        groups += usize::from(take_group(&mut open, start, cols) >= LEAST_FALSE);
    }
    groups
}

/// Closes the group of open pixels that `start` belongs to; how many there were.
fn take_group(open: &mut [bool], start: usize, cols: usize) -> usize {
    let (mut size, mut next) = (0, vec![start]);
    while let Some(pixel) = next.pop() {
        if !std::mem::take(&mut open[pixel]) {
            continue;
        }
        size += 1;
        let col = pixel % cols;
        next.extend((col > 0).then(|| pixel - 1));
        next.extend((col + 1 < cols).then(|| pixel + 1));
        next.extend(pixel.checked_sub(cols));
        next.extend(Some(pixel + cols).filter(|&below| below < open.len()));
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(range: f32) -> RangeImage {
        RangeImage {
            range_sigma: vec![],
            rows: 8,
            cols: 8,
            range: vec![range; 64],
            returns: vec![0.5; 64],
            valid: vec![true; 64],
        }
    }

    fn with(pixels: &[usize], range: f32, mut image: RangeImage) -> RangeImage {
        pixels.iter().for_each(|&pixel| image.range[pixel] = range);
        image
    }

    #[test]
    fn found_is_half_of_the_pixels_within_a_tenth() {
        let pixels = vec![9, 10, 17, 18];
        let obstacle = Obstacle {
            kind: ObstacleKind::Debris { side: 2 },
            pixels: pixels.clone(),
        };
        let truth = with(&pixels, 5.0, flat(10.0));
        assert!(found(&truth, &truth, &obstacle));
        assert!(found(&with(&[9, 10], 5.4, flat(10.0)), &truth, &obstacle));
        assert!(!found(&with(&[9], 5.4, flat(10.0)), &truth, &obstacle));
        assert!(!found(&with(&pixels, 5.6, flat(10.0)), &truth, &obstacle));
        let mut unsure = truth.clone();
        pixels.iter().for_each(|&pixel| unsure.valid[pixel] = false);
        assert!(!found(&unsure, &truth, &obstacle));
    }

    #[test]
    fn false_obstacles_are_groups_nearer_than_all_around() {
        let truth = flat(10.0);
        let square = [9, 10, 17, 18];
        assert_eq!(false_obstacles(&truth, &truth), 0);
        assert_eq!(false_obstacles(&with(&square, 7.9, flat(10.0)), &truth), 1);
        assert_eq!(false_obstacles(&with(&square, 8.1, flat(10.0)), &truth), 0);
        assert_eq!(
            false_obstacles(&with(&square[..3], 5.0, flat(10.0)), &truth),
            0
        );
        // the end of a row does not touch the beginning of the next, nor do corners
        assert_eq!(
            false_obstacles(&with(&[6, 7, 8, 9], 5.0, flat(10.0)), &truth),
            0
        );
        assert_eq!(
            false_obstacles(&with(&[0, 9, 18, 27], 5.0, flat(10.0)), &truth),
            0
        );
        let two = with(&[50, 51, 58, 59], 3.0, with(&square, 7.0, flat(10.0)));
        assert_eq!(false_obstacles(&two, &truth), 2);
        // what is within a pixel of something as near is no false obstacle
        let near_one = with(&[0, 3, 24, 27], 7.0, flat(10.0));
        assert_eq!(
            false_obstacles(&with(&square, 7.0, flat(10.0)), &near_one),
            0
        );
        // in front of nothing at all
        let mut sky = truth;
        (0..64).for_each(|pixel| sky.clear(pixel));
        assert_eq!(false_obstacles(&with(&square, 20.0, flat(25.0)), &sky), 1);
    }

    #[test]
    fn who_knows_the_truth_finds_all_and_who_sees_nothing_none() {
        let prior = Prior::embedded().unwrap();
        let options = ObstacleOptions {
            kinds: vec![ObstacleKind::Debris { side: 3 }, ObstacleKind::Sphere],
            obstacles: 4,
            ratios: vec![1.0],
            sets: 1,
            noise: 0.0,
            ..ObstacleOptions::default()
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
        let rows = obstacles(&prior, &options, &[knowing, blind], &mut || frames += 1).unwrap();
        assert_eq!((rows.len(), frames), (4, 8));
        for row in rows {
            let all = if row.method == "inverse" { 1.0 } else { 0.0 };
            assert_eq!((row.obstacles, row.recall), (4, (all, 0.0)), "{row:?}");
            assert_eq!(row.false_per_frame, (0.0, 0.0), "{row:?}");
        }
        let training = ObstacleOptions {
            split: Split::Train,
            ..options
        };
        assert!(obstacles(&prior, &training, &[], &mut || ()).is_err());
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
