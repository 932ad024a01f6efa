//! The door: what sources bring is decoded, checked and sent to its sensor's worker, on the source's own thread.

mod admit;

use super::Sensor;
use super::current::{Current, ReplaceError};
use super::lanes::Lanes;
use super::ledger::{Account, Accounts, Cause, Ledger};
use super::sink::{Event, Rejection, Sinks};
use super::stages::Work;
use super::status::SensorStatus;
use crate::clock::{Clock, Monotonic};
use crate::frame::{Measurement, RangeImage};
use crate::prior::Prior;
use crate::wire::v1;
use admit::{Refused, sensor};
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// The most sensors of one pipeline.
const MAX_SENSORS: usize = 1024;
/// The longest sleep before the wish to stop is looked at again.
const NAP_NS: u64 = 20_000_000;

/// What a source brings.
#[derive(Clone, Debug)]
pub enum Payload {
    /// a sensor describes itself, or anew: its next frame starts cold
    Sensor(Box<Sensor>),
    /// the same as a message
    SensorMessage(Box<v1::SensorDescription>),
    /// the same as the bytes of one
    SensorBytes(Bytes),
    /// a frame of the sensor of this name
    Measurement(Arc<str>, Box<Measurement>),
    /// a frame as a message
    MeasurementMessage(Box<v1::MeasurementFrame>),
    /// a frame as the bytes of one
    MeasurementBytes(Bytes),
}

/// Something brought, and when it should have come.
#[derive(Clone, Debug)]
pub struct Offer {
    /// what
    pub payload: Payload,
    /// when it should have come, on [`Ingress::now_ns`]'s clock: latency counts from here, however late it really comes
    pub intended_ns: u64,
    /// what was truly there, where it is known: handed through
    pub truth: Option<Arc<RangeImage>>,
    /// who brings it: handed through, for whoever sends answers back
    pub origin: u64,
}

/// The door of a pipeline; every source has one.
#[derive(Clone)]
pub struct Ingress(Arc<Door>);

struct Door {
    /// `None` once the pipeline is closed
    open: RwLock<Option<Open>>,
    sensors: Mutex<HashMap<Arc<str>, Known>>,
    ledger: Arc<Ledger>,
    current: Arc<Current>,
    clock: Monotonic,
}

struct Open {
    workers: Vec<Lanes<Work>>,
    sinks: Sinks,
}

/// What is known of a name. It keeps its worker also where its sensor is forgotten, as frames may still be under way.
#[derive(Clone)]
struct Known {
    /// `None` once forgotten
    sensor: Option<Arc<Sensor>>,
    worker: usize,
    account: Arc<Account>,
}

impl Ingress {
    pub(super) fn new(
        workers: Vec<Lanes<Work>>,
        sinks: Sinks,
        ledger: Arc<Ledger>,
        current: Arc<Current>,
        clock: Monotonic,
    ) -> Self {
        Self(Arc::new(Door {
            open: RwLock::new(Some(Open { workers, sinks })),
            sensors: Mutex::default(),
            ledger,
            current,
            clock,
        }))
    }

    /// The pipeline's clock, ns.
    pub fn now_ns(&self) -> u64 {
        self.0.clock.now_ns()
    }

    /// Frames that wait for each worker; none once the pipeline is closed.
    pub fn queued(&self) -> Vec<usize> {
        let open = self.0.open.read().unwrap_or_else(PoisonError::into_inner);
        let workers = open.iter().flat_map(|open| &open.workers);
        workers.map(Lanes::len).collect()
    }

    /// Sleeps until a moment of the pipeline's clock, ns; false where `stop` was set before.
    pub fn wait_until(&self, moment_ns: u64, stop: &AtomicBool) -> bool {
        while !stop.load(Ordering::Relaxed) {
            let left = moment_ns.saturating_sub(self.now_ns());
            if left == 0 {
                return true;
            }
            std::thread::sleep(Duration::from_nanos(left.min(NAP_NS)));
        }
        false
    }

    /// Whether a frame of this sensor, offered now, would wait for room.
    pub fn would_wait(&self, sensor_id: &str) -> bool {
        let open = self.0.open.read().unwrap_or_else(PoisonError::into_inner);
        let worker = self.0.sensors().get(sensor_id).map(|known| known.worker);
        let lanes = open.as_ref().zip(worker);
        lanes.is_some_and(|(open, worker)| open.workers[worker].would_wait(sensor_id))
    }

    /// Offers something that should have come now.
    pub fn offer_now(&self, payload: Payload) {
        self.offer(Offer {
            payload,
            intended_ns: self.now_ns(),
            truth: None,
            origin: 0,
        });
    }

