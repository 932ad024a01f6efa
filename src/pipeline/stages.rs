//! The stages behind the door, each a loop over its queue that ends when the queue before it has; a worker with leisure does the
//! work of those behind it, too.

use super::Sensor;
use super::current::Current;
use super::lanes::{Lanes, Turns};
use super::latency::{Clockwork, Latency};
use super::ledger::{Account, Cause};
use super::leisure::{Leisure, Spent};
use super::sink::{Event, Frame, Rejection, Sinks};
use super::survive::survived;
use super::vault::{EVERY_NS, Vault};
use crate::clock::{Clock, Monotonic};
use crate::frame::{Measurement, RangeImage};
use crate::recover::{
    Ahead, Estimate, Finisher, Model, Refined, Renderer, Settings, StartKind, Tracker, Workspace,
};
use crossbeam_channel::{Receiver, Sender};
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a worker is given.
pub(super) enum Work {
    /// a frame
    Frame(Box<Job>),
    /// nothing more comes of a sensor under the description that it has
    Forget(Arc<str>),
}

/// A frame on its way to its worker.
pub(super) struct Job {
    pub(super) sensor: Arc<Sensor>,
    pub(super) account: Arc<Account>,
    pub(super) measurement: Measurement,
    pub(super) truth: Option<Arc<RangeImage>>,
    pub(super) origin: u64,
    pub(super) times: Times,
}

impl Job {
    /// Gives the frame up, and says why.
    pub(super) fn lose(&self, cause: Cause, reason: &dyn Display, sinks: &Sinks) {
        self.account.lose(cause);
        let (id, sequence) = (&self.sensor.id, self.measurement.sequence);
        let rejection = Rejection::of_frame(id, sequence, cause, reason);
        sinks.send(&Event::Rejected(Arc::new(Rejection {
            origin: self.origin,
            ..rejection
        })));
    }

    /// The same where it panicked.
    fn lose_by_panic(&self, reason: &str, sinks: &Sinks) {
        let (sensor, sequence) = (&*self.sensor.id, self.measurement.sequence);
        tracing::error!(sensor, sequence, reason, "a frame was lost");
        self.lose(Cause::Panic, &reason, sinks);
    }
}

/// Moments of a frame, ns of the pipeline's clock.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) intended: u64,
    pub(super) latency: Latency,
    /// when the last stage was done with it
    pub(super) last: u64,
}

impl Times {
    /// The time since the last mark, which is set anew.
    pub(super) fn mark(&mut self, now: u64) -> u64 {
        now.saturating_sub(std::mem::replace(&mut self.last, now))
    }
}

/// What makes a track's images and frames.
#[derive(Clone)]
pub(super) struct Makers {
    /// poisoned where rendering panicked: then the whole track is given up
    renderer: Arc<Mutex<Renderer>>,
    finisher: Arc<Finisher>,
}

/// What rendering is given.
pub(super) enum Recovered {
    /// a frame on its way to be rendered
    Frame(RecoveredFrame),
    /// as [`Work::Forget`], or nothing more comes at all; with the track that ends
    Forgotten(Arc<str>, Option<Box<Track>>),
}

/// A frame on its way to be rendered.
pub(super) struct RecoveredFrame {
    job: Box<Job>,
    estimate: Box<Estimate>,
    makers: Makers,
}

/// What finishing is given.
pub(super) enum Rendered {
    /// a frame on its way to be finished
    Frame(RenderedFrame),
    /// as [`Recovered::Forgotten`]
    Forgotten(Arc<str>),
}

/// A frame on its way to be finished.
pub(super) struct RenderedFrame {
    job: Box<Job>,
    estimate: Box<Estimate>,
    refined: Box<Refined>,
    finisher: Arc<Finisher>,
}

/// Readings become codes.
pub(super) struct Worker {
    pub(super) current: Arc<Current>,
    pub(super) settings: Settings,
    pub(super) clock: Monotonic,
    pub(super) sinks: Sinks,
    pub(super) next: Lanes<Recovered>,
    pub(super) rendering: Arc<Rendering>,
    pub(super) leisure: Leisure,
    pub(super) vault: Option<Arc<Vault>>,
    /// where what may be found before frames come is found
    pub(super) ahead: Sender<Ahead>,
}

