//! A prior that is replaced while frames come.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/small.rs"]
mod small;

use common::{PRIOR, record};
use relucent::clock::Monotonic;
use relucent::frame::RangeImage;
use relucent::journal::{Reader, Topic};
use relucent::pipeline::{
    Event, Frame, Ingress, Options, Outlet, Payload, Pipeline, Replay, Replayed, Sensor, Summary,
    Vault,
};
use relucent::prior::Prior;
use relucent::recover::{Settings, StartKind, Tracker};
use relucent::wire;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A prior of the same grid that recovers otherwise.
fn other() -> Prior {
    let mut prior = Prior::clone(&PRIOR);
    let bias = &mut prior.decoder.layers[0].bias;
    bias.iter_mut().for_each(|b| *b += 0.1);
    prior
}

/// A pipeline, and the frames that come out of it.
struct Run {
    pipeline: Pipeline,
    frames: Arc<Mutex<Vec<Arc<Frame>>>>,
}

impl Run {
    fn start(prior: &Prior, workers: usize, vault: Option<Vault>) -> Self {
        let frames: Arc<Mutex<Vec<Arc<Frame>>>> = Arc::default();
        let to = Arc::clone(&frames);
        let outlet = Outlet::waiting("collect", move |event: &Event| {
            if let Event::Frame(frame) = event {
                to.lock().unwrap().push(Arc::clone(frame));
            }
        });
        let (settings, outlets) = (Settings::default(), vec![outlet]);
        let options = Options {
            workers,
            ..Options::default()
        };
        let pipeline = Pipeline::start_with(prior, &settings, options, outlets, vault).unwrap();
        Self { pipeline, frames }
    }

    /// Waits until so many frames have come out.
    fn wait_for(&self, emitted: u64) {
        let began = Instant::now();
        while self.pipeline.accounts().emitted < emitted {
            assert!(began.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every frame offered came out.
    fn finish(self) -> (Vec<Arc<Frame>>, Summary) {
        let summary = self.pipeline.finish();
        let a = summary.accounts;
        assert_eq!((a.offered, a.dropped, a.rejected), (a.emitted, 0, 0));
        let frames = std::mem::take(&mut *self.frames.lock().unwrap());
        (frames, summary)
    }
}

/// Offers a log's descriptions, and its measurements at these sequence numbers.
fn offer(log: &Path, wanted: std::ops::Range<u64>, door: &Ingress) {
    for entry in Reader::open(log).unwrap().map(Result::unwrap) {
        match Topic::parse(&entry.channel.topic).unwrap().0 {
            Topic::Description if wanted.start == 0 => {
                door.offer_now(Payload::SensorBytes(entry.data));
            }
            Topic::Measurement => {
                let message = wire::decode_measurement(entry.data).unwrap();
                if wanted.contains(&message.sequence) {
                    door.offer_now(Payload::MeasurementMessage(Box::new(message)));
                }
            }
            _ => {}
        }
    }
}

fn of<'a>(frames: &'a [Arc<Frame>], sensor: &str) -> Vec<&'a Frame> {
    let of = frames.iter().filter(|frame| &*frame.sensor.id == sensor);
    of.map(|frame| &**frame).collect()
}

#[test]
fn frames_after_it_are_those_of_a_fresh_tracker_over_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("two.mcap");
    record(&log, 2, 12);
    let run = Run::start(&PRIOR, 2, None);
    let door = run.pipeline.ingress();
    offer(&log, 0..6, &door);
    run.wait_for(12);
    let new = other();
    run.pipeline.replace_prior(&new).unwrap();
    offer(&log, 6..12, &door);
    let (frames, _) = run.finish();
    for sensor in ["sensor 0", "sensor 1"] {
        let frames = of(&frames, sensor);
        assert!(frames.iter().map(|f| f.measurement.sequence).eq(0..12));
        let description = Arc::clone(&frames[0].sensor.description);
        for (prior, frames) in [(&*PRIOR, &frames[..6]), (&new, &frames[6..])] {
            let clock = Monotonic::default();
            let tracker = Tracker::new(Arc::clone(&description), prior, Settings::default(), clock);
            let (mut tracker, mut image) = (tracker.unwrap(), RangeImage::default());
            for frame in frames {
                let report = tracker.recover(&frame.measurement, &mut image).unwrap();
                assert_eq!(report.start, frame.report.start);
                assert!(report.code == frame.report.code && image == frame.image);
            }
        }
        assert_eq!(frames[6].report.start, StartKind::Cold);
        assert_eq!(frames[7].report.start, StartKind::Warm);
    }
}

