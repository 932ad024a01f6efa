//! A measurement log as a whole: every sensor's measurements, with what was truly there.

use super::{Sensor, SensorError};
use crate::frame::{Measurement, RangeImage};
use crate::journal::{JournalError, Reader, Topic};
use crate::wire::{self, WireError, v1};
use bytes::Bytes;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What a log holds of one sensor.
#[derive(Clone, Debug)]
pub struct Logged {
    /// the sensor
    pub sensor: Sensor,
    /// measurements in the order of the log, each with the true frame of its sequence number and stamp, where there is one
    pub frames: Vec<(Measurement, Option<RangeImage>)>,
}

/// Why a log's measurements cannot be held against the truth.
#[derive(Debug, thiserror::Error)]
pub enum LoggedError {
    /// the log
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// a message of a sensor's topic
    #[error("sensor `{sensor}` in {log}, message on {topic}", log = log.display())]
    Message {
        /// the log
        log: PathBuf,
        /// sensor id
        sensor: String,
        /// topic of the message
        topic: String,
        /// what is wrong
        source: Box<SensorError>,
    },
    /// a sensor that is described anew measures something else
    #[error("expected one description of sensor `{sensor}` in {log}, found another", log = log.display())]
    DescribedAnew {
        /// the log
        log: PathBuf,
        /// sensor id
        sensor: String,
    },
    /// nothing says how to read measurements
    #[error("expected a description on {topic} of {log} before measurements, found none", log = log.display())]
    NoDescription {
        /// the log
        log: PathBuf,
        /// topic it should be on
        topic: String,
    },
    /// nothing to recover
    #[error("expected measurements on topics /relucent/SENSOR/measurement of {log}, found none", log = log.display())]
    NoMeasurements {
        /// the log
        log: PathBuf,
    },
    /// a true frame of another size
    #[error(
        "expected true frames of {rows} × {cols} pixels on {topic} of {log}, found one of {got_rows} × {got_cols}",
        log = log.display()
    )]
    TruthSize {
        /// the log
        log: PathBuf,
        /// their topic
        topic: String,
        /// rows of the sensor
        rows: usize,
        /// columns of the sensor
        cols: usize,
        /// rows of the frame
        got_rows: usize,
        /// columns of the frame
        got_cols: usize,
    },
    /// nothing to compare with
    #[error(
        "expected true frames on {topic} of {log} beside its {measurements} measurements, of the same sequence numbers and \
         stamps, found none; `relucent encode` and `relucent simulate` write them", log = log.display()
    )]
    NoTruth {
        /// the log
        log: PathBuf,
        /// topic they should be on
        topic: String,
        /// measurements of the sensor
        measurements: usize,
    },
}

/// Reads a log whole: what it holds of each sensor that measured, in the order of their first words.
///
/// # Errors
/// Where the log cannot be read, is cut or damaged, or holds a message that makes no sense, no measurement, or a sensor
/// without description or truth.
pub fn logged(log: &Path) -> Result<Vec<Logged>, LoggedError> {
    let mut sensors: Vec<Heard> = vec![];
    for entry in Reader::open(log)? {
        let entry = entry?;
        let Some((topic, id)) = Topic::parse(&entry.channel.topic) else {
            continue;
        };
        let known = sensors.iter().position(|heard| heard.id == id);
        let position = known.unwrap_or_else(|| {
            sensors.push(Heard::of(id));
            sensors.len() - 1
        });
        sensors[position].hear(log, topic, entry.data)?;
    }
    sensors.retain(|heard| !heard.measurements.is_empty());
    if sensors.is_empty() {
        let log = log.to_owned();
        return Err(LoggedError::NoMeasurements { log });
    }
    sensors.into_iter().map(|heard| heard.whole(log)).collect()
}

/// What was read of one sensor so far.
struct Heard {
    id: String,
    sensor: Option<Sensor>,
    measurements: Vec<Measurement>,
    /// by sequence number and stamp
    truths: HashMap<(u64, u64), RangeImage>,
}

impl Heard {
    fn of(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            sensor: None,
            measurements: vec![],
            truths: HashMap::new(),
        }
    }

    fn hear(&mut self, log: &Path, topic: Topic, data: Bytes) -> Result<(), LoggedError> {
        let faulty = |source: SensorError| LoggedError::Message {
            log: log.to_owned(),
            sensor: self.id.clone(),
            topic: topic.of(&self.id),
            source: source.into(),
        };
        match topic {
            Topic::Description => {
                let sensor = description(data).map_err(faulty)?;
                if self.sensor.as_ref().is_some_and(|known| *known != sensor) {
                    return Err(LoggedError::DescribedAnew {
                        log: log.to_owned(),
                        sensor: self.id.clone(),
                    });
                }
                self.sensor = Some(sensor);
            }
            Topic::Measurement => {
                let Some(sensor) = &self.sensor else {
                    return Err(LoggedError::NoDescription {
                        log: log.to_owned(),
                        topic: Topic::Description.of(&self.id),
                    });
                };
                let message = wire::decode_measurement(data).map_err(|e| faulty(e.into()))?;
                let measurement = sensor.measurement(&message).map_err(faulty)?;
                self.measurements.push(measurement);
            }
            Topic::Truth => {
                let (at, image) = truth(data).map_err(|e| faulty(e.into()))?;
                self.truths.insert(at, image);
            }
            _ => {}
        }
        Ok(())
    }

    fn whole(mut self, log: &Path) -> Result<Logged, LoggedError> {
        let Some(sensor) = self.sensor else {
            return Err(LoggedError::NoDescription {
                log: log.to_owned(),
                topic: Topic::Description.of(&self.id),
            });
        };
        let measurements = self.measurements.len();
        let frames = self.measurements.into_iter().map(|measurement| {
            let at = (measurement.sequence, measurement.stamp_ns);
            (measurement, self.truths.remove(&at))
        });
        let frames: Vec<(_, Option<RangeImage>)> = frames.collect();
        let (rows, cols) = (sensor.description.rows, sensor.description.cols);
        let mut truths = frames.iter().filter_map(|(_, truth)| truth.as_ref());
        if let Some(other) = truths.find(|t| (t.rows, t.cols) != (rows, cols)) {
            return Err(LoggedError::TruthSize {
                log: log.to_owned(),
                topic: Topic::Truth.of(&self.id),
                rows,
                cols,
                got_rows: other.rows,
                got_cols: other.cols,
            });
        }
        if frames.iter().all(|(_, truth)| truth.is_none()) {
            return Err(LoggedError::NoTruth {
                log: log.to_owned(),
                topic: Topic::Truth.of(&self.id),
                measurements,
            });
        }
        Ok(Logged { sensor, frames })
    }
}

