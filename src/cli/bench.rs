//! `relucent bench`: how fast it is.

use super::bench_page::Page;
use super::exposure::ExposureArguments;
use super::prior::PriorArgument;
use super::run;
use super::{bench_figures, bench_show};
use crate::config::{Config, ConfigArgument};
use crate::say::{say, tell};
use anyhow::Context;
use indicatif::ProgressBar;
use relucent::bench::{self, Machine, Measured, Options, Parts, Sweep, Workload};
use relucent::prior::Prior;
use relucent::recover::Model;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Measure the pipeline's latency and throughput, and the parts of recovery.
///
/// Latency counts from the moment a frame is due, whatever it waits for. Without LOG, sensors of the prior's grid are
/// simulated, eight pattern sets in turn unless told otherwise. Workers are set by `[pipeline] workers`.
#[derive(clap::Args, Debug)]
pub(crate) struct Bench {
    /// Measurement log (MCAP) to send, again and again, forwards and backwards [default: simulated scenes]
    #[arg(conflicts_with = "ExposureArguments")]
    log: Option<PathBuf>,
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    exposure: ExposureArguments,
    /// Frames a second of each sensor, whether or not they can be taken; 0: as many as can
    #[arg(long, default_value_t = 30.0)]
    rate: f64,
    /// Number of sensors, evenly spread over the interval between frames
    #[arg(long, default_value_t = 1)]
    sensors: usize,
    /// Frames of each sensor to measure; p99.9 needs more than 10,000 over all sensors
    #[arg(long, default_value_t = 600)]
    frames: u64,
    /// Frames of each sensor before them that are not measured, at least one of each pattern set
    #[arg(long, default_value_t = 32)]
    warm_up: u64,
    /// What takes longer end to end has missed its deadline, ms
    #[arg(long, default_value_t = 33.0)]
    deadline_ms: f64,
    /// An earlier --json to print ratios to
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Where a page goes (HTML): histograms, time series, tables
    #[arg(long)]
    html: Option<PathBuf>,
    /// Instead: how cost grows with readings, sensors and workers, by many short runs
    #[arg(long, conflicts_with_all = ["log", "compare", "html", "rate", "sensors", "frames", "warm_up", "deadline_ms", "ExposureArguments"])]
    sweep: bool,
    /// One JSON object on stdout instead of tables
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let Some(config) = self.config.load()? else {
            return Ok(());
        };
        run::check_files([("--html", self.html.as_ref())])?;
        anyhow::ensure!(self.frames > 0, "expected --frames of at least 1, got 0");
        let before = self.compare.as_deref().map(read).transpose()?;
        let prior = self.prior.load()?;
        if self.sweep {
            return self.sweep(&prior, &config);
        }
        let workload = self.workload(&prior)?;
        let source = self.source(&prior);
        let model = Arc::new(Model::new(prior, config.recover.error)); // given away: memory is measured too
        let options = self.options(&workload);
        let measured = self.measure(&model, &config, &workload, options)?;
        let counted = Some(crate::allocations as fn() -> u64);
        let parts = Parts::measure(model, &config.recover, &workload, counted)?;
        let asked = json!({ "options": options, "settings": config, "workload": source });
        let mut told = told(asked, &measured, &parts)?;
        let compared = before.map(|before| bench_show::compared(&before, &told));
        if let Some(compared) = &compared {
            let ratios = compared.iter().map(|r| (r.name.clone(), json!(r.ratio())));
            told["compared"] = Value::Object(ratios.collect());
        }
        if self.json {
            say!("{told:#}");
        } else {
            bench_show::print(&told, &measured, &parts);
            compared.iter().for_each(|r| bench_show::print_compared(r));
        }
        if let Some(path) = &self.html {
            let page = Page {
                told: &told,
                measured: &measured,
                parts: &parts,
            };
            std::fs::write(path, page.html()?)
                .with_context(|| format!("page {}", path.display()))?;
            tell!("page: {}", path.display());
        }
        Ok(())
    }

    fn workload(&self, prior: &Prior) -> anyhow::Result<Workload> {
        Ok(match &self.log {
            Some(log) => Workload::of_log(log, self.sensors)?,
            None => Workload::simulated(prior, self.sensors, self.exposure.exposure())?,
        })
    }

    fn options(&self, workload: &Workload) -> Options {
        Options {
            rate_hz: self.rate,
            frames: self.frames,
            warm_up: self.warm_up.max(workload.sets() as u64),
            deadline_ms: self.deadline_ms,
        }
    }

    fn measure(
        &self,
        model: &Arc<Model>,
        config: &Config,
        workload: &Workload,
        options: Options,
    ) -> anyhow::Result<Measured> {
        let bench = bench::Bench {
            model,
            settings: &config.recover,
            pipeline: config.pipeline,
            workload,
            options,
            allocations: Some(crate::allocations),
        };
        let stop = run::stop_on_signal();
        let bar = ProgressBar::new(self.frames.saturating_mul(self.sensors as u64));
        let measured = bench.run(&stop, &mut || bar.inc(1))?;
        bar.finish_and_clear();
        Ok(measured)
    }

    fn source(&self, prior: &Prior) -> Value {
        let name = self.log.as_deref().and_then(Path::file_name);
        let exposure = self.exposure.exposure();
        match name {
            Some(name) => json!({"log": name.to_string_lossy(), "sensors": self.sensors}),
            None => json!({
                "simulated": format!("{} × {} pixels, {} channels", prior.rows, prior.cols, prior.channels()),
                "sensors": self.sensors, "ratio": exposure.ratio, "sets": exposure.sets,
                "noise": (f64::from(exposure.noise) * 1e6).round() * 1e-6, "seed": exposure.seed,
            }),
        }
    }

    fn sweep(&self, prior: &Prior, config: &Config) -> anyhow::Result<()> {
        let stop = run::stop_on_signal();
        let bar = ProgressBar::new(Sweep::runs() as u64);
        let each = &mut || bar.inc(1);
        let sweep = Sweep::run(prior, &config.recover, config.pipeline, &stop, each)?;
        bar.finish_and_clear();
        if self.json {
            say!(
                "{}",
                json!({"sweep": sweep, "machine": Machine::here(), "settings": config})
            );
        } else {
            bench_show::print_sweep(&sweep);
        }
        Ok(())
    }
}

/// The object that `--json` prints: what was asked for, and what was measured.
fn told(asked: Value, measured: &Measured, parts: &Parts) -> anyhow::Result<Value> {
    let mut told = serde_json::to_value(measured)?;
    if let Value::Object(asked) = asked {
        asked.into_iter().for_each(|(key, value)| told[key] = value);
    }
    told["parts"] = json!(parts);
    told["machine"] = json!(Machine::here());
    let peak = measured.memory.last().map(|phase| phase.memory.peak_mib);
    told["peak_mib"] = json!(peak);
    told["ratios"] = bench_figures::ratios(measured, parts);
    Ok(told)
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read earlier run {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| {
        format!(
            "expected what `relucent bench --json` prints in {}",
            path.display()
        )
    })
}
