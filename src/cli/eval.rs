//! `relucent eval`: how good recovery is.

use super::detail::{Detail, Extent};
use super::method::{method, noise, ratio};
use super::page::{FRACTION, Page};
use super::prior::PriorArgument;
use super::{bars, comparison, recorded, run};
use crate::config::ConfigArgument;
use crate::say::say;
use anyhow::Context;
use indicatif::ProgressBar;
use relucent::eval::{self, ALL_SCENES, Comparison, Logged, MethodRow, Options, Problem, Recorded};
use relucent::pipeline;
use relucent::prior::Prior;
use relucent::recover::Settings;
use relucent::sim::{Family, Sampling, Split};
use std::collections::HashSet;
use std::path::PathBuf;

/// Methods by which a page shows examples.
const EXAMPLE_METHODS: usize = 4;
/// Simulated scenes of which a page shows one.
const EXAMPLE_SCENES: usize = 3;

/// Measure recovery on held-out simulated scenes, and compare methods on them, on recorded sequences and on logs.
#[derive(clap::Args, Debug)]
pub(crate) struct Eval {
    /// Measurement logs with the truth (MCAP, as encode and simulate write them) that the methods are compared on too
    logs: Vec<PathBuf>,
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    config: ConfigArgument,
    /// Held-out scenes on which the default method is measured in detail, one frame in each; 0 = none
    #[arg(long, default_value_t = 200)]
    frames: usize,
    /// Measurements over pixels, m/n
    #[arg(long, value_delimiter = ',', value_parser = ratio, default_values_t = [0.01, 0.02, 0.05, 0.1, 0.25])]
    ratios: Vec<f64>,
    /// Standard deviation of the noise over the mean |y|
    #[arg(long, default_value_t = 0.005, value_parser = noise)]
    noise: f32,
    /// Sequences of 60 frames whose warm frames are held against a start from the true frame's code; 0 = none
    #[arg(long, default_value_t = 20)]
    sequences: usize,
    /// Which Hadamard patterns are shown: variable-density (coarse ones more often) or scrambled
    /// [default: variable-density, of magnitudes scrambled]
    #[arg(long)]
    sampling: Option<Sampling>,
    /// Seed of patterns and noise
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Methods to compare, refined frames included; pca-64 is known too
    #[arg(long, value_delimiter = ',', default_value = "latent+net,latent+tv,latent,pca+tv,pca,tv,dct,wavelet", value_parser = method)]
    methods: Vec<(String, Settings)>,
    /// Simulated scenes that the methods are compared on, one frame in each
    #[arg(long, default_value_t = 50)]
    method_frames: usize,
    /// Problem that the methods are compared on; super-resolution and denoising have ratios and noise of their own
    #[arg(long, default_value_t)]
    problem: Problem,
    /// Recorded sequence whose evaluation frames the methods are compared on too, as TOML or TOML=FOLDER; may be given
    /// several times
    #[arg(long)]
    recorded: Vec<String>,
    /// Evaluation frames of each recorded sequence, those included that only warm the tracker up [default: all]
    #[arg(long)]
    recorded_frames: Option<usize>,
    /// Score the scenes that parameters are chosen on instead of those held out
    #[arg(long)]
    tuning: bool,
    /// Only what imperfect sensors cost: each imperfection alone, tracked
    #[arg(long, conflicts_with_all = ["logs", "html", "recorded", "recorded_frames", "methods", "method_frames", "problem", "calibrate"])]
    imperfections: bool,
    /// Scenes that σ and the trust in frames are judged on, 0 = none
    #[arg(long, default_value_t = 60)]
    uncertainty_frames: usize,
    /// Only print what σ is to be calibrated with, from as many tuning scenes
    #[arg(long, conflicts_with_all = ["logs", "html", "recorded", "recorded_frames", "methods", "method_frames", "problem", "json"])]
    calibrate: bool,
    /// Where a page with plots, tables and examples of the methods goes (HTML)
    #[arg(long)]
    html: Option<PathBuf>,
    /// One JSON object on stdout instead of tables
    #[arg(long)]
    json: bool,
}

