//! What is left of a log when its writer is killed, its file is cut, or its disk is full.

#![allow(clippy::unwrap_used)]

mod common;

use common::{PRIOR, record};
use relucent::clock::{Clock, Manual, Monotonic};
use relucent::journal::{self, Durability, Reader, Topic, Writer};
use relucent::pipeline::{
    Event, LogOptions, LogSink, Options, Outlet, Pipeline, Replay, Replayed, Summary,
};
use relucent::recover::Settings;
use relucent::wire::{self, v1};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What may be lost: issue's bar, s.
const LOST_S: f64 = 1.0;

#[test]
fn a_killed_process_loses_a_second_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let (log, out) = (
        folder.path().join("in.mcap"),
        folder.path().join("out.mcap"),
    );
    record(&log, 1, 40);
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "log.measurements = true\nlog.images = false").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_relucent"))
        .args(["replay", "--rate", "0.2", "--config"])
        .args([config.as_path(), Path::new("--out"), &out, &log])
        .env("RUST_LOG", "relucent=trace")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let emitted: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let lines = BufReader::new(child.stderr.take().unwrap());
    let to = Arc::clone(&emitted);
    let listening = std::thread::spawn(move || {
        let heard = lines.lines().map_while(Result::ok);
        heard
            .filter(|line| line.ends_with("emitted"))
            .for_each(|_| to.lock().unwrap().push(Instant::now()));
    });
    // six frames a second, so slow that a chunk takes two to fill: it is time that closes it
    while emitted.lock().unwrap().len() < 27 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the replay ended early"
        );
        std::thread::sleep(Duration::from_millis(7));
    }
    let killed = Instant::now();
    child.kill().unwrap();
    child.wait().unwrap();
    listening.join().unwrap();
    let emitted = emitted.lock().unwrap();
    let due = emitted
        .iter()
        .filter(|at| killed.duration_since(**at).as_secs_f64() >= LOST_S);
    let due = due.count() as u64;
    assert!(due > 15, "{due} frames came out a second before the end");

    let depths = sequences(&out);
    println!(
        "{} emitted, {due} due, {} in the log",
        emitted.len(),
        depths.len()
    );
    assert!(
        depths.iter().copied().eq(0..depths.len() as u64),
        "none is left out"
    );
    assert!(
        depths.len() as u64 >= due,
        "{} of {due} are in the log",
        depths.len()
    );

    let said = relucent(&["info"], &[&out]);
    assert_eq!(said.status.code(), Some(3), "read as far as it goes");
    let said = relucent(&["replay", "--rate", "0", "--json"], &[&out]);
    assert_eq!(said.status.code(), Some(3), "replayed as far as it goes");
    assert!(json(&said)["frames"]["emitted"].as_u64().unwrap() >= due);
    let told = json(&relucent(&["recover", "--json"], &[&out]));
    assert_eq!(
        (&told["whole"], &told["missing"]),
        (&json!(false), &json!(0))
    );
    assert!(sequences(&out).len() >= depths.len());
    let said = relucent(&["info"], &[&out]);
    assert_eq!(said.status.code(), Some(0), "whole again");
}

fn relucent(arguments: &[&str], paths: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relucent"));
    command.args(arguments).args(paths).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Sequence numbers of the depth frames of a log, as far as it goes.
fn sequences(log: &Path) -> Vec<u64> {
    let entries = Reader::open(log).unwrap().map_while(Result::ok);
    let depths =
        entries.filter(|e| matches!(Topic::parse(&e.channel.topic), Some((Topic::Depth, _))));
    let message =
        |e: journal::Entry| wire::decode_frame::<v1::DepthFrame>("depth frame", e.data).unwrap();
    depths.map(|e| message(e).sequence).collect()
}

fn replay(log: &Path, outlets: Vec<Outlet>, replayed: &mut Replayed) -> Summary {
    let pipeline =
        Pipeline::start(&*PRIOR, &Settings::default(), Options::default(), outlets).unwrap();
    let _ = Replay::default().run(log, &pipeline.ingress(), &AtomicBool::new(false), replayed);
    pipeline.finish()
}

/// A clock that the test moves on.
struct Of<'a>(&'a Manual);

impl Clock for Of<'_> {
    fn now_ns(&self) -> u64 {
        self.0.now_ns()
    }
}

