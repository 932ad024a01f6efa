//! `relucent obstacles`: are obstacles found that no prior was trained on?

use super::method::{method, noise, ratio};
use super::prior::PriorArgument;
use super::table;
use crate::say::say;
use indicatif::ProgressBar;
use relucent::eval::{self, Contender, ObstacleRow, Options};
use relucent::recover::Settings;
use relucent::sim::{ObstacleKind, Sampling, Split};

/// Measure how many obstacles are found that no prior was trained on, and how many are seen where there are none.
///
/// An obstacle is found where at least half of its pixels are recovered within 10 % of their true range. A group of at
/// least 4 pixels more than 20 % nearer than everything truly within a pixel of them is a false one.
#[derive(clap::Args, Debug)]
pub(crate) struct Obstacles {
    #[command(flatten)]
    prior: PriorArgument,
    /// Obstacles of each kind, each in a held-out scene of its own
    #[arg(long, default_value_t = 500)]
    obstacles: usize,
    /// Kinds: 2x2 to 8x8 (debris, pixels), cable, pole, sphere, figure, animal
    #[arg(long, value_delimiter = ',', default_values_t = ObstacleKind::ALL)]
    kinds: Vec<ObstacleKind>,
    /// Measurements over pixels, m/n
    #[arg(long, value_delimiter = ',', value_parser = ratio, default_values_t = [0.01, 0.02, 0.05, 0.1])]
    ratios: Vec<f64>,
    /// Standard deviation of the noise over the mean |y|
    #[arg(long, default_value_t = 0.005, value_parser = noise)]
    noise: f32,
    /// Which Hadamard patterns are shown: variable-density (coarse ones more often) or scrambled [default: variable-density]
    #[arg(long)]
    sampling: Option<Sampling>,
    /// Methods, by the names that eval knows
    #[arg(long, value_delimiter = ',', default_value = "latent+net,latent,tv", value_parser = method)]
    methods: Vec<(String, Settings)>,
    /// Frames that a tracker sees, at 30 Hz, before the one that is scored, or more where the obstacle is in view for longer;
    /// 0 = it starts cold
    #[arg(long, default_value_t = 0)]
    lead_in: usize,
    /// Frames that the obstacle has been in view for when it is looked for, that one counted in
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    in_view: u16,
    /// Score the scenes that parameters are chosen on instead of those held out
    #[arg(long)]
    tuning: bool,
    /// A JSON array on stdout instead of a table
    #[arg(long)]
    json: bool,
}

impl Obstacles {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let prior = self.prior.load()?;
        let options = Options {
            split: if self.tuning {
                Split::Tune
            } else {
                Split::HeldOut
            },
            frames: self.obstacles,
            lead_in: self.lead_in.max(usize::from(self.in_view) - 1),
            ratios: self.ratios.clone(),
            noise: self.noise,
            sampling: self.sampling,
            ..Options::default()
        };
        let contenders = self.methods.iter();
        let contenders: Vec<_> = contenders
            .map(|(name, settings)| Contender::tracker(name, &prior, settings.clone()))
            .collect();
        let bar = ProgressBar::new((self.obstacles * self.kinds.len() * self.ratios.len()) as u64);
        let shown = (self.kinds.as_slice(), usize::from(self.in_view));
        let rows = eval::obstacles(&prior, &options, shown, &contenders, &mut || {
            bar.inc(1);
        })?;
        bar.finish_and_clear();
        if self.json {
            say!("{}", serde_json::to_string(&rows)?);
        } else {
            say!("{}", summary(&rows));
        }
        Ok(())
    }
}

fn summary(rows: &[ObstacleRow]) -> comfy_table::Table {
    let head = [
        "m/n",
        "obstacle",
        "pixels",
        "method",
        "obstacles",
        "found",
        "false a frame",
        "frames with a false one",
    ];
    let percent = |(p, error): (f64, f64)| format!("{:.1} ± {:.1} %", 100.0 * p, 100.0 * error);
    let lines = rows.iter().map(|row| {
        vec![
            format!("{:.0} %", 100.0 * row.ratio),
            row.kind.clone(),
            format!("{:.0}", row.pixels),
            row.method.clone(),
            row.obstacles.to_string(),
            percent(row.recall),
            format!(
                "{:.2} ± {:.2}",
                row.false_per_frame.0, row.false_per_frame.1
            ),
            percent(row.frames_with_false),
        ]
    });
    table(&head, lines)
}