/// One sensor's recovery under one description, with one model.
pub(super) struct Track {
    sensor: Arc<Sensor>,
    model: Arc<Model>,
    tracker: Tracker<Monotonic>,
    makers: Makers,
    /// when its last checkpoint was made, ns of the pipeline's clock
    kept: u64,
}

impl Worker {
    pub(super) fn run(mut self, turns: &Turns<Work>) {
        let mut tracks: HashMap<Arc<str>, Track> = HashMap::new();
        // of a sensor whose last frame waits to be rendered none is begun, so that others find the renderer the sooner
        while let Some(work) = turns.next(|id| self.next.has_room(id)) {
            let mut job = match work {
                Work::Frame(job) => job,
                Work::Forget(id) => {
                    let track = tracks.remove(&id).map(Box::new);
                    turns.forget(&id);
                    self.next
                        .push_beyond(&Arc::clone(&id), Recovered::Forgotten(id, track));
                    continue;
                }
            };
            let leisurely = self.leisure.at(job.times.last);
            job.times.latency.recover_wait_ns = job.times.mark(self.clock.now_ns());
            match survived(|| self.recover(&mut tracks, &job)) {
                Ok(Ok((estimate, makers))) => {
                    job.times.latency.recover_ns = job.times.mark(self.clock.now_ns());
                    let id = Arc::clone(&job.sensor.id);
                    let frame = RecoveredFrame {
                        job,
                        estimate: Box::new(estimate),
                        makers,
                    };
                    let rests = || self.next.rests() && self.rendering.next.rests();
                    if leisurely && turns.is_empty() && rests() {
                        self.see_through(frame, turns);
                    } else {
                        self.next.push(&id, Recovered::Frame(frame), |_| {}); // there is room
                    }
                }
                Ok(Err(reason)) => job.lose(Cause::Invalid, &reason, &self.sinks),
                Err(panic) => {
                    tracks.remove(&job.sensor.id);
                    job.lose_by_panic(&panic, &self.sinks);
                }
            }
        }
        for (id, track) in tracks {
            let ended = Recovered::Forgotten(Arc::clone(&id), Some(Box::new(track)));
            self.next.push_beyond(&id, ended);
        }
    }

    /// Does the work of the stages that rest: renders a frame and, where none has come meanwhile, finishes it.
    fn see_through(&self, frame: RecoveredFrame, turns: &Turns<Work>) {
        if let Some(frame) = self.rendering.render(frame) {
            match turns.is_empty() {
                true => Finishing::lock(&self.rendering.finishing).finish(frame),
                false => self.rendering.hand_on(frame),
            }
        }
    }

    fn recover(
        &self,
        tracks: &mut HashMap<Arc<str>, Track>,
        job: &Job,
    ) -> Result<(Estimate, Makers), String> {
        let (sensor, sequence) = (&*job.sensor.id, job.measurement.sequence);
        let _span = tracing::debug_span!("recover", sensor, sequence).entered();
        let model = self.current.get();
        let last = tracks.get(&job.sensor.id);
        if last.is_none_or(|track| !track.serves(&job.sensor, &model)) {
            let track = self.track(&job.sensor, model);
            tracks.remove(&job.sensor.id); // a new description starts anew, also where it cannot be used
            let track = track?; // which shares with the one before what patterns make of the model
            let d = &job.sensor.description;
            tracing::info!(
                sensor = &*job.sensor.id,
                rows = d.rows,
                cols = d.cols,
                sets = d.patterns.len(),
                "sensor described"
            );
            tracks.insert(Arc::clone(&job.sensor.id), track);
        }
        let Some(track) = tracks.get_mut(&job.sensor.id) else {
            unreachable!("a track was just made");
        };
        let estimate = track.tracker.estimate(&job.measurement);
        let estimate = estimate.map_err(|error| error.to_string())?;
        if let Some(ahead) = track.tracker.ahead() {
            let _ = self.ahead.try_send(ahead); // where many wait, frames find for themselves what they need
        }
        self.keep_now_and_then(track);
        let report = &estimate.report;
        if report.start == StartKind::Restarted {
            tracing::debug!(
                innovation_ratio = report.innovation_ratio,
                "track lost, started again"
            );
        }
        Ok((estimate, track.makers.clone()))
    }

