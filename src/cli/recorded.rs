//! Recorded sequences named on the command line.

use anyhow::Context;
use relucent::dataset::Sequence;
use std::path::Path;

/// TOML, or TOML=FOLDER where its files lie in another folder.
pub(crate) fn split(argument: &str) -> (&Path, Option<&Path>) {
    match argument.split_once('=') {
        Some((toml, root)) => (Path::new(toml), Some(Path::new(root))),
        None => (Path::new(argument), None),
    }
}

/// What a sequence is called: its TOML file without folder and extension.
pub(crate) fn name(argument: &str) -> String {
    let name = split(argument).0.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Opens a sequence of images.
pub(crate) fn open(argument: &str) -> anyhow::Result<Sequence> {
    let (toml, root) = split(argument);
    Sequence::open(toml, root).with_context(|| format!("recorded sequence {argument}"))
}
