//! `relucent eval`: how good recovery is.

use super::prior::PriorArgument;
use crate::config::ConfigArgument;
use comfy_table::{Table, presets};
use indicatif::ProgressBar;
use relucent::eval::{self, Basins, Options, Row};
use relucent::sim::Split;

/// Measure recovery on held-out simulated scenes.
#[derive(clap::Args, Debug)]
pub(crate) struct Eval {
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    config: ConfigArgument,
    /// Held-out scenes; one frame is scored in each
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
    /// Score the scenes that parameters are chosen on instead of those held out
    #[arg(long)]
    tuning: bool,
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
        let bar = ProgressBar::new((self.frames * self.ratios.len() + self.sequences) as u64);
        let representation = eval::held_out(&prior, self.frames)?;
        let rows = eval::recovery(&prior, &options, &mut || bar.inc(1))?;
        let basins = match self.sequences {
            0 => None,
            count => Some(eval::basins(&prior, count, 60, 0.05, &mut || bar.inc(1))?),
        };
        bar.finish_and_clear();
        if self.json {
            let all = serde_json::json!({ "representation": representation, "recovery": rows, "basins": basins });
            println!("{all}");
            return Ok(());
        }
        let floor = representation.prior.range_rmse_m;
        println!(
            "representation: range RMSE {floor:.3} m, {:.3} of PCA's {:.3} m at the same k\n",
            representation.ratio(),
            representation.principal.range_rmse_m
        );
        println!("{}", summary(&rows, floor));
        if let Some(basins) = basins {
            println!("\n{}", sentence(&basins));
        }
        Ok(())
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
