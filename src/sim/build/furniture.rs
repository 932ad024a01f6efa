//! Tables, chairs, cupboards, shelves and boxes.

use super::{Builder, Place};
use crate::sim::shape::Shape;
use crate::sim::texture::Texture;

pub(super) fn table(b: &mut Builder, place: &Place, half: [f32; 2]) {
    let wood = b.surface(0.2, 0.8, Texture::Planks, 0.2);
    let height = b.uniform(0.65, 1.0);
    b.put(
        place,
        Shape::Cube,
        [0.0, 0.0, height - 0.02],
        [half[0], half[1], 0.025],
        wood,
    );
    for x in [-1.0, 1.0] {
        for y in [-1.0, 1.0] {
            let foot = [x * (half[0] - 0.06), y * (half[1] - 0.06), 0.5 * height];
            b.put(place, Shape::Cube, foot, [0.03, 0.03, 0.5 * height], wood);
        }
    }
    for _ in 0..b.count(0, 4) {
        let size = [
            b.uniform(0.05, 0.2),
            b.uniform(0.02, 0.25),
            b.uniform(0.04, 0.25),
        ];
        let at = [
            b.uniform(-0.7, 0.7) * half[0],
            b.uniform(-0.7, 0.7) * half[1],
            height + size[2],
        ];
        let paint = b.paint();
        b.put(place, Shape::Cube, at, size, paint);
    }
}

/// A chair whose back is behind it.
pub(super) fn chair(b: &mut Builder, place: &Place) {
    let paint = b.paint();
    let seat = b.uniform(0.42, 0.5);
    b.put(
        place,
        Shape::Cube,
        [0.0, 0.0, seat],
        [0.22, 0.22, 0.03],
        paint,
    );
    b.put(
        place,
        Shape::Cube,
        [-0.21, 0.0, seat + 0.25],
        [0.02, 0.21, 0.22],
        paint,
    );
    for x in [-0.19, 0.19] {
        for y in [-0.19, 0.19] {
            b.put(
                place,
                Shape::Cube,
                [x, y, 0.5 * seat],
                [0.02, 0.02, 0.5 * seat],
                paint,
            );
        }
    }
}

/// A closed cupboard.
pub(super) fn cupboard(b: &mut Builder, place: &Place, half: [f32; 2]) {
    let paint = b.paint();
    let height = b.uniform(0.7, 2.2);
    b.put(
        place,
        Shape::Cube,
        [0.0, 0.0, 0.5 * height],
        [half[0], half[1], 0.5 * height],
        paint,
    );
}

/// Open shelves with things on them, its long side along y.
pub(super) fn shelf(b: &mut Builder, place: &Place, half: [f32; 2]) {
    let paint = b.paint();
    let height = b.uniform(1.0, 2.3);
    for side in [-1.0, 1.0] {
        b.put(
            place,
            Shape::Cube,
            [0.0, side * half[1], 0.5 * height],
            [half[0], 0.015, 0.5 * height],
            paint,
        );
    }
    b.put(
        place,
        Shape::Cube,
        [-half[0], 0.0, 0.5 * height],
        [0.01, half[1], 0.5 * height],
        paint,
    );
    let boards = b.count(3, 5);
    for board in 0..=boards {
        let z = height * board as f32 / boards as f32;
        b.put(
            place,
            Shape::Cube,
            [0.0, 0.0, z],
            [half[0], half[1], 0.015],
            paint,
        );
        if board < boards {
            for _ in 0..b.count(0, 3) {
                let tall = b.uniform(0.25, 0.45) * height / boards as f32;
                let size = [
                    b.uniform(0.4, 0.9) * half[0],
                    b.uniform(0.08, 0.3) * half[1],
                    tall,
                ];
                let at = [
                    b.uniform(-0.1, 0.1),
                    b.uniform(-0.65, 0.65) * half[1],
                    z + tall,
                ];
                let thing = b.paint();
                b.put(place, Shape::Cube, at, size, thing);
            }
        }
    }
}

/// One to three boxes, stacked.
pub(super) fn boxes(b: &mut Builder, place: &Place, half: f32) {
    let mut z = 0.0;
    for _ in 0..b.count(1, 3) {
        let size = [
            half * b.uniform(0.5, 1.0),
            half * b.uniform(0.5, 1.0),
            half * b.uniform(0.4, 1.0),
        ];
        let card = b.surface(0.25, 0.7, Texture::Stains, 0.3);
        b.put(place, Shape::Cube, [0.0, 0.0, z + size[2]], size, card);
        z += 2.0 * size[2];
    }
}
