//! The `relucent` command: a thin shell over the library.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cli;
mod config;
mod say;

use clap::Parser;
use cli::LogFormat;
use say::tell;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Counts allocations, for `relucent bench`.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations of the process until now; those that only grew what was there count too.
pub(crate) fn allocations() -> u64 {
    let stats = ALLOCATOR.stats();
    (stats.allocations + stats.reallocations) as u64
}

/// Exit code where a log was cut or damaged, and was used as far as it goes.
const INCOMPLETE: u8 = 3;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let events = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .log_internal_errors(false); // where nobody reads stderr there is nowhere to complain
    match arguments.log_format {
        LogFormat::Text => events.init(),
        LogFormat::Json => events.json().init(),
    }
    match cli::run(&arguments).and_then(|()| say::heard()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell!("relucent: {error:#}");
            match error.downcast_ref::<cli::Incomplete>() {
                Some(_) => ExitCode::from(INCOMPLETE),
                None => ExitCode::FAILURE,
            }
        }
    }
}
