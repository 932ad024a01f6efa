//! The sink that writes logs.

use super::sink::{Event, Frame, Sink, SinkError};
use super::{Latency, Sensor};
use crate::clock::Clock;
use crate::journal::{DepthEncoding, JournalError, Topic, View, Writer};
use crate::recover::{Report, StartKind, StopReason};
use crate::wire::{self, v1};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What is written of each frame beside the frame itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            images: true,
            encoding: DepthEncoding::default(),
            points: false,
            measurements: false,
        }
    }
}

/// Writes frames to a log.
pub struct LogSink<C> {
    writer: Writer<C>,
    options: LogOptions,
    /// of each sensor as last described here
    views: HashMap<Arc<str>, (Arc<Sensor>, View)>,
}

impl<C: Clock> LogSink<C> {
    /// Creates the log, or empties it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn create(path: &Path, options: LogOptions, clock: C) -> Result<Self, JournalError> {
        Ok(Self {
            writer: Writer::create(path, clock)?,
            options,
            views: HashMap::new(),
        })
    }

    fn describe(&mut self, sensor: &Arc<Sensor>, stamp_ns: u64) -> Result<(), JournalError> {
        let topic = Topic::Description.of(&sensor.id);
        self.writer.write(&topic, stamp_ns, &sensor.to_message())?;
        let d = &sensor.description;
        let view = View::new(&sensor.geometry, (d.rows, d.cols), &sensor.frame_id);
        self.views
            .insert(Arc::clone(&sensor.id), (Arc::clone(sensor), view));
        Ok(())
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), JournalError> {
        let (id, stamp_ns) = (&frame.sensor.id, frame.measurement.stamp_ns);
        // known by its frames, so that a queue that loses events loses no description
        let known = self.views.get(id);
        if known.is_none_or(|(sensor, _)| !Arc::ptr_eq(sensor, &frame.sensor)) {
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

impl<C: Clock + Send> Sink for LogSink<C> {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        match event {
            Event::Frame(frame) => self.frame(frame)?,
            Event::Described(_) | Event::Rejected(_) => {} // a description is written with the stamp of its first frame
        }
        Ok(())
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
        end_to_end_ns,
    } = *latency;
    v1::LatencyReport {
        queue_ns,
        decode_ns,
        recover_wait_ns,
        recover_ns,
        render_wait_ns,
        render_ns,
        end_to_end_ns,
    }
}
