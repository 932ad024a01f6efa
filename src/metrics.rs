//! Floor 1: errors of recovered frames, everywhere the same.

use crate::frame::RangeImage;
use serde::Serialize;

/// Sums over pixels, from which errors are made; images are added one by one.
///
/// Range errors count pixels whose true return lies in [0, κ_J], from the read-out before the test of s, clamped to
/// [0, κ_J]. Validity is scored apart, over all pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RangeErrors {
    pixels: u64,
    squares: f64,
    absolutes: f64,
    relatives: f64,
    valid_and_true: u64,
    valid: u64,
    truly_valid: u64,
}

/// What the sums come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RangeSummary {
    /// root mean square error of range, m
    pub range_rmse_m: f64,
    /// mean absolute error of range, m
    pub range_mae_m: f64,
    /// mean of |error| / true range, unitless
    pub abs_rel: f64,
    /// share of the pixels called valid that truly returned
    pub valid_precision: f64,
    /// share of the pixels that truly returned and were called valid
    pub valid_recall: f64,
}

impl RangeErrors {
    /// Counts in one frame; κ_J is `max_range`, m.
    ///
    /// # Panics
    /// Where the images differ in size.
    pub fn add(&mut self, recovered: &RangeImage, truth: &RangeImage, max_range: f32) {
        assert_eq!(
            (recovered.rows, recovered.cols),
            (truth.rows, truth.cols),
            "rows, cols"
        );
        for i in 0..truth.pixels() {
            let counts = truth.valid[i] && (0.0..=max_range).contains(&truth.range[i]);
            self.valid += u64::from(recovered.valid[i]);
            self.truly_valid += u64::from(counts);
            self.valid_and_true += u64::from(counts && recovered.valid[i]);
            if counts {
                let error = f64::from(recovered.range[i].clamp(0.0, max_range) - truth.range[i]);
                self.pixels += 1;
                self.squares += error * error;
                self.absolutes += error.abs();
                self.relatives += error.abs() / f64::from(truth.range[i]).max(1e-3);
            }
        }
    }

    /// The sums of all.
    pub fn of<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        all.into_iter().for_each(|errors| sum.merge(errors));
        sum
    }

    /// The sums of both.
    pub fn merge(&mut self, other: &Self) {
        self.pixels += other.pixels;
        self.squares += other.squares;
        self.absolutes += other.absolutes;
        self.relatives += other.relatives;
        self.valid_and_true += other.valid_and_true;
        self.valid += other.valid;
        self.truly_valid += other.truly_valid;
    }

    /// The errors; not a number where there was nothing to count.
    pub fn summary(&self) -> RangeSummary {
        let pixels = self.pixels as f64;
        RangeSummary {
            range_rmse_m: (self.squares / pixels).sqrt(),
            range_mae_m: self.absolutes / pixels,
            abs_rel: self.relatives / pixels,
            valid_precision: self.valid_and_true as f64 / self.valid as f64,
            valid_recall: self.valid_and_true as f64 / self.truly_valid as f64,
        }
    }

    /// Root mean square error of range, m.
    pub fn range_rmse_m(&self) -> f64 {
        self.summary().range_rmse_m
    }
}

/// Errors beside the σ that was said of them, pixel by pixel; images are added one by one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coverage {
    /// (σ, |error|), m
    pairs: Vec<(f32, f32)>,
}

/// How many errors lie within what was said of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CoverageSummary {
    /// pixels counted
    pub pixels: usize,
    /// share of errors within 1 σ and within 2 σ
    pub within: [f64; 2],
    /// the same of each tenth of the pixels, those of the least σ first
    pub deciles: Vec<[f64; 2]>,
    /// median σ of each tenth, m
    pub sigma_m: Vec<f64>,
}

impl Coverage {
    /// Counts in one frame; nothing where it says no σ. Errors are those of [`RangeErrors`].
    ///
    /// # Panics
    /// Where the images differ in size.
    pub fn add(&mut self, recovered: &RangeImage, truth: &RangeImage, max_range: f32) {
        assert_eq!(
            (recovered.rows, recovered.cols),
            (truth.rows, truth.cols),
            "rows, cols"
        );
        for (i, &sigma) in recovered.range_sigma.iter().enumerate() {
            if truth.valid[i] && (0.0..=max_range).contains(&truth.range[i]) {
                let error = recovered.range[i].clamp(0.0, max_range) - truth.range[i];
                self.pairs.push((sigma, error.abs()));
            }
        }
    }

