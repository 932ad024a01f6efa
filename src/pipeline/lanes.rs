//! A stage's queue: a bounded lane for each sensor. The sensor served longest ago comes next, so that one that floods waits
//! for itself alone.

use super::queue::Policy;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The sending end. Dropped, what waits is still served.
pub(super) struct Lanes<T>(Arc<Shared<T>>);

/// The stage's end: what comes, a sensor's in order.
pub(super) struct Turns<T>(Arc<Shared<T>>);

struct Shared<T> {
    policy: Policy,
    /// entries of one sensor that may wait, ≥ 1
    capacity: usize,
    /// whether the stage asks again and again instead of sleeping
    busy_poll: bool,
    state: Mutex<State<T>>,
    /// how often there was something to look at, which is told without the lock
    changes: AtomicU64,
    filled: Condvar,
    emptied: Condvar,
}

struct State<T> {
    lanes: BTreeMap<Arc<str>, Lane<T>>,
    /// entries served until now
    served: u64,
    /// threads that wait for room
    waiting: usize,
    /// whether the stage is done with all that it took
    rests: bool,
    open: bool,
}

struct Lane<T> {
    entries: VecDeque<T>,
    /// how many had been served when it last was
    served: u64,
}

impl<T> Lanes<T> {
    /// Lanes of at most `capacity` entries each, and the stage's end, which sleeps while there is nothing unless it is to
    /// `busy_poll`.
    pub(super) fn new(policy: Policy, capacity: usize, busy_poll: bool) -> (Self, Turns<T>) {
        let shared = Arc::new(Shared {
            policy,
            capacity: capacity.max(1),
            busy_poll,
            changes: AtomicU64::new(0),
            state: Mutex::new(State {
                lanes: BTreeMap::new(),
                served: 0,
                waiting: 0,
                rests: false,
                open: true,
            }),
            filled: Condvar::new(),
            emptied: Condvar::new(),
        });
        (Self(Arc::clone(&shared)), Turns(shared))
    }

    /// Puts an entry into a sensor's lane; what the policy gives up for it, always of the same sensor, goes to `dropped`.
    pub(super) fn push(&self, sensor_id: &Arc<str>, item: T, mut dropped: impl FnMut(T)) {
        let shared = &*self.0;
        let mut state = shared.lock();
        let mut given_up = None;
        match shared.policy {
            Policy::Block => {
                while state.waits(sensor_id) >= shared.capacity {
                    state.waiting += 1;
                    let woken = shared.emptied.wait(state);
                    state = woken.unwrap_or_else(PoisonError::into_inner);
                    state.waiting -= 1;
                }
                state.append(sensor_id, item);
            }
            Policy::DropNewest if state.waits(sensor_id) >= shared.capacity => {
                given_up = Some(item);
            }
            Policy::DropNewest => state.append(sensor_id, item),
            Policy::DropOldest => {
                let lane = state.lanes.get_mut(sensor_id);
                given_up = lane
                    .filter(|lane| lane.entries.len() >= shared.capacity)
                    .and_then(|lane| lane.entries.pop_front());
                state.append(sensor_id, item);
            }
        }
        drop(state);
        shared.tell();
        if let Some(item) = given_up {
            dropped(item);
        }
    }

    /// Puts an entry in however full the lane is.
    pub(super) fn push_beyond(&self, sensor_id: &Arc<str>, item: T) {
        self.0.lock().append(sensor_id, item);
        self.0.tell();
    }

    /// Entries that wait, of all sensors.
    pub(super) fn len(&self) -> usize {
        let state = self.0.lock();
        state.lanes.values().map(|lane| lane.entries.len()).sum()
    }

    /// Whether nothing waits and the stage is done with all that it took: it waits until something comes.
    pub(super) fn rests(&self) -> bool {
        let state = self.0.lock();
        state.rests && state.is_empty()
    }

    /// Whether an entry of a sensor would wait for room.
    pub(super) fn would_wait(&self, sensor_id: &str) -> bool {
        matches!(self.0.policy, Policy::Block) && !self.has_room(sensor_id)
    }

