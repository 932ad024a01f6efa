//! A log played to a server.

use crate::common::record;
use crate::served::{Served, send, send_part};
use relucent::pipeline::Options;
use relucent::serve::{Address, ClientError, Send, Serving};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

const FLAT_OUT: Send = Send { rate: 0.0 };

#[test]
fn a_log_goes_there_and_comes_back_over_tcp_and_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("two.mcap");
    record(&log, 2, 20);
    let unix = format!("unix:{}", folder.path().join("socket").display());
    for address in ["127.0.0.1:0", &unix] {
        let served = Served::with(address, Options::default(), vec![], Serving::default());
        let trips = send(&log, &served.peer, FLAT_OUT, &AtomicBool::new(false)).unwrap();
        assert_eq!(
            (trips.sent, trips.depth, trips.rejected),
            (40, 40, 0),
            "{address}"
        );
        assert_eq!(trips.latencies_ns.len(), 40);
        let within = |(whole, outside): (&u64, &u64)| whole > outside && *outside > 0;
        assert!(trips.latencies_ns.iter().zip(&trips.outside_ns).all(within));
        // the ids are free again
        let again = send(&log, &served.peer, FLAT_OUT, &AtomicBool::new(false)).unwrap();
        assert_eq!(again.depth, 40);
        let accounts = served.stop().accounts;
        assert_eq!((accounts.offered, accounts.emitted), (80, 80));
    }
    assert!(
        !folder.path().join("socket").exists(),
        "the socket is taken away"
    );
}

#[test]
fn a_socket_that_a_killed_server_left_makes_way_and_a_living_ones_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let address = format!("unix:{}", path.display());
    let served = Served::with(&address, Options::default(), vec![], Serving::default());
    let address: Address = address.parse().unwrap();
    let second = relucent::serve::Server::bind(
        &address,
        &*crate::common::PRIOR,
        &relucent::recover::Settings::default(),
        Options::default(),
        vec![],
        Serving::default(),
    );
    let error = second.err().unwrap().to_string();
    assert!(error.contains("cannot listen on unix:"), "{error}");
    served.stop();
}

#[test]
fn stopping_answers_what_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 60);
    let served = Served::start();
    let peer = served.peer.clone();
    let client = std::thread::spawn(move || {
        send_part(&log, &peer, Send { rate: 1.0 }, &AtomicBool::new(false))
    });
    std::thread::sleep(Duration::from_millis(600));
    let asked = Instant::now();
    let a = served.stop().accounts;
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(a.emitted > 0 && a.emitted < 60, "{a:?}");
    let (trips, outcome) = client.join().unwrap();
    assert_eq!(trips.depth, a.emitted, "every frame taken was answered");
    assert!(
        matches!(outcome, Err(ClientError::Ended { .. })),
        "{outcome:?}"
    );
}

#[test]
fn nobody_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 1);
    let nobody: Address = "127.0.0.1:9".parse().unwrap();
    let error = send(&log, &nobody.into(), FLAT_OUT, &AtomicBool::new(false)).unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:9"), "{error}");
}
