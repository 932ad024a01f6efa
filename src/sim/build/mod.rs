//! Scenes, drawn from a seed: one file for each family, and one for each kind of thing they share.

mod corridor;
mod figure;
mod furniture;
pub(super) mod obstacles;
mod outdoors;
mod people;
mod room;
mod street;
mod vehicles;
mod warehouse;
mod yard;

use super::ego::Ego;
use super::family::Family;
use super::linear::{Axes, Vec3, oriented};
use super::scene::Scene;
use super::shape::Shape;
use super::solid::{Motion, Solid};
use super::texture::{Surface, Texture};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// The scene of a family that belongs to a seed.
pub(super) fn scene(family: Family, seed: u64) -> Scene {
    let mut b = Builder {
        random: ChaCha8Rng::seed_from_u64(seed ^ (family as u64) << 56),
        solids: Vec::with_capacity(256),
    };
    let ego = match family {
        Family::Street => street::build(&mut b),
        Family::Corridor => corridor::build(&mut b),
        Family::Room => room::build(&mut b),
        Family::Yard => yard::build(&mut b),
        Family::Warehouse => warehouse::build(&mut b),
    };
    Scene {
        solids: b.solids,
        ego,
    }
}

/// Where a thing stands on the ground, which way it faces, and how it moves.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    x: f32,
    y: f32,
    z: f32,
    yaw: f32,
    motion: Motion,
}

impl Place {
    fn at(x: f32, y: f32, yaw: f32) -> Place {
        Place {
            x,
            y,
            yaw,
            ..Place::default()
        }
    }

    /// A point given in the thing's own coordinates.
    fn point(&self, p: Vec3) -> Vec3 {
        let (s, c) = self.yaw.sin_cos();
        [
            self.x + c * p[0] - s * p[1],
            self.y + s * p[0] + c * p[1],
            self.z + p[2],
        ]
    }

    /// The same thing moving forward at `speed` m/s.
    fn moving(mut self, speed: f32) -> Place {
        let (s, c) = self.yaw.sin_cos();
        self.motion.velocity = [c * speed, s * speed, 0.0];
        self
    }
}

/// What has been built so far, and the randomness that decides what comes next.
struct Builder {
    random: ChaCha8Rng,
    solids: Vec<Solid>,
}

impl Builder {
    fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.random.random::<f32>()
    }

    fn chance(&mut self, p: f32) -> bool {
        self.random.random::<f32>() < p
    }

    fn count(&mut self, low: usize, high: usize) -> usize {
        low + (self.random.random::<u32>() as usize) % (high - low + 1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.random::<u32>() as usize % from.len()]
    }

    fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// A surface of reflectance between `low` and `high`.
    fn surface(&mut self, low: f32, high: f32, texture: Texture, scale: f32) -> Surface {
        Surface {
            albedo: self.uniform(low, high),
            texture,
            scale,
            contrast: self.uniform(0.05, 0.7),
            salt: self.random.random(),
        }
    }

    /// Paint or plastic, of any reflectance.
    fn paint(&mut self) -> Surface {
        let scale = self.uniform(0.2, 1.5);
        let texture = self.pick(&[Texture::Plain, Texture::Plain, Texture::Stains]);
        self.surface(0.06, 0.85, texture, scale)
    }

    fn plain(&mut self, albedo: f32) -> Surface {
        Surface {
            contrast: 0.0,
            albedo,
            ..self.surface(0.1, 0.9, Texture::Plain, 1.0)
        }
    }

    /// A wall's covering.
    fn wall_surface(&mut self) -> Surface {
        let scale = self.uniform(0.25, 1.6);
        let texture = self.pick(&[
            Texture::Plain,
            Texture::Stains,
            Texture::Stains,
            Texture::Bricks,
            Texture::Planks,
            Texture::Tiles,
        ]);
        self.surface(0.2, 0.85, texture, scale)
    }

    /// A floor's covering.
    fn floor_surface(&mut self) -> Surface {
        let scale = self.uniform(0.3, 1.2);
        let texture = self.pick(&[
            Texture::Plain,
            Texture::Stains,
            Texture::Tiles,
            Texture::Planks,
        ]);
        self.surface(0.1, 0.6, texture, scale)
    }

    /// A solid in the coordinates of a thing, upright.
    fn put(&mut self, place: &Place, shape: Shape, centre: Vec3, half: Vec3, surface: Surface) {
        self.put_turned(
            place,
            shape,
            centre,
            half,
            oriented(place.yaw, 0.0, 0.0),
            surface,
        );
    }

    /// A solid in the coordinates of a thing, with axes of its own in the world.
    fn put_turned(
        &mut self,
        place: &Place,
        shape: Shape,
        centre: Vec3,
        half: Vec3,
        axes: Axes,
        surface: Surface,
    ) {
        self.solids.push(Solid {
            shape,
            centre: place.point(centre),
            axes,
            half,
            motion: place.motion,
            surface,
        });
    }

    /// A box given by its bounds in the world: (low, high) on each axis.
    fn block(&mut self, x: (f32, f32), y: (f32, f32), z: (f32, f32), surface: Surface) {
        let middle = |(low, high): (f32, f32)| 0.5 * (low + high);
        let half = |(low, high): (f32, f32)| (0.5 * (high - low)).max(0.005);
        self.put(
            &Place::default(),
            Shape::Cube,
            [middle(x), middle(y), middle(z)],
            [half(x), half(y), half(z)],
            surface,
        );
    }

    /// A wheeled or walking sensor going along +x at up to `fastest` m/s, looking about `yaw` off its path.
    fn ego(&mut self, slowest: f32, fastest: f32, yaw: f32) -> Ego {
        let speed = self.uniform(slowest, fastest);
        let walking = speed < 2.0 && self.chance(0.5);
        let steadiness = if walking { 0.03 } else { 0.008 };
        Ego {
            start: [0.0, 0.0, self.uniform(0.3, 2.0)],
            velocity: [speed, 0.0, 0.0],
            yaw: self.uniform(-yaw, yaw) * self.uniform(0.0, 1.0),
            turn: self.uniform(-0.02, 0.02),
            pitch: self.uniform(-0.17, 0.17) * self.uniform(0.2, 1.0),
            roll: self.uniform(-0.03, 0.03),
            sway: [
                self.uniform(0.0, 0.06),
                self.uniform(0.0, steadiness),
                self.uniform(0.0, steadiness),
            ],
            rate: self.uniform(2.0, 6.0),
            phase: self.uniform(0.0, std::f32::consts::TAU),
            bounce: if walking {
                self.uniform(0.0, 0.02)
            } else {
                0.0
            },
        }
    }
}
