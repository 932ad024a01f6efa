//! Recovery over the network, over real sockets.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{PRIOR, record};
use relucent::pipeline::{Options, Summary};
use relucent::recover::Settings;
use relucent::serve::{Address, ClientError, Send, Server, send};
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

fn start(address: &str) -> (Address, watch::Sender<bool>, JoinHandle<Summary>) {
    let address = address.parse().unwrap();
    let settings = Settings::default();
    let server = Server::bind(&address, &PRIOR, &settings, Options::default(), vec![]).unwrap();
    let address = server.address().clone();
    let (stopping, stop) = watch::channel(false);
    let serving = std::thread::spawn(move || server.run(stop).unwrap());
    (address, stopping, serving)
}

const FLAT_OUT: Send = Send { rate: 0.0 };

#[test]
fn a_log_goes_there_and_comes_back_over_tcp_and_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("two.mcap");
    record(&log, 2, 20);
    let unix = format!("unix:{}", folder.path().join("socket").display());
    for address in ["127.0.0.1:0", &unix] {
        let (address, stopping, serving) = start(address);
        let trips = send(&log, &address, FLAT_OUT, &AtomicBool::new(false)).unwrap();
        assert_eq!(
            (trips.sent, trips.depth, trips.rejected),
            (40, 40, 0),
            "{address}"
        );
        assert_eq!(trips.latencies_ns.len(), 40);
        // the ids are free again
        let again = send(&log, &address, FLAT_OUT, &AtomicBool::new(false)).unwrap();
        assert_eq!(again.depth, 40);
        stopping.send(true).unwrap();
        let summary = serving.join().unwrap();
        assert_eq!(
            (summary.accounts.offered, summary.accounts.emitted),
            (80, 80)
        );
    }
    assert!(
        !folder.path().join("socket").exists(),
        "the socket is taken away"
    );
}

#[test]
fn a_sensor_belongs_to_one_connection() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 30);
    let (address, stopping, serving) = start("127.0.0.1:0");
    let first = {
        let (log, address) = (log.clone(), address.clone());
        std::thread::spawn(move || {
            send(&log, &address, Send { rate: 1.0 }, &AtomicBool::new(false)).unwrap()
        })
    };
    std::thread::sleep(Duration::from_millis(300)); // of the second that it takes
    let second = send(&log, &address, FLAT_OUT, &AtomicBool::new(false)).unwrap();
    assert_eq!(
        (second.depth, second.rejected),
        (0, 31),
        "its description and its frames"
    );
    assert!(
        second.reasons[0].contains("no other holds"),
        "{:?}",
        second.reasons
    );
    assert_eq!(first.join().unwrap().depth, 30);
    stopping.send(true).unwrap();
    assert_eq!(serving.join().unwrap().accounts.offered, 30);
}

#[test]
fn stopping_answers_what_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 60);
    let (address, stopping, serving) = start("127.0.0.1:0");
    let client = std::thread::spawn(move || {
        send(&log, &address, Send { rate: 1.0 }, &AtomicBool::new(false))
    });
    std::thread::sleep(Duration::from_millis(600));
    let asked = Instant::now();
    stopping.send(true).unwrap();
    let a = serving.join().unwrap().accounts;
    assert!(asked.elapsed() < Duration::from_secs(20));
    assert_eq!(a.offered, a.emitted + a.dropped + a.rejected);
    assert!(a.emitted > 0 && a.emitted < 60, "{a:?}");
    if let Ok(trips) = client.join().unwrap() {
        assert_eq!(trips.depth, a.emitted, "every frame taken was answered");
    }
}

#[test]
fn nobody_there_and_strangers_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 1);
    let nobody = "127.0.0.1:9".parse().unwrap();
    let error = send(&log, &nobody, FLAT_OUT, &AtomicBool::new(false)).unwrap_err();
    assert!(
        matches!(error, ClientError::Connect { .. }) && error.to_string().contains("127.0.0.1:9")
    );
    let open = "0.0.0.0:0".parse().unwrap();
    let refused = Server::bind(
        &open,
        &PRIOR,
        &Settings::default(),
        Options::default(),
        vec![],
    );
    assert!(refused.err().unwrap().to_string().contains("TLS"));
}
