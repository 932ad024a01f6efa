//! Floor 3: measurements in, depth frames out, on threads of its own.
//!
//! ```text
//! source ─▶ door: decode, check ─▶ recover (a worker has its sensors for good) ─▶ render ─▶ finish ─▶ sinks ([`Place`])
//! ```
//!
//! Sources decode on their own threads; from there on stages have threads of their own, with bounded queues between
//! them. Each sensor has a lane of its own at its worker, and lanes are served in turn; [`Options::policy`] says what happens
//! when a frame finds its sensor's lane full; behind it stages wait for each other. Where frames come so seldom that each is out
//! well before the next, a worker sees them through itself, and hands them to no other stage. One more thread finds what the next pattern sets
//! make of the model while their frames are still to come. Every frame offered is accounted for exactly once: offered = emitted +
//! dropped + rejected. A sensor's frames keep their order, and what is recovered depends neither on
//! the number of workers nor on when frames come. Where a frame panics, it is given up and counted, and its sensor starts
//! cold; where finishing it does, the others go on as they were.
//!
//! ```
//! use relucent::frame::{Geometry, RangeImage};
//! use relucent::pipeline::{Event, Exposure, Options, Outlet, Payload, Pipeline, VirtualStream};
//! use relucent::{prior::Prior, recover::Settings, sim};
//! use std::sync::Arc;
//!
//! let prior = Prior::embedded()?;
//! let mut truth = RangeImage::default();
//! sim::frame(sim::Split::HeldOut, 0, &sim::rays(64, 64), &mut truth);
//! let geometry = Geometry::centred(60.0, 45.0);
//! let exposure = Exposure { sets: 1, ..Exposure::default() };
//! let mut stream = VirtualStream::new("front", geometry, &prior, 30.0, exposure, &truth)?; // instead of your driver
//!
//! let outlet = Outlet::waiting("planner", |event: &Event| {
//!     if let Event::Frame(frame) = event {
//!         println!("{}: {} m in the middle", frame.sensor.id, frame.image.range[32 * 64 + 32]);
//!     }
//! });
//! let pipeline = Pipeline::start(&prior, &Settings::default(), Options::default(), vec![outlet])?;
//! let ingress = pipeline.ingress(); // one for each thread that brings frames
//! let sensor = Arc::clone(stream.sensor());
//! ingress.offer_now(Payload::Sensor(Box::new((*sensor).clone())));
//! let measurement = stream.measure(&truth, 0)?;
//! ingress.offer_now(Payload::Measurement(Arc::clone(&sensor.id), Box::new(measurement)));
//! let summary = pipeline.finish(); // what was accepted comes out
//! assert_eq!((summary.accounts.offered, summary.accounts.emitted), (1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod current;
mod door;
mod import;
mod lanes;
mod latency;
mod ledger;
mod leisure;
mod log;
mod logged;
mod pattern;
mod queue;
mod recording;
mod replay;
mod sensor;
mod sink;
mod stages;
mod status;
mod survive;
mod timeline;
mod vault;

pub use current::ReplaceError;
pub use door::{Ingress, Offer, Payload};
pub use import::{
    Field, Import, ImportDescription, ImportError, ImportReturns, angular, depth_image, point_cloud,
};
pub use latency::{Latency, Quantiles, Stage};
pub use ledger::{Accounts, Cause};
pub use log::{FlushError, LogOptions, LogSink, depth_message, truth_message};
pub use logged::{Logged, LoggedError, logged};
pub use pattern::PatternError;
pub use queue::Policy;
pub use recording::{Exposure, RecordingError, VirtualStream};
pub use replay::{Replay, Replayed};
pub use sensor::{Histograms, MAX_PIXELS, Sensor, SensorError};
pub use sink::{Event, Frame, Outlet, Place, Rejection, Sink, SinkError, SinkReport};
pub use status::SensorStatus;
#[cfg(feature = "serve")]
pub(crate) use timeline::Timeline;
pub use vault::Vault;

