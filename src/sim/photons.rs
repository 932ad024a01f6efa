//! Photons counted in time bins, exposure by exposure.

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson};

use super::detector::{DetectorError, check};
use crate::frame::{Knots, RangeImage};
use crate::sensing::{Binning, Dense, Operator, Pattern, Reduction, SensorDescription};

/// A detector that counts photons in time bins, two complementary exposures a pattern.
///
/// Under a mask of transmissions a_i ∈ [0, 1], bin t expects
/// `photons`·Σ_i a_i s_i/r_i^p · pulse(t − t_i) + `background` counts, each drawn from Poisson's distribution. The
/// positive part of a pattern is one mask, its negative part the other, both scaled to a greatest weight of 1.
#[derive(Clone, Debug, PartialEq)]
pub struct PhotonCounting {
    /// what the bins mean; p as in the sensor's description
    pub binning: Binning,
    /// photons expected from a pixel of return 1 at r^p = 1 under an open mask, > 0
    pub photons: f32,
    /// standard deviation of the Gaussian pulse, bins, in [0.5, 100]
    pub pulse_sigma_bins: f32,
    /// counts expected in each bin of an exposure without a return, ≥ 0
    pub background: f32,
}

/// The photon histograms of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposures {
    /// counts under the positive parts of the patterns, row-major, (m × T)
    pub plus: Vec<u32>,
    /// counts under the negative parts, row-major, (m × T)
    pub minus: Vec<u32>,
}

/// Beyond so many standard deviations a pulse is over.
const PULSE_REACH: f32 = 4.0;

impl PhotonCounting {
    /// The most counts, m × T, of a frame.
    pub const MAX_COUNTS: usize = 1 << 26;

    pub(super) fn check(&self, description: &SensorDescription) -> Result<(), DetectorError> {
        Reduction::new(&self.binning, &description.knots, 1.0)?;
        check("background", self.background)?;
        for (what, got, allowed, expected) in [
            (
                "photons",
                self.photons,
                1e-6..1e9,
                "a number in [1e-6, 1e9)",
            ),
            (
                "pulse_sigma_bins",
                self.pulse_sigma_bins,
                0.5..100.0,
                "a number in [0.5, 100)",
            ),
        ] {
            if !allowed.contains(&got) {
                return Err(DetectorError::Value {
                    what,
                    expected,
                    got,
                });
            }
        }
        let (expected, got) = (description.range_power, self.binning.range_power);
        if expected != got {
            return Err(DetectorError::RangePower { expected, got });
        }
        let (limit, bins) = (Self::MAX_COUNTS, self.binning.bins);
        for pattern in &description.patterns {
            let (readings, _) = pattern.shape();
            if readings.saturating_mul(bins) > limit {
                return Err(DetectorError::Counts {
                    limit,
                    readings,
                    bins,
                });
            }
        }
        Ok(())
    }

    /// The reduction of these histograms to readings in units of A x.
    ///
    /// # Errors
    /// Where the binning makes no sense.
    pub fn reduction(&self, knots: &Knots, pattern: &Pattern) -> Result<Reduction, DetectorError> {
        let per_photon = greatest_weight(pattern) / self.photons;
        Ok(Reduction::new(&self.binning, knots, per_photon)?)
    }

    /// N₀ of a sensor whose typical frame is `image`: the mean covariance of its readings, row-major, (J × J), for
    /// patterns that are ±1 up to a factor.
    ///
    /// # Errors
    /// Where the binning makes no sense.
    pub fn nominal_noise(
        &self,
        knots: &Knots,
        pattern: &Pattern,
        image: &RangeImage,
    ) -> Result<Vec<f32>, DetectorError> {
        let reduction = self.reduction(knots, pattern)?;
        let arrivals = self.arrivals(image);
        let counts: Vec<u32> = (0..self.binning.bins)
            .map(|bin| {
                let signal: f32 = self.light(&arrivals, bin).map(|(_, light)| light).sum();
                (self.photons * signal + 2.0 * self.background).round() as u32
            })
            .collect();
        let channels = knots.channels();
        let mut covariance = vec![0.0; channels * channels];
        reduction.reduce(&counts, None, &mut vec![0.0; channels], &mut covariance)?;
        Ok(covariance)
    }

    /// Readings y, (J·m), and the gain of a frame.
    pub(super) fn measure(
        &self,
        description: &SensorDescription,
        pattern: &Pattern,
        image: &RangeImage,
        rng: &mut ChaCha8Rng,
    ) -> Result<(Vec<f32>, f32), DetectorError> {
        let exposures = self.expose(pattern, image, rng)?;
        let reduction = self.reduction(&description.knots, pattern)?;
        let mut y = vec![0.0; description.channels() * pattern.shape().0];
        let gain = reduction.reduce_frame(
            &exposures.plus,
            Some(&exposures.minus),
            (&description.noise, &[]),
            &mut y,
        )?;
        Ok((y, gain))
    }

