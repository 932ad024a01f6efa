//! `relucent eval`: how good recovery is.

use super::method::method;
use super::page::{FRACTION, Page};
use super::prior::PriorArgument;
use super::{comparison, recorded};
use crate::config::ConfigArgument;
use anyhow::Context;
use comfy_table::{Table, presets};
use indicatif::ProgressBar;
use relucent::eval::{
    self, ALL_SCENES, Basins, Comparison, MethodRow, Options, Problem, Recorded, Representation,
    Row, UncertaintyRow,
};
use relucent::prior::Prior;
use relucent::recover::Settings;
use relucent::sim::Split;
use std::path::PathBuf;

/// Methods by which a page shows examples.
const EXAMPLE_METHODS: usize = 4;
/// Simulated scenes of which a page shows one.
const EXAMPLE_SCENES: usize = 3;

/// Measure recovery on held-out simulated scenes, and compare methods on them and on recorded sequences.
#[derive(clap::Args, Debug)]
pub(crate) struct Eval {
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    config: ConfigArgument,
    /// Held-out scenes on which the default method is measured in detail, one frame in each; 0 = none
    #[arg(long, default_value_t = 200)]
    frames: usize,
    /// Measurements over pixels, m/n
    #[arg(long, value_delimiter = ',', default_values_t = [0.01, 0.02, 0.05, 0.1])]
    ratios: Vec<f64>,
    /// Standard deviation of the noise over the mean |y|
    #[arg(long, default_value_t = 0.005)]
    noise: f32,
    /// Sequences of 60 frames whose warm frames are held against a start from the true frame's code; 0 = none
    #[arg(long, default_value_t = 20)]
    sequences: usize,
    /// Methods to compare, refined frames included; wavelet, dct and pca-64 are known too
    #[arg(long, value_delimiter = ',', default_value = "latent+tv,latent,pca+tv,pca,tv", value_parser = method)]
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
    #[arg(long)]
    imperfections: bool,
    /// Scenes that σ and the trust in frames are judged on, 0 = none
    #[arg(long, default_value_t = 60)]
    uncertainty_frames: usize,
    /// Only print what σ is to be calibrated with, from as many tuning scenes
    #[arg(long)]
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
        let detailed = self.problem == Problem::CompressedSensing;
        let steps = match detailed {
            true => (self.frames + self.uncertainty_frames) * self.ratios.len() + self.sequences,
            false => 0,
        };
        let bar = ProgressBar::new((steps + comparison.steps(&prior)) as u64);
        let detail = match detailed {
            true => Some(self.detail(&prior, &options, &bar)?),
            false => None,
        };
        let rows = eval::methods(&prior, &comparison, &mut || bar.inc(1))?;
        bar.finish_and_clear();
        if let Some(path) = &self.html {
            let page = page(&prior, &comparison, &rows)?;
            std::fs::write(path, page)
                .with_context(|| format!("cannot write page {}", path.display()))?;
        }
        if self.json {
            let mut all = serde_json::json!({ "methods": rows });
            if let Some(detail) = detail {
                all["representation"] = serde_json::to_value(detail.representation)?;
                all["recovery"] = serde_json::to_value(detail.rows)?;
                all["basins"] = serde_json::to_value(detail.basins)?;
                all["uncertainty"] = serde_json::to_value(detail.uncertainty)?;
            }
            println!("{all}");
            return Ok(());
        }
        if let Some(detail) = detail {
            detail.print();
        }
        let recorded = comparison.recorded.iter().map(|r| r.name.as_str());
        for scene in [ALL_SCENES].into_iter().chain(recorded) {
            if rows.iter().any(|row| row.scene == scene) {
                println!(
                    "{}, {scene}: range RMSE (mean absolute error), m\n",
                    self.problem
                );
                println!("{}\n", comparison::side_by_side(self.problem, &rows, scene));
            }
        }
        Ok(())
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
        println!("const CALIBRATION: [(f32, f32); {}] = [", table.len());
        for (raw, sigma) in table {
            println!("    ({raw:.5}, {sigma:.5}),");
        }
        println!("];");
        Ok(())
    }

    /// What the methods are compared on.
    fn comparison(&self, prior: &Prior, options: &Options) -> anyhow::Result<Comparison> {
        let frames = self.recorded_frames.unwrap_or(usize::MAX);
        let load = |argument: &String| -> anyhow::Result<Recorded> {
            let (name, sequence) = (recorded::name(argument), recorded::open(argument)?);
            Ok(Recorded::new(&name, &sequence, prior, frames)?)
        };
        Ok(Comparison {
            problem: self.problem,
            methods: self.methods.clone(),
            options: Options {
                frames: self.method_frames,
                ..options.clone()
            },
            recorded: self.recorded.iter().map(load).collect::<Result<_, _>>()?,
        })
    }

    /// The default method alone.
    fn detail(
        &self,
        prior: &Prior,
        options: &Options,
        bar: &ProgressBar,
    ) -> anyhow::Result<Detail> {
        let (representation, rows) = match self.frames {
            0 => (None, vec![]),
            frames => (
                Some(eval::held_out(prior, frames)?),
                eval::recovery(prior, options, &mut || bar.inc(1))?,
            ),
        };
        let basins = match self.sequences {
            0 => None,
            count => Some(eval::basins(prior, count, 60, 0.05, &mut || bar.inc(1))?),
        };
        let uncertainty = match self.uncertainty_frames {
            0 => vec![],
            frames => {
                let options = Options {
                    frames,
                    ..options.clone()
                };
                eval::uncertainty(prior, &options, &mut || bar.inc(1))?
            }
        };
        Ok(Detail {
            representation,
            rows,
            basins,
            uncertainty,
        })
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

/// What is measured of the default method alone.
struct Detail {
    representation: Option<Representation>,
    rows: Vec<Row>,
    basins: Option<Basins>,
    uncertainty: Vec<UncertaintyRow>,
}

impl Detail {
    fn print(&self) {
        if let Some(representation) = &self.representation {
            let floor = representation.prior.range_rmse_m;
            println!(
                "representation: range RMSE {floor:.3} m, {:.3} of PCA's {:.3} m at the same k\n",
                representation.ratio(),
                representation.principal.range_rmse_m
            );
            println!("{}\n", summary(&self.rows, floor));
        }
        if let Some(basins) = &self.basins {
            println!("{}\n", sentence(basins));
        }
        if !self.uncertainty.is_empty() {
            println!(
                "{}\n\n{}\n",
                coverage(&self.uncertainty),
                trust(&self.uncertainty)
            );
        }
    }
}

fn summary(rows: &[Row], floor: f64) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header([
        "m/n",
        "cold, m (MAE)",
        "cold / repr.",
        "white, m",
        "white − cold, m",
        "tracked, m (MAE)",
        "cold − tracked, m",
        "warm iter.",
        "warm / cold solve, ms",
        "χ²/readings cold, warm",
        "restarted",
    ]);
    for row in rows {
        table.add_row([
            format!("{:.0} %", 100.0 * row.ratio),
            format!("{:.3} ({:.3})", row.cold.range_rmse_m, row.cold.range_mae_m),
            format!("{:.3}", row.cold.range_rmse_m / floor),
            format!("{:.3}", row.cold_white.range_rmse_m),
            format!(
                "{:+.3} ± {:.3}",
                row.gain_over_white_m.0, row.gain_over_white_m.1
            ),
            format!(
                "{:.3} ({:.3})",
                row.tracked.range_rmse_m, row.tracked.range_mae_m
            ),
            format!(
                "{:+.3} ± {:.3}",
                row.gain_of_tracking_m.0, row.gain_of_tracking_m.1
            ),
            format!("{:.0}", row.warm_iterations_p50),
            format!(
                "{:.1} / {:.1}",
                row.warm_solve_ms_p50, row.cold_solve_ms_p50
            ),
            format!(
                "{:.2}, {:.2}",
                row.residual_ratio_p50.0, row.residual_ratio_p50.1
            ),
            format!("{} of {}", row.restarted.0, row.restarted.1),
        ]);
    }
    table
}

