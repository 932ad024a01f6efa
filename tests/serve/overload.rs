//! More than can be recovered, for a minute: `cargo test --release --features serve --test serve -- overload:: --ignored --nocapture`.

use crate::common::record;
use crate::process::Process;
use crate::served::{Line, client, messages, send};
use relucent::serve::{Peer, RoundTrips, Send};
use relucent::wire::v1::{self, recover_request, recover_response};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn log(folder: &Path, name: &str, sensors: usize, frames: u64) -> PathBuf {
    let path = folder.join(name);
    record(&path, sensors, frames);
    path
}

/// Frames of the quiet sensor, 30 a second, until both it and the flood have prepared their pattern sets and it has caught up.
const START: usize = 300;

/// What became of the flood.
#[derive(Clone, Copy, Debug, Default)]
struct Flood {
    sent: u64,
    depth: u64,
    rejected: u64,
}

/// Sends frames of a sensor on one stream, `rate` a second as far as the server reads them, until told to stop.
async fn flood(peer: &Peer, log: &Path, rate: f64, stop: &AtomicBool) -> Flood {
    let (descriptions, measurements) = messages(log);
    let mut client = peer.connect().await.unwrap();
    let Line {
        requests,
        mut answers,
    } = Line::open(&mut client).await;
    let reading = tokio::spawn(async move {
        let (mut depth, mut rejected) = (0, 0);
        while let Some(answer) = answers.message().await.unwrap() {
            match answer.kind.unwrap() {
                recover_response::Kind::Depth(_) => depth += 1,
                recover_response::Kind::Rejection(_) => rejected += 1,
            }
        }
        (depth, rejected)
    });
    let send = |kind| requests.send(v1::RecoverRequest { kind: Some(kind) });
    let description = recover_request::Kind::Description(descriptions[0].clone());
    send(description).await.unwrap();
    let (began, mut sent) = (Instant::now(), 0u64);
    // to and fro, so that the scene never jumps
    let to_and_fro = measurements.iter().chain(measurements.iter().rev());
    for measurement in to_and_fro.cycle() {
        let due = Duration::from_secs_f64(sent as f64 / rate);
        if let Some(left) = due.checked_sub(began.elapsed()) {
            tokio::time::sleep(left).await;
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let measurement = v1::MeasurementFrame {
            sequence: sent,
            stamp_ns: sent * 33_333_333,
            ..measurement.clone()
        };
        let measurement = recover_request::Kind::Measurement(measurement);
        send(measurement).await.unwrap();
        sent += 1;
    }
    drop(requests);
    let (depth, rejected) = reading.await.unwrap();
    Flood {
        sent,
        depth,
        rejected,
    }
}

fn percentile_ms(trips: &RoundTrips, share: f64) -> f64 {
    let mut sorted = trips.latencies_ns.clone();
    sorted.sort_unstable();
    sorted[(share * (sorted.len() - 1) as f64).round() as usize] as f64 * 1e-6
}

fn stats(peer: &Peer) -> v1::StatsResponse {
    client(async {
        let mut client = peer.connect().await.unwrap();
        client
            .stats(v1::StatsRequest {})
            .await
            .unwrap()
            .into_inner()
    })
}

/// So long at `rate` frames a second beside a quiet sensor: peak memory, MiB, and the quiet sensor's round trips.
fn minute(folder: &Path, config: &str, rate: f64) -> (f64, RoundTrips, v1::StatsResponse) {
    let server = Process::start(&["--config", config]);
    let stop = Arc::new(AtomicBool::new(false));
    let flood = (rate > 0.0).then(|| {
        let (noise, peer) = (folder.join("flood.mcap"), server.peer.clone());
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || client(flood(&peer, &noise, rate, &stop)))
    });
    let log = folder.join("quiet.mcap");
    let within = AtomicBool::new(false);
    let mut quiet = send(&log, &server.peer, Send { rate: 1.0 }, &within).unwrap();
    quiet.latencies_ns.drain(..START); // both start from nothing
    let stats = stats(&server.peer);
    stop.store(true, Ordering::Relaxed);
    if let Some(flood) = flood {
        let flood = flood.join().unwrap();
        eprintln!("  {flood:?}");
        assert_eq!(
            flood.sent,
            flood.depth + flood.rejected,
            "each frame is answered"
        );
    }
    let peak = server.memory().0;
    server.signal("TERM");
    let (well, _) = server.end();
    assert!(well);
    (peak, quiet, stats)
}