    /// Draws the histograms of a frame.
    ///
    /// # Errors
    /// Where an expected count is beyond what can be drawn.
    ///
    /// # Panics
    /// Where the image has another number of pixels than the pattern set.
    pub fn expose(
        &self,
        pattern: &Pattern,
        image: &RangeImage,
        rng: &mut ChaCha8Rng,
    ) -> Result<Exposures, DetectorError> {
        let (readings, pixels) = pattern.shape();
        assert_eq!(image.pixels(), pixels, "pixels of the patterns");
        let bins = self.binning.bins;
        let absolute = absolute(pattern);
        let amplitude = self.photons / greatest_weight(pattern);
        let arrivals = self.arrivals(image);
        let mut scene = vec![0.0; pixels]; // what one bin sees of each pixel
        let mut scratch = vec![0.0; pattern.scratch()];
        let mut signed = vec![0.0; readings];
        let mut unsigned = vec![0.0; readings];
        let mut exposures = Exposures {
            plus: vec![0; readings * bins],
            minus: vec![0; readings * bins],
        };
        for bin in 0..bins {
            scene.fill(0.0);
            for (pixel, light) in self.light(&arrivals, bin) {
                scene[pixel] = light;
            }
            pattern.apply(&scene, &mut signed, &mut scratch);
            match &absolute {
                Some(absolute) => absolute.apply(&scene, &mut unsigned, &mut []),
                None => unsigned.fill(scene.iter().sum::<f32>() * greatest_weight(pattern)),
            }
            for (j, (signed, unsigned)) in signed.iter().zip(&unsigned).enumerate() {
                let expected = |part: f32| (amplitude * part / 2.0).max(0.0) + self.background;
                let at = j * bins + bin;
                exposures.plus[at] = draw(expected(unsigned + signed), rng)?;
                exposures.minus[at] = draw(expected(unsigned - signed), rng)?;
            }
        }
        Ok(exposures)
    }

    /// When and how strongly each pixel's light arrives, by time of arrival; without what no bin sees.
    fn arrivals(&self, image: &RangeImage) -> Vec<Arrival> {
        let binning = &self.binning;
        let reach = PULSE_REACH * self.pulse_sigma_bins;
        let seen = -reach..binning.bins as f32 + reach;
        let mut arrivals = Vec::new();
        for pixel in (0..image.pixels()).filter(|&pixel| image.valid[pixel]) {
            let range = image.range[pixel].clamp(binning.bin_m, f32::INFINITY); // nothing is nearer than a bin
            let at = (range - binning.first_bin_range_m) / binning.bin_m;
            if !seen.contains(&at) {
                continue;
            }
            let samples = (at - reach).ceil() as i64..=(at + reach).floor() as i64;
            let whole: f32 = samples.map(|bin| self.pulse(bin as f32 - at)).sum();
            let compensation = range.powi(binning.range_power.into());
            arrivals.push(Arrival {
                at,
                pixel,
                strength: image.returns[pixel] / (compensation * whole),
            });
        }
        arrivals.sort_by(|a, b| a.at.total_cmp(&b.at));
        arrivals
    }

    /// What a bin sees: pixels and their light.
    fn light<'a>(
        &'a self,
        arrivals: &'a [Arrival],
        bin: usize,
    ) -> impl Iterator<Item = (usize, f32)> + 'a {
        let (bin, reach) = (bin as f32, PULSE_REACH * self.pulse_sigma_bins);
        let first = arrivals.partition_point(|a| a.at < bin - reach);
        let seen = arrivals[first..]
            .iter()
            .take_while(move |a| a.at <= bin + reach);
        seen.map(move |a| (a.pixel, a.strength * self.pulse(bin - a.at)))
    }

    fn pulse(&self, bins: f32) -> f32 {
        (-0.5 * (bins / self.pulse_sigma_bins).powi(2)).exp()
    }
}

/// The light of one pixel.
struct Arrival {
    /// when, bins
    at: f32,
    /// from where
    pixel: usize,
    /// s/r^p over the sum of the pulse's samples
    strength: f32,
}

/// The greatest |A_ji|, or a bound of it: the weight of an open mask.
fn greatest_weight(pattern: &Pattern) -> f32 {
    let (_, pixels) = pattern.shape();
    match pattern {
        Pattern::Hadamard(_) => 1.0 / (pixels.next_power_of_two() as f32).sqrt(), // every |A_ji| is 1/√N
        Pattern::Dense(op) => op.weights().iter().fold(0.0, |most, w| most.max(w.abs())),
        Pattern::Mask(_) => 1.0,
        Pattern::Blocks(op) => 1.0 / op.side() as f32,
        Pattern::Fourier(_) => (2.0 / pixels as f32).sqrt(),
    }
}

/// The patterns' absolute values, where they are not all the same.
fn absolute(pattern: &Pattern) -> Option<Pattern> {
    let dense = |weights: Vec<f32>| {
        let (readings, pixels) = pattern.shape();
        let weights = weights.iter().map(|w| w.abs()).collect();
        // of the same norms as the patterns, which had one
        Dense::new(readings, pixels, weights)
            .ok()
            .map(Pattern::Dense)
    };
    match pattern {
        Pattern::Hadamard(_) => None,
        Pattern::Dense(op) => dense(op.weights().to_vec()),
        Pattern::Mask(_) | Pattern::Blocks(_) => Some(pattern.clone()),
        Pattern::Fourier(_) => dense(rows_of(pattern)),
    }
}

/// The patterns one by one, (m × n).
fn rows_of(pattern: &Pattern) -> Vec<f32> {
    let (readings, pixels) = pattern.shape();
    let mut rows = vec![0.0; readings * pixels];
    let (mut unit, mut scratch) = (vec![0.0; readings], vec![0.0; pattern.scratch()]);
    for (j, row) in rows.chunks_exact_mut(pixels).enumerate() {
        unit[j] = 1.0;
        pattern.adjoint(&unit, row, &mut scratch);
        unit[j] = 0.0;
    }
    rows
}

fn draw(expected: f32, rng: &mut ChaCha8Rng) -> Result<u32, DetectorError> {
    if expected == 0.0 {
        return Ok(0);
    }
    match Poisson::new(f64::from(expected)) {
        Ok(poisson) if expected < 1e9 => Ok(poisson.sample(rng) as u32),
        _ => Err(DetectorError::Value {
            what: "an expected count",
            expected: "a number in [0, 1e9)",
            got: expected,
        }),
    }
}
