//! A thing with a surface: a unit shape, stretched, turned, placed and moving.

use super::linear::{Axes, Vec3, add_scaled, dot, sub};
use super::shape::Shape;
use super::texture::Surface;

/// How a solid moves: centre(t) = centre + velocity·t + sway·sin(rate·t + phase).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Motion {
    /// m/s
    pub(super) velocity: Vec3,
    /// amplitude, m
    pub(super) sway: Vec3,
    /// rad/s
    pub(super) rate: f32,
    /// rad
    pub(super) phase: f32,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Solid {
    pub(super) shape: Shape,
    /// centre at time 0, world, m
    pub(super) centre: Vec3,
    /// its own axes in world coordinates
    pub(super) axes: Axes,
    /// half extents along its axes, m
    pub(super) half: Vec3,
    pub(super) motion: Motion,
    pub(super) surface: Surface,
}

/// The sensor's place and axes (forward, left, up) in the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    pub(super) eye: Vec3,
    pub(super) axes: Axes,
}

/// A solid as the sensor sees it: the map from sensor directions to the coordinates of its unit shape, in which
/// ranges along a ray are unchanged.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// the sensor in unit coordinates
    pub(super) origin: Vec3,
    /// rows: unit coordinate of a sensor direction
    pub(super) map: [Vec3; 3],
}

impl Solid {
    pub(super) fn centre_at(&self, time: f32) -> Vec3 {
        let motion = &self.motion;
        let centre = add_scaled(self.centre, time, motion.velocity);
        if motion.rate == 0.0 {
            return centre;
        }
        add_scaled(
            centre,
            (motion.rate * time + motion.phase).sin(),
            motion.sway,
        )
    }

    /// The solid with its centre at `centre`, from `pose`.
    pub(super) fn view(&self, centre: Vec3, pose: &Pose) -> View {
        let offset = sub(pose.eye, centre);
        let mut view = View {
            origin: [0.0; 3],
            map: [[0.0; 3]; 3],
        };
        for i in 0..3 {
            let scale = 1.0 / self.half[i];
            view.origin[i] = dot(self.axes[i], offset) * scale;
            for k in 0..3 {
                view.map[i][k] = dot(self.axes[i], pose.axes[k]) * scale;
            }
        }
        view
    }
}
