//! When a frame must be done, and whether one more step of its solver fits in before.

use crate::clock::Clock;
use std::cell::Cell;

/// Share of what was reserved for the slowest step that a faster frame forgets, as 1/FORGETS, and one that made no step: what is
/// reserved may keep it from any.
const FORGETS: u64 = 10;
const FORGETS_WITHOUT: u64 = 2;

/// What a track's frames took, ns: what the next one must leave room for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reserve {
    /// the longest step
    step_ns: u64,
    /// all that comes after the last one
    tail_ns: u64,
}

/// A frame's deadline.
pub(super) struct Deadline<'a> {
    /// the clock and when it is late; `None` where nothing presses
    due: Option<(&'a dyn Clock, u64)>,
    after_ns: u64,
    reserve: Reserve,
    /// whether there was room for a step
    stepped: Cell<bool>,
    /// when the last step began; none before the first
    last_ns: Cell<Option<u64>>,
    longest_ns: Cell<u64>,
}

impl<'a> Deadline<'a> {
    /// `after_ms` from `began`, on `clock`, which both must be of; never where `after_ms` is 0.
    pub(super) fn new(clock: &'a dyn Clock, began: u64, after_ms: f64, reserve: Reserve) -> Self {
        let after_ns = (after_ms * 1e6) as u64;
        Self {
            due: (after_ns > 0).then(|| (clock, began.saturating_add(after_ns))),
            after_ns,
            reserve,
            stepped: Cell::new(false),
            last_ns: Cell::new(None),
            longest_ns: Cell::new(0),
        }
    }

    /// Whether another step, as long as the longest so far, would make the frame late. To be asked before each.
    pub(super) fn nears(&self) -> bool {
        let Some((clock, due_ns)) = self.due else {
            return false;
        };
        let now = clock.now_ns();
        let last = self.last_ns.replace(Some(now));
        let step = last.map_or(0, |last| now.saturating_sub(last));
        self.longest_ns.set(self.longest_ns.get().max(step));
        let step = self.reserve.step_ns.max(self.longest_ns.get());
        let done_ns = now
            .saturating_add(step)
            .saturating_add(self.reserve.tail_ns);
        let nears = done_ns >= due_ns;
        self.stepped.set(self.stepped.get() || !nears);
        nears
    }

    /// What the next frame must leave room for, now that this one is done: no more than there is, for a machine that stood still once
    /// will not with each frame.
    pub(super) fn reserve(&self) -> Reserve {
        let Some((clock, _)) = self.due else {
            return self.reserve;
        };
        let forgets = if self.stepped.get() {
            FORGETS
        } else {
            FORGETS_WITHOUT
        };
        let faded = |ns: u64| ns - ns / forgets;
        let last = self.last_ns.get();
        let tail = last.map_or(0, |last| clock.now_ns().saturating_sub(last));
        let step = self.longest_ns.get().max(faded(self.reserve.step_ns));
        Reserve {
            step_ns: step.min(self.after_ns),
            tail_ns: tail.max(faded(self.reserve.tail_ns)).min(self.after_ns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Manual;

    #[test]
    fn a_step_is_made_while_it_fits() {
        let clock = Manual::default();
        let deadline = Deadline::new(&clock, 0, 10e-3, Reserve::default()); // 10 µs
        let steps = (0..).take_while(|_| {
            clock.advance(3_000);
            !deadline.nears()
        });
        assert_eq!(
            steps.count(),
            2,
            "at 9 µs a third step of 3 µs would end late"
        );
        clock.advance(500);
        let reserve = deadline.reserve();
        assert_eq!((reserve.step_ns, reserve.tail_ns), (3_000, 500));
        let began = clock.now_ns();
        let next = Deadline::new(&clock, began, 3.4e-3, reserve);
        assert!(next.nears(), "a step and the tail do not fit");
        assert!(!Deadline::new(&clock, 0, 0.0, reserve).nears());
    }

    #[test]
    fn a_machine_that_stood_still_once_is_soon_forgotten() {
        let clock = Manual::default();
        let frame = |reserve: Reserve, step_ns: u64| {
            let deadline = Deadline::new(&clock, clock.now_ns(), 10.0, reserve);
            let steps = (0..3).take_while(|_| {
                let fits = !deadline.nears();
                clock.advance(if fits { step_ns } else { 0 });
                fits
            });
            (steps.count(), deadline.reserve())
        };
        let (_, mut reserve) = frame(Reserve::default(), 500_000_000);
        let mut frames = 0;
        loop {
            let (steps, next) = frame(reserve, 100_000);
            if steps == 3 {
                break;
            }
            (reserve, frames) = (next, frames + 1);
        }
        assert!(frames <= 2, "{frames} frames without a whole solution");
    }
}
