//! What neither G nor E says of an image: a Gaussian field whose correlation falls geometrically along rows and columns.

use crate::pool::Buffer;
use crate::sensing::Operator;
use crate::simd::kernel;
use faer::Mat;

/// Largest pattern set whose readings are whitened together; beyond it each reading is taken by itself.
pub(crate) const MOST_TOGETHER: usize = 2048;

/// Covariance C = D^½ (K_rows ⊗ K_columns) D^½ in each channel, D = diag ψ, K_ij = ρ^|i−j|; none between channels.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    /// ψ, (J·n)
    pub(super) variance: Vec<f32>,
    /// ψ^½, (J·n)
    deviation: Vec<f32>,
    /// ρ of each channel between neighbours in a row, and in a column, (J)
    correlation: Vec<[f32; 2]>,
    /// pixels in a row
    cols: usize,
}

/// Covariance that the rest puts on the readings of a pattern set.
#[derive(Clone, Debug)]
pub(super) enum Spread {
    /// A C Aᵀ of each channel, (m × m)
    Together(Vec<Mat<f32>>),
    /// only its diagonal, (J·m)
    Apart(Vec<f32>),
}

impl Spread {
    /// Variance of each reading, (J·m).
    pub(super) fn variances(&self) -> Vec<f32> {
        match self {
            Self::Apart(variances) => variances.clone(),
            Self::Together(covariance) => {
                let diagonal = |m: &Mat<f32>| (0..m.nrows()).map(|i| m[(i, i)]).collect::<Vec<_>>();
                covariance.iter().flat_map(diagonal).collect()
            }
        }
    }
}

impl Rest {
    /// Of variance ψ, (J·n), with the correlation between neighbours of each channel, in images of `cols` columns.
    ///
    /// # Panics
    /// Where sizes do not agree.
    pub(super) fn new(variance: Vec<f32>, correlation: Vec<[f32; 2]>, cols: usize) -> Self {
        assert!(
            variance.len().is_multiple_of(correlation.len() * cols),
            "J·n"
        );
        Self {
            deviation: variance.iter().map(|v| v.sqrt()).collect(),
            correlation,
            variance,
            cols,
        }
    }

    /// White: neighbours tell nothing of each other.
    pub(super) fn white(variance: Vec<f32>, channels: usize, cols: usize) -> Self {
        Self::new(variance, vec![[0.0; 2]; channels], cols)
    }

    /// Of another variance, (J·n), with the same correlation.
    pub(super) fn with_variance(&self, variance: Vec<f32>) -> Self {
        Self::new(variance, self.correlation.clone(), self.cols)
    }

    /// C v of channel `g`, (n), in place.
    fn apply(&self, g: usize, v: &mut [f32]) {
        let [row, column] = self.correlation[g];
        let deviation = &self.deviation[g * v.len()..][..v.len()];
        multiply(v, deviation);
        if row > 0.0 {
            correlate_rows(v, row, self.cols);
        }
        if column > 0.0 {
            correlate_columns(v, column, self.cols);
        }
        multiply(v, deviation);
    }

    /// out += C (I_J⊗A)ᵀ dual, (J·n), of `dual`, (J·m): of what the readings leave over, C says how much is each pixel's.
    /// Where each reading was whitened by itself, what is correlated would be counted once for every reading that shows it:
    /// there the rest is taken as white.
    pub(super) fn explain(&self, operator: &dyn Operator, dual: &[f32], out: &mut [f32]) {
        let (readings, pixels) = operator.shape();
        let mut scratch = Buffer::zeros(operator.scratch());
        let mut image = Buffer::zeros(pixels);
        let channels = dual
            .chunks_exact(readings)
            .zip(out.chunks_exact_mut(pixels));
        for (g, (dual, out)) in channels.enumerate() {
            operator.adjoint(dual, &mut image, &mut scratch);
            if readings <= MOST_TOGETHER {
                self.apply(g, &mut image);
            } else {
                let white = &self.variance[g * pixels..][..pixels];
                multiply(&mut image, white); // C v, were the rest white
            }
            out.iter_mut().zip(&image).for_each(|(out, v)| *out += v);
        }
    }

    /// The covariance of the readings of a pattern set.
    pub(super) fn spread(&self, operator: &dyn Operator) -> Spread {
        let (readings, pixels) = operator.shape();
        if readings > MOST_TOGETHER {
            return Spread::Apart(self.energy(operator));
        }
        let channels = self.correlation.len();
        let mut scratch = vec![0.0; operator.scratch()];
        let (mut unit, mut row) = (vec![0.0; readings], vec![0.0; pixels]);
        let mut image = row.clone();
        let mut covariance = vec![Mat::zeros(readings, readings); channels];
        for j in 0..readings {
            unit[j] = 1.0;
            operator.adjoint(&unit, &mut row, &mut scratch);
            unit[j] = 0.0;
            for (g, covariance) in covariance.iter_mut().enumerate() {
                image.copy_from_slice(&row);
                self.apply(g, &mut image);
                operator.apply(&image, covariance.col_as_slice_mut(j), &mut scratch);
            }
        }
        Spread::Together(covariance)
    }

