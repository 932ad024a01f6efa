//! What clients can call beside Recover.

use crate::served::{Line, Served, client, eventually, messages, one};
use relucent::serve::{Limits, Peer, Recovery};
use relucent::wire::v1::{self, subscribe_response};
use std::time::Duration;
use tonic::{Code, Streaming};

async fn subscribe(client: &mut Recovery, ids: &[&str]) -> Streaming<v1::SubscribeResponse> {
    let sensor_ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let request = v1::SubscribeRequest { sensor_ids };
    client.subscribe(request).await.unwrap().into_inner()
}

async fn next(news: &mut Streaming<v1::SubscribeResponse>) -> Option<v1::SubscribeResponse> {
    let next = tokio::time::timeout(Duration::from_secs(20), news.message());
    next.await.expect("news within 20 s").unwrap()
}

async fn stats(client: &mut Recovery) -> v1::StatsResponse {
    client
        .stats(v1::StatsRequest {})
        .await
        .unwrap()
        .into_inner()
}

fn kind(response: v1::SubscribeResponse) -> subscribe_response::Kind {
    response.kind.unwrap()
}

#[test]
fn describe_gives_what_a_stream_holds() {
    let served = Served::start();
    let (description, _) = one(1);
    client(async {
        let mut client = served.peer.connect().await.unwrap();
        let ask = || v1::DescribeRequest {
            sensor_id: description.sensor_id.clone(),
        };
        let status = client.describe(ask()).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains("`sensor 0`"), "{status}");
        let line = Line::open(&mut client).await;
        line.describe(&description).await;
        let mut held = None;
        for _ in 0..200 {
            held = client.describe(ask()).await.ok();
            if held.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(held.unwrap().into_inner().description.unwrap(), description);
        drop(line);
        let peer = &served.peer;
        eventually("it goes with its stream", 10, || async {
            let mut client = peer.connect().await.unwrap();
            client.describe(ask()).await.is_err()
        })
        .await;
    });
    served.stop();
}

#[test]
fn subscribers_early_and_late_get_the_description_first_and_the_same_frames() {
    let served = Served::start();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("two.mcap");
    crate::common::record(&log, 2, 4);
    let (descriptions, measurements) = messages(&log);
    client(async {
        let mut client = served.peer.connect().await.unwrap();
        let mut all = subscribe(&mut client, &[]).await;
        let mut second = subscribe(&mut client, &["sensor 1"]).await;
        let mut line = Line::open(&mut client).await;
        line.describe(&descriptions[0]).await;
        line.describe(&descriptions[1]).await;
        let mut depth = vec![];
        for measurement in &measurements[..4] {
            line.measure(measurement).await;
            depth.push(line.depth().await);
        }
        // four frames of two sensors, each sensor's description before its first
        let mut seen = vec![];
        for _ in 0..6 {
            seen.push(kind(next(&mut all).await.unwrap()));
        }
        let expected = [
            subscribe_response::Kind::Description(descriptions[0].clone()),
            subscribe_response::Kind::Depth(depth[0].clone()),
            subscribe_response::Kind::Description(descriptions[1].clone()),
            subscribe_response::Kind::Depth(depth[1].clone()),
            subscribe_response::Kind::Depth(depth[2].clone()),
            subscribe_response::Kind::Depth(depth[3].clone()),
        ];
        assert_eq!(seen, expected);
        for expected in [&expected[2], &expected[3], &expected[5]] {
            assert_eq!(&kind(next(&mut second).await.unwrap()), expected);
        }
        // who comes late is told of what is held without waiting for a frame
        let mut late = subscribe(&mut client, &["sensor 0"]).await;
        assert_eq!(kind(next(&mut late).await.unwrap()), expected[0]);
        // described anew, the frames after it are under the new description
        let anew = v1::SensorDescription {
            frame_id: "mast".to_owned(),
            ..descriptions[0].clone()
        };
        line.describe(&anew).await;
        line.measure(&measurements[4]).await;
        let under = line.depth().await;
        assert_eq!(
            kind(next(&mut late).await.unwrap()),
            subscribe_response::Kind::Description(anew)
        );
        assert_eq!(
            kind(next(&mut late).await.unwrap()),
            subscribe_response::Kind::Depth(under)
        );
        served.ask_to_stop();
        assert!(line.answer().await.unwrap().is_none());
        assert!(next(&mut late).await.is_none(), "it ends with the server");
    });
    assert_eq!(served.stop().accounts.emitted, 5);
}

