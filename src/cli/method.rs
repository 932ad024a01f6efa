//! What evaluations are told: methods by name, numbers of measurements, noise.

use relucent::recover::{PRESETS, Settings};

/// A method by the name of its preset.
pub(super) fn method(name: &str) -> Result<(String, Settings), String> {
    let settings = Settings::preset(name);
    let settings = settings.ok_or_else(|| format!("expected one of {}", PRESETS.join(", ")))?;
    Ok((name.to_owned(), settings))
}

/// Measurements over pixels.
pub(super) fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse::<f64>().ok().filter(|r| *r > 0.0 && *r <= 1.0);
    ratio.ok_or_else(|| "expected m/n as a share within (0, 1]".to_owned())
}

/// Standard deviation of the noise over the mean |y|.
pub(super) fn noise(text: &str) -> Result<f32, String> {
    let noise = text.parse::<f32>().ok();
    let noise = noise.filter(|n| (0.0..=10.0).contains(n));
    noise.ok_or_else(|| "expected noise as a share within [0, 10]".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shares_are_taken() {
        assert_eq!((ratio("0.05"), ratio("1")), (Ok(0.05), Ok(1.0)));
        assert_eq!((noise("0"), noise("0.5")), (Ok(0.0), Ok(0.5)));
        for bad in ["-0.1", "NaN", "11", "few"] {
            assert!(ratio(bad).is_err() && noise(bad).is_err(), "{bad}");
        }
        assert!(ratio("0").is_err());
    }
}