#[test]
fn while_frames_come_none_is_lost_and_each_sensor_starts_cold_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("three.mcap");
    record(&log, 3, 40);
    let run = Run::start(&PRIOR, 2, None);
    let (door, new) = (run.pipeline.ingress(), other());
    std::thread::scope(|scope| {
        let replay = scope.spawn(|| {
            let (stop, mut replayed) = (AtomicBool::new(false), Replayed::default());
            let pace = Replay {
                rate: 0.3, // 4 s: folding a prior takes one or two where a machine is slow
                ..Replay::default()
            };
            pace.run(&log, &door, &stop, &mut replayed)
        });
        run.wait_for(9);
        run.pipeline.replace_prior(&new).unwrap();
        assert!(!replay.is_finished());
        replay.join().unwrap().unwrap();
    });
    let (frames, summary) = run.finish();
    assert_eq!(summary.accounts.emitted, 120);
    for sensor in ["sensor 0", "sensor 1", "sensor 2"] {
        let frames = of(&frames, sensor);
        assert!(frames.iter().map(|f| f.measurement.sequence).eq(0..40));
        let cold = frames.iter().filter(|f| f.report.start == StartKind::Cold);
        assert_eq!(cold.count(), 2, "{sensor}");
    }
}

#[test]
fn one_that_a_sensor_in_use_does_not_fit_is_refused_and_the_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 6);
    let run = Run::start(&PRIOR, 1, None);
    let door = run.pipeline.ingress();
    offer(&log, 0..3, &door);
    let mut knots = other();
    knots.knots[0] += 0.01;
    for (bad, expected) in [
        (small::small(), "a sensor of 8 × 8 pixels"),
        (knots, "range knots at"),
    ] {
        let error = run.pipeline.replace_prior(&bad).unwrap_err();
        assert_eq!(error.sensor, "sensor 0");
        let why = error.source.to_string();
        assert!(why.contains(expected) && why.contains("got"), "{why}");
    }
    offer(&log, 3..6, &door);
    let (frames, _) = run.finish();
    assert_eq!(frames.len(), 6);
    let warm = frames[1..].iter().map(|f| f.report.start);
    assert!(warm.into_iter().all(|start| start == StartKind::Warm));
}

#[test]
fn a_sensor_that_fits_neither_does_not_stand_in_the_way() {
    let run = Run::start(&PRIOR, 1, None);
    let knots = small::small().knots;
    let stranger = relucent::sim::describe((8, 8), &knots, 30.0, (1, 4), 7).unwrap();
    let geometry = relucent::frame::Geometry::centred(60.0, 45.0);
    let stranger = Sensor::new("stranger", geometry, Arc::new(stranger));
    let door = run.pipeline.ingress();
    door.offer_now(Payload::Sensor(Box::new(stranger)));
    assert!(door.sensor("stranger").is_some());
    run.pipeline.replace_prior(other()).unwrap();
    run.finish();
}

#[test]
fn checkpoints_are_of_the_prior_that_they_were_made_with() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 8);
    let new = other();
    let kept = |prior: &Prior| {
        let vault = Vault::open(&folder.path().join("kept")).unwrap();
        Run::start(prior, 1, Some(vault))
    };
    let run = kept(&PRIOR);
    offer(&log, 0..2, &run.pipeline.ingress());
    run.finish();
    // the first frame comes after the prior was replaced: what is kept is of no use
    let run = kept(&PRIOR);
    run.pipeline.replace_prior(&new).unwrap();
    offer(&log, 0..4, &run.pipeline.ingress());
    assert_eq!(run.finish().0[0].report.start, StartKind::Cold);
    // and what is kept then is the new one's
    let run = kept(&new);
    offer(&log, 0..6, &run.pipeline.ingress());
    assert_eq!(run.finish().0[0].report.start, StartKind::Warm);
}