#[test]
fn a_slow_subscriber_loses_frames_that_are_counted_and_holds_nobody_up() {
    let limits = Limits {
        subscriber_frames: 2,
        subscribers: 1,
        ..Limits::default()
    };
    let served = Served::limited(limits);
    let (description, measurements) = one(80);
    client(async {
        let mut client = served.peer.connect().await.unwrap();
        let mut slow = subscribe(&mut client, &[]).await;
        let request = v1::SubscribeRequest::default();
        let status = client.subscribe(request).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(
            status.message().contains("at most 1 subscribers"),
            "{status}"
        );
        let mut line = Line::open(&mut client).await;
        line.describe(&description).await;
        for measurement in &measurements {
            line.measure(measurement).await;
            line.depth().await; // whoever sends has all answers
        }
        let lost = stats(&mut client).await.subscribers_lost;
        assert!(lost > 0 && lost < 80, "{lost}");
        served.ask_to_stop();
        let (mut depth, mut told, mut last) = (0, 0, None);
        while let Some(response) = next(&mut slow).await {
            told = response.lost;
            if let subscribe_response::Kind::Depth(frame) = kind(response) {
                assert!(last < Some(frame.sequence), "in order");
                last = Some(frame.sequence);
                depth += 1;
            }
        }
        assert_eq!((told, depth), (lost, 80 - lost));
    });
    served.stop();
}

#[test]
fn stats_say_what_became_of_each_sensors_frames() {
    let served = Served::start();
    let (description, mut measurements) = one(10);
    measurements[9].pattern_set = 99;
    client(async {
        let mut client = served.peer.connect().await.unwrap();
        let mut line = Line::open(&mut client).await;
        line.describe(&description).await;
        for measurement in &measurements[..9] {
            line.measure(measurement).await;
            line.depth().await;
        }
        line.measure(&measurements[9]).await;
        assert!(line.rejection().await.contains("pattern_set"));
        let stranger = v1::MeasurementFrame {
            sensor_id: "nobody".to_owned(),
            ..measurements[0].clone()
        };
        line.measure(&stranger).await;
        assert!(line.rejection().await.contains("this stream has described"));
        let stats = stats(&mut client).await;
        assert_eq!(stats.version, env!("CARGO_PKG_VERSION"));
        assert_eq!((stats.streams, stats.connections), (1, 1));
        assert_eq!(stats.refused_measurements, 1);
        let [sensor] = &stats.sensors[..] else {
            panic!("{stats:?}");
        };
        let frames = sensor.frames.unwrap();
        assert_eq!(stats.frames, sensor.frames);
        assert!(sensor.held && sensor.sensor_id == "sensor 0");
        assert_eq!(
            (frames.offered, frames.emitted, frames.rejected_invalid),
            (10, 9, 1)
        );
        let end = sensor.latency.last().unwrap();
        assert_eq!(
            (sensor.latency.len(), end.stage.as_str()),
            (9, "end_to_end")
        );
        assert!(end.p50_us > 50.0 && end.p99_us <= end.max_us, "{end:?}");
    });
    served.stop();
}

/// A channel for services that are not ours.
async fn channel(peer: &Peer) -> tonic::transport::Channel {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", peer.address));
    endpoint.unwrap().connect().await.unwrap()
}

#[test]
fn health_and_reflection_answer_as_everywhere() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let served = Served::start();
    client(async {
        let channel = channel(&served.peer).await;
        let mut health = HealthClient::new(channel.clone());
        let ask = HealthCheckRequest {
            service: "relucent.v1.RecoveryService".to_owned(),
        };
        let status = health.check(ask.clone()).await.unwrap().into_inner();
        assert_eq!(status.status(), ServingStatus::Serving);
        let mut reflection = ServerReflectionClient::new(channel);
        let list = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let answers = reflection.server_reflection_info(tokio_stream::once(list));
        let answer = answers.await.unwrap().into_inner().message().await.unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = answer.unwrap().message_response
        else {
            panic!("expected a list of services");
        };
        let names: Vec<_> = list.service.iter().map(|s| s.name.as_str()).collect();
        assert!(
            names.contains(&"relucent.v1.RecoveryService")
                && names.contains(&"grpc.health.v1.Health"),
            "{names:?}"
        );
        let mut watch = health.watch(ask).await.unwrap().into_inner();
        watch.message().await.unwrap();
        served.ask_to_stop();
        let last = watch.message().await.unwrap().unwrap();
        assert_eq!(last.status(), ServingStatus::NotServing, "before it goes");
    });
    served.stop();
}
