//! Convolutions over planes of features.
//!
//! A plane is a grid of values with a border of zeros, row after row, so that what lies beyond an edge needs no case of its
//! own: a convolution is the same sum of shifted planes everywhere, and is taken along the whole plane, border included,
//! which is zeroed again after it.

use super::aligned::{Aligned, REGISTER};
use crate::pool::Buffer;
use crate::prior::Matrix;
use crate::simd::kernel;
use pulp::{Arch, Simd, WithSimd};

#[cfg(feature = "train")]
pub(super) mod gradient;
mod winograd;

use winograd::Filter;
pub(super) use winograd::Tiles;

/// Features whose weights stand side by side.
const TOGETHER: usize = 8;
/// Registers of a run: of the sums of as many features at once as machines have registers for, of values and of a weight.
const REGISTERS: usize = 3;

/// Size of planes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl Grid {
    /// Distance from a row to the next.
    #[inline(always)]
    fn stride(self) -> usize {
        self.cols + 2
    }

    /// Where the register of the first value begins.
    #[inline(always)]
    fn begin(self) -> usize {
        self.row(0) / REGISTER * REGISTER
    }

    /// Values from there to the last one, border included.
    #[inline(always)]
    fn wanted(self) -> usize {
        self.row(self.rows - 1) + self.cols - self.begin()
    }

    /// Length of a plane, with what the last register, of it or of a shifted plane, reads beyond it: whole registers.
    #[inline(always)]
    pub(super) fn len(self) -> usize {
        let read = self.begin() + self.wanted();
        let shifted = (self.rows + 2) * self.stride() + REGISTER - 1;
        read.max(shifted).next_multiple_of(REGISTER)
    }

    /// Where the first value of a row stands.
    #[inline(always)]
    fn row(self, row: usize) -> usize {
        (row + 1) * self.stride() + 1
    }

    /// Zeroed planes of so many features, and of those that make the last group full.
    pub(super) fn planes(self, features: usize) -> Aligned {
        Aligned::zeros(features.next_multiple_of(TOGETHER) * self.len())
    }

    /// Zeroes what surrounds a plane's values.
    fn clear_border(self, plane: &mut [f32]) {
        plane[..self.row(0)].fill(0.0);
        for row in 1..self.rows {
            plane[self.row(row) - 2..self.row(row)].fill(0.0);
        }
        plane[self.row(self.rows - 1) + self.cols..].fill(0.0);
    }
}

/// What becomes of sums.
#[derive(Clone, Copy)]
pub(super) struct Then<'a> {
    /// what is added, as [`Convolution::grouped`] makes it
    pub(super) bias: &'a [f32],
    /// whether sums below 0 are 0
    pub(super) relu: bool,
}

/// A layer of a convolutional network: each feature a sum over features before and pixels around.
#[derive(Clone, Debug)]
pub(super) enum Convolution {
    /// of single pixels
    Pixels(Weights),
    /// of 3 × 3 pixels
    Windows(Filter),
}

/// Weights of single pixels.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// by group of features, feature before and feature of the group
    values: Vec<f32>,
    /// features before
    inputs: usize,
    outputs: usize,
}

impl Convolution {
    /// Of weights (out × in·side²), of a side of 1 or 3 pixels.
    pub(super) fn new(weights: &Matrix, side: usize) -> Self {
        if side == 3 {
            return Self::Windows(Filter::new(weights));
        }
        let (outputs, inputs) = (weights.rows(), weights.cols());
        let groups = (0..outputs).step_by(TOGETHER);
        let values = groups.flat_map(|first| {
            (0..inputs).flat_map(move |input| {
                (first..first + TOGETHER).map(move |o| match o < outputs {
                    true => weights.row(o)[input],
                    false => 0.0,
                })
            })
        });
        Self::Pixels(Weights {
            values: values.collect(),
            inputs,
            outputs,
        })
    }

