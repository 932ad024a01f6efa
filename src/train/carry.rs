//! From a prior of other range channels: what it has learnt of scenes is kept, what it says of channels is fitted anew.

use super::model::{HEAD_BIAS, HEAD_WEIGHT, Inputs, Model};
use super::stream::{Batch, Source};
use super::{TrainError, inputs, schedule};
use crate::frame::Knots;
use crate::prior::TokenGrid;
use candle_core::{Device, Tensor};
use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};
use std::sync::Arc;

/// Frames that the fits are made on.
const FRAMES: u64 = 12_288;
/// Frames at once.
const BATCH: u64 = 256;
/// Energy that is added to each regressor, over the mean of theirs.
const RIDGE: f64 = 1e-4;
/// Steps in which the encoder learns to find the old codes from the new channels, frames in each, and their full rate.
const STEPS: usize = 1000;
const STEP_FRAMES: usize = 128;
const RATE: f32 = 5e-5;
/// Least variance of a code's value over the mean of theirs.
const LEAST_SPREAD: f64 = 1e-3;

/// Channels that a prior was trained on.
pub(super) struct Before {
    pub(super) grid: TokenGrid,
    /// relative to κ_J
    pub(super) knots: Knots,
}

impl Before {
    /// The same frames in these channels: a pixel's return is the sum of its channels, whatever their knots.
    fn of(&self, batch: &Batch) -> Batch {
        let pixels = self.grid.rows * self.grid.cols;
        let (outputs, tokens) = (self.grid.channels * pixels, self.grid.tokens_len());
        let mut before = Batch {
            frames: batch.frames,
            channels: vec![0.0; batch.frames * outputs],
            tokens: vec![0.0; batch.frames * tokens],
            range: batch.range.clone(),
        };
        let frames = before.channels.chunks_exact_mut(outputs);
        let frames = frames.zip(before.tokens.chunks_exact_mut(tokens));
        let known = batch
            .channels
            .chunks_exact(batch.channels.len() / batch.frames);
        let known = known.zip(batch.range.chunks_exact(pixels));
        for ((x, tokens), (known, range)) in frames.zip(known) {
            for (i, &range) in range.iter().enumerate() {
                let Some((lower, weight)) = self.knots.locate(range) else {
                    continue;
                };
                let returned: f32 = known[i..].iter().step_by(pixels).sum();
                x[lower * pixels + i] = (1.0 - weight) * returned;
                if weight > 0.0 {
                    x[(lower + 1) * pixels + i] = weight * returned;
                }
            }
            self.grid.tokens(x, tokens);
        }
        before
    }
}

/// A model of the channels of `source` that starts from `model`, of those of `before`.
///
/// The head is the least squares fit of the new channels by the features of the old codes; the encoder's first layers take
/// the new channels through the linear map that best gives the old ones, J → J' the same for all pixels, and it then learns
/// to find the old codes: a decoder that is trained among wrong codes forgets what it knows.
pub(super) fn carried(
    model: &Model,
    before: &Before,
    source: &Arc<Source>,
) -> Result<Model, TrainError> {
    let carried = fitted(model, before, source)?;
    imitate(&carried, model, before, source)?;
    Ok(carried)
}

/// [`carried`] by what has a closed form.
fn fitted(model: &Model, before: &Before, source: &Source) -> Result<Model, TrainError> {
    let (mut features, mut map) = (Fit::default(), Fit::default());
    for start in (0..FRAMES).step_by(BATCH as usize) {
        let new = source.batch(start..start + BATCH);
        let old = inputs(before.grid, &before.of(&new))?;
        let new = inputs(source.grid, &new)?;
        let known = model.features(&model.encode(&old)?)?.detach();
        features.add(&with_one(&known)?, &new.channels)?;
        map.add(
            &by_pixel(&new, source.grid.channels)?,
            &by_pixel(&old, before.grid.channels)?,
        )?;
    }
    let head = features.solve()?; // (h + k + 1 × J'·n)
    let count = head.dim(0)? - 1;
    let map = map.solve()?; // (J' × J)
    let linear = model.var("encoder.linear.weight").as_detached_tensor();
    let token = model.var("encoder.token.weight").as_detached_tensor();
    let halves = token.dim(1)? / 2;
    let plain = through(&token.narrow(1, 0, halves)?, &map)?;
    let shares = through(&token.narrow(1, halves, halves)?, &map)?;
    let replaced = [
        (HEAD_WEIGHT, head.narrow(0, 0, count)?.t()?.contiguous()?),
        (HEAD_BIAS, head.narrow(0, count, 1)?.contiguous()?),
        ("encoder.linear.weight", through(&linear, &map)?),
        (
            "encoder.token.weight",
            Tensor::cat(&[plain, shares], 1)?.contiguous()?,
        ),
    ];
    Ok(model.replaced(source.grid, &replaced)?)
}

