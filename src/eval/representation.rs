//! The representation error: what a prior cannot say of a frame even when it has seen it whole.

use super::EvalError;
use crate::dataset::{Augmentation, Resampler, Sequence};
use crate::frame::{Knots, RangeImage};
use crate::metrics::{RangeErrors, RangeSummary};
use crate::prior::{Activations, Prior};
use crate::sim::{self, Split};
use serde::Serialize;

/// Errors of decode(encode(frame)), and of the projection on as many principal directions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Representation {
    /// number of frames
    pub frames: usize,
    /// of the prior
    pub prior: RangeSummary,
    /// of PCA at the same k
    pub principal: RangeSummary,
    /// of PCA at every direction that the prior carries
    pub all_principal: RangeSummary,
}

impl Representation {
    /// Range RMSE over PCA's at the same k.
    pub fn ratio(&self) -> f64 {
        self.prior.range_rmse_m / self.principal.range_rmse_m
    }
}

/// On the first `frames` simulated frames of a split.
///
/// # Errors
/// Where the prior's knots do not scale.
pub fn simulated(prior: &Prior, split: Split, frames: usize) -> Result<Representation, EvalError> {
    let rays = sim::rays(prior.rows, prior.cols);
    let images = (0..frames as u64).map(|index| {
        let mut image = RangeImage::default();
        sim::frame(split, index, &rays, &mut image);
        Ok(image)
    });
    representation(prior, sim::MAX_RANGE, images)
}

/// On the evaluation frames of a recorded sequence, resampled over its whole field of view.
///
/// # Errors
/// Where a frame cannot be read.
pub fn recorded(prior: &Prior, sequence: &Sequence) -> Result<Representation, EvalError> {
    let resampler = Resampler::new(sequence.geometry(), prior.rows, prior.cols, None)?;
    let images = sequence.evaluate().map(|index| {
        let mut image = RangeImage::default();
        resampler.apply(
            &sequence.frame(index)?.image,
            Augmentation::default(),
            &mut image,
        );
        Ok(image)
    });
    representation(prior, sequence.max_range_m(), images)
}

fn representation(
    prior: &Prior,
    max_range: f32,
    images: impl Iterator<Item = Result<RangeImage, EvalError>>,
) -> Result<Representation, EvalError> {
    let knots = Knots::new(prior.knots.iter().map(|k| k * max_range).collect())?;
    let decoder = prior.whitened_decoder();
    let k = decoder.code_len();
    let mut activations = Activations::default();
    let mut x = vec![0.0; decoder.output_len()];
    let mut decoded = x.clone();
    let mut read = RangeImage::empty(prior.rows, prior.cols);
    let mut errors = [RangeErrors::default(); 3];
    let mut frames = 0;
    for image in images {
        let image = image?;
        knots.split(&image, &mut x);
        prior.scale_to_known_return(&mut x);
        decoder.decode(&prior.encode(&x), &mut activations, &mut decoded);
        let rivals = [k, usize::MAX].map(|count| prior.principal_projection(&x, count));
        for (errors, x) in errors.iter_mut().zip([&decoded, &rivals[0], &rivals[1]]) {
            knots.read_out(x, 0.0, &mut read);
            errors.add(&read, &image, max_range);
        }
        frames += 1;
    }
    let [prior, principal, all_principal] = errors.map(|e| e.summary());
    Ok(Representation {
        frames,
        prior,
        principal,
        all_principal,
    })
}
