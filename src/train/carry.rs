//! From a prior of other range channels: what it has learnt of scenes is kept, what it says of channels is fitted anew.

use super::model::{HEAD_BIAS, HEAD_WEIGHT, Inputs, Model};
use super::stream::Source;
use super::{TrainError, inputs};
use candle_core::{Device, Tensor};
use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};

/// Frames that the fits are made on.
const FRAMES: u64 = 12_288;
/// Frames at once.
const BATCH: u64 = 256;
/// Energy that is added to each regressor, over the mean of theirs.
const RIDGE: f64 = 1e-4;

/// A model of the channels of `to` that starts from `model`, of those of `from`, over the same frames.
///
/// The head is the least squares fit of the new channels by the features of the old codes; the encoder's first layers take
/// the new channels through the linear map that best gives the old ones, J → J' the same for all pixels.
pub(super) fn carried(model: &Model, from: &Source, to: &Source) -> Result<Model, TrainError> {
    let (mut features, mut map) = (Fit::default(), Fit::default());
    for start in (0..FRAMES).step_by(BATCH as usize) {
        let (old, new) = (
            from.batch(start..start + BATCH),
            to.batch(start..start + BATCH),
        );
        let (old, new) = (inputs(from.grid, &old)?, inputs(to.grid, &new)?);
        let known = model.features(&model.encode(&old)?)?.detach();
        features.add(&with_one(&known)?, &new.channels)?;
        map.add(
            &by_pixel(&new, to.grid.channels)?,
            &by_pixel(&old, from.grid.channels)?,
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
    Ok(model.replaced(to.grid, &replaced)?)
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
