//! The directions of whitened readings in which a model's images differ at all.
//!
//! Readings are many and images are alike: in most directions they differ by far less than the noise, and no solver learns
//! anything there. Those that count are found from the images of random codes, once for a pattern set.

use super::grid::{Grid, pivoted};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

/// Mean square that may be lost, over that of the noise in all readings.
const LOST: f32 = 0.002;

/// An orthonormal basis, (rows × any), of what whitened readings `head`·φ + `error`·c, (rows), show: first of all that c
/// can do, (q) columns, then of φ until only [`LOST`] of its second moments is left, of which `features`, (H × any), are a
/// factor: its mean too, which would else count as unexplained.
///
/// By a Cholesky factorisation with pivots, largest first, which stops early (Harbrecht, Peters & Schneider 2012, "On the
/// low-rank approximation by the pivoted Cholesky decomposition"), of the inner products of what the factor's columns show.
pub(super) fn directions(
    head: MatRef<'_, f32>,
    error: MatRef<'_, f32>,
    features: MatRef<'_, f32>,
) -> Mat<f32> {
    let (rows, errors) = (head.nrows(), error.ncols());
    let of_errors = error.qr().compute_thin_Q();
    let mut seen = head * features;
    let along = of_errors.transpose() * &seen;
    matmul(
        seen.as_mut(),
        Accum::Add,
        of_errors.as_ref(),
        along.as_ref(),
        -1.0,
        Par::Seq,
    );
    let noise = rows.min(head.ncols() + errors) as f32; // in all directions that readings show
    let lost = f64::from(LOST * noise);
    let enough = |left: &[f64]| left.iter().sum::<f64>() <= lost;
    let (pivots, _) = pivoted(&Grid::square(seen.as_ref()), enough);
    let mut basis = Mat::zeros(rows, errors + pivots.len());
    let (mut first, mut last) = basis.as_mut().split_at_col_mut(errors);
    first.copy_from(of_errors);
    for (column, &pivot) in pivots.iter().enumerate() {
        last.as_mut().col_mut(column).copy_from(seen.col(pivot));
    }
    let of_features = last.qr().compute_thin_Q();
    last.copy_from(of_features);
    basis
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    fn values(rows: usize, cols: usize, seed: u64) -> Mat<f32> {
        let mut normal = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(seed));
        Mat::from_fn(rows, cols, |_, _| normal.next().unwrap())
    }

    /// Of readings that features of rank 5 and three errors make, eight directions keep all there is.
    #[test]
    fn what_a_model_can_show_is_kept_and_nothing_else() {
        let (head, error) = (values(40, 12, 1), values(40, 3, 2));
        let features = values(12, 5, 3) * values(5, 30, 4);
        let basis = directions(head.as_ref(), error.as_ref(), features.as_ref());
        assert_eq!(basis.ncols(), 8);
        let unit = basis.transpose() * &basis;
        let shown = &head * &features;
        let kept = &basis * (basis.transpose() * &shown);
        let errors = basis.transpose() * &error;
        for r in 0..8 {
            for c in 0..8 {
                let expected = f32::from(u8::from(r == c));
                assert!((unit[(r, c)] - expected).abs() < 1e-4);
            }
            for c in 0..3 {
                assert!(r <= c || errors[(r, c)].abs() < 1e-4, "errors come first");
            }
        }
        let scale = shown.norm_max();
        assert!((kept - shown).norm_max() < 0.05 * scale);
    }
}