/// Descends the error of the codes that `student` finds from new channels, over those that `teacher` finds from the old.
fn imitate(
    student: &Model,
    teacher: &Model,
    before: &Before,
    source: &Arc<Source>,
) -> Result<(), TrainError> {
    let batches = source.spawn(FRAMES, STEP_FRAMES);
    for step in 0..STEPS {
        let batch = batches.recv().map_err(|_| TrainError::Stream)?;
        let old = inputs(before.grid, &before.of(&batch))?;
        let wanted = teacher.encode(&old)?.detach();
        let spread = wanted.broadcast_sub(&wanted.mean_keepdim(0)?)?;
        let spread = spread.sqr()?.mean_keepdim(0)?;
        let least = f64::from(spread.mean_all()?.to_scalar::<f32>()?) * LEAST_SPREAD;
        let error = (student.encode(&inputs(source.grid, &batch)?)? - wanted)?;
        let loss = error.sqr()?.broadcast_div(&(spread + least)?)?.mean_all()?;
        let gradients = loss.backward()?;
        for parameter in student.parameters() {
            if let Some(gradient) = gradients.get(parameter.var.as_tensor()) {
                parameter.descend(gradient, RATE * schedule(step, STEPS), step + 1)?;
            }
        }
    }
    Ok(())
}

/// Normal equations, as they gather.
#[derive(Default)]
struct Fit {
    /// (RᵀR, RᵀT) of regressors R and targets T
    sums: Option<(Tensor, Tensor)>,
}

impl Fit {
    /// Takes in regressors, (N × r), and targets, (N × t).
    fn add(&mut self, regressors: &Tensor, targets: &Tensor) -> Result<(), TrainError> {
        let regressors = regressors.t()?;
        let own = regressors.matmul(&regressors.t()?)?;
        let cross = regressors.matmul(targets)?;
        self.sums = Some(match self.sums.take() {
            Some((sum, crosses)) => ((sum + own)?, (crosses + cross)?),
            None => (own, cross),
        });
        Ok(())
    }

    /// The coefficients, (r × t).
    fn solve(self) -> Result<Tensor, TrainError> {
        let (own, cross) = self.sums.ok_or(TrainError::Diverged)?;
        let rows: Vec<Vec<f32>> = own.to_vec2()?;
        let count = rows.len();
        let mut normal = Mat::from_fn(count, count, |r, c| f64::from(rows[r][c]));
        let mean = (0..count).map(|i| normal[(i, i)]).sum::<f64>() / count as f64;
        (0..count).for_each(|i| normal[(i, i)] += RIDGE * mean);
        let factor = normal.llt(Side::Lower).map_err(|_| TrainError::Diverged)?;
        let inverse = factor.inverse();
        let inverse: Vec<f32> = (0..count * count)
            .map(|i| inverse[(i / count, i % count)] as f32)
            .collect();
        let inverse = Tensor::from_vec(inverse, (count, count), &Device::Cpu)?;
        Ok(inverse.matmul(&cross)?)
    }
}

/// A column of ones beside `features`.
fn with_one(features: &Tensor) -> candle_core::Result<Tensor> {
    let ones = Tensor::ones((features.dim(0)?, 1), features.dtype(), &Device::Cpu)?;
    Tensor::cat(&[features, &ones], 1)
}

