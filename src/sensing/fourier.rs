//! Chosen coefficients of the two-dimensional Fourier transform.

use super::dft::Dft;
use super::{MAX_PIXELS, Operator};
use std::sync::Arc;

/// Real and imaginary parts of coefficients F(k, l) of an image: MRI.
///
/// F(k, l) = Σ v(r, c)·e^{−2πi(kr/rows + lc/cols)}/√n. An image is real, so F(−k, −l) is the conjugate of F(k, l), and a
/// coefficient stands for both: it gives two readings, √2·Re F and √2·Im F. One that is its own conjugate, such as the
/// zero frequency, gives the one reading Re F. So the rows are orthonormal. Readings go coefficient by coefficient, the
/// real part first.
#[derive(Clone, Debug)]
pub struct Fourier {
    dft: Arc<Dft>,
    /// k·cols + l
    coefficients: Vec<u32>,
    readings: usize,
    /// columns of the spectrum that hold a coefficient, increasing
    columns: Vec<u32>,
}

/// Why a list of coefficients cannot be measured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FourierError {
    /// no pixel, or more than an image has
    #[error("expected 1 to 2^24 pixels, got {rows} × {cols}")]
    Pixels {
        /// rows
        rows: usize,
        /// columns
        cols: usize,
    },
    /// nothing is measured
    #[error("expected at least one coefficient, got none")]
    Empty,
    /// an entry is out of range, repeated, or the conjugate of one before
    #[error(
        "expected distinct coefficients of 0..{pixels}, of each conjugate pair one, got {value} at position {index}"
    )]
    Coefficient {
        /// number of coefficients
        pixels: usize,
        /// position of the entry
        index: usize,
        /// the entry
        value: u32,
    },
    /// no choice of coefficients gives so many readings
    #[error(
        "expected 1 to {pixels} readings, an odd number where only the zero frequency is its own conjugate, got {got}"
    )]
    Readings {
        /// n
        pixels: usize,
        /// m
        got: usize,
    },
}

impl Fourier {
    /// The coefficients F(k, l) listed as k·cols + l, of each conjugate pair at most one.
    ///
    /// # Errors
    /// Where the image has no pixel or too many, or the list is empty or holds what it may not.
    pub fn new(rows: usize, cols: usize, coefficients: Vec<u32>) -> Result<Self, FourierError> {
        check_pixels(rows, cols)?;
        Self::of(Arc::new(Dft::new(rows, cols)), coefficients)
    }

    /// Other coefficients of the same images; what the transform needs is shared.
    ///
    /// # Errors
    /// As [`Fourier::new`].
    pub fn beside(&self, coefficients: Vec<u32>) -> Result<Self, FourierError> {
        Self::of(Arc::clone(&self.dft), coefficients)
    }

    fn of(dft: Arc<Dft>, coefficients: Vec<u32>) -> Result<Self, FourierError> {
        let (rows, cols) = dft.grid();
        let pixels = rows * cols;
        if coefficients.is_empty() {
            return Err(FourierError::Empty);
        }
        let mut seen = vec![false; pixels];
        let mut readings = 0;
        for (index, &value) in coefficients.iter().enumerate() {
            if seen.get(value as usize) != Some(&false) {
                return Err(FourierError::Coefficient {
                    pixels,
                    index,
                    value,
                });
            }
            let conjugate = conjugate(value, rows, cols);
            seen[value as usize] = true;
            seen[conjugate as usize] = true;
            readings += 1 + usize::from(conjugate != value);
        }
        let mut columns: Vec<u32> = coefficients.iter().map(|f| f % cols as u32).collect();
        columns.sort_unstable();
        columns.dedup();
        Ok(Self {
            dft,
            coefficients,
            readings,
            columns,
        })
    }

    /// (rows, columns) of the image.
    pub fn grid(&self) -> (usize, usize) {
        self.dft.grid()
    }

    /// The coefficients, k·cols + l each.
    pub fn coefficients(&self) -> &[u32] {
        &self.coefficients
    }

    /// The factor of each coefficient's parts in its readings, and whether it has an imaginary one.
    fn weight(&self, coefficient: u32) -> (f32, bool) {
        let (rows, cols) = self.dft.grid();
        let whole = conjugate(coefficient, rows, cols) != coefficient;
        let parts = if whole { 2.0 } else { 1.0 };
        ((parts / (rows * cols) as f32).sqrt(), whole)
    }
}

impl PartialEq for Fourier {
    fn eq(&self, other: &Self) -> bool {
        (self.grid(), &self.coefficients) == (other.grid(), &other.coefficients)
    }
}

pub(super) fn check_pixels(rows: usize, cols: usize) -> Result<(), FourierError> {
    match rows.saturating_mul(cols) {
        1..=MAX_PIXELS => Ok(()),
        _ => Err(FourierError::Pixels { rows, cols }),
    }
}

/// The coefficient whose value is the conjugate, for a real image: (−k, −l).
pub(super) fn conjugate(coefficient: u32, rows: usize, cols: usize) -> u32 {
    let (k, l) = (coefficient as usize / cols, coefficient as usize % cols);
    ((rows - k) % rows * cols + (cols - l) % cols) as u32
}

impl Operator for Fourier {
    fn shape(&self) -> (usize, usize) {
        let (rows, cols) = self.dft.grid();
        (self.readings, rows * cols)
    }

    fn scratch(&self) -> usize {
        self.dft.scratch()
    }

