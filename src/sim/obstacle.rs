//! Obstacles that no training scene holds, nearer than what is behind them.
//!
//! They are drawn into frames that have been cast, from where the sensor stands; scenes never hold any.

use super::build::obstacles;
use super::debris;
use super::population::{MAX_RANGE, Split, seed};
use super::{Rays, Scene};
use crate::frame::RangeImage;
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::fmt;
use std::str::FromStr;

/// Range of an obstacle's pixel over the range behind it, at most: it is at least 20 % nearer.
pub const NEARER: f32 = 0.8;
/// Fewest pixels of an obstacle.
pub const LEAST_PIXELS: usize = 4;
/// Largest share of a frame that an obstacle hides; what hides more is a wall.
const LARGEST_SHARE: f32 = 0.15;
/// Places tried before a frame is given up.
const TRIES: usize = 64;

/// Kind of obstacle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObstacleKind {
    /// a square of `side` × `side` pixels
    Debris {
        /// pixels
        side: usize,
    },
    /// a cable or rope across the view, one to two pixels thick
    Cable,
    /// a thin pole that leans by 15° to 55°
    Pole,
    /// a ball in the air, 0.2 m to 1 m across
    Sphere,
    /// a figure as large as a person that crouches, lies, crawls, sits, bends, lunges or raises its arms
    Figure,
    /// an animal on four legs, from a cat to a deer
    Animal,
}

/// A name that is no obstacle's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected cable, pole, sphere, figure, animal or debris of 2x2 to 8x8 pixels as an obstacle, got `{got}`"
)]
pub struct UnknownObstacle {
    /// the name given
    pub got: String,
}

/// An obstacle in a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Obstacle {
    /// what it is
    pub kind: ObstacleKind,
    /// its pixels that are at least 20 % nearer than what is behind them, increasing; there may be others, where it
    /// touches the ground
    pub pixels: Vec<usize>,
    /// all that it shows
    hits: Vec<Hit>,
}

impl Obstacle {
    /// Puts it into another frame of as many pixels, at the same place seen from the sensor, where it is the nearest thing.
    pub fn stand_in(&self, image: &mut RangeImage) {
        for hit in &self.hits {
            if hit.range < behind(image, hit.pixel) {
                hit.show(image);
            }
        }
    }
}

/// What an obstacle would show at a pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hit {
    pub(super) pixel: usize,
    /// m
    pub(super) range: f32,
    pub(super) returned: f32,
}

impl Hit {
    fn show(&self, image: &mut RangeImage) {
        image.range[self.pixel] = self.range;
        image.returns[self.pixel] = self.returned;
        image.valid[self.pixel] = true;
    }
}

/// Puts obstacle number `index` of a kind somewhere into a frame cast along `rays`; what is behind counts as being at
/// [`MAX_RANGE`] where nothing returned. A function of split, index, kind and frame alone.
///
/// `None`, and the frame as it was, where none of a number of places will do, and for [`Split::Train`] always.
///
/// # Panics
/// Where the image has another size than the rays.
pub fn with_obstacle(
    split: Split,
    index: u64,
    kind: ObstacleKind,
    rays: &Rays,
    image: &mut RangeImage,
) -> Option<Obstacle> {
    assert_eq!(
        (image.rows, image.cols),
        (rays.rows(), rays.cols()),
        "rows, cols"
    );
    if split == Split::Train {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed(split, index));
    random.set_stream(kind.stream());
    for _ in 0..TRIES {
        let hits = match kind {
            ObstacleKind::Debris { side } => debris::thrown(side, image, &mut random),
            _ => obstacles::stood(kind, rays, image, &mut random)
                .map(|scene| seen(&scene, rays, image)),
        };
        let Some(hits) = hits else { continue };
        let pixels: Vec<usize> = hits
            .iter()
            .filter(|hit| hit.range <= NEARER * behind(image, hit.pixel))
            .map(|hit| hit.pixel)
            .collect();
        let stands_out = pixels.len() >= LEAST_PIXELS && 2 * pixels.len() >= hits.len();
        if stands_out && hits.len() as f32 <= LARGEST_SHARE * image.pixels() as f32 {
            hits.iter().for_each(|hit| hit.show(image));
            return Some(Obstacle { kind, pixels, hits });
        }
    }
    None
}

/// Where an obstacle is the nearest thing.
fn seen(obstacle: &Scene, rays: &Rays, image: &RangeImage) -> Vec<Hit> {
    let mut alone = RangeImage::default();
    obstacle.cast(rays, 0.0, MAX_RANGE, &mut alone);
    (0..image.pixels())
        .filter(|&pixel| alone.valid[pixel] && alone.range[pixel] < behind(image, pixel))
        .map(|pixel| Hit {
            pixel,
            range: alone.range[pixel],
            returned: alone.returns[pixel],
        })
        .collect()
}

