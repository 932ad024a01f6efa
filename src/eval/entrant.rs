//! A method at work on frames, cold or tracked, and what came of it.

use super::EvalError;
use super::footage::Run;
use super::methods::{ALL_SCENES, Comparison};
use super::problem::{At, Problem};
use crate::clock::Monotonic;
use crate::frame::RangeImage;
use crate::metrics::{RangeErrors, median};
use crate::prior::Prior;
use crate::recover::{ErrorModel, Method, Model, Settings, Tracker};
use crate::sensing::SensorDescription;
use serde::Serialize;
use std::sync::Arc;

/// Errors of one method on one kind of scene.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MethodRow {
    /// what is recovered from what
    pub problem: Problem,
    /// name of the method
    pub method: String,
    /// whether frames before were seen
    pub tracked: bool,
    /// m/n
    pub fraction: f64,
    /// standard deviation of the noise over the mean |y|; in denoising, over the rms return
    pub noise: f64,
    /// family of simulated scenes, or all of them, or a recorded sequence
    pub scene: String,
    /// frames scored
    pub frames: usize,
    /// root mean square error of range, m
    pub range_rmse_m: f64,
    /// mean absolute error of range, m
    pub range_mae_m: f64,
    /// mean of |error| / true range
    pub abs_rel: f64,
    /// ‖ŝ − s‖ / ‖s‖ of returns
    pub relative_error: f64,
    /// median time from readings to image, ms, pattern sets known where each was shown more than once
    pub solve_ms: f64,
    /// errors of each run, in the order of the runs: what a standard error is told from
    #[serde(skip)]
    pub runs: Vec<RangeErrors>,
}

impl MethodRow {
    /// Whether another row is of the same frames from the same readings.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        let of = |row: &Self| (row.problem, row.fraction, row.noise);
        of(self) == of(other) && self.scene == other.scene
    }
}

/// One model for each way to treat the error that a method asks for.
pub(super) fn models(
    prior: &Prior,
    methods: &[(String, Settings)],
) -> Vec<(ErrorModel, Arc<Model>)> {
    let mut models: Vec<(ErrorModel, Arc<Model>)> = vec![];
    for (_, settings) in methods {
        if models.iter().all(|(error, _)| *error != settings.error) {
            models.push((settings.error, Arc::new(Model::new(prior, settings.error))));
        }
    }
    models
}

/// A method at work, and what it did so far.
pub(super) struct Entrant<'a> {
    pub(super) name: &'a str,
    tracked: bool,
    /// whether frames before are of no use to it
    alone: bool,
    tracker: Tracker<Monotonic>,
    /// whether the tracker has met each pattern set
    known: Vec<bool>,
    /// by scene, in the order of their first frames
    scores: Vec<(String, Score)>,
}

/// Every method of a comparison, cold or tracked, before its first frame.
pub(super) fn entered<'a>(
    models: &[(ErrorModel, Arc<Model>)],
    comparison: &'a Comparison,
    sensor: &Arc<SensorDescription>,
    tracked: bool,
) -> Result<Vec<Entrant<'a>>, EvalError> {
    let mut entrants = vec![];
    for (name, settings) in &comparison.methods {
        let of_error = |(error, _): &&(ErrorModel, Arc<Model>)| *error == settings.error;
        let Some((_, model)) = models.iter().find(of_error) else {
            continue; // `models` has one for every method
        };
        entrants.push(Entrant {
            name,
            tracked,
            // where the iteration starts does not move its minimum, and takes most of a comparison's time
            alone: matches!(settings.method, Method::Cosines | Method::Wavelets),
            known: vec![false; sensor.patterns.len()],
            tracker: Tracker::with_model(
                Arc::clone(sensor),
                Arc::clone(model),
                settings.clone(),
                Monotonic::default(),
            )?,
            scores: vec![],
        });
    }
    Ok(entrants)
}

