//! The pipeline as its users meet it: order, accounts, overload, bad bytes, the same bytes out whatever the threads.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/seldom.rs"]
mod seldom;

use bytes::Bytes;
use common::{PRIOR, record};
use proptest::prelude::*;
use prost::Message;
use relucent::clock::Monotonic;
use relucent::frame::{Geometry, RangeImage};
use relucent::journal::{JournalError, Reader, Topic, Writer};
use relucent::pipeline::{
    Cause, Event, Exposure, Frame, LogSink, Offer, Options, Outlet, Payload, Pipeline, Policy,
    Replay, Replayed, Summary, Vault, VirtualStream,
};
use relucent::prior::Prior;
use relucent::recover::{Settings, StartKind};
use relucent::sim::{self, Split};
use relucent::wire::v1;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Shared<T> = Arc<Mutex<Vec<T>>>;

fn collect() -> (Shared<Event>, Outlet) {
    let events: Shared<Event> = Arc::default();
    let to = Arc::clone(&events);
    let outlet = Outlet::waiting("collect", move |event: &Event| {
        to.lock().unwrap().push(event.clone());
    });
    (events, outlet)
}

fn frames(events: &Shared<Event>) -> Vec<Arc<Frame>> {
    let frames = events.lock().unwrap();
    let frames = frames.iter().filter_map(|event| match event {
        Event::Frame(frame) => Some(Arc::clone(frame)),
        _ => None,
    });
    frames.collect()
}

fn balanced(summary: &Summary) {
    let a = summary.accounts;
    assert_eq!(a.offered, a.emitted + a.dropped + a.rejected, "{a:?}");
}

fn replay(log: &Path, options: Options) -> (Vec<Arc<Frame>>, Summary) {
    let (events, outlet) = collect();
    let pipeline = Pipeline::start(&*PRIOR, &Settings::default(), options, vec![outlet]).unwrap();
    let mut replayed = Replayed::default();
    let stop = AtomicBool::new(false);
    Replay::default()
        .run(log, &pipeline.ingress(), &stop, &mut replayed)
        .unwrap();
    let summary = pipeline.finish();
    assert_eq!(replayed.frames, summary.accounts.offered);
    (frames(&events), summary)
}

/// What must not depend on threads: everything but latencies, sensor by sensor, as bytes.
fn bytes_of(frames: &[Arc<Frame>], sensor: &str) -> Vec<Vec<u8>> {
    let of = frames.iter().filter(|f| &*f.sensor.id == sensor);
    of.map(|frame| {
        let mut message = relucent::pipeline::depth_message(frame);
        message.latency = None;
        message.encode_to_vec()
    })
    .collect()
}

#[test]
fn the_same_bytes_whatever_the_threads_and_however_often() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("four.mcap");
    record(&log, 4, 60);
    let run = |workers| {
        let options = Options {
            workers,
            ..Options::default()
        };
        replay(&log, options)
    };
    let (one, summary) = run(1);
    balanced(&summary);
    assert_eq!(summary.accounts.emitted, 240);
    let (two, _) = run(2);
    let (again, _) = run(2);
    for sensor in ["sensor 0", "sensor 1", "sensor 2", "sensor 3"] {
        let first = bytes_of(&one, sensor);
        assert_eq!(first.len(), 60);
        assert!(
            first == bytes_of(&two, sensor),
            "{sensor}: one worker against two"
        );
        assert!(
            first == bytes_of(&again, sensor),
            "{sensor}: replayed twice"
        );
        let order = one.iter().filter(|f| &*f.sensor.id == sensor);
        assert!(
            order.map(|f| f.measurement.sequence).eq(0..60),
            "{sensor}: in order"
        );
    }
    assert!(one.iter().all(|f| f.truth.is_some()));
}

#[test]
fn frames_that_come_seldom_are_seen_through_by_their_worker_and_are_the_same() {
    let run = |seldom| {
        let (events, summary) = seldom::offered("front", 50, seldom);
        balanced(&summary);
        let (events, by_worker): (Vec<_>, Vec<bool>) = events.into_iter().unzip();
        let frames = frames(&Mutex::new(events).into());
        (bytes_of(&frames, "front"), by_worker)
    };
    let ((flood, _), (seldom, by_worker)) = (run(false), run(true));
    assert!(flood.len() == 50 && flood == seldom);
    assert!(by_worker.contains(&true));
}

