//! Which scenes there are: an endless population, split so that no frame seen in training is ever scored.

use super::{Family, Rays, Scene};
use crate::frame::RangeImage;

/// Which part of the population a scene belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// scenes that a prior may be trained on
    Train,
    /// scenes to tune parameters on
    Tune,
    /// scenes that only evaluation sees
    HeldOut,
}

/// Range beyond which simulated sensors see nothing, m.
pub const MAX_RANGE: f32 = 30.0;
/// Field of view of the simulated sensor, horizontal and vertical, degrees.
pub const FIELD_OF_VIEW: (f32, f32) = (60.0, 45.0);
/// Seconds of a scene that frames are drawn from.
const DURATION: f32 = 8.0;

/// Scene number `index` of a split: families in turn, each scene once.
pub fn scene(split: Split, index: u64) -> Scene {
    let family = Family::ALL[(index % Family::ALL.len() as u64) as usize];
    Scene::new(family, seed(split, index))
}

/// Held-out scene number `number` of a family.
pub fn held_out(family: Family, number: u32) -> Scene {
    let position = Family::ALL.iter().position(|f| *f == family).unwrap_or(0);
    let index = position as u64 + Family::ALL.len() as u64 * u64::from(number);
    scene(Split::HeldOut, index)
}

/// One frame of scene number `index`, at a time of its own, ranges up to [`MAX_RANGE`].
pub fn frame(split: Split, index: u64, rays: &Rays, image: &mut RangeImage) {
    let time = DURATION * (mix(seed(split, index)) >> 40) as f32 / (1u64 << 24) as f32;
    scene(split, index).cast(rays, time, MAX_RANGE, image);
}

/// The default sensor's rays over `rows` × `cols` pixels.
pub fn rays(rows: usize, cols: usize) -> Rays {
    Rays::angular(rows, cols, FIELD_OF_VIEW.0, FIELD_OF_VIEW.1)
}

/// Seeds of different splits differ in their two leading bits.
pub(super) fn seed(split: Split, index: u64) -> u64 {
    let split = match split {
        Split::Train => 0,
        Split::Tune => 1,
        Split::HeldOut => 2,
    };
    split << 62 | mix(index) >> 2
}

/// The finaliser of splitmix64 (Steele, Lea & Flood 2014): a bijection that looks random.
fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
