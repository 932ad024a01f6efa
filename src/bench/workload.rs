//! What sensors send: made or read before any clock starts, a bounded number of frames that are sent again and again.

use super::BenchError;
use crate::frame::{Geometry, Measurement, RangeImage};
use crate::journal::{Reader, Topic};
use crate::pipeline::{Exposure, Sensor, VirtualStream};
use crate::prior::Prior;
use crate::sim::{self, Split};
use crate::wire::{self, v1};
use bytes::Bytes;
use prost::Message;
use std::path::Path;
use std::sync::Arc;

/// Simulated frames at most, over all sensors.
const MOST_FRAMES: usize = 4096;
/// Simulated frames of one sensor at most.
const MOST_FRAMES_EACH: usize = 256;
/// Time between the frames of simulated scenes, ns.
const INTERVAL_NS: u64 = 33_333_333;
/// Bytes of measurements that are taken from a log at most.
const MOST_BYTES: usize = 64 << 20;

/// Frames of several sensors.
///
/// A sensor's frames run forwards and backwards in turn, so that scenes move on without a jump, however long the run.
/// Their stamps are evenly spaced as in the scene, whatever the rate they are sent at.
#[derive(Clone, Debug)]
pub struct Workload {
    tracks: Vec<Track>,
    sensors: usize,
    interval_ns: u64,
}

/// What one sensor saw.
#[derive(Clone, Debug)]
struct Track {
    sensor: Arc<Sensor>,
    frames: Vec<v1::MeasurementFrame>,
}

/// Whether there are sensors, and no more than a server may have.
fn check(sensors: usize) -> Result<(), BenchError> {
    match sensors {
        1..=1024 => Ok(()),
        _ => Err(BenchError::Value {
            what: "number of sensors",
            expected: "1 to 1024",
            got: sensors as f64,
        }),
    }
}

impl Workload {
    /// Simulated scenes of the population that settings are chosen on, a scene for each sensor: whoever tunes by this
    /// has not seen the scenes that errors are reported on.
    ///
    /// # Errors
    /// Where there is no sensor, or the exposure makes no sense.
    pub fn simulated(
        prior: &Prior,
        sensors: usize,
        exposure: Exposure,
    ) -> Result<Self, BenchError> {
        check(sensors)?;
        let each = (MOST_FRAMES / sensors.max(1)).clamp(8, MOST_FRAMES_EACH);
        let rays = sim::rays(prior.rows, prior.cols);
        let (horizontal, vertical) = sim::FIELD_OF_VIEW;
        let geometry = Geometry::centred(horizontal, vertical);
        let mut tracks = vec![];
        for index in 0..sensors {
            let scene = sim::scene(Split::Tune, index as u64);
            let mut image = RangeImage::default();
            scene.cast(&rays, 0.0, sim::MAX_RANGE, &mut image);
            let name = format!("sensor{index}");
            let mut stream =
                VirtualStream::new(&name, geometry, prior, sim::MAX_RANGE, exposure, &image)?;
            let mut frames = vec![];
            for frame in 0..each as u64 {
                let stamp_ns = frame * INTERVAL_NS;
                scene.cast(&rays, stamp_ns as f32 * 1e-9, sim::MAX_RANGE, &mut image);
                let measurement = stream.measure(&image, stamp_ns)?;
                frames.push(stream.sensor().measurement_message(&measurement));
            }
            tracks.push(Track {
                sensor: Arc::clone(stream.sensor()),
                frames,
            });
        }
        Ok(Self {
            tracks,
            sensors,
            interval_ns: INTERVAL_NS,
        })
    }

    /// The measurements of a log, each sensor under its first description; where there are more `sensors` than the log
    /// has, some send the same.
    ///
    /// # Errors
    /// Where there is no sensor, or the log cannot be read or holds no described measurements.
    pub fn of_log(path: &Path, sensors: usize) -> Result<Self, BenchError> {
        check(sensors)?;
        let mut tracks: Vec<Track> = vec![];
        let mut bytes = 0;
        for entry in Reader::open(path)? {
            let entry = entry?;
            let Some((topic, id)) = Topic::parse(&entry.channel.topic) else {
                continue;
            };
            let known = tracks.iter_mut().find(|track| *track.sensor.id == *id);
            match (topic, known) {
                (Topic::Description, None) => {
                    let sensor = Sensor::from_message(&wire::decode_description(entry.data)?)?;
                    tracks.push(Track {
                        sensor: Arc::new(sensor),
                        frames: vec![],
                    });
                }
                (Topic::Measurement, Some(track)) => {
                    bytes += entry.data.len();
                    if bytes > MOST_BYTES {
                        break;
                    }
                    // a copy, as the payload would otherwise keep its whole chunk of the log
                    let data = Bytes::copy_from_slice(&entry.data);
                    track.frames.push(wire::decode_measurement(data)?);
                }
                _ => {}
            }
        }
        let described = !tracks.is_empty();
        tracks.retain(|track| !track.frames.is_empty());
        let Some(first) = tracks.first() else {
            let found = match described {
                true => "no measurement",
                false => "no description",
            };
            return Err(BenchError::Empty { found });
        };
        let interval_ns = interval(&first.frames);
        Ok(Self {
            tracks,
            sensors,
            interval_ns,
        })
    }

