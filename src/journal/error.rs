//! Why a log cannot be read or written.

use std::path::PathBuf;

/// Why a log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// the file cannot be read
    #[error("cannot read log {path}", path = path.display())]
    Read {
        /// its path
        path: PathBuf,
        /// why
        source: std::io::Error,
    },
    /// no log at all
    #[error("expected an MCAP log, found something else in {path}", path = path.display())]
    NotALog {
        /// its path
        path: PathBuf,
    },
    /// it ends in the middle
    #[error("log {path} is cut: it ends at byte {at} in the middle of a record; all before it is whole", path = path.display())]
    Cut {
        /// its path
        path: PathBuf,
        /// where it ends, bytes
        at: u64,
    },
    /// what is there is no log from somewhere on
    #[error("log {path} is damaged before byte {at}", path = path.display())]
    Damaged {
        /// its path
        path: PathBuf,
        /// how far it was read, bytes
        at: u64,
        /// what is wrong
        source: mcap::McapError,
    },
    /// the file cannot be written
    #[error("cannot write log {path}", path = path.display())]
    Write {
        /// its path
        path: PathBuf,
        /// why
        source: std::io::Error,
    },
    /// somebody else writes the file, or reads it as a log
    #[error("expected a file that nobody else writes or reads as log {path}, found it in use", path = path.display())]
    InUse {
        /// its path
        path: PathBuf,
    },
    /// the container refuses what is to be written
    #[error("cannot write log {path}", path = path.display())]
    Refused {
        /// its path
        path: PathBuf,
        /// why
        source: mcap::McapError,
    },
}

impl JournalError {
    /// Whether a log ends before its end, and all before that can be used.
    pub fn is_early_end(&self) -> bool {
        matches!(self, Self::Cut { .. } | Self::Damaged { .. })
    }
}
