//! Solids that no family's scenes hold, in the frame of a sensor at the origin: x forward, y left, z up.

use super::figure::figure;
use super::{Builder, Place};
use crate::frame::RangeImage;
use crate::sim::linear::{Vec3, add_scaled, dot, oriented, sub};
use crate::sim::obstacle::{ObstacleKind, behind};
use crate::sim::shape::Shape;
use crate::sim::texture::{Surface, Texture};
use crate::sim::{Rays, Scene};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::f32::consts::{FRAC_PI_2, PI};

/// An obstacle along a random ray of a frame, alone; `None` where it would be too near or too far to be one.
///
/// What hangs or flies does so on the way to what the ray meets; what stands does so where the ray meets a floor.
pub(in crate::sim) fn stood(
    kind: ObstacleKind,
    rays: &Rays,
    image: &RangeImage,
    random: &mut ChaCha8Rng,
) -> Option<Scene> {
    let mut b = Builder {
        random: ChaCha8Rng::seed_from_u64(random.random()),
        solids: vec![],
    };
    let pixel = b.count(0, image.pixels() - 1);
    let ray = [rays.x()[pixel], rays.y()[pixel], rays.z()[pixel]];
    let met = behind(image, pixel);
    let on_the_way = met * b.uniform(0.3, 0.75);
    let at = |range: f32| ray.map(|v| v * range);
    let floor = is_floor(pixel, rays, image);
    let pixel_m = |range: f32| range * rays.pitch();
    match kind {
        ObstacleKind::Cable if on_the_way > 1.0 => {
            let range = on_the_way.min(b.uniform(1.0, 7.0));
            cable(&mut b, at(range), pixel_m(range));
        }
        ObstacleKind::Sphere if on_the_way > 1.0 => {
            let range = on_the_way.min(b.uniform(3.0, 14.0));
            let radius = b.uniform(0.1, 0.5).max(1.2 * pixel_m(range));
            ball(&mut b, at(range), radius);
        }
        ObstacleKind::Pole if floor && (1.5..10.0).contains(&met) => {
            pole(&mut b, at(met), pixel_m(met));
        }
        ObstacleKind::Figure if floor && (2.5..16.0).contains(&met) => {
            let place = standing(&mut b, at(met));
            figure(&mut b, &place);
        }
        ObstacleKind::Animal if floor && (1.5..12.0).contains(&met) => {
            let place = standing(&mut b, at(met));
            animal(&mut b, &place);
        }
        _ => return None,
    }
    Some(Scene {
        solids: b.solids,
        ego: crate::sim::ego::Ego::default(),
    })
}

/// Whether what is seen at a pixel lies below the sensor and rises by less than 1 in 2 to the pixel above.
fn is_floor(pixel: usize, rays: &Rays, image: &RangeImage) -> bool {
    let Some(above) = pixel.checked_sub(rays.cols()) else {
        return false;
    };
    let point = |i: usize| [rays.x()[i], rays.y()[i], rays.z()[i]].map(|v| v * image.range[i]);
    let (here, there) = (point(pixel), point(above));
    let step = sub(there, here);
    let seen = image.valid[pixel] && image.valid[above];
    seen && here[2] < 0.0 && step[2].abs() < 0.5 * step[0].hypot(step[1])
}

fn standing(b: &mut Builder, [x, y, z]: Vec3) -> Place {
    Place {
        z,
        ..Place::at(x, y, b.uniform(-PI, PI))
    }
}

/// A round limb between two points of a thing: a [`Shape::Cylinder`], or a [`Shape::Sphere`] drawn out.
pub(super) fn limb(
    b: &mut Builder,
    place: &Place,
    shape: Shape,
    [from, to]: [Vec3; 2],
    radius: f32,
    surface: Surface,
) {
    let (from, to) = (place.point(from), place.point(to));
    let along = sub(to, from);
    let yaw = along[1].atan2(along[0]);
    let pitch = along[2].atan2(along[0].hypot(along[1]));
    let [forward, left, up] = oriented(yaw, pitch, 0.0);
    let half_length = 0.5 * dot(along, along).sqrt();
    b.put_turned(
        &Place::default(),
        shape,
        add_scaled(from, 0.5, along),
        [radius, radius, half_length.max(radius)],
        [left, up, forward],
        surface,
    );
}

