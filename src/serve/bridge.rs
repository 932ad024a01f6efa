//! Between the network's tasks and the pipeline's threads: everything that knows both.

use crate::pipeline::{
    Event, Ingress, Offer, Outlet, Payload, Policy, Sink, SinkError, depth_message,
};
use crate::wire::v1::{self, recover_request, recover_response};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};

/// Answers that may wait for a client to read them.
const ANSWERS: usize = 256;
/// How long a client may leave them full before it is cut off.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a full client is looked at again.
const LOOK: Duration = Duration::from_millis(1);

/// Clients by number, and who holds which sensor.
#[derive(Clone, Default)]
pub(super) struct Bridge(Arc<Mutex<Clients>>);

#[derive(Default)]
struct Clients {
    last: u64,
    connected: HashMap<u64, Client>,
    holders: HashMap<String, u64>,
}

struct Client {
    answers: Sender<v1::RecoverResponse>,
    /// measurements not answered yet
    pending: u64,
    /// whether it will send no more
    ended: bool,
}

impl Bridge {
    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sink that answers clients.
    pub(super) fn outlet(&self) -> Outlet {
        Outlet {
            name: "clients".to_owned(),
            policy: Policy::Block,
            capacity: 64,
            sink: Box::new(self.clone()),
        }
    }

    /// A new client: its end of the pipeline, and the answers that will come for it. They end when it has ended and
    /// everything it sent is answered.
    pub(super) fn connect(&self, ingress: Ingress) -> (Connection, Receiver<v1::RecoverResponse>) {
        let (answers, receiver) = mpsc::channel(ANSWERS);
        let mut clients = self.clients();
        clients.last += 1;
        let number = clients.last;
        let client = Client {
            answers,
            pending: 0,
            ended: false,
        };
        clients.connected.insert(number, client);
        let connection = Connection {
            number,
            bridge: self.clone(),
            ingress,
        };
        (connection, receiver)
    }

    /// Answers a client's measurement, or a description of its that was refused.
    fn answer(&self, number: u64, of_measurement: bool, kind: recover_response::Kind) {
        let answers = {
            let mut clients = self.clients();
            let Some(client) = clients.connected.get_mut(&number) else {
                return; // it has gone
            };
            client.pending -= u64::from(of_measurement);
            let answers = client.answers.clone();
            if client.ended && client.pending == 0 {
                clients.connected.remove(&number);
            }
            answers
        };
        let mut answer = v1::RecoverResponse { kind: Some(kind) };
        let since = Instant::now();
        while let Err(TrySendError::Full(back)) = answers.try_send(answer) {
            if since.elapsed() > PATIENCE {
                tracing::warn!(
                    client = number,
                    "a client does not read its answers; it is cut off"
                );
                self.clients().connected.remove(&number);
                return;
            }
            answer = back;
            std::thread::sleep(LOOK);
        }
    }
}

impl Sink for Bridge {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        match event {
            Event::Described(_) => {}
            Event::Frame(frame) => {
                let depth = recover_response::Kind::Depth(depth_message(frame));
                self.answer(frame.origin, true, depth);
            }
            Event::Rejected(r) => {
                let rejection = recover_response::Kind::Rejection(v1::Rejection {
                    sensor_id: r.sensor_id.clone(),
                    sequence: r.sequence,
                    reason: r.reason.clone(),
                });
                self.answer(r.origin, r.cause.is_some(), rejection);
            }
        }
        Ok(())
    }
}

/// A client's end of the pipeline. Dropped, it gives back the sensors it held.
pub(super) struct Connection {
    number: u64,
    bridge: Bridge,
    ingress: Ingress,
}

impl Connection {
    /// Passes a message on. Where the pipeline's policy is to block this waits for room, and with it the client's stream.
    pub(super) fn take(&self, request: v1::RecoverRequest) {
        let (payload, sensor_id, sequence, held) = match request.kind {
            Some(recover_request::Kind::Description(message)) => {
                let (id, held) = (message.sensor_id.clone(), self.claim(&message.sensor_id));
                (Some(Payload::SensorMessage(Box::new(message))), id, 0, held)
            }
            Some(recover_request::Kind::Measurement(message)) => {
                let (id, sequence) = (message.sensor_id.clone(), message.sequence);
                let held = self.holds(&id);
                (
                    Some(Payload::MeasurementMessage(Box::new(message))),
                    id,
                    sequence,
                    held,
                )
            }
            None => (None, String::new(), 0, true),
        };
        let reason = match payload {
            Some(payload) if held => return self.offer(payload),
            Some(_) => {
                "expected a sensor that this connection has described and no other holds, got another"
            }
            None => "expected a description or a measurement, got neither",
        };
        let rejection = recover_response::Kind::Rejection(v1::Rejection {
            sensor_id,
            sequence,
            reason: reason.to_owned(),
        });
        tokio::task::block_in_place(|| self.bridge.answer(self.number, false, rejection));
    }

    fn offer(&self, payload: Payload) {
        if let (Payload::MeasurementMessage(_), Some(client)) = (
            &payload,
            self.bridge.clients().connected.get_mut(&self.number),
        ) {
            client.pending += 1;
        }
        tokio::task::block_in_place(|| {
            self.ingress.offer(Offer {
                payload,
                intended_ns: self.ingress.now_ns(),
                truth: None,
                origin: self.number,
            });
        });
    }

    /// A sensor belongs to the connection that described it first, until that one ends.
    fn claim(&self, sensor_id: &str) -> bool {
        let mut clients = self.bridge.clients();
        *clients
            .holders
            .entry(sensor_id.to_owned())
            .or_insert(self.number)
            == self.number
    }

    fn holds(&self, sensor_id: &str) -> bool {
        self.bridge.clients().holders.get(sensor_id) == Some(&self.number)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut clients = self.bridge.clients();
        clients.holders.retain(|_, holder| *holder != self.number);
        if let Some(client) = clients.connected.get_mut(&self.number) {
            client.ended = true;
            if client.pending == 0 {
                clients.connected.remove(&self.number);
            }
        }
    }
}
