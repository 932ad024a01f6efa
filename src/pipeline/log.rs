//! The sink that writes logs.

use super::sink::{Event, Frame, Sink, SinkError};
use super::{Latency, Sensor};
use crate::clock::Clock;
use crate::journal::{DepthEncoding, Durability, JournalError, Topic, View, Writer};
use crate::recover::{Report, StartKind, StopReason};
use crate::wire::{self, v1};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Weak};

/// The longest that a log may leave a frame in the process, s.
const LONGEST_S: f64 = 3600.0;

/// What is written of each frame beside the frame itself, and when it is safe.
///
/// Frames written [`LogOptions::flush_s`] and up to 0.2 s ago are out of the process's hands: a killed process loses nothing
/// older. With [`LogOptions::fsync`] they are on the disk, once it has answered: a machine without power loses nothing older.
/// Frames that wait for the log ([`super::Outlet`]) while the disk is slow are not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogOptions {
    /// depth images with calibration, for viewers
    pub images: bool,
    /// how depth is written in them
    pub encoding: DepthEncoding,
    /// point clouds
    pub points: bool,
    /// the measurements too, so that the log can be replayed
    pub measurements: bool,
    /// the longest that a written frame stays in the process, s, within [0, 3600]; 0: each message is handed on at once
    pub flush_s: f64,
    /// whether frames are then brought to the disk, by the log's own thread; without, by the system, often half a minute later
    pub fsync: bool,
}

/// A time that no log waits.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("expected [log] flush_s of 0 to {LONGEST_S}, got {got}")]
pub struct FlushError {
    /// its value, s
    pub got: f64,
}

impl LogOptions {
    /// Checks the values.
    ///
    /// # Errors
    /// Where [`LogOptions::flush_s`] is no time within its range; a log that is written all the same takes the nearest.
    pub fn check(&self) -> Result<(), FlushError> {
        let got = self.flush_s;
        let good = (0.0..=LONGEST_S).contains(&got);
        good.then_some(()).ok_or(FlushError { got })
    }

    fn durability(self) -> Durability {
        Durability {
            flush_ns: (self.flush_s.clamp(0.0, LONGEST_S) * 1e9) as u64,
            sync: self.fsync,
        }
    }
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            images: true,
            encoding: DepthEncoding::default(),
            points: false,
            measurements: false,
            flush_s: 0.5,
            fsync: true,
        }
    }
}

/// Writes frames to a log.
pub struct LogSink<C, W: Write = File> {
    writer: Writer<C, W>,
    options: LogOptions,
    /// of each sensor as last described here, while somebody else has it: what it takes is counted until nobody does
    views: HashMap<Arc<str>, (Weak<Sensor>, View)>,
}

impl<C: Clock> LogSink<C> {
    /// Creates the log, or empties it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn create(path: &Path, options: LogOptions, clock: C) -> Result<Self, JournalError> {
        let writer = Writer::durable(path, clock, options.durability())?;
        Ok(Self::over(writer, options))
    }
}

impl<C: Clock, W: Write> LogSink<C, W> {
    /// Over a log that has been begun, whose durability holds.
    pub fn over(writer: Writer<C, W>, options: LogOptions) -> Self {
        Self {
            writer,
            options,
            views: HashMap::new(),
        }
    }

    fn describe(&mut self, sensor: &Arc<Sensor>, stamp_ns: u64) -> Result<(), JournalError> {
        let topic = Topic::Description.of(&sensor.id);
        self.writer.write(&topic, stamp_ns, &sensor.to_message())?;
        let d = &sensor.description;
        let view = View::new(&sensor.geometry, (d.rows, d.cols), &sensor.frame_id);
        self.views
            .retain(|_, (sensor, _)| sensor.strong_count() > 0);
        self.views
            .insert(Arc::clone(&sensor.id), (Arc::downgrade(sensor), view));
        Ok(())
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), JournalError> {
        let (id, stamp_ns) = (&frame.sensor.id, frame.measurement.stamp_ns);
        // known by its frames, so that a queue that loses events loses no description
        let known = self.views.get(id);
        if known.is_none_or(|(sensor, _)| sensor.as_ptr() != Arc::as_ptr(&frame.sensor)) {
            self.describe(&frame.sensor, stamp_ns)?;
        }
        if self.options.measurements {
            let message = frame.sensor.measurement_message(&frame.measurement);
            self.writer
                .write(&Topic::Measurement.of(id), stamp_ns, &message)?;
        }
        if let Some(truth) = &frame.truth {
            let message = truth_message(id, frame.measurement.sequence, stamp_ns, truth);
            self.writer
                .write(&Topic::Truth.of(id), stamp_ns, &message)?;
        }
        self.writer
            .write(&Topic::Depth.of(id), stamp_ns, &depth_message(frame))?;
        let Some((_, view)) = self.views.get(id) else {
            return Ok(());
        };
        if self.options.images {
            let image = view.depth_image(&frame.image, stamp_ns, self.options.encoding);
            self.writer
                .write(&Topic::DepthImage.of(id), stamp_ns, &image)?;
            let calibration = view.calibration(stamp_ns);
            self.writer
                .write(&Topic::Calibration.of(id), stamp_ns, &calibration)?;
        }
        if self.options.points {
            let points = view.points(&frame.image, stamp_ns);
            self.writer
                .write(&Topic::Points.of(id), stamp_ns, &points)?;
        }
        Ok(())
    }
}