    /// Offers something; where the policy is to block, waits until there is room. What becomes of it is counted, and
    /// reaches the sinks.
    pub fn offer(&self, offer: Offer) {
        let door = &self.0;
        if offer.payload.is_frame() {
            door.ledger.offer();
        }
        let open = door.open.read().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = open.as_ref() else {
            if offer.payload.is_frame() {
                door.ledger.lose(Cause::Closed);
            }
            return;
        };
        let origin = offer.origin;
        if let Err(Refused { rejection, account }) = door.admit(open, offer) {
            match (rejection.cause, account) {
                (Some(cause), Some(account)) => account.lose(cause),
                (Some(cause), None) => door.ledger.lose(cause),
                (None, _) => door.ledger.refuse_description(),
            }
            let rejection = Rejection {
                origin,
                ..rejection
            };
            let (sensor, sequence) = (&rejection.sensor_id, rejection.sequence);
            tracing::debug!(sensor, sequence, reason = rejection.reason, "refused");
            open.sinks.send(&Event::Rejected(Arc::new(rejection)));
        }
    }

    /// Takes in a sensor's description as a frame's source would offer it, and says at once what became of it; `origin` as in
    /// [`Offer::origin`].
    ///
    /// # Errors
    /// Where it describes no sensor, or there are too many; the sinks are told too.
    pub fn describe(
        &self,
        message: &v1::SensorDescription,
        origin: u64,
    ) -> Result<Arc<Sensor>, Rejection> {
        let door = &self.0;
        let open = door.open.read().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = open.as_ref() else {
            let reason = "expected an open pipeline, got a closed one";
            return Err(Rejection::of_description(&message.sensor_id, &reason));
        };
        let outcome = sensor(message).and_then(|sensor| door.describe(open, sensor));
        outcome.map_err(|refused| {
            let rejection = Rejection { origin, ..refused };
            door.ledger.refuse_description();
            open.sinks
                .send(&Event::Rejected(Arc::new(rejection.clone())));
            rejection
        })
    }

    /// Forgets a sensor: what was accepted of it still comes out, and before its next frame it must describe itself again.
    pub fn forget(&self, sensor_id: &str) {
        let open = self.0.open.read().unwrap_or_else(PoisonError::into_inner);
        let mut sensors = self.0.sensors();
        let known = sensors.get_mut(sensor_id);
        if let (Some(open), Some(known)) = (open.as_ref(), known)
            && let Some(sensor) = known.sensor.take()
        {
            let id = Arc::clone(&sensor.id);
            open.workers[known.worker].push_beyond(&id, Work::Forget(Arc::clone(&id)));
        }
    }

    /// The sensor of this name, as it last described itself; `None` where it has not, or is forgotten.
    pub fn sensor(&self, sensor_id: &str) -> Option<Arc<Sensor>> {
        self.0.sensors().get(sensor_id)?.sensor.clone()
    }

    /// Replaces the prior of the pipeline behind, as [`super::Pipeline::replace_prior`].
    ///
    /// # Errors
    /// As there.
    pub fn replace_prior<'a>(&self, prior: impl Into<Cow<'a, Prior>>) -> Result<(), ReplaceError> {
        let current = &self.0.current;
        let (new, old) = (current.model_of(prior), current.get());
        let sensors = self.0.sensors(); // none comes until the new model is there
        for sensor in sensors.values().filter_map(|known| known.sensor.as_ref()) {
            if old.check(&sensor.description).is_ok() {
                let fits = new.check(&sensor.description);
                fits.map_err(|source| ReplaceError {
                    sensor: sensor.id.to_string(),
                    source,
                })?;
            }
        }
        current.set(new);
        Ok(())
    }

    /// What became of all frames until now.
    pub fn accounts(&self) -> Accounts {
        self.0.ledger.accounts()
    }

    /// How each sensor fares, by name; also of those forgotten, as long as there is room to remember them.
    pub fn status(&self) -> Vec<SensorStatus> {
        let sensors = self.0.sensors().clone();
        let mut status: Vec<_> = sensors
            .into_iter()
            .map(|(id, known)| {
                let (accounts, latency) = known.account.read();
                SensorStatus {
                    id,
                    described: known.sensor.is_some(),
                    accounts,
                    latency,
                }
            })
            .collect();
        status.sort_by(|a, b| a.id.cmp(&b.id));
        status
    }

    /// Lets nothing more in, and the stages behind run dry.
    pub(super) fn close(&self) {
        *self.0.open.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Payload {
    fn is_frame(&self) -> bool {
        matches!(
            self,
            Self::Measurement(..) | Self::MeasurementMessage(_) | Self::MeasurementBytes(_)
        )
    }
}

impl Door {
    fn sensors(&self) -> MutexGuard<'_, HashMap<Arc<str>, Known>> {
        self.sensors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
