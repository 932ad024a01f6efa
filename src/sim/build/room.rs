//! A furnished room.

use super::furniture::{boxes, chair, cupboard, shelf, table};
use super::people::person;
use super::{Builder, Place};
use crate::sim::ego::Ego;
use crate::sim::shape::Shape;
use crate::sim::texture::Texture;
use std::f32::consts::{FRAC_PI_2, PI};

pub(super) fn build(b: &mut Builder) -> Ego {
    let (long, wide) = (b.uniform(2.2, 7.0), b.uniform(1.8, 5.0)); // half extents
    let height = b.uniform(2.2, 3.8);
    let (floor, ceiling) = (b.floor_surface(), b.surface(0.5, 0.9, Texture::Stains, 1.0));
    b.block((-15.0, 15.0), (-15.0, 15.0), (-0.5, 0.0), floor);
    b.block(
        (-15.0, 15.0),
        (-15.0, 15.0),
        (height, height + 0.3),
        ceiling,
    );
    let mut ego = b.ego(0.0, 0.12, PI);
    ego.turn = b.uniform(-0.3, 0.3);
    ego.start[0] = b.uniform(-0.75, 0.4) * (long - 1.0);
    ego.start[1] = b.uniform(-0.75, 0.75) * (wide - 0.8);
    // mostly into the room, now and then at a wall
    ego.yaw = (-ego.start[1]).atan2(-ego.start[0]) + b.uniform(-1.0, 1.0) * b.uniform(0.3, 2.5);
    let reach = ego.start[0] + 12.0 * ego.velocity[0];
    let free = |x: f32, y: f32, r: f32| {
        let along = x.clamp(ego.start[0], reach);
        (x - along).hypot(y - ego.start[1]) > r + 0.5
    };

    let paper = b.wall_surface();
    for (yaw, distance, width) in [
        (0.0, long, wide),
        (PI, long, wide),
        (FRAC_PI_2, wide, long),
        (-FRAC_PI_2, wide, long),
    ] {
        // x of this place points out through the wall
        let side = Place::at(0.0, 0.0, yaw);
        let wall = if b.chance(0.7) {
            paper
        } else {
            b.wall_surface()
        };
        b.put(
            &side,
            Shape::Cube,
            [distance + 0.1, 0.0, 0.5 * height],
            [0.1, width + 0.2, 0.5 * height],
            wall,
        );
        for _ in 0..b.count(0, 2) {
            let (y, half) = (b.uniform(-0.7, 0.7) * width, b.uniform(0.35, 0.9));
            if b.chance(0.5) {
                let pane = b.plain(0.0);
                b.put(
                    &side,
                    Shape::Cube,
                    [distance, y, 1.5],
                    [0.01, half, 0.55],
                    pane,
                );
                let frame = b.plain(0.7);
                b.put(
                    &side,
                    Shape::Cube,
                    [distance - 0.02, y, 0.92],
                    [0.08, half + 0.05, 0.03],
                    frame,
                );
                b.put(
                    &side,
                    Shape::Cube,
                    [distance - 0.01, y, 1.5],
                    [0.02, 0.03, 0.55],
                    frame,
                );
            } else {
                let leaf = b.paint();
                b.put(
                    &side,
                    Shape::Cube,
                    [distance, y, 1.02],
                    [0.04, 0.45, 1.02],
                    leaf,
                );
            }
        }
        let mut y = -width + b.uniform(0.3, 1.5);
        while y < width - 0.6 {
            let half = [b.uniform(0.15, 0.35), b.uniform(0.3, 0.9)];
            if y + 2.0 * half[1] > width {
                break;
            }
            let mut place = side;
            let p = side.point([distance - half[0] - 0.02, y + half[1], 0.0]);
            (place.x, place.y, place.yaw) = (p[0], p[1], yaw + PI);
            if free(p[0], p[1], half[1].max(half[0])) {
                match b.count(0, 4) {
                    0 => shelf(b, &place, half),
                    1 => cupboard(b, &place, half),
                    2 => table(b, &place, [half[0] + 0.1, half[1]]),
                    3 => boxes(b, &place, half[0]),
                    _ => {}
                }
            }
            y += 2.0 * half[1] + b.uniform(0.1, 1.5);
        }
    }
    for _ in 0..b.count(0, 4) {
        let (x, y, yaw) = (
            b.uniform(-1.0, 1.0) * (long - 1.0),
            b.uniform(-1.0, 1.0) * (wide - 0.9),
            b.uniform(-PI, PI),
        );
        let half = [b.uniform(0.35, 0.9), b.uniform(0.3, 0.5)];
        let place = Place::at(x, y, yaw);
        if free(x, y, half[0] + 0.5) {
            table(b, &place, half);
            for _ in 0..b.count(0, 3) {
                let (at, turn) = (b.uniform(-0.7, 0.7) * half[0], b.uniform(-0.6, 0.6));
                let side = b.sign();
                let p = place.point([at, side * (half[1] + b.uniform(0.1, 0.4)), 0.0]);
                if free(p[0], p[1], 0.3) {
                    chair(b, &Place::at(p[0], p[1], yaw - side * FRAC_PI_2 + turn));
                }
            }
        }
    }
    for _ in 0..b.count(0, 4) {
        let (x, y, yaw) = (
            b.uniform(-1.0, 1.0) * (long - 0.7),
            b.uniform(-1.0, 1.0) * (wide - 0.7),
            b.uniform(-PI, PI),
        );
        if free(x, y, 0.3) {
            match b.count(0, 2) {
                0 => person(b, Place::at(x, y, yaw), 0.0),
                1 => boxes(b, &Place::at(x, y, yaw), 0.3),
                _ => chair(b, &Place::at(x, y, yaw)),
            }
        }
    }
    let lamp = b.plain(0.8);
    for _ in 0..b.count(0, 3) {
        let (x, y, drop) = (
            b.uniform(-0.6, 0.6) * long,
            b.uniform(-0.6, 0.6) * wide,
            b.uniform(0.05, 0.6),
        );
        b.put(
            &Place::default(),
            Shape::Cylinder,
            [x, y, height - drop],
            [0.2, 0.2, 0.08],
            lamp,
        );
        b.put(
            &Place::default(),
            Shape::Cylinder,
            [x, y, height - 0.5 * drop],
            [0.02, 0.02, 0.5 * drop],
            lamp,
        );
    }
    ego
}
