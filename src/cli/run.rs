//! What every command that runs the pipeline shares.

use super::tally::Tally;
use crate::config::Config;
use crate::say::{say, tell};
use anyhow::Context;
use relucent::clock::Monotonic;
use relucent::pipeline::{LogSink, Outlet, Pipeline, Summary};
use relucent::prior::Prior;
use relucent::report;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A pipeline with a tally and, where asked for, a log.
pub(crate) fn start(
    prior: &Prior,
    config: &Config,
    log: Option<&Path>,
) -> anyhow::Result<(Pipeline, Tally)> {
    let (tally, outlets) = outlets(config, log)?;
    let pipeline = Pipeline::start(prior, &config.recover, config.pipeline, outlets)?;
    Ok((pipeline, tally))
}

/// A tally, and the outlets of a pipeline: to it and, where asked for, to a log.
pub(crate) fn outlets(config: &Config, log: Option<&Path>) -> anyhow::Result<(Tally, Vec<Outlet>)> {
    let tally = Tally::default();
    let mut outlets = vec![tally.outlet()];
    if let Some(path) = log {
        let sink = LogSink::create(path, config.log, Monotonic::default())?;
        outlets.push(Outlet::waiting(&path.display().to_string(), sink));
    }
    Ok((tally, outlets))
}

/// Checks, before anything is done, that files, each under its option's name, are in folders that are there, and no two are one.
pub(crate) fn check_files<'a>(
    files: impl IntoIterator<Item = (&'static str, Option<&'a PathBuf>)>,
) -> anyhow::Result<()> {
    let mut known: Vec<(&str, &Path)> = vec![];
    for (name, path) in files {
        let Some(path) = path.map(PathBuf::as_path) else {
            continue;
        };
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        anyhow::ensure!(
            folder.is_none_or(Path::is_dir),
            "expected a folder that is there for {name}, got {}",
            path.display()
        );
        if let Some((other, _)) = known.iter().find(|(_, known)| is_same(known, path)) {
            anyhow::bail!(
                "expected {name} to be another file than {other}, got {} for both",
                path.display()
            );
        }
        known.push((name, path));
    }
    Ok(())
}

/// Whether two paths lead to one file, be it there or not; a device or a pipe may be named as often as one likes, and is not opened.
fn is_same(a: &Path, b: &Path) -> bool {
    let absolute = |path| std::path::absolute(path).ok();
    match (a.is_file(), b.is_file()) {
        (true, true) => same_file::is_same_file(a, b).unwrap_or(false),
        _ => !a.exists() && !b.exists() && absolute(a) == absolute(b),
    }
}

/// Shows what a run came to: one JSON object or tables on stdout, files and complaints on stderr.
pub(crate) fn conclude(
    tally: &Tally,
    summary: Summary,
    json: bool,
    sheet: Option<&PathBuf>,
) -> anyhow::Result<()> {
    if json {
        say!("{}", tally.json(&summary));
    } else {
        tally.print(&summary);
    }
    if let (Some(path), Some((max_range, rows))) = (sheet, tally.sheet()) {
        let picture = report::sheet(max_range, &rows)?;
        std::fs::write(path, picture)
            .with_context(|| format!("contact sheet {}", path.display()))?;
        tell!("contact sheet: {}", path.display());
    }
    tally.complain(summary)
}

/// A flag that ctrl-C and SIGTERM set: whoever brings frames stops, and what was accepted still comes out. A second
/// signal ends the process at once.
pub(crate) fn stop_on_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let installed = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        tell!("relucent: stopping; what was accepted still comes out");
    });
    if let Err(error) = installed {
        tracing::warn!(%error, "signals end the process at once");
    }
    stop
}