/// Range of what a frame shows at a pixel, m.
pub(super) fn behind(image: &RangeImage, pixel: usize) -> f32 {
    if image.valid[pixel] {
        image.range[pixel]
    } else {
        MAX_RANGE
    }
}

/// A number within [low, high).
pub(super) fn uniform(random: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * random.random::<f32>()
}

impl ObstacleKind {
    /// Every kind, debris in five sizes.
    pub const ALL: [ObstacleKind; 10] = [
        ObstacleKind::Debris { side: 2 },
        ObstacleKind::Debris { side: 3 },
        ObstacleKind::Debris { side: 4 },
        ObstacleKind::Debris { side: 6 },
        ObstacleKind::Debris { side: 8 },
        ObstacleKind::Cable,
        ObstacleKind::Pole,
        ObstacleKind::Sphere,
        ObstacleKind::Figure,
        ObstacleKind::Animal,
    ];

    /// Which of the random streams of a seed it takes.
    fn stream(self) -> u64 {
        match self {
            Self::Debris { side } => side as u64,
            Self::Cable => 100,
            Self::Pole => 101,
            Self::Sphere => 102,
            Self::Figure => 103,
            Self::Animal => 104,
        }
    }
}

impl fmt::Display for ObstacleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debris { side } => write!(f, "{side}x{side}"),
            Self::Cable => f.pad("cable"),
            Self::Pole => f.pad("pole"),
            Self::Sphere => f.pad("sphere"),
            Self::Figure => f.pad("figure"),
            Self::Animal => f.pad("animal"),
        }
    }
}

impl FromStr for ObstacleKind {
    type Err = UnknownObstacle;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        (2..=8)
            .map(|side| Self::Debris { side })
            .chain(Self::ALL)
            .find(|kind| kind.to_string() == name)
            .ok_or_else(|| UnknownObstacle { got: name.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{frame, rays};
    use super::*;

    fn held_out(index: u64) -> (Rays, RangeImage) {
        let rays = rays(64, 64);
        let mut image = RangeImage::default();
        frame(Split::HeldOut, index, &rays, &mut image);
        (rays, image)
    }

    #[test]
    fn every_obstacle_stands_out_and_follows_its_seed() {
        for kind in ObstacleKind::ALL {
            let (mut placed, mut pixels) = (0, 0);
            for index in 0..40 {
                let (rays, before) = held_out(index);
                let (mut image, mut again) = (before.clone(), before.clone());
                let obstacle = with_obstacle(Split::HeldOut, index, kind, &rays, &mut image);
                let twin = with_obstacle(Split::HeldOut, index, kind, &rays, &mut again);
                assert_eq!((&obstacle, &image), (&twin, &again));
                let Some(obstacle) = obstacle else {
                    assert_eq!(image, before);
                    continue;
                };
                let mut elsewhere = before.clone();
                obstacle.stand_in(&mut elsewhere);
                assert_eq!(elsewhere, image);
                placed += 1;
                pixels += obstacle.pixels.len();
                assert!(obstacle.pixels.len() >= LEAST_PIXELS);
                assert!(obstacle.pixels.is_sorted_by(|a, b| a < b));
                for &pixel in &obstacle.pixels {
                    let (range, returned) = (image.range[pixel], image.returns[pixel]);
                    assert!(image.valid[pixel] && (0.02..=1.0).contains(&returned));
                    assert!(range > 0.3 && range <= 0.8 * behind(&before, pixel));
                }
                for pixel in 0..image.pixels() {
                    assert!(behind(&image, pixel) <= behind(&before, pixel));
                }
                if let ObstacleKind::Debris { side } = kind {
                    assert_eq!(obstacle.pixels.len(), side * side);
                }
            }
            println!("{kind}: {placed} of 40, {} pixels", pixels / placed.max(1));
            assert!(placed >= 30, "{kind}: {placed} of 40");
        }
    }

    #[test]
    fn training_frames_stay_as_they_are_and_splits_differ() {
        let (rays, before) = held_out(0);
        let mut spots = vec![];
        for split in [Split::Train, Split::Tune, Split::HeldOut] {
            let mut image = before.clone();
            let kind = ObstacleKind::Debris { side: 4 };
            spots.push(with_obstacle(split, 0, kind, &rays, &mut image));
            assert_eq!(split == Split::Train, image == before);
        }
        assert_eq!(spots[0], None);
        assert_ne!(spots[1], spots[2]);
    }

    #[test]
    fn names_read_back() {
        for kind in ObstacleKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("9x9".parse::<ObstacleKind>().is_err());
        let error = "wall".parse::<ObstacleKind>().unwrap_err();
        assert!(error.to_string().contains("wall"), "{error}");
    }
}
