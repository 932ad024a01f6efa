//! From trained weights to a prior: what recovery needs to know, estimated on fresh frames.

use super::balance::balance;
use super::model::Model;
use super::pca::{self, Principal};
use super::stream::{RMS_RETURN, Source};
use super::{TrainError, inputs};
use crate::prior::{
    Affine, CodeDistribution, Decoder, Encoder, Head, Matrix, Prior, Provenance,
    RepresentationError, SecondMoments, TokenGrid,
};
use crate::simd::dot;
use faer::{Mat, Side};

/// Principal directions kept: the linear prior's, and those that u is estimated from.
pub(super) const MOMENT_DIRECTIONS: usize = 200;
/// Directions of the representation error kept.
const ERROR_DIRECTIONS: usize = 100;
/// Fresh frames that everything here is estimated from.
const FRESH_FRAMES: u64 = 12_288;
/// Where they start in the stream: far beyond any training.
const FRESH_START: u64 = 1 << 36;
/// Fresh frames that correlations are taken from.
const CORRELATION_FRAMES: usize = 2048;
/// Frames encoded at once.
const BATCH: u64 = 256;
/// Least variance of a pixel's channel that the directions leave over: models are never that exact.
const LEAST_REMAINDER: f32 = 1e-6;

/// Codes, errors and linear scores of fresh frames.
struct Sample {
    /// z, (frames × k)
    codes: Matrix,
    /// x − G(enc(x)), (frames × J·n)
    errors: Matrix,
    /// Vᵀ(x − x̄), (frames × r)
    scores: Matrix,
}

pub(super) fn finish(
    name: &str,
    source: &Source,
    model: &Model,
    principal: &Principal,
    provenance: Provenance,
) -> Result<Prior, TrainError> {
    let grid = model.shape().grid;
    let mut sample = sample(source, model, principal)?;
    let (mut decoder, mut encoder) = (decoder(model)?, encoder(model)?);
    balance(&mut decoder, &mut encoder, &mut sample.codes);
    let code = code_distribution(&sample.codes)?;
    let error = pca::principal(&mut sample.errors, ERROR_DIRECTIONS, provenance.seed);
    let floor = |values: &[f32]| values.iter().map(|v| v.max(LEAST_REMAINDER)).collect();
    let prior = Prior {
        name: name.to_owned(),
        rows: grid.rows,
        cols: grid.cols,
        knots: source.knots.metres().to_vec(),
        rms_return: RMS_RETURN,
        provenance,
        decoder,
        code,
        error: RepresentationError {
            correlation: correlation(grid, &sample.errors, &error),
            remainder: floor(&error.remainder),
            variances: floor(&error.variances),
            mean: error.mean,
            directions: error.directions,
        },
        moments: SecondMoments::default(),
        encoder,
        unrolled: None,
    };
    let moments = SecondMoments {
        mean: principal.mean.clone(),
        directions: principal.directions.clone(),
        variances: floor(&principal.variances),
        cross: cross(&prior, &sample),
        remainder: floor(&principal.remainder),
    };
    Ok(Prior { moments, ..prior })
}

