//! After more than can be recovered has ended: `cargo test --release --features serve --test serve relief -- --ignored --nocapture`.

use crate::overload::capacity;
use crate::process::Process;
use crate::served::{Line, client, messages};
use relucent::serve::Peer;
use relucent::wire::v1::{self, recover_request, recover_response};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Frames a second where nothing presses.
const CALM: f64 = 30.0;
/// Frames before the flood; the first half of them warms up.
const BEFORE: u64 = 120;
/// Frames after it.
const AFTER: u64 = 90;

/// When frames were sent, and when each was answered by depth.
#[derive(Default)]
struct Trips {
    sent: Vec<Instant>,
    depth: HashMap<u64, Instant>,
}

impl Trips {
    /// Round trips of the frames from `first` on, ms, sorted; `None` where one was not recovered.
    fn ms(&self, first: usize, count: usize) -> Option<Vec<f64>> {
        let frames = self.sent.iter().enumerate().skip(first).take(count);
        let trips = frames.map(|(at, sent)| {
            let came = self.depth.get(&(at as u64))?;
            Some((*came - *sent).as_secs_f64() * 1e3)
        });
        let mut trips = trips.collect::<Option<Vec<_>>>()?;
        trips.sort_by(f64::total_cmp);
        Some(trips)
    }
}

/// One sensor, calm, then at `rate` frames a second for so long, then calm again.
async fn flooded(peer: &Peer, log: &Path, rate: f64, seconds: f64) -> (Trips, usize) {
    let (descriptions, measurements) = messages(log);
    let mut client = peer.connect().await.unwrap();
    let Line {
        requests,
        mut answers,
    } = Line::open(&mut client).await;
    let reading = tokio::spawn(async move {
        let mut depth = HashMap::new();
        while let Some(answer) = answers.message().await.unwrap() {
            if let Some(recover_response::Kind::Depth(frame)) = answer.kind {
                depth.insert(frame.sequence, Instant::now());
            }
        }
        depth
    });
    let send = |kind| requests.send(v1::RecoverRequest { kind: Some(kind) });
    let description = recover_request::Kind::Description(descriptions[0].clone());
    send(description).await.unwrap();
    let to_and_fro = measurements.iter().chain(measurements.iter().rev());
    let mut frames = to_and_fro.cycle();
    let mut trips = Trips::default();
    let mut relieved = 0;
    for (rate, count) in [
        (CALM, BEFORE),
        (rate, (rate * seconds) as u64),
        (CALM, AFTER),
    ] {
        relieved = trips.sent.len();
        let began = Instant::now();
        for at in 0..count {
            let due = Duration::from_secs_f64(at as f64 / rate);
            if let Some(left) = due.checked_sub(began.elapsed()) {
                tokio::time::sleep(left).await;
            }
            if rate > CALM && began.elapsed().as_secs_f64() > seconds {
                break; // a server that makes its clients wait lets no more in
            }
            let sequence = trips.sent.len() as u64;
            let measurement = v1::MeasurementFrame {
                sequence,
                stamp_ns: sequence * 33_333_333,
                ..frames.next().unwrap().clone()
            };
            trips.sent.push(Instant::now());
            let measurement = recover_request::Kind::Measurement(measurement);
            send(measurement).await.unwrap();
        }
    }
    drop(requests);
    trips.depth = reading.await.unwrap();
    (trips, relieved)
}

#[test]
#[ignore = "a minute"]
fn a_second_after_overload_ends_all_is_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let seconds = std::env::var("OVERLOAD_S").map_or(20.0, |s| s.parse().unwrap());
    let log = folder.join("flood.mcap");
    crate::common::record(&log, 1, 300);
    for policy in ["drop-oldest", "drop-newest", "block"] {
        let config = folder.join("config.toml");
        let text = format!("[pipeline]\npolicy = \"{policy}\"\ncapacity = 16\n");
        std::fs::write(&config, text).unwrap();
        let capacity = capacity(folder);
        let server = Process::start(&["--config", config.to_str().unwrap()]);
        let flood = flooded(&server.peer, &log, 10.0 * capacity, seconds);
        let (trips, relieved) = client(flood);
        let half = BEFORE as usize / 2;
        let before = trips.ms(half, half).unwrap();
        let later = relieved + CALM as usize; // a second
        let after = trips.ms(later, AFTER as usize - CALM as usize);
        let after = after.expect("every frame is recovered a second after the flood");
        let at = |trips: &[f64], share: f64| trips[(share * (trips.len() - 1) as f64) as usize];
        eprintln!(
            "{policy}: {} frames in {seconds} s where {capacity:.0} a second can be recovered; round trips p50 {:.2} ms, p90 {:.2} ms before, {:.2} and {:.2} ms a second after",
            relieved - BEFORE as usize,
            at(&before, 0.5),
            at(&before, 0.9),
            at(&after, 0.5),
            at(&after, 0.9),
        );
        assert!(at(&after, 0.5) <= 2.0 * at(&before, 0.5), "{policy}");
    }
}
