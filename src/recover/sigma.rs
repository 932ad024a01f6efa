//! Standard deviation of each pixel's range: what the posterior says by linearisation, how far its surroundings are from a plane,
//! what the unrolled network has changed, and the errors that frames of that kind have had.
//!
//! Weights are those of the largest likelihood of errors of tuning scenes under Student's distribution, whose tails are about
//! as heavy (two degrees of freedom).

use super::columns::Columns;
use super::model::Model;
use crate::frame::{Knots, RangeImage};
use crate::pool::Buffer;
use crate::prior::Matrix;
use std::sync::Arc;

/// Weight of the state's posterior variance: refinement has taken part of it away.
const STATE: f32 = 0.009;
/// Weights of [`unevenness`]: edges are unsure of their place, and slopes are not.
const UNEVEN: [f32; 2] = [0.32, 0.22];
/// Weight of the square of what the unrolled network has changed the ranges of the 3 × 3 pixels around by: what it draws is likely,
/// and where readings said otherwise, one of the two errs.
const CHANGED: f32 = 0.002;
/// Variance of a range over its square.
const RELATIVE: f32 = 5e-6;
/// Least variance, over κ_J².
const LEAST: f32 = 1e-10;
/// Bounds of the share s of the rest that readings see, as it counts: all variances go with (1 − s)/s.
const SEEN: (f32, f32) = (0.01, 0.95);
/// Least return of a pair that a range is read from, at the return that the prior knows.
const LEAST_RETURN: f32 = 0.02;

/// σ before and after calibration, over κ_J: what `relucent eval --calibrate` printed for the default method on tuning scenes,
/// tracked, at m/n of 1, 2, 5, 10 and 25 % together. Straight lines between in logarithms.
const CALIBRATION: [(f32, f32); 24] = [
    (0.00029, 0.00035),
    (0.00042, 0.00058),
    (0.00054, 0.00076),
    (0.00066, 0.00093),
    (0.00079, 0.00110),
    (0.00092, 0.00128),
    (0.00105, 0.00152),
    (0.00120, 0.00181),
    (0.00137, 0.00211),
    (0.00155, 0.00243),
    (0.00175, 0.00283),
    (0.00199, 0.00330),
    (0.00227, 0.00379),
    (0.00262, 0.00442),
    (0.00306, 0.00526),
    (0.00364, 0.00633),
    (0.00441, 0.00773),
    (0.00548, 0.00977),
    (0.00707, 0.01308),
    (0.00951, 0.01779),
    (0.01355, 0.02391),
    (0.02111, 0.03299),
    (0.03904, 0.04920),
    (0.10739, 0.06403),
];

/// Makes the variances of the images of a model's states, at one pixel of each block.
#[derive(Clone, Debug)]
pub(super) struct Sampler {
    /// side of a block, pixels
    block: usize,
    /// rows and columns of pixels
    grid: (usize, usize),
    /// the model's images of features and errors at those pixels
    columns: Arc<[Matrix; 2]>,
}

/// What σ of one frame is made from.
pub(super) struct Evidence<'a> {
    /// variance of x that the state's posterior leaves, (J·blocks)
    pub(super) state: Vec<f32>,
    /// the image, at the return that the prior knows, (J·n)
    pub(super) x: &'a [f32],
    /// share of the rest's variance that the readings see
    pub(super) seen: f32,
    /// ranges before the unrolled network, m, (n); empty where there was none
    pub(super) before: &'a [f32],
}

impl Sampler {
    /// `block` is at least 1.
    pub(super) fn new(model: &Model, grid: (usize, usize), block: usize) -> Self {
        let thin = |columns: &Columns| columns.thinned(|image| thin(grid, block, image));
        Self {
            columns: Arc::new([thin(&model.head), thin(&model.error)]),
            block,
            grid,
        }
    }

    /// Where a pixel's block stands among the blocks of a channel.
    fn block_of(&self, row: usize, col: usize) -> usize {
        row / self.block * self.grid.1.div_ceil(self.block) + col / self.block
    }

    /// Variance of x that `draws` of v − v̂ about a state v̂, (k + q), show, (J·blocks).
    pub(super) fn variance(
        &self,
        model: &Model,
        state: &[f32],
        draws: &[f32],
        trust: &[f32],
    ) -> Vec<f32> {
        let trust = thin(self.grid, self.block, trust);
        model.variance(&self.columns, state, draws, &trust)
    }

