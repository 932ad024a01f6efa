//! Everything a run can be told in a file: TOML, unknown keys refused, every key optional.

use crate::say::say;
use anyhow::Context;
use relucent::pipeline::{LogOptions, Options};
use relucent::recover::{Refine, Settings};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A whole configuration; what a file leaves out keeps its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// how frames are recovered
    pub(crate) recover: Settings,
    /// how the pipeline is laid out
    pub(crate) pipeline: Options,
    /// what is written into depth logs, and when it is safe
    pub(crate) log: LogOptions,
    /// how much a server takes
    #[cfg(feature = "serve")]
    pub(crate) serve: relucent::serve::Limits,
}

/// What refines images.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RefineBy {
    /// nothing: what the generator and its error say
    None,
    /// total variation
    Tv,
    /// total variation, and the unrolled network that the prior has learnt, where it has one
    Net,
}

impl RefineBy {
    fn apply(self, configured: Refine) -> Refine {
        let unrolled = match self {
            Self::None => return Refine::NONE,
            Self::Tv => false,
            Self::Net => true,
        };
        Refine {
            unrolled,
            ..configured
        }
    }
}

/// The configuration file of a command, and what is often wanted otherwise.
#[derive(clap::Args, Debug)]
pub(crate) struct ConfigArgument {
    /// Configuration (TOML); see --print-config for every key
    #[arg(long)]
    config: Option<PathBuf>,
    /// What refines images [default: as configured]
    #[arg(long, value_enum)]
    refine: Option<RefineBy>,
    /// Print the configuration in force as TOML, and do nothing else
    #[arg(long)]
    print_config: bool,
}

impl ConfigArgument {
    /// The configuration; `None` where it was to be printed, and was.
    pub(crate) fn load(&self) -> anyhow::Result<Option<Config>> {
        let mut config = match &self.config {
            Some(path) => read(path)?,
            None => Config::default(),
        };
        if let Some(refine) = self.refine {
            config.recover.refine = refine.apply(config.recover.refine);
        }
        if self.print_config {
            say!("{}", toml::to_string(&config)?.trim_end());
            return Ok(None);
        }
        Ok(Some(config))
    }
}

fn read(path: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read configuration {}", path.display()))?;
    let config: Config =
        toml::from_str(&text).with_context(|| format!("configuration {}", path.display()))?;
    config
        .check()
        .with_context(|| format!("configuration {}", path.display()))?;
    Ok(config)
}

impl Config {
    fn check(&self) -> anyhow::Result<()> {
        self.recover.check()?;
        self.pipeline.check()?;
        self.log.check()?;
        #[cfg(feature = "serve")]
        self.serve.check()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refines_is_chosen_over_what_is_configured() {
        let configured = Refine {
            iterations: 7,
            ..Refine::default()
        };
        assert_eq!(RefineBy::None.apply(configured), Refine::NONE);
        let by = |by: RefineBy| by.apply(configured);
        assert_eq!(
            (by(RefineBy::Tv).iterations, by(RefineBy::Tv).unrolled),
            (7, false)
        );
        assert!(by(RefineBy::Net).unrolled);
    }

    #[test]
    fn what_is_printed_reads_back_and_unknown_keys_are_refused() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
        let error = toml::from_str::<Config>("[pipeline]\nworker = 2").unwrap_err();
        assert!(error.to_string().contains("worker"), "{error}");
        let error = toml::from_str::<Config>("[recover.limits]\nsteps = 2").unwrap_err();
        assert!(error.to_string().contains("steps"), "{error}");
    }
}