    /// Keeps a checkpoint of a track about once a second, unless its renderer is at work just now.
    fn keep_now_and_then(&self, track: &mut Track) {
        let (Some(vault), now) = (&self.vault, self.clock.now_ns()) else {
            return;
        };
        if now.saturating_sub(track.kept) < EVERY_NS {
            return;
        }
        let checkpoint = track
            .makers
            .renderer
            .try_lock()
            .ok()
            .map(|renderer| track.tracker.checkpoint(&renderer));
        if let Some(checkpoint) = checkpoint.flatten() {
            vault.keep(&track.sensor.id, checkpoint, false);
            track.kept = now;
        }
    }

    fn track(&self, sensor: &Arc<Sensor>, model: Arc<Model>) -> Result<Track, String> {
        let tracker = Tracker::with_model(
            Arc::clone(&sensor.description),
            Arc::clone(&model),
            self.settings.clone(),
            self.clock,
        );
        let mut tracker = tracker.map_err(|error| error.to_string())?;
        let checkpoint = self.vault.as_ref().and_then(|vault| vault.take(&sensor.id));
        if let Some(checkpoint) = checkpoint {
            match tracker.restore(&checkpoint) {
                Ok(()) => tracing::info!(
                    sensor = &*sensor.id,
                    sequence = checkpoint.sequence(),
                    "goes on from a checkpoint"
                ),
                Err(error) => {
                    tracing::warn!(sensor = &*sensor.id, %error, "checkpoint not used");
                }
            }
        }
        Ok(Track {
            kept: self.clock.now_ns(),
            sensor: Arc::clone(sensor),
            model,
            makers: Makers {
                renderer: Arc::new(Mutex::new(tracker.renderer().clone())),
                finisher: Arc::clone(tracker.finisher()),
            },
            tracker,
        })
    }
}

impl Track {
    /// Whether it is of this description and model, and whole.
    fn serves(&self, sensor: &Arc<Sensor>, model: &Arc<Model>) -> bool {
        let same = Arc::ptr_eq(&self.sensor, sensor) && Arc::ptr_eq(&self.model, model);
        same && !self.makers.renderer.is_poisoned()
    }
}

/// Finds what patterns make of a model before their frames come.
pub(super) fn prepare(wanted: &Receiver<Ahead>) {
    for ahead in wanted {
        if let Err(panic) = survived(|| ahead.prepare()) {
            tracing::error!(panic, "a pattern set was not prepared"); // its first frame is going to say so too
        }
    }
}

/// Codes become images.
pub(super) struct Rendering {
    pub(super) clock: Monotonic,
    pub(super) sinks: Sinks,
    pub(super) next: Lanes<Rendered>,
    pub(super) finishing: Arc<Mutex<Finishing>>,
    pub(super) vault: Option<Arc<Vault>>,
}

impl Rendering {
    /// Renders until the worker has ended, and tells it each time that there is `room` for a frame more.
    pub(super) fn run(&self, turns: &Turns<Recovered>, room: &dyn Fn()) {
        while let Some(recovered) = turns.next(|id| self.next.has_room(id)) {
            room();
            match recovered {
                Recovered::Frame(frame) => {
                    if let Some(frame) = self.render(frame) {
                        self.hand_on(frame);
                    }
                }
                Recovered::Forgotten(id, track) => {
                    track.iter().for_each(|track| self.keep(track));
                    turns.forget(&id);
                    self.next
                        .push_beyond(&Arc::clone(&id), Rendered::Forgotten(id));
                }
            }
        }
    }

    /// Renders a frame; `None` where it is lost.
    fn render(&self, frame: RecoveredFrame) -> Option<RenderedFrame> {
        let RecoveredFrame {
            mut job,
            estimate,
            makers,
        } = frame;
        job.times.latency.render_wait_ns = job.times.mark(self.clock.now_ns());
        let refined = survived(|| render(&job, &estimate, &makers.renderer));
        match refined.and_then(|refined| refined) {
            Ok(refined) => {
                job.times.latency.render_ns = job.times.mark(self.clock.now_ns());
                Some(RenderedFrame {
                    job,
                    estimate,
                    refined: Box::new(refined),
                    finisher: makers.finisher,
                })
            }
            Err(reason) => {
                job.lose_by_panic(&reason, &self.sinks);
                None
            }
        }
    }

