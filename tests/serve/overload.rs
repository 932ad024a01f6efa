//! More than can be recovered, for a minute: `cargo test --release --features serve --test serve overload -- --ignored --nocapture`.

use crate::common::record;
use crate::process::Process;
use crate::served::client;
use relucent::serve::{Peer, RoundTrips, Send, send};
use relucent::wire::v1;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Frames of the quiet sensor, 30 Hz.
const QUIET: u64 = 300;

/// A log of one sensor; the flood's is named otherwise, and long enough for the fastest pace.
fn log(folder: &Path, name: &str, sensors: usize, frames: u64) -> PathBuf {
    let path = folder.join(name);
    record(&path, sensors, frames);
    path
}

/// Sends a log again and again until told to stop.
fn flood(
    log: PathBuf,
    peer: Peer,
    rate: f64,
    stop: Arc<AtomicBool>,
) -> std::thread::JoinHandle<RoundTrips> {
    std::thread::spawn(move || {
        let mut all = RoundTrips::default();
        while !stop.load(Ordering::Relaxed) {
            let trips = send(&log, &peer, Send { rate }, &stop).unwrap();
            all.sent += trips.sent;
            all.depth += trips.depth;
            all.rejected += trips.rejected;
        }
        all
    })
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

/// One minute at `rate` times 30 Hz beside a quiet sensor: peak memory, MiB, and the quiet sensor's round trips.
fn minute(
    folder: &Path,
    config: &str,
    rate: f64,
    seconds: u64,
) -> (f64, RoundTrips, v1::StatsResponse) {
    let server = Process::start(&["--config", config]);
    let stop = Arc::new(AtomicBool::new(false));
    let noise = folder.join("flood.mcap");
    let flood = (rate > 0.0).then(|| flood(noise, server.peer.clone(), rate, Arc::clone(&stop)));
    let began = Instant::now();
    let mut quiet = RoundTrips::default();
    while began.elapsed() < Duration::from_secs(seconds) {
        let log = folder.join("quiet.mcap");
        let trips = send(
            &log,
            &server.peer,
            Send { rate: 1.0 },
            &AtomicBool::new(false),
        )
        .unwrap();
        quiet.depth += trips.depth;
        quiet.rejected += trips.rejected;
        quiet.latencies_ns.extend(&trips.latencies_ns[30..]); // without its start from nothing
    }
    let stats = stats(&server.peer);
    stop.store(true, Ordering::Relaxed);
    if let Some(flood) = flood {
        let sent = flood.join().unwrap();
        eprintln!(
            "  flood: {} sent, {} depth, {} rejected",
            sent.sent, sent.depth, sent.rejected
        );
        assert_eq!(
            sent.sent,
            sent.depth + sent.rejected,
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
    let seconds = std::env::var("OVERLOAD_S").map_or(60, |s| s.parse().unwrap());
    // the quiet one is `sensor 1`: its log is that of two, the first left out by another name
    log(folder, "flood.mcap", 1, 3000);
    quiet_log(folder);
    for policy in ["drop-oldest", "block"] {
        let config = folder.join("config.toml");
        let text = format!("[pipeline]\npolicy = \"{policy}\"\ncapacity = 2\n");
        std::fs::write(&config, text).unwrap();
        let config = config.to_str().unwrap();
        let (_, alone, _) = minute(folder, config, 0.0, seconds.min(20));
        let capacity = capacity(folder, config);
        let once = capacity / 30.0;
        let (one, _, _) = minute(folder, config, once, seconds);
        let (ten, beside, stats) = minute(folder, config, 10.0 * once, seconds);
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
        assert!(
            ten <= 1.3 * one,
            "memory: {ten} MiB at 10 x, {one} MiB at 1 x"
        );
        assert_eq!(beside.rejected, 0, "the quiet sensor loses nothing");
    }
}

/// A log of a sensor named `sensor 1`.
fn quiet_log(folder: &Path) {
    use relucent::journal::{Reader, Topic, Writer};
    let both = log(folder, "both.mcap", 2, QUIET);
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
fn capacity(folder: &Path, config: &str) -> f64 {
    let server = Process::start(&["--config", config]);
    let began = Instant::now();
    let flat_out = Send { rate: 0.0 };
    let noise = folder.join("flood.mcap");
    let trips = send(&noise, &server.peer, flat_out, &AtomicBool::new(false)).unwrap();
    let rate = trips.depth as f64 / began.elapsed().as_secs_f64();
    server.signal("TERM");
    server.end();
    rate
}
