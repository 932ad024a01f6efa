//! Trees, bushes, poles and signs.

use super::{Builder, Place};
use crate::sim::shape::Shape;
use crate::sim::texture::Texture;

fn leaves(b: &mut Builder, radius: f32) -> Shape {
    let size = b.uniform(0.08, 0.3); // of a tuft, m
    Shape::Foliage {
        cells: radius / size,
        fill: b.uniform(60.0, 190.0) as u32,
        salt: b.count(0, 1 << 20) as u32,
    }
}

pub(super) fn tree(b: &mut Builder, place: Place) {
    let bark = b.surface(0.1, 0.4, Texture::Stains, 0.2);
    let green = b.surface(0.25, 0.7, Texture::Leaves, 1.0);
    let trunk = b.uniform(1.2, 4.0);
    let radius = b.uniform(0.07, 0.3);
    if b.chance(0.25) {
        let (height, spread) = (b.uniform(3.0, 8.0), b.uniform(0.8, 1.8));
        b.put(
            &place,
            Shape::Cylinder,
            [0.0, 0.0, 0.5],
            [radius, radius, 0.5],
            bark,
        );
        b.put(
            &place,
            Shape::Cone,
            [0.0, 0.0, 0.6 + 0.5 * height],
            [spread, spread, 0.5 * height],
            green,
        );
        return;
    }
    let crown = b.uniform(0.9, 2.6);
    b.put(
        &place,
        Shape::Cylinder,
        [0.0, 0.0, 0.5 * trunk + 0.3],
        [radius, radius, 0.5 * trunk + 0.3],
        bark,
    );
    for _ in 0..b.count(1, 3) {
        let offset = [
            b.uniform(-0.5, 0.5) * crown,
            b.uniform(-0.5, 0.5) * crown,
            trunk + b.uniform(0.4, 1.0) * crown,
        ];
        let half = [
            crown * b.uniform(0.6, 1.0),
            crown * b.uniform(0.6, 1.0),
            crown * b.uniform(0.5, 1.0),
        ];
        let shape = leaves(b, crown);
        b.put(&place, shape, offset, half, green);
    }
}

/// A bush of about `radius` metres.
pub(super) fn bush(b: &mut Builder, place: Place, radius: f32) {
    let green = b.surface(0.2, 0.7, Texture::Leaves, 1.0);
    let shape = leaves(b, radius);
    let half = [
        radius,
        radius * b.uniform(0.6, 1.0),
        radius * b.uniform(0.4, 1.0),
    ];
    b.put(&place, shape, [0.0, 0.0, 0.6 * half[2]], half, green);
}

/// A pole: bare, a lamp, or a sign.
pub(super) fn pole(b: &mut Builder, place: Place) {
    let metal = b.paint();
    let (height, radius) = (b.uniform(2.2, 7.0), b.uniform(0.03, 0.12));
    b.put(
        &place,
        Shape::Cylinder,
        [0.0, 0.0, 0.5 * height],
        [radius, radius, 0.5 * height],
        metal,
    );
    let kind = b.uniform(0.0, 1.0);
    if kind < 0.4 {
        b.put(
            &place,
            Shape::Cube,
            [0.6, 0.0, height],
            [0.7, 0.06, 0.05],
            metal,
        );
    } else if kind < 0.8 {
        let bright = b.uniform(0.6, 3.0);
        let face = b.plain(bright);
        let half = [0.02, b.uniform(0.2, 0.5), b.uniform(0.2, 0.5)];
        let z = b.uniform(1.9, 2.6).min(height - 0.2);
        b.put(&place, Shape::Cube, [-radius - 0.02, 0.0, z], half, face);
    }
}
