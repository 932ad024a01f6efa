//! Methods side by side: the same frames from the same readings, cold and tracked, by number of measurements and scene.

use super::footage::{Recorded, Run, Source};
use super::problem::{Case, Problem};
use super::{EvalError, Options};
use crate::clock::Monotonic;
use crate::frame::RangeImage;
use crate::metrics::{RangeErrors, median};
use crate::prior::Prior;
use crate::recover::{ErrorModel, Model, Settings, Tracker};
use crate::sensing::SensorDescription;
use serde::Serialize;
use std::sync::Arc;

/// What is compared, and on what.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// what is recovered from what
    pub problem: Problem,
    /// methods by name
    pub methods: Vec<(String, Settings)>,
    /// simulated scenes, and how they and recorded ones are measured
    pub options: Options,
    /// recorded sequences
    pub recorded: Vec<Recorded>,
}

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
}

/// One frame as each method recovers it, tracked.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// what it shows
    pub scene: String,
    /// m/n
    pub fraction: f64,
    /// standard deviation of the noise, as in [`MethodRow::noise`]
    pub noise: f64,
    /// κ_J, m
    pub max_range_m: f32,
    /// what was there
    pub truth: RangeImage,
    /// by name of the method, what it recovered and its range RMSE, m
    pub recovered: Vec<(String, RangeImage, f64)>,
}

/// Name of the rows over all simulated scenes.
pub const ALL_SCENES: &str = "all";

impl Comparison {
    /// How often [`methods`] reports progress.
    pub fn steps(&self, prior: &Prior) -> usize {
        let runs = self.options.frames + self.recorded.len();
        self.problem.cases(prior, &self.options).len() * runs
    }

    fn sources(&self) -> Vec<Source<'_>> {
        let simulated = (self.options.frames > 0).then_some(Source::Simulated);
        let recorded = self.recorded.iter().map(Source::Recorded);
        simulated.into_iter().chain(recorded).collect()
    }
}

/// Rows of each method, cold and tracked, at each case of the problem; `progress` hears of each simulated scene and each
/// recorded sequence at each of them.
///
/// Cold or tracked, the same frames are scored: the last of each simulated scene, and in a recorded sequence all after a
/// lead-in of as many seconds.
///
/// # Errors
/// Where the options describe no sensor, or a recorded sequence is no longer than the lead-in.
pub fn methods(
    prior: &Prior,
    comparison: &Comparison,
    progress: &mut dyn FnMut(),
) -> Result<Vec<MethodRow>, EvalError> {
    let options = &comparison.options;
    let recorded = comparison.recorded.iter();
    recorded.into_iter().try_for_each(|r| r.check(options))?;
    let models = models(prior, &comparison.methods);
    let mut rows = Vec::new();
    for case in comparison.problem.cases(prior, options) {
        for source in comparison.sources() {
            let sensor = Arc::new(case.describe(prior, source.max_range_m(), options)?);
            let mut entrants = vec![];
            for tracked in [false, true] {
                entrants.extend(entered(prior, &models, comparison, &sensor, tracked)?);
            }
            for index in 0..source.len(options) {
                let (scene, run) = source.run(index, &case, &sensor, options);
                for entrant in &mut entrants {
                    entrant.recover(&scene, &run, source.max_range_m())?;
                }
                progress();
            }
            let simulated = matches!(source, Source::Simulated);
            for entrant in &entrants {
                rows.extend(entrant.rows(comparison.problem, &case, simulated));
            }
        }
    }
    Ok(rows)
}