#[test]
fn overload_follows_the_policy_and_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 60);
    for policy in [Policy::DropOldest, Policy::DropNewest] {
        let options = Options {
            policy,
            capacity: 4,
            ..Options::default()
        };
        let (frames, summary) = replay(&log, options);
        balanced(&summary);
        let a = summary.accounts;
        assert_eq!((a.offered, a.overload), (60, a.dropped), "{policy:?}");
        assert!(
            a.dropped > 0,
            "{policy:?}: flat out is more than a machine recovers"
        );
        assert_eq!(frames.len() as u64, a.emitted);
        let last = frames.last().unwrap().measurement.sequence;
        match policy {
            Policy::DropOldest => assert_eq!(last, 59, "the freshest comes out"),
            _ => assert_eq!(frames[0].measurement.sequence, 0, "the first comes out"),
        }
        assert!(
            frames
                .windows(2)
                .all(|f| f[0].measurement.sequence < f[1].measurement.sequence)
        );
    }
}

#[test]
fn bad_frames_are_rejected_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 6);
    let (events, outlet) = collect();
    let pipeline = Pipeline::start(
        &*PRIOR,
        &Settings::default(),
        Options::default(),
        vec![outlet],
    )
    .unwrap();
    let door = pipeline.ingress();
    let mut good = vec![];
    for entry in Reader::open(&log).unwrap().map(Result::unwrap) {
        match Topic::parse(&entry.channel.topic).unwrap().0 {
            Topic::Description => door.offer_now(Payload::SensorBytes(entry.data)),
            Topic::Measurement => good.push(entry.data),
            _ => {}
        }
    }
    let change = |bytes: &Bytes, how: &dyn Fn(&mut v1::MeasurementFrame)| {
        let mut message = v1::MeasurementFrame::decode(bytes.clone()).unwrap();
        how(&mut message);
        Bytes::from(message.encode_to_vec())
    };
    let readings = |m: &mut v1::MeasurementFrame, how: &dyn Fn(&mut v1::Readings)| {
        let Some(v1::measurement_frame::Data::Readings(r)) = &mut m.data else {
            panic!("readings");
        };
        how(r);
    };
    let bad = [
        good[0].slice(..good[0].len() / 2),
        Bytes::from_static(b"\xff\xff\xff\xff"),
        Bytes::from(vec![0; relucent::wire::MAX_MEASUREMENT + 1]),
        change(&good[0], &|m| m.sensor_id = "nobody".to_owned()),
        change(&good[0], &|m| m.pattern_set = 99),
        change(&good[0], &|m| readings(m, &|r| r.y = r.y.slice(4..))),
        change(&good[0], &|m| readings(m, &|r| r.gain = f32::NAN)),
        change(&good[0], &|m| {
            readings(m, &|r| {
                let mut y = r.y.to_vec();
                y[..4].copy_from_slice(&f32::NAN.to_le_bytes());
                r.y = y.into();
            });
        }),
    ];
    for (good, bad) in good.iter().zip(bad.chunks(2)) {
        door.offer_now(Payload::MeasurementBytes(good.clone()));
        bad.iter()
            .for_each(|bad| door.offer_now(Payload::MeasurementBytes(bad.clone())));
    }
    door.offer_now(Payload::SensorBytes(Bytes::from_static(b"\x0a\x01")));
    door.offer_now(Payload::MeasurementBytes(good[5].clone()));
    let summary = pipeline.finish();
    balanced(&summary);
    let a = summary.accounts;
    assert_eq!(
        (a.emitted, a.rejected, a.descriptions_refused),
        (5, 8, 1),
        "{a:?}"
    );
    assert_eq!((a.undecodable, a.unknown_sensor, a.invalid), (3, 1, 4));
    let events = events.lock().unwrap();
    let reasons: Vec<_> = events
        .iter()
        .filter_map(|e| match e {
            Event::Rejected(r) => Some((r.cause, r.reason.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(reasons.len(), 9);
    let told = |cause, what: &str| reasons.iter().any(|(c, r)| *c == cause && r.contains(what));
    assert!(told(Some(Cause::Undecodable), "at most"), "{reasons:?}");
    assert!(told(Some(Cause::Invalid), "pattern_set"), "{reasons:?}");
    assert!(
        told(Some(Cause::Invalid), "finite values in y"),
        "{reasons:?}"
    );
    assert!(told(None, "sensor description"), "{reasons:?}");
}

#[test]
fn a_prior_of_another_size_rejects_every_frame_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 3);
    let mut description = None;
    for entry in Reader::open(&log).unwrap().map(Result::unwrap) {
        if let Some((Topic::Description, _)) = Topic::parse(&entry.channel.topic) {
            description = Some(v1::SensorDescription::decode(entry.data).unwrap());
        }
    }
    let mut description = description.unwrap();
    (description.rows, description.cols) = (32, 128); // the same number of pixels
    let (events, outlet) = collect();
    let pipeline = Pipeline::start(
        &*PRIOR,
        &Settings::default(),
        Options::default(),
        vec![outlet],
    )
    .unwrap();
    let door = pipeline.ingress();
    door.offer_now(Payload::SensorBytes(description.encode_to_vec().into()));
    for entry in Reader::open(&log).unwrap().map(Result::unwrap) {
        if let Some((Topic::Measurement, _)) = Topic::parse(&entry.channel.topic) {
            door.offer_now(Payload::MeasurementBytes(entry.data));
        }
    }
    let summary = pipeline.finish();
    balanced(&summary);
    assert_eq!(summary.accounts.invalid, 3);
    let events = events.lock().unwrap();
    let Event::Rejected(rejection) = &events[0] else {
        panic!("{:?}", events[0]);
    };
    assert!(rejection.reason.contains("64 × 64") && rejection.reason.contains("32 × 128"));
}

#[test]
fn what_comes_after_closing_is_counted_and_a_failing_sink_is_reported() {
    let failing = {
        struct Failing;
        impl relucent::pipeline::Sink for Failing {
            fn take(&mut self, _: &Event) -> Result<(), relucent::pipeline::SinkError> {
                Err("disk full".into())
            }
        }
        Outlet::waiting("failing", Failing)
    };
    let (events, outlet) = collect();
    let outlets = vec![failing, outlet];
    let pipeline =
        Pipeline::start(&*PRIOR, &Settings::default(), Options::default(), outlets).unwrap();
    let door = pipeline.ingress();
    let unknown = || Payload::MeasurementBytes(Bytes::new());
    (0..3).for_each(|_| door.offer_now(unknown()));
    let summary = pipeline.finish();
    balanced(&summary);
    assert_eq!(events.lock().unwrap().len(), 3);
    let failed = &summary.sinks[0];
    assert_eq!((failed.taken, failed.lost), (1, 2));
    assert!(
        failed
            .failure
            .as_ref()
            .unwrap()
            .to_string()
            .contains("disk full")
    );
    door.offer(Offer {
        payload: unknown(),
        intended_ns: 0,
        truth: None,
        origin: 0,
    }); // neither hangs nor panics
}

/// Entries of a log, and how reading ended.
fn read(path: &Path) -> (usize, Option<JournalError>) {
    let mut count = 0;
    let Ok(reader) = Reader::open(path) else {
        return (0, None);
    };
    for entry in reader {
        match entry {
            Ok(_) => count += 1,
            Err(error) => return (count, Some(error)),
        }
    }
    (count, None)
}

#[test]
fn a_cut_or_damaged_log_gives_what_is_before() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 8);
    let whole = std::fs::read(&log).unwrap();
    let (all, error) = read(&log);
    assert!(error.is_none() && all == 17, "{all} {error:?}");
    let cut = folder.path().join("cut.mcap");
    let mut before = 0;
    for share in 1..=19 {
        std::fs::write(&cut, &whole[..whole.len() * share / 20]).unwrap();
        let (count, error) = read(&cut);
        assert!(count >= before && count <= all, "{share}: {count}");
        assert!(
            matches!(error, Some(JournalError::Cut { .. })) || count == all,
            "{share}: {error:?}"
        );
        before = count;
    }
    assert!(before >= 15, "{before} of 17 messages at 95 %");
    std::fs::write(&cut, b"not a log").unwrap();
    assert!(matches!(
        Reader::open(&cut),
        Err(JournalError::NotALog { .. })
    ));
    std::fs::write(&cut, &whole[..8]).unwrap();
    assert!(read(&cut).1.is_some());
}

