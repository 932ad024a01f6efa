//! One run: a pipeline, its warm-up, its load, and what came of it.

use super::collect::Collector;
use super::load::{Schedule, drain, warm_up};
use super::result::{Counts, Phase, Throughput};
use super::{BenchError, Latencies, Memory, Sample, Workload};
use crate::pipeline::{self, Outlet, Payload, Pipeline};
use crate::recover::{Model, Settings};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Frames of one run at most, over all sensors.
const MOST_FRAMES: u64 = 200_000;

/// What is asked of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Options {
    /// frames a second of each sensor; 0: as many as it takes
    pub rate_hz: f64,
    /// frames of each sensor that are measured
    pub frames: u64,
    /// frames of each sensor before them that are not: at least as many as there are [pattern sets](Workload::sets), or what is
    /// measured prepares some
    pub warm_up: u64,
    /// end to end, what takes longer has missed, ms
    pub deadline_ms: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rate_hz: 30.0,
            frames: 600,
            warm_up: 32,
            deadline_ms: 33.0,
        }
    }
}

/// Everything that a run is made of.
pub struct Bench<'a> {
    /// the model of a prior, made with the error model of `settings`
    pub model: &'a Arc<Model>,
    /// how frames are recovered
    pub settings: &'a Settings,
    /// how the pipeline is laid out
    pub pipeline: pipeline::Options,
    /// what sensors send
    pub workload: &'a Workload,
    /// what is asked
    pub options: Options,
    /// allocations of the process until now, where somebody counts them
    pub allocations: Option<fn() -> u64>,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// what became of the measured frames
    pub frames: Counts,
    /// where time went, warm-up left out
    pub latency_us: Latencies,
    /// frames a second
    pub throughput: Throughput,
    /// where time went in the warm-up, whose frames start cold and meet pattern sets for the first time
    pub warm_up_us: Option<Latencies>,
    /// allocations a frame, of the whole process, the source's own included
    pub allocations_per_frame: Option<f64>,
    /// memory after each phase; empty where the system does not say
    pub memory: Vec<Phase>,
    /// the measured frames, in the order they came out
    #[serde(skip)]
    pub samples: Vec<Sample>,
}

impl Bench<'_> {
    /// Runs it; `offered` is called once for each measured frame.
    ///
    /// # Errors
    /// Where options make no sense, the pipeline does not start, or no frame comes out.
    pub fn run(
        &self,
        stop: &AtomicBool,
        offered: &mut dyn FnMut(),
    ) -> Result<Measured, BenchError> {
        self.run_beside(vec![], stop, offered)
    }

    /// The same beside other sinks, which the pipeline may have to wait for.
    ///
    /// # Errors
    /// As [`Bench::run`].
    pub fn run_beside(
        &self,
        mut outlets: Vec<Outlet>,
        stop: &AtomicBool,
        offered: &mut dyn FnMut(),
    ) -> Result<Measured, BenchError> {
        self.check()?;
        let (frames, before) = (self.options.frames, self.options.warm_up);
        let sensors = self.workload.sensors();
        let mut memory = vec![];
        memory.extend(Phase::now("loaded"));
        let collector = Collector::new(((frames + before) * sensors as u64) as usize);
        outlets.push(collector.outlet());
        let model = Arc::clone(self.model);
        let pipeline = Pipeline::with_model(model, self.settings, self.pipeline, outlets, None)?;
        let ingress = pipeline.ingress();
        collector.watch(ingress.clone());
        for sensor in 0..sensors {
            let sensor = self.workload.sensor(sensor);
            ingress.offer_now(Payload::Sensor(Box::new(sensor)));
        }
        memory.extend(Phase::now("started"));
        warm_up(self.workload, &pipeline, before, stop);
        memory.extend(Phase::now("warm"));
        let allocated = self.allocated();
        let schedule = Schedule {
            rate_hz: self.options.rate_hz,
            sensors,
        };
        let accounts = pipeline.accounts();
        let count = schedule.offer(self.workload, &ingress, (before, frames), stop, offered);
        drain(&pipeline);
        let allocated = self.allocated().zip(allocated).map(|(b, a)| b - a);
        memory.extend(Phase::now("measured"));
        let accounts = (accounts, pipeline.finish().accounts);
        let (samples, refused) = collector.samples();
        let (before, samples) = split(samples, before);
        let nothing = || BenchError::NothingOut {
            offered: count,
            reason: refused.unwrap_or_else(|| "stopped before the first".to_owned()),
        };
        Ok(Measured {
            frames: Counts::of(accounts, &samples, self.options.deadline_ms),
            latency_us: Latencies::of(&samples).ok_or_else(nothing)?,
            throughput: Throughput::of(&samples, self.pipeline.workers),
            warm_up_us: Latencies::of(&before),
            allocations_per_frame: allocated.map(|a| a as f64 / count.max(1) as f64),
            memory,
            samples,
        })
    }

    fn allocated(&self) -> Option<u64> {
        self.allocations.map(|count| count())
    }

    fn check(&self) -> Result<(), BenchError> {
        let Options {
            rate_hz,
            frames,
            warm_up,
            deadline_ms,
        } = self.options;
        let value = |what, expected, got| {
            Err(BenchError::Value {
                what,
                expected,
                got,
            })
        };
        if !(0.0..=1e6).contains(&rate_hz) {
            return value("rate, Hz", "0 to 1,000,000", rate_hz);
        }
        if deadline_ms.is_nan() || deadline_ms <= 0.0 {
            return value("deadline, ms", "more than 0", deadline_ms);
        }
        let all = frames.saturating_add(warm_up);
        let all = all.saturating_mul(self.workload.sensors() as u64);
        if frames == 0 || all > MOST_FRAMES {
            let expected = "1 to 200,000, over all sensors and with the warm-up,";
            return value("number of frames", expected, all as f64);
        }
        Ok(())
    }
}

impl Phase {
    fn now(name: &'static str) -> Option<Self> {
        Memory::now().map(|memory| Self { name, memory })
    }
}

/// The samples of the warm-up, and the others.
fn split(samples: Vec<Sample>, warm_up: u64) -> (Vec<Sample>, Vec<Sample>) {
    samples
        .into_iter()
        .partition(|sample| sample.sequence < warm_up)
}
