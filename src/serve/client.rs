//! The client: a log played to a server, as a sensor would send it.

use super::peer::{Peer, PeerError};
use crate::clock::{Clock, Monotonic};
use crate::journal::{JournalError, Reader, Topic};
use crate::pipeline::Timeline;
use crate::wire::v1::{self, recover_request, recover_response};
use crate::wire::{self, WireError};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Requests that may wait for the network.
const REQUESTS: usize = 8;

/// What to send, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Send {
    /// pace: 1 is the recording's own; 0: as fast as the server takes it
    pub rate: f64,
}

/// Of each measurement on its way, when it should have been sent, and when it was, ns.
type Due = HashMap<(String, u64), (u64, u64)>;

/// What came back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoundTrips {
    /// measurements sent
    pub sent: u64,
    /// depth frames received
    pub depth: u64,
    /// rejections received, the first few in words
    pub rejected: u64,
    /// the first few rejections
    pub reasons: Vec<String>,
    /// time from the moment a measurement should have been sent until its depth frame was there, ns, in order of arrival
    pub latencies_ns: Vec<u64>,
    /// of each, the time from being handed to gRPC, less what the server's pipeline took: both sides' gRPC and what is between
    /// them, ns
    pub outside_ns: Vec<u64>,
}

/// Why nothing could be sent, or not all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// the log
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// a message of the log
    #[error(transparent)]
    Wire(#[from] WireError),
    /// the threads of the network
    #[error("cannot start the network's threads")]
    Runtime(#[source] std::io::Error),
    /// the server
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// the stream broke
    #[error("the server ended the stream: {0}")]
    Stream(#[from] Box<tonic::Status>),
}

/// Plays the log's measurements to a server until it ends or `stop` is set, and waits for all answers.
///
/// # Errors
/// Where the log cannot be read, the server not reached, or the stream breaks.
pub fn send(
    log: &Path,
    peer: &Peer,
    how: Send,
    stop: &AtomicBool,
) -> Result<RoundTrips, ClientError> {
    let reader = Reader::open(log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(ClientError::Runtime)?;
    let clock = Monotonic::default();
    let (requests, outgoing) = mpsc::channel(REQUESTS);
    let mut client = runtime.block_on(peer.connect())?;
    let due: Arc<Mutex<Due>> = Arc::default();
    let answers = {
        let due = Arc::clone(&due);
        runtime.spawn(async move {
            let answers = client.recover(ReceiverStream::new(outgoing)).await;
            let mut answers = answers.map_err(Box::new)?.into_inner();
            let mut trips = RoundTrips::default();
            while let Some(answer) = answers.message().await.map_err(Box::new)? {
                trips.take(answer, clock.now_ns(), &due);
            }
            Ok::<_, ClientError>(trips)
        })
    };
    let mut sent = 0;
    let outcome = feed(reader, how, stop, clock, &due, &mut |request, frame| {
        sent += u64::from(frame);
        requests.blocking_send(request).is_ok()
    });
    drop(requests); // the server answers what it has, and ends
    let answers = runtime.block_on(answers);
    let mut trips = answers.unwrap_or_else(|_| Ok(RoundTrips::default()))?;
    trips.sent = sent;
    outcome?;
    Ok(trips)
}

/// Hands the log's messages to `pass` at their pace, until it takes no more.
fn feed(
    reader: Reader,
    how: Send,
    stop: &AtomicBool,
    clock: Monotonic,
    due: &Mutex<Due>,
    pass: &mut dyn FnMut(v1::RecoverRequest, bool) -> bool,
) -> Result<(), ClientError> {
    let began = clock.now_ns();
    let mut timeline = Timeline::default();
    for entry in reader {
        let entry = entry?;
        let (kind, frame) = match Topic::parse(&entry.channel.topic) {
            Some((Topic::Description, _)) => {
                let message = wire::decode_description(entry.data)?;
                (recover_request::Kind::Description(message), false)
            }
            Some((Topic::Measurement, _)) => {
                let message = wire::decode_measurement(entry.data)?;
                let since = timeline.passed_ns(entry.log_time_ns);
                let mut moment = clock.now_ns();
                if how.rate > 0.0 {
                    moment = began.saturating_add((since as f64 / how.rate) as u64);
                    while !stop.load(Ordering::Relaxed) && clock.now_ns() < moment {
                        let left = moment.saturating_sub(clock.now_ns()).min(20_000_000);
                        std::thread::sleep(Duration::from_nanos(left));
                    }
                }
                let key = (message.sensor_id.clone(), message.sequence);
                due.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(key, (moment, clock.now_ns()));
                (recover_request::Kind::Measurement(message), true)
            }
            _ => continue,
        };
        let request = v1::RecoverRequest { kind: Some(kind) };
        if stop.load(Ordering::Relaxed) || !pass(request, frame) {
            break;
        }
    }
    Ok(())
}

impl RoundTrips {
    fn take(&mut self, answer: v1::RecoverResponse, now_ns: u64, due: &Mutex<Due>) {
        let mut inside_ns = 0;
        let (key, reason) = match answer.kind {
            Some(recover_response::Kind::Depth(depth)) => {
                inside_ns = depth.latency.map_or(0, |latency| latency.end_to_end_ns);
                ((depth.sensor_id, depth.sequence), None)
            }
            Some(recover_response::Kind::Rejection(r)) => {
                ((r.sensor_id, r.sequence), Some(r.reason))
            }
            None => return,
        };
        let moment = due
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key);
        match (reason, moment) {
            (Some(reason), _) => {
                self.rejected += 1;
                if self.reasons.len() < 5 {
                    self.reasons
                        .push(format!("sensor `{}`, frame {}: {reason}", key.0, key.1));
                }
            }
            (None, Some((moment, sent_ns))) => {
                self.depth += 1;
                self.latencies_ns.push(now_ns.saturating_sub(moment));
                self.outside_ns
                    .push(now_ns.saturating_sub(sent_ns + inside_ns));
            }
            (None, None) => self.depth += 1,
        }
    }
}
