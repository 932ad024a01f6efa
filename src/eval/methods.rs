//! Methods side by side: the same frames from the same readings, cold and tracked, by number of measurements and scene.

use super::entrant::{MethodRow, entered, models};
use super::footage::Recorded;
use super::logged::Logged;
use super::problem::Problem;
use super::{EvalError, Options};
use crate::prior::Prior;
use crate::recover::Settings;

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
    /// measurements of sensors that are not ours to choose
    pub logged: Vec<Logged>,
}

/// Name of the rows over all simulated scenes.
pub const ALL_SCENES: &str = "all";

impl Comparison {
    /// How often [`methods`] reports progress.
    pub fn steps(&self, prior: &Prior) -> usize {
        let runs = self.options.frames + self.recorded.len();
        self.problem.cases(prior, &self.options).len() * runs + self.logged.len()
    }
}

/// Rows of each method, cold and tracked, at each case of the problem, and of each log; `progress` hears of each simulated
/// scene and each recorded sequence at each of them, and of each log.
///
/// Cold or tracked, the same frames are scored: the last of each simulated scene, and in a recorded sequence or a log all
/// after a lead-in of as many seconds.
///
/// # Errors
/// Where the options describe no sensor, or a recorded sequence or a log is no longer than the lead-in.
pub fn methods(
    prior: &Prior,
    comparison: &Comparison,
    progress: &mut dyn FnMut(),
) -> Result<Vec<MethodRow>, EvalError> {
    let options = &comparison.options;
    let (mut recorded, mut logged) = (comparison.recorded.iter(), comparison.logged.iter());
    recorded.try_for_each(|recorded| recorded.check(options))?;
    logged.try_for_each(|log| log.check(options))?;
    let models = models(prior, &comparison.methods);
    let mut rows = Vec::new();
    for stage in comparison.stages(prior)? {
        let mut entrants = vec![];
        for tracked in [false, true] {
            entrants.extend(entered(&models, comparison, &stage.sensor, tracked)?);
        }
        for index in 0..stage.len(options) {
            let (scene, run) = stage.run(index, options);
            for entrant in &mut entrants {
                entrant.recover(&scene, &run)?;
            }
            progress();
        }
        let simulated = stage.simulated();
        rows.extend(entrants.iter().flat_map(|e| e.rows(stage.at, simulated)));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::super::examples;
    use super::*;
    use crate::frame::RangeImage;
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
            logged: vec![],
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
    fn a_log_is_recovered_as_it_was_measured() {
        let prior = Prior::embedded().unwrap();
        let measured = comparison(
            Problem::CompressedSensing,
            vec![recorded(5)],
            &["latent", "tv"],
        );
        let options = Options {
            frames: 0,
            ..measured.options.clone()
        };
        let measured = Comparison {
            options,
            ..measured
        };
        let (case, source) = (
            measured.problem.cases(&prior, &measured.options)[0],
            &measured.recorded[0],
        );
        let sensor = case.describe(&prior, 60.0, &measured.options).unwrap();
        let run = source.run(&case, &sensor, &measured.options);
        let truths = source.frames.iter().map(|(_, frame)| Some(frame.clone()));
        let log = Logged {
            name: "log".to_owned(),
            sensor: sensor.into(),
            frames: run.into_iter().map(|(m, _)| m).zip(truths).collect(),
        };
        let logged = Comparison {
            recorded: vec![],
            logged: vec![log],
            ..measured.clone()
        };
        let errors = |compared: &Comparison| {
            let rows = methods(&prior, compared, &mut || ()).unwrap();
            assert_eq!(rows.len(), 4);
            rows.into_iter()
                .map(|row| (row.method, row.tracked, row.frames, row.range_rmse_m))
                .collect::<Vec<_>>()
        };
        assert_eq!(errors(&logged), errors(&measured));
        let row = methods(&prior, &logged, &mut || ()).unwrap().remove(0);
        assert_eq!(
            (row.problem, row.noise),
            (Problem::CompressedSensing, 0.005)
        );
        assert_eq!((row.scene.as_str(), row.fraction), ("log", 205.0 / 4096.0));

        let mut short = logged;
        short.logged[0].frames.truncate(2);
        let error = methods(&prior, &short, &mut || ()).unwrap_err();
        assert!(error.to_string().contains("log to last longer"), "{error}");
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
        let names = ["latent+net", "pca", "tv", "dct"];
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
