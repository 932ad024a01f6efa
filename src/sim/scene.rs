//! A place, drawn from a seed.

use super::build;
use super::ego::Ego;
use super::family::Family;
use super::solid::Solid;

/// A place with everything that stands and moves in it, and the path of a sensor through it.
///
/// Immutable: what is seen is a pure function of family, seed and time, sensible for at least ten seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    pub(super) solids: Vec<Solid>,
    pub(super) ego: Ego,
}

impl Scene {
    /// The scene of a family that belongs to a seed.
    pub fn new(family: Family, seed: u64) -> Scene {
        build::scene(family, seed)
    }
}
