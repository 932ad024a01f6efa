//! Range channels: hat functions between knots, and the read-out back to range.

use super::RangeImage;
use crate::simd::kernel;

/// Range knots κ₁ < … < κ_J, m.
///
/// A pixel with return s at range r puts s·w_g(r) into channel g, where w_g is the hat function of knot g: linear
/// between knots, w₁ = 1 below κ₁ (the nearest obstacles are never lost), nothing beyond κ_J. The channels are
/// linear in s and sum to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Knots(Vec<f32>);

/// Why a list of numbers is no list of knots.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KnotsError {
    /// too few or too many knots
    #[error("expected 1 to {max} range knots, got {got}", max = Knots::MAX)]
    Count {
        /// how many there were
        got: usize,
    },
    /// not finite, negative, or not above its predecessor
    #[error(
        "expected range knots finite, ≥ 0 and strictly increasing, got {value} m as knot {index}"
    )]
    Order {
        /// position of the offending knot
        index: usize,
        /// its value, m
        value: f32,
    },
}

impl Knots {
    /// The most channels a sensor may have.
    pub const MAX: usize = 64;

    /// Knots at the given ranges, m.
    ///
    /// # Errors
    /// Where there are none or more than [`Knots::MAX`], or they are not finite, ≥ 0 and strictly increasing.
    pub fn new(metres: Vec<f32>) -> Result<Self, KnotsError> {
        if metres.is_empty() || metres.len() > Self::MAX {
            return Err(KnotsError::Count { got: metres.len() });
        }
        let mut floor = -f32::MIN_POSITIVE;
        for (index, &value) in metres.iter().enumerate() {
            if !value.is_finite() || value <= floor {
                return Err(KnotsError::Order { index, value });
            }
            floor = value;
        }
        Ok(Self(metres))
    }

    /// `channels` knots evenly from 0 to `max` metres (one knot: at `max`).
    ///
    /// # Errors
    /// As [`Knots::new`].
    pub fn even(channels: usize, max: f32) -> Result<Self, KnotsError> {
        if channels == 1 {
            return Self::new(vec![max]);
        }
        Self::new(
            (0..channels)
                .map(|g| max * g as f32 / (channels.max(2) - 1) as f32)
                .collect(),
        )
    }

    /// Number of channels, J.
    pub fn channels(&self) -> usize {
        self.0.len()
    }

    /// The knots, m, (J).
    pub fn metres(&self) -> &[f32] {
        &self.0
    }

    /// κ_J, the range beyond which there is no return, m.
    pub fn max(&self) -> f32 {
        self.0[self.0.len() - 1]
    }

    /// The knots divided by κ_J, (J): what a prior knows of range.
    pub fn relative(&self) -> Vec<f32> {
        self.0.iter().map(|k| k / self.max()).collect()
    }

    /// The same knots with κ_J moved to `max` metres.
    ///
    /// # Errors
    /// Where `max` is not a positive number.
    pub fn scaled_to(&self, max: f32) -> Result<Self, KnotsError> {
        Self::new(self.relative().into_iter().map(|k| k * max).collect())
    }

    /// Where range `r` lies: the lower channel of its pair and the weight of the upper one; `None` beyond κ_J.
    pub fn locate(&self, r: f32) -> Option<(usize, f32)> {
        if r.is_nan() || r > self.max() {
            return None;
        }
        let upper = self.0.partition_point(|&k| k < r);
        if upper == 0 || self.0.len() == 1 {
            return Some((0, 0.0));
        }
        let (near, far) = (self.0[upper - 1], self.0[upper]);
        Some((upper - 1, (r - near) / (far - near)))
    }

    /// Hat function w_g(r), unitless in [0, 1].
    pub fn weight(&self, g: usize, r: f32) -> f32 {
        match self.locate(r) {
            Some((lower, _)) if g < lower => 0.0,
            Some((lower, t)) if g == lower => 1.0 - t,
            Some((lower, t)) if g == lower + 1 => t,
            _ => 0.0,
        }
    }

    /// The channels of an image: x[g·n + i] = s_i·w_g(r_i), (J·n), into `x`.
    ///
    /// # Panics
    /// Where `x` is not J·n long.
    pub fn split(&self, image: &RangeImage, x: &mut [f32]) {
        let n = image.pixels();
        assert_eq!(x.len(), self.channels() * n, "channels × pixels");
        x.fill(0.0);
        for i in 0..n {
            if !image.valid[i] {
                continue;
            }
            if let Some((g, t)) = self.locate(image.range[i]) {
                x[g * n + i] = image.returns[i] * (1.0 - t);
                if t > 0.0 {
                    x[(g + 1) * n + i] = image.returns[i] * t;
                }
            }
        }
    }

