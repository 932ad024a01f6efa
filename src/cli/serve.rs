//! `relucent serve`: recovery over gRPC.

use super::metrics::MetricsArgument;
use super::prior::PriorArgument;
use super::run;
use crate::config::ConfigArgument;
use relucent::serve::{Address, Server};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// Recover what sensors send over gRPC, until interrupted.
#[derive(clap::Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    metrics: MetricsArgument,
    /// Address to listen on: HOST:PORT of this machine (port 0: any free one), or unix:PATH
    #[arg(long, default_value = "127.0.0.1:50551")]
    listen: Address,
    /// Where the depth log goes (MCAP)
    #[arg(long)]
    out: Option<PathBuf>,
    /// One JSON object on stdout at the end instead of tables
    #[arg(long)]
    json: bool,
}

impl Serve {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let Some(config) = self.config.load()? else {
            return Ok(());
        };
        let prior = Arc::new(self.prior.load()?);
        let (tally, mut outlets) = run::outlets(&config, self.out.as_deref())?;
        let metrics = self.metrics.open(&mut outlets)?;
        let server = Server::bind(
            &self.listen,
            &prior,
            &config.recover,
            config.pipeline,
            outlets,
        )?;
        metrics.watch(server.ingress());
        eprintln!("relucent: listening on {}", server.address());
        let (stopping, stop) = watch::channel(false);
        let signal = run::stop_on_signal();
        std::thread::spawn(move || {
            while !signal.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = stopping.send(true);
        });
        let summary = server.run(stop)?;
        run::conclude(&tally, summary, self.json, None)
    }
}
