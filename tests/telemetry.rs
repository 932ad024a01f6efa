//! Prometheus' view of a pipeline, scraped while it runs, over a plain socket.

#![cfg(feature = "prometheus")]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/scrape.rs"]
mod scrape;

use bytes::Bytes;
use common::{PRIOR, record};
use relucent::journal::{Reader, Topic};
use relucent::pipeline::{Options, Payload, Pipeline, Policy};
use relucent::recover::Settings;
use relucent::telemetry::Exporter;
use scrape::{ask, scrape};
use std::io::Read;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn counters_add_up_while_it_runs_and_when_it_has_drained() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("two.mcap");
    record(&log, 2, 40);
    let exporter = Exporter::new(1e-6); // no frame is that quick
    let options = Options {
        policy: Policy::DropNewest,
        capacity: 3,
        ..Options::default()
    };
    let outlets = vec![exporter.outlet()];
    let pipeline = Pipeline::start(&*PRIOR, &Settings::default(), options, outlets).unwrap();
    exporter.watch(pipeline.ingress());
    let endpoint = exporter.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = endpoint.address();
    let door = pipeline.ingress();
    door.offer_now(Payload::MeasurementBytes(Bytes::from_static(b"\xff")));
    door.offer_now(Payload::SensorBytes(Bytes::from_static(b"\xff")));
    let mut deepest = 0.0f64;
    for (index, entry) in Reader::open(&log).unwrap().map(Result::unwrap).enumerate() {
        match Topic::parse(&entry.channel.topic).unwrap().0 {
            Topic::Description => door.offer_now(Payload::SensorBytes(entry.data)),
            Topic::Measurement => door.offer_now(Payload::MeasurementBytes(entry.data)),
            _ => {}
        }
        if index % 20 == 0 {
            let now = scrape(address);
            deepest = deepest.max(now["relucent_queue_depth{worker=\"0\"}"]);
            std::thread::sleep(Duration::from_millis(30));
        }
    }
    assert!((1.0..=6.0).contains(&deepest), "{deepest} frames waited"); // three of each sensor
    let accounts = pipeline.finish().accounts;
    let now = scrape(address);
    let at = |name: &str| now[&format!("relucent_{name}")];
    let sum = |name: &str| -> f64 {
        let of = now
            .iter()
            .filter(|(key, _)| key.starts_with(&format!("relucent_{name}{{")));
        of.map(|(_, value)| value).sum()
    };
    let [offered, emitted] = ["offered", "emitted"].map(|n| at(&format!("frames_{n}_total")));
    let (dropped, rejected) = (sum("frames_dropped_total"), sum("frames_rejected_total"));
    assert_eq!(offered, 81.0);
    assert_eq!(offered, emitted + dropped + rejected);
    assert_eq!(emitted, accounts.emitted as f64);
    assert_eq!(
        at("frames_dropped_total{cause=\"overload\"}"),
        accounts.overload as f64
    );
    assert!(accounts.overload > 0 && emitted > 2.0);
    assert_eq!(at("frames_rejected_total{cause=\"undecodable\"}"), 1.0);
    assert_eq!(at("descriptions_refused_total"), 1.0);
    assert_eq!(sum("starts_total"), emitted);
    assert!(at("starts_total{kind=\"cold\"}") >= 2.0);
    assert_eq!(at("deadline_misses_total"), emitted);
    assert_eq!(at("residual_ratio_count"), emitted);
    for stage in ["queue", "recover", "render", "end_to_end"] {
        assert_eq!(
            at(&format!("stage_latency_seconds_count{{stage=\"{stage}\"}}")),
            emitted
        );
        let all = format!("stage_latency_seconds_bucket{{le=\"+Inf\",stage=\"{stage}\"}}");
        assert_eq!(at(&all), emitted);
    }
    let recover = at("stage_latency_seconds_sum{stage=\"recover\"}") / emitted;
    assert!((1e-5..1.0).contains(&recover), "{recover} s a frame");
    let age = at("newest_frame_age_seconds{sensor=\"sensor 1\"}");
    assert!((0.0..60.0).contains(&age), "{age}");
    let other = ask(address, "GET / HTTP/1.1\r\n\r\n");
    assert!(other.starts_with("HTTP/1.1 404"), "{other}");
    let other = ask(address, "POST /metrics HTTP/1.1\r\n\r\n");
    assert!(other.starts_with("HTTP/1.1 405"), "{other}");
    drop(endpoint);
    assert!(TcpStream::connect(address).is_err(), "it has gone");
}

#[test]
fn the_command_shows_them_and_tells_events_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 30);
    let mut child = Command::new(env!("CARGO_BIN_EXE_relucent"))
        .args(["replay", "--loop", "--log-format", "json", "--metrics", "0"])
        .arg(&log)
        .env("RUST_LOG", "relucent=info")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut told, mut byte) = (vec![], [0]);
    let mut stderr = child.stderr.take().unwrap();
    let mut line = || {
        told.clear();
        while stderr.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            told.push(byte[0]);
        }
        String::from_utf8_lossy(&told).into_owned()
    };
    let shown = line();
    let address = shown
        .split("http://")
        .nth(1)
        .unwrap()
        .trim_end_matches("/metrics");
    let (address, since) = (address.parse().unwrap(), Instant::now());
    let emitted = "relucent_frames_emitted_total"; // counted a moment after there is an answer
    while *scrape(address).get(emitted).unwrap_or(&0.0) < 5.0 {
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "nothing comes out"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let event: serde_json::Value = serde_json::from_str(&line()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(event["level"], "INFO");
    assert_eq!(event["fields"]["message"], "sensor described");
    assert_eq!(event["fields"]["sensor"], "sensor 0");
}
