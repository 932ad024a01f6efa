//! Bounded queues, each with a policy for when it is full.

use crossbeam_channel::{Receiver, SendError, Sender, TrySendError, bounded};
use serde::{Deserialize, Serialize};

/// What happens to a frame that finds a queue full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// whoever brings it waits: nothing is lost, and time is
    #[default]
    Block,
    /// the frame that has waited longest makes room: what comes out is fresh
    DropOldest,
    /// it is turned away: what was accepted comes out
    DropNewest,
}

/// The sending end of a queue.
#[derive(Debug)]
pub(super) struct Queue<T> {
    policy: Policy,
    sender: Sender<T>,
    /// takes out what makes room; never keeps the queue alive for its reader, who waits for senders
    evict: Receiver<T>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy,
            sender: self.sender.clone(),
            evict: self.evict.clone(),
        }
    }
}

impl<T> Queue<T> {
    /// A queue of at most `capacity` entries, and its receiving end.
    pub(super) fn new(policy: Policy, capacity: usize) -> (Self, Receiver<T>) {
        let (sender, receiver) = bounded(capacity.max(1));
        let queue = Self {
            policy,
            sender,
            evict: receiver.clone(),
        };
        (queue, receiver)
    }

    /// Puts an entry in; what the policy gives up for it goes to `dropped`.
    pub(super) fn push(&self, item: T, mut dropped: impl FnMut(T)) {
        match self.policy {
            Policy::Block => {
                if let Err(SendError(item)) = self.sender.send(item) {
                    dropped(item); // cannot be: this end holds a receiver
                }
            }
            Policy::DropNewest => {
                if let Err(error) = self.sender.try_send(item) {
                    dropped(error.into_inner());
                }
            }
            Policy::DropOldest => {
                let mut item = item;
                while let Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) =
                    self.sender.try_send(item)
                {
                    if let Ok(oldest) = self.evict.try_recv() {
                        dropped(oldest);
                    }
                    item = back;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(policy: Policy) -> (Vec<u32>, Vec<u32>) {
        let (queue, receiver) = Queue::new(policy, 3);
        let mut dropped = vec![];
        (0..5).for_each(|i| queue.push(i, |d| dropped.push(d)));
        drop(queue);
        (receiver.iter().collect(), dropped)
    }

    #[test]
    fn a_full_queue_follows_its_policy() {
        assert_eq!(run(Policy::DropOldest), (vec![2, 3, 4], vec![0, 1]));
        assert_eq!(run(Policy::DropNewest), (vec![0, 1, 2], vec![3, 4]));
    }

    #[test]
    fn block_waits_for_room() {
        let (queue, receiver) = Queue::new(Policy::Block, 1);
        let sender = std::thread::spawn(move || {
            (0..50).for_each(|i| queue.push(i, |_| panic!("nothing is dropped")));
        });
        assert_eq!(
            receiver.iter().collect::<Vec<_>>(),
            (0..50).collect::<Vec<_>>()
        );
        sender.join().unwrap();
    }
}