impl<C: Clock + Send, W: Write + Send> Sink for LogSink<C, W> {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        match event {
            Event::Frame(frame) => self.frame(frame)?,
            Event::Described(_) | Event::Rejected(_) => {} // a description is written with the stamp of its first frame
        }
        self.idle() // what is refused comes often enough to keep the log from ever being left alone
    }

    fn idle(&mut self) -> Result<(), SinkError> {
        Ok(self.writer.flush_if_due()?)
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        Ok(self.writer.finish()?)
    }
}

/// The message of a true frame.
pub fn truth_message(
    sensor_id: &str,
    sequence: u64,
    stamp_ns: u64,
    truth: &crate::frame::RangeImage,
) -> v1::TruthFrame {
    v1::TruthFrame {
        sensor_id: sensor_id.to_owned(),
        sequence,
        stamp_ns,
        frame: Some(wire::range_frame_message(truth)),
    }
}

/// The message of a recovered frame.
pub fn depth_message(frame: &Frame) -> v1::DepthFrame {
    v1::DepthFrame {
        sensor_id: frame.sensor.id.to_string(),
        sequence: frame.measurement.sequence,
        stamp_ns: frame.measurement.stamp_ns,
        frame: Some(wire::range_frame_message(&frame.image)),
        recovery: Some(report_message(&frame.report)),
        latency: Some(latency_message(&frame.latency)),
        pose: frame.measurement.pose.as_ref().map(wire::pose_message),
        range_sigma_m: wire::pack_f32s(frame.image.range_sigma.iter().copied()),
    }
}

fn report_message(report: &Report) -> v1::RecoveryReport {
    let start = match report.start {
        StartKind::Cold => v1::StartKind::Cold,
        StartKind::Warm => v1::StartKind::Warm,
        StartKind::Restarted => v1::StartKind::Restarted,
    };
    let stop = match report.stop {
        StopReason::Converged => v1::StopReason::Converged,
        StopReason::Iterations => v1::StopReason::Iterations,
        StopReason::Stalled => v1::StopReason::Stalled,
        StopReason::Deadline => v1::StopReason::Deadline,
    };
    v1::RecoveryReport {
        start: start.into(),
        stop: stop.into(),
        iterations: report.iterations as u32,
        cost: report.cost,
        residual_ratio: report.residual_ratio,
        innovation_ratio: report.innovation_ratio,
        code: wire::pack_f32s(report.code.iter().copied()),
        unexplained: report.unexplained,
        untrusted: report.untrusted,
    }
}

fn latency_message(latency: &Latency) -> v1::LatencyReport {
    let Latency {
        queue_ns,
        decode_ns,
        recover_wait_ns,
        recover_ns,
        render_wait_ns,
        render_ns,
        finish_wait_ns,
        finish_ns,
        end_to_end_ns,
    } = *latency;
    v1::LatencyReport {
        queue_ns,
        decode_ns,
        recover_wait_ns,
        recover_ns,
        render_wait_ns,
        render_ns,
        finish_wait_ns,
        finish_ns,
        end_to_end_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Manual;
    use crate::frame::Geometry;
    use crate::prior::Prior;
    use crate::sim;

    #[test]
    fn a_log_keeps_no_sensor() {
        let prior = Prior::embedded().unwrap();
        let description = sim::describe((8, 8), &prior.knots, 30.0, (1, 10), 1).unwrap();
        let geometry = Geometry::centred(60.0, 45.0);
        let sensor = Arc::new(Sensor::new("a", geometry, Arc::new(description)));
        let durability = Durability::default();
        let (path, clock) = (Path::new("log"), Manual::default());
        let writer = Writer::over(vec![], || Ok(()), path, clock, durability).unwrap();
        let mut sink = LogSink::over(writer, LogOptions::default());
        sink.describe(&sensor, 0).unwrap();
        assert_eq!(Arc::strong_count(&sensor), 1);
        let again = Arc::new((*sensor).clone());
        drop(sensor);
        sink.describe(&again, 1).unwrap();
        assert_eq!(sink.views.len(), 1);
    }
}
