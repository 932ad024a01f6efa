//! The numbers: those counted frame by frame at the sink, and those that the pipeline keeps itself.

use crate::clock::{Clock, Monotonic};
use crate::pipeline::{Frame, Ingress, Latency, Stage};
use crate::recover::StartKind;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A label and its value.
type Label = [(&'static str, &'static str); 1];

/// What is counted as frames come out.
pub(super) struct Seen {
    stages: Vec<(Stage, Histogram)>,
    starts: Family<Label, Counter>,
    residual: Histogram,
    misses: Counter,
    deadline_ns: u64,
}

impl Seen {
    pub(super) fn register(registry: &mut Registry, deadline_s: f64) -> Self {
        // 0.1 ms to 3.3 s, by factors of 2
        let latencies = Family::<Label, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(1e-4, 2.0, 16))
        });
        let seen = Self {
            stages: Stage::ALL
                .map(|stage| {
                    (
                        stage,
                        latencies.get_or_create(&[("stage", stage.name())]).clone(),
                    )
                })
                .into(),
            starts: Family::default(),
            residual: Histogram::new([
                0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0,
            ]),
            misses: Counter::default(),
            deadline_ns: (deadline_s.max(0.0) * 1e9) as u64,
        };
        for kind in [StartKind::Cold, StartKind::Warm, StartKind::Restarted] {
            drop(seen.starts.get_or_create(&start(kind))); // shown from the first scrape on
        }
        registry.register_with_unit(
            "stage_latency",
            "Where the time of emitted frames went",
            Unit::Seconds,
            latencies,
        );
        registry.register("starts", "How emitted frames began", seen.starts.clone());
        registry.register(
            "residual_ratio",
            "Chi-squared of emitted frames over the number of their readings",
            seen.residual.clone(),
        );
        registry.register(
            "deadline_misses",
            "Emitted frames that took longer end to end than the deadline",
            seen.misses.clone(),
        );
        seen
    }

    pub(super) fn frame(&self, frame: &Frame) {
        let Latency { end_to_end_ns, .. } = frame.latency;
        for (stage, histogram) in &self.stages {
            histogram.observe(frame.latency.of(*stage) as f64 * 1e-9);
        }
        self.starts.get_or_create(&start(frame.report.start)).inc();
        self.residual.observe(frame.report.residual_ratio);
        if end_to_end_ns > self.deadline_ns {
            self.misses.inc();
        }
    }
}

fn start(kind: StartKind) -> Label {
    let name = match kind {
        StartKind::Cold => "cold",
        StartKind::Warm => "warm",
        StartKind::Restarted => "restarted",
    };
    [("kind", name)]
}

/// What is looked up when it is asked for.
pub(super) struct Watched {
    pub(super) door: OnceLock<Ingress>,
    pub(super) clock: Monotonic,
    /// when the newest frame of each sensor was due, ns
    pub(super) newest: Mutex<BTreeMap<Arc<str>, u64>>,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(door) = self.door.get() {
            accounts(door, &mut encoder)?;
            let kind = ConstGauge::<u64>::TYPE;
            let help = "Frames that wait for a worker";
            let mut family = encoder.encode_descriptor("queue_depth", help, None, kind)?;
            for (worker, depth) in door.queued().into_iter().enumerate() {
                let label = [("worker", worker.to_string())];
                let metric = family.encode_family(&label)?;
                ConstGauge::new(depth as u64).encode(metric)?;
            }
        }
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let help = "Time since the newest emitted frame of a sensor was due";
        let (name, kind) = ("newest_frame_age", ConstGauge::<f64>::TYPE);
        let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), kind)?;
        let now = self.clock.now_ns();
        for (sensor, due) in newest.iter() {
            let label = [("sensor", sensor.to_string())];
            let metric = family.encode_family(&label)?;
            ConstGauge::new(now.saturating_sub(*due) as f64 * 1e-9).encode(metric)?;
        }
        Ok(())
    }
}

fn accounts(door: &Ingress, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let a = door.accounts();
    for (name, help, number) in [
        ("frames_offered", "Frames that sources brought", a.offered),
        ("frames_emitted", "Frames that came out", a.emitted),
        (
            "descriptions_refused",
            "Descriptions that make no sensor",
            a.descriptions_refused,
        ),
    ] {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(number).encode(metric)?;
    }
    let dropped = [
        ("overload", a.overload),
        ("closed", a.closed),
        ("panic", a.panic),
    ];
    by_cause(encoder, "frames_dropped", "Frames given up", &dropped)?;
    let rejected = [
        ("undecodable", a.undecodable),
        ("unknown_sensor", a.unknown_sensor),
        ("invalid", a.invalid),
    ];
    let help = "Frames that could not be used";
    by_cause(encoder, "frames_rejected", help, &rejected)
}

fn by_cause(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    causes: &[(&'static str, u64)],
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for &(cause, number) in causes {
        let label = [("cause", cause)];
        let metric = family.encode_family(&label)?;
        ConstCounter::new(number).encode(metric)?;
    }
    Ok(())
}
