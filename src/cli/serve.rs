//! `relucent serve`: recovery over gRPC.

use super::metrics::MetricsArgument;
use super::prior::PriorArgument;
use super::run;
use super::signals;
use crate::config::ConfigArgument;
use relucent::clock::Monotonic;
use relucent::pipeline::{Ingress, LogOptions, LogSink, Outlet, Place, Policy};
use relucent::serve::{Access, AccessFiles, Address, Server, Serving};
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// Events that may wait for the log; what comes beyond is not written, and counted.
const RECORD: usize = 128;

/// Recover what sensors send over gRPC, until interrupted.
///
/// Beyond this machine it serves with TLS only, and asks clients for a certificate (--client-ca) or a token (--token-file).
/// SIGHUP has it read the file of --prior anew.
#[derive(clap::Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    metrics: MetricsArgument,
    /// Address to listen on: IP:PORT (port 0: any free one), or unix:PATH
    #[arg(long, default_value = "127.0.0.1:50551")]
    listen: Address,
    /// Log of what is recovered and of its measurements (MCAP), which can be replayed
    #[arg(long, alias = "out", value_name = "LOG")]
    record: Option<PathBuf>,
    /// Folder where what is known of each sensor's scene is kept about once a second: started again, it goes on warm
    #[arg(long, value_name = "FOLDER")]
    checkpoints: Option<PathBuf>,
    /// Certificate chain of the server (PEM), and with it TLS
    #[arg(long, value_name = "PEM")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "PEM")]
    tls_key: Option<PathBuf>,
    /// Authorities (PEM) that sign clients' certificates: clients without one are turned away
    #[arg(long, value_name = "PEM")]
    client_ca: Option<PathBuf>,
    /// File with a token of 32 characters or more: calls without it are turned away
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// One JSON object on stdout at the end instead of tables
    #[arg(long)]
    json: bool,
}

impl Serve {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let Some(config) = self.config.load()? else {
            return Ok(());
        };
        let access = Access::read(&AccessFiles {
            cert: self.tls_cert.clone(),
            key: self.tls_key.clone(),
            client_ca: self.client_ca.clone(),
            token: self.token_file.clone(),
        })?;
        let prior = self.prior.load()?;
        let (tally, mut outlets) = run::outlets(&config, None)?;
        if let Some(path) = &self.record {
            outlets.push(recorder(path, config.log)?);
        }
        let metrics = self.metrics.open(&mut outlets)?;
        let server = Server::bind(
            &self.listen,
            prior,
            &config.recover,
            config.pipeline,
            outlets,
            Serving {
                access,
                limits: config.serve,
                checkpoints: self.checkpoints.clone(),
            },
        )?;
        metrics.watch(server.ingress());
        let (stopping, stop) = watch::channel(false);
        let (prior, door) = (self.prior.clone(), server.ingress());
        signals::heed(stopping, move || reload(&prior, &door))?;
        eprintln!("relucent: listening on {}", server.address());
        let summary = server.run(stop)?;
        run::conclude(&tally, summary, self.json, None)
    }
}

/// Goes on with the prior that its file holds by now, or with the one in use where that cannot be.
fn reload(prior: &PriorArgument, door: &Ingress) {
    let Some(path) = prior.path().map(Path::display) else {
        tracing::warn!("nothing to reload: the embedded prior is in use, not a file (--prior)");
        return;
    };
    let replaced = prior.load().and_then(|new| Ok(door.replace_prior(new)?));
    match replaced {
        Ok(()) => eprintln!("relucent: prior {path} read anew; each sensor starts cold"),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(error, "prior not reloaded; the one in use stays");
        }
    }
}

/// A log that a slow disk cannot make the sensors wait for.
fn recorder(path: &Path, options: LogOptions) -> anyhow::Result<Outlet> {
    let options = LogOptions {
        measurements: true,
        ..options
    };
    Ok(Outlet {
        name: path.display().to_string(),
        place: Place::Own {
            policy: Policy::DropNewest,
            capacity: RECORD,
        },
        sink: Box::new(LogSink::create(path, options, Monotonic::default())?),
    })
}
