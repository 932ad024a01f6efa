//! Every frame offered is accounted for exactly once.

use super::latency::{Latency, Quantiles, Spread, Stage};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Why a frame was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// a full queue gave it up
    Overload,
    /// it came after the pipeline was closed
    Closed,
    /// it panicked, or was recovered by the track of one that did: a defect of this crate
    Panic,
    /// its bytes are no measurement
    Undecodable,
    /// no sensor of its name has described itself
    UnknownSensor,
    /// it does not fit its sensor's description
    Invalid,
}

/// Counts of frames, written by every stage.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    offered: AtomicU64,
    emitted: AtomicU64,
    overload: AtomicU64,
    closed: AtomicU64,
    panic: AtomicU64,
    undecodable: AtomicU64,
    unknown_sensor: AtomicU64,
    invalid: AtomicU64,
    descriptions_refused: AtomicU64,
}

/// What became of all frames: offered = emitted + dropped + rejected, once the pipeline has drained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Accounts {
    /// frames that sources brought
    pub offered: u64,
    /// frames that came out
    pub emitted: u64,
    /// frames given up: [`Accounts::overload`], [`Accounts::closed`] and [`Accounts::panic`]
    pub dropped: u64,
    /// frames that could not be used: [`Accounts::undecodable`], [`Accounts::unknown_sensor`] and [`Accounts::invalid`]
    pub rejected: u64,
    /// dropped by a full queue
    pub overload: u64,
    /// dropped because the pipeline was closed
    pub closed: u64,
    /// dropped by a panic
    pub panic: u64,
    /// rejected: no measurement
    pub undecodable: u64,
    /// rejected: of a sensor that has not described itself
    pub unknown_sensor: u64,
    /// rejected: not as its sensor is described
    pub invalid: u64,
    /// descriptions, not frames, that were refused
    pub descriptions_refused: u64,
}

impl Ledger {
    pub(super) fn offer(&self) {
        self.offered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn emit(&self) {
        self.emitted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refuse_description(&self) {
        self.descriptions_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lose(&self, cause: Cause) {
        let counter = match cause {
            Cause::Overload => &self.overload,
            Cause::Closed => &self.closed,
            Cause::Panic => &self.panic,
            Cause::Undecodable => &self.undecodable,
            Cause::UnknownSensor => &self.unknown_sensor,
            Cause::Invalid => &self.invalid,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn accounts(&self) -> Accounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (overload, closed) = (read(&self.overload), read(&self.closed));
        let panic = read(&self.panic);
        let undecodable = read(&self.undecodable);
        let (unknown_sensor, invalid) = (read(&self.unknown_sensor), read(&self.invalid));
        let emitted = read(&self.emitted);
        Accounts {
            offered: read(&self.offered), // last: what came out had come in
            emitted,
            dropped: overload + closed + panic,
            rejected: undecodable + unknown_sensor + invalid,
            overload,
            closed,
            panic,
            undecodable,
            unknown_sensor,
            invalid,
            descriptions_refused: read(&self.descriptions_refused),
        }
    }
}

/// The accounts of one sensor, and how long its frames took; what is emitted or lost here counts for the whole too.
pub(super) struct Account {
    whole: Arc<Ledger>,
    own: Ledger,
    latency: Mutex<Spread>,
}

impl Account {
    pub(super) fn new(whole: Arc<Ledger>) -> Self {
        Self {
            whole,
            own: Ledger::default(),
            latency: Mutex::default(),
        }
    }

    /// Counts a frame offered, which the whole has counted before it was known whose it is.
    pub(super) fn offer(&self) {
        self.own.offer();
    }

    pub(super) fn emit(&self, latency: &Latency) {
        let mut spread = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        spread.record(latency);
        self.own.emit();
        self.whole.emit();
    }

    pub(super) fn lose(&self, cause: Cause) {
        self.own.lose(cause);
        self.whole.lose(cause);
    }

    /// What became of the sensor's frames until now, and how long those emitted took, stage by stage.
    pub(super) fn read(&self) -> (Accounts, Vec<(Stage, Quantiles)>) {
        let spread = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        (self.own.accounts(), spread.read())
    }
}
