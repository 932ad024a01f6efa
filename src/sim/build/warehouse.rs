//! A warehouse.

use super::furniture::boxes;
use super::people::person;
use super::vehicles::forklift;
use super::{Builder, Place};
use crate::sim::ego::Ego;
use crate::sim::texture::Texture;
use std::f32::consts::PI;

pub(super) fn build(b: &mut Builder) -> Ego {
    let mut ego = b.ego(0.3, 1.8, 0.8);
    let half = b.uniform(1.4, 3.5); // of the aisle
    let height = b.uniform(4.0, 10.0);
    let lane = b.uniform(-0.5, 0.5) * (half - 0.8);
    ego.start[1] = lane;
    let reach = 10.0 * ego.velocity[0];
    let end = reach + b.uniform(2.0, 30.0);
    let floor = b.floor_surface();
    let shell = b.wall_surface();
    b.block((-15.0, end + 40.0), (-40.0, 40.0), (-0.5, 0.0), floor);
    b.block(
        (-15.0, end + 40.0),
        (-40.0, 40.0),
        (height, height + 0.3),
        shell,
    );
    b.block((end, end + 0.3), (-40.0, 40.0), (0.0, height), shell);
    let (spacing, drop, steel) = (b.uniform(3.0, 7.0), b.uniform(0.2, 0.8), b.paint());
    let mut x = b.uniform(-3.0, 3.0);
    while x < end {
        b.block((x, x + 0.25), (-40.0, 40.0), (height - drop, height), steel);
        x += spacing;
    }
    for side in [-1.0, 1.0] {
        let wall = side * b.uniform(half + 3.0, 20.0);
        b.block(
            (-15.0, end),
            (wall.min(wall + side * 0.3), wall.max(wall + side * 0.3)),
            (0.0, height),
            shell,
        );
        if b.chance(0.8) {
            racks(b, side, half, end, height);
        } else {
            pillars(b, side * (half + 0.5), end, height);
        }
        for _ in 0..b.count(0, 4) {
            let size = b.uniform(0.3, 0.6);
            let (x, y) = (
                b.uniform(1.5, end),
                side * (half - size * b.uniform(0.8, 1.3)),
            );
            if (y - lane).abs() > 1.5 * size + 0.5 {
                let place = Place::at(x, y, b.uniform(-0.2, 0.2));
                pallet(b, place, size);
            }
        }
    }
    for _ in 0..b.count(0, 3) {
        let (x, y) = (b.uniform(3.0, end), b.uniform(-1.0, 1.0) * (half - 0.4));
        let (yaw, speed) = (b.pick(&[0.0, PI]), b.pick(&[0.0, 0.9, 1.4]));
        if (y - lane).abs() > 0.8 {
            person(b, Place::at(x, y, yaw), speed);
        }
    }
    if b.chance(0.5) {
        let side = if lane > 0.0 { -1.0 } else { 1.0 };
        let y = side * (half - 0.7);
        if (y - lane).abs() > 1.2 {
            let (x, yaw, speed) = (
                b.uniform(4.0, end),
                b.pick(&[0.0, PI]),
                b.pick(&[0.0, 0.0, 1.5]),
            );
            forklift(b, Place::at(x, y, yaw), speed);
        } else {
            let (x, speed) = (b.uniform(5.0, 15.0), ego.velocity[0]);
            forklift(b, Place::at(x, lane, 0.0), speed);
        }
    }
    ego
}

fn pallet(b: &mut Builder, place: Place, size: f32) {
    let wood = b.surface(0.3, 0.6, Texture::Planks, 0.1);
    b.put(
        &place,
        crate::sim::shape::Shape::Cube,
        [0.0, 0.0, 0.07],
        [size, 0.8 * size, 0.07],
        wood,
    );
    boxes(b, &Place { z: 0.14, ..place }, 0.8 * size);
}

fn pillars(b: &mut Builder, y: f32, end: f32, height: f32) {
    let (thick, spacing, paint) = (b.uniform(0.12, 0.35), b.uniform(3.0, 7.0), b.wall_surface());
    let mut x = b.uniform(-2.0, 3.0);
    while x < end {
        b.block(
            (x - thick, x + thick),
            (y - thick, y + thick),
            (0.0, height),
            paint,
        );
        x += spacing;
    }
}

/// One row of racks: uprights, beams, boards, and goods of every depth.
fn racks(b: &mut Builder, side: f32, half: f32, end: f32, height: f32) {
    let (bay, level, depth) = (
        b.uniform(1.8, 3.2),
        b.uniform(1.0, 2.0),
        b.uniform(0.8, 1.3),
    );
    let levels = ((b.uniform(2.0, height) / level) as usize).clamp(1, 5);
    let (post, beam, board) = (
        b.paint(),
        b.paint(),
        b.surface(0.2, 0.6, Texture::Planks, 0.15),
    );
    let filled = b.uniform(0.3, 0.95);
    let cross = b.uniform(0.0, 0.3);
    let outward = |near: f32, far: f32| {
        let (a, c) = (side * (half + near), side * (half + far));
        (a.min(c), a.max(c))
    };
    let top = level * levels as f32;
    let mut x = b.uniform(-6.0, -3.0);
    while x + bay < end {
        if b.chance(cross * 0.5) {
            x += bay; // a cross aisle
            continue;
        }
        for (near, far) in [(0.0, 0.08), (depth - 0.08, depth)] {
            for at in [x, x + bay - 0.08] {
                b.block((at, at + 0.08), outward(near, far), (0.0, top + 0.2), post);
            }
        }
        for step in 0..levels {
            let z = level * step as f32;
            if step > 0 {
                b.block((x, x + bay), outward(0.0, 0.05), (z - 0.12, z), beam);
                b.block((x, x + bay), outward(0.05, depth), (z - 0.04, z), board);
            }
            let mut at = x + 0.12;
            while at < x + bay - 0.4 {
                let width = b.uniform(0.35, 1.1).min(x + bay - 0.1 - at);
                if b.chance(filled) {
                    let goods = b.surface(0.2, 0.75, Texture::Stains, 0.4);
                    let (tall, near) = (level * b.uniform(0.3, 0.85), b.uniform(0.0, 0.4) * depth);
                    b.block((at, at + width), outward(near, depth), (z, z + tall), goods);
                }
                at += width + b.uniform(0.03, 0.2);
            }
        }
        x += bay;
    }
}
