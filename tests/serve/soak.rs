//! Eight sensors with bad luck, for ten minutes or `SOAK_S` seconds:
//! `cargo test --release --features serve --test serve -- soak --ignored --nocapture`.

mod cable;
mod sensor;

use crate::common::{PRIOR, record};
use crate::process::Process;
use crate::served::{Line, client, eventually, messages};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use relucent::serve::Peer;
use relucent::wire::v1::{self, recover_response, subscribe_response};
use sensor::{Recording, Sensor, Tally};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const SENSORS: usize = 8;
/// How often the server is asked to read its prior anew; each other time what it finds is cut.
const HANG_UP: Duration = Duration::from_secs(10);
/// Who comes when all others have gone.
const NEWCOMER: &str = "newcomer";
/// The growth of memory between the second minute and the last that is not yet a leak.
const GROWTH: f64 = 1.05;
const CONFIG: &str = "
[pipeline]
policy = \"drop-oldest\"
capacity = 8
[serve]
keepalive_s = 1
handshake_s = 2
idle_s = 10
subscriber_frames = 256
";

fn recordings(folder: &Path) -> Vec<Recording> {
    let log = folder.join("sensors.mcap");
    record(&log, SENSORS, 60);
    let (descriptions, measurements) = messages(&log);
    let of = |description: v1::SensorDescription| {
        let own = |frame: &&v1::MeasurementFrame| frame.sensor_id == description.sensor_id;
        let frames = measurements.iter().filter(own).cloned().collect();
        (description, frames)
    };
    descriptions.into_iter().map(of).collect()
}

fn renamed((description, frames): &Recording, id: &str) -> Recording {
    let sensor_id = || id.to_owned();
    let description = v1::SensorDescription {
        sensor_id: sensor_id(),
        ..description.clone()
    };
    let frames = frames.iter().map(|frame| v1::MeasurementFrame {
        sensor_id: sensor_id(),
        ..frame.clone()
    });
    (description, frames.collect())
}

/// Watches all sensors, and tells of each how many of its frames came, and how many overtook another.
async fn watch(peer: Peer) -> HashMap<String, (u64, u64)> {
    let mut seen: HashMap<String, (f64, u64, u64)> = HashMap::new();
    let mut client = peer.connect().await.unwrap();
    let all = v1::SubscribeRequest::default();
    let mut frames = client.subscribe(all).await.unwrap().into_inner();
    while let Ok(Some(answer)) = frames.message().await {
        if let Some(subscribe_response::Kind::Depth(depth)) = answer.kind {
            let count = depth.pose.unwrap_or_default().x;
            let (last, came, disordered) = seen.entry(depth.sensor_id).or_default();
            *disordered += u64::from(count <= *last);
            (*last, *came) = (count, *came + 1);
        }
    }
    seen.into_iter()
        .map(|(id, (_, c, d))| (id, (c, d)))
        .collect()
}

/// Has the server read its prior anew now and then: how often it went on with the file, and how often it refused a cut one.
async fn hang_up(server: &Process, file: &Path, until: Instant) -> [u64; 2] {
    let whole = std::fs::read(file).unwrap();
    let mut asked = [0; 2];
    for turn in (0..2).cycle() {
        tokio::time::sleep(HANG_UP).await;
        if Instant::now() >= until {
            break;
        }
        let (bytes, expected) = match turn {
            0 => (&whole[..], "read anew"),
            _ => (&whole[..whole.len() / 2], "prior not reloaded"),
        };
        std::fs::write(file, bytes).unwrap();
        asked[turn] += 1;
        server.signal("HUP");
        let told = || async { server.told(expected).len() as u64 == asked[turn] };
        eventually(expected, 30, told).await;
    }
    asked
}

async fn stats(peer: &Peer) -> v1::StatsResponse {
    let mut client = peer.connect().await.unwrap();
    let stats = client.stats(v1::StatsRequest {}).await;
    stats.unwrap().into_inner()
}

