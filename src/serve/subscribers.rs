//! Those who watch sensors of others: each has a queue of its own, and loses what does not fit in it.

use crate::pipeline::{Frame, Sensor};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// What a subscriber is told.
pub(super) enum News {
    /// what the frames after it are of
    Described(Arc<Sensor>),
    /// a frame
    Frame(Arc<Frame>),
}

/// A subscriber's end: what it is told, and how many frames it has lost.
pub(super) struct Subscription {
    pub(super) news: Receiver<News>,
    pub(super) lost: Arc<AtomicU64>,
}

/// All that subscribe.
#[derive(Default)]
pub(super) struct Subscribers {
    list: Mutex<Vec<Subscriber>>,
    lost: AtomicU64,
}

struct Subscriber {
    /// sensors; none: all
    wanted: HashSet<String>,
    queue: Sender<News>,
    /// what it was told of each sensor
    described: HashMap<Arc<str>, Weak<Sensor>>,
    lost: Arc<AtomicU64>,
}

impl Subscribers {
    fn list(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a subscriber of the sensors `wanted`, or of all, which at once is told of those `held`; `None` where there are
    /// `most` already.
    pub(super) fn join(
        &self,
        wanted: HashSet<String>,
        held: &[Arc<Sensor>],
        (most, frames): (usize, usize),
    ) -> Option<Subscription> {
        let (queue, news) = mpsc::channel(frames);
        let lost = Arc::<AtomicU64>::default();
        let mut subscriber = Subscriber {
            wanted,
            queue,
            described: HashMap::new(),
            lost: Arc::clone(&lost),
        };
        let held = held.iter().filter(|sensor| subscriber.wants(&sensor.id));
        for sensor in held.collect::<Vec<_>>() {
            subscriber.tell_of(sensor);
        }
        let mut list = self.list();
        list.retain(|subscriber| !subscriber.queue.is_closed());
        if list.len() >= most {
            return None;
        }
        list.push(subscriber);
        Some(Subscription { news, lost })
    }

    /// Tells whoever wants to know of a frame, and waits for nobody.
    pub(super) fn publish(&self, frame: &Arc<Frame>) {
        let mut list = self.list();
        let wanting = list.iter_mut().filter(|s| s.wants(&frame.sensor.id));
        for subscriber in wanting {
            let told = subscriber.tell_of(&frame.sensor)
                && subscriber
                    .queue
                    .try_send(News::Frame(Arc::clone(frame)))
                    .is_ok();
            if !told && !subscriber.queue.is_closed() {
                subscriber.lost.fetch_add(1, Ordering::Relaxed);
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        list.retain(|subscriber| !subscriber.queue.is_closed());
    }

    /// Those there are, and frames that subscribers have lost.
    pub(super) fn counts(&self) -> (usize, u64) {
        let list = self.list();
        let open = list.iter().filter(|s| !s.queue.is_closed()).count();
        (open, self.lost.load(Ordering::Relaxed))
    }

    /// Ends all subscriptions, once what waits in them is read.
    pub(super) fn end(&self) {
        self.list().clear();
    }
}

impl Subscriber {
    fn wants(&self, sensor_id: &str) -> bool {
        self.wanted.is_empty() || self.wanted.contains(sensor_id)
    }

    /// Tells of a sensor unless it was the last told under its name; false where there is no room.
    fn tell_of(&mut self, sensor: &Arc<Sensor>) -> bool {
        let last = self.described.get(&sensor.id);
        if last.is_some_and(|last| std::ptr::eq(last.as_ptr(), Arc::as_ptr(sensor))) {
            return true;
        }
        if self
            .queue
            .try_send(News::Described(Arc::clone(sensor)))
            .is_err()
        {
            return false;
        }
        self.described.retain(|_, sensor| sensor.strong_count() > 0);
        self.described
            .insert(Arc::clone(&sensor.id), Arc::downgrade(sensor));
        true
    }
}
