//! The virtual sensor: a range image in, a compressed measurement out.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::imperfections::{Imperfections, rolled};
use super::photons::PhotonCounting;
use super::sensor::{detect, readings_of};
use crate::frame::{Measurement, RangeImage};
use crate::sensing::{DescriptionError, HistogramError, Operator, SensorDescription};

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
    imperfections: Imperfections,
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
    /// photons are counted by a sensor that shows its patterns at once and where they should be
    #[error(
        "expected patterns shown at once and in their place where photons are counted, got {moments} moments and {pixels} pixels off"
    )]
    Photons {
        /// moments of the exposure
        moments: usize,
        /// pixels by which patterns are misregistered
        pixels: f32,
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
        let imperfections = Imperfections {
            missing,
            ..Imperfections::default()
        };
        Self::imperfect(description, noise, imperfections)
    }

    /// A sensor as described, disturbed by `noise`, that falls short of its description. That patterns are shown one after
    /// another is for who exposes: see [`Imperfections::expose`].
    ///
    /// # Errors
    /// As [`VirtualSensor::new`], and where an imperfection is out of its range.
    pub fn imperfect(
        description: SensorDescription,
        noise: Noise,
        imperfections: Imperfections,
    ) -> Result<Self, DetectorError> {
        description.validate()?;
        imperfections.check()?;
        match &noise {
            Noise::None => {}
            &Noise::Share(level) | &Noise::Sigma(level) => check("a noise level", level)?,
            Noise::Photons(counting) => counting.check(&description)?,
        }
        let factor = cholesky(&description.noise, description.channels());
        Ok(Self {
            description,
            noise,
            imperfections,
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
        self.measure_moving(std::slice::from_ref(image), set, rng)
    }

    /// Measures a scene that moves while the patterns are shown: `images` are evenly spaced moments of the exposure, from the
    /// first pattern to the last, at least one. Reading j of m sees the light at the share j/m of it, interpolated between
    /// the two moments nearest to that.
    ///
    /// # Errors
    /// As [`VirtualSensor::measure`], and where photons are counted of a scene that moves or by patterns out of their place.
    ///
    /// # Panics
    /// Where there is no image.
    pub fn measure_moving(
        &self,
        images: &[RangeImage],
        set: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Measurement, DetectorError> {
        self.measure_at(images, set, 0.0, rng)
    }

    /// As [`VirtualSensor::measure_moving`], at `time_s` of the gain's drift.
    ///
    /// # Errors
    /// As [`VirtualSensor::measure_moving`].
    ///
    /// # Panics
    /// Where there is no image.
    pub fn measure_at(
        &self,
        images: &[RangeImage],
        set: usize,
        time_s: f64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Measurement, DetectorError> {
        assert!(!images.is_empty(), "a moment of the exposure");
        images.iter().try_for_each(|image| self.check_size(image))?;
        let sets = self.description.patterns.len();
        let Some(pattern) = self.description.patterns.get(set) else {
            return Err(DetectorError::Set { sets, got: set });
        };
        let (mut y, gain) = match &self.noise {
            Noise::Photons(counting) => {
                let (moments, pixels) = (images.len(), self.imperfections.misregistered);
                if moments > 1 || pixels > 0.0 {
                    return Err(DetectorError::Photons { moments, pixels });
                }
                counting.measure(&self.description, pattern, &images[0], rng)?
            }
            noise => self.measure_gaussian(noise, set, images, rng),
        };
        self.imperfections.scale(&mut y, rng);
        let drift = &self.imperfections.drift;
        drift.scale(&mut y, pattern.shape().0, time_s);
        detect(self.description.data, &mut y);
        let missing = self.imperfections.lose(&mut y, rng);
        Ok(Measurement {
            pattern_set: set,
            gain,
            missing,
            y,
            ..Measurement::default()
        })
    }

    fn check_size(&self, image: &RangeImage) -> Result<(), DetectorError> {
        let (rows, cols) = (self.description.rows, self.description.cols);
        if (image.rows, image.cols) == (rows, cols) {
            return Ok(());
        }
        Err(DetectorError::Image {
            rows,
            cols,
            got_rows: image.rows,
            got_cols: image.cols,
        })
    }

    /// Readings without noise, (J·m).
    fn noiseless(&self, set: usize, images: &[RangeImage]) -> Vec<f32> {
        let description = &self.description;
        let mut moments = images.iter().map(|image| {
            readings_of(description, set, image, |x| {
                self.imperfections.shift(x, description.cols);
            })
        });
        match images.len() {
            1 => moments.next().unwrap_or_default(),
            _ => rolled(
                &moments.collect::<Vec<_>>(),
                description.patterns[set].shape().0,
            ),
        }
    }

    fn measure_gaussian(
        &self,
        noise: &Noise,
        set: usize,
        images: &[RangeImage],
        rng: &mut ChaCha8Rng,
    ) -> (Vec<f32>, f32) {
        let mut y = self.noiseless(set, images);
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
