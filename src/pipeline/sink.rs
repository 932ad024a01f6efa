//! Where frames go, each sink on a thread of its own.

use super::ledger::Cause;
use super::queue::{Policy, Queue};
use super::survive::survived;
use super::{Latency, Sensor};
use crate::frame::{Measurement, RangeImage};
use crate::recover::Report;
use crossbeam_channel::RecvTimeoutError;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a sink is left alone at most.
const IDLE: Duration = Duration::from_millis(200);

/// What leaves the pipeline. A sensor's frames come in their order, each description before its first frame; what is refused
/// may overtake them.
#[derive(Clone, Debug)]
pub enum Event {
    /// a sensor's first frame, or its first under another description, is about to come
    Described(Arc<Sensor>),
    /// a frame was recovered
    Frame(Arc<Frame>),
    /// a frame could not be used, or was given up
    Rejected(Arc<Rejection>),
}

/// A recovered frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// the sensor
    pub sensor: Arc<Sensor>,
    /// what was measured
    pub measurement: Measurement,
    /// what was recovered
    pub image: RangeImage,
    /// how that went
    pub report: Report,
    /// how long it took
    pub latency: Latency,
    /// what was truly there, where it is known
    pub truth: Option<Arc<RangeImage>>,
    /// who brought it
    pub origin: u64,
}

/// A frame, or a description, that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// the sensor, where that much could be read
    pub sensor_id: String,
    /// position in the sensor's stream, where that much could be read; 0 of a description
    pub sequence: u64,
    /// why; `None` where a description was refused
    pub cause: Option<Cause>,
    /// what was expected and what was found
    pub reason: String,
    /// who brought it
    pub origin: u64,
}

impl Rejection {
    pub(super) fn of_frame(id: &str, sequence: u64, cause: Cause, reason: &dyn Display) -> Self {
        Self {
            sensor_id: id.to_owned(),
            sequence,
            cause: Some(cause),
            reason: reason.to_string(),
            origin: 0,
        }
    }

    pub(super) fn of_description(id: &str, reason: &dyn Display) -> Self {
        Self {
            sensor_id: id.to_owned(),
            sequence: 0,
            cause: None,
            reason: reason.to_string(),
            origin: 0,
        }
    }
}

/// Why a sink gives up.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Takes what leaves the pipeline.
pub trait Sink: Send {
    /// Takes one event.
    ///
    /// # Errors
    /// Where the sink can take no more, which a panic says too; it is not called again, and the pipeline goes on without it.
    fn take(&mut self, event: &Event) -> Result<(), SinkError>;

    /// Called where nothing has come for a while.
    ///
    /// # Errors
    /// As [`Sink::take`].
    fn idle(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Called after the last event.
    ///
    /// # Errors
    /// Where what was taken could not be brought to an end.
    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}

impl<F: FnMut(&Event) + Send> Sink for F {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        self(event);
        Ok(())
    }
}

/// A sink and how its queue behaves.
pub struct Outlet {
    /// its name in reports
    pub name: String,
    /// what happens when it is slower than the pipeline
    pub policy: Policy,
    /// events that may wait for it
    pub capacity: usize,
    /// itself
    pub sink: Box<dyn Sink>,
}

impl Outlet {
    /// A sink that the pipeline waits for, so that it gets everything.
    pub fn waiting(name: &str, sink: impl Sink + 'static) -> Self {
        Self {
            name: name.to_owned(),
            policy: Policy::Block,
            capacity: 64,
            sink: Box::new(sink),
        }
    }
}

/// What became of a sink.
#[derive(Debug)]
pub struct SinkReport {
    /// its name
    pub name: String,
    /// events it took
    pub taken: u64,
    /// events its queue dropped, or that came after it had failed
    pub lost: u64,
    /// why it failed, if it did
    pub failure: Option<SinkError>,
}

/// The pipeline's ends of all sinks.
#[derive(Clone)]
pub(super) struct Sinks(Vec<(Queue<Event>, Arc<AtomicU64>)>);

impl Sinks {
    /// Starts a thread for each.
    pub(super) fn start(
        outlets: Vec<Outlet>,
    ) -> std::io::Result<(Self, Vec<JoinHandle<SinkReport>>)> {
        let (mut ends, mut threads) = (vec![], vec![]);
        for outlet in outlets {
            let (queue, receiver) = Queue::new(outlet.policy, outlet.capacity);
            let dropped = Arc::new(AtomicU64::new(0));
            ends.push((queue, Arc::clone(&dropped)));
            threads.push(
                std::thread::Builder::new()
                    .name(format!("sink {}", outlet.name))
                    .spawn(move || serve(outlet.name, outlet.sink, &receiver, &dropped))?,
            );
        }
        Ok((Self(ends), threads))
    }

    /// Hands an event to every sink.
    pub(super) fn send(&self, event: &Event) {
        for (queue, dropped) in &self.0 {
            queue.push(event.clone(), |_| {
                dropped.fetch_add(1, Ordering::Relaxed);
            });
        }
    }
}

/// Feeds one sink until the pipeline has ended; a sink that failed is not called again.
fn serve(
    name: String,
    mut sink: Box<dyn Sink>,
    events: &crossbeam_channel::Receiver<Event>,
    dropped: &AtomicU64,
) -> SinkReport {
    let (mut taken, mut lost, mut failure) = (0, 0, None);
    loop {
        let outcome = match events.recv_timeout(IDLE) {
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if failure.is_none() => unless_panicked(|| sink.idle()),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(_) if failure.is_some() => {
                lost += 1;
                Ok(())
            }
            Ok(event) => {
                taken += 1;
                unless_panicked(|| sink.take(&event))
            }
        };
        if let Err(error) = outcome {
            let reason = causes(&*error);
            tracing::error!(
                sink = name,
                reason,
                "sink failed; the pipeline goes on without it"
            );
            failure = Some(error);
        }
    }
    if failure.is_none() {
        failure = unless_panicked(|| sink.finish()).err();
    }
    SinkReport {
        name,
        taken,
        lost: lost + dropped.load(Ordering::Relaxed),
        failure,
    }
}

/// A sink that panics has failed; its thread goes on, as the pipeline would wait for it.
fn unless_panicked(call: impl FnOnce() -> Result<(), SinkError>) -> Result<(), SinkError> {
    survived(call).unwrap_or_else(|panic| Err(panic.into()))
}

/// An error and what caused it.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
