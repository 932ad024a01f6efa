//! Logs as others read them: by the `mcap` and `mcap-protobuf-support` packages of PyPI. Without them it says so and passes.

#![allow(clippy::unwrap_used)]

mod common;

use common::{PRIOR, record};
use relucent::clock::Monotonic;
use relucent::frame::Geometry;
use relucent::journal::{DepthEncoding, Reader, Topic, View};
use relucent::pipeline::{
    Event, Frame, LogOptions, LogSink, Options, Outlet, Pipeline, Replay, Replayed,
};
use relucent::recover::Settings;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

const SIZE: (usize, usize) = (64, 64);

const SCRIPT: &str = r#"
import sys, collections
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory
counts, first = collections.Counter(), None
with open(sys.argv[1], "rb") as file:
    reader = make_reader(file, decoder_factories=[DecoderFactory()])
    for schema, channel, message, decoded in reader.iter_decoded_messages():
        counts[channel.topic + " " + schema.name] += 1
        if schema.name == "foxglove.RawImage" and first is None:
            first = decoded
for key, count in sorted(counts.items()):
    print(key.rsplit(" ", 1)[0], key.rsplit(" ", 1)[1], count, sep="|")
print(first.encoding, first.width, first.height, first.step, sep="|")
print(first.data.hex())
"#;

#[test]
fn others_read_topics_schemas_counts_and_every_pixel() {
    let found = Command::new("python3")
        .args(["-c", "import mcap.reader, mcap_protobuf.decoder"])
        .output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: python3 with mcap and mcap-protobuf-support is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (
        folder.path().join("in.mcap"),
        folder.path().join("out.mcap"),
    );
    record(&source, 1, 5);
    let options = LogOptions {
        points: true,
        ..LogOptions::default()
    };
    let first: Arc<Mutex<Option<Arc<Frame>>>> = Arc::default();
    let kept = Arc::clone(&first);
    let keep = Outlet::waiting("keep", move |event: &Event| {
        if let Event::Frame(frame) = event {
            kept.lock()
                .unwrap()
                .get_or_insert_with(|| Arc::clone(frame));
        }
    });
    let log = Outlet::waiting(
        "log",
        LogSink::create(&out, options, Monotonic::default()).unwrap(),
    );
    let settings = Settings::default();
    let pipeline =
        Pipeline::start(&*PRIOR, &settings, Options::default(), vec![log, keep]).unwrap();
    let stop = AtomicBool::new(false);
    Replay::default()
        .run(
            &source,
            &pipeline.ingress(),
            &stop,
            &mut Replayed::default(),
        )
        .unwrap();
    pipeline.finish();

    let read = Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(&out)
        .output()
        .unwrap();
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    let text = String::from_utf8(read.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "/relucent/sensor 0/camera_calibration|foxglove.CameraCalibration|5",
            "/relucent/sensor 0/depth|relucent.v1.DepthFrame|5",
            "/relucent/sensor 0/depth_image|foxglove.RawImage|5",
            "/relucent/sensor 0/description|relucent.v1.SensorDescription|1",
            "/relucent/sensor 0/points|foxglove.PointCloud|5",
            "/relucent/sensor 0/truth|relucent.v1.TruthFrame|5",
        ]
    );
    assert_eq!(lines[6], "16UC1|64|64|128");
    let frame = first.lock().unwrap().clone().unwrap();
    let view = View::new(&frame.sensor.geometry, SIZE, &frame.sensor.frame_id);
    let image = view.depth_image(&frame.image, 0, DepthEncoding::Millimetres);
    let hex: String = image.data.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(lines[7], hex, "every pixel of the first depth image");
}

/// What is written for viewers can be imported again: the images, and the points.
#[test]
fn what_viewers_are_shown_can_be_encoded_again() {
    use relucent::pipeline::Import;
    let folder = tempfile::tempdir().unwrap();
    let (source, out) = (
        folder.path().join("in.mcap"),
        folder.path().join("out.mcap"),
    );
    record(&source, 1, 3);
    let options = LogOptions {
        points: true,
        encoding: DepthEncoding::Metres,
        ..LogOptions::default()
    };
    let log = Outlet::waiting(
        "log",
        LogSink::create(&out, options, Monotonic::default()).unwrap(),
    );
    let pipeline =
        Pipeline::start(&*PRIOR, &Settings::default(), Options::default(), vec![log]).unwrap();
    let stop = AtomicBool::new(false);
    Replay::default()
        .run(
            &source,
            &pipeline.ingress(),
            &stop,
            &mut Replayed::default(),
        )
        .unwrap();
    pipeline.finish();
    let mut recovered = vec![];
    for entry in Reader::open(&out).unwrap().map(Result::unwrap) {
        if let Some((Topic::Depth, _)) = Topic::parse(&entry.channel.topic) {
            let frame: relucent::wire::v1::DepthFrame =
                relucent::wire::decode_frame("depth frame", entry.data).unwrap();
            recovered.push(relucent::wire::range_frame(&frame.frame.unwrap()).unwrap());
        }
    }
    // what an import shows in each direction, beside what was recovered there
    let geometry = Geometry::centred(60.0, 45.0);
    let alike = |toml: &str| -> Vec<f32> {
        let path = folder.path().join("import.toml");
        std::fs::write(&path, toml).unwrap();
        let import = Import::open(&path, None, SIZE).unwrap();
        let seen_by = import.geometry();
        let frames = import.map(|frame| frame.unwrap().1).zip(&recovered);
        frames
            .map(|(frame, recovered)| {
                let near = |pixel: &usize| {
                    let ray = seen_by.direction(SIZE, (pixel / SIZE.1, pixel % SIZE.1));
                    let Some((row, col)) = geometry.pixel(SIZE, ray) else {
                        return false;
                    };
                    let there = row * SIZE.1 + col;
                    let there_is = recovered.valid[there] && recovered.range[there] > 0.0; // no point lies at the sensor
                    frame.valid[*pixel] == there_is
                        && (frame.range[*pixel] - recovered.range[there]).abs() < 0.5
                };
                (0..frame.pixels()).filter(near).count() as f32 / frame.pixels() as f32
            })
            .collect()
    };
    let images = alike(
        r#"
        log = "out.mcap"
        topic = "/relucent/sensor 0/depth_image"
        calibration = "/relucent/sensor 0/camera_calibration"
        max_range_m = 30.0
        returns = { constant = 0.5 }
        "#,
    );
    let points = alike(
        r#"
        log = "out.mcap"
        topic = "/relucent/sensor 0/points"
        field = { azimuth = [-30.0, 30.0], elevation = [-22.5, 22.5] }
        max_range_m = 30.0
        returns = { constant = 0.5 }
        "#,
    );
    assert!(
        points.len() == 3 && points.iter().all(|share| *share > 0.98),
        "{points:?}"
    );
    // resampled twice by the nearest ray
    assert!(
        images.len() == 3 && images.iter().all(|share| *share > 0.8),
        "{images:?}"
    );
}
