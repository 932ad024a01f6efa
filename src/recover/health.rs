//! Whether a frame's readings are what the sensor's description says they are.
//!
//! Scenes that the prior knows badly leave as large a χ² as readings of other patterns: what tells them apart is how much
//! of the readings' energy is explained. Readings taken with wrong patterns look like noise that holds all of it.

/// Share left unexplained at which a frame is not trusted, up to [`FEW`] readings.
const MOST_UNEXPLAINED: f64 = 0.62;
/// Readings from which on a state can explain less and less of the rest, also where all is well.
const FEW: f64 = 400.0;
/// How fast the share grows with the logarithm of their number.
const GROWTH: f64 = 0.135;
/// Where it ends.
const LIMIT: f64 = 0.9;

/// Whether a frame of `readings` that leaves the share `unexplained` is to be distrusted. Chosen on tuning scenes, between
/// what one in a hundred right frames exceeds and what one in a hundred wrong ones stays below; `relucent eval` measures both.
pub(super) fn untrusted(unexplained: f64, readings: f64) -> bool {
    let most = MOST_UNEXPLAINED + GROWTH * (readings / FEW).ln().max(0.0);
    unexplained > most.min(LIMIT)
}

#[cfg(test)]
mod tests {
    use super::untrusted;

    #[test]
    fn many_readings_may_leave_more_unexplained() {
        assert!(untrusted(0.7, 164.0) && !untrusted(0.6, 164.0));
        assert!(untrusted(0.85, 1640.0) && !untrusted(0.75, 1640.0));
        assert!(untrusted(0.95, 1e9));
    }
}
