//! `relucent serve`: recovery over gRPC.

use super::metrics::MetricsArgument;
use super::prior::PriorArgument;
use super::run;
use super::signals;
use crate::config::ConfigArgument;
use crate::say::tell;
use anyhow::Context;
use relucent::clock::Monotonic;
use relucent::pipeline::{Ingress, LogOptions, LogSink, Outlet, Place, Policy};
use relucent::serve::{Access, AccessFiles, Address, Server, Serving};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
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
    /// Address to listen on: HOST:PORT (port 0: any free one), or unix:PATH
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
        let (stopping, stop) = watch::channel(false);
        let door = Arc::new(OnceLock::<Ingress>::new());
        let (prior, open) = (self.prior.clone(), Arc::clone(&door));
        signals::heed(stopping, move || match open.get() {
            Some(door) => reload(&prior, door),
            None => tracing::warn!("nothing to reload: the prior is being read"),
        })?;
        let access = Access::read(&AccessFiles {
            cert: self.tls_cert.clone(),
            key: self.tls_key.clone(),
            client_ca: self.client_ca.clone(),
            token: self.token_file.clone(),
        })?;
        let prior = self.prior.load()?;
        let (tally, mut outlets) = run::outlets(&config, None)?;
        let metrics = self.metrics.open(&mut outlets)?;
        let record = self.record.as_deref().map(unused).transpose()?;
        if let Some(path) = &record {
            outlets.push(recorder(path, config.log)?);
        }
        let bound = Server::bind(
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
        );
        let server = bound.inspect_err(|_| {
            let begun = record.as_deref().filter(|path| is_plain(path));
            let _ = begun.map(fs::remove_file); // nothing was recorded
        })?;
        metrics.watch(server.ingress());
        let _ = door.set(server.ingress());
        if let Some(path) = &record {
            tell!("relucent: recording to {}", path.display());
        }
        tell!("relucent: listening on {}", server.address());
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
        Ok(()) => tell!("relucent: prior {path} read anew; each sensor starts cold"),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(error, "prior not reloaded; the one in use stays");
        }
    }
}

/// A recording's file, made: where there is one already, the first of NAME-1, NAME-2 … that is not. A server that comes back after a
/// crash must not lose what led to it.
fn unused(path: &Path) -> anyhow::Result<PathBuf> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(OsStr::to_string_lossy);
    let dotted = extension.map_or(String::new(), |extension| format!(".{extension}"));
    let (mut next, mut count) = (path.to_owned(), 0);
    loop {
        match File::create_new(&next) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && is_plain(&next) => count += 1,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(next), // a pipe, say
            made => {
                made.with_context(|| format!("cannot record to {}", next.display()))?;
                return Ok(next);
            }
        }
        next.set_file_name(format!("{stem}-{count}{dotted}"));
    }
}

fn is_plain(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file())
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