    /// Read-out of channels `x`, (J·n): clip negatives; s = Σ_g x_g; r from the strongest pair of neighbouring
    /// channels, (κ_g x_g + κ_{g+1} x_{g+1}) / (x_g + x_{g+1}); valid where s ≥ `s_min`.
    ///
    /// The range is written for every pixel, valid or not, always within [0, κ_J]: errors are scored before
    /// the test of s. A pixel without any return reads κ_J.
    ///
    /// # Panics
    /// Where `x` is not J·n long.
    pub fn read_out(&self, x: &[f32], s_min: f32, image: &mut RangeImage) {
        let n = image.pixels();
        assert_eq!(x.len(), self.channels() * n, "channels × pixels");
        let (range, returns) = (&mut image.range[..n], &mut image.returns[..n]);
        brightest_pairs(&self.0, x, range, returns);
        let valid = image.valid.iter_mut().zip(&image.returns);
        valid.for_each(|(valid, total)| *valid = *total >= s_min && *total > 0.0);
    }
}

/// Pixels that are read out at a time.
const TOGETHER: usize = 64;

kernel! {
    /// Of each pixel the return of all channels, and the range that the brightest two next to each other say; of one that
    /// nothing returns from, the last knot.
    fn brightest_pairs<'a>(knots: &'a [f32], x: &'a [f32], range: &'a mut [f32], returns: &'a mut [f32]) {
        let n = range.len();
        let most = knots[knots.len() - 1];
        for start in (0..n).step_by(TOGETHER) {
            let len = TOGETHER.min(n - start);
            let (range, total) = (
                &mut range[start..start + len],
                &mut returns[start..start + len],
            );
            let (mut near, mut best) = ([0.0f32; TOGETHER], [0.0f32; TOGETHER]);
            let (near, best) = (&mut near[..len], &mut best[..len]);
            for i in 0..len {
                near[i] = positive(x[start + i]);
                total[i] = near[i];
                range[i] = 0.0;
            }
            for g in 1..knots.len() {
                let far = &x[g * n + start..][..len];
                for i in 0..len {
                    let far = positive(far[i]);
                    let pair = near[i] + far;
                    let weighted = knots[g - 1] * near[i] + knots[g] * far;
                    range[i] = if pair > best[i] { weighted } else { range[i] };
                    best[i] = if pair > best[i] { pair } else { best[i] };
                    total[i] += far;
                    near[i] = far;
                }
            }
            for i in 0..len {
                range[i] = if best[i] > 0.0 {
                    range[i] / best[i]
                } else {
                    most
                };
            }
        }
    }
}

#[inline(always)]
fn positive(v: f32) -> f32 {
    if v > 0.0 { v } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_image_survives_split_and_read_out(
            ranges in proptest::collection::vec(0.0f32..30.0, 12),
            returns in proptest::collection::vec(0.01f32..1.0, 12),
            channels in 2usize..9,
        ) {
            let knots = Knots::even(channels, 30.0).unwrap();
            let image = RangeImage { rows: 3, cols: 4, range: ranges, returns, valid: vec![true; 12], range_sigma: vec![] };
            let mut x = vec![0.0; channels * 12];
            knots.split(&image, &mut x);
            let mut back = RangeImage::empty(3, 4);
            knots.read_out(&x, 0.005, &mut back);
            for i in 0..12 {
                prop_assert!((back.range[i] - image.range[i]).abs() < 1e-3);
                prop_assert!((back.returns[i] - image.returns[i]).abs() < 1e-5);
                prop_assert!(back.valid[i]);
            }
        }
    }

    #[test]
    fn hats_follow_their_knots() {
        let knots = Knots::new(vec![1.0, 2.0, 4.0]).unwrap();
        assert_eq!(knots.weight(0, 0.2), 1.0); // below κ₁
        assert_eq!(knots.weight(0, 1.5), 0.5);
        assert_eq!(knots.weight(1, 3.0), 0.5);
        assert_eq!(knots.weight(2, 4.0), 1.0);
        assert_eq!((0..3).map(|g| knots.weight(g, 4.1)).sum::<f32>(), 0.0); // beyond κ_J
    }

    #[test]
    fn refuses_what_is_no_list_of_knots() {
        assert_eq!(Knots::new(vec![]), Err(KnotsError::Count { got: 0 }));
        assert_eq!(
            Knots::new(vec![1.0, 1.0]),
            Err(KnotsError::Order {
                index: 1,
                value: 1.0
            })
        );
        assert!(Knots::new(vec![0.0, f32::NAN]).is_err());
        assert!(Knots::new(vec![-1.0, 1.0]).is_err());
        assert!(Knots::even(4, 0.0).is_err());
    }
}
