//! The virtual sensor: a range image in, a compressed measurement out.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::photons::PhotonCounting;
use crate::frame::{Measurement, RangeImage};
use crate::sensing::{DescriptionError, HistogramError, Operator, Pattern, SensorDescription};

/// What disturbs the readings.
#[derive(Clone, Debug, PartialEq)]
pub enum Noise {
    /// nothing; the gain is that of σ = 10⁻⁴ of mean |y|, for a recovery needs to be told of some noise
    None,
    /// Gaussian of covariance αN₀, whose mean standard deviation σ is this share of the frame's mean |y|
    Share(f32),
    /// Gaussian of covariance αN₀, whose mean standard deviation is this σ, in units of y
    Sigma(f32),
    /// the Poisson statistics of counted photons, histograms reduced to readings
    Photons(PhotonCounting),
}

/// A sensor that measures range images as a description says.
#[derive(Clone, Debug)]
pub struct VirtualSensor {
    description: SensorDescription,
    noise: Noise,
    missing: f32,
    /// lower Cholesky factor of N₀, row-major, (J × J)
    factor: Vec<f32>,
}

/// Why a virtual sensor cannot be built or cannot measure.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DetectorError {
    /// the description is not whole
    #[error("cannot use the sensor's description")]
    Description(#[from] DescriptionError),
    /// the histograms cannot be reduced
    #[error("cannot reduce the photon histograms")]
    Histogram(#[from] HistogramError),
    /// a noise level or share is not what it should be
    #[error("expected {expected} as {what}, got {got}")]
    Value {
        /// which value
        what: &'static str,
        /// what would do
        expected: &'static str,
        /// its value
        got: f32,
    },
    /// binning and description compensate range differently
    #[error(
        "expected a binning that compensates r^{expected} as the description does, got r^{got}"
    )]
    RangePower {
        /// p of the description
        expected: u8,
        /// p of the binning
        got: u8,
    },
    /// histograms that would not fit
    #[error("expected at most {limit} counts in a frame's histograms, got {readings} × {bins}")]
    Counts {
        /// [`PhotonCounting::MAX_COUNTS`]
        limit: usize,
        /// m
        readings: usize,
        /// T
        bins: usize,
    },
    /// there is no such pattern set
    #[error("expected a pattern set of 0..{sets}, got {got}")]
    Set {
        /// number of sets
        sets: usize,
        /// the set asked for
        got: usize,
    },
    /// the image has another size
    #[error("expected an image of {rows} × {cols} pixels, got {got_rows} × {got_cols}")]
    Image {
        /// rows of the description
        rows: usize,
        /// columns of the description
        cols: usize,
        /// rows of the image
        got_rows: usize,
        /// columns of the image
        got_cols: usize,
    },
}

impl VirtualSensor {
    /// A sensor as described, disturbed by `noise`, that loses each reading with probability `missing`.
    ///
    /// # Errors
    /// Where the description is not whole, a level is negative or no number, `missing` is not in [0, 1), or the
    /// histograms asked for make no sense, do not fit the description or are too large.
    pub fn new(
        description: SensorDescription,
        noise: Noise,
        missing: f32,
    ) -> Result<Self, DetectorError> {
        description.validate()?;
        match &noise {
            Noise::None => {}
            &Noise::Share(level) | &Noise::Sigma(level) => check("a noise level", level)?,
            Noise::Photons(counting) => counting.check(&description)?,
        }
        if !(0.0..1.0).contains(&missing) {
            return Err(DetectorError::Value {
                what: "the share of missing readings",
                expected: "a number in [0, 1)",
                got: missing,
            });
        }
        let factor = cholesky(&description.noise, description.channels());
        Ok(Self {
            description,
            noise,
            missing,
            factor,
        })
    }

    /// The sensor with Gaussian noise of σ = `share` of each frame's mean |y|, nothing missing.
    ///
    /// # Errors
    /// As [`VirtualSensor::new`].
    pub fn gaussian(description: SensorDescription, share: f32) -> Result<Self, DetectorError> {
        Self::new(description, Noise::Share(share), 0.0)
    }

    /// What the sensor says of itself.
    pub fn description(&self) -> &SensorDescription {
        &self.description
    }

