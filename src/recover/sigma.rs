//! Standard deviation of each pixel's range: what the posterior says by linearisation, what its surroundings say of edges,
//! what the unrolled network has changed, and the errors that frames of that kind have had.
//!
//! Weights are those of the largest likelihood of errors of tuning scenes under Student's distribution, whose tails are about
//! as heavy (two degrees of freedom). Of what the readings leave unseen of the rest they wanted nothing.

use super::columns::Columns;
use super::model::Model;
use crate::frame::{Knots, RangeImage};
use crate::prior::Matrix;
use std::sync::Arc;

/// Weight of the state's posterior variance: refinement has taken part of it away.
const STATE: f32 = 0.25;
/// Weight of the spread of ranges among the 3 × 3 pixels around: edges are unsure of their place.
const AROUND: f32 = 0.25;
/// Weights of the square of what the unrolled network has changed a range by, of the pixel and of the 3 × 3 about it: what it
/// draws is likely, and where readings said otherwise, one of the two errs.
const CHANGED: [f32; 2] = [0.08, 0.11];
/// Variance of a range over its square.
const RELATIVE: f32 = 2e-4;
/// Least variance, over κ_J².
const LEAST: f32 = 1e-8;
/// Share s of the rest that readings see at which variances are as weighed, and the power of it that they fall with.
const AT: (f32, f32) = (0.02, 0.25);
/// Power of 1 − s that they fall with besides, and the least that counts.
const UNSEEN: (f32, f32) = (2.0, 0.05);
/// Least return of a pair that a range is read from, at the return that the prior knows.
const LEAST_RETURN: f32 = 0.02;

/// σ before and after calibration, over κ_J: what `relucent eval --calibrate` printed for the default method on tuning scenes,
/// tracked, at m/n of 1, 2, 5, 10 and 25 % together. Straight lines between in logarithms.
const CALIBRATION: [(f32, f32); 24] = [
    (0.00044, 0.00051),
    (0.00063, 0.00076),
    (0.00080, 0.00095),
    (0.00094, 0.00118),
    (0.00107, 0.00139),
    (0.00122, 0.00164),
    (0.00137, 0.00189),
    (0.00153, 0.00213),
    (0.00170, 0.00243),
    (0.00189, 0.00273),
    (0.00210, 0.00296),
    (0.00235, 0.00348),
    (0.00263, 0.00403),
    (0.00296, 0.00458),
    (0.00338, 0.00530),
    (0.00390, 0.00644),
    (0.00459, 0.00768),
    (0.00551, 0.00937),
    (0.00674, 0.01196),
    (0.00850, 0.01672),
    (0.01117, 0.02372),
    (0.01564, 0.03373),
    (0.02491, 0.04579),
    (0.05252, 0.06969),
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
        let unseen = (1.0 - evidence.seen).max(UNSEEN.1).powf(UNSEEN.0);
        let level = unseen * (evidence.seen / AT.0).powf(-AT.1);
        let (rows, cols) = self.grid;
        let mut changed = RangeImage::empty(rows, cols);
        let ranges = frame.range.iter().zip(evidence.before);
        let ranges = ranges.map(|(range, before)| range - before);
        let changes = changed.range.iter_mut().zip(ranges);
        changes.for_each(|(change, by)| *change = by);
        let mut sigma = std::mem::take(&mut frame.range_sigma);
        sigma.clear();
        sigma.extend((0..rows * cols).map(|pixel| {
            let (row, col) = (pixel / cols, pixel % cols);
            let range = frame.range[pixel] / knots.max();
            let local = AROUND * around(frame, row, col, frame.range[pixel]);
            let changed = CHANGED[0] * changed.range[pixel].powi(2)
                + CHANGED[1] * around(&changed, row, col, 0.0);
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

/// Mean square difference from `own` of the ranges of a pixel and its neighbours, m².
fn around(frame: &RangeImage, row: usize, col: usize, own: f32) -> f32 {
    let span = |at: usize, len: usize| at.saturating_sub(1)..(at + 2).min(len);
    let columns = span(col, frame.cols);
    let (mut sum, mut count) = (0.0, 0.0f32);
    for row in span(row, frame.rows) {
        let line = &frame.range[row * frame.cols..][columns.clone()];
        sum += line.iter().map(|r| (r - own).powi(2)).sum::<f32>();
        count += line.len() as f32;
    }
    sum / count
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
    fn ranges_are_surest_where_light_is_strong_and_all_around_is_level() {
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
            sigma[1] > 1.5 * sigma[2] && sigma[2] > 1.1 * alike[2],
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
}
