//! A server in this process, and clients that speak to it message by message.

use crate::common::PRIOR;
use relucent::journal::{Reader, Topic};
use relucent::pipeline::{Options, Outlet, Summary};
use relucent::recover::Settings;
use relucent::serve::{ClientError, Limits, Peer, Recovery, RoundTrips, Send, Server, Serving};
use relucent::wire::v1::{self, recover_request, recover_response};
use relucent::wire::{decode_description, decode_measurement};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// What comes back of a log.
pub(crate) fn send(
    log: &Path,
    peer: &Peer,
    how: Send,
    stop: &AtomicBool,
) -> Result<RoundTrips, ClientError> {
    let (trips, outcome) = send_part(log, peer, how, stop);
    outcome.map(|()| trips)
}

/// What comes back of a log, whether or not it ends well.
pub(crate) fn send_part(
    log: &Path,
    peer: &Peer,
    how: Send,
    stop: &AtomicBool,
) -> (RoundTrips, Result<(), ClientError>) {
    let mut trips = RoundTrips::default();
    let outcome = relucent::serve::send(log, peer, how, stop, &mut trips);
    (trips, outcome)
}

/// A server on a thread of its own; dropped without [`Served::stop`], it stops on its own.
pub(crate) struct Served {
    pub(crate) peer: Peer,
    stopping: watch::Sender<bool>,
    serving: JoinHandle<Summary>,
}

impl Served {
    /// On a port of this machine that is free.
    pub(crate) fn start() -> Self {
        Self::limited(Limits::default())
    }

    pub(crate) fn limited(limits: Limits) -> Self {
        let serving = Serving {
            limits,
            ..Serving::default()
        };
        Self::with("127.0.0.1:0", Options::default(), vec![], serving)
    }

    pub(crate) fn with(
        address: &str,
        options: Options,
        outlets: Vec<Outlet>,
        serving: Serving,
    ) -> Self {
        let (address, settings) = (address.parse().unwrap(), Settings::default());
        let server = Server::bind(&address, &*PRIOR, &settings, options, outlets, serving).unwrap();
        let peer = server.address().clone().into();
        let (stopping, stop) = watch::channel(false);
        Self {
            peer,
            stopping,
            serving: std::thread::spawn(move || server.run(stop).unwrap()),
        }
    }

    /// Asks it to stop, and does not wait.
    pub(crate) fn ask_to_stop(&self) {
        self.stopping.send(true).unwrap();
    }

    /// Stops it; every frame that it was offered must be accounted for.
    pub(crate) fn stop(self) -> Summary {
        let _ = self.stopping.send(true);
        let summary = self.serving.join().unwrap();
        let a = summary.accounts;
        assert_eq!(a.offered, a.emitted + a.dropped + a.rejected, "{a:?}");
        summary
    }
}

/// A Recover stream of a client's.
pub(crate) struct Line {
    pub(crate) requests: mpsc::Sender<v1::RecoverRequest>,
    pub(crate) answers: Streaming<v1::RecoverResponse>,
}

impl Line {
    pub(crate) async fn open(client: &mut Recovery) -> Self {
        let (requests, outgoing) = mpsc::channel(1);
        let answers = client.recover(ReceiverStream::new(outgoing)).await.unwrap();
        Self {
            requests,
            answers: answers.into_inner(),
        }
    }

    pub(crate) async fn describe(&self, description: &v1::SensorDescription) {
        self.send(recover_request::Kind::Description(description.clone()))
            .await;
    }

    pub(crate) async fn measure(&self, measurement: &v1::MeasurementFrame) {
        self.send(recover_request::Kind::Measurement(measurement.clone()))
            .await;
    }

    pub(crate) async fn send(&self, kind: recover_request::Kind) {
        let request = v1::RecoverRequest { kind: Some(kind) };
        self.requests.send(request).await.unwrap();
    }

    pub(crate) async fn answer(&mut self) -> Result<Option<recover_response::Kind>, Status> {
        let answer = tokio::time::timeout(Duration::from_secs(20), self.answers.message());
        let answer = answer.await.expect("an answer within 20 s");
        Ok(answer?.map(|answer| answer.kind.unwrap()))
    }

    /// The next answer, which must be a depth frame.
    pub(crate) async fn depth(&mut self) -> v1::DepthFrame {
        match self.answer().await.unwrap() {
            Some(recover_response::Kind::Depth(depth)) => depth,
            other => panic!("expected depth, got {other:?}"),
        }
    }

    /// The next answer, which must be a rejection: its reason.
    pub(crate) async fn rejection(&mut self) -> String {
        match self.answer().await.unwrap() {
            Some(recover_response::Kind::Rejection(rejection)) => rejection.reason,
            other => panic!("expected a rejection, got {other:?}"),
        }
    }
}

/// Runs a client to its end.
pub(crate) fn client<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

/// A log's descriptions and measurements, in its order.
pub(crate) fn messages(log: &Path) -> (Vec<v1::SensorDescription>, Vec<v1::MeasurementFrame>) {
    let (mut descriptions, mut measurements) = (vec![], vec![]);
    for entry in Reader::open(log).unwrap() {
        let entry = entry.unwrap();
        match Topic::parse(&entry.channel.topic) {
            Some((Topic::Description, _)) => {
                descriptions.push(decode_description(entry.data).unwrap());
            }
            Some((Topic::Measurement, _)) => {
                measurements.push(decode_measurement(entry.data).unwrap());
            }
            _ => {}
        }
    }
    (descriptions, measurements)
}

/// The messages of a log of one sensor.
pub(crate) fn one(frames: u64) -> (v1::SensorDescription, Vec<v1::MeasurementFrame>) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("one.mcap");
    crate::common::record(&log, 1, frames);
    let (mut descriptions, measurements) = messages(&log);
    (descriptions.remove(0), measurements)
}

/// Waits until something holds, for at most `seconds`.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &str,
    seconds: u64,
    mut holds: impl FnMut() -> F,
) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(seconds), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
