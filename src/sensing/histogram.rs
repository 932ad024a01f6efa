//! Photon histograms reduced to channel readings: a histogram is a measurement too.

use std::ops::Range;

use crate::frame::Knots;

/// What the time bins of a detector mean.
///
/// Bin t counts the photons from ranges around r_t = `first_bin_range_m` + t·`bin_m`.
#[derive(Clone, Debug, PartialEq)]
pub struct Binning {
    /// number of bins, T
    pub bins: usize,
    /// range covered by one bin, m, > 0
    pub bin_m: f32,
    /// range of the middle of bin 0, m; negative where the pulse leaves after the clock starts
    pub first_bin_range_m: f32,
    /// p ∈ {0, 2}: returns are compensated by r^p
    pub range_power: u8,
    /// bins that are summed; crosstalk and reference pulses are left out of it
    pub gate: Range<usize>,
    /// bins without any signal, whose mean is the background; none: nothing is subtracted
    pub background: Range<usize>,
}

/// The linear map from a histogram of T bins to its J channel readings.
///
/// With a_g(t) = r_t^p·w_g(r_t) inside the gate and b the mean of the background bins, the reading is
/// y_g = Σ_t a_g(t)·(h\[t\] − b) = Σ_t c_g(t)·h\[t\]. Counts are Poisson, so that a histogram also says how far its
/// reading can be trusted: Cov(y_g, y_g′) = Σ_t c_g(t) c_g′(t) h\[t\], the background's estimate included. A pattern
/// of ±1 is two complementary exposures: their readings subtract, their covariances add. Where a pulse spans
/// several bins, each channel is the average of its hat over the pulse; a constant delay of its middle belongs
/// into `first_bin_range_m`. J = 2 is the pair of Howland et al. 2013, "Photon counting compressive depth mapping".
#[derive(Clone, Debug, PartialEq)]
pub struct Reduction {
    bins: usize,
    channels: usize,
    /// c_g(t), row-major, (J × T)
    weights: Vec<f32>,
}

/// Why histograms cannot be reduced.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HistogramError {
    /// no bins, or more than a detector has
    #[error("expected 1 to {max} time bins, got {got}", max = Binning::MAX_BINS)]
    Bins {
        /// how many there were
        got: usize,
    },
    /// a bin's range is no range
    #[error(
        "expected bins wider than 0 m from a finite range on, not so far that weights are infinite, got {bin_m} m from {first} m on"
    )]
    Range {
        /// width of a bin, m
        bin_m: f32,
        /// range of bin 0, m
        first: f32,
    },
    /// an unknown range compensation
    #[error("expected a range compensation r^0 or r^2, got r^{got}")]
    RangePower {
        /// its exponent
        got: u8,
    },
    /// the gate or the background lies outside the histogram, or the gate is empty
    #[error("expected the {what} within bins 0..{bins}, got {got:?}")]
    Window {
        /// gate or background
        what: &'static str,
        /// T
        bins: usize,
        /// the bins asked for
        got: Range<usize>,
    },
    /// the worth of a photon is no number > 0
    #[error("expected a reading per photon > 0, got {got}")]
    Worth {
        /// its value
        got: f32,
    },
    /// an array has another length
    #[error("expected {expected} values as {what}, got {got}")]
    Length {
        /// which array
        what: &'static str,
        /// the length that goes with the bins, channels and readings
        expected: usize,
        /// its length
        got: usize,
    },
    /// nothing was counted at all, so that nothing can be said of the noise
    #[error(
        "expected at least one photon in the histograms of the readings that are not missing, got none"
    )]
    Dark,
}

impl Binning {
    /// The most time bins a histogram may have.
    pub const MAX_BINS: usize = 1 << 16;

    /// r_t, the range of the middle of a bin, m; negative before the pulse has left.
    pub fn range(&self, bin: usize) -> f32 {
        self.first_bin_range_m + bin as f32 * self.bin_m
    }