#[test]
fn damage_anywhere_ends_in_an_error_or_passes_but_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 3);
    let whole = std::fs::read(&log).unwrap();
    let damaged = folder.path().join("damaged.mcap");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    let places = proptest::collection::vec((0..whole.len(), any::<u8>()), 1..4);
    runner
        .run(&places, |places| {
            let mut bytes = whole.clone();
            places.iter().for_each(|&(at, value)| bytes[at] = value);
            std::fs::write(&damaged, &bytes).unwrap();
            let (count, _) = read(&damaged);
            prop_assert!(count <= 7);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_log_that_is_being_written_can_be_read_up_to_half_a_second_before() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("one.mcap");
    record(&source, 1, 10);
    let out = folder.path().join("depth.mcap");
    let options = relucent::pipeline::LogOptions::default();
    let sink = LogSink::create(&out, options, Monotonic::default()).unwrap();
    let outlets = vec![Outlet::waiting("log", sink)];
    let pipeline =
        Pipeline::start(&*PRIOR, &Settings::default(), Options::default(), outlets).unwrap();
    let stop = AtomicBool::new(false);
    Replay::default()
        .run(
            &source,
            &pipeline.ingress(),
            &stop,
            &mut Replayed::default(),
        )
        .unwrap();
    let waiting = std::time::Instant::now();
    while pipeline.accounts().emitted < 10 {
        assert!(waiting.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    // as a kill would leave it: never finished
    let written = loop {
        std::thread::sleep(Duration::from_millis(100));
        let killed = folder.path().join("killed.mcap");
        std::fs::copy(&out, &killed).unwrap();
        let (count, error) = read(&killed);
        if count == 41 || waiting.elapsed() > Duration::from_secs(60) {
            assert!(matches!(error, Some(JournalError::Cut { .. })), "{error:?}");
            break count;
        }
    };
    assert_eq!(
        written, 41,
        "a description; truth, depth, image and calibration of ten frames"
    );
    pipeline.finish();
    let (count, error) = read(&out);
    assert!(count == 41 && error.is_none());
}

#[test]
fn a_new_description_comes_before_its_frames_and_after_the_old_ones() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 8);
    let (events, outlet) = collect();
    let pipeline = Pipeline::start(
        &*PRIOR,
        &Settings::default(),
        Options::default(),
        vec![outlet],
    )
    .unwrap();
    let door = pipeline.ingress();
    for turn in 0..6 {
        for entry in Reader::open(&log).unwrap().map(Result::unwrap) {
            match Topic::parse(&entry.channel.topic).unwrap().0 {
                Topic::Description => {
                    let mut message = v1::SensorDescription::decode(entry.data).unwrap();
                    message.frame_id = format!("mast {turn}");
                    door.offer_now(Payload::SensorMessage(Box::new(message)));
                }
                Topic::Measurement => door.offer_now(Payload::MeasurementBytes(entry.data)),
                _ => {}
            }
        }
    }
    pipeline.finish();
    let (mut described, mut frames) = (vec![], 0);
    for event in events.lock().unwrap().iter() {
        match event {
            Event::Described(sensor) => described.push(sensor.frame_id.clone()),
            Event::Frame(frame) => {
                assert_eq!(Some(&frame.sensor.frame_id), described.last());
                frames += 1;
            }
            Event::Rejected(rejection) => panic!("{rejection:?}"),
        }
    }
    assert_eq!((described.len(), frames), (6, 48));
}

#[test]
fn a_track_is_kept_while_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (log, kept) = (folder.path().join("log.mcap"), folder.path().join("kept"));
    record(&log, 1, 8);
    let vault = Vault::open(&kept).unwrap();
    let (settings, options) = (Settings::default(), Options::default());
    let pipeline = Pipeline::start_with(&*PRIOR, &settings, options, vec![], Some(vault)).unwrap();
    let (door, since) = (pipeline.ingress(), Instant::now());
    let mut measurements = vec![];
    for entry in Reader::open(&log).unwrap().map(Result::unwrap) {
        match Topic::parse(&entry.channel.topic).unwrap().0 {
            Topic::Description => door.offer_now(Payload::SensorBytes(entry.data)),
            Topic::Measurement => measurements.push(entry.data),
            _ => {}
        }
    }
    let is_kept = || {
        let mut files = std::fs::read_dir(&kept).unwrap().map(Result::unwrap);
        files.any(|file| file.path().extension().is_some_and(|e| e == "checkpoint"))
    };
    for data in measurements.iter().cycle() {
        door.offer_now(Payload::MeasurementBytes(data.clone()));
        if is_kept() {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "no checkpoint");
    }
    pipeline.finish();
}

