//! Clocks that jump, and frames that come twice, in another order or not at all: each frame is recovered when it comes, and
//! what passed since the one before is how far their stamps lie apart, whichever is the later.

#![allow(clippy::unwrap_used)]

mod common;

use common::{PRIOR, record};
use prost::Message;
use relucent::clock::Monotonic;
use relucent::journal::{Reader, Topic, Writer};
use relucent::pipeline::{
    Event, Frame, LogOptions, LogSink, Options, Outlet, Payload, Pipeline, Replay, Replayed,
    Summary,
};
use relucent::recover::Settings;
use relucent::wire::{self, v1};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, Mutex};

const FRAMES: usize = 40;
/// From here on all is well again.
const CALM: usize = 30;
const HOUR_NS: u64 = 3_600_000_000_000;
/// When the recording begins: late enough that a clock can be set back by days.
const EPOCH_NS: u64 = 1_700_000_000_000_000_000;

struct Recording {
    description: v1::SensorDescription,
    measurements: Vec<v1::MeasurementFrame>,
    /// range along each pixel's ray, m, NaN where nothing returned
    truth: Vec<Vec<f32>>,
}

static RECORDING: LazyLock<Recording> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, FRAMES as u64);
    let (mut descriptions, mut measurements, mut truth) = (vec![], vec![], vec![]);
    for entry in Reader::open(&log).unwrap().map(Result::unwrap) {
        match Topic::parse(&entry.channel.topic).unwrap().0 {
            Topic::Description => {
                descriptions.push(wire::decode_description(entry.data).unwrap());
            }
            Topic::Measurement => {
                let mut frame = wire::decode_measurement(entry.data).unwrap();
                frame.stamp_ns += EPOCH_NS;
                measurements.push(frame);
            }
            Topic::Truth => {
                let frame = v1::TruthFrame::decode(entry.data).unwrap().frame.unwrap();
                let range = frame.range_m.chunks_exact(4);
                truth.push(
                    range
                        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                        .collect(),
                );
            }
            _ => {}
        }
    }
    Recording {
        description: descriptions.remove(0),
        measurements,
        truth,
    }
});

/// Recovers frames as they come, and writes them to a log too; each must come out, in that order and sound.
fn recovered(come: &[v1::MeasurementFrame]) -> (Vec<Arc<Frame>>, Summary) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("out.mcap");
    let frames: Arc<Mutex<Vec<Arc<Frame>>>> = Arc::default();
    let to = Arc::clone(&frames);
    let collect = move |event: &Event| match event {
        Event::Frame(frame) => to.lock().unwrap().push(Arc::clone(frame)),
        Event::Rejected(rejection) => panic!("{rejection:?}"),
        Event::Described(_) => {}
    };
    let sink = LogSink::create(&log, LogOptions::default(), Monotonic::default()).unwrap();
    let outlets = vec![
        Outlet::waiting("collect", collect),
        Outlet::waiting("log", sink),
    ];
    let (settings, options) = (Settings::default(), Options::default());
    let pipeline = Pipeline::start(&*PRIOR, &settings, options, outlets).unwrap();
    let door = pipeline.ingress();
    let description = Box::new(RECORDING.description.clone());
    door.offer_now(Payload::SensorMessage(description));
    for frame in come {
        door.offer_now(Payload::MeasurementMessage(Box::new(frame.clone())));
    }
    let summary = pipeline.finish();
    let a = summary.accounts;
    assert_eq!(
        (a.offered, a.emitted),
        (come.len() as u64, come.len() as u64),
        "{a:?}"
    );
    assert!(summary.sinks.iter().all(|sink| sink.failure.is_none()));
    let frames = std::mem::take(&mut *frames.lock().unwrap());
    let out = frames
        .iter()
        .map(|f| (f.measurement.sequence, f.measurement.stamp_ns));
    assert!(
        out.eq(come.iter().map(|f| (f.sequence, f.stamp_ns))),
        "as they came"
    );
    for frame in &frames {
        let report = &frame.report;
        assert!(report.code.iter().all(|v| v.is_finite()), "{report:?}");
        assert!(
            report
                .time_constants_s
                .iter()
                .all(|t| *t > 0.0 && t.is_finite()),
            "{report:?}"
        );
        assert!(report.residual_ratio.is_finite() && report.cost.is_finite());
    }
    assert_eq!(logged(&log), come.len(), "the log has them too");
    (frames, summary)
}

/// Depth frames of a log that can be read to its end.
fn logged(log: &Path) -> usize {
    let entries = Reader::open(log).unwrap().map(Result::unwrap);
    let topics = entries.map(|entry| Topic::parse(&entry.channel.topic).unwrap().0);
    topics.filter(|topic| matches!(topic, Topic::Depth)).count()
}

