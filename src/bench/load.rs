//! An open loop: frames are offered when they are due, whether or not those before them have come out.

use super::Workload;
use crate::pipeline::{Ingress, Offer, Payload, Pipeline};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How long before a frame is due the source stops sleeping, ns: a sleep ends late, and that would be counted.
const AWAKE_NS: u64 = 200_000;
/// How often the warm-up looks whether its frames have come out.
const LOOK: Duration = Duration::from_micros(200);

/// When frames are due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Schedule {
    /// frames a second of each sensor; 0: each as soon as the one before has been let in
    pub(super) rate_hz: f64,
    /// sensors, evenly spread over the interval between frames
    pub(super) sensors: usize,
}

impl Schedule {
    /// When the frame of a number, counted over all sensors, is due, ns after the first; `None` where it is due at once.
    pub(super) fn due_ns(self, number: u64) -> Option<u64> {
        let interval_ns = 1e9 / (self.rate_hz * self.sensors as f64);
        (self.rate_hz > 0.0).then_some((number as f64 * interval_ns) as u64)
    }

    /// Offers `frames` of every sensor, from `first` on, until done or told to stop; says how many were offered in all.
    pub(super) fn offer(
        self,
        workload: &Workload,
        ingress: &Ingress,
        (first, frames): (u64, u64),
        stop: &AtomicBool,
        offered: &mut dyn FnMut(),
    ) -> u64 {
        let (sensors, began) = (self.sensors as u64, ingress.now_ns());
        for number in 0..frames * sensors {
            let (sensor, sequence) = ((number % sensors) as usize, first + number / sensors);
            let bytes = workload.bytes(sensor, sequence);
            let due = self.due_ns(number).map(|after| began + after);
            if !wait(ingress, due.unwrap_or(0), stop) {
                return number;
            }
            let due = due.unwrap_or_else(|| ingress.now_ns());
            send(ingress, bytes, due);
            offered();
        }
        frames * sensors
    }
}

/// Waits until a moment, awake for the last of it; false where told to stop.
fn wait(ingress: &Ingress, moment_ns: u64, stop: &AtomicBool) -> bool {
    let goes_on = ingress.wait_until(moment_ns.saturating_sub(AWAKE_NS), stop);
    while goes_on && ingress.now_ns() < moment_ns {
        std::hint::spin_loop();
    }
    goes_on
}

/// Offers one frame; its origin hands through when it was due.
fn send(ingress: &Ingress, bytes: bytes::Bytes, due_ns: u64) {
    ingress.offer(Offer {
        payload: Payload::MeasurementBytes(bytes),
        intended_ns: due_ns,
        truth: None,
        origin: due_ns,
    });
}

/// The warm-up: one frame of every sensor at a time, each batch once the one before is through, so that nothing waits
/// when the clock starts.
pub(super) fn warm_up(workload: &Workload, pipeline: &Pipeline, frames: u64, stop: &AtomicBool) {
    let ingress = pipeline.ingress();
    for sequence in 0..frames {
        for sensor in 0..workload.sensors() {
            send(&ingress, workload.bytes(sensor, sequence), ingress.now_ns());
        }
        drain(pipeline);
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
    }
}

/// Waits until every frame offered is accounted for.
pub(super) fn drain(pipeline: &Pipeline) {
    let through = || {
        let a = pipeline.accounts();
        a.emitted + a.dropped + a.rejected >= a.offered
    };
    while !through() {
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_take_turns_within_the_interval() {
        let schedule = Schedule {
            rate_hz: 10.0,
            sensors: 4,
        };
        let due = |number| schedule.due_ns(number).unwrap() / 1_000_000;
        assert_eq!([0, 1, 4, 41].map(due), [0, 25, 100, 1025]);
        let flat_out = Schedule {
            rate_hz: 0.0,
            ..schedule
        };
        assert_eq!(flat_out.due_ns(7), None);
    }
}
