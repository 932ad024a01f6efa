//! Measurement logs made by the virtual sensor, from simulated or recorded frames.

use super::{Sensor, truth_message};
use crate::clock::Clock;
use crate::frame::{Geometry, Measurement, RangeImage};
use crate::journal::{JournalError, Topic, Writer};
use crate::prior::Prior;
use crate::sensing::{Data, Operator};
use crate::sim::{self, DetectorError, Imperfections, Noise, Sampling, SensorError, VirtualSensor};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::sync::Arc;

/// Least return of a valid pixel, over the first frame's mean return.
const LEAST_RETURN: f32 = 0.1;

/// How the virtual sensor measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exposure {
    /// m/n: patterns over pixels, in (0, 1]
    pub ratio: f64,
    /// pattern sets shown in turn, ≥ 1
    pub sets: usize,
    /// how their patterns are drawn; `None`: as suits `data`
    pub sampling: Option<Sampling>,
    /// standard deviation of a reading's noise over the first frame's mean |y|
    pub noise: f32,
    /// what readings tell
    pub data: Data,
    /// how the sensor falls short of its description
    pub imperfections: Imperfections,
    /// seed of patterns and noise
    pub seed: u64,
}

impl Default for Exposure {
    fn default() -> Self {
        Self {
            ratio: 0.05,
            sets: 8,
            sampling: None,
            noise: 0.005,
            data: Data::Linear,
            imperfections: Imperfections::default(),
            seed: 1,
        }
    }
}

/// Why frames cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// a value out of its range
    #[error("expected {expected} as {what}, got {got}")]
    Value {
        /// which
        what: &'static str,
        /// what would do
        expected: &'static str,
        /// its value
        got: f64,
    },
    /// the sensor
    #[error(transparent)]
    Sensor(#[from] SensorError),
    /// the measurement
    #[error(transparent)]
    Detector(#[from] DetectorError),
    /// the log
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A virtual sensor on a stream of frames. Its noise and its least return are set by the first frame, so that they do not
/// follow the scene.
pub struct VirtualStream {
    sensor: Arc<Sensor>,
    detector: VirtualSensor,
    exposure: Exposure,
    rng: ChaCha8Rng,
    next: u64,
}

impl VirtualStream {
    /// A sensor named `id` with the grid and the channels of `prior` up to `max_range`, m; `first` is its first frame.
    ///
    /// # Errors
    /// Where the exposure makes no sense or the frame has another size.
    pub fn new(
        id: &str,
        geometry: Geometry,
        prior: &Prior,
        max_range: f32,
        exposure: Exposure,
        first: &RangeImage,
    ) -> Result<Self, RecordingError> {
        let value = |what, expected, got| {
            Err(RecordingError::Value {
                what,
                expected,
                got,
            })
        };
        if !(exposure.ratio > 0.0 && exposure.ratio <= 1.0) {
            return value("m/n", "a share within (0, 1]", exposure.ratio);
        }
        if exposure.sets == 0 || exposure.sets > 64 {
            return value("number of pattern sets", "1 to 64", exposure.sets as f64);
        }
        if !(0.0..=10.0).contains(&exposure.noise) {
            return value("noise", "a share within [0, 10]", exposure.noise.into());
        }
        let readings = ((prior.pixels() as f64 * exposure.ratio).round() as usize).max(1);
        let grid = (prior.rows, prior.cols);
        let shown = (exposure.sets, readings);
        let sampling = exposure.sampling;
        let sampling = sampling.unwrap_or(Sampling::for_data(exposure.data));
        let seed = exposure.seed;
        let mut description =
            sim::describe_sampled(sampling, grid, &prior.knots, max_range, shown, seed)?;
        let exact = VirtualSensor::new(description.clone(), Noise::None, 0.0)?;
        let mut rng = ChaCha8Rng::seed_from_u64(exposure.seed);
        let y = exact.measure(first, 0, &mut rng)?.y;
        let mean = y.iter().map(|y| y.abs()).sum::<f32>() / y.len() as f32;
        let sigma = (exposure.noise * mean).max(1e-4); // an empty scene still has a noise floor
        let returned = first.returns.iter().zip(&first.valid).filter(|(_, v)| **v);
        let returns: f32 = returned.clone().map(|(s, _)| s).sum();
        let mean_return = returns / returned.count().max(1) as f32;
        description.data = exposure.data;
        description.s_min = (LEAST_RETURN * mean_return).max(1e-4);
        description
            .noise
            .iter_mut()
            .for_each(|v| *v *= sigma * sigma);
        let detector = VirtualSensor::imperfect(
            description.clone(),
            Noise::Sigma(sigma),
            exposure.imperfections,
        )?;
        Ok(Self {
            sensor: Arc::new(Sensor::new(id, geometry, Arc::new(description))),
            detector,
            exposure,
            rng,
            next: 0,
        })
    }

    /// The sensor.
    pub fn sensor(&self) -> &Arc<Sensor> {
        &self.sensor
    }

    /// m, patterns a frame.
    pub fn readings(&self) -> usize {
        self.sensor.description.patterns[0].shape().0
    }

    /// Measures the next frame; pattern sets take turns.
    ///
    /// # Errors
    /// Where the frame has another size.
    pub fn measure(
        &mut self,
        frame: &RangeImage,
        stamp_ns: u64,
    ) -> Result<Measurement, RecordingError> {
        self.measure_moving(std::slice::from_ref(frame), stamp_ns)
    }

    /// Measures the next frame of a scene that moves while the patterns are shown, as [`VirtualSensor::measure_moving`].
    fn measure_moving(
        &mut self,
        moments: &[RangeImage],
        stamp_ns: u64,
    ) -> Result<Measurement, RecordingError> {
        let set = self.next as usize % self.exposure.sets;
        let time_s = stamp_ns as f64 * 1e-9;
        let measurement = self
            .detector
            .measure_at(moments, set, time_s, &mut self.rng)?;
        self.next += 1;
        Ok(Measurement {
            sequence: self.next - 1,
            stamp_ns,
            ..measurement
        })
    }

    /// Measures the next frame and writes it, truth first; before the first the sensor describes itself.
    ///
    /// # Errors
    /// Where the frame has another size or the log cannot be written.
    pub fn record<C: Clock>(
        &mut self,
        frame: &RangeImage,
        stamp_ns: u64,
        log: &mut Writer<C>,
    ) -> Result<(), RecordingError> {
        self.record_moving(frame, std::slice::from_ref(frame), stamp_ns, log)
    }

    /// The same of a scene that moves while the patterns are shown: evenly spaced `moments` from the first pattern to the
    /// last, at least one, and what counts as the truth of them all.
    ///
    /// # Errors
    /// As [`VirtualStream::record`].
    ///
    /// # Panics
    /// Where there is no moment.
    pub fn record_moving<C: Clock>(
        &mut self,
        frame: &RangeImage,
        moments: &[RangeImage],
        stamp_ns: u64,
        log: &mut Writer<C>,
    ) -> Result<(), RecordingError> {
        let sensor = Arc::clone(&self.sensor);
        if self.next == 0 {
            let topic = Topic::Description.of(&sensor.id);
            log.write(&topic, stamp_ns, &sensor.to_message())?;
        }
        let measurement = self.measure_moving(moments, stamp_ns)?;
        let truth = truth_message(&sensor.id, measurement.sequence, stamp_ns, frame);
        log.write(&Topic::Truth.of(&sensor.id), stamp_ns, &truth)?;
        let message = sensor.measurement_message(&measurement);
        log.write(&Topic::Measurement.of(&sensor.id), stamp_ns, &message)?;
        Ok(())
    }
}
