//! What the sensor sees.
//!
//! Each solid is drawn into the rectangle of pixels that can see it; the nearest hit stays. Shading comes last,
//! once a pixel.

use super::linear::{Vec3, add_scaled, dot, sub};
use super::rays::Rays;
use super::scene::Scene;
use super::shape::{Shape, Span};
use super::solid::{Solid, View};
use super::window::{Bounds, Window};
use crate::frame::RangeImage;

/// No surface returns less than this where it is hit.
const FAINTEST: f32 = 0.02;

/// Coefficients A and B of Oren & Nayar 1994, "Generalization of Lambert's reflectance model", equation 30, for a
/// roughness of 0.3 rad.
///
/// A sensor that lights the scene itself sees a rough surface at a grazing angle far brighter than a Lambertian one: the
/// facets that face it are lit. With 0.3 rad the ground at a cosine of 0.06 returns 0.53 of what it returns at 0.37; the
/// VLP-32C of the recorded car sequence saw 0.5 ± 0.1 there.
const ROUGHNESS: (f32, f32) = (0.893, 0.225);

/// Marks a pixel that hit nothing.
const NOTHING: u32 = u32::MAX;

impl Scene {
    /// The frame seen at `time` seconds, with ranges up to `max_range` metres, into `image`, whose buffers are
    /// reused. Where nothing is hit the pixel is cleared.
    pub fn cast(&self, rays: &Rays, time: f32, max_range: f32, image: &mut RangeImage) {
        let bounds = Bounds::new(rays);
        self.cast_windowed(rays, time, max_range, image, |centre, sides| {
            bounds.of(centre, sides, max_range)
        });
    }

    /// Draws every solid into the window that `window` gives for its box in the sensor's frame.
    fn cast_windowed(
        &self,
        rays: &Rays,
        time: f32,
        max_range: f32,
        image: &mut RangeImage,
        window: impl Fn(Vec3, [Vec3; 3]) -> Option<Window>,
    ) {
        let pixels = rays.rows() * rays.cols();
        image.rows = rays.rows();
        image.cols = rays.cols();
        image.range.clear();
        image.range.resize(pixels, max_range);
        image.returns.resize(pixels, 0.0);
        image.valid.resize(pixels, false);

        let pose = self.ego.at(time);
        let mut hit = vec![NOTHING; pixels];
        let mut views: Vec<(View, &Solid)> = Vec::with_capacity(self.solids.len());
        for solid in &self.solids {
            let centre = solid.centre_at(time);
            let seen = |v: Vec3| pose.axes.map(|axis| dot(axis, v));
            let sides = std::array::from_fn(|i| seen(solid.axes[i]).map(|v| v * solid.half[i]));
            let Some(window) = window(seen(sub(centre, pose.eye)), sides) else {
                continue;
            };
            let view = solid.view(centre, &pose);
            for row in window.rows {
                let (begin, end) = (
                    row * rays.cols() + window.cols.start,
                    row * rays.cols() + window.cols.end,
                );
                let span = Span {
                    x: &rays.x()[begin..end],
                    y: &rays.y()[begin..end],
                    z: &rays.z()[begin..end],
                    range: &mut image.range[begin..end],
                    hit: &mut hit[begin..end],
                };
                solid.shape.draw(&view, views.len() as u32, span);
            }
            views.push((view, solid));
        }
        let pitch = rays.pitch();
        for (pixel, &id) in hit.iter().enumerate() {
            let returned = match views.get(id as usize) {
                Some((view, solid)) if solid.surface.albedo > 0.0 => {
                    let d = [rays.x()[pixel], rays.y()[pixel], rays.z()[pixel]];
                    shade(view, solid, d, image.range[pixel], pitch)
                }
                _ => {
                    image.clear(pixel);
                    continue;
                }
            };
            image.returns[pixel] = returned;
            image.valid[pixel] = true;
        }
    }
}

