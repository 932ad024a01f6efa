//! Coefficients at random, denser near the zero frequency.

use super::fourier::{Fourier, FourierError, check_pixels, conjugate};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

impl Fourier {
    /// Exactly `readings` readings of random coefficients, the zero frequency always among them.
    ///
    /// A coefficient's chance falls with the square of its frequency, the density for which Krahmer & Ward 2014, "Stable and
    /// robust sampling strategies for compressive imaging", prove recovery of images of few gradients. Coefficients that
    /// are their own conjugates make up an even number.
    ///
    /// # Errors
    /// Where the image has no pixel or too many, or no choice of coefficients gives so many readings.
    pub fn random(
        rows: usize,
        cols: usize,
        readings: usize,
        seed: u64,
    ) -> Result<Self, FourierError> {
        check_pixels(rows, cols)?;
        let pixels = rows * cols;
        let half = half_plane(rows, cols);
        let (mut alone, mut pairs): (Vec<u32>, Vec<u32>) = half
            .into_iter()
            .partition(|f| *f == conjugate(*f, rows, cols));
        let count = (readings.saturating_sub(1) / 2).min(pairs.len());
        let rest = readings - 2 * count;
        if rest == 0 || rest > alone.len() {
            return Err(FourierError::Readings {
                pixels,
                got: readings,
            });
        }
        // weighted sampling without replacement: the least of −ln u / w, Efraimidis & Spirakis 2006
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut key = |f: u32| -(1.0 - rng.random::<f64>()).ln() * squared(f, rows, cols) as f64;
        let mut keyed: Vec<(f64, u32)> = pairs.iter().map(|f| (key(*f), *f)).collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        pairs.clear();
        pairs.extend(keyed[..count].iter().map(|(_, f)| *f));
        alone.sort_by_key(|f| squared(*f, rows, cols));
        let mut coefficients = alone[..rest].to_vec();
        coefficients.extend(pairs);
        coefficients.sort_unstable();
        Self::new(rows, cols, coefficients)
    }
}

/// One coefficient of each conjugate pair, of the lower column of the two, so that few columns hold any.
fn half_plane(rows: usize, cols: usize) -> Vec<u32> {
    let place = |f: u32| (f % cols as u32, f);
    (0..(rows * cols) as u32)
        .filter(|f| place(*f) <= place(conjugate(*f, rows, cols)))
        .collect()
}

/// The square of a frequency, (cycles per image)².
fn squared(coefficient: u32, rows: usize, cols: usize) -> usize {
    let (k, l) = (coefficient as usize / cols, coefficient as usize % cols);
    k.min(rows - k).pow(2) + l.min(cols - l).pow(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensing::Operator;

    #[test]
    fn every_count_there_is_is_exact() {
        for (rows, cols) in [(1, 1), (1, 2), (4, 6), (5, 4), (3, 5)] {
            let n = rows * cols;
            for readings in 0..n + 3 {
                let possible = readings > 0 && readings <= n && (n % 2 == 0 || readings % 2 == 1);
                match Fourier::random(rows, cols, readings, 3) {
                    Ok(op) => {
                        assert!(possible, "{readings} of {n}");
                        assert_eq!(op.shape(), (readings, n));
                        assert!(op.coefficients().contains(&0));
                    }
                    Err(error) => {
                        assert!(!possible, "{readings} of {n}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn low_frequencies_are_denser() {
        let op = Fourier::random(64, 64, 410, 1).unwrap();
        let near = |f: &&u32| squared(**f, 64, 64) <= 6 * 6;
        let near = op.coefficients().iter().filter(near).count();
        assert!(near > 45, "{near} of the 57 within 6 cycles"); // were all as likely: 6
        assert!(op.coefficients().iter().any(|f| squared(*f, 64, 64) > 400));
        assert_ne!(op, Fourier::random(64, 64, 410, 2).unwrap());
    }
}