    pub(super) fn weights(&self) -> &[f32] {
        match self {
            Self::Pixels(weights) => &weights.values,
            Self::Windows(filter) => filter.weights(),
        }
    }

    fn outputs(&self) -> usize {
        match self {
            Self::Pixels(weights) => weights.outputs,
            Self::Windows(filter) => filter.outputs(),
        }
    }

    /// A bias as [`Then`] has it: with zeros that make the last group full.
    pub(super) fn grouped(&self, mut bias: Buffer<f32>) -> Buffer<f32> {
        bias.resize(self.outputs().next_multiple_of(TOGETHER), 0.0);
        bias
    }

    /// W * x + b of planes. `input` and `output` may hold more planes than there are features; what surrounds values must be 0
    /// in both. Rows and columns must be even.
    pub(super) fn apply(
        &self,
        grid: Grid,
        input: &[f32],
        then: Then<'_>,
        output: &mut [f32],
        tiles: &mut Tiles,
    ) {
        match self {
            Self::Windows(filter) => filter.apply(grid, input, then, output, tiles),
            Self::Pixels(weights) => {
                Arch::new().dispatch(Sums {
                    input: &input[..weights.inputs * grid.len()],
                    len: grid.len(),
                    wanted: grid.wanted(),
                    weights: &weights.values,
                    then,
                    offset: grid.begin(),
                    output,
                });
                let planes = output.chunks_exact_mut(grid.len()).take(weights.outputs);
                planes.for_each(|plane| grid.clear_border(plane));
            }
        }
    }
}

/// Sums of products of planes. Products are fused with their sums: the results are the same on every machine, and machines
/// without such an instruction are slow.
struct Sums<'a> {
    /// planes, of `len` values each
    input: &'a [f32],
    len: usize,
    /// values that are wanted of each, from there on
    wanted: usize,
    /// see [`Convolution`]
    weights: &'a [f32],
    then: Then<'a>,
    /// where the first run begins
    offset: usize,
    output: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            REGISTER => self.groups::<S, TOGETHER>(simd), // machines with such registers have 32
            _ => self.groups::<S, { TOGETHER / 2 }>(simd),
        }
    }
}

impl Sums<'_> {
    /// All sums, of `FEATURES` at once.
    #[inline(always)]
    fn groups<S: Simd, const FEATURES: usize>(mut self, simd: S) {
        let registers = self.wanted.div_ceil(S::F32_LANES);
        let (runs, left) = (registers / REGISTERS, registers % REGISTERS);
        for run in 0..runs {
            self.run::<S, FEATURES, REGISTERS>(simd, run * REGISTERS);
        }
        match left {
            2 => self.run::<S, FEATURES, 2>(simd, runs * REGISTERS),
            1 => self.run::<S, FEATURES, 1>(simd, runs * REGISTERS),
            _ => {}
        }
    }

    /// The sums of all features over `REGS` registers from that one on.
    #[inline(always)]
    fn run<S: Simd, const FEATURES: usize, const REGS: usize>(&mut self, simd: S, register: usize) {
        let Self {
            input,
            len,
            weights,
            then: Then { bias, relu },
            offset,
            ..
        } = *self;
        let at = offset + register * S::F32_LANES;
        let within = at..at + REGS * S::F32_LANES;
        let zero = simd.splat_f32s(0.0);
        let groups = weights
            .chunks_exact(TOGETHER * (input.len() / len))
            .zip(bias.chunks_exact(TOGETHER));
        for ((weights, bias), output) in groups.zip(self.output.chunks_exact_mut(TOGETHER * len)) {
            for first in (0..TOGETHER).step_by(FEATURES) {
                let mut sums = [[zero; REGS]; FEATURES];
                for o in 0..FEATURES {
                    sums[o] = [simd.splat_f32s(bias[first + o]); REGS];
                }
                let inputs = input.chunks_exact(len);
                for (plane, weights) in inputs.zip(weights.as_chunks::<TOGETHER>().0) {
                    let (x, _) = S::as_simd_f32s(&plane[within.clone()]);
                    let Some(x) = x.first_chunk::<REGS>() else {
                        continue;
                    };
                    for o in 0..FEATURES {
                        let weight = simd.splat_f32s(weights[first + o]);
                        for r in 0..REGS {
                            sums[o][r] = simd.mul_add_f32s(weight, x[r], sums[o][r]);
                        }
                    }
                }
                for o in 0..FEATURES {
                    let values = &mut output[(first + o) * len..][within.clone()];
                    let (values, _) = S::as_mut_simd_f32s(values);
                    for r in 0..REGS {
                        let sum = sums[o][r];
                        values[r] = if relu { simd.max_f32s(sum, zero) } else { sum };
                    }
                }
            }
        }
    }
}

