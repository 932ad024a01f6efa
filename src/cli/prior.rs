//! Which prior a command works with.

use anyhow::Context;
use relucent::prior::Prior;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(crate) struct PriorArgument {
    /// Prior to use (safetensors) [default: the one embedded]
    #[arg(long)]
    prior: Option<PathBuf>,
}

impl PriorArgument {
    pub(crate) fn load(&self) -> anyhow::Result<Prior> {
        match &self.prior {
            Some(path) => Prior::load(path).with_context(|| format!("prior {}", path.display())),
            None => Ok(Prior::embedded()?),
        }
    }
}
