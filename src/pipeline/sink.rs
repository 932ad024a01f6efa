//! Where frames go: sinks, each on a thread of its own unless it waits for nobody.

use super::ledger::Cause;
use super::queue::{Policy, Queue};
use super::survive::survived;
use super::{Latency, Sensor};
use crate::frame::{Measurement, RangeImage};
use crate::recover::Report;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// Whose thread a sink is called on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// one of its own, with a queue before it
    Own {
        /// what happens when it is slower than the pipeline
        policy: Policy,
        /// events that may wait for it
        capacity: usize,
    },
    /// the pipeline's, whichever finished the frame, one at a time: the sink is told soonest, and must wait for nobody; it is never
    /// idle
    Pipeline,
}

/// A sink and where it is called.
pub struct Outlet {
    /// its name in reports
    pub name: String,
    /// on whose thread
    pub place: Place,
    /// itself
    pub sink: Box<dyn Sink>,
}

impl Outlet {
    /// A sink that the pipeline waits for, so that it gets everything.
    pub fn waiting(name: &str, sink: impl Sink + 'static) -> Self {
        let (policy, capacity) = (Policy::Block, 64);
        Self {
            name: name.to_owned(),
            place: Place::Own { policy, capacity },
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
pub(super) struct Sinks(Vec<End>);

#[derive(Clone)]
enum End {
    Queue {
        queue: Queue<Event>,
        name: Arc<str>,
        /// events that the queue dropped
        dropped: Arc<AtomicU64>,
    },
    Direct(Arc<Mutex<Served>>),
}

/// What is left of a sink when its pipeline has ended: its report.
pub(super) enum Ending {
    Thread(JoinHandle<SinkReport>),
    Direct(Arc<Mutex<Served>>),
}

impl Sinks {
    /// Starts a thread for each that has one of its own.
    pub(super) fn start(outlets: Vec<Outlet>) -> std::io::Result<(Self, Vec<Ending>)> {
        let (mut ends, mut endings) = (vec![], vec![]);
        for Outlet { name, place, sink } in outlets {
            let thread = std::thread::Builder::new().name(format!("sink {name}"));
            let served = Served::new(name.clone(), sink);
            match place {
                Place::Own { policy, capacity } => {
                    let (queue, events) = Queue::new(policy, capacity);
                    let dropped = Arc::<AtomicU64>::default();
                    ends.push(End::Queue {
                        queue,
                        name: name.into(),
                        dropped: Arc::clone(&dropped),
                    });
                    let thread = thread.spawn(move || served.run(&events, &dropped))?;
                    endings.push(Ending::Thread(thread));
                }
                Place::Pipeline => {
                    let served = Arc::new(Mutex::new(served));
                    ends.push(End::Direct(Arc::clone(&served)));
                    endings.push(Ending::Direct(served));
                }
            }
        }
        Ok((Self(ends), endings))
    }

    /// Hands an event to every sink.
    pub(super) fn send(&self, event: &Event) {
        for end in &self.0 {
            match end {
                End::Queue {
                    queue,
                    name,
                    dropped,
                } => queue.push(event.clone(), |_| {
                    if dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                        tracing::warn!(sink = %name, "sink is too slow and loses events");
                    }
                }),
                End::Direct(served) => {
                    // what panics in a sink ends the sink alone
                    let mut served = served.lock().unwrap_or_else(PoisonError::into_inner);
                    served.take(event);
                }
            }
        }
    }
}

impl Ending {
    /// Waits for what the sink has yet to take, and ends it.
    pub(super) fn report(self) -> SinkReport {
        let report = match self {
            Self::Thread(thread) => thread.join().ok(),
            Self::Direct(served) => Arc::into_inner(served).map(|served| {
                let served = served.into_inner();
                served.unwrap_or_else(PoisonError::into_inner).finish()
            }),
        };
        report.unwrap_or_else(|| SinkReport {
            name: "?".to_owned(),
            taken: 0,
            lost: 0,
            failure: Some("the sink did not end".into()),
        })
    }
}

/// A sink, which is not called again once it has failed, and what has become of it.
pub(super) struct Served {
    sink: Box<dyn Sink>,
    report: SinkReport,
}

impl Served {
    fn new(name: String, sink: Box<dyn Sink>) -> Self {
        let report = SinkReport {
            name,
            taken: 0,
            lost: 0,
            failure: None,
        };
        Self { sink, report }
    }

    /// Feeds it until the pipeline has ended.
    fn run(mut self, events: &Receiver<Event>, dropped: &AtomicU64) -> SinkReport {
        loop {
            match events.recv_timeout(IDLE) {
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.call(|sink| sink.idle()),
                Ok(event) => self.take(&event),
            }
        }
        let mut report = self.finish();
        report.lost += dropped.load(Ordering::Relaxed);
        report
    }

    fn take(&mut self, event: &Event) {
        match self.report.failure {
            None => self.report.taken += 1,
            Some(_) => self.report.lost += 1,
        }
        self.call(|sink| sink.take(event));
    }

    fn call(&mut self, call: impl FnOnce(&mut dyn Sink) -> Result<(), SinkError>) {
        let Self { sink, report } = self;
        if report.failure.is_some() {
            return;
        }
        report.failure = unless_panicked(|| call(&mut **sink)).err();
        if let Some(error) = &report.failure {
            let (sink, reason) = (&report.name, causes(&**error));
            tracing::error!(sink, reason, "sink failed; the pipeline goes on without it");
        }
    }

    fn finish(self) -> SinkReport {
        let Self { sink, mut report } = self;
        if report.failure.is_none() {
            report.failure = unless_panicked(|| sink.finish()).err();
        }
        report
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