    /// Measures an image with pattern set `set`; the sequence number and the stamp are left at 0.
    ///
    /// # Errors
    /// Where there is no such set, the image has another size, or not one photon came back.
    pub fn measure(
        &self,
        image: &RangeImage,
        set: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Measurement, DetectorError> {
        let (rows, cols) = (self.description.rows, self.description.cols);
        if (image.rows, image.cols) != (rows, cols) {
            return Err(DetectorError::Image {
                rows,
                cols,
                got_rows: image.rows,
                got_cols: image.cols,
            });
        }
        let sets = self.description.patterns.len();
        let Some(pattern) = self.description.patterns.get(set) else {
            return Err(DetectorError::Set { sets, got: set });
        };
        let (mut y, gain) = match &self.noise {
            Noise::Photons(counting) => counting.measure(&self.description, pattern, image, rng)?,
            noise => self.measure_gaussian(noise, pattern, image, rng),
        };
        let mut missing = Vec::new();
        if self.missing > 0.0 {
            for (index, y) in y.iter_mut().enumerate() {
                if rng.random::<f32>() < self.missing {
                    missing.push(index as u32);
                    *y = 0.0;
                }
            }
        }
        Ok(Measurement {
            pattern_set: set,
            gain,
            missing,
            y,
            ..Measurement::default()
        })
    }

    fn measure_gaussian(
        &self,
        noise: &Noise,
        pattern: &Pattern,
        image: &RangeImage,
        rng: &mut ChaCha8Rng,
    ) -> (Vec<f32>, f32) {
        let mut y = noiseless(&self.description, pattern, image);
        let mean = y.iter().map(|&v| f64::from(v.abs())).sum::<f64>() / y.len() as f64;
        let sigma = match *noise {
            Noise::Sigma(sigma) => f64::from(sigma),
            Noise::Share(share) => f64::from(share) * mean,
            Noise::None | Noise::Photons(_) => 0.0,
        };
        let channels = self.description.channels();
        let diagonal = self.description.noise.iter().step_by(channels + 1);
        let nominal = diagonal.map(|&v| f64::from(v)).sum::<f64>() / channels as f64;
        if sigma > 0.0 {
            self.disturb(&mut y, (sigma * sigma / nominal).sqrt() as f32, rng);
        }
        let told = sigma.max(1e-4 * mean).max(1e-12);
        let gain = (told * told / nominal) as f32;
        (y, gain.max(f32::MIN_POSITIVE))
    }

    /// Adds `amplitude` times Gaussian noise of covariance N₀ to each reading.
    fn disturb(&self, y: &mut [f32], amplitude: f32, rng: &mut ChaCha8Rng) {
        let channels = self.description.channels();
        let readings = y.len() / channels;
        let mut white = vec![0.0f32; channels];
        for j in 0..readings {
            white.fill_with(|| StandardNormal.sample(rng));
            for (g, row) in self.factor.chunks_exact(channels).enumerate() {
                let noise: f32 = row.iter().zip(&white).map(|(l, w)| l * w).sum();
                y[g * readings + j] += amplitude * noise;
            }
        }
    }
}

/// y_g = A x_g for every channel, y\[g·m + j\], (J·m).
fn noiseless(description: &SensorDescription, pattern: &Pattern, image: &RangeImage) -> Vec<f32> {
    let (readings, pixels) = pattern.shape();
    let channels = description.channels();
    let mut x = vec![0.0; channels * pixels];
    description.knots.split(image, &mut x);
    let mut scratch = vec![0.0; pattern.scratch()];
    let mut y = vec![0.0; channels * readings];
    for (x, y) in x.chunks_exact(pixels).zip(y.chunks_exact_mut(readings)) {
        pattern.apply(x, y, &mut scratch);
    }
    y
}

pub(super) fn check(what: &'static str, got: f32) -> Result<(), DetectorError> {
    if got.is_finite() && got >= 0.0 {
        return Ok(());
    }
    Err(DetectorError::Value {
        what,
        expected: "a number ≥ 0",
        got,
    })
}

/// Lower Cholesky factor of a positive definite matrix, row-major.
fn cholesky(matrix: &[f32], size: usize) -> Vec<f32> {
    let mut factor = vec![0.0f64; size * size];
    for r in 0..size {
        for c in 0..=r {
            let sum: f64 = (0..c)
                .map(|i| factor[r * size + i] * factor[c * size + i])
                .sum();
            let rest = f64::from(matrix[r * size + c]) - sum;
            factor[r * size + c] = if r == c {
                rest.sqrt()
            } else {
                rest / factor[c * size + c]
            };
        }
    }
    factor.into_iter().map(|v| v as f32).collect()
}