    fn apply(&self, v: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        assert_eq!((y.len(), v.len()), self.shape());
        let spectrum = self.dft.forward(v, &self.columns, scratch);
        let mut at = 0;
        for &coefficient in &self.coefficients {
            let (weight, whole) = self.weight(coefficient);
            let value = spectrum[coefficient as usize];
            y[at] = weight * value.re;
            if whole {
                y[at + 1] = weight * value.im;
            }
            at += 1 + usize::from(whole);
        }
    }

    fn adjoint(&self, y: &[f32], v: &mut [f32], scratch: &mut [f32]) {
        assert_eq!((y.len(), v.len()), self.shape());
        let fill = |spectrum: &mut [rustfft::num_complex::Complex<f32>]| {
            let mut at = 0;
            for &coefficient in &self.coefficients {
                let (weight, whole) = self.weight(coefficient);
                let slot = &mut spectrum[coefficient as usize];
                slot.re = weight * y[at];
                slot.im = if whole { weight * y[at + 1] } else { 0.0 };
                at += 1 + usize::from(whole);
            }
        };
        self.dft.inverse(fill, &self.columns, v, scratch);
    }

    /// A row of a real part is √(2/n)·cos θ_i, whose square is (1 + cos 2θ_i)/n: Σ_i of it and ψ_i is the spectrum of ψ at
    /// 0 and at twice the frequency. Of an imaginary part, the same with −.
    fn row_energy(&self, variance: &[f32], out: &mut [f32]) {
        assert_eq!((out.len(), variance.len()), self.shape());
        let (rows, cols) = self.dft.grid();
        let pixels = (rows * cols) as f32;
        let mut scratch = vec![0.0; self.scratch()];
        let columns: Vec<u32> = (0..cols as u32).collect();
        let spectrum = self.dft.forward(variance, &columns, &mut scratch);
        let mut at = 0;
        for &coefficient in &self.coefficients {
            let (k, l) = (coefficient as usize / cols, coefficient as usize % cols);
            if !self.weight(coefficient).1 {
                out[at] = spectrum[0].re / pixels;
                at += 1;
                continue;
            }
            let twice = spectrum[2 * k % rows * cols + 2 * l % cols].re;
            out[at] = ((spectrum[0].re + twice) / pixels).max(0.0);
            out[at + 1] = ((spectrum[0].re - twice) / pixels).max(0.0);
            at += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    #[test]
    fn equals_its_definition() {
        for (rows, cols) in [(1, 1), (1, 6), (3, 5), (4, 6), (8, 7)] {
            let n = rows * cols;
            let all = (0..n as u32).filter(|f| *f <= conjugate(*f, rows, cols));
            let op = Fourier::new(rows, cols, all.collect()).unwrap();
            assert_eq!(op.shape(), (n, n), "all coefficients are a basis");
            let v: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
            let mut y = vec![0.0; n];
            op.apply(&v, &mut y, &mut vec![f32::NAN; op.scratch()]);
            let mut read = y.iter();
            for &f in op.coefficients() {
                let (k, l) = (f as usize / cols, f as usize % cols);
                let angle = |i: usize| {
                    let (r, c) = (i / cols, i % cols);
                    TAU * ((k * r) as f64 / rows as f64 + (l * c) as f64 / cols as f64)
                };
                let sum = |part: &dyn Fn(f64) -> f64| -> f64 {
                    let terms = v.iter().enumerate();
                    terms.map(|(i, v)| f64::from(*v) * part(angle(i))).sum()
                };
                let whole = conjugate(f, rows, cols) != f;
                let weight = (if whole { 2.0 } else { 1.0 } / n as f64).sqrt();
                let mut expect = |expected: f64| {
                    let got = f64::from(*read.next().unwrap());
                    assert!((got - weight * expected).abs() < 1e-5, "{rows}×{cols}: {f}");
                };
                expect(sum(&f64::cos));
                if whole {
                    expect(sum(&|a| -a.sin()));
                }
            }
        }
    }

    #[test]
    fn rows_are_orthonormal() {
        let op = Fourier::random(6, 5, 13, 2).unwrap();
        let mut scratch = vec![0.0; op.scratch()];
        let (mut v, mut y) = (vec![0.0; 30], vec![0.0; 13]);
        for j in 0..13 {
            let mut unit = vec![0.0; 13];
            unit[j] = 1.0;
            op.adjoint(&unit, &mut v, &mut scratch);
            op.apply(&v, &mut y, &mut scratch);
            let apart = y.iter().zip(&unit).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f32::max) < 1e-5, "row {j}: {y:?}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_measured() {
        let fault = |coefficients: &[u32]| Fourier::new(4, 6, coefficients.to_vec()).unwrap_err();
        let at = |index, value| FourierError::Coefficient {
            pixels: 24,
            index,
            value,
        };
        assert_eq!(fault(&[]), FourierError::Empty);
        assert_eq!(fault(&[0, 24]), at(1, 24));
        assert_eq!(fault(&[7, 7]), at(1, 7));
        assert_eq!(fault(&[7, 23]), at(1, 23)); // (1, 1) and (3, 5)
        assert_eq!(
            Fourier::new(0, 6, vec![0]),
            Err(FourierError::Pixels { rows: 0, cols: 6 })
        );
        assert!(Fourier::new(usize::MAX, 2, vec![0]).is_err());
        let like = Fourier::new(4, 6, vec![0]).unwrap();
        assert_eq!(like.beside(vec![1, 9]), Fourier::new(4, 6, vec![1, 9]));
    }
}