/// A log in two halves through two pipelines with one vault is the log through one.
#[test]
fn a_pipeline_that_is_started_again_goes_on_warm() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.mcap");
    record(&log, 1, 8);
    let half = |vault: bool, wanted: std::ops::Range<u64>| {
        let vault = vault.then(|| Vault::open(&folder.path().join("kept")).unwrap());
        let (events, outlet) = collect();
        let (settings, options) = (Settings::default(), Options::default());
        let outlets = vec![outlet];
        let pipeline = Pipeline::start_with(&*PRIOR, &settings, options, outlets, vault).unwrap();
        let door = pipeline.ingress();
        for entry in Reader::open(&log).unwrap().map(Result::unwrap) {
            match Topic::parse(&entry.channel.topic).unwrap().0 {
                Topic::Description => door.offer_now(Payload::SensorBytes(entry.data)),
                Topic::Measurement => {
                    let message = v1::MeasurementFrame::decode(entry.data.clone()).unwrap();
                    if wanted.contains(&message.sequence) {
                        door.offer_now(Payload::MeasurementBytes(entry.data));
                    }
                }
                _ => {}
            }
        }
        balanced(&pipeline.finish());
        frames(&events)
    };
    let whole = half(false, 0..8);
    let sensor = Arc::clone(&whole[0].sensor.id);
    let expected = bytes_of(&whole, &sensor);
    let first = half(true, 0..5);
    let second = half(true, 5..8);
    assert_eq!(second[0].report.start, StartKind::Warm);
    let got = [bytes_of(&first, &sensor), bytes_of(&second, &sensor)].concat();
    assert!(got == expected, "the same bytes as without a break");
}

#[test]
fn a_replay_of_which_nothing_can_be_recovered_fails_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("small.mcap");
    let mut truth = RangeImage::default();
    sim::frame(Split::HeldOut, 0, &sim::rays(32, 32), &mut truth);
    let geometry = Geometry::centred(60.0, 45.0);
    let mut writer = Writer::create(&log, Monotonic::default()).unwrap();
    let small = Prior {
        rows: 32,
        cols: 32,
        ..PRIOR.clone()
    };
    let exposure = Exposure::default();
    let stream = VirtualStream::new("small", geometry, &small, 30.0, exposure, &truth);
    let mut stream = stream.unwrap();
    stream.record(&truth, 1, &mut writer).unwrap();
    writer.finish().unwrap();
    let replay = Command::new(env!("CARGO_BIN_EXE_relucent"))
        .args(["replay", "--rate", "0"])
        .arg(&log)
        .output()
        .unwrap();
    let said = String::from_utf8(replay.stderr).unwrap();
    assert_eq!(replay.status.code(), Some(1), "{said}");
    assert!(
        said.contains("64 × 64") && said.contains("32 × 32"),
        "{said}"
    );
}
