//! A client written with nothing of ours but the `.proto` files, in Python.

use crate::common::PRIOR;
use crate::served::{Served, messages};
use prost::Message;
use relucent::pipeline::{
    Event, Ingress, Offer, Options, Outlet, Payload, Pipeline, depth_message,
};
use relucent::recover::Settings;
use relucent::wire::v1::{self, recover_request};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// A Python that has grpcio and grpcio-tools: `RELUCENT_PYTHON`, or `python3`.
fn python() -> Result<PathBuf, String> {
    let python = std::env::var_os("RELUCENT_PYTHON").unwrap_or_else(|| "python3".into());
    let asked = Command::new(&python)
        .args(["-c", "import grpc, grpc_tools"])
        .output();
    match asked {
        Ok(asked) if asked.status.success() => Ok(python.into()),
        Ok(asked) => Err(String::from_utf8_lossy(&asked.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What the pipeline in this process makes of the same messages.
fn in_process(
    descriptions: &[v1::SensorDescription],
    measurements: &[v1::MeasurementFrame],
) -> Vec<v1::DepthFrame> {
    let frames: Arc<Mutex<Vec<v1::DepthFrame>>> = Arc::default();
    let to = Arc::clone(&frames);
    let outlet = Outlet::waiting("collect", move |event: &Event| {
        if let Event::Frame(frame) = event {
            to.lock().unwrap().push(depth_message(frame));
        }
    });
    let settings = Settings::default();
    let pipeline = Pipeline::start(&*PRIOR, &settings, Options::default(), vec![outlet]).unwrap();
    let ingress: Ingress = pipeline.ingress();
    for description in descriptions {
        ingress.describe(description, 0).unwrap();
    }
    for measurement in measurements {
        ingress.offer(Offer {
            payload: Payload::MeasurementMessage(Box::new(measurement.clone())),
            intended_ns: ingress.now_ns(),
            truth: None,
            origin: 0,
        });
    }
    pipeline.finish();
    Arc::try_unwrap(frames).unwrap().into_inner().unwrap()
}

/// Messages, each after its length, u32 little-endian.
fn write_all(path: &Path, messages: impl Iterator<Item = Vec<u8>>) {
    let framed = messages.flat_map(|m| [&(m.len() as u32).to_le_bytes()[..], &m].concat());
    std::fs::write(path, framed.collect::<Vec<u8>>()).unwrap();
}

fn read_all(path: &Path) -> Vec<v1::DepthFrame> {
    let bytes = std::fs::read(path).unwrap();
    let (mut rest, mut frames) = (&bytes[..], vec![]);
    while let Some((length, after)) = rest.split_at_checked(4) {
        let (message, after) =
            after.split_at(u32::from_le_bytes(length.try_into().unwrap()) as usize);
        frames.push(v1::DepthFrame::decode(message).unwrap());
        rest = after;
    }
    frames
}

/// A frame without what differs from run to run.
fn timeless(frame: &v1::DepthFrame) -> Vec<u8> {
    let frame = v1::DepthFrame {
        latency: None,
        ..frame.clone()
    };
    frame.encode_to_vec()
}

#[test]
fn a_python_client_that_has_only_the_proto_files_gets_the_bytes_of_the_pipeline() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => {
            // written past the test's capture: who reads the log must see it
            use std::io::Write;
            let note = format!(
                "\n*** SKIPPED: the Python client was NOT tested: expected a Python with grpcio and grpcio-tools \
                 (pip install grpcio grpcio-tools; RELUCENT_PYTHON names another python3), got: {}\n",
                why.trim()
            );
            std::io::stderr().write_all(note.as_bytes()).unwrap();
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let log = match std::env::var_os("RELUCENT_LOG") {
        Some(log) => log.into(),
        None => {
            let log = folder.join("two.mcap");
            crate::common::record(&log, 2, 40);
            log
        }
    };
    let (descriptions, measurements) = messages(&log);
    let expected = in_process(&descriptions, &measurements);
    assert_eq!(expected.len(), measurements.len());
    let kind = |kind| v1::RecoverRequest { kind: Some(kind) }.encode_to_vec();
    let first = descriptions
        .into_iter()
        .map(recover_request::Kind::Description);
    let then = measurements
        .into_iter()
        .map(recover_request::Kind::Measurement);
    let (requests, answers) = (folder.join("requests"), folder.join("answers"));
    write_all(&requests, first.chain(then).map(kind));
    let served = Served::start();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ran = Command::new(python)
        .arg(root.join("tests/serve/client.py"))
        .arg(root.join("proto"))
        .arg(served.peer.address.to_string())
        .args([&requests, &answers])
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let got = read_all(&answers);
    served.stop();
    assert_eq!(got.len(), expected.len());
    let by_sensor = |frames: &[v1::DepthFrame]| {
        let mut frames: Vec<_> = frames
            .iter()
            .map(|f| (f.sensor_id.clone(), f.sequence, timeless(f)))
            .collect();
        frames.sort_by(|a, b| a.0.cmp(&b.0)); // a sensor's stay in order
        frames
    };
    assert!(
        by_sensor(&got) == by_sensor(&expected),
        "the same bytes, latencies aside"
    );
}