    fn check(&self) -> Result<(), HistogramError> {
        let bins = self.bins;
        if bins == 0 || bins > Self::MAX_BINS {
            return Err(HistogramError::Bins { got: bins });
        }
        let (bin_m, first) = (self.bin_m, self.first_bin_range_m);
        if !(bin_m.is_finite() && bin_m > 0.0 && first.is_finite()) {
            return Err(HistogramError::Range { bin_m, first });
        }
        if !matches!(self.range_power, 0 | 2) {
            return Err(HistogramError::RangePower {
                got: self.range_power,
            });
        }
        for (what, window, least) in [("gate", &self.gate, 1), ("background", &self.background, 0)]
        {
            if window.end > bins || window.start > window.end || window.len() < least {
                return Err(HistogramError::Window {
                    what,
                    bins,
                    got: window.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Reduction {
    /// The reduction to the channels of `knots`; `per_photon` is what one photon adds to a reading at r_t^p = 1.
    ///
    /// # Errors
    /// Where the binning holds no bins or too many, a window outside them, or a value that makes no sense.
    pub fn new(binning: &Binning, knots: &Knots, per_photon: f32) -> Result<Self, HistogramError> {
        binning.check()?;
        if !per_photon.is_finite() || per_photon <= 0.0 {
            return Err(HistogramError::Worth { got: per_photon });
        }
        let (bins, channels) = (binning.bins, knots.channels());
        let mut weights = vec![0.0; channels * bins];
        for (g, weights) in weights.chunks_exact_mut(bins).enumerate() {
            let mut total = 0.0;
            for t in binning.gate.clone() {
                let range = binning.range(t).max(0.0);
                let compensation = range.powi(binning.range_power.into());
                weights[t] = per_photon * compensation * knots.weight(g, range);
                total += weights[t];
            }
            for t in binning.background.clone() {
                weights[t] -= total / binning.background.len() as f32;
            }
        }
        if !weights.iter().all(|w| w.is_finite()) {
            let (bin_m, first) = (binning.bin_m, binning.first_bin_range_m);
            return Err(HistogramError::Range { bin_m, first }); // too far for r^p
        }
        Ok(Self {
            bins,
            channels,
            weights,
        })
    }

    /// T: bins of a histogram.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// J: channels of a reading.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Reduces the histogram of one pattern, (T), and of its complement, (T), where the pattern is one of ±1, to
    /// its readings `y`, (J), and their covariance, row-major, (J × J).
    ///
    /// # Errors
    /// Where an array has another length.
    pub fn reduce(
        &self,
        plus: &[u32],
        minus: Option<&[u32]>,
        y: &mut [f32],
        covariance: &mut [f32],
    ) -> Result<(), HistogramError> {
        let (bins, channels) = (self.bins, self.channels);
        expect("counts of a pattern", bins, plus.len())?;
        expect(
            "counts of the complement",
            bins,
            minus.map_or(bins, <[u32]>::len),
        )?;
        expect("readings", channels, y.len())?;
        expect("covariances", channels * channels, covariance.len())?;
        for (g, y) in y.iter_mut().enumerate() {
            *y = self.reading(plus, minus, g);
            for other in 0..=g {
                let sum = self.covariance(plus, minus, (g, other));
                covariance[g * channels + other] = sum;
                covariance[other * channels + g] = sum;
            }
        }
        Ok(())
    }

    /// What a pattern reads in a channel.
    fn reading(&self, plus: &[u32], minus: Option<&[u32]>, g: usize) -> f32 {
        let counts = plus.iter().enumerate().map(|(t, &plus)| {
            self.weight(g, t) * (f64::from(plus) - minus.map_or(0.0, |m| f64::from(m[t])))
        });
        counts.sum::<f64>() as f32
    }

    /// The covariance of what it reads in two channels.
    fn covariance(&self, plus: &[u32], minus: Option<&[u32]>, (g, other): (usize, usize)) -> f32 {
        let counts = plus.iter().enumerate().map(|(t, &plus)| {
            let counted = f64::from(plus) + minus.map_or(0.0, |m| f64::from(m[t]));
            self.weight(g, t) * self.weight(other, t) * counted
        });
        counts.sum::<f64>() as f32
    }

    /// Reduces the histograms of a frame's m patterns, (m × T), and of their complements, (m × T), to its readings,
    /// y\[g·m + j\], (J·m), and returns its gain: α such that αN₀, `noise` being N₀, (J × J), has as much variance as the
    /// readings, those at `missing` left out.
    ///
    /// # Errors
    /// Where an array has another length, or no photon was counted for any reading that is there.
    pub fn reduce_frame(
        &self,
        plus: &[u32],
        minus: Option<&[u32]>,
        (noise, missing): (&[f32], &[u32]),
        y: &mut [f32],
    ) -> Result<f32, HistogramError> {
        let (bins, channels) = (self.bins, self.channels);
        let readings = y.len() / channels;
        expect("readings", readings * channels, y.len())?;
        expect("counts of all patterns", readings * bins, plus.len())?;
        let complement = minus.map_or(plus.len(), <[u32]>::len);
        expect("counts of all complements", plus.len(), complement)?;
        expect("nominal covariances", channels * channels, noise.len())?;
        let mut present = vec![true; y.len()];
        for &i in missing {
            if let Some(present) = present.get_mut(i as usize) {
                *present = false;
            }
        }
        let (mut found, mut nominal) = (0.0, 0.0);
        for (j, plus) in plus.chunks_exact(bins).enumerate() {
            let minus = minus.map(|minus| &minus[j * bins..(j + 1) * bins]);
            for g in 0..channels {
                let at = g * readings + j;
                y[at] = self.reading(plus, minus, g);
                if present[at] {
                    found += f64::from(self.covariance(plus, minus, (g, g)));
                    nominal += f64::from(noise[g * (channels + 1)]);
                }
            }
        }
        if found <= 0.0 {
            return Err(HistogramError::Dark);
        }
        Ok((found / nominal) as f32)
    }

    /// c_g(t).
    fn weight(&self, g: usize, t: usize) -> f64 {
        f64::from(self.weights[g * self.bins + t])
    }
}

fn expect(what: &'static str, expected: usize, got: usize) -> Result<(), HistogramError> {
    if got == expected {
        return Ok(());
    }
    Err(HistogramError::Length {
        what,
        expected,
        got,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    use rand_distr::{Distribution, Poisson};

    fn binning() -> Binning {
        Binning {
            bins: 40,
            bin_m: 0.5,
            first_bin_range_m: -4.0,
            range_power: 2,
            gate: 8..40,
            background: 0..6,
        }
    }

    fn knots() -> Knots {
        Knots::new(vec![1.0, 5.0, 11.0]).unwrap()
    }

    fn reduce(binning: &Binning, plus: &[u32], minus: Option<&[u32]>) -> (Vec<f32>, Vec<f32>) {
        let (mut y, mut covariance) = (vec![0.0; 3], vec![0.0; 9]);
        let reduction = Reduction::new(binning, &knots(), 0.5).unwrap();
        reduction
            .reduce(plus, minus, &mut y, &mut covariance)
            .unwrap();
        (y, covariance)
    }

    #[test]
    fn photons_count_where_they_fall() {
        let mut plus = vec![0; 40];
        plus[18] = 10; // 5 m: channel 1
        plus[24] = 4; // 8 m: half each
        plus[39] = 7; // 15.5 m: beyond the last knot
        plus[7] = 90; // outside the gate
        let (y, covariance) = reduce(&binning(), &plus, None);
        assert_eq!(y, [0.0, 0.5 * (250.0 + 128.0), 0.5 * 128.0]);
        assert_eq!(covariance[4], 0.25 * (10.0 * 625.0 + 4.0 * 32.0 * 32.0));
        assert_eq!(covariance[5], 0.25 * 4.0 * 32.0 * 32.0);
        assert_eq!((covariance[7], covariance[0]), (covariance[5], 0.0));
        let mut minus = vec![0; 40];
        minus[18] = 4;
        let (less, more) = reduce(&binning(), &plus, Some(&minus));
        assert_eq!(less[1], y[1] - 0.5 * 100.0);
        assert_eq!(more[4], covariance[4] + 0.25 * 4.0 * 625.0);
    }

    #[test]
    fn before_the_first_knot_all_is_the_first_channel() {
        let mut flat = binning();
        flat.range_power = 0;
        flat.gate = 6..40;
        let mut plus = vec![0; 40];
        (plus[6], plus[9]) = (3, 5); // −1 m and 0.5 m
        assert_eq!(reduce(&flat, &plus, None).0, [4.0, 0.0, 0.0]);
    }

    #[test]
    fn a_background_is_subtracted() {
        let mut plus = vec![20; 40];
        plus[18] += 10;
        let (y, _) = reduce(&binning(), &plus, None);
        for (got, expected) in y.into_iter().zip([0.0, 125.0, 0.0]) {
            assert!((got - expected).abs() < 1e-2, "{got} m² for {expected} m²");
        }
    }

    /// The covariance stated, against that of 20,000 drawn histograms, background estimated in each.
    #[test]
    fn the_covariance_is_that_of_the_draws() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let expected = |t: usize| match t {
            15 => 9.0,
            19..22 => 30.0,
            _ => 4.0,
        };
        let mut draw = || -> Vec<u32> {
            (0..40)
                .map(|t| Poisson::new(expected(t)).unwrap().sample(&mut rng) as u32)
                .collect()
        };
        let draws = 20_000;
        let (mut sum, mut square, mut stated) = ([0.0f64; 3], [0.0f64; 9], [0.0f64; 9]);
        for _ in 0..draws {
            let (plus, minus) = (draw(), draw());
            let (y, covariance) = reduce(&binning(), &plus, Some(&minus));
            for g in 0..3 {
                sum[g] += f64::from(y[g]);
                for h in 0..3 {
                    square[3 * g + h] += f64::from(y[g]) * f64::from(y[h]);
                    stated[3 * g + h] += f64::from(covariance[3 * g + h]);
                }
            }
        }
        let n = f64::from(draws);
        for g in 0..3 {
            for h in 0..3 {
                let drawn = square[3 * g + h] / n - sum[g] * sum[h] / (n * n);
                let scale = (stated[4 * g] * stated[4 * h]).sqrt() / n;
                let error = (drawn - stated[3 * g + h] / n).abs() / scale;
                assert!(error < 0.03, "{g}, {h}: {error}");
            }
        }
    }

    #[test]
    fn a_frame_has_its_readings_and_their_gain() {
        let reduction = Reduction::new(&binning(), &knots(), 0.5).unwrap();
        let mut plus = vec![0; 80];
        (plus[18], plus[40 + 18]) = (10, 30);
        let mut noise = vec![0.0; 9];
        (noise[0], noise[4], noise[8]) = (1.0, 2.0, 1.0);
        let mut y = vec![0.0; 6];
        let mut reduce = |plus: &[u32], missing: &[u32]| {
            let gain = reduction.reduce_frame(plus, None, (&noise, missing), &mut y);
            gain.map(|gain| (y.clone(), gain))
        };
        let (y, gain) = reduce(&plus, &[]).unwrap();
        assert_eq!(y, [0.0, 0.0, 125.0, 375.0, 0.0, 0.0]);
        assert_eq!(gain, 0.25 * 625.0 * 20.0 / 4.0);
        plus[40 + 18] = u32::MAX; // saturated, and said to be
        let (_, gain) = reduce(&plus, &[1, 3, 5]).unwrap();
        assert_eq!(gain, 0.25 * 625.0 * 10.0 / 4.0);
        let (_, of_one) = reduce(&plus, &[1, 3, 4, 5, 77]).unwrap();
        assert_eq!(of_one, 0.25 * 625.0 * 10.0 / 3.0);
        plus.fill(0);
        assert_eq!(reduce(&plus, &[]), Err(HistogramError::Dark));
        let short = reduce(&plus[1..], &[]);
        assert!(matches!(short, Err(HistogramError::Length { got: 79, .. })));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let fault = |change: fn(&mut Binning)| {
            let mut bad = binning();
            change(&mut bad);
            Reduction::new(&bad, &knots(), 1.0).unwrap_err()
        };
        assert_eq!(fault(|b| b.bins = 0), HistogramError::Bins { got: 0 });
        assert_eq!(
            fault(|b| b.bins = 1 << 17),
            HistogramError::Bins { got: 1 << 17 }
        );
        assert!(matches!(
            fault(|b| b.bin_m = f32::NAN),
            HistogramError::Range { .. }
        ));
        assert_eq!(
            fault(|b| b.range_power = 1),
            HistogramError::RangePower { got: 1 }
        );
        let window = |change| match fault(change) {
            HistogramError::Window { what, .. } => what,
            other => panic!("{other}"),
        };
        assert_eq!(window(|b| b.gate = 8..41), "gate");
        assert_eq!(window(|b| b.gate = 8..8), "gate");
        assert_eq!(window(|b| b.background = 41..41), "background");
        assert_eq!(
            Reduction::new(&binning(), &knots(), 0.0),
            Err(HistogramError::Worth { got: 0.0 })
        );
        let reduction = Reduction::new(&binning(), &knots(), 1.0).unwrap();
        let (mut y, mut covariance) = ([0.0; 3], [0.0; 9]);
        let short = reduction.reduce(&[0; 40], Some(&[0; 39]), &mut y, &mut covariance);
        assert_eq!(
            short,
            Err(HistogramError::Length {
                what: "counts of the complement",
                expected: 40,
                got: 39
            })
        );
    }
}