/// The channels of each pixel, (frames·n × J).
fn by_pixel(inputs: &Inputs, channels: usize) -> candle_core::Result<Tensor> {
    let frames = inputs.channels.dim(0)?;
    let stacked = inputs.channels.reshape((frames, channels, ()))?;
    stacked.transpose(1, 2)?.reshape(((), channels))
}

/// Weights, (features × J'·n), that do with new channels what `weights`, (features × J·n), do with the old ones, given the
/// map (J' × J).
fn through(weights: &Tensor, map: &Tensor) -> candle_core::Result<Tensor> {
    let (features, channels) = (weights.dim(0)?, map.dim(1)?);
    let each = weights.reshape((features, channels, ()))?;
    let map = map
        .unsqueeze(0)?
        .broadcast_as((features, map.dim(0)?, channels))?;
    map.contiguous()?
        .matmul(&each.contiguous()?)?
        .reshape((features, ()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::RangeImage;
    use candle_core::Result;

    fn near(a: &Tensor, b: &Tensor) -> bool {
        let apart = (a - b).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>());
        apart.is_ok_and(|apart| apart < 1e-2)
    }

    #[test]
    fn a_fit_finds_the_map_that_targets_were_made_with() -> Result<()> {
        let map = Tensor::new(&[[0.5f32, -1.0], [2.0, 0.25], [0.1, 3.0]], &Device::Cpu)?;
        let mut fit = Fit::default();
        for _ in 0..4 {
            let regressors = Tensor::randn(0.0f32, 1.0, (50, 3), &Device::Cpu)?;
            fit.add(&regressors, &regressors.matmul(&map)?).unwrap();
        }
        assert!(near(&fit.solve().unwrap(), &map));
        assert!(Fit::default().solve().is_err());
        Ok(())
    }

    #[test]
    fn the_same_frames_in_other_channels() {
        let grid = |channels| TokenGrid {
            rows: 8,
            cols: 8,
            channels,
        };
        let pixels = 64;
        let mut image = RangeImage::empty(8, 8);
        for i in 1..pixels {
            image.range[i] = i as f32 / 63.0;
            image.returns[i] = 0.1 + 0.01 * i as f32;
            image.valid[i] = true;
        }
        let split = |knots: &[f32]| {
            let knots = Knots::new(knots.to_vec()).unwrap();
            let mut x = vec![0.0; knots.channels() * pixels];
            knots.split(&image, &mut x);
            (knots, x)
        };
        let ((_, new), (knots, old)) = (split(&[0.0, 0.15, 0.4, 1.0]), split(&[0.2, 0.5, 1.0]));
        let mut range = image.range.clone();
        range[0] = f32::NAN; // nothing returned
        let batch = Batch {
            frames: 1,
            channels: new,
            tokens: vec![],
            range,
        };
        let before = Before {
            grid: grid(3),
            knots,
        };
        let found = before.of(&batch);
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        assert!(found.channels.iter().zip(&old).all(near));
        let mut tokens = vec![0.0; before.grid.tokens_len()];
        before.grid.tokens(&found.channels, &mut tokens);
        assert_eq!(found.tokens, tokens);
    }

    #[test]
    fn weights_do_with_mapped_channels_what_they_did_with_the_old_ones() -> Result<()> {
        let map = Tensor::new(&[[0.5f32, -1.0], [2.0, 0.25], [0.1, 3.0]], &Device::Cpu)?; // J' = 3, J = 2
        let new = Inputs {
            channels: Tensor::randn(0.0f32, 1.0, (4, 3 * 5), &Device::Cpu)?, // 4 frames of 5 pixels
            tokens: Tensor::zeros((1, 1), candle_core::DType::F32, &Device::Cpu)?,
        };
        let old = by_pixel(&new, 3)?.matmul(&map)?; // (4·5 × 2)
        let old = old.reshape((4, 5, 2))?.transpose(1, 2)?.reshape((4, 10))?;
        let weights = Tensor::randn(0.0f32, 1.0, (6, 2 * 5), &Device::Cpu)?;
        let carried = through(&weights, &map)?;
        let (before, after) = (
            old.matmul(&weights.t()?)?,
            new.channels.matmul(&carried.t()?)?,
        );
        assert!(near(&before, &after));
        Ok(())
    }
}
