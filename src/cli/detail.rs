//! The default method alone, in detail.

use crate::say::say;
use comfy_table::{Table, presets};
use indicatif::ProgressBar;
use relucent::eval::{self, Basins, Options, Representation, Row, UncertaintyRow};
use relucent::prior::Prior;

/// How much of the default method is measured.
pub(super) struct Extent {
    /// scenes of the tables of recovery, 0 = none
    pub(super) frames: usize,
    /// sequences whose starts are judged, 0 = none
    pub(super) sequences: usize,
    /// scenes that σ and trust are judged on, 0 = none
    pub(super) uncertainty_frames: usize,
}

/// What is measured of the default method alone.
pub(super) struct Detail {
    pub(super) representation: Option<Representation>,
    pub(super) rows: Vec<Row>,
    pub(super) basins: Option<Basins>,
    pub(super) uncertainty: Vec<UncertaintyRow>,
}

impl Extent {
    /// How often [`Extent::measure`] reports progress at so many ratios.
    pub(super) fn steps(&self, ratios: usize) -> usize {
        (self.frames + self.uncertainty_frames) * ratios + self.sequences
    }

    pub(super) fn measure(
        &self,
        prior: &Prior,
        options: &Options,
        bar: &ProgressBar,
    ) -> anyhow::Result<Detail> {
        let (representation, rows) = match self.frames {
            0 => (None, vec![]),
            frames => (
                Some(eval::simulated(prior, options.split, frames)?),
                eval::recovery(prior, options, &mut || bar.inc(1))?,
            ),
        };
        let basins = match self.sequences {
            0 => None,
            count => Some(eval::basins(prior, options, count, 60, 0.05, &mut || {
                bar.inc(1);
            })?),
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

impl Detail {
    pub(super) fn print(&self) {
        if let Some(representation) = &self.representation {
            let floor = representation.prior.range_rmse_m;
            say!(
                "representation: range RMSE {floor:.3} m, {:.3} of PCA's {:.3} m at the same k\n",
                representation.ratio(),
                representation.principal.range_rmse_m
            );
            say!("{}\n", summary(&self.rows, floor));
        }
        if let Some(basins) = &self.basins {
            say!("{}\n", sentence(basins));
        }
        if !self.uncertainty.is_empty() {
            say!(
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
         from the true frame's code: median {:.3}, largest {:.3}; over the cost that the same start converges to: largest {:.3}",
        basins.sequences,
        basins.warm,
        basins.restarted,
        basins.iterations_p50,
        basins.cost_ratio_p50,
        basins.cost_ratio_max,
        basins.converged_ratio_max
    )
}
