//! Principal directions of a sample of frames, by subspace iteration (Halko, Martinsson & Tropp 2011, alg. 4.4).

use crate::prior::Matrix;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// Directions beyond those asked for, which make the last of them accurate.
const OVERSAMPLING: usize = 24;
/// Passes over the sample; each squares the ratio of neighbouring singular values.
const PASSES: usize = 4;

/// Mean, leading directions and variances of a sample.
pub(super) struct Principal {
    /// mean of the sample, (D)
    pub(super) mean: Vec<f32>,
    /// orthonormal directions, strongest first, (r × D)
    pub(super) directions: Matrix,
    /// variance along each direction, (r)
    pub(super) variances: Vec<f32>,
    /// variance that the directions leave over, (D)
    pub(super) remainder: Vec<f32>,
}

/// Principal directions of `sample`, (N × D), whose rows are centred in place.
pub(super) fn principal(sample: &mut Matrix, count: usize, seed: u64) -> Principal {
    let (frames, len) = (sample.rows(), sample.cols());
    let mean = centre(sample);
    let count = count.min(frames.saturating_sub(1)).min(len);
    let width = (count + OVERSAMPLING).min(frames).min(len);
    let mut random = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(seed));
    let mut basis: Mat<f32> = Mat::from_fn(len, width, |_, _| random.next().unwrap_or(0.0));
    let mut scores: Mat<f32> = Mat::zeros(frames, width);
    for _ in 0..PASSES {
        matmul(
            scores.as_mut(),
            Accum::Replace,
            sample.view(),
            basis.as_ref(),
            1.0,
            Par::Seq,
        );
        matmul(
            basis.as_mut(),
            Accum::Replace,
            sample.view().transpose(),
            scores.as_ref(),
            1.0,
            Par::Seq,
        );
        basis = basis.qr().compute_thin_Q();
    }
    matmul(
        scores.as_mut(),
        Accum::Replace,
        sample.view(),
        basis.as_ref(),
        1.0,
        Par::Seq,
    );
    let covariance = Mat::from_fn(width, width, |r, c| {
        let dot: f64 = (0..frames)
            .map(|f| f64::from(scores[(f, r)]) * f64::from(scores[(f, c)]))
            .sum();
        dot / frames.max(2).saturating_sub(1) as f64
    });
    let (variances, rotation) = descending_eigen(&covariance, count);
    let rotation: Mat<f32> = Mat::from_fn(width, count, |r, c| rotation[(r, c)] as f32);
    let mut directions: Mat<f32> = Mat::zeros(len, count);
    matmul(
        directions.as_mut(),
        Accum::Replace,
        basis.as_ref(),
        rotation.as_ref(),
        1.0,
        Par::Seq,
    );
    let mut remainder = vec![0.0f64; len];
    for row in 0..frames {
        remainder
            .iter_mut()
            .zip(sample.row(row))
            .for_each(|(out, &v)| *out += f64::from(v).powi(2));
    }
    let remainder = remainder
        .iter()
        .enumerate()
        .map(|(i, total)| {
            let said: f64 = (0..count)
                .map(|c| f64::from(directions[(i, c)]).powi(2) * variances[c])
                .sum();
            (total / frames as f64 - said).max(0.0) as f32
        })
        .collect();
    Principal {
        mean,
        directions: Matrix::from_view(directions.as_ref().transpose()),
        variances: variances.iter().map(|&v| v as f32).collect(),
        remainder,
    }
}

/// The leading `count` eigenvalues, descending and ≥ 0, and their vectors as columns.
fn descending_eigen(matrix: &Mat<f64>, count: usize) -> (Vec<f64>, Mat<f64>) {
    let size = matrix.nrows();
    match matrix.self_adjoint_eigen(faer::Side::Lower) {
        Ok(eigen) => {
            let (values, vectors) = (eigen.S(), eigen.U());
            let descending = (0..count).map(|c| values[size - 1 - c].max(0.0)).collect();
            (
                descending,
                Mat::from_fn(size, count, |r, c| vectors[(r, size - 1 - c)]),
            )
        }
        Err(_) => (
            vec![0.0; count],
            Mat::from_fn(size, count, |r, c| f64::from(u8::from(r == c))),
        ),
    }
}

/// Subtracts the mean of the rows from each, and returns it.
fn centre(sample: &mut Matrix) -> Vec<f32> {
    let mut mean = vec![0.0f64; sample.cols()];
    for row in 0..sample.rows() {
        mean.iter_mut()
            .zip(sample.row(row))
            .for_each(|(m, &v)| *m += f64::from(v));
    }
    let mean: Vec<f32> = mean
        .iter()
        .map(|m| (m / sample.rows().max(1) as f64) as f32)
        .collect();
    for row in 0..sample.rows() {
        sample
            .row_mut(row)
            .iter_mut()
            .zip(&mean)
            .for_each(|(v, m)| *v -= m);
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_directions_that_made_the_sample() {
        let (frames, len) = (400, 50);
        let mut random = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(5));
        let mut next = || -> f32 { random.next().unwrap() };
        let mut sample = Matrix::zeros(frames, len);
        for f in 0..frames {
            let (a, b) = (3.0 * next(), 2.0 * next());
            let row = sample.row_mut(f);
            for (i, v) in row.iter_mut().enumerate() {
                *v = 1.0
                    + 0.01 * next()
                    + if i == 7 {
                        a
                    } else if i == 30 {
                        b
                    } else {
                        0.0
                    };
            }
        }
        let found = principal(&mut sample, 2, 1);
        assert!(
            found.directions.row(0)[7].abs() > 0.999 && found.directions.row(1)[30].abs() > 0.999
        );
        assert!(
            (found.variances[0] / 9.0 - 1.0).abs() < 0.2
                && (found.variances[1] / 4.0 - 1.0).abs() < 0.2
        );
        assert!((found.mean[0] - 1.0).abs() < 0.01);
        assert!(found.remainder[7] < 0.01 && (found.remainder[0] - 1e-4).abs() < 5e-5);
    }
}
