//! Between the network's tasks and the pipeline's threads: everything that knows both.
//!
//! A stream has a seat for each of its frames, from being read until its answer is handed to the network. Its answers
//! therefore always find room, and the sink that gives them waits for nobody: a client that does not read its answers is
//! not read itself, which gRPC's flow control lets it feel.

use super::holders::Holders;
use super::limits::Limits;
use super::subscribers::{Subscribers, Subscription};
use crate::pipeline::{
    Event, Frame, Ingress, Offer, Outlet, Payload, Place, Sensor, Sink, SinkError,
};
use crate::wire::v1::{self, recover_request};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{AcquireError, Semaphore};
use tonic::Status;

/// What a stream is answered.
pub(super) enum Answer {
    /// its frame was recovered
    Frame(Arc<Frame>),
    /// a message of its was not used
    Rejection(v1::Rejection),
    /// it is ended
    End(Status),
}

/// Streams by number, who holds which sensor, and who watches.
#[derive(Clone)]
pub(super) struct Bridge(Arc<Shared>);

struct Shared {
    limits: Limits,
    numbers: AtomicU64,
    streams: Mutex<HashMap<u64, Stream>>,
    holders: Mutex<Holders>,
    subscribers: Subscribers,
    refused_descriptions: AtomicU64,
    refused_measurements: AtomicU64,
    stopping: AtomicBool,
}

struct Stream {
    answers: Sender<Answer>,
    /// measurements not answered yet
    pending: u64,
    /// whether it will send no more
    ended: bool,
    /// why, where it was not its own doing; told when all is answered
    reason: Option<Status>,
}

impl Bridge {
    pub(super) fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared {
            limits,
            numbers: AtomicU64::new(1), // 0 is nobody
            streams: Mutex::default(),
            holders: Mutex::default(),
            subscribers: Subscribers::default(),
            refused_descriptions: AtomicU64::new(0),
            refused_measurements: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        }))
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<u64, Stream>> {
        self.0
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.0
            .holders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The sink that answers streams and tells subscribers.
    pub(super) fn outlet(&self) -> Outlet {
        Outlet {
            name: "clients".to_owned(),
            place: Place::Pipeline,
            sink: Box::new(self.clone()),
        }
    }

    /// A new stream: its end of the pipeline, and the answers that will come for it. They end when it has ended and
    /// everything it sent is answered.
    pub(super) fn connect(&self, ingress: Ingress) -> (Line, Answers) {
        let seats = self.0.limits.in_flight;
        let (answers, receiver) = mpsc::channel(seats + 1); // one more, for why it is ended
        let number = self.0.numbers.fetch_add(1, Ordering::Relaxed);
        let stream = Stream {
            answers: answers.clone(),
            pending: 0,
            ended: false,
            reason: None,
        };
        self.streams().insert(number, stream);
        let seats = Arc::new(Semaphore::new(seats));
        let line = Line {
            number,
            answers,
            seats: Arc::clone(&seats),
            bridge: self.clone(),
            ingress,
        };
        (line, Answers { receiver, seats })
    }

    /// A new subscriber of the sensors `wanted`, or of all; `None` where there are too many.
    pub(super) fn subscribe(
        &self,
        wanted: HashSet<String>,
        ingress: &Ingress,
    ) -> Option<Subscription> {
        if self.0.stopping.load(Ordering::Relaxed) {
            return None;
        }
        let held = self.holders().all();
        let held: Vec<Arc<Sensor>> = held.iter().filter_map(|id| ingress.sensor(id)).collect();
        let limits = &self.0.limits;
        let room = (limits.subscribers, limits.subscriber_frames);
        self.0.subscribers.join(wanted, &held, room)
    }

    /// What only the bridge can count; the rest is the pipeline's and the listener's.
    pub(super) fn count(&self, stats: &mut v1::StatsResponse) {
        let (subscribers, lost) = self.0.subscribers.counts();
        stats.refused_descriptions += self.0.refused_descriptions.load(Ordering::Relaxed);
        stats.refused_measurements = self.0.refused_measurements.load(Ordering::Relaxed);
        stats.streams = self.streams().len() as u32;
        stats.subscribers = subscribers as u32;
        stats.subscribers_lost = lost;
    }

    /// Lets subscribers go as soon as the last stream has its answers.
    pub(super) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.let_go(&self.streams());
    }

    fn let_go(&self, streams: &HashMap<u64, Stream>) {
        if streams.is_empty() && self.0.stopping.load(Ordering::Relaxed) {
            self.0.subscribers.end();
        }
    }

    /// Answers a stream's measurement.
    fn answer(&self, number: u64, answer: Answer) {
        let mut streams = self.streams();
        let Some(stream) = streams.get_mut(&number) else {
            return; // it is nobody's
        };
        stream.pending = stream.pending.saturating_sub(1);
        // it has a seat, so there is room; where it does not read any more, there is nobody to tell
        let _ = stream.answers.try_send(answer);
        self.settle(&mut streams, number);
    }

    /// Forgets a stream that has ended and has all its answers, and tells it why where there is something to tell.
    fn settle(&self, streams: &mut HashMap<u64, Stream>, number: u64) {
        let settled = |stream: &&Stream| stream.ended && stream.pending == 0;
        if streams.get(&number).filter(settled).is_none() {
            return;
        }
        if let Some(Stream {
            answers,
            reason: Some(reason),
            ..
        }) = streams.remove(&number)
        {
            let _ = answers.try_send(Answer::End(reason)); // there is a place for it
        }
        self.let_go(streams);
    }
}

