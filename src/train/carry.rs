//! From a prior of other range channels or of more features: what it has learnt of scenes is kept, what it says of channels
//! is fitted anew.

use super::model::{HEAD_BIAS, HEAD_WEIGHT, Inputs, Model, Shape};
use super::stream::{Batch, Source};
use super::{TrainError, inputs, schedule};
use crate::frame::Knots;
use crate::prior::TokenGrid;
use candle_core::{Device, Tensor};
use faer::linalg::solvers::{DenseSolveCore, Llt};
use faer::{Mat, Side};
use std::sync::Arc;

/// Frames that the fits are made on.
const FRAMES: u64 = 12_288;
/// Frames at once.
const BATCH: u64 = 256;
/// Energy that is added to each regressor, over the mean of theirs.
const RIDGE: f64 = 1e-4;
/// Steps in which the encoder learns to find the old codes from the new channels, frames in each, their full rate, and the share
/// of steps over which it falls.
const STEPS: usize = 1000;
const STEP_FRAMES: usize = 128;
const RATE: f32 = 5e-5;
const COOLING: f32 = 0.25;
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

/// A model of the channels of `source`, with `width` features before its head, that starts from `model`, of the channels of
/// `before` and of as many features or more.
///
/// The head is the least squares fit of the new channels by the features of the old codes, without those features that the
/// fit misses least, one after another; the encoder's first layers take
/// the new channels through the linear map that best gives the old ones, J → J' the same for all pixels, and it then learns
/// to find the old codes: a decoder that is trained among wrong codes forgets what it knows.
pub(super) fn carried(
    model: &Model,
    before: &Before,
    source: &Arc<Source>,
    width: usize,
) -> Result<Model, TrainError> {
    let carried = fitted(model, before, source, width)?;
    imitate(&carried, model, before, source)?;
    Ok(carried)
}

/// [`carried`] by what has a closed form.
fn fitted(
    model: &Model,
    before: &Before,
    source: &Source,
    width: usize,
) -> Result<Model, TrainError> {
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
    let [_, widest] = model.shape().hidden;
    let kept = features.least_missed_gone(widest, width)?;
    let head = features.of(&kept)?.solve()?; // (h + k + 1 × J'·n)
    let count = head.dim(0)? - 1;
    let kept = positions(&kept[..width])?;
    let map = map.solve()?; // (J' × J)
    let linear = model.var("encoder.linear.weight").as_detached_tensor();
    let token = model.var("encoder.token.weight").as_detached_tensor();
    let halves = token.dim(1)? / 2;
    let plain = through(&token.narrow(1, 0, halves)?, &map)?;
    let shares = through(&token.narrow(1, halves, halves)?, &map)?;
    let layer = |name: &'static str, dimension| -> Result<_, TrainError> {
        let known = model.var(name).as_detached_tensor();
        Ok((name, known.index_select(&kept, dimension)?))
    };
    let replaced = [
        layer("decoder.1.weight", 0)?,
        layer("decoder.1.bias", 1)?,
        (HEAD_WEIGHT, head.narrow(0, 0, count)?.t()?.contiguous()?),
        (HEAD_BIAS, head.narrow(0, count, 1)?.contiguous()?),
        ("encoder.linear.weight", through(&linear, &map)?),
        (
            "encoder.token.weight",
            Tensor::cat(&[plain, shares], 1)?.contiguous()?,
        ),
    ];
    let shape = Shape {
        grid: source.grid,
        hidden: [model.shape().hidden[0], width],
        ..*model.shape()
    };
    Ok(model.replaced(shape, &replaced)?)
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
                let rate = RATE * schedule(step, STEPS, COOLING);
                parameter.descend(gradient, rate, step + 1)?;
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

    /// The regressors left when of the first `among` all but `count` are gone, one after another that which the fit misses
    /// least (backward elimination).
    fn least_missed_gone(&self, among: usize, count: usize) -> Result<Vec<usize>, TrainError> {
        let (own, cross) = self.sums.as_ref().ok_or(TrainError::Diverged)?;
        let mut inverse = regularized(own)?.inverse();
        let targets = mat(&cross.matmul(&cross.t()?)?)?;
        // B·Bᵀ of the coefficients B = (RᵀR)⁻¹·RᵀT: leaving out i costs the energy (B·Bᵀ)ᵢᵢ / (RᵀR)⁻¹ᵢᵢ
        let mut energy = &inverse * targets * &inverse;
        let mut left: Vec<usize> = (0..inverse.nrows()).collect();
        for last in (count..among).rev() {
            let cost = |i: usize| energy[(i, i)] / inverse[(i, i)];
            let cheapest = (0..=last).min_by(|&a, &b| cost(left[a]).total_cmp(&cost(left[b])));
            let Some(gone) = cheapest.map(|at| left.remove(at)) else {
                break;
            };
            let share = inverse.col(gone).to_owned() / faer::Scale(inverse[(gone, gone)]);
            let both = &share * energy.row(gone);
            energy = &energy - &both - both.transpose()
                + &share * faer::Scale(energy[(gone, gone)]) * share.transpose();
            inverse = &inverse - &share * inverse.row(gone);
        }
        Ok(left)
    }

    /// The fit by these regressors alone.
    fn of(self, regressors: &[usize]) -> Result<Self, TrainError> {
        let (own, cross) = self.sums.ok_or(TrainError::Diverged)?;
        let kept = positions(regressors)?;
        let own = own.index_select(&kept, 0)?.index_select(&kept, 1)?;
        Ok(Self {
            sums: Some((own, cross.index_select(&kept, 0)?)),
        })
    }

    /// The coefficients, (r × t).
    fn solve(self) -> Result<Tensor, TrainError> {
        let (own, cross) = self.sums.ok_or(TrainError::Diverged)?;
        let inverse = regularized(&own)?.inverse();
        let count = inverse.nrows();
        let inverse: Vec<f32> = (0..count * count)
            .map(|i| inverse[(i / count, i % count)] as f32)
            .collect();
        let inverse = Tensor::from_vec(inverse, (count, count), &Device::Cpu)?;
        Ok(inverse.matmul(&cross)?)
    }
}

