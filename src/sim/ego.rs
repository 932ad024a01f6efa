//! How the sensor moves.

use super::linear::{Vec3, oriented};
use super::solid::Pose;

/// A path straight ahead with a gentle weave, and a look that turns and sways on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ego {
    /// where the path starts, height of the sensor included, m
    pub(super) start: Vec3,
    /// m/s
    pub(super) velocity: Vec3,
    /// look at time 0, rad
    pub(super) yaw: f32,
    /// steady turn of the look, rad/s
    pub(super) turn: f32,
    /// rad
    pub(super) pitch: f32,
    /// rad
    pub(super) roll: f32,
    /// amplitude of sway in yaw, pitch and roll, rad
    pub(super) sway: Vec3,
    /// rad/s
    pub(super) rate: f32,
    /// rad
    pub(super) phase: f32,
    /// amplitude of the step, up and down, m
    pub(super) bounce: f32,
}

impl Ego {
    pub(super) fn at(&self, time: f32) -> Pose {
        let angle = self.rate * time + self.phase;
        let mut eye: Vec3 = std::array::from_fn(|k| self.start[k] + self.velocity[k] * time);
        eye[2] += self.bounce * (2.0 * angle).sin();
        Pose {
            eye,
            axes: oriented(
                self.yaw + self.turn * time + self.sway[0] * (0.37 * angle).sin(),
                self.pitch + self.sway[1] * (1.3 * angle).sin(),
                self.roll + self.sway[2] * angle.sin(),
            ),
        }
    }
}
