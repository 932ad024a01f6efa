//! `relucent train`: a prior of your own.

use super::recorded;
use crate::say::{say, tell};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use relucent::frame::Knots;
use relucent::prior::Prior;
use relucent::train::{self, Event, Options, RecordedFrames};
use std::path::PathBuf;

/// Train a prior on simulated scenes, and on recorded sequences where you have them.
///
/// Interrupt it at will: it resumes from its checkpoint. Ask for fewer steps to let it cool down and finish earlier.
#[derive(clap::Args, Debug)]
pub(crate) struct Train {
    /// Where the prior goes (safetensors)
    #[arg(long)]
    out: PathBuf,
    /// Its name
    #[arg(long, default_value = "default")]
    name: String,
    /// Recorded sequence to mix in, as TOML or TOML=FOLDER (where its files are); may be given several times
    #[arg(long)]
    recorded: Vec<String>,
    /// Share of frames from recorded sequences
    #[arg(long, default_value_t = 0.1, value_parser = super::unroll::share)]
    recorded_share: f64,
    /// Rows of pixels, a multiple of 8
    #[arg(long, default_value_t = 64)]
    rows: usize,
    /// Columns of pixels, a multiple of 8
    #[arg(long, default_value_t = 64)]
    cols: usize,
    /// Knots of the range channels, increasing, in units of the last one [default: the embedded prior's]
    #[arg(long, value_delimiter = ',')]
    knots: Option<Vec<f32>>,
    /// As many range channels instead, with knots evenly from 0 to the largest range
    #[arg(long, conflicts_with = "knots")]
    channels: Option<usize>,
    /// Length of the code, k
    #[arg(long, default_value_t = 64)]
    code: usize,
    /// Widths of the decoder's two ReLU layers
    #[arg(long, value_delimiter = ',', default_values_t = [512, 448])]
    hidden: Vec<usize>,
    /// Steps in all, those already in the checkpoint counted in
    #[arg(long, default_value_t = 40_000)]
    steps: usize,
    /// Frames a step
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Full rate of Adam
    #[arg(long, default_value_t = 5e-4)]
    rate: f32,
    /// Share of the steps, the last ones, over which the rate falls to zero
    #[arg(long, default_value_t = 0.25, value_parser = share)]
    cooling: f32,
    /// Weight of the plain error of the channels, which is what recovery minimises, against errors of range
    #[arg(long, default_value_t = 3.0)]
    channel_weight: f32,
    /// Share of the range errors that the encoder sees too; recovery, which it stands for, sees none
    #[arg(long, default_value_t = 0.5)]
    range_share: f64,
    /// m/n at which the decoder must bear how far recovery misses codes, each as often as the others
    #[arg(long, value_delimiter = ',', default_values_t = [0.06, 0.12, 0.3, 1.0])]
    noise_ratios: Vec<f64>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prior whose weights to start from, `embedded` for the default: of any knots, and a last layer as wide or wider;
    /// principal directions without one
    #[arg(long)]
    start: Option<PathBuf>,
    /// Checkpoint to resume from and to go on writing [default: OUT.checkpoint]
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Steps between checkpoints
    #[arg(long, default_value_t = 500)]
    checkpoint_every: usize,
}

impl Train {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        train::check_output(&self.out)?;
        let hidden: [usize; 2] = self.hidden.as_slice().try_into().map_err(|_| {
            let found = list(&self.hidden);
            anyhow::anyhow!("expected two widths, as in --hidden 512,448, found {found}")
        })?;
        let knots = self.knots()?;
        let options = Options {
            name: self.name.clone(),
            command: self.command(&knots),
            rows: self.rows,
            cols: self.cols,
            knots,
            code: self.code,
            hidden,
            steps: self.steps,
            batch: self.batch,
            rate: self.rate,
            cooling: self.cooling,
            channel_weight: self.channel_weight,
            range_share: self.range_share,
            noise_ratios: self.noise_ratios.clone(),
            seed: self.seed,
            recorded_share: self.recorded_share,
            start: self.start()?,
            checkpoint: self.checkpoint.clone().unwrap_or_else(|| {
                let mut beside = self.out.clone().into_os_string();
                beside.push(".checkpoint");
                beside.into()
            }),
            checkpoint_every: self.checkpoint_every,
        };
        let bar = ProgressBar::new(self.steps as u64).with_style(
            ProgressStyle::with_template(
                "{wide_bar} {pos}/{len} steps · {per_sec} · {eta} left · {msg}",
            )
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let prior = train::train(&options, self.recorded_frames()?, &mut |event| {
            show(&bar, &event);
        })?;
        prior
            .save(&self.out)
            .context("the prior is trained, and its checkpoint stays")?;
        bar.finish_and_clear();
        say!("{}", self.out.display());
        Ok(())
    }

    fn knots(&self) -> anyhow::Result<Knots> {
        Ok(match (&self.knots, self.channels) {
            (Some(knots), _) => Knots::new(knots.clone())?,
            (None, Some(channels)) => Knots::even(channels, 1.0)?,
            (None, None) => Knots::new(Prior::embedded()?.knots)?,
        })
    }

    fn start(&self) -> anyhow::Result<Option<Prior>> {
        let Some(path) = &self.start else {
            return Ok(None);
        };
        Ok(Some(if path.as_os_str() == "embedded" {
            Prior::embedded()?
        } else {
            Prior::load(path)?
        }))
    }

    /// The command again, with every choice that matters and no path of this machine.
    fn command(&self, knots: &Knots) -> String {
        let knots = format!("--knots {}", list(knots.metres())); // in units of the last one
        let start = match &self.start {
            Some(path) => format!(
                " --start {}",
                path.file_name().unwrap_or_default().display()
            ),
            None => String::new(),
        };
        format!(
            "relucent train --name {} --rows {} --cols {} {knots} --code {} --hidden {} --steps {} --batch {} \
             --rate {} --cooling {} --channel-weight {} --range-share {} --noise-ratios {} --seed {} --recorded-share {}{start}",
            self.name,
            self.rows,
            self.cols,
            self.code,
            list(&self.hidden),
            self.steps,
            self.batch,
            self.rate,
            self.cooling,
            self.channel_weight,
            self.range_share,
            list(&self.noise_ratios),
            self.seed,
            self.recorded_share
        )
    }

    fn recorded_frames(&self) -> anyhow::Result<Vec<RecordedFrames>> {
        let open = |argument: &String| {
            Ok(RecordedFrames::new(
                &recorded::open(argument)?,
                self.rows,
                self.cols,
                self.seed,
            )?)
        };
        self.recorded.iter().map(open).collect()
    }
}

fn share(argument: &str) -> Result<f32, String> {
    let share = argument
        .parse()
        .ok()
        .filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "expected a share above 0 and at most 1".to_owned())
}

fn list(values: &[impl ToString]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    values.join(",")
}

fn show(bar: &ProgressBar, event: &Event) {
    match event {
        Event::Principal => bar.set_message("fitting principal directions"),
        Event::Started { step } => bar.set_position(*step as u64),
        Event::Step { step, loss } => {
            bar.set_position(*step as u64);
            bar.set_message(format!("loss {loss:.5}"));
        }
        Event::Validation {
            step,
            rmse,
            principal,
        } => {
            let line = format!(
                "step {step}: range RMSE {:.3} % of the largest range, {:.3} of PCA's {:.3} %",
                100.0 * rmse,
                rmse / principal,
                100.0 * principal
            );
            if bar.is_hidden() {
                tell!("{line}");
            } else {
                bar.println(line);
            }
        }
        Event::Finishing => bar.set_message("estimating statistics on fresh scenes"),
    }
}
