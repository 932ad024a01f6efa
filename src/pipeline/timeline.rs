//! A log's time as it passes, also where the clocks that stamped it were set while it was recorded.

/// Who goes back by more than this has had its clock set; less is two sensors that take turns.
const BACK_NS: u64 = 1_000_000_000;
/// Who goes on by more than this from one message to the next, too; a pause that is longer is not waited for.
const ON_NS: u64 = 60_000_000_000;

/// Where a log stands.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// the time that counts as none passed, which clocks that are set move, and the latest since, ns
    now: Option<(i128, u64)>,
}

impl Timeline {
    /// Time passed since the first message until one that bears `time_ns`, ns. Where a clock was set, none has passed since
    /// the message before.
    pub(crate) fn passed_ns(&mut self, time_ns: u64) -> u64 {
        let time = i128::from(time_ns);
        let (origin, latest) = self.now.get_or_insert((time, time_ns));
        let early = latest.saturating_sub(time_ns) > BACK_NS;
        if early || time_ns.saturating_sub(*latest) > ON_NS {
            *origin += time - i128::from(*latest);
            *latest = time_ns;
        }
        *latest = time_ns.max(*latest);
        u64::try_from((time - *origin).max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn passed(times: &[u64]) -> Vec<u64> {
        let mut timeline = Timeline::default();
        times.iter().map(|&t| timeline.passed_ns(t)).collect()
    }

    #[test]
    fn time_passes_as_clocks_say_unless_they_are_set() {
        let start = 1_700_000_000 * S;
        let at = |times: [u64; 4]| passed(&times.map(|t| start + t));
        assert_eq!(at([0, S, 59 * S, 100 * S]), [0, S, 59 * S, 100 * S]);
        assert_eq!(
            at([0, 3 * S, 2 * S, 4 * S]),
            [0, 3 * S, 2 * S, 4 * S],
            "two that take turns"
        );
        assert_eq!(
            at([0, 2 * S, 9000 * S, 9001 * S]),
            [0, 2 * S, 2 * S, 3 * S],
            "set on"
        );
        assert_eq!(
            at([0, 9 * S, S, 2 * S]),
            [0, 9 * S, 9 * S, 10 * S],
            "set back"
        );
        let ends = [start, start + S, 0, S, u64::MAX, 0];
        assert_eq!(passed(&ends), [0, S, S, 2 * S, 2 * S, 2 * S]);
    }
}