#[test]
#[ignore = "minutes"]
fn ten_times_what_can_be_recovered_neither_fills_memory_nor_starves_a_quiet_sensor() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let seconds = std::env::var("OVERLOAD_S").map_or(60u64, |s| s.parse().unwrap());
    log(folder, "flood.mcap", 1, 300);
    quiet_log(folder, 30 * seconds);
    for policy in ["drop-oldest", "block"] {
        let config = folder.join("config.toml");
        let text = format!("[pipeline]\npolicy = \"{policy}\"\ncapacity = 16\n");
        std::fs::write(&config, text).unwrap();
        let config = config.to_str().unwrap();
        let (_, alone, _) = minute(folder, config, 0.0);
        let capacity = capacity(folder);
        let (one, _, _) = minute(folder, config, capacity);
        let (ten, beside, stats) = minute(folder, config, 10.0 * capacity);
        let flood = stats
            .sensors
            .iter()
            .find(|s| s.sensor_id == "sensor 0")
            .unwrap();
        eprintln!(
            "{policy}: capacity {capacity:.0} frames/s; peak memory {one:.1} MiB at 1 x, {ten:.1} MiB at 10 x"
        );
        for (name, trips) in [("alone", &alone), ("beside the flood", &beside)] {
            let at = |share| percentile_ms(trips, share);
            eprintln!(
                "  quiet {name}: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, {} of {} rejected",
                at(0.5),
                at(0.9),
                at(0.99),
                trips.rejected,
                trips.rejected + trips.depth
            );
        }
        eprintln!("  flood: {:?}", flood.frames.unwrap());
        let quiet = stats
            .sensors
            .iter()
            .find(|s| s.sensor_id == "sensor 1")
            .unwrap();
        for stage in &quiet.latency {
            let (name, p50, p99) = (&stage.stage, stage.p50_us * 1e-3, stage.p99_us * 1e-3);
            eprintln!("  quiet beside the flood, {name}: p50 {p50:.2} ms, p99 {p99:.2} ms");
        }
        assert!(
            ten <= 1.3 * one,
            "memory: {ten} MiB at 10 x, {one} MiB at 1 x"
        );
        assert_eq!(beside.rejected, 0, "the quiet sensor loses nothing");
    }
}

/// A log of a sensor named `sensor 1`, 30 Hz.
fn quiet_log(folder: &Path, frames: u64) {
    use relucent::journal::{Reader, Topic, Writer};
    let both = log(folder, "both.mcap", 2, frames);
    let path = folder.join("quiet.mcap");
    let mut writer = Writer::create(&path, relucent::clock::Monotonic::default()).unwrap();
    for entry in Reader::open(&both).unwrap() {
        let entry = entry.unwrap();
        let (topic, time_ns) = (&entry.channel.topic, entry.log_time_ns);
        match Topic::parse(topic) {
            Some((Topic::Description, "sensor 1")) => {
                let message = relucent::wire::decode_description(entry.data).unwrap();
                writer.write(topic, time_ns, &message).unwrap();
            }
            Some((Topic::Measurement, "sensor 1")) => {
                let message = relucent::wire::decode_measurement(entry.data).unwrap();
                writer.write(topic, time_ns, &message).unwrap();
            }
            _ => {}
        }
    }
    writer.finish().unwrap();
}

/// Frames that come out a second where one sensor sends as fast as it can.
pub(crate) fn capacity(folder: &Path) -> f64 {
    let server = Process::start(&[]); // by default whoever sends waits
    let began = Instant::now();
    let flat_out = Send { rate: 0.0 };
    let noise = folder.join("flood.mcap");
    let trips = send(&noise, &server.peer, flat_out, &AtomicBool::new(false)).unwrap();
    let rate = trips.depth as f64 / began.elapsed().as_secs_f64();
    server.signal("TERM");
    server.end();
    rate
}
