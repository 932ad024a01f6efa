//! `relucent unroll`: the unrolled network of a prior of your own.

use super::prior::PriorArgument;
use super::{recorded, table};
use crate::say::{say, tell};
use indicatif::{ProgressBar, ProgressStyle};
use relucent::train::RecordedFrames;
use relucent::train::unroll::{self, Event, Options, Score};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Train the network that refines a prior's images, on what recovery makes of simulated and recorded scenes.
///
/// It trains on the one that the prior has. The prior is written at every examination: interrupted, go on from that file.
#[derive(clap::Args, Debug)]
pub(crate) struct Unroll {
    #[command(flatten)]
    prior: PriorArgument,
    /// Where the prior goes with its network (safetensors)
    #[arg(long)]
    out: PathBuf,
    /// Begin with a network that has learnt nothing, whatever the prior has
    #[arg(long)]
    anew: bool,
    /// Recorded sequence to mix in, as TOML or TOML=FOLDER (where its files are); may be given several times
    #[arg(long)]
    recorded: Vec<String>,
    /// Share of recorded sequences
    #[arg(long, default_value_t = 0.2, value_parser = share)]
    recorded_share: f64,
    /// Steps
    #[arg(long, default_value_t = NonZeroUsize::new(60_000).unwrap_or(NonZeroUsize::MIN))]
    steps: NonZeroUsize,
    /// Frames a step
    #[arg(long, default_value_t = NonZeroUsize::new(128).unwrap_or(NonZeroUsize::MIN))]
    batch: NonZeroUsize,
    /// Highest rate of Adam, which falls to zero by half a cosine
    #[arg(long, default_value_t = 1.5e-3)]
    rate: f32,
    /// Frames that steps draw from, a third of a megabyte each; new ones take the place of the oldest
    #[arg(long, default_value_t = NonZeroUsize::new(4096).unwrap_or(NonZeroUsize::MIN))]
    pool: NonZeroUsize,
    /// Stages, fine and coarse features of a network that has learnt nothing
    #[arg(long, value_delimiter = ',', default_values_t = [3, 24, 64])]
    size: Vec<usize>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Steps between two examinations
    #[arg(long, default_value_t = NonZeroUsize::new(500).unwrap_or(NonZeroUsize::MIN))]
    examine_every: NonZeroUsize,
}

impl Unroll {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        relucent::train::check_output(&self.out)?;
        let mut prior = self.prior.load()?;
        if self.anew {
            prior.unrolled = None;
        }
        let size: Option<[usize; 3]> = self.size.as_slice().try_into().ok();
        let size = size.filter(|size| {
            size.iter()
                .zip([64, 1024, 1024])
                .all(|(s, most)| (1..=most).contains(s))
        });
        let size = size.ok_or_else(|| {
            let found: Vec<String> = self.size.iter().map(ToString::to_string).collect();
            let found = found.join(",");
            anyhow::anyhow!("expected up to 64 stages and up to 1024 features, as in --size 3,24,64, found {found}")
        })?;
        let open = |argument: &String| {
            let sequence = recorded::open(argument)?;
            Ok(RecordedFrames::new(
                &sequence, prior.rows, prior.cols, self.seed,
            )?)
        };
        let recorded: anyhow::Result<Vec<RecordedFrames>> =
            self.recorded.iter().map(open).collect();
        let options = Options {
            command: self.command(),
            steps: self.steps.get(),
            batch: self.batch.get(),
            rate: self.rate,
            pool: self.pool.get(),
            size,
            recorded_share: self.recorded_share,
            seed: self.seed,
            examine_every: self.examine_every.get(),
        };
        let bar = ProgressBar::new(options.steps as u64).with_style(
            ProgressStyle::with_template(
                "{wide_bar} {pos}/{len} steps · {per_sec} · {eta} left · {msg}",
            )
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message("first frames");
        unroll::unroll(
            &options,
            prior,
            recorded?,
            &mut |event| show(&bar, &event),
            &mut |prior| Ok(prior.save(&self.out)?),
        )?;
        bar.finish_and_clear();
        say!("{}", self.out.display());
        Ok(())
    }

    /// The command again, with every choice that matters and no path of this machine.
    fn command(&self) -> String {
        let anew = match self.anew {
            true => format!(
                " --anew --size {},{},{}",
                self.size[0], self.size[1], self.size[2]
            ),
            false => String::new(),
        };
        format!(
            "relucent unroll --steps {} --batch {} --rate {} --pool {} --seed {} --recorded-share {}{anew}",
            self.steps, self.batch, self.rate, self.pool, self.seed, self.recorded_share
        )
    }
}

pub(super) fn share(argument: &str) -> Result<f64, String> {
    let share = argument
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0 to 1".to_owned())
}

fn show(bar: &ProgressBar, event: &Event) {
    match event {
        Event::Step { step, loss } => {
            bar.set_position(*step as u64);
            bar.set_message(format!("loss {loss:.5}"));
        }
        Event::Examination { step, scores } => {
            let head = ["m/n", "range RMSE", "before", "small things", "before"];
            let percent = |value: f64, digits: usize| format!("{:.digits$} %", 100.0 * value);
            let row = |(ratio, [before, after]): &(f64, [Score; 2])| {
                vec![
                    percent(*ratio, 0),
                    percent(after.rmse, 3),
                    percent(before.rmse, 3),
                    percent(after.small_things, 1),
                    percent(before.small_things, 1),
                ]
            };
            let lines = format!(
                "step {step}: of the largest range, and of pixels of small near things, with the network and before it\n{}",
                table(&head, scores.iter().map(row))
            );
            match bar.is_hidden() {
                true => tell!("{lines}"),
                false => bar.println(lines),
            }
        }
    }
}
