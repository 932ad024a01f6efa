//! How far recovery misses a code: the noise that codes are trained under.
//!
//! Recovery sees a frame only through m of n patterns, so what the decoder cannot say of it folds into the readings, and
//! codes are found with the covariance (C⁻¹ + (m/n)/ψ̄ · E\[JᵀJ\])⁻¹: C the codes' own, ψ̄ the mean variance of the
//! representation error, J the decoder's Jacobian. A decoder trained on exact codes only breaks under that noise.

use super::model::{Inputs, Model};
use super::{TrainError, finish};
use crate::prior::{Activations, Head, Matrix};
use candle_core::{Device, Tensor};
use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Share of frames whose codes are left exact.
const EXACT: f64 = 0.2;
/// Codes that the mean of JᵀJ is taken over.
const JACOBIANS: usize = 64;

/// Spreads of code noise, one for each of the trained ratios.
pub(super) struct CodeNoise {
    /// lower triangular Cholesky factors, (k × k)
    factors: Vec<Matrix>,
}

impl CodeNoise {
    /// As the model stands, from frames with channels (frames × J·n), for recovery at each of some m/n.
    pub(super) fn estimate(
        model: &Model,
        inputs: &Inputs,
        channels: &[f32],
        ratios: &[f64],
    ) -> Result<Self, TrainError> {
        let code = model.encode(inputs)?;
        let decoded = model.head(&model.features(&code)?)?;
        let squares: f64 = channels
            .iter()
            .zip(&decoded)
            .map(|(x, d)| f64::from(x - d).powi(2))
            .sum();
        let error = squares / channels.len() as f64;
        let (frames, k) = code.dims2()?;
        let codes = Matrix::new(frames, k, code.flatten_all()?.to_vec1()?);
        let prior = finish::covariance(&codes).1;
        let information = mean_information(model, &codes)?;
        let inverse = |matrix: &Mat<f64>| {
            matrix
                .llt(Side::Lower)
                .map(|factor| factor.inverse())
                .map_err(|_| TrainError::Diverged)
        };
        let rest = inverse(&prior)?;
        let factors = ratios.iter().map(|ratio| {
            let precision = Mat::from_fn(k, k, |r, c| {
                rest[(r, c)] + ratio / error * information[(r, c)]
            });
            finish::factor(&inverse(&precision)?)
        });
        Ok(Self {
            factors: factors.collect::<Result<_, _>>()?,
        })
    }

    /// Noise for the codes of `frames` frames, (frames × k).
    pub(super) fn sample(&self, frames: usize, rng: &mut ChaCha8Rng) -> Result<Tensor, TrainError> {
        let k = self.factors[0].rows();
        let mut values = vec![0.0; frames * k];
        for out in values.chunks_exact_mut(k) {
            let white: Vec<f32> = StandardNormal.sample_iter(&mut *rng).take(k).collect();
            let factor = &self.factors[rng.random_range(0..self.factors.len())];
            if !rng.random_bool(EXACT) {
                factor.apply(&white, out);
            }
        }
        Ok(Tensor::from_vec(values, (frames, k), &Device::Cpu)?)
    }
}

/// E\[JᵀJ\] over the first of the codes, (k × k): J = W·∂φ/∂z, through W's Gram matrix instead of through every pixel.
fn mean_information(model: &Model, codes: &Matrix) -> Result<Mat<f64>, TrainError> {
    let decoder = finish::decoder(model)?;
    let Head::Affine(head) = &decoder.head else {
        unreachable!("training decoders end in an affine layer");
    };
    let gram = head.weight.transposed().product(&head.weight);
    let (hidden, k) = (decoder.hidden_len(), decoder.code_len());
    let count = JACOBIANS.min(codes.rows());
    let mut total: Mat<f64> = Mat::zeros(k, k);
    let mut at = Activations::default();
    for f in 0..count {
        decoder.evaluate(codes.row(f), &mut at);
        let jacobian = decoder.jacobian(&mut at);
        let mut features = Matrix::zeros(hidden + k, k); // ∂φ/∂z
        for (row, &unit) in jacobian.active.iter().enumerate() {
            let derivatives = features.row_mut(unit);
            (0..k).for_each(|c| derivatives[c] = jacobian.rows[(row, c)]);
        }
        (0..k).for_each(|c| features.row_mut(hidden + c)[c] = 1.0);
        let information = features.transposed().product(&gram.product(&features));
        for r in 0..k {
            for c in 0..k {
                total[(r, c)] += f64::from(information.row(r)[c]) / count as f64;
            }
        }
    }
    Ok(total)
}