/// RᵀR with a ridge, factorised.
fn regularized(own: &Tensor) -> Result<Llt<f64>, TrainError> {
    let mut normal = mat(own)?;
    let count = normal.nrows();
    let mean = (0..count).map(|i| normal[(i, i)]).sum::<f64>() / count as f64;
    (0..count).for_each(|i| normal[(i, i)] += RIDGE * mean);
    normal.llt(Side::Lower).map_err(|_| TrainError::Diverged)
}

fn mat(tensor: &Tensor) -> candle_core::Result<Mat<f64>> {
    let rows: Vec<Vec<f32>> = tensor.to_vec2()?;
    let (count, width) = tensor.dims2()?;
    Ok(Mat::from_fn(count, width, |r, c| f64::from(rows[r][c])))
}

/// Positions, as tensors are indexed.
fn positions(of: &[usize]) -> candle_core::Result<Tensor> {
    let positions: Vec<u32> = of.iter().map(|&i| i as u32).collect();
    Tensor::from_vec(positions, of.len(), &Device::Cpu)
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
    fn regressors_that_say_nothing_new_go_first() -> Result<()> {
        let mut fit = Fit::default();
        for _ in 0..4 {
            let known = Tensor::randn(0.0f32, 1.0, (50, 3), &Device::Cpu)?;
            let twice = (known.narrow(1, 1, 1)? * 2.0)?; // column 3 is column 1 again
            let useless = Tensor::randn(0.0f32, 1.0, (50, 1), &Device::Cpu)?;
            let regressors = Tensor::cat(&[&known, &twice, &useless, &known], 1)?;
            fit.add(&regressors, &known).unwrap();
        }
        let left = fit.least_missed_gone(5, 3).unwrap();
        assert!(!left.contains(&4), "{left:?}");
        assert_eq!(left.len(), 6);
        assert_eq!(left[3..], [5, 6, 7]);
        let left = fit.least_missed_gone(8, 3).unwrap();
        let of = [0, 1, 2, 1, 9, 0, 1, 2];
        let mut columns: Vec<_> = left.iter().map(|&i| of[i]).collect();
        columns.sort_unstable();
        assert_eq!(columns, [0, 1, 2]); // each once
        let coefficients = fit.of(&left).unwrap().solve().unwrap();
        assert_eq!(coefficients.dims(), [3, 3]);
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