/// Share of errors within σ, and within 2 σ in brackets, overall and by tenths of σ.
fn coverage(rows: &[UncertaintyRow]) -> Table {
    let mut head = vec!["m/n".to_owned(), "within σ (2 σ)".to_owned()];
    head.extend((1..=10).map(|tenth| format!("tenth {tenth}")));
    head.push("median σ, m".to_owned());
    head.push("cost, ms".to_owned());
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(head);
    for row in rows {
        let shares = |[once, twice]: [f64; 2]| format!("{once:.3} ({twice:.3})");
        let mut cells = vec![named(row.ratio), shares(row.coverage.within)];
        cells.extend(row.coverage.deciles.iter().map(|tenth| shares(*tenth)));
        let ends = [&row.coverage.sigma_m[0], &row.coverage.sigma_m[9]];
        cells.push(format!("{:.2} … {:.2}", ends[0], ends[1]));
        cells.push(format!("{:.1}", row.cost_ms));
        table.add_row(cells);
    }
    table
}

/// Share of frames that were not trusted.
fn trust(rows: &[UncertaintyRow]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header([
        "m/n",
        "untrusted: as described, cold",
        "tracked",
        "other patterns, cold",
        "tracked",
        "other order, cold",
        "tracked",
    ]);
    for row in rows {
        let kinds = row.untrusted.iter();
        let shares = kinds.flat_map(|kind| [kind.cold, kind.tracked]);
        let shares = shares.map(|rate| format!("{:.1} %", 100.0 * rate.share()));
        table.add_row([named(row.ratio)].into_iter().chain(shares));
    }
    table
}

fn named(ratio: Option<f64>) -> String {
    ratio.map_or("all".to_owned(), |ratio| format!("{:.0} %", 100.0 * ratio))
}

fn sentence(basins: &Basins) -> String {
    format!(
        "{} sequences of 60 frames at 5 %: {} warm frames, {} restarted, median {} iterations; cost over the cost reached \
         from the true frame's code: median {:.3}, largest {:.3}",
        basins.sequences,
        basins.warm,
        basins.restarted,
        basins.iterations_p50,
        basins.cost_ratio_p50,
        basins.cost_ratio_max
    )
}
