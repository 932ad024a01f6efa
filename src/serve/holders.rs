//! Which stream holds which sensor, and how much their descriptions may take together.

use super::limits::Limits;
use crate::pipeline::Sensor;
use crate::recover::MOST_TOGETHER;
use crate::wire::v1;
use prost::Message;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// Descriptions in use per sensor that there may be: older ones stay in use while frames of them are under way.
const DESCRIPTIONS_PER_SENSOR: usize = 4;

/// Sensors and the streams that hold them.
#[derive(Default)]
pub(super) struct Holders {
    streams: HashMap<String, u64>,
    /// descriptions that were accepted, as long as anything uses them
    used: Vec<(Weak<Sensor>, Size)>,
    /// of descriptions that are being looked at
    reserved: Size,
}

/// What a description takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    bytes: usize,
    /// see [`Limits::pattern_pixels`]
    pixels: usize,
}

/// Products of two readings that take as much as a pixel.
const AS_A_PIXEL: usize = 320;

/// What preparing its pattern sets takes, in pixels: a set's own, or, where its readings are many, what it takes to whiten them.
fn pattern_pixels(message: &v1::SensorDescription) -> usize {
    use v1::pattern_set::Kind;
    let pixels = (message.rows as usize).saturating_mul(message.cols as usize);
    let channels = message.range_knots_m.len() / 4;
    let of_set = |set: &v1::PatternSet| {
        let readings = match &set.kind {
            Some(Kind::Hadamard(h)) => h.rows.len() / 4,
            Some(Kind::Dense(d)) => d.readings as usize,
            Some(Kind::Mask(m)) => m.pixels.len() / 4,
            Some(Kind::Blocks(b)) => pixels / (b.side as usize).pow(2).max(1),
            Some(Kind::Fourier(f)) => f.coefficients.len() / 2,
            None => 0,
        };
        let together = readings.min(MOST_TOGETHER).pow(2);
        pixels.max(channels.saturating_mul(together) / AS_A_PIXEL)
    };
    let sets = message.pattern_sets.iter().map(of_set);
    sets.fold(0, usize::saturating_add)
}

/// Leave to describe a sensor; it must be settled.
pub(super) struct Claim {
    sensor_id: String,
    stream: u64,
    size: Size,
    /// whether the stream did not hold the sensor before
    new: bool,
}

impl Holders {
    /// Asks for a sensor on behalf of a stream: it belongs to the one that asked first, until that one ends.
    pub(super) fn claim(
        &mut self,
        message: &v1::SensorDescription,
        stream: u64,
        limits: &Limits,
    ) -> Result<Claim, String> {
        let id = &message.sensor_id;
        let held = self.streams.get(id).copied();
        match held {
            Some(other) if other != stream => {
                return Err(
                    "expected a sensor that no other stream holds, got one that another does"
                        .to_owned(),
                );
            }
            Some(_) => {}
            None => self.check_room(stream, limits)?,
        }
        let size = Size {
            bytes: message.encoded_len(),
            pixels: pattern_pixels(message),
        };
        self.check_size(size, limits)?;
        self.reserved = self.reserved.plus(size);
        self.streams.insert(id.clone(), stream);
        Ok(Claim {
            sensor_id: id.clone(),
            stream,
            size,
            new: held.is_none(),
        })
    }

    /// Ends a claim, with the sensor where the description was accepted; where it was not, and the stream had not held the
    /// sensor before, it is free again.
    pub(super) fn settle(&mut self, claim: Claim, sensor: Option<&Arc<Sensor>>) {
        self.reserved = self.reserved.minus(claim.size);
        match sensor {
            Some(sensor) => self.used.push((Arc::downgrade(sensor), claim.size)),
            None if claim.new && self.holds(&claim.sensor_id, claim.stream) => {
                self.streams.remove(&claim.sensor_id);
            }
            None => {}
        }
    }

    pub(super) fn holds(&self, sensor_id: &str, stream: u64) -> bool {
        self.streams.get(sensor_id) == Some(&stream)
    }

    /// The sensors of a stream.
    pub(super) fn of(&self, stream: u64) -> Vec<String> {
        let held = self.streams.iter().filter(|(_, of)| **of == stream);
        held.map(|(id, _)| id.clone()).collect()
    }

    /// All sensors that are held.
    pub(super) fn all(&self) -> Vec<String> {
        self.streams.keys().cloned().collect()
    }

    /// Frees the sensors of a stream.
    pub(super) fn release(&mut self, stream: u64) {
        self.streams.retain(|_, holder| *holder != stream);
    }

    fn check_room(&self, stream: u64, limits: &Limits) -> Result<(), String> {
        let most = limits.sensors;
        if self.streams.len() >= most {
            return Err(format!("expected at most {most} sensors, got one more"));
        }
        let most = limits.sensors_per_stream;
        if self.of(stream).len() >= most {
            return Err(format!(
                "expected at most {most} sensors on one stream, got one more"
            ));
        }
        Ok(())
    }

