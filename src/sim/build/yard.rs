//! Open ground.

use super::furniture::boxes;
use super::outdoors::{bush, pole, tree};
use super::people::person;
use super::vehicles::vehicle;
use super::{Builder, Place};
use crate::sim::ego::Ego;
use crate::sim::linear::oriented;
use crate::sim::shape::Shape;
use crate::sim::texture::Texture;
use std::f32::consts::{FRAC_PI_2, PI};

pub(super) fn build(b: &mut Builder) -> Ego {
    let mut ego = b.ego(0.3, 3.0, 1.2);
    let reach = 11.0 * ego.velocity[0];
    let soil = b.surface(0.1, 0.55, Texture::Stains, 1.5);
    let tilt = oriented(0.0, b.uniform(-0.03, 0.03), b.uniform(-0.03, 0.03));
    // the ground is a plane through the origin: how high it is, for what stands on it
    let up = tilt[2];
    let ground = move |x: f32, y: f32| -(up[0] * x + up[1] * y) / up[2];
    let centre = up.map(|v| -0.5 * v);
    b.put_turned(
        &Place::default(),
        Shape::Cube,
        centre,
        [150.0, 150.0, 0.5],
        tilt,
        soil,
    );
    ego.velocity[2] = ground(ego.velocity[0], 0.0);
    let stand = |x: f32, y: f32, yaw: f32| Place {
        z: ground(x, y) - 0.03,
        ..Place::at(x, y, yaw)
    };

    if b.chance(0.75) {
        boundary(b, reach);
    }
    let crowded = b.count(12, 60);
    for _ in 0..crowded {
        // denser near the path than at the edges of the view, so that there is something at every range
        let (x, yaw) = (b.uniform(1.5, reach + 28.0), b.uniform(-PI, PI));
        let widest = b.uniform(4.0, 18.0);
        let y = b.sign() * b.uniform(0.6, widest);
        let place = stand(x, y, yaw);
        let gap = y.abs();
        match b.count(0, 13) {
            0..=2 if gap > 2.0 => tree(b, place),
            3..=6 => {
                let size = b.uniform(0.2, 1.4);
                if gap > size + 0.5 {
                    bush(b, place, size);
                }
            }
            7 if gap > 5.5 => shed(b, place),
            8 if gap > 4.5 => container(b, place),
            9 if gap > 3.8 => vehicle(b, place, 0.0),
            10 if gap > 1.0 => pole(b, place),
            11 if gap > 1.0 => {
                let speed = b.pick(&[0.0, 0.8, 1.3]);
                let along = b.pick(&[0.0, PI]);
                person(
                    b,
                    Place {
                        yaw: along,
                        ..place
                    },
                    speed,
                );
            }
            12 | 13 => {
                let size = b.uniform(0.2, 0.7);
                if gap > 1.5 * size + 0.5 {
                    boxes(b, &place, size);
                }
            }
            _ => {}
        }
    }
    ego
}

/// A fence or wall round the yard, in straight runs.
fn boundary(b: &mut Builder, reach: f32) {
    let wall = b.wall_surface();
    let (height, slats) = (b.uniform(1.0, 3.0), b.chance(0.4));
    let (front, left, right) = (
        reach + b.uniform(5.0, 30.0),
        b.uniform(4.0, 22.0),
        b.uniform(4.0, 22.0),
    );
    let turn = b.uniform(-0.15, 0.15);
    for (x, y, yaw, half) in [
        (front, 0.0, FRAC_PI_2, 40.0),
        (0.5 * front, left, 0.0, 0.5 * front + 20.0),
        (0.5 * front, -right, 0.0, 0.5 * front + 20.0),
    ] {
        let place = Place {
            z: -0.5,
            ..Place::at(x, y, yaw + turn * (yaw > 1.0) as u32 as f32)
        };
        if !slats {
            b.put(
                &place,
                Shape::Cube,
                [0.0, 0.0, 0.5 * height + 0.5],
                [half, 0.1, 0.5 * height + 0.5],
                wall,
            );
            continue;
        }
        for rail in [0.25, 0.6, 0.95] {
            b.put(
                &place,
                Shape::Cube,
                [0.0, 0.0, 0.5 + height * rail],
                [half, 0.03, 0.09],
                wall,
            );
        }
        let posts = (half / 1.25) as usize;
        for post in 0..posts {
            let x = -half + 2.5 * post as f32;
            b.put(
                &place,
                Shape::Cube,
                [x, 0.0, 0.5 * height + 0.5],
                [0.06, 0.06, 0.5 * height + 0.5],
                wall,
            );
        }
    }
}

/// A shed with a pitched or flat roof and a door.
fn shed(b: &mut Builder, place: Place) {
    let (x, y, z) = (
        b.uniform(1.2, 3.5),
        b.uniform(1.0, 3.0),
        b.uniform(1.0, 1.7),
    );
    let (wall, roof, door) = (b.wall_surface(), b.paint(), b.paint());
    b.put(
        &place,
        Shape::Cube,
        [0.0, 0.0, z - 0.2],
        [x, y, z + 0.2],
        wall,
    );
    b.put(&place, Shape::Cube, [x, 0.0, 1.0], [0.03, 0.5, 1.0], door);
    if b.chance(0.6) {
        let rise = b.uniform(0.25, 0.7);
        let slope = y.hypot(2.0 * rise);
        for side in [-1.0, 1.0] {
            let axes = oriented(place.yaw, 0.0, -side * (2.0 * rise / y).atan());
            b.put_turned(
                &place,
                Shape::Cube,
                [0.0, side * 0.5 * y, 2.0 * z + rise],
                [x + 0.2, 0.5 * slope + 0.15, 0.04],
                axes,
                roof,
            );
        }
    } else {
        b.put(
            &place,
            Shape::Cube,
            [0.0, 0.0, 2.0 * z + 0.05],
            [x + 0.2, y + 0.2, 0.06],
            roof,
        );
    }
}

/// A shipping container, sometimes two high.
fn container(b: &mut Builder, place: Place) {
    let long = b.pick(&[3.0, 3.0, 6.0]);
    for level in 0..b.count(1, 2) {
        let steel = b.surface(0.15, 0.6, Texture::Stripes, 0.3);
        b.put(
            &place,
            Shape::Cube,
            [0.0, 0.0, 1.25 + 2.6 * level as f32],
            [long, 1.22, 1.3],
            steel,
        );
    }
}
