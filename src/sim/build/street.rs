//! A road between buildings.

use super::outdoors::{bush, pole, tree};
use super::people::person;
use super::vehicles::vehicle;
use super::{Builder, Place};
use crate::sim::ego::Ego;
use crate::sim::texture::Texture;
use std::f32::consts::PI;

pub(super) fn build(b: &mut Builder) -> Ego {
    let driving = b.chance(0.5);
    let road = b.uniform(2.8, 5.5); // half width
    let pavement = b.uniform(1.6, 4.0);
    let mut ego = if driving {
        b.ego(2.0, 12.0, 0.35)
    } else {
        b.ego(0.3, 1.8, 0.9)
    };
    let lane = if driving {
        -0.5 * road
    } else {
        -road - 0.5 * pavement
    };
    ego.start[1] = lane;
    ego.start[2] += if driving { 0.0 } else { 0.1 };
    let end = 12.0 * ego.velocity[0] + 45.0;

    let asphalt = b.surface(0.08, 0.3, Texture::Stains, 2.0);
    b.block((-50.0, end + 50.0), (-80.0, 80.0), (-1.0, 0.0), asphalt);
    let flags = b.surface(0.2, 0.5, Texture::Tiles, 0.6);
    let line = b.plain(0.8);
    for x in (0..(end / 6.0) as usize).map(|i| 6.0 * i as f32) {
        b.block((x, x + 3.0), (-0.06, 0.06), (-0.02, 0.004), line);
    }
    for side in [-1.0, 1.0] {
        let (kerb, front) = (side * road, side * (road + pavement));
        span(
            b,
            side,
            -50.0,
            end + 50.0,
            (road, road + pavement),
            (-0.5, 0.12),
            flags,
        );
        facades(b, side, road + pavement, end);
        let mut x = b.uniform(-6.0, 4.0);
        let parked = b.uniform(0.1, 0.8);
        while x < end {
            if b.chance(parked) && road > 3.6 && !(driving && side < 0.0 && road < 4.6) {
                let yaw = if side < 0.0 { 0.0 } else { PI };
                vehicle(b, Place::at(x, kerb - side * 1.05, yaw), 0.0);
            }
            x += b.uniform(6.0, 14.0);
        }
        let mut x = b.uniform(-2.0, 8.0);
        let green = b.chance(0.5);
        let spacing = b.uniform(5.0, 14.0);
        while x < end {
            let place = Place {
                z: 0.1,
                ..Place::at(x, kerb + side * b.uniform(0.3, 0.6), side * 1.57)
            };
            if clear(place.y, lane) {
                if green && b.chance(0.7) {
                    tree(b, place);
                } else {
                    pole(b, place);
                }
            }
            x += spacing * b.uniform(0.6, 1.4);
        }
        for _ in 0..b.count(0, (end / 12.0) as usize + 2) {
            let y = kerb + side * b.uniform(0.4, pavement - 0.3);
            let yaw = if b.chance(0.5) { 0.0 } else { PI };
            let speed = if b.chance(0.3) {
                0.0
            } else {
                b.uniform(0.5, 1.6)
            };
            let x = b.uniform(2.0, end);
            if clear(y, lane) {
                person(
                    b,
                    Place {
                        z: 0.12,
                        ..Place::at(x, y, yaw)
                    },
                    speed,
                );
            }
        }
        if b.chance(0.3) {
            for _ in 0..b.count(1, 8) {
                let (x, size) = (b.uniform(0.0, end), b.uniform(0.3, 0.8));
                bush(
                    b,
                    Place {
                        z: 0.1,
                        ..Place::at(x, front - side * size, 0.0)
                    },
                    size,
                );
            }
        }
    }
    for _ in 0..b.count(0, (end / 25.0) as usize + 1) {
        let (x, speed) = (b.uniform(8.0, end + 60.0), b.uniform(2.0, 10.0));
        if road > 3.0 {
            vehicle(b, Place::at(x, 0.45 * road, PI), speed);
        }
    }
    if b.chance(0.5) {
        let (x, pace) = (
            b.uniform(7.0, 22.0),
            if driving {
                ego.velocity[0]
            } else {
                b.uniform(1.0, 8.0)
            },
        );
        vehicle(b, Place::at(x, -0.45 * road, 0.0), pace);
    }
    ego
}

/// Whether a thing at `y` leaves the sensor's lane free.
fn clear(y: f32, lane: f32) -> bool {
    (y - lane).abs() > 0.8
}

/// A block beside the road: `y` counted from the middle of the road to the side.
fn span(
    b: &mut Builder,
    side: f32,
    from: f32,
    to: f32,
    y: (f32, f32),
    z: (f32, f32),
    surface: crate::sim::texture::Surface,
) {
    let y = if side > 0.0 { y } else { (-y.1, -y.0) };
    b.block((from, to), y, z, surface);
}

/// Buildings, walls and gaps along one side.
fn facades(b: &mut Builder, side: f32, front: f32, end: f32) {
    let mut x = b.uniform(-30.0, -15.0);
    while x < end + 20.0 {
        let width = b.uniform(5.0, 18.0);
        let kind = b.uniform(0.0, 1.0);
        let set_back = if b.chance(0.4) {
            b.uniform(0.0, 6.0)
        } else {
            b.uniform(0.0, 0.3)
        };
        let y = front + set_back;
        if kind < 0.75 {
            let height = b.uniform(3.0, 14.0);
            let scale = b.uniform(1.6, 3.2);
            let texture = b.pick(&[
                Texture::Facade,
                Texture::Facade,
                Texture::Bricks,
                Texture::Stains,
            ]);
            let wall = b.surface(0.25, 0.75, texture, scale);
            span(
                b,
                side,
                x,
                x + width,
                (y + 0.25, y + 12.0),
                (0.0, height),
                wall,
            );
            // piers before the wall leave recesses between them
            let bays = b.count(1, 4);
            for bay in 0..=bays {
                let at = x + width * bay as f32 / bays as f32;
                let half = b.uniform(0.15, 0.6);
                span(
                    b,
                    side,
                    (at - half).max(x),
                    (at + half).min(x + width),
                    (y, y + 0.3),
                    (0.0, height),
                    wall,
                );
            }
            let upper = b.uniform(2.4, 3.2);
            if b.chance(0.6) {
                span(b, side, x, x + width, (y, y + 0.3), (upper, height), wall);
            }
            let door = b.paint();
            let at = x + width * b.uniform(0.1, 0.8);
            span(b, side, at, at + 1.0, (y + 0.2, y + 0.3), (0.0, 2.1), door);
            if b.chance(0.3) {
                let shade = b.paint();
                span(b, side, at - 0.5, at + 2.0, (y - 1.0, y), (2.5, 2.6), shade);
            }
        } else if kind < 0.88 {
            let height = b.uniform(0.8, 2.2);
            let wall = b.wall_surface();
            span(b, side, x, x + width, (y, y + 0.2), (0.0, height), wall);
            let (at, depth) = (x + width * b.uniform(0.2, 0.8), y + b.uniform(1.5, 5.0));
            tree(b, Place::at(at, side * depth, 0.0));
        }
        x += width
            + if b.chance(0.25) {
                b.uniform(2.0, 9.0)
            } else {
                0.0
            };
    }
}
