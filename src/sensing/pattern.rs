//! Pattern sets of any kind.

use super::{Blocks, Dense, Fourier, Hadamard, Mask, Operator};

/// One exposure set of a sensor, of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// rows of a Hadamard transform
    Hadamard(Hadamard),
    /// an explicit matrix
    Dense(Dense),
    /// single pixels
    Mask(Mask),
    /// sums over square blocks
    Blocks(Blocks),
    /// coefficients of a Fourier transform
    Fourier(Fourier),
}

impl Pattern {
    fn operator(&self) -> &dyn Operator {
        match self {
            Self::Hadamard(op) => op,
            Self::Dense(op) => op,
            Self::Mask(op) => op,
            Self::Blocks(op) => op,
            Self::Fourier(op) => op,
        }
    }

    /// (rows, columns) of the image, where the set depends on them and not on the number of pixels alone.
    pub fn grid(&self) -> Option<(usize, usize)> {
        match self {
            Self::Hadamard(_) | Self::Dense(_) | Self::Mask(_) => None,
            Self::Blocks(op) => Some(op.grid()),
            Self::Fourier(op) => Some(op.grid()),
        }
    }
}

impl Operator for Pattern {
    fn shape(&self) -> (usize, usize) {
        self.operator().shape()
    }

    fn scratch(&self) -> usize {
        self.operator().scratch()
    }

    fn apply(&self, v: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        self.operator().apply(v, y, scratch);
    }

    fn adjoint(&self, y: &[f32], v: &mut [f32], scratch: &mut [f32]) {
        self.operator().adjoint(y, v, scratch);
    }

    fn row_energy(&self, variance: &[f32], out: &mut [f32]) {
        self.operator().row_energy(variance, out);
    }
}
