//! Which pixels a box can touch.

use super::linear::{Vec3, add_scaled, dot};
use super::rays::Rays;
use super::shape::NEAREST;
use std::ops::Range;

/// A rectangle of pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) rows: Range<usize>,
    pub(super) cols: Range<usize>,
}

/// Everything that depends on the sensor alone.
pub(super) struct Bounds {
    rows: f32,
    cols: f32,
    horizontal: f32,
    vertical: f32,
    /// no hit lies behind this forward distance, m; `None` where the sensor also looks sideways or back
    near: Option<f32>,
}

impl Bounds {
    pub(super) fn new(rays: &Rays) -> Bounds {
        let forward = (0.5 * rays.horizontal).cos() * (0.5 * rays.vertical).cos();
        Bounds {
            rows: rays.rows() as f32,
            cols: rays.cols() as f32,
            horizontal: rays.horizontal,
            vertical: rays.vertical,
            near: (rays.horizontal < 3.0).then_some(0.99 * NEAREST * forward),
        }
    }

    /// The whole picture.
    pub(super) fn full(&self) -> Window {
        Window {
            rows: 0..self.rows as usize,
            cols: 0..self.cols as usize,
        }
    }

    /// The pixels that may see a box of half extents along `sides` about `centre`, both in the sensor's frame;
    /// `None` where there are none within `max_range`. Never too small.
    pub(super) fn of(&self, centre: Vec3, sides: [Vec3; 3], max_range: f32) -> Option<Window> {
        let radius2 = sides.iter().map(|&s| dot(s, s)).sum::<f32>();
        let distance2 = dot(centre, centre);
        let reach = max_range + radius2.sqrt();
        if distance2 > reach * reach {
            return None;
        }
        let corners: [Vec3; 8] = std::array::from_fn(|corner| {
            (0..3).fold(centre, |p, k| {
                add_scaled(p, if corner >> k & 1 == 1 { 1.0 } else { -1.0 }, sides[k])
            })
        });
        let Some(near) = self.near else {
            return if corners.iter().all(|p| p[0] > NEAREST) {
                self.hull(&corners, NEAREST)
            } else {
                Some(self.full())
            };
        };
        if corners.iter().all(|p| p[0] >= near) {
            return self.hull(&corners, near);
        }
        // cut the box at the near plane: corners before it, and where edges cross it
        let (mut points, mut count) = ([[0.0; 3]; 20], 0);
        let mut keep = |p: Vec3| {
            points[count] = p;
            count += 1;
        };
        for (index, &from) in corners.iter().enumerate() {
            if from[0] >= near {
                keep(from);
            }
            for k in (0..3).filter(|k| index >> k & 1 == 0) {
                let to = corners[index | 1 << k];
                if (from[0] >= near) != (to[0] >= near) {
                    let share = (near - from[0]) / (to[0] - from[0]);
                    let cut = add_scaled(from, 2.0 * share, sides[k]);
                    keep([near, cut[1], cut[2]]);
                }
            }
        }
        if count == 0 {
            return None;
        }
        self.hull(&points[..count], near)
    }

    /// The pixels that may see the convex hull of `points`, all of them forward of `near`.
    fn hull(&self, points: &[Vec3], near: f32) -> Option<Window> {
        let (mut left, mut right) = (f32::NEG_INFINITY, f32::INFINITY); // tangents of azimuth
        let (mut top, mut bottom) = (f32::NEG_INFINITY, f32::INFINITY); // heights, m
        let mut sum = [0.0; 2];
        for p in points {
            let tangent = p[1] / p[0];
            left = left.max(tangent);
            right = right.min(tangent);
            top = top.max(p[2]);
            bottom = bottom.min(p[2]);
            sum = [sum[0] + p[0], sum[1] + p[1]];
        }
        // horizontal distance lies between the least along the mean direction and the farthest point
        let length = (sum[0] * sum[0] + sum[1] * sum[1]).sqrt();
        let (mut close, mut far) = (f32::INFINITY, 0.0f32);
        for p in points {
            close = close.min((p[0] * sum[0] + p[1] * sum[1]) / length);
            far = far.max(p[0] * p[0] + p[1] * p[1]);
        }
        let (close, far) = (close.max(near), far.sqrt());
        let highest = top / if top > 0.0 { close } else { far };
        let lowest = bottom / if bottom > 0.0 { far } else { close };
        Some(Window {
            rows: pixels(highest.atan(), lowest.atan(), self.vertical, self.rows)?,
            cols: pixels(left.atan(), right.atan(), self.horizontal, self.cols)?,
        })
    }
}

/// Pixels whose centres lie between two angles, `first` the larger one; angles fall as pixels count up.
fn pixels(first: f32, last: f32, field: f32, count: f32) -> Option<Range<usize>> {
    const MARGIN: f32 = 0.02; // pixels, for rounding
    let position = |angle: f32| (0.5 - angle / field) * count - 0.5;
    let begin = (position(first) - MARGIN).ceil().max(0.0);
    let end = ((position(last) + MARGIN).floor() + 1.0).min(count);
    (begin < end).then_some(begin as usize..end as usize)
}
