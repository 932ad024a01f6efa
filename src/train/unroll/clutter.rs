//! Clutter: polygons nearer than what is behind them, so that networks learn that anything may stand anywhere.

use crate::frame::RangeImage;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::f32::consts::TAU;

/// Radius, pixels, of every other one and of the others: evenly on a logarithmic scale.
const RADII: [(f32, f32); 2] = [(1.0, 2.5), (1.0, 8.0)];
/// Corners.
const CORNERS: std::ops::Range<usize> = 3..6;
/// Breadth over length.
const BREADTH: (f32, f32) = (0.35, 1.0);
/// Range over the range behind its centre.
const CLOSENESS: (f32, f32) = (0.2, 0.85);
/// Nearest, over the largest range.
const NEAREST: f32 = 0.02;
/// Return.
const RETURN: (f32, f32) = (0.1, 0.9);
/// How much its range rises by over a pixel at most, where it is slanted.
const SLANT: f32 = 0.02;
/// Pixels that it moves by from frame to frame at most, along rows and columns.
const MOTION: (f32, f32) = (0.4, 0.8);

/// A polygon.
pub(super) struct Clutter {
    /// column and row of each corner, in turn
    corners: Vec<[f32; 2]>,
    range: f32,
    /// relative, over a column and over a row
    slant: [f32; 2],
    returned: f32,
    /// the frame from which on it is seen
    from: usize,
    /// columns and rows that it moves by from frame to frame
    motion: [f32; 2],
}

impl Clutter {
    /// Somewhere in an image, the first of so many frames, nearer than what is behind its centre; `max_range` where nothing
    /// is.
    pub(super) fn somewhere(
        image: &RangeImage,
        max_range: f32,
        frames: usize,
        random: &mut ChaCha8Rng,
    ) -> Self {
        let mut between = |(low, high): (f32, f32)| random.random_range(low..high);
        let (rows, cols) = (image.rows as f32, image.cols as f32);
        let centre = [between((0.0, cols)), between((0.0, rows))];
        let (least, most) = RADII[usize::from(between((0.0, 1.0)) < 0.5)];
        let length = least * (most / least).powf(between((0.0, 1.0)));
        let breadth = length * between(BREADTH);
        let (first, tilt) = (between((0.0, TAU)), between((0.0, TAU)));
        let behind = centre[1] as usize * image.cols + centre[0] as usize;
        let behind = match image.valid[behind] {
            true => image.range[behind].min(max_range),
            false => max_range,
        };
        let range = (behind * between(CLOSENESS)).max(NEAREST * max_range);
        let returned = between(RETURN);
        let motion = [
            between((-MOTION.1, MOTION.1)),
            between((-MOTION.0, MOTION.0)),
        ];
        let mut slant = [between((-SLANT, SLANT)), between((-SLANT, SLANT))];
        if random.random_bool(0.5) {
            slant = [0.0; 2];
        }
        let count = random.random_range(CORNERS);
        let corner = |corner| {
            let angle =
                first + TAU * (corner as f32 + random.random_range(-0.3..0.3)) / count as f32;
            let (along, across) = (length * angle.cos(), breadth * angle.sin());
            let (sin, cos) = tilt.sin_cos();
            [
                centre[0] + along * cos - across * sin,
                centre[1] + along * sin + across * cos,
            ]
        };
        Self {
            corners: (0..count).map(corner).collect(),
            range,
            slant,
            returned,
            motion,
            from: match random.random_bool(0.5) {
                true => 0,
                false => random.random_range(0..frames),
            },
        }
    }

    /// Puts it into a frame, where it is the nearest thing.
    pub(super) fn show(&self, frame: usize, image: &mut RangeImage) {
        let Some(moved) = frame.checked_sub(self.from) else {
            return;
        };
        for pixel in 0..image.pixels() {
            let (row, col) = (pixel / image.cols, pixel % image.cols);
            let [x, y] = [(col, 0), (row, 1)]
                .map(|(at, axis)| at as f32 + 0.5 - moved as f32 * self.motion[axis]);
            if !self.covers(x, y) {
                continue;
            }
            let [left, top] = self.corners[0];
            let slant = self.slant[0] * (x - left) + self.slant[1] * (y - top);
            let range = self.range * (1.0 + slant);
            if range > 0.0 && (!image.valid[pixel] || range < image.range[pixel]) {
                image.range[pixel] = range;
                image.returns[pixel] = self.returned;
                image.valid[pixel] = true;
            }
        }
    }

    /// Whether a place is on one side of every edge.
    fn covers(&self, x: f32, y: f32) -> bool {
        let next = self.corners.iter().cycle().skip(1);
        let mut sides = self
            .corners
            .iter()
            .zip(next)
            .map(|(a, b)| (b[0] - a[0]) * (y - a[1]) >= (b[1] - a[1]) * (x - a[0]));
        let first = sides.next();
        sides.all(|side| Some(side) == first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn it_is_nearer_than_what_was_there_and_moves() {
        let wall = RangeImage {
            range: vec![20.0; 4096],
            returns: vec![0.5; 4096],
            valid: vec![true; 4096],
            ..RangeImage::empty(64, 64)
        };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let (mut seen, mut moved) = (0, 0);
        for _ in 0..100 {
            let clutter = Clutter::somewhere(&wall, 30.0, 4, &mut random);
            let frames = [0, 1, 2, 3].map(|frame| {
                let mut image = wall.clone();
                clutter.show(frame, &mut image);
                image
            });
            let changed = |image: &RangeImage| image.range.iter().filter(|r| **r < 20.0).count();
            assert!(
                frames
                    .iter()
                    .all(|f| f.range.iter().all(|r| *r > 0.0 && *r <= 20.0))
            );
            assert!(frames[..clutter.from].iter().all(|f| changed(f) == 0));
            seen += usize::from(changed(&frames[3]) > 0);
            moved += usize::from(clutter.from == 0 && frames[0] != frames[3]);
        }
        assert!(seen > 80 && moved > 30, "{seen} {moved}");
    }
}
