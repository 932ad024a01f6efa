//! A sensor as the pipeline knows it, and its description on the wire.

use super::pattern::{self, PatternError};
use crate::frame::{Geometry, GeometryError, Knots, KnotsError, Measurement};
use crate::sensing::{
    self, Binning, DescriptionError, HistogramError, Operator, Reduction, SensorDescription,
};
use crate::wire::{self, WireError, v1};
use std::sync::Arc;

/// The most pixels of a sensor: 1024 × 1024.
pub const MAX_PIXELS: usize = 1 << 20;

/// A sensor that has described itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// its name
    pub id: Arc<str>,
    /// its coordinate frame; may be empty
    pub frame_id: String,
    /// where its pixels look
    pub geometry: Geometry,
    /// patterns, channels and noise
    pub description: Arc<SensorDescription>,
    /// how its raw histograms become readings, where it sends them
    pub histograms: Option<Histograms>,
}

/// How raw histograms become readings.
#[derive(Clone, Debug, PartialEq)]
pub struct Histograms {
    /// what bins mean
    pub binning: Binning,
    /// what a photon is worth
    pub per_photon: f32,
    reduction: Reduction,
}

/// Why a description makes no sensor, or a measurement does not fit one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SensorError {
    /// the message
    #[error(transparent)]
    Wire(#[from] WireError),
    /// the knots
    #[error(transparent)]
    Knots(#[from] KnotsError),
    /// the geometry
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// a pattern set
    #[error("pattern set {set}: {source}")]
    Pattern {
        /// which
        set: usize,
        /// why
        source: PatternError,
    },
    /// the whole
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// histograms
    #[error(transparent)]
    Histogram(#[from] HistogramError),
    /// too many pixels or none
    #[error("expected 1 to {MAX_PIXELS} pixels, got {rows} × {cols}")]
    Pixels {
        /// rows
        rows: usize,
        /// columns
        cols: usize,
    },
    /// a value out of its range
    #[error("expected {expected} as {field}, got {got}")]
    Value {
        /// the field
        field: &'static str,
        /// what would do
        expected: String,
        /// its value
        got: u64,
    },
    /// histograms of a sensor that has not said how they are binned
    #[error(
        "expected readings, as the description does not say how histograms are binned, got histograms"
    )]
    NoBinning,
}

impl Histograms {
    /// The reduction of histograms to the channels of `knots`.
    ///
    /// # Errors
    /// As [`Reduction::new`].
    pub fn new(binning: Binning, knots: &Knots, per_photon: f32) -> Result<Self, HistogramError> {
        Ok(Self {
            reduction: Reduction::new(&binning, knots, per_photon)?,
            binning,
            per_photon,
        })
    }
}

impl Sensor {
    /// A sensor that sends readings.
    pub fn new(id: &str, geometry: Geometry, description: Arc<SensorDescription>) -> Self {
        Self {
            id: id.into(),
            frame_id: id.to_owned(),
            geometry,
            description,
            histograms: None,
        }
    }

    /// From its message.
    ///
    /// # Errors
    /// Where a part is missing, of another shape, or makes no sense.
    pub fn from_message(message: &v1::SensorDescription) -> Result<Self, SensorError> {
        wire::check_sensor_id(&message.sensor_id)?;
        let (rows, cols) = (message.rows as usize, message.cols as usize);
        let pixels = rows.saturating_mul(cols);
        if pixels == 0 || pixels > MAX_PIXELS {
            return Err(SensorError::Pixels { rows, cols });
        }
        let geometry = wire::geometry(message.geometry.as_ref())?;
        geometry.validate()?;
        let channels = (message.range_knots_m.len() / 4).clamp(1, Knots::MAX);
        let knots = Knots::new(wire::f32s(
            "range_knots_m",
            &message.range_knots_m,
            channels,
        )?)?;
        let noise = wire::f32s(
            "noise_covariance",
            &message.noise_covariance,
            channels * channels,
        )?;
        let description = SensorDescription {
            rows,
            cols,
            patterns: pattern::sets(&message.pattern_sets, (rows, cols))
                .map_err(|(set, source)| SensorError::Pattern { set, source })?,
            noise,
            s_min: message.s_min,
            range_power: u8::try_from(message.range_power).unwrap_or(u8::MAX),
            data: match message.magnitudes {
                true => sensing::Data::Magnitudes,
                false => sensing::Data::Linear,
            },
            knots,
        };
        description.validate()?;
        let histograms = message
            .histogram
            .as_ref()
            .map(|h| histograms(h, &description))
            .transpose()?;
        Ok(Self {
            id: message.sensor_id.as_str().into(),
            frame_id: message.frame_id.clone(),
            geometry,
            description: Arc::new(description),
            histograms,
        })
    }

