//! `relucent replay`: a measurement log goes through the pipeline again.

use super::metrics::MetricsArgument;
use super::prior::PriorArgument;
use super::run;
use crate::config::ConfigArgument;
use crate::say::tell;
use indicatif::ProgressBar;
use relucent::pipeline::{Pipeline, Replay as Source, Replayed};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often progress is shown.
const LOOK: Duration = Duration::from_millis(50);

/// Recover a measurement log: as a live sensor would send it, or as fast as possible.
#[derive(clap::Args, Debug)]
pub(crate) struct Replay {
    /// Measurement log (MCAP)
    log: PathBuf,
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    metrics: MetricsArgument,
    /// Pace: 1 is the recording's own, 2 twice as fast; 0: as fast as frames are recovered
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    rate: f64,
    /// Seconds of the log to pass over
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    start: f64,
    /// Seconds of the log to replay [default: all]
    #[arg(long, allow_negative_numbers = true)]
    duration: Option<f64>,
    /// Begin again at the end, until interrupted
    #[arg(long)]
    r#loop: bool,
    /// Where the depth log goes (MCAP)
    #[arg(long)]
    out: Option<PathBuf>,
    /// Where a contact sheet goes (PNG)
    #[arg(long)]
    sheet: Option<PathBuf>,
    /// One JSON object on stdout instead of tables
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        for (name, value) in [("--rate", self.rate), ("--start", self.start)] {
            anyhow::ensure!(
                value.is_finite() && value >= 0.0,
                "expected {name} of at least 0, got {value}"
            );
        }
        let duration_s = self.duration.unwrap_or(f64::INFINITY);
        anyhow::ensure!(
            duration_s >= 0.0,
            "expected --duration of at least 0, got {duration_s}"
        );
        let Some(config) = self.config.load()? else {
            return Ok(());
        };
        run::check_files([
            ("the log", Some(&self.log)),
            ("--out", self.out.as_ref()),
            ("--sheet", self.sheet.as_ref()),
        ])?;
        let source = Source {
            rate: self.rate,
            start_s: self.start,
            duration_s,
            again: self.r#loop,
        };
        relucent::journal::Reader::open(&self.log)?; // all before --out is emptied
        let prior = self.prior.load()?;
        let mut watching = vec![];
        let metrics = self.metrics.open(&mut watching)?;
        let (tally, mut outlets) = run::outlets(&config, self.out.as_deref())?;
        outlets.extend(watching);
        let pipeline = Pipeline::start(prior, &config.recover, config.pipeline, outlets)?;
        metrics.watch(pipeline.ingress());
        let stop = run::stop_on_signal();
        let mut replayed = Replayed::default();
        let bar = ProgressBar::new_spinner();
        let ingress = pipeline.ingress();
        let outcome = std::thread::scope(|scope| {
            let replaying = scope.spawn(|| source.run(&self.log, &ingress, &stop, &mut replayed));
            while !replaying.is_finished() {
                let a = pipeline.accounts();
                bar.set_message(format!(
                    "{} frames offered, {} emitted",
                    a.offered, a.emitted
                ));
                bar.tick();
                std::thread::sleep(LOOK);
            }
            replaying.join()
        });
        let outcome = outcome.map_err(|_| anyhow::anyhow!("the replay panicked"))?;
        let summary = pipeline.finish();
        if replayed.frames == 0 && outcome.is_ok() && !stop.load(Ordering::Relaxed) {
            anyhow::bail!(
                "expected measurements on topics /relucent/SENSOR/measurement within the part asked for of {}, found none; \
                 `relucent info` shows its topics",
                self.log.display()
            );
        }
        bar.finish_and_clear();
        let lost = summary.accounts.offered > 0 && summary.accounts.emitted == 0;
        run::conclude(&tally, summary, self.json, self.sheet.as_ref())?;
        let Replayed {
            frames,
            log_s,
            wall_s,
        } = replayed;
        let asked = if self.rate > 0.0 {
            format!("{} × asked for", self.rate)
        } else {
            "as fast as possible asked for".to_owned()
        };
        let pace = log_s / wall_s.max(1e-9); // a log cut before its first frame takes no time
        tell!(
            "{frames} frames, {log_s:.2} s of log offered in {wall_s:.2} s: {pace:.2} × its pace, {asked}"
        );
        match outcome {
            Err(error) if error.is_early_end() => Err(super::Incomplete(error).into()),
            Ok(()) if lost && !stop.load(Ordering::Relaxed) => anyhow::bail!(
                "expected frames that can be recovered, found none; what was wrong with them stands above"
            ),
            other => Ok(other?),
        }
    }
}
