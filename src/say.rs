//! Floor 4: what is said on stdout and stderr. Where nobody listens any more, a command still ends what it has begun.

use anyhow::Context;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// Why stdout took no more.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// A line on stdout: data.
macro_rules! say {
    ($($text:tt)*) => { $crate::say::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// A line on stderr: everything else.
macro_rules! tell {
    ($($text:tt)*) => { $crate::say::aside(format_args!($($text)*)) };
}
pub(crate) use tell;

pub(crate) fn line(text: Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout(), "{text}") {
        let _ = FAILURE.set(error); // the first counts
    }
}

pub(crate) fn aside(text: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}"); // there is nowhere to complain
}

/// Whether all that was said on stdout was taken, as far as anyone reads it.
pub(crate) fn heard() -> anyhow::Result<()> {
    match FAILURE.get().map(|error| (error.kind(), error.to_string())) {
        None | Some((ErrorKind::BrokenPipe, _)) => Ok(()),
        Some((_, error)) => Err(anyhow::anyhow!(error)).context("cannot write to stdout"),
    }
}