    /// Its message.
    pub fn to_message(&self) -> v1::SensorDescription {
        let d = &self.description;
        v1::SensorDescription {
            sensor_id: self.id.to_string(),
            frame_id: self.frame_id.clone(),
            rows: d.rows as u32,
            cols: d.cols as u32,
            geometry: Some(wire::geometry_message(&self.geometry)),
            range_knots_m: wire::pack_f32s(d.knots.metres().iter().copied()),
            noise_covariance: wire::pack_f32s(d.noise.iter().copied()),
            s_min: d.s_min,
            range_power: d.range_power.into(),
            magnitudes: d.data == sensing::Data::Magnitudes,
            pattern_sets: d.patterns.iter().map(pattern::message).collect(),
            histogram: self.histograms.as_ref().map(|h| v1::HistogramBinning {
                bins: h.binning.bins as u32,
                bin_m: h.binning.bin_m,
                first_bin_range_m: h.binning.first_bin_range_m,
                gate_start: h.binning.gate.start as u32,
                gate_end: h.binning.gate.end as u32,
                background_start: h.binning.background.start as u32,
                background_end: h.binning.background.end as u32,
                per_photon: h.per_photon,
            }),
        }
    }

    /// A measurement of this sensor from its message; histograms become readings.
    ///
    /// # Errors
    /// Where it does not fit the sensor.
    pub fn measurement(&self, message: &v1::MeasurementFrame) -> Result<Measurement, SensorError> {
        use v1::measurement_frame::Data;
        let d = &self.description;
        let sets = d.patterns.len();
        let Some(pattern) = d.patterns.get(message.pattern_set as usize) else {
            return Err(SensorError::Value {
                field: "pattern_set",
                expected: format!("a number below {sets}"),
                got: message.pattern_set.into(),
            });
        };
        let (readings, total) = (pattern.shape().0, d.channels() * pattern.shape().0);
        let missing = (message.missing.len() / 4).min(total);
        let missing = wire::u32s("missing", &message.missing, missing)?;
        let (y, gain) = match &message.data {
            Some(Data::Readings(r)) => (readings_of(r, total, &missing)?, r.gain),
            Some(Data::Histograms(h)) => self.reduce(h, readings, total, &missing)?,
            None => {
                return Err(WireError::Missing {
                    field: "readings or histograms",
                }
                .into());
            }
        };
        Ok(Measurement {
            sequence: message.sequence,
            stamp_ns: message.stamp_ns,
            pattern_set: message.pattern_set as usize,
            gain,
            missing,
            y,
            pose: message.pose.as_ref().map(wire::pose),
        })
    }

    /// The message of a measurement.
    pub fn measurement_message(&self, measurement: &Measurement) -> v1::MeasurementFrame {
        v1::MeasurementFrame {
            sensor_id: self.id.to_string(),
            sequence: measurement.sequence,
            stamp_ns: measurement.stamp_ns,
            pattern_set: measurement.pattern_set as u32,
            missing: wire::pack_u32s(&measurement.missing),
            data: Some(v1::measurement_frame::Data::Readings(v1::Readings {
                gain: measurement.gain,
                y: wire::pack_f32s(measurement.y.iter().copied()),
            })),
            pose: measurement.pose.as_ref().map(wire::pose_message),
        }
    }

    fn reduce(
        &self,
        message: &v1::Histograms,
        readings: usize,
        total: usize,
        missing: &[u32],
    ) -> Result<(Vec<f32>, f32), SensorError> {
        let histograms = self.histograms.as_ref().ok_or(SensorError::NoBinning)?;
        let counts = readings.saturating_mul(histograms.binning.bins);
        let plus = wire::u32s("counts", &message.counts, counts)?;
        let minus = match message.complement.is_empty() {
            true => None,
            false => Some(wire::u32s("complement", &message.complement, counts)?),
        };
        let mut y = vec![0.0; total];
        let noise = (self.description.noise.as_slice(), missing);
        let gain = histograms
            .reduction
            .reduce_frame(&plus, minus.as_deref(), noise, &mut y)?;
        Ok((y, gain))
    }
}

/// Readings; those that are missing may be anything.
fn readings_of(
    message: &v1::Readings,
    total: usize,
    missing: &[u32],
) -> Result<Vec<f32>, SensorError> {
    if missing.is_empty() {
        return Ok(wire::f32s("y", &message.y, total)?);
    }
    let words = wire::u32s("y", &message.y, total)?;
    Ok(words.into_iter().map(f32::from_bits).collect()) // finiteness is checked beside `missing`, by the tracker
}

