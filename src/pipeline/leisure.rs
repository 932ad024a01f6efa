//! Whether frames come so seldom that a worker sees each one through itself: no frame waits for it meanwhile, and waking up two
//! more threads takes time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Least time between frames, over what one takes in all stages, at which a worker sees them through: at 1.1 times, one sensor of
/// 150 Hz, frames that took a little longer held the next ones up, end to end 15 instead of 9 ms in the 90th percentile.
const WELL_BEFORE: u64 = 2;
/// Frames over which times between frames, and times that frames took, are forgotten.
const FORGOTTEN: u64 = 8;

/// The longest time that a frame took in all stages and to be taken by the sinks, ns, forgotten over some frames; one thread
/// notes it, others read.
#[derive(Default)]
pub(super) struct Spent(AtomicU64);

impl Spent {
    pub(super) fn note(&self, spent_ns: u64) {
        let before = self.0.load(Ordering::Relaxed);
        let spent_ns = spent_ns.max(before - before / FORGOTTEN);
        self.0.store(spent_ns, Ordering::Relaxed);
    }
}

/// What a worker knows of when frames come.
pub(super) struct Leisure {
    spent: Arc<Spent>,
    /// when the last frame came, ns
    last: Option<u64>,
    /// the shortest time from one frame to the next, ns, forgotten over some of them: sensors that share a worker come in bunches
    gap: u64,
}

impl Leisure {
    pub(super) fn new(spent: Arc<Spent>) -> Self {
        Self {
            spent,
            last: None,
            gap: 0,
        }
    }

    /// Whether a frame that came just `now`, ns, is through well before the next one may be expected.
    pub(super) fn at(&mut self, now: u64) -> bool {
        let spent = self.spent.0.load(Ordering::Relaxed);
        let last = self.last;
        self.last = last.max(Some(now));
        let Some(last) = last else {
            return false;
        };
        let forgotten = self.gap + self.gap.max(spent) / FORGOTTEN;
        self.gap = now.saturating_sub(last).min(forgotten);
        self.gap >= WELL_BEFORE * spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_seen_through_where_none_is_expected_meanwhile() {
        let spent = Arc::new(Spent::default());
        spent.note(100);
        let mut leisure = Leisure::new(Arc::clone(&spent));
        let mut now = 0;
        let mut after = |gap| {
            now += gap;
            leisure.at(now)
        };
        assert!(!(0..15).any(|_| after(300)), "it is not known yet");
        assert!(after(300) && after(200) && !after(199));
        let bunches = (0..40).any(|frame| after(if frame % 2 == 0 { 30 } else { 300 }));
        assert!(!bunches, "the next one is not far");
        assert!((0..40).any(|_| after(300)));
        spent.note(1000);
        assert!(!after(300), "one took long");
        (0..40).for_each(|_| spent.note(100));
        assert!(after(300));
    }
}
