//! One exposure of the sensor.

/// The compressed measurement of one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measurement {
    /// position in the sensor's stream
    pub sequence: u64,
    /// acquisition time, ns since the Unix epoch
    pub stamp_ns: u64,
    /// which of the description's pattern sets was shown
    pub pattern_set: usize,
    /// α: the noise covariance of this frame is α·N₀, > 0, unitless
    pub gain: f32,
    /// positions in `y` of readings that were lost or saturated, strictly increasing; their values mean nothing
    pub missing: Vec<u32>,
    /// readings, y[g·m + j] of channel g under pattern j, (J·m)
    pub y: Vec<f32>,
    /// pose of the sensor at the stamp, where it is known; recovery hands it through
    pub pose: Option<Pose>,
}

impl Measurement {
    /// Share of the readings that are there.
    pub fn present(&self) -> f32 {
        1.0 - self.missing.len() as f32 / self.y.len() as f32
    }
}

/// Pose of a sensor in a world frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// translation, m
    pub position: [f64; 3],
    /// rotation as a unit quaternion, (x, y, z, w)
    pub rotation: [f64; 4],
}
