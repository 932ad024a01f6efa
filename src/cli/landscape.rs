//! `relucent landscape`: what theory says of random networks, measured.

use super::{landscape_plot, run, table};
use crate::say::say;
use anyhow::Context;
use indicatif::ProgressBar;
use relucent::eval::landscape::{self, Method, Options};
use relucent::recover::Solver;
use std::path::PathBuf;

/// Measure the loss of random ReLU networks against theory: both basins, who finds the right one, and with how many readings.
#[derive(clap::Args, Debug)]
pub(crate) struct Landscape {
    /// Widths k, h₁, …, n of the networks
    #[arg(long, value_delimiter = ',', default_values_t = Options::default().widths)]
    widths: Vec<usize>,
    /// Widths of the networks whose loss is drawn, and whose second basin is looked for at every depth from two on
    #[arg(long, value_delimiter = ',', default_values_t = Options::default().shadow_widths)]
    shadow_widths: Vec<usize>,
    /// Readings m that these are seen through
    #[arg(long, default_value_t = Options::default().shadow_readings)]
    shadow_readings: usize,
    /// Readings over unknowns, m/k, of all but the sweep
    #[arg(long, default_value_t = Options::default().ratio)]
    ratio: f64,
    /// m/k of the sweep
    #[arg(long, value_delimiter = ',', default_values_t = Options::default().ratios)]
    ratios: Vec<f64>,
    /// Random instances (seeds 0, 1, …) that every figure is over
    #[arg(long, default_value_t = Options::default().instances, value_parser = at_least_one)]
    instances: usize,
    /// Random codes that each search starts from
    #[arg(long, default_value_t = Options::default().starts, value_parser = at_least_one)]
    starts: usize,
    /// Points of the plane through both basins, along each axis
    #[arg(long, default_value_t = Options::default().grid)]
    grid: usize,
    /// One JSON object on stdout instead of tables, the loss along the line and over the plane with it
    #[arg(long)]
    json: bool,
    /// Where a plot goes (SVG)
    #[arg(long)]
    svg: Option<PathBuf>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number of at least 1".to_owned()),
        Ok(count) => Ok(count),
    }
}

impl Landscape {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let options = Options {
            widths: self.widths.clone(),
            ratio: self.ratio,
            shadow_widths: self.shadow_widths.clone(),
            shadow_readings: self.shadow_readings,
            ratios: self.ratios.clone(),
            instances: self.instances,
            starts: self.starts,
            grid: self.grid,
        };
        run::check_files([("--svg", self.svg.as_ref())])?;
        let bar = ProgressBar::new(options.steps() as u64);
        let measured = landscape::landscape(&options, &mut || bar.inc(1))?;
        bar.finish_and_clear();
        match self.json {
            true => say!("{}", serde_json::to_string(&measured)?),
            false => print(&measured),
        }
        if let Some(path) = &self.svg {
            let plot = landscape_plot::svg(&measured)?;
            std::fs::write(path, plot)
                .with_context(|| format!("cannot write plot {}", path.display()))?;
        }
        Ok(())
    }
}

fn print(measured: &landscape::Landscape) {
    let Options {
        widths,
        ratio,
        instances,
        starts,
        ..
    } = &measured.options;
    say!("the second basin, near −ρ_d z*: medians over {instances} instances\n");
    say!("{}", shadows(measured));
    say!(
        "\nwho finds z*: {instances} instances {widths:?}, m = {ratio}·k, {starts} single starts each\n"
    );
    say!("{}", methods(measured));
    say!("\nwith how many readings: the best of {starts} starts, each against its negative\n");
    say!("{}", by_readings(measured));
    let denoising = &measured.denoising;
    say!(
        "\nwhat denoising leaves of noise in n = {} pixels\n",
        denoising.pixels
    );
    say!("{}", denoised(measured));
    say!(
        "\nslope of log error energy on log k: {:.3} (expected 1)",
        denoising.slope
    );
}

fn shadows(measured: &landscape::Landscape) -> comfy_table::Table {
    let head = [
        "d",
        "widths",
        "ρ_d",
        "on the line",
        "descended to",
        "caught",
        "√(1 − ρ_d²)",
        "residual on the line",
        "descended to",
    ];
    let row = |shadow: &landscape::Shadow| {
        vec![
            shadow.layers.to_string(),
            format!("{:?}", shadow.widths),
            format!("{:.4}", shadow.expected),
            format!("{:.4}", shadow.on_line),
            format!("{:.4}", shadow.descended),
            percent(shadow.caught),
            format!("{:.4}", shadow.expected_residual),
            format!("{:.4}", shadow.residual_on_line),
            format!("{:.4}", shadow.residual_descended),
        ]
    };
    table(&head, measured.shadows.iter().map(row))
}

fn methods(measured: &landscape::Landscape) -> comfy_table::Table {
    let row = |method: &Method| {
        let name = match method.solver {
            Solver::LevenbergMarquardt => "Levenberg–Marquardt",
            Solver::Subgradient => "subgradient",
            Solver::Adam => "Adam",
        };
        vec![
            name.to_owned(),
            if method.negation { "yes" } else { "no" }.to_owned(),
            percent(method.success),
            format!("{:.0}", method.iterations_p50),
        ]
    };
    let head = ["solver", "negation", "success", "iterations (median)"];
    table(&head, measured.methods.iter().map(row))
}

fn by_readings(measured: &landscape::Landscape) -> comfy_table::Table {
    let row = |row: &landscape::Success| {
        vec![
            row.ratio.to_string(),
            row.readings.to_string(),
            percent(row.linear),
            percent(row.magnitudes),
        ]
    };
    let head = ["m/k", "m", "from A x", "from |A x|"];
    table(&head, measured.by_readings.iter().map(row))
}

fn denoised(measured: &landscape::Landscape) -> comfy_table::Table {
    let row = |point: &landscape::Denoised| {
        vec![
            point.code_len.to_string(),
            format!("{:.4}", point.error_energy),
            format!("{:.4}", point.expected),
        ]
    };
    let head = ["k", "error energy / noise energy", "k/n"];
    table(&head, measured.denoising.points.iter().map(row))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}
