//! What neither G nor E says of an image: a Gaussian field whose correlation falls geometrically along rows and columns.

use crate::sensing::Operator;
use faer::Mat;

/// Largest pattern set whose readings are whitened together; beyond it each reading is taken by itself.
const MOST_TOGETHER: usize = 2048;

/// Covariance C = D^½ (K_rows ⊗ K_columns) D^½ in each channel, D = diag ψ, K_ij = ρ^|i−j|; none between channels.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    /// ψ, (J·n)
    pub(super) variance: Vec<f32>,
    /// ρ between neighbours in a row and in a column, (J)
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
            variance,
            correlation,
            cols,
        }
    }

    /// White: neighbours tell nothing of each other.
    pub(super) fn white(variance: Vec<f32>, channels: usize, cols: usize) -> Self {
        Self::new(variance, vec![[0.0; 2]; channels], cols)
    }

    fn pixels(&self) -> usize {
        self.variance.len() / self.correlation.len()
    }

    /// D v of channel `channel`, (n), in place: C v, were the rest white.
    fn apply_white(&self, channel: usize, v: &mut [f32]) {
        let psi = self.variance[channel * self.pixels()..].iter();
        v.iter_mut().zip(psi).for_each(|(v, psi)| *v *= psi);
    }

    /// C v of channel `channel`, (n), in place.
    pub(super) fn apply(&self, channel: usize, v: &mut [f32]) {
        let n = self.pixels();
        let variance = &self.variance[channel * n..(channel + 1) * n];
        let weigh = |v: &mut [f32]| {
            v.iter_mut()
                .zip(variance)
                .for_each(|(v, psi)| *v *= psi.sqrt());
        };
        let [row, column] = self.correlation[channel];
        weigh(v);
        if row > 0.0 {
            v.chunks_exact_mut(self.cols)
                .for_each(|line| correlate(line, 1, row));
        }
        if column > 0.0 {
            correlate(v, self.cols, column);
        }
        weigh(v);
    }

    /// out += C (I_J⊗A)ᵀ dual, (J·n), of `dual`, (J·m): of what the readings leave over, C says how much is each pixel's.
    /// Where each reading was whitened by itself, what is correlated would be counted once for every reading that shows it:
    /// there the rest is taken as white.
    pub(super) fn explain(&self, operator: &dyn Operator, dual: &[f32], out: &mut [f32]) {
        let (readings, pixels) = operator.shape();
        let mut scratch = vec![0.0; operator.scratch()];
        let mut image = vec![0.0; pixels];
        let duals = dual.chunks_exact(readings);
        for (g, (dual, out)) in duals.zip(out.chunks_exact_mut(pixels)).enumerate() {
            operator.adjoint(dual, &mut image, &mut scratch);
            if readings <= MOST_TOGETHER {
                self.apply(g, &mut image);
            } else {
                self.apply_white(g, &mut image);
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
        let mut scratch = vec![0.0; operator.scratch()];
        let mut unit = vec![0.0; readings];
        let (mut pattern, mut image) = (vec![0.0; pixels], vec![0.0; pixels]);
        let mut covariance = vec![Mat::zeros(readings, readings); self.correlation.len()];
        for j in 0..readings {
            unit[j] = 1.0;
            operator.adjoint(&unit, &mut pattern, &mut scratch);
            unit[j] = 0.0;
            for (channel, covariance) in covariance.iter_mut().enumerate() {
                image.copy_from_slice(&pattern);
                self.apply(channel, &mut image);
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

/// Σ_j ρ^|i−j| v_j over groups of `stride` values, in place: one pass forward, one back.
fn correlate(v: &mut [f32], stride: usize, rho: f32) {
    let forward_only = 1.0 - rho * rho;
    for i in stride..v.len() {
        v[i] += rho * v[i - stride];
    }
    // b_i = (1 − ρ²) f_i + ρ b_{i+1} from the last one on: of AR(1), K⁻¹ is tridiagonal and K this product
    for i in (0..v.len() - stride).rev() {
        v[i] = forward_only * v[i] + rho * v[i + stride];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensing::{Dense, Hadamard};

    fn rest() -> Rest {
        let variance = (0..24).map(|i| 0.1 + 0.05 * (i % 5) as f32).collect();
        Rest::new(variance, vec![[0.6, 0.3], [0.0, 0.8]], 4) // J = 2, 3 × 4 pixels
    }

    fn covariance(rest: &Rest, channel: usize, a: usize, b: usize) -> f32 {
        let [row, column] = rest.correlation[channel];
        let power = |rho: f32, a: usize, b: usize| rho.powi(a.abs_diff(b) as i32);
        let psi = |i: usize| rest.variance[channel * 12 + i].sqrt();
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
                for (a, v) in v.iter().enumerate() {
                    let expected = covariance(&rest, channel, a, b);
                    assert!((v - expected).abs() < 1e-5, "{a}, {b}: {v}, not {expected}");
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
                                columns[a][r] * columns[b][c] * covariance(&rest, channel, a, b)
                            })
                            .sum();
                        assert!((spread[(r, c)] - expected).abs() < 1e-5);
                    }
                }
            }
        }
    }
}