fn description(data: Bytes) -> Result<Sensor, SensorError> {
    Sensor::from_message(&wire::decode_description(data)?)
}

fn truth(data: Bytes) -> Result<((u64, u64), RangeImage), WireError> {
    let message: v1::TruthFrame = wire::decode_frame("truth frame", data)?;
    let frame = message.frame.as_ref();
    let frame = frame.ok_or(WireError::Missing { field: "frame" })?;
    Ok((
        (message.sequence, message.stamp_ns),
        wire::range_frame(frame)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{Exposure, VirtualStream, truth_message};
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::Geometry;
    use crate::journal::Writer;
    use crate::prior::Prior;
    use crate::sim;
    use std::sync::Arc;

    /// Frames of a street, stamps in ns.
    fn frames(count: u64) -> Vec<(u64, RangeImage)> {
        let (scene, rays) = (sim::scene(sim::Split::Tune, 0), sim::rays(64, 64));
        let frame = |index: u64| {
            let mut frame = RangeImage::default();
            scene.cast(&rays, index as f32 / 30.0, sim::MAX_RANGE, &mut frame);
            (7_000_000_000 + index * 33_333_333, frame)
        };
        (0..count).map(frame).collect()
    }

    fn stream(first: &RangeImage) -> VirtualStream {
        let prior = Prior::embedded().unwrap();
        let (geometry, exposure) = (Geometry::centred(60.0, 45.0), Exposure::default());
        VirtualStream::new("front", geometry, &prior, sim::MAX_RANGE, exposure, first).unwrap()
    }

    #[test]
    fn measurements_come_back_with_their_truth() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("street.mcap");
        let frames = frames(3);
        let (mut wrote, mut again) = (stream(&frames[0].1), stream(&frames[0].1));
        let mut log = Writer::create(&path, Monotonic::default()).unwrap();
        for (stamp_ns, frame) in &frames {
            wrote.record(frame, *stamp_ns, &mut log).unwrap();
        }
        log.finish().unwrap();
        let read = logged(&path).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].sensor, **wrote.sensor());
        assert_eq!(read[0].frames.len(), 3);
        for ((stamp_ns, frame), (measurement, truth)) in frames.iter().zip(&read[0].frames) {
            assert_eq!(*measurement, again.measure(frame, *stamp_ns).unwrap());
            let truth = truth.as_ref().unwrap();
            assert_eq!((&truth.range, &truth.valid), (&frame.range, &frame.valid));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        use Part::{Description, Measurement, Truth};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("street.mcap");
        let (stamp_ns, frame) = frames(1).remove(0);
        let mut stream = stream(&frame);
        let sensor = Arc::clone(stream.sensor());
        let measurement = stream.measure(&frame, stamp_ns).unwrap();
        let fault = |parts: &[Part]| {
            let mut log = Writer::create(&path, Monotonic::default()).unwrap();
            for part in parts {
                let written = match part {
                    Description => {
                        let topic = Topic::Description.of("front");
                        log.write(&topic, stamp_ns, &sensor.to_message())
                    }
                    Measurement => {
                        let topic = Topic::Measurement.of("front");
                        let message = sensor.measurement_message(&measurement);
                        log.write(&topic, stamp_ns, &message)
                    }
                    Truth(sequence, image) => {
                        let topic = Topic::Truth.of("front");
                        let message = truth_message("front", *sequence, stamp_ns, image);
                        log.write(&topic, stamp_ns, &message)
                    }
                };
                written.unwrap();
            }
            log.finish().unwrap();
            logged(&path).unwrap_err().to_string()
        };
        let small = RangeImage::empty(4, 6);
        for (parts, expected) in [
            (vec![Description], "expected measurements"),
            (vec![Measurement], "/relucent/front/description"),
            (vec![Description, Measurement], "/relucent/front/truth"),
            (
                vec![Description, Measurement, Truth(7, frame.clone())],
                "/relucent/front/truth",
            ),
            (
                vec![Description, Measurement, Truth(0, small)],
                "found one of 4 × 6",
            ),
        ] {
            let error = fault(&parts);
            assert!(error.contains(expected), "{error}");
        }
    }

    /// A message of a log; of a true frame, its sequence number and image.
    enum Part {
        Description,
        Measurement,
        Truth(u64, RangeImage),
    }
}