    /// Has a frame finished by the thread that does; there is room.
    fn hand_on(&self, frame: RenderedFrame) {
        let id = Arc::clone(&frame.job.sensor.id);
        self.next.push(&id, Rendered::Frame(frame), |_| {});
    }

    /// Keeps what a track knows whose last frame is rendered.
    fn keep(&self, track: &Track) {
        let Some(vault) = &self.vault else {
            return;
        };
        let Ok(renderer) = track.makers.renderer.lock() else {
            return; // it is given up
        };
        if let Some(checkpoint) = track.tracker.checkpoint(&renderer) {
            vault.keep(&track.sensor.id, checkpoint, true);
        }
    }
}

/// An estimate's image. Where the frame before panicked, this one was solved from it, and is given up with it.
fn render(job: &Job, estimate: &Estimate, renderer: &Mutex<Renderer>) -> Result<Refined, String> {
    let mut renderer = renderer
        .lock()
        .map_err(|_| "expected a whole track, got one of which a frame before panicked")?;
    let (sensor, sequence) = (&*job.sensor.id, job.measurement.sequence);
    let _span = tracing::debug_span!("render", sensor, sequence).entered();
    Ok(renderer.render(estimate, &job.measurement))
}

/// Images become frames, and frames leave.
pub(super) struct Finishing {
    pub(super) clock: Monotonic,
    pub(super) sinks: Sinks,
    pub(super) latency: Clockwork,
    pub(super) workspace: Workspace,
    /// as what sensors were last described to the sinks
    pub(super) described: HashMap<Arc<str>, Arc<Sensor>>,
    pub(super) spent: Arc<Spent>,
}

impl Finishing {
    /// Finishes until rendering has ended, and tells it each time that there is `room` for a frame more.
    pub(super) fn run(finishing: &Mutex<Self>, turns: &Turns<Rendered>, room: &dyn Fn()) {
        while let Some(rendered) = turns.next(|_| true) {
            room();
            match rendered {
                Rendered::Frame(frame) => Self::lock(finishing).finish(frame),
                Rendered::Forgotten(id) => {
                    Self::lock(finishing).described.remove(&id);
                    turns.forget(&id);
                }
            }
        }
    }

    /// Also after a panic: frames are told apart from what serves the next one.
    fn lock(finishing: &Mutex<Self>) -> MutexGuard<'_, Self> {
        finishing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&mut self, frame: RenderedFrame) {
        let RenderedFrame {
            mut job,
            estimate,
            refined,
            finisher,
        } = frame;
        job.times.latency.finish_wait_ns = job.times.mark(self.clock.now_ns());
        let mut image = RangeImage::default();
        let workspace = &mut self.workspace;
        let finished = survived(|| {
            let (sensor, sequence) = (&*job.sensor.id, job.measurement.sequence);
            let _span = tracing::debug_span!("finish", sensor, sequence).entered();
            let measurement = &job.measurement;
            finisher.finish(&estimate, measurement, *refined, workspace, &mut image);
        });
        if let Err(reason) = finished {
            self.workspace = Workspace::default();
            job.lose_by_panic(&reason, &self.sinks);
            return;
        }
        let times = &mut job.times;
        let now = self.clock.now_ns();
        times.latency.finish_ns = times.mark(now);
        times.latency.end_to_end_ns = now.saturating_sub(times.intended);
        let mut report = estimate.report;
        report.timing.render_ns = times.latency.render_ns + times.latency.finish_ns;
        let worked = times.latency.recover_ns + report.timing.render_ns;
        let latency = times.latency;
        let (id, sensor) = (Arc::clone(&job.sensor.id), Arc::clone(&job.sensor));
        let last = self.described.insert(id, sensor);
        if last.is_none_or(|last| !Arc::ptr_eq(&last, &job.sensor)) {
            self.sinks.send(&Event::Described(Arc::clone(&job.sensor)));
        }
        job.account.emit(&latency);
        tracing::trace!("emitted");
        self.sinks.send(&Event::Frame(Arc::new(Frame {
            sensor: job.sensor,
            measurement: job.measurement,
            image,
            report,
            latency,
            truth: job.truth,
            origin: job.origin,
        })));
        self.latency.record(&latency); // nobody asks before all threads have ended
        let taken = self.clock.now_ns().saturating_sub(now);
        self.spent.note(worked + taken);
    }
}