fn histograms(
    message: &v1::HistogramBinning,
    description: &SensorDescription,
) -> Result<Histograms, SensorError> {
    let binning = Binning {
        bins: message.bins as usize,
        bin_m: message.bin_m,
        first_bin_range_m: message.first_bin_range_m,
        range_power: description.range_power,
        gate: message.gate_start as usize..message.gate_end as usize,
        background: message.background_start as usize..message.background_end as usize,
    };
    Ok(Histograms::new(
        binning,
        &description.knots,
        message.per_photon,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Pose;
    use crate::sensing::{Blocks, Dense, Fourier, Hadamard, Mask, Pattern};
    use bytes::Bytes;
    use prost::Message;

    fn sensor() -> Sensor {
        let description = SensorDescription {
            rows: 3,
            cols: 4,
            knots: Knots::even(2, 10.0).unwrap(),
            patterns: vec![
                Pattern::Hadamard(Hadamard::random(12, 5, 1).unwrap()),
                Pattern::Dense(Dense::gaussian(4, 12, 1).unwrap()),
                Pattern::Mask(Mask::random(12, 4, 1).unwrap()),
                Pattern::Blocks(Blocks::new(3, 4, 1).unwrap()),
                Pattern::Fourier(Fourier::random(3, 4, 6, 1).unwrap()),
                Pattern::Fourier(Fourier::random(3, 4, 3, 2).unwrap()),
            ],
            noise: vec![1.0, 0.1, 0.1, 1.0],
            s_min: 0.01,
            range_power: 2,
            data: sensing::Data::Magnitudes,
        };
        let binning = Binning {
            bins: 6,
            bin_m: 2.0,
            first_bin_range_m: 0.0,
            range_power: 2,
            gate: 1..6,
            background: 0..1,
        };
        Sensor {
            histograms: Some(Histograms::new(binning, &description.knots, 0.5).unwrap()),
            frame_id: "mast".to_owned(),
            ..Sensor::new(
                "front",
                Geometry::centred(60.0, 45.0),
                Arc::new(description),
            )
        }
    }

    #[test]
    fn a_sensor_survives_its_message() {
        let sensor = sensor();
        let bytes = Bytes::from(sensor.to_message().encode_to_vec());
        let message = wire::decode_description(bytes).unwrap();
        assert_eq!(Sensor::from_message(&message).unwrap(), sensor);
    }

    #[test]
    fn measurements_survive_and_misfits_are_named() {
        let sensor = sensor();
        let measurement = Measurement {
            sequence: 3,
            stamp_ns: 7,
            pattern_set: 0,
            gain: 0.5,
            missing: vec![2],
            y: (0..10).map(|v| v as f32).collect(),
            pose: Some(Pose {
                position: [1.0, 2.0, 3.0],
                rotation: [0.0, 0.0, 0.0, 1.0],
            }),
        };
        let message = sensor.measurement_message(&measurement);
        assert_eq!(sensor.measurement(&message).unwrap(), measurement);
        let mut other = message;
        other.pattern_set = 1; // four readings a channel
        let error = sensor.measurement(&other).unwrap_err().to_string();
        assert!(error.contains("y of 8 values"), "{error}");
        other.pattern_set = 6;
        assert!(sensor.measurement(&other).is_err());
        other.data = None;
        other.pattern_set = 0;
        assert!(sensor.measurement(&other).is_err());
    }

    #[test]
    fn histograms_become_readings() {
        let sensor = sensor();
        let counts: Vec<u32> = (0..30).map(|t| t % 7).collect();
        let message = v1::MeasurementFrame {
            sensor_id: "front".to_owned(),
            data: Some(v1::measurement_frame::Data::Histograms(v1::Histograms {
                counts: wire::pack_u32s(&counts),
                complement: Bytes::new(),
            })),
            ..Default::default()
        };
        let measurement = sensor.measurement(&message).unwrap();
        assert!(measurement.y.len() == 10 && measurement.gain > 0.0);
        let plain = Sensor {
            histograms: None,
            ..sensor
        };
        assert_eq!(plain.measurement(&message), Err(SensorError::NoBinning));
    }

    #[test]
    fn each_fault_of_a_description_is_named() {
        let good = sensor().to_message();
        let fault = |change: fn(&mut v1::SensorDescription)| {
            let mut bad = good.clone();
            change(&mut bad);
            Sensor::from_message(&bad).unwrap_err().to_string()
        };
        assert!(fault(|m| m.sensor_id.clear()).contains("sensor id"));
        assert!(fault(|m| m.rows = u32::MAX).contains("pixels"));
        assert!(fault(|m| m.geometry = None).contains("geometry"));
        assert!(fault(|m| m.noise_covariance = Bytes::new()).contains("noise_covariance"));
        assert!(fault(|m| m.range_knots_m = Bytes::new()).contains("range_knots_m"));
        assert!(fault(|m| m.pattern_sets.clear()).contains("pattern set"));
        assert!(fault(|m| m.pattern_sets[0].kind = None).contains("patterns"));
        assert!(fault(|m| m.cols = 5).contains("permutation"));
        assert!(fault(|m| m.s_min = f32::NAN).contains("s_min"));
        assert!(fault(|m| m.range_power = 258).contains("r^"));
    }
}