impl Eval {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let Some(config) = self.config.load()? else {
            return Ok(());
        };
        run::check_files([("--html", self.html.as_ref())])?;
        let prior = self.prior.load()?;
        let options = Options {
            split: if self.tuning {
                Split::Tune
            } else {
                Split::HeldOut
            },
            frames: self.frames,
            ratios: self.ratios.clone(),
            noise: self.noise,
            sampling: self.sampling,
            seed: self.seed,
            settings: config.recover,
            ..Options::default()
        };
        if self.imperfections {
            return super::imperfections::run(&prior, &options, self.json);
        }
        if self.calibrate {
            return self.print_calibration(&prior, &options);
        }
        let comparison = self.comparison(&prior, &options)?;
        let extent = match self.problem {
            Problem::CompressedSensing => Some(self.extent()),
            _ => None,
        };
        let steps = extent.as_ref().map_or(0, |e| e.steps(self.ratios.len()));
        let bar = ProgressBar::new((steps + comparison.steps(&prior)) as u64);
        let detail = extent.map(|extent| extent.measure(&prior, &options, &bar));
        let detail = detail.transpose()?;
        let rows = eval::methods(&prior, &comparison, &mut || bar.inc(1))?;
        bar.finish_and_clear();
        self.show(detail, &comparison, &rows)?;
        if let Some(path) = &self.html {
            let page = page(&prior, &comparison, &rows)?;
            std::fs::write(path, page)
                .with_context(|| format!("cannot write page {}", path.display()))?;
        }
        Ok(())
    }

    fn show(
        &self,
        detail: Option<Detail>,
        comparison: &Comparison,
        rows: &[MethodRow],
    ) -> anyhow::Result<()> {
        if self.json {
            let mut all = serde_json::json!({
                "methods": rows,
                "bars": eval::bars(&comparison.methods, rows),
                "fewer": eval::fewer(&comparison.methods, rows),
                "goals": eval::goals(&comparison.methods, rows),
            });
            if let Some(detail) = detail {
                all["representation"] = serde_json::to_value(detail.representation)?;
                all["recovery"] = serde_json::to_value(detail.rows)?;
                all["basins"] = serde_json::to_value(detail.basins)?;
                all["uncertainty"] = serde_json::to_value(detail.uncertainty)?;
            }
            say!("{all}");
            return Ok(());
        }
        if let Some(detail) = detail {
            detail.print();
        }
        print(comparison, rows);
        Ok(())
    }

    fn extent(&self) -> Extent {
        Extent {
            frames: self.frames,
            sequences: self.sequences,
            uncertainty_frames: self.uncertainty_frames,
        }
    }

    fn print_calibration(&self, prior: &Prior, options: &Options) -> anyhow::Result<()> {
        let bar = ProgressBar::new((self.uncertainty_frames * self.ratios.len()) as u64);
        let options = Options {
            split: Split::Tune,
            frames: self.uncertainty_frames,
            ..options.clone()
        };
        let table = eval::calibrate(prior, &options, &mut || bar.inc(1))?;
        bar.finish_and_clear();
        say!("const CALIBRATION: [(f32, f32); {}] = [", table.len());
        for (raw, sigma) in table {
            say!("    ({raw:.5}, {sigma:.5}),");
        }
        say!("];");
        Ok(())
    }

    /// What the methods are compared on.
    fn comparison(&self, prior: &Prior, options: &Options) -> anyhow::Result<Comparison> {
        let frames = self.recorded_frames.unwrap_or(usize::MAX);
        let load = |argument: &String| -> anyhow::Result<Recorded> {
            let (name, sequence) = (recorded::name(argument), recorded::open(argument)?);
            Ok(Recorded::new(&name, &sequence, prior, frames)?)
        };
        let mut recorded: Vec<Recorded> =
            self.recorded.iter().map(load).collect::<Result<_, _>>()?;
        let mut logged = self.logged()?;
        let names = recorded.iter_mut().map(|r| (&mut r.name, "recorded"));
        apart(names.chain(logged.iter_mut().map(|log| (&mut log.name, "log"))));
        Ok(Comparison {
            problem: self.problem,
            methods: self.methods.clone(),
            options: Options {
                frames: self.method_frames,
                ..options.clone()
            },
            recorded,
            logged,
        })
    }

    /// Every sensor of every log, named by the log, and by itself where it is not alone in it.
    fn logged(&self) -> anyhow::Result<Vec<Logged>> {
        let mut all = vec![];
        for log in &self.logs {
            let sensors = pipeline::logged(log)?;
            let (alone, name) = (sensors.len() == 1, log.file_stem().unwrap_or_default());
            all.extend(sensors.into_iter().map(|logged| Logged {
                name: match alone {
                    true => name.to_string_lossy().into_owned(),
                    false => format!("{}, {}", name.to_string_lossy(), logged.sensor.id),
                },
                sensor: logged.sensor.description,
                frames: logged.frames,
            }));
        }
        Ok(all)
    }
}

/// Tells names of scenes, each with what kind it is of, from those of simulated ones and from each other.
fn apart<'a>(names: impl Iterator<Item = (&'a mut String, &'static str)>) {
    let families = Family::ALL.iter().map(ToString::to_string);
    let mut taken: HashSet<String> = families.chain([ALL_SCENES.to_owned()]).collect();
    for (name, kind) in names {
        let mut number = 1;
        let own = name.clone();
        while !taken.insert(name.clone()) {
            *name = match number {
                1 => format!("{own} ({kind})"),
                _ => format!("{own} ({kind} {number})"),
            };
            number += 1;
        }
    }
}

/// Tables of each scene: errors, the best rivals' beside them, and measurements spared.
fn print(comparison: &Comparison, rows: &[MethodRow]) {
    let (methods, recorded) = (&comparison.methods, comparison.recorded.iter());
    let logged = comparison.logged.iter().map(|log| log.name.as_str());
    let recorded = recorded.map(|r| r.name.as_str());
    for scene in [ALL_SCENES].into_iter().chain(recorded).chain(logged) {
        let own: Vec<MethodRow> = rows.iter().filter(|r| r.scene == scene).cloned().collect();
        let Some(problem) = own.first().map(|row| row.problem) else {
            continue;
        };
        say!("{problem}, {scene}: range RMSE (mean absolute error), m\n");
        say!("{}\n", comparison::side_by_side(problem, &own, scene));
        bars::print(problem, methods, &own);
    }
}

/// The page of a comparison, with examples by its first methods.
fn page(prior: &Prior, comparison: &Comparison, rows: &[MethodRow]) -> anyhow::Result<String> {
    let methods = comparison.methods.iter().take(EXAMPLE_METHODS);
    let shown = Comparison {
        methods: methods.cloned().collect(),
        ..comparison.clone()
    };
    let examples = eval::examples(prior, &shown, EXAMPLE_SCENES, FRACTION)?;
    Page {
        prior,
        comparison,
        rows,
        examples: &examples,
    }
    .html()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let mut names = ["street", "a", "a", "street"].map(str::to_owned);
        apart(names.iter_mut().map(|name| (name, "log")));
        assert_eq!(names, ["street (log)", "a", "a (log)", "street (log 2)"]);
    }
}