use crate::clock::Monotonic;
use crate::prior::Prior;
use crate::recover::{Model, Settings, Workspace};
use current::Current;
use lanes::Lanes;
use ledger::Ledger;
use leisure::Leisure;
use serde::{Deserialize, Serialize};
use sink::{Ending, Sinks};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Frames of each sensor that may wait to be rendered, and to be finished: while one does, stages go on with the others.
const WAITING: usize = 1;

/// Sensors at most whose next pattern sets wait to be prepared.
const PREPARED: usize = 64;

/// More threads that recover than any machine has cores, and more frames of a sensor than are worth waiting for.
const MOST_WORKERS: usize = 1024;
const MOST_WAITING: usize = 65_536;

/// How a pipeline is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// threads that recover, 1 to 1024; as many again render, and as many finish what is rendered
    pub workers: usize,
    /// what happens to a frame that finds its sensor's lane full
    pub policy: Policy,
    /// frames of each sensor that may wait for its worker, 1 to 65,536
    pub capacity: usize,
    /// whether threads that have nothing to do ask for it again and again instead of sleeping: a frame need not wake them, for
    /// three cores a worker that are always busy
    pub busy_poll: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 1,
            policy: Policy::Block,
            capacity: 8,
            busy_poll: false,
        }
    }
}

impl Options {
    /// Checks the numbers.
    ///
    /// # Errors
    /// The first that cannot be.
    pub fn check(&self) -> Result<(), PipelineError> {
        for (what, most, got) in [
            ("workers", MOST_WORKERS, self.workers),
            ("capacity", MOST_WAITING, self.capacity),
        ] {
            if !(1..=most).contains(&got) {
                return Err(PipelineError::Options { what, most, got });
            }
        }
        Ok(())
    }
}

/// Why a pipeline cannot start.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// a layout that cannot be
    #[error("expected pipeline.{what} of 1 to {most}, got {got}")]
    Options {
        /// of what
        what: &'static str,
        /// the most
        most: usize,
        /// how many were asked for
        got: usize,
    },
    /// the system gives no thread
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// A running pipeline. Dropped without [`Pipeline::finish`], its threads drain and end on their own.
pub struct Pipeline {
    ingress: Ingress,
    ledger: Arc<Ledger>,
    stages: Vec<JoinHandle<()>>,
    sinks: Vec<Ending>,
    histograms: latency::Histograms,
}

/// How it went, once all is drained.
#[derive(Debug)]
pub struct Summary {
    /// what became of all frames
    pub accounts: Accounts,
    /// latencies of emitted frames, stage by stage
    pub latency: Vec<(Stage, Quantiles)>,
    /// what became of the sinks
    pub sinks: Vec<SinkReport>,
}

