//! Which prior a command works with.

use relucent::prior::{Prior, PriorError};
use std::path::{Path, PathBuf};

/// An error that says which file it is about, once.
pub(crate) fn named(path: &Path, error: PriorError) -> anyhow::Error {
    match error {
        error @ PriorError::Read { .. } => error.into(),
        error => anyhow::Error::new(error).context(format!("prior {}", path.display())),
    }
}

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PriorArgument {
    /// Prior to use (safetensors) [default: the one embedded]
    #[arg(long)]
    prior: Option<PathBuf>,
}

impl PriorArgument {
    /// Its file; `None` where it is the embedded one.
    #[cfg(feature = "serve")]
    pub(crate) fn path(&self) -> Option<&std::path::Path> {
        self.prior.as_deref()
    }

    pub(crate) fn load(&self) -> anyhow::Result<Prior> {
        match &self.prior {
            Some(path) => Prior::load(path).map_err(|error| named(path, error)),
            None => Ok(Prior::embedded()?),
        }
    }
}
