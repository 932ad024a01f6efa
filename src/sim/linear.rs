//! Three-vectors and rotations, as plain arrays.

/// A point or direction, (x, y, z).
pub(super) type Vec3 = [f32; 3];

/// Three orthonormal axes, each in the coordinates of the surrounding frame.
pub(super) type Axes = [Vec3; 3];

pub(super) fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn sub(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

/// a + s·b.
pub(super) fn add_scaled(a: Vec3, s: f32, b: Vec3) -> Vec3 {
    [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]]
}

/// Axes turned by `yaw` about z, then nose up by `pitch`, then rolled left side up by `roll`, rad.
pub(super) fn oriented(yaw: f32, pitch: f32, roll: f32) -> Axes {
    let ((sy, cy), (sp, cp), (sr, cr)) = (yaw.sin_cos(), pitch.sin_cos(), roll.sin_cos());
    let forward = [cy * cp, sy * cp, sp];
    let level = [-sy, cy, 0.0];
    let upward = [-cy * sp, -sy * sp, cp];
    let turn = |a: Vec3, b: Vec3, c: f32, s: f32| add_scaled([a[0] * c, a[1] * c, a[2] * c], s, b);
    [
        forward,
        turn(level, upward, cr, sr),
        turn(upward, level, cr, -sr),
    ]
}
