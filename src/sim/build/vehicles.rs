//! Cars, vans, lorries and lifting vehicles.

use super::{Builder, Place};
use crate::sim::linear::oriented;
use crate::sim::shape::Shape;
use std::f32::consts::FRAC_PI_2;

fn wheels(b: &mut Builder, place: &Place, reach: f32, half_width: f32, radius: f32) {
    let rubber = b.plain(0.07);
    let across = oriented(place.yaw, 0.0, FRAC_PI_2);
    for x in [-reach, reach] {
        for side in [-1.0, 1.0] {
            let centre = [x, side * (half_width - 0.1), radius];
            b.put_turned(
                place,
                Shape::Cylinder,
                centre,
                [radius, radius, 0.12],
                across,
                rubber,
            );
        }
    }
}

/// A car, van or lorry facing along its place's yaw, driving at `speed` m/s.
pub(super) fn vehicle(b: &mut Builder, place: Place, speed: f32) {
    let place = place.moving(speed);
    let kind = b.uniform(0.0, 1.0);
    let paint = b.paint();
    let glass = b.plain(0.08);
    if kind < 0.7 {
        let (length, width) = (b.uniform(1.8, 2.4), b.uniform(0.8, 0.95));
        let (belt, roof) = (b.uniform(0.85, 1.05), b.uniform(1.4, 1.8));
        b.put(
            &place,
            Shape::Cube,
            [0.0, 0.0, 0.5 * (belt + 0.2)],
            [length, width, 0.5 * (belt - 0.2)],
            paint,
        );
        let cabin = b.uniform(0.5, 0.75) * length;
        let back = b.uniform(-0.3, -0.05) * length;
        b.put(
            &place,
            Shape::Cube,
            [back, 0.0, 0.5 * (belt + roof) - 0.03],
            [cabin, 0.88 * width, 0.5 * (roof - belt) - 0.03],
            glass,
        );
        b.put(
            &place,
            Shape::Cube,
            [back, 0.0, roof - 0.04],
            [0.9 * cabin, 0.86 * width, 0.05],
            paint,
        );
        wheels(b, &place, 0.62 * length, width, 0.32);
        let plate = b.plain(3.0);
        b.put(
            &place,
            Shape::Cube,
            [-length, 0.0, 0.6],
            [0.02, 0.26, 0.06],
            plate,
        );
    } else {
        let (length, width) = (b.uniform(2.3, 3.8), b.uniform(0.95, 1.2));
        let roof = b.uniform(1.9, 3.2);
        b.put(
            &place,
            Shape::Cube,
            [-0.5, 0.0, 0.5 * (roof + 0.5)],
            [length - 0.5, width, 0.5 * (roof - 0.5)],
            paint,
        );
        let cab = b.paint();
        let top = roof.min(2.3);
        b.put(
            &place,
            Shape::Cube,
            [length - 0.45, 0.0, 0.5 * (top + 0.35)],
            [0.55, 0.96 * width, 0.5 * (top - 0.35)],
            cab,
        );
        b.put(
            &place,
            Shape::Cube,
            [length + 0.1, 0.0, 0.72 * top],
            [0.03, 0.8 * width, 0.16 * top],
            glass,
        );
        wheels(b, &place, 0.65 * length, width, 0.42);
    }
}

/// A forklift.
pub(super) fn forklift(b: &mut Builder, place: Place, speed: f32) {
    let place = place.moving(speed);
    let (body, dark) = (b.paint(), b.plain(0.1));
    let mast = b.uniform(1.9, 3.2);
    b.put(
        &place,
        Shape::Cube,
        [-0.3, 0.0, 0.65],
        [0.9, 0.55, 0.5],
        body,
    );
    b.put(
        &place,
        Shape::Cube,
        [-0.3, 0.0, 2.1],
        [0.6, 0.5, 0.04],
        dark,
    );
    for (x, y) in [(-0.8, 0.45), (-0.8, -0.45), (0.25, 0.45), (0.25, -0.45)] {
        b.put(
            &place,
            Shape::Cylinder,
            [x, y, 1.6],
            [0.035, 0.035, 0.5],
            dark,
        );
    }
    for side in [-1.0, 1.0] {
        b.put(
            &place,
            Shape::Cube,
            [0.75, side * 0.35, 0.5 * mast],
            [0.06, 0.05, 0.5 * mast],
            dark,
        );
        b.put(
            &place,
            Shape::Cube,
            [1.35, side * 0.25, 0.15],
            [0.55, 0.06, 0.025],
            dark,
        );
    }
    wheels(b, &place, 0.6, 0.6, 0.25);
    if b.chance(0.6) {
        let load = b.paint();
        let height = b.uniform(0.3, 0.6);
        b.put(
            &place,
            Shape::Cube,
            [1.35, 0.0, 0.2 + height],
            [0.5, 0.55, height],
            load,
        );
    }
}
