//! Floor 3: a running pipeline as Prometheus sees it (feature `prometheus`).
//!
//! | metric | type | labels | what |
//! | --- | --- | --- | --- |
//! | `relucent_frames_offered_total` | counter | | frames that sources brought |
//! | `relucent_frames_emitted_total` | counter | | frames that came out |
//! | `relucent_frames_dropped_total` | counter | `cause`: `overload`, `closed`, `panic` | frames given up |
//! | `relucent_frames_rejected_total` | counter | `cause`: `undecodable`, `unknown_sensor`, `invalid` | frames that could not be used |
//! | `relucent_descriptions_refused_total` | counter | | descriptions that make no sensor |
//! | `relucent_starts_total` | counter | `kind`: `cold`, `warm`, `restarted` | how emitted frames began |
//! | `relucent_deadline_misses_total` | counter | | emitted frames that took longer end to end than the deadline |
//! | `relucent_stage_latency_seconds` | histogram | `stage`: see [`crate::pipeline::Stage`] | where emitted frames' time went |
//! | `relucent_residual_ratio` | histogram | | χ² of emitted frames over their readings; about 1 where the model holds |
//! | `relucent_queue_depth` | gauge | `worker` | frames that wait for a worker |
//! | `relucent_newest_frame_age_seconds` | gauge | `sensor` | time since the newest emitted frame of a sensor was due, also of one that has gone |
//!
//! Once a pipeline has drained, offered = emitted + dropped + rejected, causes summed up.
//!
//! ```
//! # use relucent::{clock::Monotonic, pipeline::{Options, Pipeline}, prior::Prior, recover::Settings, telemetry::Exporter};
//! let exporter = Exporter::new(0.033);
//! let pipeline = Pipeline::start(Prior::embedded()?, &Settings::default(), Options::default(), vec![exporter.outlet()])?;
//! exporter.watch(pipeline.ingress());
//! let endpoint = exporter.listen("127.0.0.1:0".parse()?)?; // http://…/metrics, until it is dropped
//! # assert_ne!(endpoint.address().port(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod http;
mod numbers;

pub use http::Endpoint;

use crate::clock::{Clock, Monotonic};
use crate::pipeline::{Event, Ingress, Outlet};
use numbers::{Seen, Watched};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Sensors whose newest frame is remembered: of more, those whose frames came last.
const MOST_SENSORS: usize = 1024;

/// Where a pipeline's numbers are kept, and read from.
#[derive(Clone)]
pub struct Exporter(Arc<Shared>);

struct Shared {
    registry: Registry,
    seen: Seen,
    watched: Arc<Watched>,
}

impl Exporter {
    /// Of a pipeline whose frames should take no longer than `deadline_s` end to end, s.
    pub fn new(deadline_s: f64) -> Self {
        let mut registry = Registry::with_prefix("relucent");
        let watched = Arc::new(Watched {
            door: OnceLock::new(),
            clock: Monotonic::default(),
            newest: Mutex::default(),
        });
        let seen = Seen::register(&mut registry, deadline_s);
        registry.register_collector(Box::new(Arc::clone(&watched)));
        Self(Arc::new(Shared {
            registry,
            seen,
            watched,
        }))
    }

    /// The sink that what comes out is counted at.
    pub fn outlet(&self) -> Outlet {
        let shared = Arc::clone(&self.0);
        Outlet::waiting("metrics", move |event: &Event| {
            if let Event::Frame(frame) = event {
                shared.seen.frame(frame);
                shared.watched.frame(frame);
            }
        })
    }

    /// Also shows what the pipeline behind this door counts itself; the first one counts.
    pub fn watch(&self, door: Ingress) {
        let _ = self.0.watched.door.set(door);
    }

    /// Everything, in the text format of `OpenMetrics` 1.0.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.0.registry).is_err() {
            tracing::error!("metrics cannot be written down"); // cannot be: strings take everything
        }
        text
    }

    /// Answers `GET /metrics` on an address, on a thread of its own, to whoever can reach it.
    ///
    /// # Errors
    /// Where it cannot be listened on.
    pub fn listen(&self, address: SocketAddr) -> std::io::Result<Endpoint> {
        let exporter = self.clone();
        Endpoint::start(address, move || exporter.text())
    }
}

impl Watched {
    fn frame(&self, frame: &crate::pipeline::Frame) {
        let due = (self.clock.now_ns()).saturating_sub(frame.latency.end_to_end_ns);
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert(Arc::clone(&frame.sensor.id), due);
        if newest.len() > MOST_SENSORS {
            let oldest = newest.iter().min_by_key(|(_, due)| **due);
            let oldest = oldest.map(|(sensor, _)| Arc::clone(sensor));
            oldest.and_then(|sensor| newest.remove(&sensor));
        }
    }
}
