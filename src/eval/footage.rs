//! Recorded frames that methods are compared on, as a sensor measures them.

use super::problem::Case;
use super::{EvalError, Options};
use crate::dataset::{Augmentation, Resampler, Sequence};
use crate::frame::{Measurement, RangeImage};
use crate::prior::Prior;
use crate::sensing::SensorDescription;
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

/// Whether a frame is scored: not before the tracker has seen as much time as in a simulated scene.
pub(super) fn scored(first_ns: u64, stamp_ns: u64, options: &Options) -> bool {
    let lead_in_ns = (options.lead_in as f64 * 1e9 / options.rate_hz).round() as u64;
    stamp_ns.saturating_sub(first_ns) >= lead_in_ns
}

/// Refuses a sequence none of whose frames is scored.
pub(super) fn some_scored(
    name: &str,
    mut stamps_ns: impl ExactSizeIterator<Item = u64> + Clone,
    options: &Options,
) -> Result<(), EvalError> {
    let frames = stamps_ns.len();
    let first_ns = stamps_ns.clone().next().unwrap_or(0);
    match stamps_ns.any(|stamp_ns| scored(first_ns, stamp_ns, options)) {
        true => Ok(()),
        false => Err(EvalError::TooShort {
            name: name.to_owned(),
            lead_in_s: options.lead_in as f64 / options.rate_hz,
            frames,
        }),
    }
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

    /// Refuses a sequence none of whose frames is scored.
    pub(super) fn check(&self, options: &Options) -> Result<(), EvalError> {
        let stamps = self.frames.iter().map(|(stamp_ns, _)| *stamp_ns);
        some_scored(&self.name, stamps, options)
    }

    /// All frames as `sensor` measures them, scored from the end of the lead-in on.
    pub(super) fn run(&self, case: &Case, sensor: &SensorDescription, options: &Options) -> Run {
        let first_ns = self.frames.first().map_or(0, |(stamp_ns, _)| *stamp_ns);
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
            let scored = scored(first_ns, *stamp_ns, options);
            (measurement, scored.then(|| frame.clone()))
        });
        measured.collect()
    }
}