fn sample(source: &Source, model: &Model, principal: &Principal) -> Result<Sample, TrainError> {
    let (mut codes, mut errors, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for start in (0..FRESH_FRAMES).step_by(BATCH as usize) {
        let batch =
            source.batch(FRESH_START + start..FRESH_START + (start + BATCH).min(FRESH_FRAMES));
        let code = model.encode(&inputs(source.grid, &batch)?)?;
        let decoded = model.head(&model.features(&code)?)?;
        codes.extend(code.flatten_all()?.to_vec1::<f32>()?);
        errors.extend(batch.channels.iter().zip(&decoded).map(|(x, d)| x - d));
        for frame in batch.channels.chunks_exact(principal.mean.len()) {
            let centred: Vec<f32> = frame
                .iter()
                .zip(&principal.mean)
                .map(|(x, m)| x - m)
                .collect();
            scores.extend(
                (0..principal.directions.rows())
                    .map(|r| dot(principal.directions.row(r), &centred)),
            );
        }
    }
    let matrix = |values: Vec<f32>| {
        Matrix::new(
            FRESH_FRAMES as usize,
            values.len() / FRESH_FRAMES as usize,
            values,
        )
    };
    Ok(Sample {
        codes: matrix(codes),
        errors: matrix(errors),
        scores: matrix(scores),
    })
}

/// Correlation of neighbours in a row and in a column, (J × 2), in what the directions leave over of centred errors.
fn correlation(grid: TokenGrid, errors: &Matrix, error: &Principal) -> Matrix {
    let pixels = grid.rows * grid.cols;
    let mut sums = vec![[0.0f64; 3]; grid.channels]; // own, along rows, along columns
    for f in 0..CORRELATION_FRAMES.min(errors.rows()) {
        let mut rest = errors.row(f).to_vec();
        for direction in (0..error.directions.rows()).map(|r| error.directions.row(r)) {
            let score = dot(direction, &rest);
            rest.iter_mut()
                .zip(direction)
                .for_each(|(rest, e)| *rest -= score * e);
        }
        let variance = error
            .remainder
            .iter()
            .map(|v| v.max(LEAST_REMAINDER).sqrt());
        rest.iter_mut()
            .zip(variance)
            .for_each(|(rest, d)| *rest /= d);
        for (rest, [own, row, column]) in rest.chunks_exact(pixels).zip(&mut sums) {
            *own += f64::from(dot(rest, rest)) / pixels as f64;
            let beside: f32 = rest
                .chunks_exact(grid.cols)
                .map(|line| dot(&line[1..], &line[..grid.cols - 1]))
                .sum();
            *row += f64::from(beside) / (pixels - grid.rows) as f64;
            let below = dot(&rest[grid.cols..], &rest[..pixels - grid.cols]);
            *column += f64::from(below) / (pixels - grid.cols) as f64;
        }
    }
    let of = |part: f64, own: f64| ((part / own.max(f64::MIN_POSITIVE)) as f32).clamp(0.0, 0.95);
    let values = sums
        .iter()
        .flat_map(|&[own, row, column]| [of(row, own), of(column, own)]);
    Matrix::new(grid.channels, 2, values.collect())
}

/// Mean and Cholesky factor of the codes' covariance.
fn code_distribution(codes: &Matrix) -> Result<CodeDistribution, TrainError> {
    let (mean, covariance) = covariance(codes);
    Ok(CodeDistribution {
        mean: mean.iter().map(|&m| m as f32).collect(),
        factor: factor(&covariance)?,
    })
}

/// Mean and covariance of the rows of `codes`, which a small ridge keeps positive definite.
pub(super) fn covariance(codes: &Matrix) -> (Vec<f64>, Mat<f64>) {
    let (frames, k) = (codes.rows(), codes.cols());
    let mut mean = vec![0.0f64; k];
    for f in 0..frames {
        mean.iter_mut()
            .zip(codes.row(f))
            .for_each(|(m, &z)| *m += f64::from(z) / frames as f64);
    }
    let mut covariance: Mat<f64> = Mat::zeros(k, k);
    for f in 0..frames {
        let centred: Vec<f64> = codes
            .row(f)
            .iter()
            .zip(&mean)
            .map(|(&z, m)| f64::from(z) - m)
            .collect();
        for r in 0..k {
            for c in 0..k {
                covariance[(r, c)] += centred[r] * centred[c] / frames as f64;
            }
        }
    }
    let ridge = 1e-6 * (0..k).map(|i| covariance[(i, i)]).sum::<f64>() / k as f64;
    (0..k).for_each(|i| covariance[(i, i)] += ridge);
    (mean, covariance)
}

/// Cholesky factor, lower triangular.
pub(super) fn factor(matrix: &Mat<f64>) -> Result<Matrix, TrainError> {
    let k = matrix.nrows();
    let factor = matrix.llt(Side::Lower).map_err(|_| TrainError::Diverged)?;
    let lower = |r, c| {
        if r >= c {
            factor.L()[(r, c)] as f32
        } else {
            0.0
        }
    };
    Ok(Matrix::from_view(Mat::from_fn(k, k, lower).as_ref()))
}

/// Covariance of whitened codes with linear scores, (k × r).
fn cross(prior: &Prior, sample: &Sample) -> Matrix {
    let frames = sample.codes.rows();
    let (k, r) = (sample.codes.cols(), sample.scores.cols());
    let mut total = vec![0.0f64; k * r];
    for f in 0..frames {
        let u = prior.whiten(sample.codes.row(f));
        for (row, &u) in total.chunks_exact_mut(r).zip(&u) {
            row.iter_mut()
                .zip(sample.scores.row(f))
                .for_each(|(t, &s)| *t += f64::from(u) * f64::from(s));
        }
    }
    Matrix::new(
        k,
        r,
        total.iter().map(|t| (t / frames as f64) as f32).collect(),
    )
}

fn matrix(model: &Model, name: &str) -> Result<Matrix, TrainError> {
    let var = model.var(name).as_tensor();
    let (rows, cols) = var.dims2()?;
    Ok(Matrix::new(rows, cols, var.flatten_all()?.to_vec1()?))
}

fn affine(model: &Model, name: &str) -> Result<Affine, TrainError> {
    let bias = model.var(&format!("{name}.bias")).as_tensor();
    Ok(Affine {
        weight: matrix(model, &format!("{name}.weight"))?,
        bias: bias.flatten_all()?.to_vec1()?,
    })
}

pub(super) fn decoder(model: &Model) -> Result<Decoder, TrainError> {
    Ok(Decoder {
        layers: vec![affine(model, "decoder.0")?, affine(model, "decoder.1")?],
        head: Head::Affine(affine(model, "decoder.head")?),
    })
}

fn encoder(model: &Model) -> Result<Encoder, TrainError> {
    Ok(Encoder {
        token: affine(model, "encoder.token")?,
        block: affine(model, "encoder.block")?,
        frame: affine(model, "encoder.frame")?,
        out: matrix(model, "encoder.out.weight")?,
        linear: affine(model, "encoder.linear")?,
    })
}
