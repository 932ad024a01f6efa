//! Frames that methods are compared on, simulated and recorded, as a sensor measures them.

use super::problem::Case;
use super::recovery::sequence;
use super::{EvalError, Options};
use crate::dataset::{Augmentation, Resampler, Sequence};
use crate::frame::{Measurement, RangeImage};
use crate::prior::Prior;
use crate::sensing::SensorDescription;
use crate::sim::{self, Family};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Evaluation frames of a recorded sequence, at the prior's size.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// what rows call its scene
    pub name: String,
    /// whose it is, and by which licence
    pub origin: String,
    /// κ_J, m
    pub max_range_m: f32,
    /// acquisition stamps, ns, and frames
    pub frames: Vec<(u64, RangeImage)>,
}

/// Measurements in turn, with the truth of those that are scored.
pub(super) type Run = Vec<(Measurement, Option<RangeImage>)>;

/// Where runs come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// simulated scenes, the last frame of each scored
    Simulated,
    /// a recorded sequence as one run, scored from the end of the lead-in on
    Recorded(&'a Recorded),
}

impl Recorded {
    /// The first `frames` evaluation frames of a sequence, resampled over its whole field of view.
    ///
    /// # Errors
    /// Where a frame cannot be read.
    pub fn new(
        name: &str,
        sequence: &Sequence,
        prior: &Prior,
        frames: usize,
    ) -> Result<Self, EvalError> {
        let resampler = Resampler::new(sequence.geometry(), prior.rows, prior.cols, None)?;
        let frames = sequence.evaluate().take(frames).map(|index| {
            let frame = sequence.frame(index)?;
            let mut image = RangeImage::default();
            resampler.apply(&frame.image, Augmentation::default(), &mut image);
            Ok((frame.stamp_ns, image))
        });
        let description = sequence.description();
        Ok(Self {
            name: name.to_owned(),
            origin: format!("{}; {}", description.origin, description.licence),
            max_range_m: sequence.max_range_m(),
            frames: frames.collect::<Result<_, EvalError>>()?,
        })
    }

    /// Whether a frame is scored: not before the tracker has seen as much time as in a simulated scene.
    fn scored(&self, stamp_ns: u64, options: &Options) -> bool {
        let lead_in_ns = (options.lead_in as f64 * 1e9 / options.rate_hz).round() as u64;
        let first_ns = self.frames.first().map_or(stamp_ns, |(first, _)| *first);
        stamp_ns.saturating_sub(first_ns) >= lead_in_ns
    }

    /// Refuses a sequence none of whose frames is scored.
    pub(super) fn check(&self, options: &Options) -> Result<(), EvalError> {
        let stamps = self.frames.iter().map(|(stamp_ns, _)| *stamp_ns);
        match stamps
            .into_iter()
            .any(|stamp_ns| self.scored(stamp_ns, options))
        {
            true => Ok(()),
            false => Err(EvalError::TooShort {
                name: self.name.clone(),
                lead_in_s: options.lead_in as f64 / options.rate_hz,
                frames: self.frames.len(),
            }),
        }
    }

    fn run(&self, case: &Case, sensor: &SensorDescription, options: &Options) -> Run {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        rng.set_stream(u64::MAX); // not one of a simulated scene
        let frames = self.frames.iter().enumerate();
        let measured = frames.map(|(index, (stamp_ns, frame))| {
            let set = index % sensor.patterns.len();
            let measurement = Measurement {
                sequence: index as u64,
                stamp_ns: *stamp_ns,
                ..case.measure(sensor, set, frame, &mut rng)
            };
            let scored = self.scored(*stamp_ns, options);
            (measurement, scored.then(|| frame.clone()))
        });
        measured.collect()
    }
}

impl<'a> Source<'a> {
    /// κ_J, m
    pub(super) fn max_range_m(self) -> f32 {
        match self {
            Self::Simulated => sim::MAX_RANGE,
            Self::Recorded(recorded) => recorded.max_range_m,
        }
    }

    /// How many runs there are.
    pub(super) fn len(self, options: &Options) -> usize {
        match self {
            Self::Simulated => options.frames,
            Self::Recorded(_) => 1,
        }
    }

    /// Run number `index`, and the scene that it shows.
    pub(super) fn run(
        self,
        index: usize,
        case: &Case,
        sensor: &SensorDescription,
        options: &Options,
    ) -> (String, Run) {
        let Self::Recorded(recorded) = self else {
            let mut measure = |set, frame: &RangeImage, rng: &mut ChaCha8Rng| {
                case.measure(sensor, set, frame, rng)
            };
            let (lead_in, last, truth) = sequence(sensor, options, index, &mut measure);
            let before = lead_in.into_iter().map(|measurement| (measurement, None));
            let run = before.chain([(last, Some(truth))]).collect();
            return (Family::ALL[index % Family::ALL.len()].to_string(), run);
        };
        (recorded.name.clone(), recorded.run(case, sensor, options))
    }
}
