//! Floor 0: where time comes from. Nothing below the pipeline reads a clock that it was not given.

use std::cell::Cell;
use std::time::Instant;

/// A clock that never runs backwards.
pub trait Clock {
    /// ns since an origin of the clock's own
    fn now_ns(&self) -> u64;
}

/// The machine's monotonic clock, from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub struct Monotonic(Instant);

impl Default for Monotonic {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Monotonic {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A clock that stands still until it is told: for tests, and where durations must not differ between runs.
#[derive(Clone, Debug, Default)]
pub struct Manual(Cell<u64>);

impl Manual {
    /// Moves the clock on by `ns`.
    pub fn advance(&self, ns: u64) {
        self.0.set(self.0.get().saturating_add(ns));
    }
}

impl Clock for Manual {
    fn now_ns(&self) -> u64 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_do_not_run_backwards() {
        let clock = Monotonic::default();
        let earlier = clock.now_ns();
        assert!(clock.now_ns() >= earlier);
        let clock = Manual::default();
        clock.advance(3);
        clock.advance(4);
        assert_eq!(clock.now_ns(), 7);
    }
}
