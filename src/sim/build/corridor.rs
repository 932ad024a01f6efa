//! A corridor.

use super::furniture::boxes;
use super::people::person;
use super::{Builder, Place};
use crate::sim::ego::Ego;
use crate::sim::shape::Shape;
use crate::sim::texture::{Surface, Texture};
use std::f32::consts::PI;

pub(super) fn build(b: &mut Builder) -> Ego {
    let mut ego = b.ego(0.3, 1.6, 0.7);
    let half = b.uniform(0.9, 2.4);
    let height = b.uniform(2.2, 3.6);
    let lane = b.uniform(-0.4, 0.4) * (half - 0.5);
    ego.start[1] = lane;
    let end = 10.0 * ego.velocity[0] + b.uniform(1.5, 28.0);

    let (floor, ceiling) = (b.floor_surface(), b.surface(0.4, 0.9, Texture::Tiles, 0.6));
    b.block((-10.0, end + 30.0), (-30.0, 30.0), (-0.5, 0.0), floor);
    b.block(
        (-10.0, end + 30.0),
        (-30.0, 30.0),
        (height, height + 0.5),
        ceiling,
    );
    let wall = b.wall_surface();
    let bend = b.pick(&[0, 0, 1, -1, 2]); // dead end, left, right, both
    let branch = b.uniform(1.2, 3.5);
    b.block((end, end + 0.3), (-30.0, 30.0), (0.0, height), wall);
    for side in [-1.0, 1.0] {
        let open = bend == 2 || bend as f32 == side;
        let stop = if open { end - branch } else { end };
        wall_with_doors(b, side, half, stop, height, wall);
        if open {
            let y = (side * half, side * 30.0);
            let near = b.wall_surface();
            b.block(
                (stop - 0.2, stop),
                (y.0.min(y.1), y.0.max(y.1)),
                (0.0, height),
                near,
            );
            let (low, high) = (side * b.uniform(half + 3.0, 12.0), side * 12.5);
            b.block(
                (stop, end),
                (low.min(high), low.max(high)),
                (0.0, height),
                wall,
            );
        }
        let pillars = b.chance(0.3) && half > 1.5;
        let (spacing, thick) = (b.uniform(2.5, 6.0), b.uniform(0.12, 0.3));
        let mut x = b.uniform(1.0, 4.0);
        let paint = b.paint();
        while pillars && x < stop {
            let y = side * (half - thick);
            b.block(
                (x - thick, x + thick),
                (y - thick, y + thick),
                (0.0, height),
                paint,
            );
            x += spacing;
        }
        for _ in 0..b.count(0, 3) {
            let size = b.uniform(0.15, 0.35);
            let place = Place::at(b.uniform(1.0, stop), side * (half - size), 0.0);
            if (place.y - lane).abs() > size + 0.5 {
                boxes(b, &place, size);
            }
        }
    }
    for _ in 0..b.count(0, 3) {
        let y = b.uniform(-1.0, 1.0) * (half - 0.35);
        let (yaw, speed) = (if b.chance(0.5) { 0.0 } else { PI }, b.uniform(0.0, 1.4));
        let x = b.uniform(2.5, end - 0.5);
        if (y - lane).abs() > 0.7 {
            person(b, Place::at(x, y, yaw), speed);
        } else if x > 4.0 {
            let ahead = ego.velocity[0];
            person(b, Place::at(x, y, 0.0), ahead);
        }
    }
    fittings(b, half, height, end);
    ego
}

/// Lamps, beams and pipes under the ceiling.
fn fittings(b: &mut Builder, half: f32, height: f32, end: f32) {
    let bright = b.plain(0.85);
    let spacing = b.uniform(1.8, 5.0);
    let beams = b.chance(0.3);
    let drop = if beams { b.uniform(0.1, 0.35) } else { 0.05 };
    let reach = if beams { half } else { 0.3 };
    let mut x = b.uniform(0.0, 2.0);
    while x < end {
        b.block(
            (x, x + 0.25),
            (-reach, reach),
            (height - drop, height),
            bright,
        );
        x += spacing;
    }
    if b.chance(0.4) {
        let metal = b.paint();
        let (y, radius) = (b.uniform(-0.8, 0.8) * half, b.uniform(0.05, 0.2));
        let along = crate::sim::linear::oriented(0.0, PI / 2.0, 0.0);
        b.put_turned(
            &Place::default(),
            Shape::Cylinder,
            [0.5 * end, y, height - radius - 0.05],
            [radius, radius, 0.5 * end + 8.0],
            along,
            metal,
        );
    }
}

/// A wall in pieces, with doors that are shut, set back, or open into a dark room.
fn wall_with_doors(b: &mut Builder, side: f32, half: f32, stop: f32, height: f32, wall: Surface) {
    let place =
        |b: &mut Builder, x: (f32, f32), depth: (f32, f32), z: (f32, f32), surface: Surface| {
            let y = (side * (half + depth.0), side * (half + depth.1));
            b.block(x, (y.0.min(y.1), y.0.max(y.1)), z, surface);
        };
    let mut x = -8.0;
    let gap = b.uniform(1.5, 7.0);
    while x < stop {
        let door = (x + gap * b.uniform(0.6, 1.5)).min(stop);
        place(b, (x, door), (0.0, 0.3), (0.0, height), wall);
        let width = b.uniform(0.8, 1.6).min(stop - door);
        if width < 0.5 {
            x = stop.max(door + 0.01);
            if door < stop {
                place(b, (door, stop), (0.0, 0.3), (0.0, height), wall);
            }
            continue;
        }
        place(
            b,
            (door, door + width),
            (0.0, 0.3),
            (2.1, height.max(2.15)),
            wall,
        );
        let leaf = b.paint();
        let kind = b.uniform(0.0, 1.0);
        if kind < 0.65 {
            let depth = b.uniform(0.03, 0.25);
            place(b, (door, door + width), (depth, 0.3), (0.0, 2.1), leaf);
        } else {
            let depth = b.uniform(1.0, 6.0);
            place(
                b,
                (door - 2.0, door + width + 2.0),
                (depth, depth + 0.2),
                (0.0, height),
                wall,
            );
        }
        x = door + width;
    }
}
