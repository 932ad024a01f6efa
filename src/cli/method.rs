//! Methods by name.

use relucent::recover::{PRESETS, Settings};

/// A method by the name of its preset.
pub(super) fn method(name: &str) -> Result<(String, Settings), String> {
    let settings = Settings::preset(name);
    let settings = settings.ok_or_else(|| format!("expected one of {}", PRESETS.join(", ")))?;
    Ok((name.to_owned(), settings))
}
