//! What a surface returns, from place to place.

/// Reflectance of a surface, with a texture that rides on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Surface {
    /// mean reflectance; 0 is a window that lets the beam out, above 1 a retroreflector
    pub(super) albedo: f32,
    pub(super) texture: Texture,
    /// size of a brick, plank, tile, stripe or window, m
    pub(super) scale: f32,
    /// strength of the texture in [0, 1]
    pub(super) contrast: f32,
    pub(super) salt: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texture {
    Plain,
    /// soft stains
    Stains,
    Bricks,
    Planks,
    Tiles,
    Stripes,
    /// dark windows in a light wall
    Facade,
    /// every cell for itself
    Leaves,
}

impl Surface {
    /// Mean reflectance over a pixel's footprint of `footprint` metres around (u, v), metres on the surface: a pixel of a
    /// compressive sensor takes in all the light of its solid angle, so that finer texture than that averages out.
    pub(super) fn at(&self, u: f32, v: f32, footprint: f32) -> f32 {
        let detail = self.scale * self.texture.detail();
        let kept = detail * detail / (detail * detail + footprint * footprint);
        let (u, v) = (u / self.scale, v / self.scale);
        let shade = match self.texture {
            Texture::Plain => 0.5,
            Texture::Stains => noise(u, v, self.salt),
            Texture::Bricks => {
                let row = floor(v * 2.0);
                let shifted = u + 0.5 * (row & 1) as f32;
                let joint = fract(shifted) < 0.08 || fract(v * 2.0) < 0.14;
                if joint {
                    1.0
                } else {
                    0.5 * cell(floor(shifted), row, self.salt)
                }
            }
            Texture::Planks => cell(floor(v), floor(u * 0.1), self.salt),
            Texture::Tiles => {
                let (i, j) = (floor(u), floor(v));
                0.6 * ((i + j) & 1) as f32 + 0.4 * cell(i, j, self.salt)
            }
            Texture::Stripes => (fract(u + 0.3 * v) < 0.4) as u32 as f32,
            Texture::Facade => {
                let window = (fract(u) - 0.5).abs() < 0.28 && (fract(v * 0.8) - 0.5).abs() < 0.27;
                if window {
                    0.1 * cell(floor(u), floor(v * 0.8), self.salt)
                } else {
                    0.7 + 0.3 * noise(u * 0.5, v * 0.5, self.salt)
                }
            }
            Texture::Leaves => cell(floor(u * 7.0), floor(v * 7.0), self.salt),
        };
        self.albedo * (1.0 + kept * self.contrast * (2.0 * shade - 1.0))
    }
}

impl Texture {
    /// Size of its details, in units of the scale.
    fn detail(self) -> f32 {
        match self {
            Texture::Plain | Texture::Stains | Texture::Planks | Texture::Tiles => 1.0,
            Texture::Bricks | Texture::Stripes | Texture::Facade => 0.5,
            Texture::Leaves => 1.0 / 7.0,
        }
    }
}

/// Integer part, downwards.
fn floor(v: f32) -> i32 {
    let whole = v as i32;
    whole - (v < whole as f32) as i32
}

fn fract(v: f32) -> f32 {
    v - floor(v) as f32
}

/// A number in [0, 1) of its own for each cell.
fn cell(i: i32, j: i32, salt: u32) -> f32 {
    (hash(i as u32, j as u32, salt) >> 8) as f32 / (1 << 24) as f32
}

/// Smooth noise in [0, 1), one bump to a unit.
fn noise(u: f32, v: f32, salt: u32) -> f32 {
    let (i, j) = (floor(u), floor(v));
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (a, b) = (ease(u - i as f32), ease(v - j as f32));
    let near = cell(i, j, salt) * (1.0 - a) + cell(i + 1, j, salt) * a;
    let far = cell(i, j + 1, salt) * (1.0 - a) + cell(i + 1, j + 1, salt) * a;
    near * (1.0 - b) + far * b
}

/// A well-mixed word for three.
pub(super) fn hash(a: u32, b: u32, c: u32) -> u32 {
    let mut h =
        a.wrapping_mul(0x9E37_79B1) ^ b.wrapping_mul(0x85EB_CA77) ^ c.wrapping_mul(0xC2B2_AE3D);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}