    /// Writes σ of a frame that was read out; raw where it is to be calibrated.
    pub(super) fn sigma(
        &self,
        evidence: &Evidence<'_>,
        knots: &Knots,
        raw: bool,
        frame: &mut RangeImage,
    ) {
        let seen = evidence.seen.clamp(SEEN.0, SEEN.1);
        let level = (1.0 - seen) / seen;
        let (rows, cols) = self.grid;
        let ranges = frame.range.iter().zip(evidence.before);
        let changed: Buffer<f32> = ranges.map(|(range, before)| range - before).collect();
        let mut sigma = std::mem::take(&mut frame.range_sigma);
        sigma.clear();
        sigma.extend((0..rows * cols).map(|pixel| {
            let (row, col) = (pixel / cols, pixel % cols);
            let range = frame.range[pixel] / knots.max();
            let [edge, own] = unevenness(frame, row, col);
            let local = UNEVEN[0] * edge + UNEVEN[1] * own;
            let changed = CHANGED * mean_square(&changed, self.grid, row, col);
            let variance = self.linearised(evidence, knots, range, pixel)
                + (local + changed) / knots.max().powi(2)
                + RELATIVE * range * range
                + LEAST;
            let sigma = (level * variance).sqrt();
            knots.max() * if raw { sigma } else { calibrated(sigma) }
        }));
        frame.range_sigma = sigma;
    }

    /// Variance of a pixel's range over κ_J², from r = Σ κ x / Σ x over its strongest pair: Σ_g ((κ_g − r)/s)² Var x_g.
    fn linearised(&self, evidence: &Evidence<'_>, knots: &Knots, range: f32, pixel: usize) -> f32 {
        let (n, cols) = (self.grid.0 * self.grid.1, self.grid.1);
        let blocks = evidence.state.len() / knots.channels();
        let block = self.block_of(pixel / cols, pixel % cols);
        let x = |g: usize| evidence.x[g * n + pixel].max(0.0);
        let pairs = (0..knots.channels().saturating_sub(1)).map(|g| (x(g) + x(g + 1), g));
        let strongest = pairs.max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((s, lower)) = strongest else {
            return 0.0; // one channel tells no range
        };
        let of_channel = |g: usize| {
            let lever = (knots.metres()[g] / knots.max() - range) / s.max(LEAST_RETURN);
            lever * lever * STATE * evidence.state[g * blocks + block]
        };
        of_channel(lower) + of_channel(lower + 1)
    }
}

/// Mean square of what the ranges of a pixel and its neighbours leave of the plane that fits them best, and the square of what lies
/// between its own and their mean, m². Beyond the border they go on as they end.
fn unevenness(frame: &RangeImage, row: usize, col: usize) -> [f32; 2] {
    let beside = |at: usize, len: usize| [at.saturating_sub(1), at, (at + 1).min(len - 1)];
    let (columns, own) = (beside(col, frame.cols), frame.range[row * frame.cols + col]);
    let (mut sum, mut squares, mut across, mut down) = (0.0, 0.0, 0.0, 0.0);
    for (y, row) in beside(row, frame.rows).into_iter().enumerate() {
        for (x, col) in columns.into_iter().enumerate() {
            let over = frame.range[row * frame.cols + col] - own;
            sum += over;
            squares += over * over;
            across += (x as f32 - 1.0) * over;
            down += (y as f32 - 1.0) * over;
        }
    }
    let mean = sum / 9.0;
    let plane = (across * across + down * down) / 54.0; // of slopes across/6 and down/6
    [(squares / 9.0 - mean * mean - plane).max(0.0), mean * mean]
}

/// Mean square of the values of a pixel and its neighbours; 0 where there are none.
fn mean_square(values: &[f32], (rows, cols): (usize, usize), row: usize, col: usize) -> f32 {
    let span = |at: usize, len: usize| at.saturating_sub(1)..(at + 2).min(len);
    let columns = span(col, cols);
    let lines = span(row, rows).filter_map(|row| values.get(row * cols..(row + 1) * cols));
    let (mut sum, mut count) = (0.0, 0.0f32);
    for line in lines {
        let line = &line[columns.clone()];
        sum += line.iter().map(|v| v * v).sum::<f32>();
        count += line.len() as f32;
    }
    sum / count.max(1.0)
}