    /// Counts in what another has counted.
    pub fn merge(&mut self, other: &Self) {
        self.pairs.extend_from_slice(&other.pairs);
    }

    /// (σ, |error|) of each pixel, m, the least σ first.
    pub fn into_sorted(mut self) -> Vec<(f32, f32)> {
        self.pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.pairs
    }

    /// The shares; not a number where there was nothing to count.
    pub fn summary(self) -> CoverageSummary {
        let pairs = self.into_sorted();
        let within = |pairs: &[(f32, f32)]| {
            [1.0, 2.0].map(|times| {
                let inside = pairs.iter().filter(|(s, e)| *e <= times * s).count();
                inside as f64 / pairs.len() as f64
            })
        };
        let tenths: Vec<&[(f32, f32)]> = (0..10)
            .map(|d| &pairs[d * pairs.len() / 10..(d + 1) * pairs.len() / 10])
            .collect();
        let middle = |tenth: &&[(f32, f32)]| {
            tenth
                .get(tenth.len() / 2)
                .map_or(f64::NAN, |(s, _)| f64::from(*s))
        };
        CoverageSummary {
            pixels: pairs.len(),
            within: within(&pairs),
            deciles: tenths.iter().map(|tenth| within(tenth)).collect(),
            sigma_m: tenths.iter().map(middle).collect(),
        }
    }
}

/// The middle value, the upper one of two; `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(range: [f32; 4], valid: [bool; 4]) -> RangeImage {
        RangeImage {
            rows: 2,
            cols: 2,
            range: range.to_vec(),
            returns: vec![0.5; 4],
            valid: valid.to_vec(),
            range_sigma: vec![],
        }
    }

    #[test]
    fn counts_what_truly_returned_and_clamps() {
        let truth = image([2.0, 10.0, 5.0, 40.0], [true, true, false, true]);
        let recovered = image([3.0, 99.0, 1.0, 1.0], [true, false, true, true]);
        let mut errors = RangeErrors::default();
        errors.add(&recovered, &truth, 12.0); // the pixel at 40 m is beyond κ_J
        let summary = errors.summary();
        assert!((summary.range_rmse_m - (5.0f64 / 2.0).sqrt()).abs() < 1e-9);
        assert!((summary.range_mae_m - 1.5).abs() < 1e-9);
        assert!((summary.abs_rel - (0.5 + 0.2) / 2.0).abs() < 1e-9);
        assert!((summary.valid_precision - 1.0 / 3.0).abs() < 1e-9);
        assert!((summary.valid_recall - 0.5).abs() < 1e-9);
        let mut twice = errors;
        twice.merge(&errors);
        assert_eq!(twice.range_rmse_m(), errors.range_rmse_m());
    }

    #[test]
    fn coverage_counts_errors_within_what_was_said() {
        let truth = image([2.0, 10.0, 5.0, 40.0], [true, true, true, true]);
        let mut recovered = image([3.0, 8.5, 5.1, 1.0], [true; 4]);
        let mut coverage = Coverage::default();
        coverage.add(&recovered, &truth, 12.0);
        assert!(coverage.clone().summary().within[0].is_nan(), "no σ");
        recovered.range_sigma = vec![0.4, 1.0, 0.2, 9.0];
        coverage.add(&recovered, &truth, 12.0); // errors 1, 1.5 and 0.1, the fourth beyond κ_J
        let summary = coverage.summary();
        assert_eq!(summary.pixels, 3);
        assert_eq!(summary.within, [1.0 / 3.0, 2.0 / 3.0]);
        assert_eq!(summary.deciles.len(), 10);
        assert_eq!(summary.deciles[9], [0.0, 1.0], "the largest σ");
    }

    #[test]
    fn median_of_nothing_is_nothing() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
    }
}
