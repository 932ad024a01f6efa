//! Single pixels.

use super::{MAX_PIXELS, Operator};
use rand::seq::index;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// A picks pixels, one a reading: sparse scanning, inpainting, and, where it picks all, denoising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    pixels: usize,
    picked: Vec<u32>,
}

/// Why a list of pixels is no mask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// no pixel, or more than an image has
    #[error("expected 1 to 2^24 pixels, got {got}")]
    Pixels {
        /// how many there were
        got: usize,
    },
    /// nothing is picked
    #[error("expected at least one picked pixel of {pixels}, got none")]
    Empty {
        /// number of pixels
        pixels: usize,
    },
    /// an entry is out of range or out of order
    #[error(
        "expected picked pixels strictly increasing below {pixels}, got {value} at position {index}"
    )]
    Picked {
        /// number of pixels
        pixels: usize,
        /// position of the entry
        index: usize,
        /// the entry
        value: u32,
    },
}

impl Mask {
    /// The pixels `picked`, strictly increasing, (m), of an image of `pixels` pixels.
    ///
    /// # Errors
    /// Where there are none, too many, or one is out of range or out of order.
    pub fn new(pixels: usize, picked: Vec<u32>) -> Result<Self, MaskError> {
        check_pixels(pixels)?;
        if picked.is_empty() {
            return Err(MaskError::Empty { pixels });
        }
        let mut floor = 0;
        for (index, &value) in picked.iter().enumerate() {
            if value < floor || value as usize >= pixels {
                return Err(MaskError::Picked {
                    pixels,
                    index,
                    value,
                });
            }
            floor = value + 1;
        }
        Ok(Self { pixels, picked })
    }

    /// Every pixel: A is the identity.
    ///
    /// # Errors
    /// Where there is no pixel, or too many.
    pub fn all(pixels: usize) -> Result<Self, MaskError> {
        check_pixels(pixels)?;
        Self::new(pixels, (0..pixels as u32).collect())
    }

    /// `readings` pixels at random, each as likely as any other.
    ///
    /// # Errors
    /// Where `pixels` is 0 or too large, or `readings` is 0. More readings than pixels give every pixel.
    pub fn random(pixels: usize, readings: usize, seed: u64) -> Result<Self, MaskError> {
        check_pixels(pixels)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sample = index::sample(&mut rng, pixels, readings.min(pixels));
        let mut picked: Vec<u32> = sample.into_iter().map(|i| i as u32).collect();
        picked.sort_unstable();
        Self::new(pixels, picked)
    }

    /// The pixels picked, strictly increasing, (m).
    pub fn picked(&self) -> &[u32] {
        &self.picked
    }
}

fn check_pixels(pixels: usize) -> Result<(), MaskError> {
    match pixels {
        1..=MAX_PIXELS => Ok(()),
        got => Err(MaskError::Pixels { got }),
    }
}

impl Operator for Mask {
    fn shape(&self) -> (usize, usize) {
        (self.picked.len(), self.pixels)
    }

    fn scratch(&self) -> usize {
        0
    }

    fn apply(&self, v: &[f32], y: &mut [f32], _: &mut [f32]) {
        assert_eq!((y.len(), v.len()), self.shape());
        for (out, &pixel) in y.iter_mut().zip(&self.picked) {
            *out = v[pixel as usize];
        }
    }

    fn adjoint(&self, y: &[f32], v: &mut [f32], _: &mut [f32]) {
        assert_eq!((y.len(), v.len()), self.shape());
        v.fill(0.0);
        for (&value, &pixel) in y.iter().zip(&self.picked) {
            v[pixel as usize] = value;
        }
    }

    fn row_energy(&self, variance: &[f32], out: &mut [f32]) {
        self.apply(variance, out, &mut []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_and_puts_back() {
        let op = Mask::new(5, vec![1, 4]).unwrap();
        let (mut y, mut v) = ([0.0; 2], [9.0; 5]);
        op.apply(&[1.0, 2.0, 3.0, 4.0, 5.0], &mut y, &mut []);
        op.adjoint(&y, &mut v, &mut []);
        assert_eq!((y, v), ([2.0, 5.0], [0.0, 2.0, 0.0, 0.0, 5.0]));
        assert_eq!(Mask::all(3).unwrap().picked(), [0, 1, 2]);
        assert_eq!(Mask::random(9, 4, 1).unwrap().shape(), (4, 9));
    }

    #[test]
    fn refuses_what_is_no_mask() {
        assert_eq!(Mask::all(0), Err(MaskError::Pixels { got: 0 }));
        assert!(Mask::random(usize::MAX, 1, 0).is_err());
        assert_eq!(Mask::new(3, vec![]), Err(MaskError::Empty { pixels: 3 }));
        let fault = |picked: &[u32]| Mask::new(3, picked.to_vec()).unwrap_err();
        let at = |index, value| MaskError::Picked {
            pixels: 3,
            index,
            value,
        };
        assert_eq!(fault(&[0, 3]), at(1, 3));
        assert_eq!(fault(&[1, 1]), at(1, 1));
        assert_eq!(fault(&[u32::MAX, 0]), at(0, u32::MAX));
    }
}
