//! What is offered at the door is decoded, checked and sent to its sensor's lane, or refused.

use super::super::latency::Latency;
use super::super::ledger::{Account, Cause};
use super::super::sink::Rejection;
use super::super::stages::{Job, Times, Work};
use super::{Door, Known, MAX_SENSORS, Offer, Open, Payload};
use crate::clock::Clock;
use crate::frame::Measurement;
use crate::pipeline::Sensor;
use crate::wire::{self, v1};
use std::sync::Arc;

impl Door {
    pub(super) fn admit(&self, open: &Open, offer: Offer) -> Result<(), Refused> {
        let mut times = Times::new(offer.intended_ns);
        times.latency.queue_ns = times.mark(self.clock.now_ns());
        let (sensor, known, measurement) = match offer.payload {
            Payload::Sensor(sensor) => {
                self.describe(open, *sensor)?;
                return Ok(());
            }
            Payload::SensorMessage(message) => {
                self.describe(open, sensor(&message)?)?;
                return Ok(());
            }
            Payload::SensorBytes(bytes) => {
                let message = wire::decode_description(bytes);
                let message = message.map_err(|e| Rejection::of_description("", &e))?;
                self.describe(open, sensor(&message)?)?;
                return Ok(());
            }
            Payload::Measurement(id, measurement) => {
                let (sensor, known) = self.known(&id, measurement.sequence)?;
                (sensor, known, *measurement)
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
        let id = Arc::clone(&sensor.id);
        let job = Job {
            sensor,
            account: known.account,
            measurement,
            truth: offer.truth,
            origin: offer.origin,
            times,
        };
        let worker = &open.workers[known.worker];
        worker.push(&id, Work::Frame(Box::new(job)), |work| {
            let Work::Frame(job) = work else {
                return; // a frame under another description has taken its place, and starts anew
            };
            let reason = "expected frames no faster than they are recovered, got more; this one was given up";
            job.lose(Cause::Overload, &reason, &open.sinks);
        });
        let sensors = self.sensors(); // held, or whoever describes it now would have it forgotten
        let is_held = |known: &Known| known.sensor.is_some();
        if !sensors.get(&id).is_some_and(is_held) {
            worker.push_beyond(&id, Work::Forget(Arc::clone(&id))); // forgotten while the frame waited for room
        }
        Ok(())
    }

    /// Takes in a description.
    pub(super) fn describe(&self, open: &Open, sensor: Sensor) -> Result<Arc<Sensor>, Rejection> {
        let mut sensors = self.sensors();
        let sensor = Arc::new(sensor);
        if let Some(known) = sensors.get_mut(&sensor.id) {
            known.sensor = Some(Arc::clone(&sensor));
            return Ok(sensor);
        }
        if sensors.len() == MAX_SENSORS {
            let forgotten = sensors.iter().find(|(_, known)| known.sensor.is_none());
            let Some(forgotten) = forgotten.map(|(id, _)| Arc::clone(id)) else {
                let reason = format!("expected at most {MAX_SENSORS} sensors, got one more");
                return Err(Rejection::of_description(&sensor.id, &reason));
            };
            sensors.remove(&forgotten);
        }
        let mut load = vec![0usize; open.workers.len()];
        let described = sensors.values().filter(|known| known.sensor.is_some());
        described.for_each(|known| load[known.worker] += 1);
        let worker = (0..load.len()).min_by_key(|&w| load[w]).unwrap_or(0);
        let known = Known {
            sensor: Some(Arc::clone(&sensor)),
            worker,
            account: Arc::new(Account::new(Arc::clone(&self.ledger))),
        };
        sensors.insert(Arc::clone(&sensor.id), known);
        Ok(sensor)
    }

    /// A frame's sensor; the frame counts as offered there.
    fn known(&self, id: &str, sequence: u64) -> Result<(Arc<Sensor>, Known), Rejection> {
        let sensors = self.sensors();
        let known = sensors.get(id).cloned();
        let known = known.and_then(|known| Some((known.sensor.clone()?, known)));
        let known = known.ok_or_else(|| {
            let reason = "expected a sensor that has described itself, got an unknown one";
            Rejection::of_frame(id, sequence, Cause::UnknownSensor, &reason)
        })?;
        known.1.account.offer();
        Ok(known)
    }

    fn measurement(
        &self,
        message: &v1::MeasurementFrame,
    ) -> Result<(Arc<Sensor>, Known, Measurement), Refused> {
        let (id, sequence) = (&message.sensor_id, message.sequence);
        let (sensor, known) = self.known(id, sequence)?;
        let measurement = sensor.measurement(message).map_err(|e| Refused {
            rejection: Rejection::of_frame(id, sequence, Cause::Invalid, &e),
            account: Some(Arc::clone(&known.account)),
        })?;
        Ok((sensor, known, measurement))
    }
}

/// A refusal, and the account of the sensor that it is of, where it is known.
pub(super) struct Refused {
    pub(super) rejection: Rejection,
    pub(super) account: Option<Arc<Account>>,
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self {
            rejection,
            account: None,
        }
    }
}

pub(super) fn sensor(message: &v1::SensorDescription) -> Result<Sensor, Rejection> {
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