    /// Number of sensors.
    pub fn sensors(&self) -> usize {
        self.sensors
    }

    /// The most pattern sets that a sensor shows in turn.
    pub fn sets(&self) -> usize {
        let sets = |track: &Track| track.sensor.description.patterns.len();
        self.tracks.iter().map(sets).max().unwrap_or(0)
    }

    /// The sensor of an index, under a name of its own.
    pub fn sensor(&self, index: usize) -> Sensor {
        Sensor {
            id: format!("{}/{index}", self.track(index).sensor.id).into(),
            ..(*self.track(index).sensor).clone()
        }
    }

    /// The message of a sensor's frame of number `sequence`.
    pub fn frame(&self, sensor: usize, sequence: u64) -> v1::MeasurementFrame {
        let track = self.track(sensor);
        let mut message = track.frames[back_and_forth(sequence, track.frames.len())].clone();
        message.sensor_id = format!("{}/{sensor}", track.sensor.id);
        message.sequence = sequence;
        message.stamp_ns = sequence.saturating_mul(self.interval_ns);
        message
    }

    /// The same as bytes.
    pub fn bytes(&self, sensor: usize, sequence: u64) -> Bytes {
        self.frame(sensor, sequence).encode_to_vec().into()
    }

    /// The same as the measurement that it stands for.
    ///
    /// # Errors
    /// Where it does not fit its sensor.
    pub fn measurement(&self, sensor: usize, sequence: u64) -> Result<Measurement, BenchError> {
        let message = self.frame(sensor, sequence);
        Ok(self.track(sensor).sensor.measurement(&message)?)
    }

    fn track(&self, sensor: usize) -> &Track {
        &self.tracks[sensor % self.tracks.len()]
    }
}

/// The median time between frames, ns.
fn interval(frames: &[v1::MeasurementFrame]) -> u64 {
    let pairs = frames.iter().zip(frames.iter().skip(1));
    let mut intervals: Vec<u64> = pairs
        .map(|(a, b)| b.stamp_ns.saturating_sub(a.stamp_ns))
        .collect();
    intervals.sort_unstable();
    let median = intervals.get(intervals.len() / 2);
    median.copied().unwrap_or(INTERVAL_NS).max(1)
}

/// 0, 1, …, len − 1, len − 2, …, 0, 1, …
fn back_and_forth(step: u64, len: usize) -> usize {
    let last = len as u64 - 1;
    match last {
        0 => 0,
        _ => last.abs_diff((step + last) % (2 * last)) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_run_back_and_forth() {
        let steps: Vec<usize> = (0..9).map(|step| back_and_forth(step, 4)).collect();
        assert_eq!(steps, [0, 1, 2, 3, 2, 1, 0, 1, 2]);
        assert_eq!(back_and_forth(7, 1), 0);
    }

    #[test]
    fn every_sensor_has_a_scene_and_stamps_that_go_on() {
        let prior = Prior::embedded().unwrap();
        let load = Workload::simulated(&prior, 40, Exposure::default()).unwrap();
        assert_eq!((load.sensors(), load.tracks[0].frames.len()), (40, 102));
        let (a, b) = (
            load.measurement(0, 3).unwrap(),
            load.measurement(1, 3).unwrap(),
        );
        assert!(a.y != b.y && a.pattern_set == 3);
        assert_eq!(
            load.measurement(0, 100).unwrap().stamp_ns,
            100 * INTERVAL_NS
        );
        assert_ne!(load.sensor(0).id, load.sensor(1).id);
        assert!(Workload::simulated(&prior, 0, Exposure::default()).is_err());
    }
}
