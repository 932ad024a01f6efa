//! People, standing and walking.

use super::{Builder, Place};
use crate::sim::shape::Shape;

/// A person; walks forward at `speed` m/s with a swinging gait.
pub(super) fn person(b: &mut Builder, place: Place, speed: f32) {
    let place = place.moving(speed);
    let height = b.uniform(1.45, 1.95);
    let width = height * b.uniform(0.11, 0.15);
    let (coat, trousers) = (b.paint(), b.paint());
    let skin = b.plain(0.45);
    let hip = 0.48 * height;
    let mut leg = place;
    leg.motion.rate = 4.5 * speed.min(1.5);
    leg.motion.phase = b.uniform(0.0, std::f32::consts::TAU);
    let stride = if speed > 0.0 { 0.12 } else { 0.0 };
    let (s, c) = place.yaw.sin_cos();
    for side in [-1.0, 1.0] {
        leg.motion.sway = [side * c * stride, side * s * stride, 0.0];
        b.put(
            &leg,
            Shape::Cylinder,
            [0.0, side * 0.5 * width, 0.5 * hip],
            [0.08, 0.08, 0.5 * hip],
            trousers,
        );
        let mut arm = leg;
        arm.motion.sway = leg.motion.sway.map(|v| -v);
        b.put(
            &arm,
            Shape::Cylinder,
            [0.0, side * 1.15 * width, 0.64 * height],
            [0.05, 0.05, 0.17 * height],
            coat,
        );
    }
    b.put(
        &place,
        Shape::Sphere,
        [0.0, 0.0, 0.65 * height],
        [0.62 * width, width, 0.21 * height],
        coat,
    );
    b.put(
        &place,
        Shape::Sphere,
        [0.02, 0.0, 0.92 * height],
        [0.1, 0.085, 0.08 * height],
        skin,
    );
}