impl Sink for Bridge {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        match event {
            Event::Described(_) => {}
            Event::Frame(frame) => {
                self.0.subscribers.publish(frame);
                self.answer(frame.origin, Answer::Frame(Arc::clone(frame)));
            }
            Event::Rejected(rejection) if rejection.cause.is_some() => {
                let answer = Answer::Rejection(v1::Rejection {
                    sensor_id: rejection.sensor_id.clone(),
                    sequence: rejection.sequence,
                    reason: rejection.reason.clone(),
                });
                self.answer(rejection.origin, answer);
            }
            Event::Rejected(_) => {} // a description's, whose stream was told at once
        }
        Ok(())
    }
}

/// A stream's answers, each of which frees a seat.
pub(super) struct Answers {
    receiver: Receiver<Answer>,
    seats: Arc<Semaphore>,
}

impl Answers {
    /// The next answer, as soon as the network has room for it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let answer = ready!(self.receiver.poll_recv(cx));
        if matches!(answer, Some(Answer::Frame(_) | Answer::Rejection(_))) {
            self.seats.add_permits(1);
        }
        Poll::Ready(answer)
    }
}

/// A stream's end of the pipeline. Dropped, it gives back the sensors it held.
pub(super) struct Line {
    number: u64,
    answers: Sender<Answer>,
    seats: Arc<Semaphore>,
    bridge: Bridge,
    ingress: Ingress,
}

impl Line {
    /// Waits for a seat, which the next message takes.
    pub(super) async fn seat(&self) -> Result<(), AcquireError> {
        self.seats.acquire().await?.forget();
        Ok(())
    }

    /// Waits until nobody reads the answers any more.
    pub(super) async fn gone(&self) {
        self.answers.closed().await;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.answers.is_closed()
    }

    /// Tells the client why its stream is ended, after its answers.
    pub(super) fn end(&self, status: Status) {
        if let Some(stream) = self.bridge.streams().get_mut(&self.number) {
            stream.reason = Some(status);
        }
    }

    /// Passes on a message that has a seat. Where the pipeline's policy is to block this waits for room, and with it the
    /// client's stream.
    pub(super) fn take(&self, request: v1::RecoverRequest) {
        let (sensor_id, sequence, reason) = match request.kind {
            Some(recover_request::Kind::Description(message)) => match self.describe(&message) {
                Ok(()) => return self.seats.add_permits(1), // it is not answered
                Err(reason) => (message.sensor_id, 0, reason),
            },
            Some(recover_request::Kind::Measurement(message)) => {
                if self.bridge.holders().holds(&message.sensor_id, self.number) {
                    return self.offer(message);
                }
                self.bridge
                    .0
                    .refused_measurements
                    .fetch_add(1, Ordering::Relaxed);
                let reason = "expected a sensor that this stream has described and no other holds, got another";
                (message.sensor_id, message.sequence, reason.to_owned())
            }
            None => {
                let reason = "expected a description or a measurement, got neither";
                (String::new(), 0, reason.to_owned())
            }
        };
        let rejection = v1::Rejection {
            sensor_id,
            sequence,
            reason,
        };
        let _ = self.answers.try_send(Answer::Rejection(rejection)); // it has a seat
    }

    fn describe(&self, message: &v1::SensorDescription) -> Result<(), String> {
        let Shared {
            limits,
            refused_descriptions,
            ..
        } = &*self.bridge.0;
        let claim = self.bridge.holders().claim(message, self.number, limits);
        let claim = claim.inspect_err(|_| {
            refused_descriptions.fetch_add(1, Ordering::Relaxed);
        })?;
        let outcome = tokio::task::block_in_place(|| self.ingress.describe(message, 0));
        self.bridge.holders().settle(claim, outcome.as_ref().ok());
        outcome.map(|_| ()).map_err(|rejection| rejection.reason)
    }

    fn offer(&self, message: v1::MeasurementFrame) {
        if let Some(stream) = self.bridge.streams().get_mut(&self.number) {
            stream.pending += 1;
        }
        let waits = self.ingress.would_wait(&message.sensor_id);
        let offer = || {
            self.ingress.offer(Offer {
                payload: Payload::MeasurementMessage(Box::new(message)),
                intended_ns: self.ingress.now_ns(),
                truth: None,
                origin: self.number,
            });
        };
        match waits {
            false => offer(), // which spares the thread that would have to take over from this one
            true => tokio::task::block_in_place(offer),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // forgotten before they are free: whoever claims one next must not have it forgotten
        let held = self.bridge.holders().of(self.number);
        held.iter().for_each(|id| self.ingress.forget(id));
        self.bridge.holders().release(self.number);
        let mut streams = self.bridge.streams();
        if let Some(stream) = streams.get_mut(&self.number) {
            stream.ended = true;
        }
        self.bridge.settle(&mut streams, self.number);
    }
}