    fn check_size(&mut self, size: Size, limits: &Limits) -> Result<(), String> {
        self.used.retain(|(sensor, _)| sensor.strong_count() > 0);
        let most = limits.sensors.saturating_mul(DESCRIPTIONS_PER_SENSOR);
        if self.used.len() >= most {
            return Err(format!(
                "expected at most {most} descriptions in use, got one more"
            ));
        }
        let used = self.used.iter().map(|(_, size)| *size);
        let used = used.fold(self.reserved, Size::plus);
        for (what, got, before, most) in [
            ("bytes", size.bytes, used.bytes, limits.description_bytes),
            (
                "pattern pixels",
                size.pixels,
                used.pixels,
                limits.pattern_pixels,
            ),
        ] {
            if before.saturating_add(got) > most {
                let left = most.saturating_sub(before);
                return Err(format!(
                    "expected a description of at most {left} {what}, as all in use may take {most}, got one of {got}"
                ));
            }
        }
        Ok(())
    }
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            pixels: self.pixels.saturating_add(other.pixels),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            pixels: self.pixels.saturating_sub(other.pixels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior::Prior;
    use crate::sim;

    fn sensor() -> Arc<Sensor> {
        let prior = Prior::embedded().unwrap();
        let description = sim::describe((8, 8), &prior.knots, 30.0, (1, 10), 1).unwrap();
        let geometry = crate::frame::Geometry::centred(60.0, 45.0);
        Arc::new(Sensor::new("a", geometry, Arc::new(description)))
    }

    fn named(sensor: &Sensor, id: &str) -> v1::SensorDescription {
        v1::SensorDescription {
            sensor_id: id.to_owned(),
            ..sensor.to_message()
        }
    }

    #[test]
    fn a_sensor_belongs_to_the_stream_that_asked_first() {
        let (mut holders, limits, sensor) = (Holders::default(), Limits::default(), sensor());
        let a = named(&sensor, "a");
        let claim = holders.claim(&a, 1, &limits).unwrap();
        assert!(
            holders
                .claim(&a, 2, &limits)
                .err()
                .unwrap()
                .contains("another")
        );
        holders.settle(claim, Some(&sensor));
        let again = holders.claim(&a, 1, &limits).unwrap();
        holders.settle(again, None); // refused, but it was held before
        assert!(holders.holds("a", 1) && !holders.holds("a", 2));
        holders.release(1);
        let refused = holders.claim(&a, 2, &limits).unwrap();
        holders.settle(refused, None);
        assert!(!holders.holds("a", 2), "what was refused holds nothing");
        assert_eq!(holders.reserved, Size::default());
    }

    #[test]
    fn many_readings_count_for_more_than_their_pixels() {
        let prior = Prior::embedded().unwrap();
        let pixels = |readings| {
            let description = sim::describe((64, 64), &prior.knots, 30.0, (3, readings), 1);
            let geometry = crate::frame::Geometry::centred(60.0, 45.0);
            let sensor = Sensor::new("a", geometry, Arc::new(description.unwrap()));
            pattern_pixels(&sensor.to_message())
        };
        assert_eq!(pixels(205), 3 * 4096);
        assert_eq!(pixels(2048), 3 * (6 * 2048 * 2048 / 320));
    }

    #[test]
    fn each_limit_is_named() {
        let sensor = sensor();
        let bytes = sensor.to_message().encoded_len();
        let limits = Limits {
            sensors: 2,
            sensors_per_stream: 1,
            description_bytes: 2 * bytes,
            pattern_pixels: 100,
            ..Limits::default()
        };
        let mut holders = Holders::default();
        let claim = holders.claim(&named(&sensor, "a"), 1, &limits).unwrap();
        holders.settle(claim, Some(&sensor));
        let mut refusal = |id: &str, stream, limits: &Limits| {
            holders
                .claim(&named(&sensor, id), stream, limits)
                .err()
                .unwrap()
        };
        assert!(refusal("b", 1, &limits).contains("at most 1 sensors on one stream"));
        let pixels = refusal("b", 2, &limits);
        assert!(
            pixels.contains("at most 36 pattern pixels") && pixels.contains("got one of 64"),
            "{pixels}"
        );
        let tight = Limits {
            description_bytes: bytes + 7,
            pattern_pixels: 1000,
            ..limits
        };
        let text = refusal("b", 2, &tight);
        assert!(
            text.contains("at most 7 bytes") && text.contains(&bytes.to_string()),
            "{text}"
        );
        let one = Limits {
            sensors: 1,
            ..limits
        };
        assert!(refusal("b", 2, &one).contains("at most 1 sensors"));
        drop(sensor); // nothing uses the description any more
        assert!(holders.used[0].0.upgrade().is_none());
    }
}