impl Entrant<'_> {
    /// Recovers what is to be scored of a run, and what it needs to be tracked; the last frame.
    pub(super) fn recover(&mut self, scene: &str, run: &Run) -> Result<RangeImage, EvalError> {
        let max_range = self.tracker.description().knots.max();
        let mut frame = RangeImage::default();
        self.tracker.forget();
        self.score(scene).runs.push(RangeErrors::default());
        for (measurement, truth) in run {
            if !self.tracked || self.alone {
                if truth.is_none() {
                    continue;
                }
                self.tracker.forget();
            }
            let report = self.tracker.recover(measurement, &mut frame)?;
            if let Some(truth) = truth {
                let spent_ms = (report.timing.solve_ns + report.timing.render_ns) as f64 * 1e-6;
                let known = self.known[measurement.pattern_set];
                let score = self.score(scene);
                score.add(&frame, truth, max_range);
                match known {
                    true => score.times_ms.push(spent_ms),
                    false => score.first_times_ms.push(spent_ms),
                }
            }
            self.known[measurement.pattern_set] = true;
        }
        Ok(frame)
    }

    fn score(&mut self, scene: &str) -> &mut Score {
        let known = self.scores.iter().position(|(name, _)| name == scene);
        let position = known.unwrap_or_else(|| {
            self.scores.push((scene.to_owned(), Score::default()));
            self.scores.len() - 1
        });
        &mut self.scores[position].1
    }

    /// A row for each scene; before them, where they are `simulated`, one for all.
    pub(super) fn rows(&self, at: At, simulated: bool) -> Vec<MethodRow> {
        let row = |(scene, score): (&str, &Score)| {
            let summary = RangeErrors::of(&score.runs).summary();
            MethodRow {
                problem: at.problem,
                method: self.name.to_owned(),
                tracked: self.tracked,
                fraction: at.fraction,
                noise: at.noise,
                scene: scene.to_owned(),
                frames: score.times_ms.len() + score.first_times_ms.len(),
                range_rmse_m: summary.range_rmse_m,
                range_mae_m: summary.range_mae_m,
                abs_rel: summary.abs_rel,
                relative_error: (score.returns.0 / score.returns.1).sqrt(),
                solve_ms: median(score.times_ms.clone())
                    .or_else(|| median(score.first_times_ms.clone()))
                    .unwrap_or(f64::NAN),
                runs: score.runs.clone(),
            }
        };
        let mut all = Score::default();
        self.scores.iter().for_each(|(_, score)| all.merge(score));
        let all = simulated.then_some((ALL_SCENES, &all));
        let each = self.scores.iter().map(|(name, s)| (name.as_str(), s));
        all.into_iter().chain(each).map(row).collect()
    }
}

/// Errors and times over the frames of a scene.
#[derive(Default)]
struct Score {
    /// of each run
    runs: Vec<RangeErrors>,
    /// Σ(ŝ − s)², Σs²
    returns: (f64, f64),
    /// times from readings to image, ms, pattern sets known
    times_ms: Vec<f64>,
    /// the same of the first frame of each pattern set
    first_times_ms: Vec<f64>,
}

impl Score {
    fn add(&mut self, frame: &RangeImage, truth: &RangeImage, max_range: f32) {
        if let Some(run) = self.runs.last_mut() {
            run.add(frame, truth, max_range);
        }
        for (got, truth) in frame.returns.iter().zip(&truth.returns) {
            self.returns.0 += f64::from(got - truth).powi(2);
            self.returns.1 += f64::from(*truth).powi(2);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.runs.extend(&other.runs);
        self.returns.0 += other.returns.0;
        self.returns.1 += other.returns.1;
        self.times_ms.extend(&other.times_ms);
        self.first_times_ms.extend(&other.first_times_ms);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A row on simulated scenes.
    pub(in crate::eval) fn row(
        method: &str,
        tracked: bool,
        fraction: f64,
        range_rmse_m: f64,
    ) -> MethodRow {
        MethodRow {
            problem: Problem::CompressedSensing,
            method: method.to_owned(),
            tracked,
            fraction,
            noise: 0.005,
            scene: ALL_SCENES.to_owned(),
            frames: 1,
            range_rmse_m,
            range_mae_m: 0.0,
            abs_rel: 0.0,
            relative_error: 0.0,
            solve_ms: 0.0,
            runs: vec![],
        }
    }
}
