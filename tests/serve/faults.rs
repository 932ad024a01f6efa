//! Clients that misbehave, by fault or by intent.

use crate::common::record;
use crate::served::{Line, Served, client, eventually, one, send};
use relucent::pipeline::{Options, Policy};
use relucent::serve::{Address, Limits, Peer, Send, Serving};
use relucent::wire::v1::{self, recover_request::Kind};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tonic::Code;

/// A cable between a client and a server that can be cut, or go dead without either being told.
struct Cable {
    peer: Peer,
    /// bytes that still pass towards the server
    left: Arc<AtomicU64>,
    dead: Arc<AtomicBool>,
}

impl Cable {
    fn to(server: &Peer) -> Self {
        let Address::Tcp(server) = server.address else {
            panic!("expected TCP");
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let (left, dead) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::default());
        let cable = Self {
            peer: address.into(),
            left: Arc::clone(&left),
            dead: Arc::clone(&dead),
        };
        std::thread::spawn(move || {
            let near = listener.accept().unwrap().0;
            let far = TcpStream::connect(server).unwrap();
            let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
            let (no_end, also_dead) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::clone(&dead));
            std::thread::spawn(move || carry(back.0, back.1, &no_end, &also_dead));
            carry(near, far, &left, &dead);
        });
        cable
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, left: &AtomicU64, dead: &AtomicBool) {
    let mut buffer = [0; 512];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        while dead.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10)); // open at both ends, until the test has ended
        }
        let pass = left.load(Ordering::Relaxed).min(count as u64);
        left.fetch_sub(pass, Ordering::Relaxed);
        if to.write_all(&buffer[..pass as usize]).is_err() || pass < count as u64 {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// Waits until `description`'s sensor can be described by another, and one of its frames comes back.
async fn is_free(peer: &Peer, description: &v1::SensorDescription, frame: &v1::MeasurementFrame) {
    eventually("the sensor is free", 8, || async {
        let mut client = peer.connect().await.unwrap();
        let mut line = Line::open(&mut client).await;
        line.describe(description).await;
        line.measure(frame).await;
        let answer = line.answer().await.unwrap();
        matches!(answer, Some(v1::recover_response::Kind::Depth(_)))
    })
    .await;
}

#[test]
fn who_vanishes_within_a_frame_leaves_the_sensor_to_others() {
    let served = Served::start();
    let (description, measurements) = one(8);
    let cable = Cable::to(&served.peer);
    client(async {
        let mut client = cable.peer.connect().await.unwrap();
        let mut line = Line::open(&mut client).await;
        line.describe(&description).await;
        line.measure(&measurements[0]).await;
        line.depth().await;
        cable.left.store(100, Ordering::Relaxed); // of thousands
        line.measure(&measurements[1]).await;
        assert!(line.answer().await.is_err(), "the cable is cut");
        is_free(&served.peer, &description, &measurements[2]).await;
    });
    let accounts = served.stop().accounts;
    assert_eq!(
        (accounts.offered, accounts.emitted),
        (2, 2),
        "half a frame is none"
    );
}

#[test]
fn a_dead_connection_is_found_out() {
    let served = Served::limited(Limits {
        keepalive_s: 1,
        ..Limits::default()
    });
    let (description, measurements) = one(8);
    let cable = Cable::to(&served.peer);
    client(async {
        let mut client = cable.peer.connect().await.unwrap();
        let mut line = Line::open(&mut client).await;
        line.describe(&description).await;
        line.measure(&measurements[0]).await;
        line.depth().await;
        tokio::time::sleep(Duration::from_millis(2500)).await; // longer than an unanswered ping may be
        line.measure(&measurements[1]).await;
        line.depth().await; // as long as it is alive it may stay
        cable.dead.store(true, Ordering::Relaxed);
        is_free(&served.peer, &description, &measurements[2]).await;
    });
    served.stop();
}

#[test]
fn who_falls_silent_is_told_and_loses_the_sensor() {
    let served = Served::limited(Limits {
        idle_s: 1,
        ..Limits::default()
    });
    let (description, measurements) = one(2);
    client(async {
        let mut client = served.peer.connect().await.unwrap();
        let mut line = Line::open(&mut client).await;
        line.describe(&description).await;
        let status = line.answer().await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(
            status.message().contains("a message within 1 s"),
            "{status}"
        );
        is_free(&served.peer, &description, &measurements[0]).await;
    });
    served.stop();
}

#[test]
fn what_was_sent_before_a_message_too_large_is_answered_before_its_reason_is_told() {
    let served = Served::start();
    let (description, measurements) = one(8);
    let many = v1::SensorDescription {
        pattern_sets: vec![v1::PatternSet::default(); 257],
        ..v1::SensorDescription::default()
    };
    let long = v1::MeasurementFrame {
        missing: vec![0; 17 << 20].into(),
        ..measurements[0].clone()
    };
    let too_large = [
        (Kind::Description(many), "at most 256 pattern sets, got 257"),
        (Kind::Measurement(long), "too large"),
    ];
    client(async {
        for (message, reason) in too_large {
            let mut client = served.peer.connect().await.unwrap();
            let mut line = Line::open(&mut client).await;
            line.describe(&description).await;
            for measurement in &measurements {
                line.measure(measurement).await;
            }
            line.send(message).await;
            for measurement in &measurements {
                assert_eq!(line.depth().await.sequence, measurement.sequence);
            }
            let status = line.answer().await.unwrap_err();
            assert!(status.message().contains(reason), "{status}");
            is_free(&served.peer, &description, &measurements[0]).await;
        }
    });
    served.stop();
}

#[test]
fn a_connection_that_calls_nothing_is_closed_and_more_than_there_may_be_too() {
    let served = Served::limited(Limits {
        handshake_s: 1,
        connections: 2,
        ..Limits::default()
    });
    let Address::Tcp(address) = served.peer.address else {
        panic!("expected TCP");
    };
    let closes_within = |seconds: u64| {
        let mut silent = TcpStream::connect(address).unwrap();
        silent
            .set_read_timeout(Some(Duration::from_secs(seconds)))
            .unwrap();
        let began = Instant::now();
        // it greets, and then says nothing more
        let closed = loop {
            match silent.read(&mut [0; 64]) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        };
        (closed, began.elapsed())
    };
    client(async {
        let mut client = served.peer.connect().await.unwrap();
        let stats = client.stats(v1::StatsRequest {}).await.unwrap();
        assert_eq!(stats.into_inner().connections, 1);
        let (closed, after) = closes_within(5);
        assert!(closed && after > Duration::from_millis(500), "{after:?}");
        let silent = TcpStream::connect(address).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let (closed, after) = closes_within(5);
        assert!(closed && after < Duration::from_millis(500), "{after:?}");
        drop(silent);
        let stats = client.stats(v1::StatsRequest {}).await.unwrap();
        assert_eq!(stats.into_inner().refused_connections, 1);
    });
    served.stop();
}

/// Sends until its answers, which it does not read, hold it up.
async fn send_unread(line: &Line, measurements: &[v1::MeasurementFrame]) -> u64 {
    let mut sent = 0;
    for measurement in measurements.iter().cycle() {
        let sending = line.measure(measurement);
        if tokio::time::timeout(Duration::from_millis(300), sending)
            .await
            .is_err()
        {
            break;
        }
        sent += 1;
    }
    sent
}

#[test]
fn who_does_not_read_answers_is_not_read_and_holds_nobody_up() {
    let limits = Limits {
        idle_s: 6,
        in_flight: 4,
        ..Limits::default()
    };
    for policy in [Policy::Block, Policy::DropOldest] {
        let options = Options {
            policy,
            ..Options::default()
        };
        let serving = Serving {
            limits,
            ..Serving::default()
        };
        let served = Served::with("127.0.0.1:0", options, vec![], serving);
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("other.mcap");
        record(&log, 1, 60);
        let (description, measurements) = one(20);
        let slow = v1::SensorDescription {
            sensor_id: "slow".to_owned(),
            ..description
        };
        let frames = measurements.iter().map(|m| v1::MeasurementFrame {
            sensor_id: "slow".to_owned(),
            ..m.clone()
        });
        let frames: Vec<_> = frames.collect();
        client(async {
            let mut client = served.peer.connect().await.unwrap();
            let mut line = Line::open(&mut client).await;
            line.describe(&slow).await;
            let sent = send_unread(&line, &frames).await;
            assert!(sent > 4 && sent < 2000, "{sent}: flow control holds it up");
            let began = Instant::now();
            let other = {
                let peer = served.peer.clone();
                std::thread::spawn(move || {
                    send(&log, &peer, Send { rate: 1.0 }, &AtomicBool::new(false)).unwrap()
                })
            };
            let trips = other.join().unwrap();
            assert_eq!((trips.depth, trips.rejected), (60, 0));
            let took = began.elapsed(); // two seconds where nothing holds it up
            assert!(
                took < Duration::from_secs(limits.idle_s.into()),
                "{took:?}: while the slow one still was there"
            );
            // it gets what was answered, and is told why no more comes
            let mut answered = 0;
            let status = loop {
                match line.answer().await {
                    Ok(Some(_)) => answered += 1,
                    Ok(None) => panic!("expected a reason"),
                    Err(status) => break status,
                }
            };
            assert!(answered > 0 && answered <= sent);
            assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        });
        served.stop();
    }
}
