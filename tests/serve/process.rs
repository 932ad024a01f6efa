//! The command itself: a server that is a process of its own.

use crate::common::record;
use crate::served::{Line, client, messages, one, send, send_part};
use relucent::serve::{ClientError, Peer, Send};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// `relucent serve`; killed where a test fails.
pub(crate) struct Process {
    child: Child,
    pub(crate) peer: Peer,
    /// lines that it has told
    told: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::listening("127.0.0.1:0", arguments)
    }

    pub(crate) fn listening(address: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_relucent"))
            .args(["serve", "--listen", address, "--json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut first: Vec<String> = vec![];
        while !first.last().is_some_and(|l| l.contains("listening on ")) {
            first.push(stderr.next().expect("it listens").unwrap());
        }
        let address = first.last().unwrap().rsplit(' ').next().unwrap();
        let peer = relucent::serve::Address::into(address.parse().unwrap());
        let told = Arc::new(Mutex::new(first));
        let tell = Arc::clone(&told);
        std::thread::spawn(move || {
            for line in stderr.map_while(Result::ok) {
                eprintln!("{line}");
                tell.lock().unwrap().push(line);
            }
        });
        Self { child, peer, told }
    }

    /// Lines that it has told until now that hold a text.
    pub(crate) fn told(&self, text: &str) -> Vec<String> {
        let told = self.told.lock().unwrap();
        let lines = told.iter().filter(|line| line.contains(text));
        lines.cloned().collect()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// What its environment says of a key.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn environment(&self, key: &str) -> Option<String> {
        let all = std::fs::read(format!("/proc/{}/environ", self.child.id())).unwrap();
        let mut entries = all.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        entries.find_map(|entry| Some(entry.strip_prefix(key)?.strip_prefix('=')?.to_owned()))
    }

    /// Waits for its end: whether all was well, and what it printed.
    pub(crate) fn end(mut self) -> (bool, serde_json::Value) {
        let mut text = String::new();
        let out = self.child.stdout.as_mut().unwrap();
        out.read_to_string(&mut text).unwrap();
        let well = self.child.wait().unwrap().success();
        (well, serde_json::from_str(&text).unwrap_or_default())
    }

    /// The most memory that it has held, and what it holds, MiB.
    pub(crate) fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let of = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key)).unwrap();
            let kib = line.split_whitespace().nth(1).unwrap();
            kib.parse::<f64>().unwrap() / 1024.0
        };
        (of("VmHWM:"), of("VmRSS:"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replayed(log: &Path) -> String {
    let replay = Command::new(env!("CARGO_BIN_EXE_relucent"))
        .args(["replay", "--json"])
        .arg(log)
        .output()
        .unwrap();
    assert!(replay.status.success(), "{replay:?}");
    String::from_utf8(replay.stdout).unwrap()
}

#[test]
fn asked_to_terminate_it_answers_what_it_took_and_its_log_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (log, recorded) = (
        folder.path().join("in.mcap"),
        folder.path().join("out.mcap"),
    );
    record(&log, 2, 60);
    let server = Process::start(&["--record", recorded.to_str().unwrap()]);
    let client = {
        let peer = server.peer.clone();
        std::thread::spawn(move || {
            send_part(&log, &peer, Send { rate: 1.0 }, &AtomicBool::new(false))
        })
    };
    std::thread::sleep(Duration::from_millis(1000)); // of the two seconds that it takes
    let asked = Instant::now();
    server.signal("TERM");
    let (well, told) = server.end();
    assert!(well && asked.elapsed() < Duration::from_secs(5));
    let frames = |key: &str| told["frames"][key].as_u64().unwrap();
    let emitted = frames("emitted");
    assert!(emitted > 0 && emitted < 120, "{told}");
    assert_eq!(
        frames("offered"),
        emitted + frames("dropped") + frames("rejected")
    );
    let (trips, outcome) = client.join().unwrap();
    assert_eq!(trips.depth, emitted, "every frame taken was answered");
    assert!(
        matches!(outcome, Err(ClientError::Ended { .. })),
        "{outcome:?}"
    );
    let (descriptions, measurements) = messages(&recorded);
    assert_eq!(descriptions.len(), 2);
    assert_eq!(measurements.len() as u64, emitted);
    assert!(
        replayed(&recorded).contains(&format!("\"emitted\":{emitted}")),
        "it can be replayed"
    );
}

#[test]
fn a_server_that_comes_back_loses_no_recording() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let recorded = path("rec.mcap");
    record(&recorded, 1, 3);
    let before = std::fs::read(&recorded).unwrap();
    let server = Process::start(&["--record", recorded.to_str().unwrap()]);
    assert!(path("rec-1.mcap").is_file());
    let taken = Command::new(env!("CARGO_BIN_EXE_relucent"))
        .args(["serve", "--listen", &server.peer.address.to_string()])
        .args([Path::new("--record"), &recorded])
        .output()
        .unwrap();
    let told = String::from_utf8(taken.stderr).unwrap();
    assert!(
        !taken.status.success() && told.contains("cannot listen"),
        "{told}"
    );
    assert!(!path("rec-2.mcap").exists(), "nothing was recorded to it");
    server.signal("TERM");
    assert!(server.end().0);
    assert_eq!(std::fs::read(&recorded).unwrap(), before);
}

#[test]
fn a_log_that_cannot_be_written_is_told_at_once_and_a_full_disk_does_not_stop_sensors() {
    let nowhere = Command::new(env!("CARGO_BIN_EXE_relucent"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--record",
            "/nowhere/a.mcap",
        ])
        .output()
        .unwrap();
    let told = String::from_utf8(nowhere.stderr).unwrap();
    assert!(
        !nowhere.status.success() && told.contains("/nowhere/a.mcap"),
        "{told}"
    );
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("in.mcap");
    record(&log, 1, 60);
    let server = Process::start(&["--record", "/dev/full"]);
    let flat_out = Send { rate: 0.0 };
    let trips = send(&log, &server.peer, flat_out, &AtomicBool::new(false)).unwrap();
    assert_eq!(trips.depth, 60);
    server.signal("TERM");
    let (well, told) = server.end();
    assert_eq!(told["frames"]["emitted"], 60);
    assert!(!well, "the log is not whole, and the exit code says so");
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn the_c_library_is_told_to_give_memory_back() {
    let server = Process::start(&[]);
    let threshold = server.environment("MALLOC_MMAP_THRESHOLD_");
    assert_eq!(threshold.as_deref(), Some("524288"));
    server.signal("TERM");
    assert!(server.end().0, "it is the process that was started");
}

#[test]
fn a_sensor_may_describe_itself_as_often_as_it_likes() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let (description, measurements) = one(2);
    let pixels = description.rows * description.cols * description.pattern_sets.len() as u32;
    let room = format!("[serve]\npattern_pixels = {}\n", 4 * pixels); // for those of the frames under way
    std::fs::write(&config, room).unwrap();
    let server = Process::start(&["--config", config.to_str().unwrap()]);
    client(async {
        let mut client = server.peer.connect().await.unwrap();
        let mut line = Line::open(&mut client).await;
        for _ in 0..12 {
            line.describe(&description).await;
            line.measure(&measurements[0]).await;
            line.depth().await;
        }
    });
}

#[test]
fn beyond_this_machine_it_does_not_start_unguarded() {
    let refused = Command::new(env!("CARGO_BIN_EXE_relucent"))
        .args(["serve", "--listen", "0.0.0.0:0"])
        .output()
        .unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && told.contains("expected TLS"),
        "{told}"
    );
}
