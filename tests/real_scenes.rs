//! Real scenes in: both recorded sequences measured, replayed, and every frame emitted. Needs the sequences, which are not
//! part of the project: without them it says so and passes.

#![allow(clippy::unwrap_used)]

use relucent::clock::Monotonic;
use relucent::dataset::{Augmentation, Resampler, Sequence};
use relucent::frame::RangeImage;
use relucent::journal::Writer;
use relucent::metrics::RangeErrors;
use relucent::pipeline::{
    Event, Exposure, Options, Outlet, Pipeline, Replay, Replayed, VirtualStream, angular,
};
use relucent::prior::Prior;
use relucent::recover::Settings;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// Encodes and replays a whole sequence; its range errors over all frames.
fn replayed(name: &str) -> Option<(usize, RangeErrors)> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.join("../shared/data").join(name);
    if !root.exists() {
        eprintln!("SKIPPED: {name} is not there: {}", root.display());
        return None;
    }
    let toml = manifest.join("tests/data").join(format!("{name}.toml"));
    let sequence = Sequence::open(&toml, Some(&root)).unwrap();
    let prior = Prior::embedded().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("real.mcap");
    let resampler = Resampler::new(sequence.geometry(), 64, 64, None).unwrap();
    let geometry = angular(&sequence.geometry().field());
    let mut writer = Writer::create(&log, Monotonic::default()).unwrap();
    let mut image = RangeImage::default();
    let mut stream = None;
    for index in 0..sequence.len() {
        let frame = sequence.frame(index).unwrap();
        resampler.apply(&frame.image, Augmentation::default(), &mut image);
        let stream = stream.get_or_insert_with(|| {
            let (max, exposure) = (sequence.max_range_m(), Exposure::default());
            VirtualStream::new(name, geometry, &prior, max, exposure, &image).unwrap()
        });
        stream.record(&image, frame.stamp_ns, &mut writer).unwrap();
    }
    writer.finish().unwrap();
    let errors: Arc<Mutex<RangeErrors>> = Arc::default();
    let scored = Arc::clone(&errors);
    let outlet = Outlet::waiting("score", move |event: &Event| {
        if let Event::Frame(frame) = event {
            let truth = frame.truth.as_ref().unwrap();
            let max = frame.sensor.description.knots.max();
            scored.lock().unwrap().add(&frame.image, truth, max);
        }
    });
    let pipeline = Pipeline::start(
        &prior,
        &Settings::default(),
        Options::default(),
        vec![outlet],
    )
    .unwrap();
    let stop = AtomicBool::new(false);
    Replay::default()
        .run(&log, &pipeline.ingress(), &stop, &mut Replayed::default())
        .unwrap();
    let a = pipeline.finish().accounts;
    assert_eq!(
        (a.offered, a.emitted),
        (sequence.len() as u64, sequence.len() as u64)
    );
    let errors = *errors.lock().unwrap();
    Some((sequence.len(), errors))
}

#[test]
fn a_car_lidar_sequence_goes_through_whole() {
    if let Some((frames, errors)) = replayed("vlp32") {
        assert_eq!(frames, 250);
        let summary = errors.summary();
        println!("vlp32: {summary:?}");
        assert!(summary.range_mae_m < 12.0, "{summary:?}");
    }
}

#[test]
fn a_depth_camera_sequence_goes_through_whole() {
    if let Some((frames, errors)) = replayed("realsense") {
        assert_eq!(frames, 200);
        let summary = errors.summary();
        println!("realsense: {summary:?}");
        assert!(summary.range_mae_m < 0.5, "{summary:?}");
    }
}