/// Return of a hit at range `t` along `d`, of a pixel `pitch` rad wide: reflectance × what a rough surface makes of the cosine of incidence.
fn shade(view: &View, solid: &Solid, d: Vec3, t: f32, pitch: f32) -> f32 {
    let unit: Vec3 = std::array::from_fn(|i| view.origin[i] + t * dot(view.map[i], d));
    let n = solid.shape.normal(unit);
    // the gradient of a unit shape, seen from the sensor, is mapᵀ n
    let mut normal = [0.0; 3];
    for (part, row) in n.into_iter().zip(view.map) {
        normal = add_scaled(normal, part, row);
    }
    let cosine = dot(normal, d).abs() / dot(normal, normal).sqrt().max(1e-9);
    let facing = match solid.shape {
        Shape::Foliage { .. } => 0.4 + 0.6 * cosine, // leaves hang every way
        _ => ROUGHNESS.0 * cosine + ROUGHNESS.1 * (1.0 - cosine * cosine), // light and view along the same ray
    };
    let p: Vec3 = std::array::from_fn(|i| unit[i] * solid.half[i]);
    let (u, v) = match solid.shape {
        Shape::Cube if n[0] != 0.0 => (p[1], p[2]),
        Shape::Cube if n[1] != 0.0 => (p[0], p[2]),
        Shape::Cube => (p[0], p[1]),
        _ => (p[0] + p[1], p[2]),
    };
    (solid.surface.at(u, v, pitch * t) * facing).clamp(FAINTEST, 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::ego::Ego;
    use super::super::family::Family;
    use super::super::linear::oriented;
    use super::super::solid::Motion;
    use super::super::texture::{Surface, Texture};
    use super::*;

    fn frame(scene: &Scene, rays: &Rays, time: f32) -> RangeImage {
        let mut image = RangeImage::default();
        scene.cast(rays, time, 30.0, &mut image);
        image
    }

    #[test]
    fn windows_lose_nothing() {
        for rays in [
            Rays::angular(48, 64, 60.0, 45.0),
            Rays::angular(16, 90, 120.0, 30.0),
            Rays::angular(16, 90, 360.0, 40.0),
        ] {
            let bounds = Bounds::new(&rays);
            for family in Family::ALL {
                for seed in 0..12 {
                    let scene = Scene::new(family, seed);
                    let time = 0.7 * seed as f32;
                    let mut all = RangeImage::default();
                    scene.cast_windowed(&rays, time, 30.0, &mut all, |_, _| Some(bounds.full()));
                    assert_eq!(frame(&scene, &rays, time), all, "{family} {seed}");
                }
            }
        }
    }

    #[test]
    fn frames_are_sane_and_follow_their_seed() {
        let rays = Rays::angular(64, 64, 60.0, 45.0);
        for family in Family::ALL {
            let mut valid = 0;
            for seed in 0..40 {
                let image = frame(&Scene::new(family, seed), &rays, 1.0);
                assert_eq!(image, frame(&Scene::new(family, seed), &rays, 1.0));
                for i in 0..image.pixels() {
                    let (r, s) = (image.range[i], image.returns[i]);
                    if image.valid[i] {
                        assert!(r > 0.0 && r <= 30.0, "{family} {seed}: range {r} m");
                        assert!((FAINTEST..=1.0).contains(&s), "{family} {seed}: return {s}");
                    } else {
                        assert_eq!((r, s), (0.0, 0.0));
                    }
                }
                valid += image.valid.iter().filter(|&&v| v).count();
            }
            let share = valid as f32 / (40 * 64 * 64) as f32;
            println!("{family}: {share:.3} valid");
            let least = match family {
                Family::Street | Family::Yard => 0.4,
                _ => 0.9,
            };
            assert!((least..=1.0).contains(&share), "{family}: {share} valid");
        }
    }

    #[test]
    fn frames_flow() {
        let rays = Rays::angular(64, 64, 60.0, 45.0);
        for family in Family::ALL {
            for seed in 0..10 {
                let scene = Scene::new(family, seed);
                let (a, b) = (
                    frame(&scene, &rays, 2.0),
                    frame(&scene, &rays, 2.0 + 1.0 / 30.0),
                );
                assert_ne!(a, b);
                let near = (0..a.pixels())
                    .filter(|&i| (a.range[i] - b.range[i]).abs() < 0.5)
                    .count();
                assert!(near * 10 > 7 * a.pixels(), "{family} {seed}: {near}");
            }
        }
    }

    #[test]
    fn a_lone_wall_is_where_it_stands() {
        let wall = Solid {
            shape: Shape::Cube,
            centre: [6.0, 0.0, 1.0],
            axes: oriented(0.0, 0.0, 0.0),
            half: [1.0, 20.0, 20.0],
            motion: Motion::default(),
            surface: Surface {
                albedo: 0.5,
                texture: Texture::Plain,
                scale: 1.0,
                contrast: 0.0,
                salt: 0,
            },
        };
        let scene = Scene {
            solids: vec![wall],
            ego: Ego {
                start: [0.0, 0.0, 1.0],
                ..Ego::default()
            },
        };
        let rays = Rays::angular(32, 48, 60.0, 45.0);
        let image = frame(&scene, &rays, 0.0);
        for (i, &x) in rays.x().iter().enumerate() {
            assert!((image.range[i] - 5.0 / x).abs() < 1e-4);
            assert!((image.returns[i] - 0.5 * (0.893 * x + 0.225 * (1.0 - x * x))).abs() < 1e-5);
        }
    }

    #[test]
    #[ignore = "a measure of speed"]
    fn frames_a_second() {
        let rays = Rays::angular(64, 64, 60.0, 45.0);
        let mut image = RangeImage::default();
        for family in Family::ALL {
            let (mut solids, start) = (0, std::time::Instant::now());
            for seed in 0..2000 {
                let scene = Scene::new(family, seed);
                solids += scene.solids.len();
                scene.cast(&rays, 1.0, 30.0, &mut image);
            }
            let rate = 2000.0 / start.elapsed().as_secs_f64();
            println!(
                "{family}: {rate:.0} new scenes a second, {} solids",
                solids / 2000
            );
        }
    }
}