/// Mean absolute error of range over the last ten frames, m, which are the recording's last ten.
fn error_m(frames: &[Arc<Frame>]) -> f64 {
    let last = frames[frames.len() - (FRAMES - CALM)..].iter();
    let errors = last
        .zip(&RECORDING.truth[CALM..])
        .flat_map(|(frame, truth)| {
            let pairs = frame.image.range.iter().zip(truth);
            pairs.map(|(got, truth)| f64::from((got - truth).abs()))
        });
    let errors: Vec<f64> = errors.filter(|e| e.is_finite()).collect();
    errors.iter().sum::<f64>() / errors.len() as f64
}

/// What is left when all is well again must be what an undisturbed track has, to a few percent.
fn recovers(name: &str, disturb: impl Fn(&mut Vec<v1::MeasurementFrame>)) -> Vec<Arc<Frame>> {
    static UNDISTURBED: LazyLock<f64> =
        LazyLock::new(|| error_m(&recovered(&RECORDING.measurements).0));
    let mut come = RECORDING.measurements.clone();
    disturb(&mut come);
    let (frames, _) = recovered(&come);
    let (error, usual) = (error_m(&frames), *UNDISTURBED);
    eprintln!("{name}: {error:.3} m, undisturbed {usual:.3} m");
    assert!(error < 1.1 * usual, "{name}: {error} m against {usual} m");
    frames
}

#[test]
fn clocks_that_jump_neither_stop_a_sensor_nor_spoil_it() {
    let jump = |name: &str, to: &dyn Fn(u64) -> u64| {
        recovers(name, |come| {
            // there, and back again
            let frames = come[10..20].iter_mut();
            frames.for_each(|frame| frame.stamp_ns = to(frame.stamp_ns));
        })
    };
    jump("back by a frame and a bit", &|t| t - 40_000_000);
    jump("back by an hour", &|t| t - HOUR_NS);
    jump("back to nothing", &|_| 0);
    jump("on by an hour", &|t| t + HOUR_NS);
    jump("on to the end of time", &|_| u64::MAX);
    jump("standing still", &|_| EPOCH_NS + 7);
    jump("running backwards", &|t| 2 * EPOCH_NS - t);
    recovers("from one end to the other", |come| {
        let frames = come[10..20].iter_mut().enumerate();
        frames.for_each(|(at, frame)| frame.stamp_ns = [0, u64::MAX][at % 2]);
    });
}

#[test]
fn frames_that_come_twice_in_another_order_or_not_at_all_are_taken_as_they_come() {
    recovers("twice", |come| {
        (10..20)
            .rev()
            .for_each(|at| come.insert(at, come[at].clone()));
    });
    recovers("the same one again and again", |come| {
        let again = come[12].clone();
        come.splice(13..20, std::iter::repeat_n(again, 20));
    });
    recovers("pairs swapped", |come| {
        (10..20).step_by(2).for_each(|at| come.swap(at, at + 1));
    });
    recovers("all of a second backwards", |come| come[0..CALM].reverse());
    recovers("a third of them missing", |come| {
        let mut at = 0;
        come.retain(|_| {
            at += 1;
            at > CALM || at % 3 > 0
        });
    });
    recovers("numbers that mean nothing", |come| {
        let numbers = [u64::MAX, 0, 1 << 63, u64::MAX - 1];
        let frames = come[10..20].iter_mut().enumerate();
        frames.for_each(|(at, frame)| frame.sequence = numbers[at % 4]);
    });
}

#[test]
fn a_log_whose_clock_was_set_is_replayed_in_the_time_that_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("set.mcap");
    let mut writer = Writer::create(&log, Monotonic::default()).unwrap();
    let id = &RECORDING.description.sensor_id;
    let topic = Topic::Description.of(id);
    writer.write(&topic, 0, &RECORDING.description).unwrap();
    let sets = [EPOCH_NS, EPOCH_NS + HOUR_NS, 0, u64::MAX - HOUR_NS];
    for (at, frame) in RECORDING.measurements.iter().enumerate() {
        let stamp_ns = sets[at / 10] + at as u64 * 33_333_333;
        let frame = v1::MeasurementFrame {
            stamp_ns,
            ..frame.clone()
        };
        let topic = Topic::Measurement.of(id);
        writer.write(&topic, stamp_ns, &frame).unwrap();
    }
    writer.finish().unwrap();
    let (settings, options) = (Settings::default(), Options::default());
    let pipeline = Pipeline::start(&*PRIOR, &settings, options, vec![]).unwrap();
    let mut replayed = Replayed::default();
    let as_recorded = Replay {
        rate: 1.0,
        ..Replay::default()
    };
    let stop = AtomicBool::new(false);
    as_recorded
        .run(&log, &pipeline.ingress(), &stop, &mut replayed)
        .unwrap();
    let summary = pipeline.finish();
    assert_eq!(summary.accounts.emitted, FRAMES as u64);
    let took = (FRAMES - sets.len()) as f64 / 30.0; // none passes where it was set
    assert!((replayed.log_s - took).abs() < 1e-3, "{replayed:?}");
    assert!(
        replayed.wall_s > 0.9 * took && replayed.wall_s < 20.0,
        "{replayed:?}"
    );
}
