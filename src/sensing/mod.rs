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

    /// Length of the scratch buffer that [`Operator::apply_interleaved`] and [`Operator::adjoint_interleaved`] need.
    fn interleaved_scratch(&self, channels: usize) -> usize {
        let _ = channels;
        let (readings, pixels) = self.shape();
        self.scratch() + readings + pixels
    }

    /// A of each of `channels` images that lie interleaved: v\[i·J + g\], (n·J), and y\[j·J + g\], (m·J).
    fn apply_interleaved(&self, channels: usize, v: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let (readings, pixels) = self.shape();
        let (image, scratch) = scratch.split_at_mut(pixels);
        let (seen, scratch) = scratch.split_at_mut(readings);
        for g in 0..channels {
            take_channel(g, channels, v, image);
            self.apply(image, seen, scratch);
            put_channel(g, channels, seen, y);
        }
    }

    /// Aᵀ of each of `channels` sets of readings that lie interleaved, laid out as of [`Operator::apply_interleaved`].
    fn adjoint_interleaved(&self, channels: usize, y: &[f32], v: &mut [f32], scratch: &mut [f32]) {
        let (readings, pixels) = self.shape();
        let (image, scratch) = scratch.split_at_mut(pixels);
        let (seen, scratch) = scratch.split_at_mut(readings);
        for g in 0..channels {
            take_channel(g, channels, y, seen);
            self.adjoint(seen, image, scratch);
            put_channel(g, channels, image, v);
        }
    }

    /// out_j = Σ_i A_ji² ψ_i: the variance that independent pixels of variance ψ (n) put on each reading (m).
    fn row_energy(&self, variance: &[f32], out: &mut [f32]);
}

/// Channel `g` of what lies interleaved.
fn take_channel(g: usize, channels: usize, all: &[f32], one: &mut [f32]) {
    let values = all[g..].iter().step_by(channels);
    one.iter_mut()
        .zip(values)
        .for_each(|(one, all)| *one = *all);
}

/// Puts channel `g` among those that lie interleaved.
fn put_channel(g: usize, channels: usize, one: &[f32], all: &mut [f32]) {
    let slots = all[g..].iter_mut().step_by(channels);
    slots.zip(one).for_each(|(all, one)| *all = *one);
}