/// A rope that sags through `middle`, as seen with pixels `pixel` m wide there.
fn cable(b: &mut Builder, middle: Vec3, pixel: f32) {
    const PIECES: i32 = 12;
    let rope = b.paint();
    let radius = 0.5 * pixel * b.uniform(1.0, 2.0);
    let span = dot(middle, middle).sqrt() * b.uniform(0.25, 0.7); // to either side
    let across = middle[1].atan2(middle[0]) + FRAC_PI_2 + b.uniform(-0.5, 0.5);
    let slope = b.uniform(-0.35, 0.35);
    let sag = b.uniform(0.0, 0.4);
    let point = |i: i32| {
        let t = 2.0 * i as f32 / PIECES as f32 - 1.0;
        let out = span * t;
        [
            middle[0] + out * across.cos(),
            middle[1] + out * across.sin(),
            middle[2] + out * slope + span * sag * t * t,
        ]
    };
    for i in 0..PIECES {
        let ends = [point(i), point(i + 1)];
        limb(b, &Place::default(), Shape::Cylinder, ends, radius, rope);
    }
}

fn pole(b: &mut Builder, foot: Vec3, pixel: f32) {
    let metal = b.paint();
    let radius = 0.5 * pixel * b.uniform(1.0, 2.0);
    let length = b.uniform(1.0, 4.0);
    let (tilt, towards) = (b.uniform(0.26, 0.96), b.uniform(-PI, PI));
    let top = [
        length * tilt.sin() * towards.cos(),
        length * tilt.sin() * towards.sin(),
        length * tilt.cos(),
    ];
    let place = Place {
        z: foot[2],
        ..Place::at(foot[0], foot[1], 0.0)
    };
    let ends = [[0.0; 3], top];
    limb(b, &place, Shape::Cylinder, ends, radius, metal);
}

fn ball(b: &mut Builder, middle: Vec3, radius: f32) {
    let skin = b.paint();
    let place = Place {
        z: middle[2],
        ..Place::at(middle[0], middle[1], 0.0)
    };
    b.put(&place, Shape::Sphere, [0.0; 3], [radius; 3], skin);
}

/// A body on four legs, with neck, head and tail; a cat's shoulders are 0.25 m high, a deer's 1.3 m.
fn animal(b: &mut Builder, place: &Place) {
    let size = b.uniform(0.25, 1.3);
    let fur = b.surface(0.15, 0.6, Texture::Stains, 0.4 * size);
    let half = size * b.uniform(0.45, 0.7); // of the body's length
    let girth = size * b.uniform(0.17, 0.25);
    let back = size - girth;
    let body = [[-1.1 * half, 0.0, back], [1.1 * half, 0.0, back]];
    limb(b, place, Shape::Sphere, body, girth, fur);
    for (end, side) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
        let step = size * b.uniform(-0.2, 0.2);
        let leg = [
            [0.75 * end * half, 0.5 * side * girth, back],
            [0.75 * end * half + step, 0.6 * side * girth, 0.0],
        ];
        limb(b, place, Shape::Cylinder, leg, 0.07 * size, fur);
    }
    let head = [
        half + size * b.uniform(0.1, 0.35),
        0.0,
        size * b.uniform(0.7, 1.45),
    ];
    let neck = [[0.8 * half, 0.0, back], head];
    limb(b, place, Shape::Cylinder, neck, 0.09 * size, fur);
    let muzzle = [
        add_scaled(head, -0.1 * size, [1.0, 0.0, 0.0]),
        add_scaled(head, 0.27 * size, [1.0, 0.0, -0.3]),
    ];
    limb(b, place, Shape::Sphere, muzzle, 0.11 * size, fur);
    let tail = [
        [-half, 0.0, back],
        [-half - 0.4 * size, 0.0, back + size * b.uniform(-0.4, 0.4)],
    ];
    limb(b, place, Shape::Cylinder, tail, 0.035 * size, fur);
}