/// What is taken apart: a picture of twice the rows and columns of a grid.
#[derive(Clone, Copy)]
pub(super) enum Fine {
    /// without a border: an image
    Image,
    /// with a border: planes
    Planes,
}

impl Fine {
    /// Length of one picture, where its first value stands, and the distance from a row to the next.
    fn layout(self, coarse: Grid) -> (usize, usize, usize) {
        let grid = Grid {
            rows: 2 * coarse.rows,
            cols: 2 * coarse.cols,
        };
        match self {
            Self::Image => (grid.rows * grid.cols, 0, grid.cols),
            Self::Planes => (grid.len(), grid.row(0), grid.stride()),
        }
    }
}

/// Takes pictures of twice a grid's rows and columns apart into four planes each: every second row and column.
pub(super) fn take_apart(from: &[f32], fine: Fine, grid: Grid, to: &mut [f32]) {
    let (len, first, stride) = fine.layout(grid);
    let pictures = from.chunks_exact(len);
    for (picture, planes) in pictures.zip(to.chunks_exact_mut(4 * grid.len())) {
        picture_apart(&picture[first..], stride, grid, planes);
    }
}

/// Adds four planes each, put together, to pictures of twice a grid's rows and columns.
pub(super) fn put_together(from: &[f32], grid: Grid, fine: Fine, to: &mut [f32]) {
    let (len, first, stride) = fine.layout(grid);
    let pictures = to.chunks_exact_mut(len);
    for (planes, picture) in from.chunks_exact(4 * grid.len()).zip(pictures) {
        add_together(planes, grid, stride, &mut picture[first..]);
    }
}

kernel! {
    /// Takes one picture apart, its rows `stride` apart.
    fn picture_apart<'a>(picture: &'a [f32], stride: usize, grid: Grid, planes: &'a mut [f32]) {
        let (upper, lower) = planes.split_at_mut(2 * grid.len());
        for (part, planes) in [upper, lower].into_iter().enumerate() {
            let (even, odd) = planes.split_at_mut(grid.len());
            for row in 0..grid.rows {
                let pairs = &picture[(2 * row + part) * stride..][..2 * grid.cols];
                let at = grid.row(row)..grid.row(row) + grid.cols;
                let values = even[at.clone()].iter_mut().zip(&mut odd[at]);
                for ((even, odd), pair) in values.zip(pairs.as_chunks::<2>().0) {
                    (*even, *odd) = (pair[0], pair[1]);
                }
            }
        }
    }
}

