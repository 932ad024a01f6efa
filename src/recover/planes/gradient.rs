//! What an error of a convolution's outputs says of its inputs and of its weights.

use super::{Convolution, Grid};
use crate::prior::Matrix;
use pulp::{Arch, Simd, WithSimd};

/// Features of a group, and weights of each whose sums are taken at once.
const TOGETHER: usize = 4;
const TAPS: usize = 3;

impl Convolution {
    /// The convolution that takes gradients of the outputs of one of weights (out × in·side²) back to its inputs.
    pub(in crate::recover) fn turned(weights: &Matrix, side: usize) -> Self {
        let (outputs, area) = (weights.rows(), side * side);
        let inputs = weights.cols() / area;
        let mut turned = Matrix::zeros(inputs, outputs * area);
        for o in 0..outputs {
            for (tap, weight) in weights.row(o).iter().enumerate() {
                turned.row_mut(tap / area)[o * area + area - 1 - tap % area] = *weight;
            }
        }
        Self::new(&turned, side)
    }
}

/// Adds to the gradient of weights, (out × in·side²), what `error`, the gradient of the planes they make of `input`, says.
///
/// # Panics
/// Where there are fewer planes than features; `error` must hold those that make the last group full.
pub(in crate::recover) fn add_weights(
    grid: Grid,
    input: &[f32],
    error: &[f32],
    side: usize,
    gradient: &mut Matrix,
) {
    let area = side * side;
    let taps: Vec<usize> = (0..gradient.cols())
        .map(|tap| {
            let pixel = tap % area;
            let offset = match side {
                3 => pixel / 3 * grid.stride() + pixel % 3,
                _ => grid.stride() + 1,
            };
            tap / area * grid.len() + offset
        })
        .collect();
    Arch::new().dispatch(Products {
        input,
        error,
        grid,
        taps: &taps,
        gradient,
    });
}

/// Adds to the gradient of biases, (out), what `error` says.
pub(in crate::recover) fn add_bias(grid: Grid, error: &[f32], gradient: &mut [f32]) {
    let planes = error.chunks_exact(grid.len());
    for (gradient, plane) in gradient.iter_mut().zip(planes) {
        *gradient += plane.iter().sum::<f32>();
    }
}

/// Sums over the pixels of an error times an input, shifted.
struct Products<'a> {
    input: &'a [f32],
    error: &'a [f32],
    grid: Grid,
    /// where in the inputs each weight's first value stands
    taps: &'a [usize],
    gradient: &'a mut Matrix,
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            input,
            error,
            grid,
            taps,
            gradient,
        } = self;
        let len = grid.len();
        let centre = grid.row(0);
        let wanted = grid.row(grid.rows - 1) + grid.cols - centre;
        let wanted = wanted.next_multiple_of(S::F32_LANES);
        for first in (0..gradient.rows()).step_by(TOGETHER) {
            let error = |o: usize| {
                let plane = &error[(first + o) * len + centre..][..wanted];
                S::as_simd_f32s(plane).0
            };
            let error = [error(0), error(1), error(2), error(3)];
            for at in (0..taps.len()).step_by(TAPS) {
                let input = |t: usize| {
                    let tap = taps[(at + t).min(taps.len() - 1)];
                    S::as_simd_f32s(&input[tap..tap + wanted]).0
                };
                let input = [input(0), input(1), input(2)];
                let mut sums = [[simd.splat_f32s(0.0); TAPS]; TOGETHER];
                for i in 0..wanted / S::F32_LANES {
                    let values = [input[0][i], input[1][i], input[2][i]];
                    for o in 0..TOGETHER {
                        let error = error[o][i];
                        for t in 0..TAPS {
                            sums[o][t] = simd.mul_add_f32s(error, values[t], sums[o][t]);
                        }
                    }
                }
                for (row, sums) in (first..gradient.rows()).zip(sums) {
                    let row = &mut gradient.row_mut(row)[at..];
                    for (gradient, sum) in row.iter_mut().zip(sums) {
                        *gradient += simd.reduce_sum_f32s(sum);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GRID, planes};
    use super::super::{Then, Tiles};
    use super::*;
    use crate::pool::Buffer;

    fn plain(bias: &[f32]) -> Then<'_> {
        Then { bias, relu: false }
    }

    /// ⟨error, W * input⟩.
    fn overlap(weights: &Matrix, side: usize, input: &[f32], error: &[f32]) -> f64 {
        let layer = Convolution::new(weights, side);
        let mut output = GRID.planes(weights.rows());
        let bias = layer.grouped(Buffer::zeros(weights.rows()));
        let (then, tiles) = (plain(&bias), &mut Tiles::default());
        layer.apply(GRID, input, then, &mut output, tiles);
        product(&output, error)
    }

    fn product(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
    }

    #[test]
    fn what_is_taken_back_overlaps_as_what_was_made() {
        for (side, inputs, outputs) in [(1usize, 5, 6), (3, 3, 4)] {
            let taps = inputs * side * side;
            let values =
                |shift: usize| (0..outputs * taps).map(move |i| ((i + shift) % 13) as f32 - 6.0);
            let weights = Matrix::new(outputs, taps, values(0).collect());
            let (input, error) = (planes(inputs), planes(outputs));
            let made = overlap(&weights, side, &input, &error);
            let turned = Convolution::turned(&weights, side);
            let mut back = GRID.planes(inputs);
            let bias = turned.grouped(Buffer::zeros(inputs));
            let (then, tiles) = (plain(&bias), &mut Tiles::default());
            turned.apply(GRID, &error, then, &mut back, tiles);
            let again = product(&back, &input);
            assert!(
                (made - again).abs() < 1e-3 * made.abs().max(1.0),
                "{made} {again}"
            );
            // the overlap is linear in the weights
            let mut gradient = Matrix::zeros(outputs, taps);
            add_weights(GRID, &input, &error, side, &mut gradient);
            let other = Matrix::new(outputs, taps, values(7).collect());
            let made = overlap(&other, side, &input, &error);
            let again = product(gradient.data(), other.data());
            assert!(
                (made - again).abs() < 1e-3 * made.abs().max(1.0),
                "{made} {again}"
            );
            let mut bias = vec![1.0; outputs];
            add_bias(GRID, &error, &mut bias);
            let sum: f32 = error[..GRID.len()].iter().sum();
            assert_eq!(bias[0], 1.0 + sum);
        }
    }
}
