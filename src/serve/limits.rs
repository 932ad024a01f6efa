//! How much of everything a server takes.

use crate::wire;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Limits of a server. Each is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// connections at once; what comes beyond is closed at once
    pub connections: usize,
    /// calls at once on a connection
    pub calls: u32,
    /// sensors that one stream may hold
    pub sensors_per_stream: usize,
    /// sensors that may be held, ≤ 1024
    pub sensors: usize,
    /// bytes of a message, a description among them
    pub message_bytes: usize,
    /// bytes of all descriptions in use: those held, and older ones of which frames are under way
    pub description_bytes: usize,
    /// pixels of all descriptions in use, each as often as there are pattern sets: patterns may take few bytes, and recovery
    /// takes some 2.5 kB for each of these. A set of more than 467 readings in each of six channels counts for more than its
    /// pixels, by the square of them: as 78,643 from 2,048 readings on
    pub pattern_pixels: usize,
    /// frames of one stream that are recovered, or whose answers wait to be read; then its stream is not read
    pub in_flight: usize,
    /// subscribers at once
    pub subscribers: usize,
    /// frames that may wait for a subscriber to read them; then it loses the next
    pub subscriber_frames: usize,
    /// seconds from connecting to the first call that is let in
    pub handshake_s: u32,
    /// seconds that a stream may be silent, or leave its answers unread, before it is ended and its sensors are free
    pub idle_s: u32,
    /// seconds between pings; who does not answer one for as long again has gone
    pub keepalive_s: u32,
    /// seconds that clients have at the end to read what was recovered for them
    pub drain_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            calls: 8,
            sensors_per_stream: 16,
            sensors: 64,
            message_bytes: 16 << 20,
            description_bytes: 256 << 20,
            pattern_pixels: 1 << 20,
            in_flight: 32,
            subscribers: 32,
            subscriber_frames: 16,
            handshake_s: 10,
            idle_s: 60,
            keepalive_s: 10,
            drain_s: 10,
        }
    }
}

/// A limit that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected serve.{name} of {least} to {most}, got {got}")]
pub struct LimitError {
    /// its key
    name: &'static str,
    /// the least it may be
    least: usize,
    /// the most it may be
    most: usize,
    /// its value
    got: usize,
}

impl Limits {
    /// Checks that each makes sense.
    ///
    /// # Errors
    /// Where one is zero or beyond what there is room for.
    pub fn check(&self) -> Result<(), LimitError> {
        let many = 1 << 20;
        let room = usize::MAX >> 1;
        for (name, got, least, most) in [
            ("connections", self.connections, 1, many),
            ("calls", self.calls as usize, 1, many),
            ("sensors_per_stream", self.sensors_per_stream, 1, 1024),
            ("sensors", self.sensors, 1, 1024),
            (
                "message_bytes",
                self.message_bytes,
                1024,
                wire::MAX_DESCRIPTION,
            ),
            ("description_bytes", self.description_bytes, 1024, room),
            ("pattern_pixels", self.pattern_pixels, 1, room),
            ("in_flight", self.in_flight, 1, many),
            ("subscribers", self.subscribers, 1, many),
            ("subscriber_frames", self.subscriber_frames, 1, many),
            ("handshake_s", self.handshake_s as usize, 1, many),
            ("idle_s", self.idle_s as usize, 1, many),
            ("keepalive_s", self.keepalive_s as usize, 1, many),
            ("drain_s", self.drain_s as usize, 1, many),
        ] {
            if got < least || got > most {
                return Err(LimitError {
                    name,
                    least,
                    most,
                    got,
                });
            }
        }
        Ok(())
    }

    pub(super) fn handshake(&self) -> Duration {
        Duration::from_secs(self.handshake_s.into())
    }

    pub(super) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_s.into())
    }

    pub(super) fn keepalive(&self) -> Duration {
        Duration::from_secs(self.keepalive_s.into())
    }

    pub(super) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_s.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_limit_that_lets_nothing_in() {
        assert_eq!(Limits::default().check(), Ok(()));
        let none = Limits {
            in_flight: 0,
            ..Limits::default()
        };
        let error = none.check().unwrap_err().to_string();
        assert_eq!(error, "expected serve.in_flight of 1 to 1048576, got 0");
    }
}
