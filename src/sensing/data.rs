//! What readings tell of an image.

/// What readings tell of A x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Data {
    /// A x: compressed sensing
    #[default]
    Linear,
    /// |A x|, up to noise: phase retrieval
    Magnitudes,
}
