//! The door: what sources bring is decoded, checked and sent to its sensor's worker, on the source's own thread.

use super::latency::Latency;
use super::ledger::{Accounts, Cause, Ledger};
use super::queue::Queue;
use super::sink::{Event, Rejection, Sinks};
use super::stages::{Job, Times};
use super::{Sensor, SensorError};
use crate::clock::{Clock, Monotonic};
use crate::frame::{Measurement, RangeImage};
use crate::wire::{self, v1};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
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
    clock: Monotonic,
}

struct Open {
    workers: Vec<Queue<Job>>,
    sinks: Sinks,
}

/// What is known of a name.
#[derive(Clone)]
struct Known {
    sensor: Arc<Sensor>,
    worker: usize,
}

impl Ingress {
    pub(super) fn new(
        workers: Vec<Queue<Job>>,
        sinks: Sinks,
        ledger: Arc<Ledger>,
        clock: Monotonic,
    ) -> Self {
        Self(Arc::new(Door {
            open: RwLock::new(Some(Open { workers, sinks })),
            sensors: Mutex::default(),
            ledger,
            clock,
        }))
    }

    /// The pipeline's clock, ns.
    pub fn now_ns(&self) -> u64 {
        self.0.clock.now_ns()
    }

    /// What became of all frames until now.
    pub fn accounts(&self) -> Accounts {
        self.0.ledger.accounts()
    }

    /// Frames that wait for each worker; none once the pipeline is closed.
    pub fn queued(&self) -> Vec<usize> {
        let open = self.0.open.read().unwrap_or_else(PoisonError::into_inner);
        let workers = open.iter().flat_map(|open| &open.workers);
        workers.map(Queue::len).collect()
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
        if let Err(refused) = door.admit(open, offer) {
            match refused.cause {
                Some(cause) => door.ledger.lose(cause),
                None => door.ledger.refuse_description(),
            }
            let rejection = Rejection { origin, ..refused };
            let (sensor, sequence) = (&rejection.sensor_id, rejection.sequence);
            tracing::debug!(sensor, sequence, reason = rejection.reason, "refused");
            open.sinks.send(&Event::Rejected(Arc::new(rejection)));
        }
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
    fn admit(&self, open: &Open, offer: Offer) -> Result<(), Rejection> {
        let mut times = Times::new(offer.intended_ns);
        times.latency.queue_ns = times.mark(self.clock.now_ns());
        let (known, measurement) = match offer.payload {
            Payload::Sensor(sensor) => return self.describe(open, *sensor),
            Payload::SensorMessage(message) => return self.describe(open, sensor(&message)?),
            Payload::SensorBytes(bytes) => {
                let message = wire::decode_description(bytes);
                let message = message.map_err(|e| Rejection::of_description("", &e))?;
                return self.describe(open, sensor(&message)?);
            }
            Payload::Measurement(id, measurement) => {
                (self.known(&id, measurement.sequence)?, *measurement)
            }
            Payload::MeasurementMessage(message) => self.measurement(&message)?,
            Payload::MeasurementBytes(bytes) => {
                let message = wire::decode_measurement(bytes);
                self.measurement(
                    &message.map_err(|e| Rejection::of_frame("", 0, Cause::Undecodable, &e))?,
                )?
            }
        };
        times.latency.decode_ns = times.mark(self.clock.now_ns());
        let job = Job {
            sensor: known.sensor,
            measurement,
            truth: offer.truth,
            origin: offer.origin,
            times,
        };
        open.workers[known.worker].push(job, |job| {
            self.ledger.lose(Cause::Overload);
            let reason = "expected frames no faster than they are recovered, got more; this one was given up";
            let (id, sequence) = (&job.sensor.id, job.measurement.sequence);
            let rejection = Rejection::of_frame(id, sequence, Cause::Overload, &reason);
            open.sinks.send(&Event::Rejected(Arc::new(Rejection {
                origin: job.origin,
                ..rejection
            })));
        });
        Ok(())
    }

    /// Takes in a description; a sensor keeps its worker for good.
    fn describe(&self, open: &Open, sensor: Sensor) -> Result<(), Rejection> {
        let mut sensors = self.sensors.lock().unwrap_or_else(PoisonError::into_inner);
        let count = sensors.len();
        let sensor = Arc::new(sensor);
        if let Some(known) = sensors.get_mut(&sensor.id) {
            known.sensor = sensor;
            return Ok(());
        }
        if count == MAX_SENSORS {
            let reason = format!("expected at most {MAX_SENSORS} sensors, got one more");
            return Err(Rejection::of_description(&sensor.id, &reason));
        }
        let worker = count % open.workers.len();
        sensors.insert(Arc::clone(&sensor.id), Known { sensor, worker });
        Ok(())
    }

    fn known(&self, id: &str, sequence: u64) -> Result<Known, Rejection> {
        let sensors = self.sensors.lock().unwrap_or_else(PoisonError::into_inner);
        sensors.get(id).cloned().ok_or_else(|| {
            let reason = "expected a sensor that has described itself, got an unknown one";
            Rejection::of_frame(id, sequence, Cause::UnknownSensor, &reason)
        })
    }

    fn measurement(
        &self,
        message: &v1::MeasurementFrame,
    ) -> Result<(Known, Measurement), Rejection> {
        let (id, sequence) = (&message.sensor_id, message.sequence);
        let known = self.known(id, sequence)?;
        let measurement = known.sensor.measurement(message);
        let invalid = |e: SensorError| Rejection::of_frame(id, sequence, Cause::Invalid, &e);
        let measurement = measurement.map_err(invalid)?;
        Ok((known, measurement))
    }
}

fn sensor(message: &v1::SensorDescription) -> Result<Sensor, Rejection> {
    Sensor::from_message(message).map_err(|e| Rejection::of_description(&message.sensor_id, &e))
}

impl Times {
    fn new(intended: u64) -> Self {
        Self {
            intended,
            latency: Latency::default(),
            last: intended,
        }
    }
}