kernel! {
    /// Adds four planes, put together, to one picture.
    fn add_together<'a>(planes: &'a [f32], grid: Grid, stride: usize, picture: &'a mut [f32]) {
        let (upper, lower) = planes.split_at(2 * grid.len());
        for (part, planes) in [upper, lower].into_iter().enumerate() {
            let (even, odd) = planes.split_at(grid.len());
            for row in 0..grid.rows {
                let pairs = &mut picture[(2 * row + part) * stride..][..2 * grid.cols];
                let at = grid.row(row)..grid.row(row) + grid.cols;
                let values = even[at.clone()].iter().zip(&odd[at]);
                for (pair, (even, odd)) in pairs.as_chunks_mut::<2>().0.iter_mut().zip(values) {
                    pair[0] += even;
                    pair[1] += odd;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose first value does not stand in its first register.
    pub(super) const GRID: Grid = Grid { rows: 6, cols: 18 };

    /// Planes of `features` features that vary from value to value.
    pub(super) fn planes(features: usize) -> Aligned {
        let mut planes = GRID.planes(features);
        for (f, plane) in planes
            .chunks_exact_mut(GRID.len())
            .take(features)
            .enumerate()
        {
            for row in 0..GRID.rows {
                for col in 0..GRID.cols {
                    let value = (f * 31 + row * 17 + col * 7) % 11;
                    plane[GRID.row(row) + col] = value as f32 - 5.0;
                }
            }
        }
        planes
    }

    fn value(planes: &[f32], feature: usize, row: isize, col: isize) -> f32 {
        let inside =
            (0..GRID.rows as isize).contains(&row) && (0..GRID.cols as isize).contains(&col);
        match inside {
            true => planes[feature * GRID.len() + GRID.row(row as usize) + col as usize],
            false => 0.0,
        }
    }

    #[test]
    fn a_convolution_is_its_definition_up_to_every_edge() {
        let input = planes(3);
        for (side, outputs, relu) in [(1usize, 4, false), (3, 6, true)] {
            let taps = 3 * side * side;
            let weights = (0..outputs * taps).map(|i| (i % 13) as f32 / 6.0 - 1.0);
            let weights = Matrix::new(outputs, taps, weights.collect());
            let bias: Buffer<f32> = (0..outputs).map(|o| o as f32 - 1.5).collect();
            let mut output = planes(outputs); // of a layer before
            let layer = Convolution::new(&weights, side);
            let grouped = layer.grouped(bias.clone());
            let then = Then {
                bias: &grouped,
                relu,
            };
            let tiles = &mut Tiles::default();
            layer.apply(GRID, &input, then, &mut output, tiles);
            let reach = side as isize / 2;
            for (o, bias) in bias.iter().enumerate() {
                for row in 0..GRID.rows as isize {
                    for col in 0..GRID.cols as isize {
                        let mut sum = *bias;
                        for tap in 0..taps {
                            let (feature, pixel) = (tap / (side * side), tap % (side * side));
                            let (down, right) = (pixel / side, pixel % side);
                            let (down, right) = (down as isize - reach, right as isize - reach);
                            sum += weights.row(o)[tap]
                                * value(&input, feature, row + down, col + right);
                        }
                        let expected = if relu { sum.max(0.0) } else { sum };
                        let got = value(&output, o, row, col);
                        assert!(
                            (got - expected).abs() < 1e-4,
                            "{side} {o} {row} {col}: {got} {expected}"
                        );
                    }
                }
            }
            let plane = &output[..GRID.len()];
            let inside = |i: usize| {
                (0..GRID.rows).any(|r| (GRID.row(r)..GRID.row(r) + GRID.cols).contains(&i))
            };
            assert!(
                (0..plane.len()).all(|i| inside(i) || plane[i] == 0.0),
                "a border of zeros"
            );
        }
    }

    #[test]
    fn what_is_taken_apart_is_put_together_again() {
        let image: Vec<f32> = (0..2 * 4 * GRID.rows * GRID.cols)
            .map(|i| i as f32)
            .collect();
        let mut apart = GRID.planes(8);
        take_apart(&image, Fine::Image, GRID, &mut apart);
        assert_eq!(apart[GRID.row(0)], 0.0);
        assert_eq!(apart[GRID.len() + GRID.row(0)], 1.0, "then columns");
        assert_eq!(
            apart[2 * GRID.len() + GRID.row(0)],
            2.0 * GRID.cols as f32,
            "then rows"
        );
        let mut again = vec![0.0; image.len()];
        put_together(&apart, GRID, Fine::Image, &mut again);
        assert_eq!(image, again);
    }
}