impl Pipeline {
    /// Starts the threads of a pipeline over the model of a prior, which itself is not needed any more: given away, and not
    /// borrowed, it is let go of as the model is made.
    ///
    /// # Errors
    /// Where there is no worker, no room for a frame, or no thread to be had.
    pub fn start<'a>(
        prior: impl Into<Cow<'a, Prior>>,
        settings: &Settings,
        options: Options,
        outlets: Vec<Outlet>,
    ) -> Result<Self, PipelineError> {
        Self::start_with(prior, settings, options, outlets, None)
    }

    /// The same, with tracks that go on from a vault's checkpoints and are kept there.
    ///
    /// # Errors
    /// As [`Pipeline::start`].
    pub fn start_with<'a>(
        prior: impl Into<Cow<'a, Prior>>,
        settings: &Settings,
        options: Options,
        outlets: Vec<Outlet>,
        vault: Option<Vault>,
    ) -> Result<Self, PipelineError> {
        let model = Arc::new(Model::new(prior, settings.error));
        Self::with_model(model, settings, options, outlets, vault)
    }

    /// The same over the model of a prior, made with the error model of `settings`.
    ///
    /// # Errors
    /// As [`Pipeline::start`].
    pub fn with_model(
        model: Arc<Model>,
        settings: &Settings,
        options: Options,
        outlets: Vec<Outlet>,
        vault: Option<Vault>,
    ) -> Result<Self, PipelineError> {
        let vault = vault.map(Arc::new);
        let Options {
            workers,
            policy,
            capacity,
            busy_poll,
        } = options;
        options.check()?;
        let ledger = Arc::new(Ledger::default());
        let clock = Monotonic::default();
        let (sinks, endings) = Sinks::start(outlets)?;
        let current = Arc::new(Current::new(model, settings.error));
        let histograms = latency::Histograms::new();
        let (mut stages, mut queues) = (vec![], vec![]);
        let thread = |name: String, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name).spawn(run)
        };
        let (ahead, wanted) = crossbeam_channel::bounded(PREPARED);
        stages.push(thread(
            "prepare".to_owned(),
            Box::new(move || stages::prepare(&wanted)),
        )?);
        for index in 0..workers {
            let (lanes, turns) = Lanes::new(policy, capacity, busy_poll);
            let (rendering, recovered) = Lanes::new(Policy::Block, WAITING, busy_poll);
            let (finishing_lanes, rendered) = Lanes::new(Policy::Block, WAITING, busy_poll);
            let (to_render, to_finish) = (turns.look_again(), recovered.look_again());
            queues.push(lanes);
            let spent = Arc::default();
            let finishing = Arc::new(Mutex::new(stages::Finishing {
                clock,
                sinks: sinks.clone(),
                latency: histograms.thread(),
                workspace: Workspace::default(),
                described: HashMap::new(),
                spent: Arc::clone(&spent),
            }));
            let renderer = Arc::new(stages::Rendering {
                clock,
                sinks: sinks.clone(),
                next: finishing_lanes,
                finishing: Arc::clone(&finishing),
                vault: vault.clone(),
            });
            let worker = stages::Worker {
                current: Arc::clone(&current),
                settings: settings.clone(),
                clock,
                sinks: sinks.clone(),
                next: rendering,
                rendering: Arc::clone(&renderer),
                leisure: Leisure::new(spent),
                vault: vault.clone(),
                ahead: ahead.clone(),
            };
            stages.push(thread(
                format!("recover {index}"),
                Box::new(move || worker.run(&turns)),
            )?);
            stages.push(thread(
                format!("render {index}"),
                Box::new(move || renderer.run(&recovered, &to_render)),
            )?);
            stages.push(thread(
                format!("finish {index}"),
                Box::new(move || stages::Finishing::run(&finishing, &rendered, &to_finish)),
            )?);
        }
        Ok(Self {
            ingress: Ingress::new(queues, sinks, Arc::clone(&ledger), current, clock),
            ledger,
            stages,
            sinks: endings,
            histograms,
        })
    }

    /// A door for a source.
    pub fn ingress(&self) -> Ingress {
        self.ingress.clone()
    }

    /// Replaces the prior while frames come: each sensor's next frame starts cold with the new one, and no frame is lost. What
    /// takes long, folding the prior, is done on the caller's thread before anything changes; then all sensors change at once.
    ///
    /// # Errors
    /// Where a sensor in use has another grid or other knots than the new prior: all go on as before.
    pub fn replace_prior<'a>(&self, prior: impl Into<Cow<'a, Prior>>) -> Result<(), ReplaceError> {
        self.ingress.replace_prior(prior)
    }

    /// What became of all frames until now.
    pub fn accounts(&self) -> Accounts {
        self.ledger.accounts()
    }

    /// Closes the door, waits until everything accepted has come out and every sink has finished.
    pub fn finish(mut self) -> Summary {
        self.ingress.close();
        for stage in self.stages.drain(..) {
            if stage.join().is_err() {
                tracing::error!("a stage of the pipeline panicked");
            }
        }
        Summary {
            sinks: self.sinks.drain(..).map(Ending::report).collect(),
            accounts: self.ledger.accounts(),
            latency: self.histograms.read(),
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.ingress.close();
    }
}
