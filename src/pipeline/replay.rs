//! A source: the measurements of a log, at their own pace, faster, slower, or as fast as they are taken.

use super::timeline::Timeline;
use super::{Ingress, Offer, Payload};
use crate::frame::RangeImage;
use crate::journal::{JournalError, Reader, Topic};
use crate::wire::{self, v1};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Which part of a log is replayed, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replay {
    /// pace: 1 is the recording's own, 2 twice as fast; 0: as fast as it is taken
    pub rate: f64,
    /// seconds of the log that are passed over; descriptions are not
    pub start_s: f64,
    /// seconds of the log that are replayed, from the start on
    pub duration_s: f64,
    /// whether to begin again at the end, until told to stop
    pub again: bool,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            rate: 0.0,
            start_s: 0.0,
            duration_s: f64::INFINITY,
            again: false,
        }
    }
}

/// What was replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Replayed {
    /// measurements offered
    pub frames: u64,
    /// seconds of the log that they span
    pub log_s: f64,
    /// seconds that offering them took
    pub wall_s: f64,
}

impl Replay {
    /// Offers the log's measurements, with the truth where the log holds it, until it ends or `stop` is set. Where the log's
    /// time goes back by more than 1 s or on by more than 60 s at once, a clock was set, and no time passes.
    ///
    /// # Errors
    /// Where the log cannot be read, is cut, or is damaged; all before that has been offered, and is in `replayed`.
    pub fn run(
        &self,
        log: &Path,
        ingress: &Ingress,
        stop: &AtomicBool,
        replayed: &mut Replayed,
    ) -> Result<(), JournalError> {
        loop {
            let before = replayed.frames;
            self.once(log, ingress, stop, replayed)?;
            let nothing = replayed.frames == before; // nor will there be
            if !self.again || nothing || stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    fn once(
        &self,
        log: &Path,
        ingress: &Ingress,
        stop: &AtomicBool,
        replayed: &mut Replayed,
    ) -> Result<(), JournalError> {
        let (before, began) = (*replayed, ingress.now_ns());
        let mut truths: HashMap<String, (u64, Arc<RangeImage>)> = HashMap::new();
        let mut timeline = Timeline::default();
        for entry in Reader::open(log)? {
            let entry = entry?;
            let Some((topic, sensor_id)) = Topic::parse(&entry.channel.topic) else {
                continue;
            };
            let time_ns = entry.log_time_ns;
            match topic {
                Topic::Description => {
                    ingress.offer_now(Payload::SensorBytes(entry.data));
                    continue;
                }
                Topic::Truth => {
                    if let Some(image) = truth(entry.data) {
                        truths.insert(sensor_id.to_owned(), (time_ns, image));
                    }
                    continue;
                }
                Topic::Measurement => {}
                _ => continue,
            }
            let since_s = timeline.passed_ns(sensor_id, time_ns) as f64 * 1e-9 - self.start_s;
            if since_s < 0.0 {
                continue;
            }
            if since_s > self.duration_s {
                break;
            }
            let intended_ns = match self.rate {
                rate if rate > 0.0 => began.saturating_add((since_s / rate * 1e9) as u64),
                _ => ingress.now_ns(),
            };
            if !ingress.wait_until(intended_ns, stop) {
                break;
            }
            let truth = truths
                .get(sensor_id)
                .filter(|(stamp_ns, _)| *stamp_ns == time_ns)
                .map(|(_, image)| Arc::clone(image));
            ingress.offer(Offer {
                payload: Payload::MeasurementBytes(entry.data),
                intended_ns,
                truth,
                origin: 0,
            });
            replayed.frames += 1;
            replayed.log_s = before.log_s + since_s;
            replayed.wall_s = before.wall_s + ingress.now_ns().saturating_sub(began) as f64 * 1e-9;
        }
        Ok(())
    }
}

fn truth(bytes: bytes::Bytes) -> Option<Arc<RangeImage>> {
    let message: v1::TruthFrame = wire::decode_frame("truth frame", bytes).ok()?;
    let image = wire::range_frame(message.frame.as_ref()?).ok()?;
    Some(Arc::new(image))
}
