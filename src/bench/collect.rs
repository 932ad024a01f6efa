//! What becomes of every frame: a sink that notes when it came out.

use crate::pipeline::{Event, Frame, Ingress, Outlet, Place, Rejection};
use crate::recover::StartKind;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// One frame that came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// name of its sensor
    pub sensor: Arc<str>,
    /// position in the sensor's stream
    pub sequence: u64,
    /// when it should have come, ns of the pipeline's clock
    pub due_ns: u64,
    /// when the sink took it
    pub out_ns: u64,
    /// from then until it was at the door
    pub queue_ns: u64,
    /// decoding and checking
    pub decode_ns: u64,
    /// waiting for its worker
    pub recover_wait_ns: u64,
    /// preparing its pattern set at its noise level; next to nothing once that is known
    pub prepare_ns: u64,
    /// whitening, projecting, solving
    pub solve_ns: u64,
    /// of that, iterations alone
    pub iterate_ns: u64,
    /// waiting to be rendered
    pub render_wait_ns: u64,
    /// from the code to the image that total variation refines
    pub render_ns: u64,
    /// waiting to be finished
    pub finish_wait_ns: u64,
    /// from there to the frame, the unrolled network included
    pub finish_ns: u64,
    /// from the image until the sink took it
    pub sink_ns: u64,
    /// linear systems solved
    pub iterations: usize,
    /// how recovery started
    pub start: StartKind,
}

impl Sample {
    /// From the moment it was due until it was taken: whatever held it up, its source's lateness included.
    pub fn end_to_end_ns(&self) -> u64 {
        self.out_ns.saturating_sub(self.due_ns)
    }

    /// What is neither recovery nor rendering nor finishing.
    pub fn overhead_ns(&self) -> u64 {
        let worked = self.prepare_ns + self.solve_ns + self.render_ns + self.finish_ns;
        self.end_to_end_ns().saturating_sub(worked)
    }

    /// Of a frame whose origin says when it was due.
    fn of(frame: &Frame, out_ns: u64) -> Self {
        let (latency, timing, due_ns) = (&frame.latency, &frame.report.timing, frame.origin);
        Self {
            sensor: Arc::clone(&frame.sensor.id),
            sequence: frame.measurement.sequence,
            due_ns,
            out_ns,
            queue_ns: latency.queue_ns,
            decode_ns: latency.decode_ns,
            recover_wait_ns: latency.recover_wait_ns,
            prepare_ns: timing.prepare_ns,
            solve_ns: timing.solve_ns,
            iterate_ns: timing.iterate_ns,
            render_wait_ns: latency.render_wait_ns,
            render_ns: latency.render_ns,
            finish_wait_ns: latency.finish_wait_ns,
            finish_ns: latency.finish_ns,
            sink_ns: out_ns.saturating_sub(due_ns + latency.end_to_end_ns),
            iterations: frame.report.iterations,
            start: frame.report.start,
        }
    }
}

/// The samples of a run, shared with the pipeline's sink.
#[derive(Clone, Default)]
pub(super) struct Collector {
    inner: Arc<Mutex<Inner>>,
    /// whose clock tells when frames come out
    ingress: Arc<OnceLock<Ingress>>,
}

#[derive(Default)]
struct Inner {
    samples: Vec<Sample>,
    refused: Option<Arc<Rejection>>,
}

impl Collector {
    /// With room for so many samples, so that none is made while the clock runs.
    pub(super) fn new(room: usize) -> Self {
        let collector = Self::default();
        collector.with(|inner| inner.samples.reserve_exact(room));
        collector
    }

    /// The pipeline's end.
    pub(super) fn outlet(&self) -> Outlet {
        let collector = self.clone();
        Outlet {
            place: Place::Pipeline, // it only notes the time
            ..Outlet::waiting("bench", move |event: &Event| collector.take(event))
        }
    }

    /// Tells whose clock it is: of the pipeline that has the outlet.
    pub(super) fn watch(&self, ingress: Ingress) {
        self.ingress.get_or_init(|| ingress);
    }

    fn take(&self, event: &Event) {
        let out_ns = self.ingress.get().map_or(0, Ingress::now_ns);
        self.with(|inner| match event {
            Event::Frame(frame) => inner.samples.push(Sample::of(frame, out_ns)),
            Event::Rejected(rejection) => {
                inner.refused.get_or_insert_with(|| Arc::clone(rejection));
            }
            Event::Described(_) => {}
        });
    }

    /// All samples until now, and why the first frame that was refused was.
    pub(super) fn samples(&self) -> (Vec<Sample>, Option<String>) {
        self.with(|inner| {
            let refused = inner.refused.take();
            let reason = refused.map(|rejection| rejection.reason.clone());
            (std::mem::take(&mut inner.samples), reason)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