/// The first scored frame of the first `scenes` simulated scenes and of each recorded sequence, by each method, tracked, from
/// about `fraction` of the pixels.
///
/// # Errors
/// As [`methods`].
pub fn examples(
    prior: &Prior,
    comparison: &Comparison,
    scenes: usize,
    fraction: f64,
) -> Result<Vec<Example>, EvalError> {
    let options = &comparison.options;
    let models = models(prior, &comparison.methods);
    let distance = |case: &Case| (case.fraction / fraction).ln().abs();
    let cases = comparison.problem.cases(prior, options);
    let nearest = cases
        .into_iter()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let mut examples = vec![];
    for (case, source) in nearest
        .iter()
        .flat_map(|case| comparison.sources().into_iter().map(move |s| (case, s)))
    {
        let max_range_m = source.max_range_m();
        let sensor = Arc::new(case.describe(prior, max_range_m, options)?);
        let mut entrants = entered(prior, &models, comparison, &sensor, true)?;
        for index in 0..source.len(options).min(scenes) {
            let (scene, mut run) = source.run(index, case, &sensor, options);
            let Some(first) = run.iter().position(|(_, truth)| truth.is_some()) else {
                continue;
            };
            run.truncate(first + 1);
            let Some((_, Some(truth))) = run.last() else {
                continue;
            };
            let mut recovered = vec![];
            for entrant in &mut entrants {
                let frame = entrant.recover(&scene, &run, max_range_m)?;
                let mut errors = RangeErrors::default();
                errors.add(&frame, truth, max_range_m);
                recovered.push((entrant.name.to_owned(), frame, errors.range_rmse_m()));
            }
            examples.push(Example {
                scene,
                fraction: case.fraction,
                noise: case.noise(),
                max_range_m,
                truth: truth.clone(),
                recovered,
            });
        }
    }
    Ok(examples)
}

/// One model for each way to treat the error that a method asks for.
fn models(prior: &Prior, methods: &[(String, Settings)]) -> Vec<(ErrorModel, Arc<Model>)> {
    let mut models: Vec<(ErrorModel, Arc<Model>)> = vec![];
    for (_, settings) in methods {
        if models.iter().all(|(error, _)| *error != settings.error) {
            models.push((settings.error, Arc::new(Model::new(prior, settings.error))));
        }
    }
    models
}

/// A method at work, and what it did so far.
struct Entrant<'a> {
    name: &'a str,
    tracked: bool,
    tracker: Tracker<Monotonic>,
    /// whether the tracker has met each pattern set
    known: Vec<bool>,
    /// by scene, in the order of their first frames
    scores: Vec<(String, Score)>,
}

