//! The client: a log played to a server, as a sensor would send it.

use super::peer::{Peer, PeerError};
use crate::clock::{Clock, Monotonic};
use crate::journal::{JournalError, Reader, Topic};
use crate::pipeline::Timeline;
use crate::wire::v1::{self, recover_request, recover_response};
use crate::wire::{self, WireError};
use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Requests that may wait for the network.
const REQUESTS: usize = 8;
/// How late the runtime's timers may be, ns.
const TIMER_NS: u64 = 1_000_000;
/// The longest sleep before the wish to stop is looked at again, ns.
const NAP_NS: u64 = 20_000_000;

/// What to send, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Send {
    /// pace: 1 is the recording's own; 0: as fast as the server takes it
    pub rate: f64,
}

/// Of the measurements on their way of a sensor and a number, oldest first, when each should have been sent, and when it was, ns.
type Due = HashMap<(String, u64), VecDeque<(u64, u64)>>;

/// What came back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoundTrips {
    /// measurements sent
    pub sent: u64,
    /// depth frames received
    pub depth: u64,
    /// measurements that were rejected
    pub rejected: u64,
    /// measurements that had no answer when the stream ended
    pub unanswered: u64,
    /// descriptions that were refused
    pub refused_descriptions: u64,
    /// the first few rejections and refusals
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
    /// the stream ended before everything was sent and answered
    #[error(
        "expected the server to take the whole log, found the stream ended after {sent} measurements, {unanswered} of them unanswered"
    )]
    Ended {
        /// measurements sent until then
        sent: u64,
        /// of them, those without an answer
        unanswered: u64,
    },
}

/// Plays the log's measurements to a server until it ends or `stop` is set, and waits for all answers: `trips` is what came back,
/// also where the log or the stream ends in the middle.
///
/// # Errors
/// Where the log cannot be read, the server not reached, or the stream breaks or ends too early.
pub fn send(
    log: &Path,
    peer: &Peer,
    how: Send,
    stop: &AtomicBool,
    trips: &mut RoundTrips,
) -> Result<(), ClientError> {
    let reader = Reader::open(log)?;
    // all on this thread: another would have to be woken for each frame
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ClientError::Runtime)?;
    runtime.block_on(async {
        let mut client = peer.connect().await?;
        let (requests, outgoing) = mpsc::channel(REQUESTS);
        let (clock, due) = (Monotonic::default(), RefCell::default());
        let answers = async {
            let answers = client.recover(ReceiverStream::new(outgoing)).await;
            let mut answers = answers.map_err(Box::new)?.into_inner();
            while let Some(answer) = answers.message().await.map_err(Box::new)? {
                trips.take(answer, clock.now_ns(), &due);
            }
            Ok::<_, ClientError>(())
        };
        let mut sent = 0;
        let feed = feed(reader, (how, stop, clock), &due, requests, &mut sent); // the server answers what it has, and ends
        let (fed, answered) = tokio::join!(feed, answers);
        trips.sent += sent;
        trips.unanswered = trips.sent.saturating_sub(trips.depth + trips.rejected);
        answered?;
        match (fed?, trips.unanswered) {
            (Fed::All, 0) => Ok(()),
            (_, unanswered) => Err(ClientError::Ended {
                sent: trips.sent,
                unanswered,
            }),
        }
    })
}

/// How far a log was sent.
enum Fed {
    /// as far as was wanted
    All,
    /// until nobody took it any more
    Part,
}

/// Sends the log's messages at their pace, until nobody takes them any more, and counts the measurements among them.
async fn feed(
    reader: Reader,
    (how, stop, clock): (Send, &AtomicBool, Monotonic),
    due: &RefCell<Due>,
    requests: mpsc::Sender<v1::RecoverRequest>,
    sent: &mut u64,
) -> Result<Fed, ClientError> {
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
                let since = timeline.passed_ns(&message.sensor_id, entry.log_time_ns);
                let mut moment = clock.now_ns();
                if how.rate > 0.0 {
                    moment = began.saturating_add((since as f64 / how.rate) as u64);
                    wait_until(moment, clock, stop).await;
                }
                let key = (message.sensor_id.clone(), message.sequence);
                let sent = (moment, clock.now_ns());
                due.borrow_mut().entry(key).or_default().push_back(sent);
                (recover_request::Kind::Measurement(message), true)
            }
            _ => continue,
        };
        let request = v1::RecoverRequest { kind: Some(kind) };
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if requests.send(request).await.is_err() {
            return Ok(Fed::Part);
        }
        *sent += u64::from(frame);
        tokio::task::yield_now().await; // it leaves before the log is read on
    }
    Ok(Fed::All)
}

/// Waits until a moment of the clock, ns, or until `stop` is set. Timers are up to a millisecond late, so the last one is
/// spent asking.
async fn wait_until(moment: u64, clock: Monotonic, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let left = moment.saturating_sub(clock.now_ns());
        match left.checked_sub(TIMER_NS) {
            Some(sleep) => tokio::time::sleep(Duration::from_nanos(sleep.min(NAP_NS))).await,
            None if left > 0 => tokio::task::yield_now().await,
            None => return,
        }
    }
}

impl RoundTrips {
    fn take(&mut self, answer: v1::RecoverResponse, now_ns: u64, due: &RefCell<Due>) {
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
        let moment = match due.borrow_mut().entry(key.clone()) {
            Entry::Occupied(mut waiting) => {
                let first = waiting.get_mut().pop_front();
                if waiting.get().is_empty() {
                    waiting.remove();
                }
                first
            }
            Entry::Vacant(_) => None,
        };
        match (reason, moment) {
            (Some(reason), moment) => {
                let mut what = format!("sensor `{}`", key.0);
                match moment {
                    Some(_) => {
                        self.rejected += 1;
                        what += &format!(", frame {}", key.1);
                    }
                    None => self.refused_descriptions += 1,
                }
                if self.reasons.len() < 5 {
                    self.reasons.push(format!("{what}: {reason}"));
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