/// Chunks of three messages each; where each ends, bytes.
fn small(path: &Path) -> Vec<usize> {
    let clock = Manual::default();
    let durability = Durability {
        flush_ns: 10,
        sync: false,
    };
    let mut log = Writer::durable(path, Of(&clock), durability).unwrap();
    let ends = (0..4u64).map(|chunk| {
        for i in 0..3 {
            let time = prost_types::Timestamp {
                seconds: (3 * chunk + i) as i64,
                nanos: 1,
            };
            let topic = if i == 2 { "/two" } else { "/one" };
            log.write(topic, 3 * chunk + i, &time).unwrap();
        }
        clock.advance(10);
        log.flush_if_due().unwrap();
        std::fs::metadata(path).unwrap().len() as usize
    });
    let ends = ends.collect();
    log.finish().unwrap();
    ends
}

fn times(log: &Path) -> Vec<u64> {
    let entries = Reader::open(log).into_iter().flatten();
    entries
        .map_while(Result::ok)
        .map(|e| e.log_time_ns)
        .collect()
}

#[test]
fn a_log_cut_anywhere_keeps_every_whole_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (whole, cut, repaired) = (path("whole"), path("cut"), path("repaired"));
    let ends = small(&whole);
    let bytes = std::fs::read(&whole).unwrap();
    assert_eq!(times(&whole).len(), 12);
    for length in 0..=bytes.len() {
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let least = 3 * ends.iter().filter(|end| **end <= length).count() as u64;
        let read = times(&cut);
        assert!(
            read.len() as u64 >= least,
            "{length}: read {read:?}, {least} are there"
        );
        let Ok(told) = journal::repair(&cut, &repaired) else {
            assert!(length < 8, "{length}: a log is one from its magic on");
            continue;
        };
        let kept = times(&repaired);
        assert!(
            kept.iter().copied().eq(0..kept.len() as u64),
            "{length}: {kept:?}"
        );
        assert!(kept.len() >= read.len(), "{length}: {kept:?} of {read:?}");
        assert_eq!(
            (told.messages, told.missing),
            (kept.len() as u64, 0),
            "{length}"
        );
        assert_eq!(told.whole, length == bytes.len(), "{length}");
        assert!(
            Reader::open(&repaired).unwrap().all(|entry| entry.is_ok()),
            "{length}"
        );
    }
    let left: Vec<_> = folder.path().read_dir().unwrap().collect();
    assert_eq!(left.len(), 3, "nothing else is left: {left:?}");
}

#[test]
fn damage_costs_its_chunk_alone_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let ends = small(&log);
    let good = std::fs::read(&log).unwrap();
    for (chunk, end) in ends.iter().enumerate() {
        // the last byte of a chunk's messages is followed by the index of its messages, two records of 15 bytes and 16 an entry
        let index = 2 * (9 + 2 + 4) + 3 * 16;
        let mut bad = good.clone();
        bad[end - index - 1] ^= 1;
        std::fs::write(&log, &bad).unwrap();
        let told = journal::repair(&log, &log).unwrap();
        let kept: Vec<u64> = (0..12).filter(|t| *t / 3 != chunk as u64).collect();
        assert_eq!(times(&log), kept);
        assert!(!told.whole && told.losses.len() == 1, "{told:?}");
        let first = 3 * chunk as u64;
        assert_eq!(told.losses[0].span_ns, Some((first, first + 2)));
        assert!(told.losses[0].reason.contains("CRC"), "{told:?}");
        let known = if chunk == 3 { 0 } else { 3 }; // nothing comes after the last to show that it is missing
        assert_eq!(told.missing, known, "{told:?}");
    }
}