/// Every method of a comparison, cold or tracked, before its first frame.
fn entered<'a>(
    prior: &Prior,
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
            known: vec![false; sensor.patterns.len()],
            tracker: Tracker::with_model(
                Arc::clone(sensor),
                prior,
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
    fn recover(&mut self, scene: &str, run: &Run, max_range: f32) -> Result<RangeImage, EvalError> {
        let mut frame = RangeImage::default();
        self.tracker.forget();
        for (measurement, truth) in run {
            if !self.tracked {
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
    fn rows(&self, problem: Problem, case: &Case, simulated: bool) -> Vec<MethodRow> {
        let row = |(scene, score): (&str, &Score)| {
            let summary = score.errors.summary();
            MethodRow {
                problem,
                method: self.name.to_owned(),
                tracked: self.tracked,
                fraction: case.fraction,
                noise: case.noise(),
                scene: scene.to_owned(),
                frames: score.times_ms.len() + score.first_times_ms.len(),
                range_rmse_m: summary.range_rmse_m,
                range_mae_m: summary.range_mae_m,
                abs_rel: summary.abs_rel,
                relative_error: (score.returns.0 / score.returns.1).sqrt(),
                solve_ms: median(score.times_ms.clone())
                    .or_else(|| median(score.first_times_ms.clone()))
                    .unwrap_or(f64::NAN),
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
    errors: RangeErrors,
    /// Σ(ŝ − s)², Σs²
    returns: (f64, f64),
    /// times from readings to image, ms, pattern sets known
    times_ms: Vec<f64>,
    /// the same of the first frame of each pattern set
    first_times_ms: Vec<f64>,
}

impl Score {
    fn add(&mut self, frame: &RangeImage, truth: &RangeImage, max_range: f32) {
        self.errors.add(frame, truth, max_range);
        for (got, truth) in frame.returns.iter().zip(&truth.returns) {
            self.returns.0 += f64::from(got - truth).powi(2);
            self.returns.1 += f64::from(*truth).powi(2);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.errors.merge(&other.errors);
        self.returns.0 += other.returns.0;
        self.returns.1 += other.returns.1;
        self.times_ms.extend(&other.times_ms);
        self.first_times_ms.extend(&other.first_times_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim;

    fn comparison(problem: Problem, recorded: Vec<Recorded>, names: &[&str]) -> Comparison {
        let named = |name: &&str| ((*name).to_owned(), Settings::preset(name).unwrap());
        Comparison {
            problem,
            methods: names.iter().map(named).collect(),
            options: Options {
                frames: 2,
                lead_in: 3,
                sets: 2,
                ratios: vec![0.05],
                ..Options::default()
            },
            recorded,
        }
    }

    /// Frames of a simulated street as if a sensor of 60 m had recorded them at 20 Hz.
    fn recorded(frames: u64) -> Recorded {
        let (scene, rays) = (sim::scene(sim::Split::Tune, 0), sim::rays(64, 64));
        let frames = (0..frames).map(|index| {
            let mut frame = RangeImage::default();
            scene.cast(&rays, index as f32 / 20.0, sim::MAX_RANGE, &mut frame);
            frame.range.iter_mut().for_each(|r| *r *= 2.0);
            (7_000_000_000 + index * 50_000_000, frame)
        });
        Recorded {
            name: "street at 60 m".to_owned(),
            origin: "simulated".to_owned(),
            max_range_m: 60.0,
            frames: frames.collect(),
        }
    }

    #[test]
    fn simulated_and_recorded_frames_meet_the_same_methods() {
        let prior = Prior::embedded().unwrap();
        let compared = comparison(
            Problem::CompressedSensing,
            vec![recorded(5)],
            &["latent", "pca"],
        );
        let mut steps = 0;
        let rows = methods(&prior, &compared, &mut || steps += 1).unwrap();
        assert_eq!(steps, compared.steps(&prior));
        // cold, then tracked: two methods on all, street, corridor; then the same on the recording
        assert_eq!(rows.len(), 2 * 2 * 3 + 2 * 2);
        let of = |scene: &str| {
            rows.iter()
                .filter(|row| row.scene == scene)
                .collect::<Vec<_>>()
        };
        assert!(of(ALL_SCENES).iter().all(|row| row.frames == 2));
        // 3 frames at 30 Hz are 0.1 s: of frames 0.05 s apart, two are not scored
        assert!(of("street at 60 m").iter().all(|row| row.frames == 3));
        assert_eq!(of("street at 60 m").len(), 4);
        assert!(rows.iter().all(|row| row.range_rmse_m < 12.0), "{rows:?}");
        let row = serde_json::to_value(&rows[0]).unwrap();
        assert_eq!(row["problem"], "compressed-sensing");

        let shown = examples(&prior, &compared, 1, 0.05).unwrap();
        assert_eq!(shown.len(), 2);
        assert_eq!((shown[1].max_range_m, shown[1].recovered.len()), (60.0, 2));
        assert_eq!(shown[1].truth, compared.recorded[0].frames[2].1);
    }

    #[test]
    fn a_recording_no_longer_than_the_lead_in_is_refused() {
        let prior = Prior::embedded().unwrap();
        let short = comparison(Problem::Denoising, vec![recorded(2)], &["pca"]);
        let error = methods(&prior, &short, &mut || ()).unwrap_err();
        assert!(error.to_string().contains("street at 60 m"), "{error}");
    }

    #[test]
    fn every_method_takes_every_problem() {
        let prior = Prior::embedded().unwrap();
        let names = ["latent+tv", "pca", "tv", "dct"];
        for problem in Problem::ALL {
            let mut compared = comparison(problem, vec![], &names);
            compared.options.frames = 1;
            compared.options.lead_in = 1;
            let rows = methods(&prior, &compared, &mut || ()).unwrap();
            assert_eq!(
                rows.len(),
                compared.steps(&prior) * 2 * 2 * names.len(),
                "{problem}"
            );
            for row in rows {
                assert!(row.range_rmse_m < 30.0, "{row:?}"); // not NaN
            }
        }
    }
}
