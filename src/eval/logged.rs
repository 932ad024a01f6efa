//! Measurements that were logged with the truth beside them: nothing is measured anew.

use super::footage::{Run, scored, some_scored};
use super::problem::{At, Problem};
use super::{EvalError, Options};
use crate::frame::{Measurement, RangeImage};
use crate::sensing::{Operator, SensorDescription};
use std::sync::Arc;

/// One sensor's measurements, in the order of their stamps, and what was truly there.
#[derive(Clone, Debug)]
pub struct Logged {
    /// what rows call its scene
    pub name: String,
    /// the sensor as it described itself
    pub sensor: Arc<SensorDescription>,
    /// measurements, with their truth where it is known
    pub frames: Vec<(Measurement, Option<RangeImage>)>,
}

impl Logged {
    /// Refuses a log none of whose frames is scored.
    pub(super) fn check(&self, options: &Options) -> Result<(), EvalError> {
        let stamps = self.frames.iter().map(|(m, _)| m.stamp_ns);
        some_scored(&self.name, stamps, options)
    }

    /// What it was measured by. The noise is what the sensor says of its first frame.
    pub(super) fn at(&self) -> At {
        let pattern = &self.sensor.patterns[0];
        let (readings, pixels) = pattern.shape();
        At {
            problem: Problem::of(pattern),
            fraction: readings as f64 / pixels as f64,
            noise: self.frames.first().map_or(0.0, |(first, _)| {
                let variance = self.sensor.noise.iter().step_by(self.sensor.channels() + 1);
                let mean = variance.sum::<f32>() / self.sensor.channels() as f32;
                let readings = first.y.iter().filter(|y| y.is_finite()); // lost ones may hold anything
                let sum: f64 = readings.map(|y| f64::from(y.abs())).sum();
                let mean_reading = sum / (first.y.len() - first.missing.len()).max(1) as f64;
                let share = f64::from(first.gain * mean).sqrt() / mean_reading;
                (share * 1e4).round() * 1e-4
            }),
        }
    }

    /// All frames, those with a truth scored from the end of the lead-in on.
    pub(super) fn run(&self, options: &Options) -> Run {
        let first_ns = self.frames.first().map_or(0, |(m, _)| m.stamp_ns);
        let frames = self.frames.iter().map(|(measurement, truth)| {
            let counts = scored(first_ns, measurement.stamp_ns, options);
            (measurement.clone(), truth.clone().filter(|_| counts))
        });
        frames.collect()
    }
}
