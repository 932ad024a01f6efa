//! Single frames as each method recovers them, to be looked at.

use super::EvalError;
use super::entrant::{entered, models};
use super::methods::Comparison;
use crate::frame::RangeImage;
use crate::metrics::RangeErrors;
use crate::prior::Prior;

/// One frame as each method recovers it, tracked.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// what it shows
    pub scene: String,
    /// m/n
    pub fraction: f64,
    /// standard deviation of the noise, as in [`MethodRow::noise`](super::MethodRow::noise)
    pub noise: f64,
    /// κ_J, m
    pub max_range_m: f32,
    /// what was there
    pub truth: RangeImage,
    /// by name of the method, what it recovered and its range RMSE, m
    pub recovered: Vec<(String, RangeImage, f64)>,
}

/// The first scored frame of the first `scenes` simulated scenes and of each recorded sequence, by each method, tracked, from
/// about `fraction` of the pixels, and of each log.
///
/// # Errors
/// As [`super::methods`].
pub fn examples(
    prior: &Prior,
    comparison: &Comparison,
    scenes: usize,
    fraction: f64,
) -> Result<Vec<Example>, EvalError> {
    let options = &comparison.options;
    let models = models(prior, &comparison.methods);
    let stages = comparison.stages(prior)?;
    let chosen = stages.iter().filter(|stage| !stage.logged());
    let distance = |other: f64| (other / fraction).ln().abs();
    let nearest = chosen.map(|stage| distance(stage.at.fraction));
    let nearest = nearest.fold(f64::INFINITY, f64::min);
    let mut examples = vec![];
    for stage in &stages {
        if !stage.logged() && distance(stage.at.fraction) > nearest {
            continue;
        }
        let max_range_m = stage.sensor.knots.max();
        let mut entrants = entered(&models, comparison, &stage.sensor, true)?;
        for index in 0..stage.len(options).min(scenes) {
            let (scene, mut run) = stage.run(index, options);
            let Some(first) = run.iter().position(|(_, truth)| truth.is_some()) else {
                continue;
            };
            run.truncate(first + 1);
            let Some((_, Some(truth))) = run.last() else {
                continue;
            };
            let mut recovered = vec![];
            for entrant in &mut entrants {
                let frame = entrant.recover(&scene, &run)?;
                let mut errors = RangeErrors::default();
                errors.add(&frame, truth, max_range_m);
                recovered.push((entrant.name.to_owned(), frame, errors.range_rmse_m()));
            }
            examples.push(Example {
                scene,
                fraction: stage.at.fraction,
                noise: stage.at.noise,
                max_range_m,
                truth: truth.clone(),
                recovered,
            });
        }
    }
    Ok(examples)
}