    /// Whether the lane of a sensor has room.
    pub(super) fn has_room(&self, sensor_id: &str) -> bool {
        self.0.lock().waits(sensor_id) < self.0.capacity
    }
}

impl<T> Drop for Lanes<T> {
    fn drop(&mut self) {
        self.0.lock().open = false;
        self.0.tell();
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the stage that there is something to look at.
    fn tell(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        self.filled.notify_one();
    }

    /// Waits to be told.
    fn wait<'a>(&'a self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        if !self.busy_poll {
            let woken = self.filled.wait(state);
            return woken.unwrap_or_else(PoisonError::into_inner);
        }
        let seen = self.changes.load(Ordering::Acquire);
        drop(state);
        while self.changes.load(Ordering::Acquire) == seen {
            std::thread::yield_now();
        }
        self.lock()
    }
}

impl<T> State<T> {
    fn waits(&self, sensor_id: &str) -> usize {
        let lane = self.lanes.get(sensor_id);
        lane.map_or(0, |lane| lane.entries.len())
    }

    fn append(&mut self, sensor_id: &Arc<str>, item: T) {
        let lane = self.lanes.entry(Arc::clone(sensor_id));
        let lane = lane.or_insert_with(|| Lane {
            entries: VecDeque::new(),
            served: 0,
        });
        lane.entries.push_back(item);
    }

    fn take(&mut self, ready: impl Fn(&str) -> bool) -> Option<T> {
        let filled = self.lanes.iter_mut().filter(|(_, l)| !l.entries.is_empty());
        let able = filled.filter(|(id, _)| ready(id));
        let (_, lane) = able.min_by_key(|(_, lane)| lane.served)?;
        self.served += 1;
        lane.served = self.served;
        lane.entries.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.lanes.values().all(|lane| lane.entries.is_empty())
    }
}