fn settled(f: &v1::FrameCounts) -> bool {
    let dropped = f.dropped_overload + f.dropped_closed + f.dropped_panic;
    let rejected = f.rejected_undecodable + f.rejected_unknown_sensor + f.rejected_invalid;
    f.offered == f.emitted + dropped + rejected
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Memory held, MiB, in the second minute and in the last one.
fn growth(memory: &[f64]) -> (f64, f64) {
    let minute = (memory.len() / 3).min(60);
    (
        median(&memory[minute..2 * minute]),
        median(&memory[memory.len() - minute..]),
    )
}

#[test]
#[ignore = "ten minutes"]
fn eight_sensors_with_bad_luck_neither_stop_the_server_nor_make_it_grow() {
    let seconds = std::env::var("SOAK_S").map_or(600, |s| s.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (config, socket) = (folder.join("config.toml"), folder.join("server.sock"));
    std::fs::write(&config, CONFIG).unwrap();
    let address = format!("unix:{}", socket.display());
    let prior = folder.join("prior.safetensors");
    PRIOR.save(&prior).unwrap();
    let files = [&config, &prior].map(|path| path.to_str().unwrap());
    let server = Process::listening(&address, &["--config", files[0], "--prior", files[1]]);
    let recordings = recordings(folder);
    let tally: Arc<Tally> = Arc::default();
    let until = Instant::now() + Duration::from_secs(seconds);
    let (seen, memory, reloads, stats) = client(async {
        let watching = tokio::spawn(watch(server.peer.clone()));
        let lives: Vec<_> = (0..SENSORS)
            .map(|s| {
                let id = format!("sensor {s}");
                let other = &recordings[(s + 1) % SENSORS];
                let sensor = Sensor {
                    recordings: [recordings[s].clone(), renamed(other, &id)],
                    random: ChaCha8Rng::seed_from_u64(s as u64),
                    server: socket.clone(),
                    near: folder.join(format!("near-{s}.sock")),
                    tally: Arc::clone(&tally),
                    described: 0,
                    sequence: 0,
                    count: 0,
                };
                tokio::spawn(sensor.live(until))
            })
            .collect();
        let weighing = async {
            let mut memory = vec![];
            while Instant::now() < until {
                tokio::time::sleep(Duration::from_secs(1)).await;
                memory.push(server.memory().1);
            }
            memory
        };
        let (memory, reloads) = tokio::join!(weighing, hang_up(&server, &prior, until));
        for life in lives {
            life.await.unwrap();
        }
        eventually("all is accounted for", 30, || async {
            stats(&server.peer)
                .await
                .frames
                .as_ref()
                .is_some_and(settled)
        })
        .await;
        eventually("a new client is served", 30, || async {
            let (description, frames) = &renamed(&recordings[0], NEWCOMER);
            let mut client = server.peer.connect().await.unwrap();
            let mut line = Line::open(&mut client).await;
            line.describe(description).await;
            line.measure(&frames[0]).await;
            let answer = line.answer().await;
            matches!(answer, Ok(Some(recover_response::Kind::Depth(_))))
        })
        .await;
        let stats = stats(&server.peer).await;
        server.signal("TERM");
        (watching.await.unwrap(), memory, reloads, stats)
    });
    let panics = server.told("panicked").len() as u64;
    let (well, told) = server.end();

    let (second, last) = growth(&memory);
    let frames = stats.frames.unwrap();
    eprintln!("{seconds} s; {:?}", tally.faults());
    let [read, refused] = reloads;
    eprintln!("SIGHUP: prior read anew {read} times, a cut one refused {refused} times");
    let every_half_minute: Vec<_> = memory.chunks(30).map(|m| median(m).round()).collect();
    eprintln!("memory by half minutes, MiB: {every_half_minute:?}");
    eprintln!("memory {second:.1} MiB in the second minute, {last:.1} MiB in the last");
    eprintln!(
        "{frames:?}; {} frames of a sensor not held",
        stats.refused_measurements
    );
    eprintln!("clients: {tally:?}");
    assert!(well && panics == 0, "{panics} panics");
    assert!(settled(&frames) && frames.dropped_panic == 0);
    let count = |key: &str| told["frames"][key].as_u64().unwrap();
    assert_eq!(
        count("offered"),
        count("emitted") + count("dropped") + count("rejected"),
        "{told}"
    );
    assert_eq!(count("offered"), frames.offered);
    let sensors = stats.sensors.iter().filter(|s| s.sensor_id != NEWCOMER);
    assert_eq!(sensors.clone().count(), SENSORS);
    for sensor in sensors {
        let own = sensor.frames.as_ref().unwrap();
        let (came, disordered) = seen[&sensor.sensor_id];
        assert!(settled(own) && own.emitted > 0, "{sensor:?}");
        assert!(came > 0 && disordered == 0, "{sensor:?}: {disordered}");
    }
    assert_eq!(tally.disordered.load(Ordering::Relaxed), 0);
    assert!(tally.faults().iter().all(|(_, count)| *count > 0));
    assert!(read > 0 && refused > 0);
    assert!(last <= GROWTH * second, "{second} MiB, then {last} MiB");
}
