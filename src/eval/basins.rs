//! Does tracking end in the right basin, and at its bottom? Held against a start that knows the truth, and against more steps.

use super::{EvalError, Options};
use crate::clock::Monotonic;
use crate::frame::{Knots, Measurement, RangeImage};
use crate::metrics::median;
use crate::prior::Prior;
use crate::recover::{Limits, StartKind, Tracker};
use crate::sim;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::Serialize;
use std::sync::Arc;

/// When nothing is left to gain.
const CONVERGED: Limits = Limits {
    iterations: 300,
    tolerance: 1e-7,
};

/// How warm frames ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Basins {
    /// sequences seen
    pub sequences: usize,
    /// warm frames among all frames
    pub warm: usize,
    /// frames at which the track was lost
    pub restarted: usize,
    /// median of the linear systems solved for a warm frame
    pub iterations_p50: f64,
    /// median over warm frames of cost / cost reached from the encoder's code of the true frame
    pub cost_ratio_p50: f64,
    /// the largest of these
    pub cost_ratio_max: f64,
    /// the largest cost over warm frames / cost that the same start converges to
    pub converged_ratio_max: f64,
}

/// Tracks `sequences` sequences of `frames` frames at m/n = `ratio`, scenes, pattern sets in turn and noise as the options say, at
/// 30 Hz; at each warm frame the same problem is solved again from the encoder's code of the true frame,
/// and from the same start until nothing is left to gain.
///
/// # Errors
/// Where the prior makes no sensor.
pub fn basins(
    prior: &Prior,
    options: &Options,
    sequences: usize,
    frames: usize,
    ratio: f64,
    progress: &mut dyn FnMut(),
) -> Result<Basins, EvalError> {
    let description = Arc::new(options.sensor(prior, ratio)?);
    let sets = description.patterns.len();
    let knots = Knots::new(description.knots.metres().to_vec())?;
    let rays = sim::rays(prior.rows, prior.cols);
    let settings = options.settings.clone();
    let limits = settings.limits;
    let clock = Monotonic::default();
    let mut tracker = Tracker::new(Arc::clone(&description), prior, settings, clock)?;
    let (mut truth, mut frame) = (RangeImage::default(), RangeImage::default());
    let mut x = vec![0.0; knots.channels() * prior.pixels()];
    let (mut iterations, mut ratios, mut restarted) = (vec![], vec![], 0);
    let mut converged_ratio_max = f64::NAN;
    for sequence in 0..sequences {
        let scene = sim::scene(options.split, sequence as u64);
        let mut rng = ChaCha8Rng::seed_from_u64(sequence as u64);
        tracker.forget();
        for index in 0..frames {
            let time_s = index as f64 / 30.0;
            scene.cast(&rays, time_s as f32, sim::MAX_RANGE, &mut truth);
            let measurement = Measurement {
                sequence: index as u64,
                stamp_ns: (time_s * 1e9) as u64,
                ..sim::measure(&description, index % sets, &truth, options.noise, &mut rng)
            };
            knots.split(&truth, &mut x);
            prior.scale_to_known_return(&mut x);
            let code = prior.encode(&x);
            let informed = tracker.warm_cost(&measurement, Some(&code), limits)?;
            let converged = tracker.warm_cost(&measurement, None, CONVERGED)?;
            let report = tracker.recover(&measurement, &mut frame)?;
            restarted += usize::from(report.start == StartKind::Restarted);
            let costs = informed.zip(converged);
            if let (StartKind::Warm, Some((informed, converged))) = (report.start, costs) {
                iterations.push(report.iterations as f64);
                ratios.push(report.cost / informed);
                converged_ratio_max = converged_ratio_max.max(report.cost / converged);
            }
        }
        progress();
    }
    Ok(Basins {
        sequences,
        warm: ratios.len(),
        restarted,
        iterations_p50: median(iterations).unwrap_or(f64::NAN),
        cost_ratio_max: ratios.iter().copied().fold(f64::NAN, f64::max),
        converged_ratio_max,
        cost_ratio_p50: median(ratios).unwrap_or(f64::NAN),
    })
}