impl<T> Turns<T> {
    /// The next entry, of a sensor that is `ready`; waits for one, and for [`Turns::look_again`] where none is. `None` once
    /// the other end is gone and everything is served.
    pub(super) fn next(&self, ready: impl Fn(&str) -> bool) -> Option<T> {
        let shared = &*self.0;
        let mut state = shared.lock();
        loop {
            if let Some(item) = state.take(&ready) {
                state.rests = false;
                if state.waiting > 0 {
                    shared.emptied.notify_all();
                }
                return Some(item);
            }
            if !state.open && state.is_empty() {
                return None;
            }
            state.rests = true;
            state = shared.wait(state);
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// What tells the stage that another sensor may be ready.
    pub(super) fn look_again(&self) -> impl Fn() + Send + 'static
    where
        T: Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        move || {
            drop(shared.lock()); // it looks, or it waits; not between the two
            shared.tell();
        }
    }

    /// Gives back the room of a sensor's lane where nothing waits in it.
    pub(super) fn forget(&self, sensor_id: &str) {
        let mut state = self.0.lock();
        if state.waits(sensor_id) == 0 {
            state.lanes.remove(sensor_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(turns: &Turns<u32>) -> Vec<u32> {
        std::iter::from_fn(|| turns.next(|_| true)).collect()
    }

    fn run(policy: Policy) -> (Vec<u32>, Vec<u32>) {
        let (lanes, turns) = Lanes::new(policy, 3, false);
        let mut dropped = vec![];
        let (flood, quiet): (Arc<str>, Arc<str>) = ("flood".into(), "quiet".into());
        (0..5).for_each(|i| lanes.push(&flood, i, |d| dropped.push(d)));
        lanes.push(&quiet, 100, |d| dropped.push(d));
        drop(lanes);
        (all(&turns), dropped)
    }

    #[test]
    fn a_full_lane_follows_its_policy_and_sensors_take_turns() {
        assert_eq!(run(Policy::DropOldest), (vec![2, 100, 3, 4], vec![0, 1]));
        assert_eq!(run(Policy::DropNewest), (vec![0, 100, 1, 2], vec![3, 4]));
    }

    #[test]
    fn the_oldest_of_a_lane_of_one_makes_room() {
        let (lanes, turns) = Lanes::new(Policy::DropOldest, 1, false);
        let id: Arc<str> = "a".into();
        let mut dropped = vec![];
        (0..3).for_each(|i| lanes.push(&id, i, |d| dropped.push(d)));
        lanes.push_beyond(&id, 9);
        drop(lanes);
        assert_eq!(all(&turns), [2, 9]);
        assert_eq!(dropped, [0, 1]);
        turns.forget("a");
        assert!(turns.0.lock().lanes.is_empty());
    }

    fn who_comes_next(busy_poll: bool) {
        let (lanes, turns) = Lanes::new(Policy::Block, 9, busy_poll);
        let (flood, quiet): (Arc<str>, Arc<str>) = ("flood".into(), "quiet".into());
        (0..4).for_each(|i| lanes.push(&flood, i, |_| {}));
        lanes.push(&quiet, 100, |_| {});
        assert_eq!(turns.next(|_| true), Some(0), "both are new");
        assert_eq!(turns.next(|_| true), Some(100));
        assert_eq!(turns.next(|_| true), Some(1));
        lanes.push(&quiet, 101, |_| {});
        assert_eq!(turns.next(|id| id == "flood"), Some(2));
        assert_eq!(
            turns.next(|_| true),
            Some(101),
            "it waits for none before it"
        );
        let wake = turns.look_again();
        let ready = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let now = Arc::clone(&ready);
        let waiting = std::thread::spawn(move || {
            turns.next(|_| now.load(std::sync::atomic::Ordering::Relaxed))
        });
        std::thread::sleep(std::time::Duration::from_millis(20));
        ready.store(true, std::sync::atomic::Ordering::Relaxed);
        wake();
        assert_eq!(waiting.join().unwrap(), Some(3));
    }

    #[test]
    fn who_was_served_longest_ago_comes_next_unless_it_is_not_ready() {
        [false, true].into_iter().for_each(who_comes_next);
    }

    fn sleeps_when_all_is_done(busy_poll: bool) {
        let (lanes, turns) = Lanes::new(Policy::Block, 9, busy_poll);
        let id: Arc<str> = "a".into();
        assert!(!lanes.rests(), "nobody is there yet");
        let (come, came) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel();
        let stage = std::thread::spawn(move || {
            while let Some(item) = turns.next(|_| true) {
                come.send(item).unwrap();
                wait.recv().unwrap();
            }
        });
        for item in 0..3 {
            while !lanes.rests() {
                std::thread::yield_now();
            }
            lanes.push(&id, item, |_| {});
            assert!(!lanes.rests());
            assert_eq!(came.recv(), Ok(item));
            assert!(!lanes.rests(), "it is at work");
            done.send(()).unwrap();
        }
        drop(lanes);
        stage.join().unwrap();
    }

    #[test]
    fn a_stage_rests_when_all_is_done() {
        [false, true].into_iter().for_each(sleeps_when_all_is_done);
    }

    fn waits_for_room(busy_poll: bool) {
        let (lanes, turns) = Lanes::new(Policy::Block, 1, busy_poll);
        let lanes = Arc::new(lanes);
        let senders: Vec<_> = [0u32, 1000]
            .into_iter()
            .map(|base| {
                let lanes = Arc::clone(&lanes);
                std::thread::spawn(move || {
                    let id: Arc<str> = base.to_string().into();
                    (base..base + 50).for_each(|i| lanes.push(&id, i, |_| panic!("dropped")));
                })
            })
            .collect();
        drop(lanes);
        let all = all(&turns);
        senders.into_iter().for_each(|s| s.join().unwrap());
        for base in [0, 1000] {
            let of: Vec<u32> = all
                .iter()
                .copied()
                .filter(|i| i / 1000 * 1000 == base)
                .collect();
            assert_eq!(of, (base..base + 50).collect::<Vec<_>>());
        }
    }
    #[test]
    fn block_waits_for_room_in_its_own_lane() {
        [false, true].into_iter().for_each(waits_for_room);
    }
}
