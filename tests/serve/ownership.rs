//! A sensor belongs to the stream that described it first, until that ends.

use crate::common::record;
use crate::served::{Line, Served, client, messages, one, send};
use relucent::serve::{Limits, Send};
use relucent::wire::v1;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

#[test]
fn a_second_sender_is_refused_and_disturbs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    record(&log, 1, 30);
    let served = Served::start();
    let first = {
        let (log, peer) = (log.clone(), served.peer.clone());
        std::thread::spawn(move || {
            send(&log, &peer, Send { rate: 1.0 }, &AtomicBool::new(false)).unwrap()
        })
    };
    std::thread::sleep(Duration::from_millis(300)); // of the second that it takes
    let flat_out = Send { rate: 0.0 };
    let second = send(&log, &served.peer, flat_out, &AtomicBool::new(false)).unwrap();
    assert_eq!(
        (second.depth, second.rejected, second.refused_descriptions),
        (0, 30, 1),
        "its description and its frames"
    );
    assert!(
        second.reasons[0].contains("no other"),
        "{:?}",
        second.reasons
    );
    assert_eq!(first.join().unwrap().depth, 30);
    let stats = client(async {
        let mut client = served.peer.connect().await.unwrap();
        let stats = client.stats(v1::StatsRequest {}).await.unwrap();
        stats.into_inner()
    });
    assert_eq!(
        (stats.refused_descriptions, stats.refused_measurements),
        (1, 30)
    );
    assert_eq!(served.stop().accounts.offered, 30);
}

#[test]
fn a_refused_description_leaves_a_sensor_as_it_was_and_a_new_id_free() {
    let served = Served::start();
    let (description, measurements) = one(3);
    let bad = v1::SensorDescription {
        s_min: f32::NAN,
        ..description.clone()
    };
    client(async {
        let mut client = served.peer.connect().await.unwrap();
        let mut first = Line::open(&mut client).await;
        first.describe(&bad).await;
        assert!(first.rejection().await.contains("s_min"));
        // the first stream did not get the sensor by asking
        let mut second = Line::open(&mut client).await;
        second.describe(&description).await;
        second.measure(&measurements[0]).await;
        second.depth().await;
        // and the second keeps what it has when it errs, or another tries
        second.describe(&bad).await;
        second.rejection().await;
        first.describe(&description).await;
        assert!(first.rejection().await.contains("no other stream holds"));
        second.measure(&measurements[1]).await;
        assert_eq!(second.depth().await.sequence, 1);
    });
    served.stop();
}

#[test]
fn who_comes_back_may_be_another_sensor() {
    let served = Served::start();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("two.mcap");
    record(&log, 2, 3);
    let (descriptions, measurements) = messages(&log);
    // the second sensor of the log under the first one's name: other patterns
    let named = |message: &v1::MeasurementFrame| v1::MeasurementFrame {
        sensor_id: "sensor 0".to_owned(),
        ..message.clone()
    };
    let other = v1::SensorDescription {
        sensor_id: "sensor 0".to_owned(),
        frame_id: "another".to_owned(),
        ..descriptions[1].clone()
    };
    client(async {
        let mut client = served.peer.connect().await.unwrap();
        let first = Line::open(&mut client).await;
        first.describe(&descriptions[0]).await;
        for measurement in measurements.iter().step_by(2) {
            first.measure(measurement).await;
        }
        let Line {
            requests,
            mut answers,
        } = first;
        drop(requests);
        let mut old = 0;
        while let Some(answer) = answers.message().await.unwrap() {
            assert!(matches!(
                answer.kind,
                Some(v1::recover_response::Kind::Depth(_))
            ));
            old += 1;
        }
        assert_eq!(old, 3, "what was sent before the end is answered");
        let mut second = Line::open(&mut client).await;
        second.describe(&other).await;
        second.measure(&named(&measurements[1])).await;
        let depth = second.depth().await;
        let start = depth.recovery.unwrap().start();
        assert_eq!(start, v1::StartKind::Cold, "nothing is left of the first");
        let request = v1::DescribeRequest {
            sensor_id: "sensor 0".to_owned(),
        };
        let held = client.describe(request).await.unwrap().into_inner();
        assert_eq!(held.description.unwrap(), other);
    });
    served.stop();
}

#[test]
fn each_limit_is_told_with_what_was_found() {
    let (description, _) = one(1);
    let size = prost::Message::encoded_len(&description);
    let limits = Limits {
        sensors_per_stream: 2,
        sensors: 3,
        description_bytes: 3 * size + 100,
        message_bytes: 2 * size,
        ..Limits::default()
    };
    let served = Served::limited(limits);
    let named = |id: &str| v1::SensorDescription {
        sensor_id: id.to_owned(),
        ..description.clone()
    };
    client(async {
        let mut client = served.peer.connect().await.unwrap();
        let mut first = Line::open(&mut client).await;
        for id in ["a", "b", "c"] {
            first.describe(&named(id)).await;
        }
        let text = first.rejection().await;
        assert!(text.contains("at most 2 sensors on one stream"), "{text}");
        let mut second = Line::open(&mut client).await;
        for id in ["c", "d"] {
            second.describe(&named(id)).await;
        }
        let text = second.rejection().await;
        assert!(text.contains("at most 3 sensors, got one more"), "{text}");
        second.describe(&named("c")).await; // while the old one is in use
        let text = second.rejection().await;
        assert!(
            text.contains("bytes, as all in use may take") && text.contains("got one of"),
            "{text}"
        );
        let mut long = named("c");
        long.frame_id = "x".repeat(2 * size + 2000);
        second.describe(&long).await;
        let status = second.answer().await.unwrap_err();
        assert!(
            status.message().contains(&format!("{}", 2 * size + 1024)),
            "the limit: {status}"
        );
        // its sensors are free, and their descriptions no longer count
        let mut third = Line::open(&mut client).await;
        let mut held = false;
        for _ in 0..100 {
            third.describe(&named("c")).await;
            third
                .send(v1::recover_request::Kind::Measurement(
                    v1::MeasurementFrame {
                        sensor_id: "c".to_owned(),
                        ..Default::default()
                    },
                ))
                .await;
            let text = third.rejection().await;
            held = text.contains("readings or histograms");
            if held {
                break;
            }
            third.rejection().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(held, "a stream that ends gives its sensors back");
    });
    served.stop();
}
