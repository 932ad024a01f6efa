//! How long frames take, stage by stage: each worker records into histograms of its own, merged when they are read.

use hdrhistogram::sync::{Recorder, SyncHistogram};
use hdrhistogram::{Counter, Histogram};
use serde::Serialize;

/// The longest latency told apart, ns: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// Significant decimal digits kept.
const DIGITS: u8 = 3;
/// Significant decimal digits kept of each sensor's.
const SENSOR_DIGITS: u8 = 2;

/// A step of a frame's way, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// from the intended arrival to the door: how late the source is
    Queue,
    /// decoding and checking
    Decode,
    /// waiting for the sensor's worker
    RecoverWait,
    /// whitening, projecting and solving
    Recover,
    /// waiting to be rendered
    RenderWait,
    /// from the code to the image that total variation refines
    Render,
    /// waiting to be finished
    FinishWait,
    /// from there to the frame: the unrolled network, ranges and returns, σ
    Finish,
    /// from the intended arrival until handed to the sinks
    EndToEnd,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Stage; 9] = [
        Stage::Queue,
        Stage::Decode,
        Stage::RecoverWait,
        Stage::Recover,
        Stage::RenderWait,
        Stage::Render,
        Stage::FinishWait,
        Stage::Finish,
        Stage::EndToEnd,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Queue => "queue",
            Stage::Decode => "decode",
            Stage::RecoverWait => "recover_wait",
            Stage::Recover => "recover",
            Stage::RenderWait => "render_wait",
            Stage::Render => "render",
            Stage::FinishWait => "finish_wait",
            Stage::Finish => "finish",
            Stage::EndToEnd => "end_to_end",
        }
    }
}

/// Where one frame's time went, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// [`Stage::Queue`]
    pub queue_ns: u64,
    /// [`Stage::Decode`]
    pub decode_ns: u64,
    /// [`Stage::RecoverWait`]
    pub recover_wait_ns: u64,
    /// [`Stage::Recover`]
    pub recover_ns: u64,
    /// [`Stage::RenderWait`]
    pub render_wait_ns: u64,
    /// [`Stage::Render`]
    pub render_ns: u64,
    /// [`Stage::FinishWait`]
    pub finish_wait_ns: u64,
    /// [`Stage::Finish`]
    pub finish_ns: u64,
    /// [`Stage::EndToEnd`]
    pub end_to_end_ns: u64,
}

impl Latency {
    /// The time at a stage, ns.
    pub fn of(&self, stage: Stage) -> u64 {
        match stage {
            Stage::Queue => self.queue_ns,
            Stage::Decode => self.decode_ns,
            Stage::RecoverWait => self.recover_wait_ns,
            Stage::Recover => self.recover_ns,
            Stage::RenderWait => self.render_wait_ns,
            Stage::Render => self.render_ns,
            Stage::FinishWait => self.finish_wait_ns,
            Stage::Finish => self.finish_ns,
            Stage::EndToEnd => self.end_to_end_ns,
        }
    }
}

/// Latencies of emitted frames at one stage, µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// median
    pub p50: f64,
    /// 90 % took no longer
    pub p90: f64,
    /// 99 % took no longer
    pub p99: f64,
    /// 99.9 % took no longer; the maximum below 1,000 frames
    pub p999: f64,
    /// the longest
    pub max: f64,
}

/// One worker's histograms, a stage each.
pub(super) struct Clockwork(Vec<Recorder<u64>>);

/// The histograms of all workers.
pub(super) struct Histograms(Vec<SyncHistogram<u64>>);

impl Histograms {
    pub(super) fn new() -> Self {
        let histogram = || {
            Histogram::new_with_max(LONGEST_NS, DIGITS)
                .unwrap_or_else(|_| unreachable!("constants that make a histogram"))
                .into_sync()
        };
        Self(Stage::ALL.map(|_| histogram()).into())
    }

    /// Histograms for one more thread.
    pub(super) fn thread(&self) -> Clockwork {
        Clockwork(self.0.iter().map(SyncHistogram::recorder).collect())
    }

    /// What was recorded until now; threads that are recording must not be waited for while they sleep, so this is
    /// for when they have ended.
    pub(super) fn read(&mut self) -> Vec<(Stage, Quantiles)> {
        let read = |histogram: &mut SyncHistogram<u64>| {
            histogram.refresh();
            quantiles(histogram)
        };
        Stage::ALL
            .into_iter()
            .zip(self.0.iter_mut().map(read))
            .collect()
    }
}

impl Clockwork {
    /// Records an emitted frame.
    pub(super) fn record(&mut self, latency: &Latency) {
        for (stage, recorder) in Stage::ALL.into_iter().zip(&mut self.0) {
            recorder.saturating_record(latency.of(stage));
        }
    }
}

fn quantiles<C: Counter>(histogram: &Histogram<C>) -> Quantiles {
    let us = |ns: u64| ns as f64 * 1e-3;
    let at = |quantile: f64| us(histogram.value_at_quantile(quantile));
    Quantiles {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: us(histogram.max()),
    }
}

/// One sensor's histograms, a stage each, of fewer digits and no more room than its latencies need: there may be many.
pub(super) struct Spread(Vec<Histogram<u32>>);

impl Default for Spread {
    fn default() -> Self {
        let histogram = || {
            Histogram::new(SENSOR_DIGITS)
                .unwrap_or_else(|_| unreachable!("constants that make a histogram"))
        };
        Self(Stage::ALL.map(|_| histogram()).into())
    }
}

impl Spread {
    /// Records an emitted frame.
    pub(super) fn record(&mut self, latency: &Latency) {
        for (stage, histogram) in Stage::ALL.into_iter().zip(&mut self.0) {
            let _ = histogram.record(latency.of(stage).min(LONGEST_NS)); // it grows
        }
    }

    /// What was recorded until now.
    pub(super) fn read(&self) -> Vec<(Stage, Quantiles)> {
        let all = self.0.iter().map(quantiles);
        Stage::ALL.into_iter().zip(all).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensors_histograms_grow_with_its_latencies() {
        let mut spread = Spread::default();
        for end_to_end_ns in [1_000, 2_000_000, u64::MAX] {
            spread.record(&Latency {
                end_to_end_ns,
                ..Latency::default()
            });
        }
        let (_, all) = spread.read().pop().unwrap();
        assert!((all.p50 - 2000.0).abs() < 20.0, "{all:?}");
        assert!((all.max - 3.6e9).abs() < 3.6e7, "an hour, {all:?}");
    }

    #[test]
    fn threads_are_merged() {
        let mut histograms = Histograms::new();
        let threads: Vec<_> = (1..=2u64)
            .map(|t| {
                let mut clockwork = histograms.thread();
                std::thread::spawn(move || {
                    (1..=500).for_each(|i| {
                        clockwork.record(&Latency {
                            end_to_end_ns: t * i * 1000,
                            ..Latency::default()
                        });
                    });
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        let (stage, all) = histograms.read().pop().unwrap();
        assert_eq!(stage, Stage::EndToEnd);
        assert!(
            (all.max - 1000.0).abs() < 2.0 && (all.p50 - 333.0).abs() < 3.0,
            "{all:?}"
        );
    }
}
