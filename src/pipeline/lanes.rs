//! A worker's queue: a bounded lane for each sensor, served in turn, so that one that floods waits for itself alone.

use super::queue::Policy;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The sending end. Dropped, what waits is still served.
pub(super) struct Lanes<T>(Arc<Shared<T>>);

/// The worker's end: an iterator over what comes, a sensor's in order, sensors in turn.
pub(super) struct Turns<T>(Arc<Shared<T>>);

struct Shared<T> {
    policy: Policy,
    /// entries of one sensor that may wait, ≥ 1
    capacity: usize,
    state: Mutex<State<T>>,
    filled: Condvar,
    emptied: Condvar,
}

struct State<T> {
    lanes: HashMap<Arc<str>, VecDeque<T>>,
    /// sensors of which something waits, each once, the next first
    turns: VecDeque<Arc<str>>,
    /// threads that wait for room
    waiting: usize,
    open: bool,
}

impl<T> Lanes<T> {
    /// Lanes of at most `capacity` entries each, and the worker's end.
    pub(super) fn new(policy: Policy, capacity: usize) -> (Self, Turns<T>) {
        let shared = Arc::new(Shared {
            policy,
            capacity: capacity.max(1),
            state: Mutex::new(State {
                lanes: HashMap::new(),
                turns: VecDeque::new(),
                waiting: 0,
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
        let waits = |state: &State<T>| state.lanes.get(sensor_id).map_or(0, VecDeque::len);
        match shared.policy {
            Policy::Block => {
                while waits(&state) >= shared.capacity {
                    state.waiting += 1;
                    state = shared
                        .emptied
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                    state.waiting -= 1;
                }
                state.append(sensor_id, item);
            }
            Policy::DropNewest if waits(&state) >= shared.capacity => {
                drop(state);
                return dropped(item);
            }
            Policy::DropNewest => state.append(sensor_id, item),
            Policy::DropOldest => {
                let lane = state.lanes.get_mut(sensor_id);
                let oldest = lane
                    .filter(|lane| lane.len() >= shared.capacity)
                    .and_then(VecDeque::pop_front);
                state.append(sensor_id, item);
                drop(state);
                shared.filled.notify_one();
                if let Some(oldest) = oldest {
                    dropped(oldest);
                }
                return;
            }
        }
        drop(state);
        shared.filled.notify_one();
    }

    /// Puts an entry in however full the lane is.
    pub(super) fn push_beyond(&self, sensor_id: &Arc<str>, item: T) {
        self.0.lock().append(sensor_id, item);
        self.0.filled.notify_one();
    }
}

impl<T> Drop for Lanes<T> {
    fn drop(&mut self) {
        self.0.lock().open = false;
        self.0.filled.notify_all();
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn append(&mut self, sensor_id: &Arc<str>, item: T) {
        let lane = self.lanes.entry(Arc::clone(sensor_id)).or_default();
        let turn = lane.is_empty();
        lane.push_back(item);
        // an oldest entry that made room leaves the sensor's turn behind
        if turn && !self.turns.contains(sensor_id) {
            self.turns.push_back(Arc::clone(sensor_id));
        }
    }
}

impl<T> Turns<T> {
    /// Gives back the room of a sensor's lane where nothing waits in it.
    pub(super) fn forget(&self, sensor_id: &str) {
        let mut state = self.0.lock();
        if state.lanes.get(sensor_id).is_some_and(VecDeque::is_empty) {
            state.lanes.remove(sensor_id);
        }
    }
}

impl<T> Iterator for &Turns<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let shared = &*self.0;
        let mut state = shared.lock();
        loop {
            if let Some(sensor_id) = state.turns.pop_front() {
                let lane = state.lanes.get_mut(&sensor_id);
                let Some((item, more)) =
                    lane.and_then(|lane| lane.pop_front().map(|item| (item, !lane.is_empty())))
                else {
                    continue;
                };
                if more {
                    state.turns.push_back(sensor_id);
                }
                if state.waiting > 0 {
                    shared.emptied.notify_all();
                }
                return Some(item);
            }
            if !state.open {
                return None;
            }
            state = shared
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(policy: Policy) -> (Vec<u32>, Vec<u32>) {
        let (lanes, turns) = Lanes::new(policy, 3);
        let mut dropped = vec![];
        let (flood, quiet): (Arc<str>, Arc<str>) = ("flood".into(), "quiet".into());
        (0..5).for_each(|i| lanes.push(&flood, i, |d| dropped.push(d)));
        lanes.push(&quiet, 100, |d| dropped.push(d));
        drop(lanes);
        ((&turns).collect(), dropped)
    }

    #[test]
    fn a_full_lane_follows_its_policy_and_sensors_take_turns() {
        assert_eq!(run(Policy::DropOldest), (vec![2, 100, 3, 4], vec![0, 1]));
        assert_eq!(run(Policy::DropNewest), (vec![0, 100, 1, 2], vec![3, 4]));
    }

    #[test]
    fn the_oldest_of_a_lane_of_one_makes_room() {
        let (lanes, turns) = Lanes::new(Policy::DropOldest, 1);
        let id: Arc<str> = "a".into();
        let mut dropped = vec![];
        (0..3).for_each(|i| lanes.push(&id, i, |d| dropped.push(d)));
        lanes.push_beyond(&id, 9);
        drop(lanes);
        assert_eq!((&turns).collect::<Vec<_>>(), [2, 9]);
        assert_eq!(dropped, [0, 1]);
        turns.forget("a");
        assert!(turns.0.lock().lanes.is_empty());
    }

    #[test]
    fn block_waits_for_room_in_its_own_lane() {
        let (lanes, turns) = Lanes::new(Policy::Block, 1);
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
        let all: Vec<u32> = (&turns).collect();
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
}
