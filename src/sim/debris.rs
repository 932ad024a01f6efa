//! Debris: a square of pixels nearer than all around it, whatever it may be.

use super::obstacle::{Hit, NEARER, behind, uniform};
use crate::frame::RangeImage;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Nearest debris, m.
const NEAREST: f32 = 0.5;
/// Range over the nearest range behind and one pixel around; the bound itself is left to rounding.
const CLOSENESS: (f32, f32) = (0.4, 0.99 * NEARER);
/// Mean return of dark cloth to white paint.
const RETURN: (f32, f32) = (0.1, 0.8);
/// Unevenness of its surface: a pixel's return over the mean, and its range.
const SHADE: f32 = 0.15;
const ROUGH: f32 = 0.01;

/// Debris of `side` × `side` pixels somewhere in a frame; `None` where it would touch the sensor or not fit.
pub(super) fn thrown(side: usize, image: &RangeImage, random: &mut ChaCha8Rng) -> Option<Vec<Hit>> {
    if side == 0 || side > image.rows.min(image.cols) {
        return None;
    }
    let mut place = |room: usize| random.random::<u32>() as usize % (room - side + 1);
    let (top, left) = (place(image.rows), place(image.cols));
    let rows = top.saturating_sub(1)..(top + side + 1).min(image.rows);
    let around = rows.flat_map(|row| {
        let cols = left.saturating_sub(1)..(left + side + 1).min(image.cols);
        cols.map(move |col| row * image.cols + col)
    });
    let nearest = around
        .map(|pixel| behind(image, pixel))
        .fold(f32::INFINITY, f32::min);
    let range = nearest * uniform(random, CLOSENESS.0, CLOSENESS.1);
    let returned = uniform(random, RETURN.0, RETURN.1);
    (range >= NEAREST).then(|| {
        (0..side * side)
            .map(|i| Hit {
                pixel: (top + i / side) * image.cols + left + i % side,
                range: range * uniform(random, 1.0 - ROUGH, 1.0),
                returned: returned * uniform(random, 1.0 - SHADE, 1.0 + SHADE),
            })
            .collect()
    })
}