/// A disk with so much room.
struct Disk {
    room: usize,
    refused: Arc<AtomicU64>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let fits = bytes.len().min(self.room);
        self.room -= fits;
        if fits == 0 && !bytes.is_empty() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(fits)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_once_and_frames_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("in.mcap");
    record(&log, 1, 40);
    for room in [0, 100, 200_000, 900_000] {
        let refused = Arc::new(AtomicU64::new(0));
        let disk = Disk {
            room,
            refused: Arc::clone(&refused),
        };
        let durability = Durability {
            flush_ns: 0,
            sync: false,
        };
        let writer = Writer::over(
            disk,
            || Ok(()),
            Path::new("full"),
            Monotonic::default(),
            durability,
        );
        let sink = LogSink::over(writer.unwrap(), LogOptions::default());
        let frames = Arc::new(AtomicU64::new(0));
        let to = Arc::clone(&frames);
        let others = Outlet::waiting("others", move |event: &Event| {
            to.fetch_add(
                u64::from(matches!(event, Event::Frame(_))),
                Ordering::Relaxed,
            );
        });
        let outlets = vec![Outlet::waiting("log", sink), others];
        let summary = replay(&log, outlets, &mut Replayed::default());
        assert_eq!(
            (summary.accounts.emitted, frames.load(Ordering::Relaxed)),
            (40, 40)
        );
        let report = &summary.sinks[0];
        let failure = report.failure.as_ref().unwrap();
        let cause = failure.source().unwrap().to_string();
        assert!(failure.to_string().contains("log full"), "{failure}");
        assert!(cause.contains("no storage space"), "{cause}");
        assert_eq!(
            report.taken + report.lost,
            41,
            "forty frames and a description: {report:?}"
        );
        assert!(
            report.lost > 0 && (room > 100 || report.taken <= 2),
            "{report:?}"
        );
        assert!(
            refused.load(Ordering::Relaxed) <= 2,
            "it is left alone then, but for what was buffered"
        );
    }
}

#[test]
fn a_log_that_somebody_writes_or_reads_is_not_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.mcap");
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    let writing = Writer::create(&path, Monotonic::default()).unwrap();
    let second = Writer::create(&path, Monotonic::default()).err().unwrap();
    assert!(second.to_string().contains("found it in use"), "{second}");
    let other = folder.path().join("other.mcap");
    record(&other, 1, 2);
    for log in [&path, &other, &folder.path().join("./log.mcap")] {
        let refused = journal::repair(log, &path).unwrap_err();
        assert!(refused.to_string().contains("found it in use"), "{refused}");
    }
    writing.finish().unwrap();
    record(&path, 1, 2);
    let whole = size(&path);
    let reading = Reader::open(&path).unwrap();
    let link = folder.path().join("link.mcap");
    std::fs::hard_link(&path, &link).unwrap();
    assert!(Writer::create(&link, Monotonic::default()).is_err());
    drop(reading);
    for out in ["--out", "--sheet"] {
        let output = relucent(&["replay", out], &[&link, &path]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && told.contains("another file"),
            "{told}"
        );
    }
    assert_eq!(size(&path), whole);
}

#[test]
fn a_process_that_is_being_started_is_nobody_who_reads_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.mcap");
    small(&path);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                relucent(&["--version"], &[]);
            }
        });
        let refused = (0..2000).find_map(|_| {
            times(&path); // its lock goes with the reader, unless a process began meanwhile
            journal::repair(&path, &path).err()
        });
        over.store(true, Ordering::Relaxed);
        starting.join().unwrap();
        assert!(refused.is_none(), "{refused:?}");
    });
    assert_eq!(times(&path).len(), 12);
}

#[test]
fn what_stands_behind_the_end_is_a_loss() {
    let folder = tempfile::tempdir().unwrap();
    let (log, out) = (
        folder.path().join("log.mcap"),
        folder.path().join("out.mcap"),
    );
    record(&log, 1, 3);
    let whole = std::fs::read(&log).unwrap();
    assert!(journal::repair(&log, &out).unwrap().whole);
    let twice = [&whole[..], &whole[..]].concat();
    std::fs::write(&log, twice).unwrap();
    let repaired = journal::repair(&log, &out).unwrap();
    assert!(!repaired.whole);
    let [loss] = &repaired.losses[..] else {
        panic!("{:?}", repaired.losses);
    };
    let behind = whole.len() as u64;
    assert_eq!((loss.at, loss.bytes), (behind, behind));
}

#[test]
fn the_command_says_that_its_log_is_not_whole() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return eprintln!("skipped: no /dev/full here");
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("in.mcap");
    record(&log, 1, 10);
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "log.flush_s = 0").unwrap();
    let arguments = ["replay", "--rate", "0", "--json", "--config"];
    let run = |out| relucent(&arguments, &[&config, Path::new("--out"), out, &log]);
    let output = run(full);
    let told = json(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(told.to_string().contains("\"emitted\":10"), "{told}");
    assert!(said.contains("/dev/full is not whole"), "{said}");
    assert_eq!(
        said.matches("No space left").count(),
        2,
        "an event and the last word: {said}"
    );
    let output = run(&folder.path().join("nowhere/out.mcap"));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
}
