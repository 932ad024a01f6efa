//! Floor 1: what the sensor does to a scene.

mod blocks;
mod data;
mod dense;
mod density;
mod description;
mod dft;
mod fourier;
mod hadamard;
mod histogram;
mod mask;
mod pattern;

pub use blocks::{Blocks, BlocksError};
pub use data::Data;
pub use dense::{Dense, DenseError};
pub use description::{DescriptionError, SensorDescription};
pub use fourier::{Fourier, FourierError};
pub use hadamard::{Hadamard, HadamardError};
pub use histogram::{Binning, HistogramError, Reduction};
pub use mask::{Mask, MaskError};
pub use pattern::Pattern;

/// The most pixels of an image.
const MAX_PIXELS: usize = 1 << 24;

/// A linear measurement A of one channel, (m × n), the same for every channel.
///
/// `apply` and `adjoint` do not allocate; buffers belong to the caller. Every implementation satisfies ⟨A v, u⟩ = ⟨v, Aᵀ u⟩.
///
/// # Panics
/// All methods, where a buffer has not the length that [`Operator::shape`] or [`Operator::scratch`] states.
pub trait Operator {
    /// (m, n): readings and pixels.
    fn shape(&self) -> (usize, usize);

    /// Length of the scratch buffer that `apply` and `adjoint` need.
    fn scratch(&self) -> usize;

    /// y = A v, with v (n) and y (m).
    fn apply(&self, v: &[f32], y: &mut [f32], scratch: &mut [f32]);

    /// v = Aᵀ y, with y (m) and v (n).
    fn adjoint(&self, y: &[f32], v: &mut [f32], scratch: &mut [f32]);

    /// out_j = Σ_i A_ji² ψ_i: the variance that independent pixels of variance ψ (n) put on each reading (m).
    fn row_energy(&self, variance: &[f32], out: &mut [f32]);
}
