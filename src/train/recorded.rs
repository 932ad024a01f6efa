//! Recorded sequences as training frames: many crops of each frame.

use super::TrainError;
use crate::dataset::{Augmentation, Crop, Resampler, Sequence};
use crate::frame::RangeImage;
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::ops::Range;

/// Different crops of a sequence, the first of them its full field of view.
const CROPS: usize = 16;
/// Crops taken of each frame.
pub(super) const CROPS_PER_FRAME: usize = 6;
/// Least share of the field of view, along each axis, that a crop shows.
const LEAST_CROP: f32 = 0.5;

/// A recorded sequence to mix in.
#[derive(Clone, Debug)]
pub struct RecordedFrames {
    /// where it comes from and its licence, for the provenance
    pub origin: String,
    /// crops of its frames, six of each, the first of them its full field of view; ranges in m
    pub frames: Vec<RangeImage>,
    /// mean time between frames, s
    pub interval_s: f32,
    /// range of the sensor's last knot, m
    pub max_range: f32,
}

impl RecordedFrames {
    /// Crops of the training frames of `sequence`, resampled to `rows` × `cols`.
    ///
    /// # Errors
    /// Where a frame cannot be read.
    pub fn new(
        sequence: &Sequence,
        rows: usize,
        cols: usize,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let description = sequence.description();
        if (description.train, description.evaluate) == (None, None) {
            let origin = &description.origin;
            tracing::warn!(origin, "no frames are kept for evaluation (key `train`)");
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let field = sequence.geometry().field();
        let mut crops = Vec::with_capacity(CROPS);
        for index in 0..CROPS {
            let mut part = |(low, high): (f32, f32)| {
                let span = (high - low)
                    * if index == 0 {
                        1.0
                    } else {
                        rng.random_range(LEAST_CROP..=1.0)
                    };
                let start = low + (high - low - span) * rng.random_range(0.0..=1.0);
                (start, start + span)
            };
            let crop = Crop {
                azimuth: part(field.azimuth),
                elevation: part(field.elevation),
            };
            crops.push(Resampler::new(sequence.geometry(), rows, cols, Some(crop))?);
        }
        let mut frames = Vec::with_capacity(sequence.train().len() * CROPS_PER_FRAME);
        for (turn, index) in sequence.train().enumerate() {
            let frame = sequence.frame(index)?;
            for crop in 0..CROPS_PER_FRAME {
                let mut image = RangeImage::empty(rows, cols);
                let crop = if crop == 0 {
                    0
                } else {
                    (turn * CROPS_PER_FRAME + crop) % CROPS
                };
                crops[crop].apply(&frame.image, Augmentation::default(), &mut image);
                frames.push(image);
            }
        }
        Ok(Self {
            interval_s: interval_s(sequence, sequence.train()),
            origin: format!(
                "{} ({}), frames {:?}",
                description.origin,
                description.licence,
                sequence.train()
            ),
            frames,
            max_range: sequence.max_range_m(),
        })
    }
}

/// Mean time between frames of a sequence, s; 0 of less than two.
fn interval_s(sequence: &Sequence, frames: Range<usize>) -> f32 {
    let intervals = frames.len().saturating_sub(1);
    if intervals == 0 {
        return 0.0;
    }
    let elapsed_ns = sequence.stamp_ns(frames.end - 1) - sequence.stamp_ns(frames.start);
    elapsed_ns as f32 * 1e-9 / intervals as f32
}
