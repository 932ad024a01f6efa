//! Which prior a command works with.

use anyhow::Context;
use relucent::prior::Prior;
use std::path::PathBuf;

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
            Some(path) => Prior::load(path).with_context(|| format!("prior {}", path.display())),
            None => Ok(Prior::embedded()?),
        }
    }
}
