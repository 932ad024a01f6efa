//! Whitening of readings by S₀ = diag(A diag(ψ) Aᵀ) + αN₀, reading by reading, missing ones left out.

/// The rows that count, and L⁻¹ of S₀ = L Lᵀ for each reading's block of present channels.
#[derive(Clone, Debug)]
pub(super) struct Whitener {
    /// position in y of each whitened row
    rows: Vec<u32>,
    /// rows of each block, and where its inverse factor starts
    blocks: Vec<(usize, usize)>,
    /// inverse factors, lower triangular, row-major, block by block
    inverse: Vec<f32>,
}

impl Whitener {
    /// `energy`, (J·m), is the variance that ψ puts on each reading; `noise`, (J × J), is N₀; `missing` are positions
    /// in y, strictly increasing.
    ///
    /// `None` where a block is not positive definite.
    pub(super) fn new(energy: &[f32], noise: &[f32], gain: f32, missing: &[u32]) -> Option<Self> {
        let channels = noise.len().isqrt();
        let readings = energy.len() / channels;
        let mut out = Self {
            rows: Vec::with_capacity(energy.len()),
            blocks: Vec::with_capacity(readings),
            inverse: vec![],
        };
        let mut absent = vec![false; energy.len()];
        missing.iter().for_each(|&i| absent[i as usize] = true);
        let mut present = Vec::with_capacity(channels);
        for j in 0..readings {
            present.clear();
            present.extend((0..channels).filter(|g| !absent[g * readings + j]));
            if present.is_empty() {
                continue;
            }
            let covariance = |a: usize, b: usize| {
                let own = if a == b {
                    f64::from(energy[present[a] * readings + j])
                } else {
                    0.0
                };
                own + f64::from(gain) * f64::from(noise[present[a] * channels + present[b]])
            };
            out.blocks.push((present.len(), out.inverse.len()));
            out.rows
                .extend(present.iter().map(|g| (g * readings + j) as u32));
            out.inverse.extend(
                inverse_factor(present.len(), covariance)?
                    .iter()
                    .map(|&v| v as f32),
            );
        }
        Some(out)
    }

    /// Number of whitened rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// S₀^(−½) v, of `v` indexed like y, (J·m), into `out`, (rows).
    pub(super) fn apply(&self, v: &[f32], out: &mut [f32]) {
        let mut start = 0;
        for &(len, at) in &self.blocks {
            let rows = &self.rows[start..start + len];
            for (i, out) in out[start..start + len].iter_mut().enumerate() {
                let factor = &self.inverse[at + i * len..=at + i * len + i];
                *out = factor
                    .iter()
                    .zip(rows)
                    .map(|(f, &row)| f * v[row as usize])
                    .sum();
            }
            start += len;
        }
    }
}

impl Whitener {
    /// S₀⁻¹ v of `v` indexed like y, (J·m), in place; 0 where a reading is missing.
    pub(super) fn weigh(&self, v: &mut [f32]) {
        let mut whitened = vec![0.0; self.len()];
        self.apply(v, &mut whitened);
        v.fill(0.0);
        let mut start = 0;
        for &(len, at) in &self.blocks {
            let rows = &self.rows[start..start + len];
            for (i, value) in whitened[start..start + len].iter().enumerate() {
                let factor = &self.inverse[at + i * len..=at + i * len + i];
                for (f, &row) in factor.iter().zip(rows) {
                    v[row as usize] += f * value;
                }
            }
            start += len;
        }
    }
}

/// L⁻¹ of a symmetric positive definite matrix L Lᵀ, row-major.
fn inverse_factor(size: usize, matrix: impl Fn(usize, usize) -> f64) -> Option<Vec<f64>> {
    let mut factor = vec![0.0; size * size];
    for r in 0..size {
        for c in 0..=r {
            let known: f64 = (0..c)
                .map(|i| factor[r * size + i] * factor[c * size + i])
                .sum();
            let rest = matrix(r, c) - known;
            if r != c {
                factor[r * size + c] = rest / factor[c * size + c];
            } else if rest > 0.0 && rest.is_finite() {
                factor[r * size + r] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    let mut inverse = vec![0.0; size * size];
    for c in 0..size {
        for r in c..size {
            let known: f64 = (c..r)
                .map(|i| factor[r * size + i] * inverse[i * size + c])
                .sum();
            let unit = f64::from(u8::from(r == c));
            inverse[r * size + c] = (unit - known) / factor[r * size + r];
        }
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitened_covariance_is_the_identity() {
        let noise = [2.0, 0.5, 0.0, 0.5, 1.0, 0.2, 0.0, 0.2, 3.0];
        let energy = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]; // J = 3, m = 2
        let whitener = Whitener::new(&energy, &noise, 1.5, &[2]).unwrap(); // channel 1 of reading 0
        assert_eq!(whitener.len(), 5);
        let covariance = |a: usize, b: usize| -> f32 {
            if a % 2 != b % 2 {
                return 0.0;
            }
            let own = if a == b { energy[a] } else { 0.0 };
            own + 1.5 * noise[(a / 2) * 3 + b / 2]
        };
        let mut whitened = vec![vec![0.0; 5]; 6]; // S₀^(−½) of each column of the covariance
        for (column, out) in whitened.iter_mut().enumerate() {
            let v: Vec<f32> = (0..6).map(|row| covariance(row, column)).collect();
            whitener.apply(&v, out);
        }
        for row in 0..5 {
            let v: Vec<f32> = whitened.iter().map(|column| column[row]).collect();
            let mut out = vec![0.0; 5];
            whitener.apply(&v, &mut out);
            for (other, value) in out.iter().enumerate() {
                assert!((value - f32::from(u8::from(other == row))).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn refuses_what_has_no_factor() {
        assert!(Whitener::new(&[0.0, 0.0], &[0.0], 1.0, &[]).is_none());
    }
}
