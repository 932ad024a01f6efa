//! What samples come to.

use super::{Memory, Sample, Spread};
use crate::pipeline::Accounts;
use crate::recover::StartKind;
use serde::Serialize;
use std::collections::HashMap;

/// Time by stage, µs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latencies {
    /// how late the source was
    pub queue: Spread,
    /// decoding and checking
    pub decode: Spread,
    /// waiting for the worker
    pub recover_wait: Spread,
    /// preparing pattern sets
    pub prepare: Spread,
    /// whitening, projecting, solving
    pub solve: Spread,
    /// of that, iterations alone
    pub iterate: Spread,
    /// waiting to be rendered
    pub render_wait: Spread,
    /// from the code to the image that total variation refines
    pub render: Spread,
    /// waiting to be finished
    pub finish_wait: Spread,
    /// from there to the frame, the unrolled network included
    pub finish: Spread,
    /// from the image to the sink
    pub sink: Spread,
    /// from the moment a frame was due until the sink took it
    pub end_to_end: Spread,
    /// end to end without prepare, solve, render and finish
    pub overhead: Spread,
    /// |latency − latency of the sensor's frame before|, end to end
    pub jitter: Option<Spread>,
    /// linear systems solved a frame; a count, not a time
    pub iterations: Spread,
}

impl Latencies {
    /// Of samples in the order they came out; `None` where there are none.
    pub fn of(samples: &[Sample]) -> Option<Self> {
        let us = |of: fn(&Sample) -> u64| Spread::of(samples.iter().map(|s| of(s) as f64 * 1e-3));
        Some(Self {
            queue: us(|s| s.queue_ns)?,
            decode: us(|s| s.decode_ns)?,
            recover_wait: us(|s| s.recover_wait_ns)?,
            prepare: us(|s| s.prepare_ns)?,
            solve: us(|s| s.solve_ns)?,
            iterate: us(|s| s.iterate_ns)?,
            render_wait: us(|s| s.render_wait_ns)?,
            render: us(|s| s.render_ns)?,
            finish_wait: us(|s| s.finish_wait_ns)?,
            finish: us(|s| s.finish_ns)?,
            sink: us(|s| s.sink_ns)?,
            end_to_end: us(Sample::end_to_end_ns)?,
            overhead: us(Sample::overhead_ns)?,
            jitter: Spread::of(jitter(samples)),
            iterations: Spread::of(samples.iter().map(|s| s.iterations as f64))?,
        })
    }

    /// Names and times, in the order of a frame's way.
    pub fn rows(&self) -> Vec<(&'static str, Spread)> {
        let mut rows = vec![
            ("queue", self.queue),
            ("decode", self.decode),
            ("recover_wait", self.recover_wait),
            ("prepare", self.prepare),
            ("solve", self.solve),
            ("render_wait", self.render_wait),
            ("render", self.render),
            ("finish_wait", self.finish_wait),
            ("finish", self.finish),
            ("sink", self.sink),
            ("end_to_end", self.end_to_end),
            ("overhead", self.overhead),
        ];
        rows.extend(self.jitter.map(|jitter| ("jitter", jitter)));
        rows
    }
}

/// Differences between the latencies of consecutive frames of a sensor, µs.
fn jitter(samples: &[Sample]) -> Vec<f64> {
    let mut last: HashMap<&str, u64> = HashMap::new();
    let mut differences = vec![];
    for sample in samples {
        let latency = sample.end_to_end_ns();
        if let Some(before) = last.insert(&sample.sensor, latency) {
            differences.push(latency.abs_diff(before) as f64 * 1e-3);
        }
    }
    differences
}

/// What became of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// brought to the door
    pub offered: u64,
    /// came out
    pub emitted: u64,
    /// given up under overload
    pub dropped: u64,
    /// could not be used
    pub rejected: u64,
    /// came out after the deadline, or never
    pub missed: u64,
    /// started without the frame before
    pub cold: u64,
    /// lost the frame before, and started again
    pub restarted: u64,
}

impl Counts {
    /// Of samples, and of accounts before and after them.
    pub(super) fn of(
        (before, after): (Accounts, Accounts),
        samples: &[Sample],
        deadline_ms: f64,
    ) -> Self {
        let late = |s: &&Sample| s.end_to_end_ns() as f64 * 1e-6 > deadline_ms;
        let started = |kind| samples.iter().filter(|s| s.start == kind).count() as u64;
        let (dropped, rejected) = (
            after.dropped - before.dropped,
            after.rejected - before.rejected,
        );
        Self {
            offered: after.offered - before.offered,
            emitted: after.emitted - before.emitted,
            dropped,
            rejected,
            missed: samples.iter().filter(late).count() as u64 + dropped + rejected,
            cold: started(StartKind::Cold),
            restarted: started(StartKind::Restarted),
        }
    }
}

/// Frames a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Throughput {
    /// that came out, from the first due to the last taken
    pub frames_per_s: f64,
    /// that could have, at most: min(workers / slowest stage, cores / sum of the stages), by their means
    pub bound_per_s: f64,
}

impl Throughput {
    pub(super) fn of(samples: &[Sample], workers: usize) -> Self {
        let (first, last) = samples.iter().fold((u64::MAX, 0), |(first, last), s| {
            (first.min(s.due_ns), last.max(s.out_ns))
        });
        let count = samples.len().max(1) as f64;
        let mean_s =
            |of: fn(&Sample) -> u64| samples.iter().map(of).sum::<u64>() as f64 / count * 1e-9;
        let stages = [
            mean_s(|s| s.prepare_ns + s.solve_ns),
            mean_s(|s| s.render_ns),
            mean_s(|s| s.finish_ns),
        ];
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let by_stage = workers as f64 / stages.into_iter().fold(0.0, f64::max);
        Self {
            frames_per_s: samples.len() as f64 / (last.saturating_sub(first) as f64 * 1e-9),
            bound_per_s: by_stage.min(cores as f64 / stages.iter().sum::<f64>()),
        }
    }
}

/// Memory at the end of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// the phase
    pub name: &'static str,
    /// memory then
    #[serde(flatten)]
    pub memory: Memory,
}
