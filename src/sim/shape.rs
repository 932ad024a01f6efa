//! Unit shapes, and where rays meet them.

use super::linear::{Vec3, add_scaled};
use super::solid::View;
use super::texture::hash;

/// The nearest a surface can be seen, m.
pub(super) const NEAREST: f32 = 0.05;

/// A shape within [−1, 1]³.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Cube,
    /// axis along z
    Cylinder,
    /// apex at z = 1, base at z = −1
    Cone,
    Sphere,
    /// a sphere full of leaves: `cells` to its radius, each filled with probability `fill` of 256
    Foliage {
        cells: f32,
        fill: u32,
        salt: u32,
    },
}

/// One row of the picture: directions in, nearest hits out.
pub(super) struct Span<'a> {
    pub(super) x: &'a [f32],
    pub(super) y: &'a [f32],
    pub(super) z: &'a [f32],
    /// range of the nearest hit so far, m
    pub(super) range: &'a mut [f32],
    /// which view was hit there
    pub(super) hit: &'a mut [u32],
}

impl Shape {
    /// Enters this shape, seen as `view` number `id`, wherever it is the nearest thing of a span.
    pub(super) fn draw(self, view: &View, id: u32, span: Span<'_>) {
        match self {
            Shape::Cube => each(view, id, span, cube),
            Shape::Cylinder => each(view, id, span, cylinder),
            Shape::Cone => each(view, id, span, cone),
            Shape::Sphere => each(view, id, span, sphere),
            Shape::Foliage { cells, fill, salt } => {
                each(view, id, span, |o, d| foliage(o, d, cells, fill, salt));
            }
        }
    }

    /// Normal at a point of the surface, unit coordinates, of any length.
    pub(super) fn normal(self, p: Vec3) -> Vec3 {
        match self {
            Shape::Cube => {
                let [x, y, z] = p.map(f32::abs);
                if x >= y && x >= z {
                    [p[0], 0.0, 0.0]
                } else if y >= z {
                    [0.0, p[1], 0.0]
                } else {
                    [0.0, 0.0, p[2]]
                }
            }
            Shape::Cylinder if p[2] * p[2] > p[0] * p[0] + p[1] * p[1] => [0.0, 0.0, p[2]],
            Shape::Cylinder => [p[0], p[1], 0.0],
            Shape::Cone => [p[0], p[1], 0.25 * (1.0 - p[2])],
            Shape::Sphere | Shape::Foliage { .. } => p,
        }
    }
}

/// Runs one intersection over a span. Written without branches, so that the compiler makes vector code of it.
#[inline(always)]
fn each(view: &View, id: u32, span: Span<'_>, meet: impl Fn(Vec3, Vec3) -> f32) {
    let n = span.range.len();
    let (x, y, z) = (&span.x[..n], &span.y[..n], &span.z[..n]);
    let (range, hit) = (&mut span.range[..n], &mut span.hit[..n]);
    let m = &view.map;
    for i in 0..n {
        let d = [
            m[0][0] * x[i] + m[0][1] * y[i] + m[0][2] * z[i],
            m[1][0] * x[i] + m[1][1] * y[i] + m[1][2] * z[i],
            m[2][0] * x[i] + m[2][1] * y[i] + m[2][2] * z[i],
        ];
        let t = meet(view.origin, d);
        let nearer = (t > NEAREST) & (t < range[i]);
        range[i] = if nearer { t } else { range[i] };
        hit[i] = if nearer { id } else { hit[i] };
    }
}

/// What a ray that misses answers.
const MISS: f32 = f32::INFINITY;

/// `a` where it is larger; a NaN never wins.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// `a` where it is smaller; a NaN never wins.
#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Where the ray is between −1 and 1 along one axis: (enter, leave).
#[inline(always)]
fn slab(o: f32, d: f32) -> (f32, f32) {
    let inverse = 1.0 / d;
    let middle = -o * inverse;
    (middle - inverse.abs(), middle + inverse.abs())
}

#[inline(always)]
fn cube(o: Vec3, d: Vec3) -> f32 {
    let (x, y, z) = (slab(o[0], d[0]), slab(o[1], d[1]), slab(o[2], d[2]));
    let enter = larger(x.0, larger(y.0, larger(z.0, 0.0)));
    let leave = smaller(x.1, smaller(y.1, smaller(z.1, MISS)));
    if enter <= leave { enter } else { MISS }
}

/// Where the ray is within the unit ball of the given coordinates: middle and half length of the chord; the
/// latter NaN where it misses. Measured from the foot of the perpendicular, which keeps far small balls round.
#[inline(always)]
fn ball(o: Vec3, d: Vec3) -> (f32, f32) {
    let a = larger(d[0] * d[0] + d[1] * d[1] + d[2] * d[2], 1e-12);
    let middle = -(o[0] * d[0] + o[1] * d[1] + o[2] * d[2]) / a;
    let q = add_scaled(o, middle, d);
    let inside = 1.0 - (q[0] * q[0] + q[1] * q[1] + q[2] * q[2]);
    (middle, (inside / a).sqrt())
}

#[inline(always)]
fn sphere(o: Vec3, d: Vec3) -> f32 {
    let (middle, half) = ball(o, d);
    let enter = middle - half;
    if enter > 0.0 { enter } else { MISS }
}

#[inline(always)]
fn cylinder(o: Vec3, d: Vec3) -> f32 {
    let (middle, half) = ball([o[0], o[1], 0.0], [d[0], d[1], 0.0]);
    let z = slab(o[2], d[2]);
    let enter = larger(middle - half, z.0);
    let leave = smaller(middle + half, z.1);
    if (half >= 0.0) & (enter <= leave) {
        enter
    } else {
        MISS
    }
}

/// x² + y² = ((1 − z)/2)², −1 ≤ z ≤ 1; the base is open.
#[inline(always)]
fn cone(o: Vec3, d: Vec3) -> f32 {
    let (w, v) = (0.5 * (1.0 - o[2]), -0.5 * d[2]);
    let a = d[0] * d[0] + d[1] * d[1] - v * v;
    let b = o[0] * d[0] + o[1] * d[1] - w * v;
    let c = o[0] * o[0] + o[1] * o[1] - w * w;
    let root = (b * b - a * c).sqrt();
    let (first, second) = ((-b - root) / a, (-b + root) / a);
    let (near, far) = (smaller(first, second), larger(first, second));
    let on = |t: f32| (t > 0.0) & ((o[2] + t * d[2]).abs() <= 1.0);
    if on(near) {
        near
    } else if on(far) {
        far
    } else {
        MISS
    }
}

/// Four places along the chord; the first that lies in a cell with a leaf.
#[inline(always)]
fn foliage(o: Vec3, d: Vec3, cells: f32, fill: u32, salt: u32) -> f32 {
    let (middle, half) = ball(o, d);
    if half.is_nan() || middle < half {
        return MISS;
    }
    for step in [-0.97, -0.4, 0.2, 0.85] {
        let t = middle + step * half;
        let p = add_scaled(o, t, d).map(|v| ((v + 4.0) * cells) as u32);
        if hash(p[0], p[1], p[2] ^ salt) >> 24 < fill {
            return t;
        }
    }
    MISS
}
