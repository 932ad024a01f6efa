//! What cannot be tracked, and what cannot be used.

use crate::frame::Measurement;
use crate::sensing::{Data, DescriptionError, Operator, SensorDescription};

/// Why a tracker cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrackerError {
    /// the description does not agree with itself
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// the prior is for another grid
    #[error(
        "expected a sensor of {} × {} pixels, as the prior is for, got {} × {}; each size needs a prior of its own",
        expected.0, expected.1, got.0, got.1
    )]
    Grid {
        /// the prior's
        expected: (usize, usize),
        /// the sensor's
        got: (usize, usize),
    },
    /// a setting of refinement that cannot be
    #[error("expected refine.{what}, got {got}")]
    Refine {
        /// the setting and what it may be
        what: &'static str,
        /// its value
        got: f32,
    },
    /// another setting that cannot be
    #[error("expected recover.{what}, got {got}")]
    Setting {
        /// the setting and what it may be
        what: &'static str,
        /// its value
        got: f64,
    },
    /// the prior is for other channels
    #[error("expected range knots at {expected:?} of the last one, as the prior, got {got:?}")]
    Knots {
        /// the prior's
        expected: Vec<f32>,
        /// the sensor's
        got: Vec<f32>,
    },
}

/// Why a measurement cannot be used. The tracker is as it was before.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MeasurementError {
    /// an unknown pattern set
    #[error("expected a pattern set within 0..{sets}, got {got}")]
    PatternSet {
        /// how many there are
        sets: usize,
        /// the one named
        got: usize,
    },
    /// another number of readings
    #[error("expected {channels} × {readings} readings, got {got}")]
    Length {
        /// J
        channels: usize,
        /// m
        readings: usize,
        /// readings present
        got: usize,
    },
    /// a noise gain that cannot be
    #[error("expected a noise gain > 0, got {got}")]
    Gain {
        /// its value
        got: f32,
    },
    /// missing readings not in order or out of range
    #[error(
        "expected positions of missing readings strictly increasing below {readings}, got {got} at position {index}"
    )]
    Missing {
        /// J·m
        readings: usize,
        /// position in the list
        index: usize,
        /// its value
        got: u32,
    },
    /// nothing was read
    #[error("expected at least one reading, all {readings} are missing")]
    Nothing {
        /// J·m
        readings: usize,
    },
    /// a reading that is no number and not marked as missing
    #[error("expected finite readings, got {got} at position {index}")]
    Value {
        /// position in y
        index: usize,
        /// its value
        got: f32,
    },
    /// a reading below 0 of a sensor that tells magnitudes
    #[error(
        "expected magnitudes, each ≥ 0, as the description says, got {got} at position {index}"
    )]
    Negative {
        /// position in y
        index: usize,
        /// its value
        got: f32,
    },
    /// nothing says how bright the frame is
    #[error(
        "expected, at a first frame, readings that see the mean return, such as the flat pattern's; they are missing"
    )]
    NoMean,
    /// readings so large or noise so small that the numbers run out
    #[error("the readings, with noise gain {gain}, leave no finite estimate")]
    Degenerate {
        /// the frame's gain
        gain: f32,
    },
}

/// Checks a measurement against its sensor.
///
/// # Errors
/// The first fault found.
pub(super) fn check(
    description: &SensorDescription,
    measurement: &Measurement,
) -> Result<(), MeasurementError> {
    let sets = description.patterns.len();
    let Some(pattern) = description.patterns.get(measurement.pattern_set) else {
        return Err(MeasurementError::PatternSet {
            sets,
            got: measurement.pattern_set,
        });
    };
    let (channels, readings) = (description.channels(), pattern.shape().0);
    let (total, got) = (channels * readings, measurement.y.len());
    if got != total {
        return Err(MeasurementError::Length {
            channels,
            readings,
            got,
        });
    }
    if !measurement.gain.is_finite() || measurement.gain <= 0.0 {
        return Err(MeasurementError::Gain {
            got: measurement.gain,
        });
    }
    let mut floor = 0;
    for (index, &got) in measurement.missing.iter().enumerate() {
        if got < floor || got as usize >= total {
            return Err(MeasurementError::Missing {
                readings: total,
                index,
                got,
            });
        }
        floor = got + 1;
    }
    if measurement.missing.len() == total {
        return Err(MeasurementError::Nothing { readings: total });
    }
    let mut missing = measurement.missing.iter().peekable();
    for (index, &got) in measurement.y.iter().enumerate() {
        if missing.next_if(|&&m| m as usize == index).is_some() {
            continue;
        }
        if !got.is_finite() {
            return Err(MeasurementError::Value { index, got });
        }
        if description.data == Data::Magnitudes && got < 0.0 {
            return Err(MeasurementError::Negative { index, got });
        }
    }
    Ok(())
}