    /// Variance that ψ, taken as white, puts on each reading, (J·m).
    pub(super) fn energy(&self, operator: &dyn Operator) -> Vec<f32> {
        let (readings, pixels) = operator.shape();
        let mut out = vec![0.0; self.correlation.len() * readings];
        let channels = self.variance.chunks_exact(pixels);
        for (variance, out) in channels.zip(out.chunks_exact_mut(readings)) {
            operator.row_energy(variance, out);
        }
        out
    }
}

kernel! {
    /// v ← v ∘ w.
    fn multiply<'a>(v: &'a mut [f32], w: &'a [f32]) {
        v.iter_mut().zip(w).for_each(|(v, w)| *v *= w);
    }
}

kernel! {
    /// Σ_j ρ^|i−j| v_j along columns, in place: one pass down, and one up of b_i = (1 − ρ²) f_i + ρ b_{i+1}, for K⁻¹ of an
    /// AR(1) is tridiagonal and K the product of the two.
    fn correlate_columns<'a>(v: &'a mut [f32], rho: f32, cols: usize) {
        let rows = v.len() / cols;
        for row in 1..rows {
            let (above, here) = v[(row - 1) * cols..].split_at_mut(cols);
            let values = here[..cols].iter_mut().zip(above.iter());
            values.for_each(|(v, above)| *v += rho * above);
        }
        for row in (0..rows - 1).rev() {
            let (here, below) = v[row * cols..].split_at_mut(cols);
            let values = here.iter_mut().zip(&below[..cols]);
            values.for_each(|(v, below)| *v = (1.0 - rho * rho) * *v + rho * below);
        }
    }
}

/// Rows that are passed along together: each waits for its own pixel before, and none for another's.
const ROWS: usize = 8;

kernel! {
    /// The same along rows.
    fn correlate_rows<'a>(v: &'a mut [f32], rho: f32, cols: usize) {
        for rows in v.chunks_mut(ROWS * cols) {
            for at in 1..cols {
                for row in rows.chunks_exact_mut(cols) {
                    row[at] += rho * row[at - 1];
                }
            }
            for at in (0..cols - 1).rev() {
                for row in rows.chunks_exact_mut(cols) {
                    row[at] = (1.0 - rho * rho) * row[at] + rho * row[at + 1];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensing::{Dense, Hadamard};

    const CORRELATION: [[f32; 2]; 2] = [[0.6, 0.3], [0.0, 0.8]];

    fn rest() -> Rest {
        let variance = (0..24).map(|i| 0.1 + 0.05 * (i % 5) as f32).collect();
        Rest::new(variance, CORRELATION.to_vec(), 4) // J = 2, 3 × 4 pixels
    }

    fn covariance(channel: usize, a: usize, b: usize) -> f32 {
        let [row, column] = CORRELATION[channel];
        let power = |rho: f32, a: usize, b: usize| rho.powi(a.abs_diff(b) as i32);
        let psi = |i: usize| rest().variance[channel * 12 + i].sqrt();
        psi(a) * psi(b) * power(row, a % 4, b % 4) * power(column, a / 4, b / 4)
    }

    #[test]
    fn covariance_falls_along_rows_and_columns() {
        let rest = rest();
        for channel in 0..2 {
            for b in 0..12 {
                let mut v = vec![0.0; 12];
                v[b] = 1.0;
                rest.apply(channel, &mut v);
                for (i, v) in v.iter().enumerate() {
                    let expected = covariance(channel, i, b);
                    assert!((v - expected).abs() < 1e-5, "{i}, {b}: {v}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn spread_is_the_covariance_seen_through_patterns() {
        let rest = rest();
        let operators: [&dyn Operator; 2] = [
            &Hadamard::random(12, 5, 1).unwrap(),
            &Dense::gaussian(7, 12, 1).unwrap(),
        ];
        for operator in operators {
            let (m, n) = operator.shape();
            let Spread::Together(spread) = rest.spread(operator) else {
                panic!("{m} readings are few");
            };
            let image = |pixel: usize| {
                let mut v = vec![0.0; n];
                v[pixel] = 1.0;
                let mut out = vec![0.0; m];
                operator.apply(&v, &mut out, &mut vec![0.0; operator.scratch()]);
                out
            };
            let columns: Vec<_> = (0..n).map(image).collect();
            for (channel, spread) in spread.iter().enumerate() {
                for r in 0..m {
                    for c in 0..m {
                        let expected: f32 = (0..n * n)
                            .map(|i| {
                                let (a, b) = (i / n, i % n);
                                columns[a][r] * columns[b][c] * covariance(channel, a, b)
                            })
                            .sum();
                        assert!((spread[(r, c)] - expected).abs() < 1e-5);
                    }
                }
            }
        }
    }
}
