//! A frame that panics: injected by whoever listens to the pipeline's spans, so that nothing in the pipeline knows of it.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/seldom.rs"]
mod seldom;

use common::{PRIOR, record};
use relucent::pipeline::{
    Cause, Event, Options, Outlet, Pipeline, Place, Policy, Rejection, Replay, Replayed, SinkError,
};
use relucent::recover::{Settings, StartKind};
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata};

/// Sensors, and at which frame which stage panics.
const FAULTS: [(&str, &str, u64); 6] = [
    ("sensor 0", "recover", 7),
    ("sensor 0", "finish", 14),
    ("sensor 1", "render", 9),
    ("sensor 1", "recover", 15),
    ("alone", "finish", 22),
    ("alone", "render", 30),
];
const FRAMES: u64 = 24;

/// Counts errors, and panics where it is asked to look at one of [`FAULTS`].
struct Saboteur {
    errors: Arc<AtomicUsize>,
}

/// A span's sensor and sequence number.
#[derive(Default)]
struct Frame(String, u64);

impl Visit for Frame {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "sequence" {
            self.1 = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "sensor" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

impl tracing::Subscriber for Saboteur {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() || *metadata.level() == Level::ERROR
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut frame = Frame::default();
        span.record(&mut frame);
        let stage = span.metadata().name();
        assert!(
            !FAULTS.contains(&(&frame.0, stage, frame.1)),
            "injected into {stage}"
        );
        Id::from_u64(1)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        if *event.metadata().level() == Level::ERROR {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What came out of one sensor.
#[derive(Default)]
struct Came {
    frames: Vec<(u64, StartKind)>,
    lost: Vec<Rejection>,
}

#[test]
fn a_panic_costs_its_frame_and_the_sensor_starts_cold() {
    let errors = Arc::new(AtomicUsize::new(0));
    let saboteur = Saboteur {
        errors: Arc::clone(&errors),
    };
    tracing::subscriber::set_global_default(saboteur).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("three.mcap");
    record(&log, 3, FRAMES);
    let came: Arc<Mutex<HashMap<String, Came>>> = Arc::default();
    let to = Arc::clone(&came);
    let collect = move |event: &Event| {
        let mut came = to.lock().unwrap();
        match event {
            Event::Described(_) => {}
            Event::Frame(frame) => {
                let of = came.entry(frame.sensor.id.to_string()).or_default();
                of.frames
                    .push((frame.measurement.sequence, frame.report.start));
            }
            Event::Rejected(lost) => {
                let of = came.entry(lost.sensor_id.clone()).or_default();
                of.lost.push(Rejection::clone(lost));
            }
        }
    };
    // a sink that panics is no more than a sink that fails, also where more comes than may wait for it
    let broken = |_: &Event| -> () { panic!("injected into a sink") };
    let own = Place::Own {
        capacity: 1,
        policy: Policy::Block,
    };
    let outlets = [own, Place::Pipeline].map(|place| Outlet {
        place,
        ..Outlet::waiting("broken", broken)
    });
    let mut outlets = Vec::from(outlets);
    outlets.push(Outlet::waiting("collect", collect));
    let (settings, options) = (Settings::default(), Options::default());
    let pipeline = Pipeline::start(&*PRIOR, &settings, options, outlets).unwrap();
    let (stop, mut replayed) = (AtomicBool::new(false), Replayed::default());
    Replay::default()
        .run(&log, &pipeline.ingress(), &stop, &mut replayed)
        .unwrap();
    let status = pipeline.ingress().status();
    let summary = pipeline.finish();
    assert_eq!(status.len(), 3);
    for sink in &summary.sinks[..2] {
        let failure: &Option<SinkError> = &sink.failure;
        let failure = failure.as_ref().unwrap().to_string();
        assert!(failure.contains("injected into a sink"), "{failure}");
        assert_eq!(sink.taken, 1);
    }

    let a = summary.accounts;
    assert_eq!(a.offered, a.emitted + a.dropped + a.rejected, "{a:?}");
    assert_eq!((a.offered, a.dropped, a.rejected), (3 * FRAMES, a.panic, 0));
    // beside the frame that panics while it is rendered, the next may have been solved from it already
    assert!((4..=5).contains(&a.panic), "{a:?}");
    assert_eq!(errors.load(Ordering::Relaxed) as u64, a.panic + 2, "told");

    let came = came.lock().unwrap();
    for (sensor, Came { frames, lost }) in came.iter() {
        assert!(frames.windows(2).all(|f| f[0].0 < f[1].0), "{sensor}");
        assert_eq!((frames.len() + lost.len()) as u64, FRAMES);
        assert!(lost.iter().all(|l| l.cause == Some(Cause::Panic)));
        let faults: Vec<_> = FAULTS.iter().filter(|f| f.0 == sensor).collect();
        for &&(_, stage, at) in &faults {
            let fault = lost.iter().find(|lost| lost.sequence == at).unwrap();
            let reason = format!("a panic: injected into {stage}");
            assert_eq!(fault.reason, reason);
            let next = frames.iter().find(|frame| frame.0 > at).unwrap();
            assert!(next.0 <= at + 2);
            let cold = stage != "finish"; // no frame goes on from a finished one
            assert_eq!(next.1 == StartKind::Cold, cold, "{sensor}, after {at}");
        }
        let cold = frames.iter().filter(|frame| frame.1 == StartKind::Cold);
        let wanted = faults.iter().filter(|fault| fault.1 != "finish").count();
        assert_eq!(cold.count(), 1 + wanted, "{sensor}: nobody else does");
    }
    assert!(came["sensor 2"].lost.is_empty());
    alone();
}

/// The same of a sensor whose frames come so seldom that its worker renders and finishes them.
fn alone() {
    let (events, summary) = seldom::offered("alone", 40, true);
    for (sequence, (event, _)) in events.iter().enumerate() {
        let start = match event {
            Event::Frame(frame) => Some(frame.report.start),
            _ => None,
        };
        let expected = match sequence {
            22 | 30 => None,
            0 | 31 => Some(StartKind::Cold),
            _ => Some(StartKind::Warm),
        };
        assert_eq!(start, expected, "{sequence}");
    }
    assert!(events.iter().any(|(_, by_worker)| *by_worker));
    assert_eq!((events.len(), summary.accounts.panic), (40, 2));
}
