//! A log's time as it passes, also where the clocks that stamped it differ, or were set while it was recorded.

use std::collections::HashMap;

/// Who goes back by more than this has had its clock set; less is frames that overtook each other. Clocks that are no farther apart
/// are one.
const BACK_NS: u64 = 1_000_000_000;
/// Who goes on by more than this from one message to the next, too; a pause that is longer is not waited for.
const ON_NS: u64 = 60_000_000_000;

/// Where a log stands.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    clocks: HashMap<String, Clock>,
    /// the most time that has passed by any sensor's clock, ns
    passed_ns: u64,
}

/// A sensor's clock.
#[derive(Debug)]
struct Clock {
    /// the time that counts as none passed, which clocks that are set move, ns
    origin: i128,
    /// the latest since, ns
    latest: u64,
}

impl Timeline {
    /// Time passed since the first message until one of a sensor that bears `time_ns`, ns. Where its clock was set, none has passed
    /// since the message before, whoever sent that, nor where it begins, unless another's stands there too: clocks may be far apart.
    pub(crate) fn passed_ns(&mut self, sensor_id: &str, time_ns: u64) -> u64 {
        let time = i128::from(time_ns);
        let own = self.clocks.get(sensor_id);
        let own = own.filter(|clock| clock.goes_on(time_ns));
        let apart = |clock: &&Clock| clock.latest.abs_diff(time_ns);
        let like = || self.clocks.values().min_by_key(apart);
        let like = own.or_else(|| like().filter(|clock| apart(clock) <= BACK_NS));
        let now = Clock {
            origin: like.map_or(time - i128::from(self.passed_ns), |clock| clock.origin),
            latest: own.map_or(time_ns, |clock| clock.latest.max(time_ns)),
        };
        let origin = now.origin;
        match self.clocks.get_mut(sensor_id) {
            Some(clock) => *clock = now,
            None => drop(self.clocks.insert(sensor_id.to_owned(), now)),
        }
        let passed = u64::try_from((time - origin).max(0)).unwrap_or(u64::MAX);
        self.passed_ns = passed.max(self.passed_ns);
        passed
    }
}

impl Clock {
    /// Whether a message may be the next by this clock.
    fn goes_on(&self, time_ns: u64) -> bool {
        let back = self.latest.saturating_sub(time_ns);
        back <= BACK_NS && time_ns.saturating_sub(self.latest) <= ON_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn passed(times: &[u64]) -> Vec<u64> {
        let mut timeline = Timeline::default();
        times.iter().map(|&t| timeline.passed_ns("a", t)).collect()
    }

    #[test]
    fn time_passes_as_clocks_say_unless_they_are_set() {
        let start = 1_700_000_000 * S;
        let at = |times: [u64; 4]| passed(&times.map(|t| start + t));
        assert_eq!(at([0, S, 59 * S, 100 * S]), [0, S, 59 * S, 100 * S]);
        assert_eq!(
            at([0, 3 * S, 2 * S, 4 * S]),
            [0, 3 * S, 2 * S, 4 * S],
            "one that was overtaken"
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
    #[test]
    fn clocks_that_are_far_apart_pass_together() {
        let mut timeline = Timeline::default();
        let mut at = |sensor, time_ns| timeline.passed_ns(sensor, time_ns);
        assert_eq!([at("a", 100 * S), at("a", 101 * S)], [0, S]);
        assert_eq!(
            [at("b", 5 * S), at("a", 102 * S)],
            [S, 2 * S],
            "which began then"
        );
        assert_eq!([at("b", 6 * S), at("b", 7 * S)], [2 * S, 3 * S]);
        assert_eq!(at("a", 103 * S), 3 * S);
        assert_eq!(at("b", 70 * S), 3 * S, "set on: as far as the log is");
        let half = S / 2;
        let mut timeline = Timeline::default();
        let mut at = |sensor, time_ns| timeline.passed_ns(sensor, time_ns);
        assert_eq!(
            [at("a", 9 * S), at("b", 9 * S + half), at("a", 10 * S)],
            [0, half, S],
            "one clock, in turn"
        );
    }
}