/// σ as [`CALIBRATION`] corrects it; what lies beyond its ends is taken for them.
fn calibrated(raw: f32) -> f32 {
    let above = CALIBRATION.partition_point(|(at, _)| *at < raw);
    if above == 0 || above == CALIBRATION.len() {
        return CALIBRATION[above.min(CALIBRATION.len() - 1)].1;
    }
    let (low, high) = (CALIBRATION[above - 1], CALIBRATION[above]);
    let share = (raw / low.0).ln() / (high.0 / low.0).ln();
    low.1 * (high.1 / low.1).powf(share)
}

/// One pixel of each block of an image or of its channels.
fn thin((rows, cols): (usize, usize), block: usize, image: &[f32]) -> Vec<f32> {
    let lines = image.chunks_exact(cols).enumerate();
    let lines = lines.filter(|(line, _)| (line % rows).is_multiple_of(block));
    lines
        .flat_map(|(_, line)| line.iter().step_by(block).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_rises() {
        for pair in CALIBRATION.windows(2) {
            assert!(pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1, "{pair:?}");
        }
        let (first, last) = (CALIBRATION[0], CALIBRATION[CALIBRATION.len() - 1]);
        assert_eq!(calibrated(0.0), first.1);
        assert_eq!(calibrated(2.0), last.1);
        for (raw, sigma) in CALIBRATION {
            assert!((calibrated(raw) / sigma - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn ranges_are_surest_where_light_is_strong_and_surfaces_are_even() {
        let knots = Knots::even(3, 30.0).unwrap();
        let sampler = Sampler {
            block: 2,
            grid: (3, 8),
            columns: Arc::default(),
        };
        let mut frame = RangeImage::empty(3, 8);
        frame.range.fill(20.0);
        frame.range[8 + 6] = 28.0; // a step, far from the pixels that are compared otherwise
        let mut x = vec![0.0; 3 * 24];
        x[24..].fill(0.5);
        x[24 + 9] = 0.1; // (1, 1) is dark
        x[48 + 9] = 0.1;
        let evidence = Evidence {
            state: vec![0.01; 3 * 8],
            x: &x,
            seen: 0.02,
            before: &[],
        };
        sampler.sigma(&evidence, &knots, true, &mut frame);
        let alike = frame.range_sigma.clone();
        let mut before = frame.range.clone();
        before[1] += 5.0;
        let changed = Evidence {
            before: &before,
            ..evidence
        };
        sampler.sigma(&changed, &knots, true, &mut frame);
        let sigma = &frame.range_sigma;
        assert!(
            (0..3).all(|pixel| sigma[pixel] > 1.1 * alike[pixel]) && sigma[3] == alike[3],
            "changed: {sigma:?}"
        );
        frame.range_sigma = alike;
        let sigma = &frame.range_sigma;
        assert_eq!(sigma.len(), 24);
        assert!(sigma[9] > 1.5 * sigma[8], "dark: {sigma:?}");
        assert!(sigma[8 + 5] > 2.0 * sigma[8], "beside a step: {sigma:?}");
        assert_eq!(sigma[0], sigma[16]);
        assert_eq!(sampler.block_of(2, 7), 7);
        assert_eq!(thin((3, 8), 2, &[1.0; 72]).len(), 24);
    }

    #[test]
    fn a_slope_is_as_even_as_a_wall() {
        let mut frame = RangeImage::empty(5, 6);
        let slope =
            |(i, range): (usize, &mut f32)| *range = 9.0 + 0.5 * (i % 6) as f32 - (i / 6) as f32;
        frame.range.iter_mut().enumerate().for_each(slope);
        assert!(unevenness(&frame, 2, 3).iter().all(|uneven| *uneven < 1e-9));
        assert!(
            unevenness(&frame, 0, 0)[0] > 0.01,
            "nothing is known beyond"
        );
        frame.range[2 * 6 + 3] += 9.0;
        let [edge, own] = unevenness(&frame, 2, 3);
        assert!(
            (edge - 8.0).abs() < 1e-4 && (own - 64.0).abs() < 1e-4,
            "{edge} {own}"
        );
        let [edge, own] = unevenness(&frame, 1, 2);
        assert!(edge > 1.0 && (own - 1.0).abs() < 1e-4, "{edge} {own}");
        assert_eq!(mean_square(&[3.0; 30], (5, 6), 0, 5), 9.0);
        assert_eq!(mean_square(&[], (5, 6), 4, 0), 0.0);
    }
}
