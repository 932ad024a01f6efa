//! Convolutions of 3 × 3 pixels by minimal filtering: of each tile of 2 × 2 pixels, 16 products instead of 36.
//!
//! F(2 × 2, 3 × 3) of Winograd 1980, as Lavin & Gray 2016 have it: Y = Aᵀ \[(G g Gᵀ) ∘ (Bᵀ d B)\] A, d the 4 × 4 pixels about a
//! tile, g the weights, and the product summed over the features before. Tiles stand in rows of one more than there are, so
//! that every shift is one of the whole plane.

use super::{Grid, Sums, TOGETHER, Then};
use crate::prior::Matrix;
use crate::recover::aligned::{Aligned, REGISTER};
use crate::simd::kernel;
use pulp::{Arch, Simd, WithSimd};

/// Products of a tile.
const PRODUCTS: usize = 16;

/// Weights of 3 × 3 pixels, transformed.
#[derive(Clone, Debug)]
pub(in crate::recover) struct Filter {
    /// G g Gᵀ, by product, group of features, feature before and feature of the group
    weights: Vec<f32>,
    inputs: usize,
    outputs: usize,
    /// zeros, of a group
    nothing: Vec<f32>,
}

/// What a convolution works on.
#[derive(Clone, Debug, Default)]
pub(in crate::recover) struct Tiles {
    /// a plane's values at even and odd rows and columns
    phases: [Aligned; 4],
    /// Bᵀ d B, by product and feature before
    input: Aligned,
    /// sums of products, by product and feature
    sums: Aligned,
    /// values of tiles, by row and column
    values: [Aligned; 4],
}

impl Filter {
    /// Of weights (out × in·9).
    pub(super) fn new(weights: &Matrix) -> Self {
        let (outputs, inputs) = (weights.rows(), weights.cols() / 9);
        let grouped = outputs.next_multiple_of(TOGETHER);
        let mut transformed = vec![0.0; PRODUCTS * grouped * inputs];
        for o in 0..outputs {
            for (i, g) in weights.row(o).chunks_exact(9).enumerate() {
                let at = (o / TOGETHER * inputs + i) * TOGETHER + o % TOGETHER;
                for (product, weight) in transform(g).into_iter().enumerate() {
                    transformed[product * grouped * inputs + at] = weight;
                }
            }
        }
        Self {
            weights: transformed,
            inputs,
            outputs,
            nothing: vec![0.0; grouped],
        }
    }

    pub(super) fn weights(&self) -> &[f32] {
        &self.weights
    }

    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// As [`super::Convolution::apply`].
    pub(super) fn apply(
        &self,
        grid: Grid,
        input: &[f32],
        then: Then<'_>,
        output: &mut [f32],
        tiles: &mut Tiles,
    ) {
        let (rows, cols) = (grid.rows / 2, grid.cols / 2);
        let (wanted, stride) = (rows * (cols + 1), cols + 1);
        let len = wanted.next_multiple_of(REGISTER);
        let beyond = len + stride + 1; // the last shift
        tiles.enter(len, beyond, self);
        let Tiles {
            phases,
            input: products,
            sums,
            values,
        } = tiles;
        for (i, plane) in input.chunks_exact(grid.len()).take(self.inputs).enumerate() {
            take_apart(plane, grid, phases.each_mut().map(|phase| &mut **phase));
            let mut products = products.chunks_exact_mut(spacing(self.inputs, len));
            let own = i * len..(i + 1) * len;
            Arch::new().dispatch(Spread {
                phases: phases.each_ref().map(|phase| &**phase),
                stride,
                products: std::array::from_fn(|_| {
                    let products = products.next().unwrap_or_default();
                    &mut products[own.clone()]
                }),
            });
        }
        let grouped = self.nothing.len();
        let by_product = self.weights.chunks_exact(grouped * self.inputs);
        let products = products
            .chunks_exact(spacing(self.inputs, len))
            .zip(by_product);
        for ((input, weights), output) in products.zip(sums.chunks_exact_mut(spacing(grouped, len)))
        {
            Arch::new().dispatch(Sums {
                input: &input[..self.inputs * len],
                len,
                wanted,
                weights,
                then: Then {
                    bias: &self.nothing,
                    relu: false,
                },
                offset: 0,
                output,
            });
        }
        let planes = output.chunks_exact_mut(grid.len()).take(self.outputs);
        for (o, (plane, bias)) in planes.zip(then.bias).enumerate() {
            let mut sums = sums.chunks_exact(spacing(grouped, len));
            let own = o * len..(o + 1) * len;
            Arch::new().dispatch(Gather {
                sums: std::array::from_fn(|_| &sums.next().unwrap_or_default()[own.clone()]),
                bias: *bias,
                relu: then.relu,
                values: values.each_mut().map(|values| &mut **values),
            });
            put_together(values.each_ref().map(|values| &**values), grid, plane);
        }
    }
}

impl Tiles {
    /// Makes room; phases and values of their very length.
    fn enter(&mut self, len: usize, beyond: usize, filter: &Filter) {
        let phases = self.phases.iter_mut();
        phases.for_each(|phase| phase.fit(beyond));
        let values = self.values.iter_mut();
        values.for_each(|values| values.fit(len));
        let (inputs, outputs) = (filter.inputs, filter.nothing.len());
        for (room, features) in [(&mut self.input, inputs), (&mut self.sums, outputs)] {
            room.fit((PRODUCTS * spacing(features, len)).max(room.len()));
        }
    }
}

/// How far products of so many features stand apart: by an odd number of registers where features are even, for multiples of what near
/// caches go round in would have all of a tile's products in the same few places there.
fn spacing(features: usize, len: usize) -> usize {
    features * len + 3 * REGISTER
}

/// G g Gᵀ.
fn transform(g: &[f32]) -> [f32; PRODUCTS] {
    let along = |v: [f32; 3]| {
        let [a, b, c] = v;
        [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
    };
    let columns = [0, 1, 2].map(|col| along([g[col], g[3 + col], g[6 + col]]));
    let rows = [0, 1, 2, 3].map(|row| along(columns.map(|column| column[row])));
    std::array::from_fn(|product| rows[product / 4][product % 4])
}

kernel! {
    /// A plane's values, border included, at even and odd rows and columns.
    fn take_apart<'a>(plane: &'a [f32], grid: Grid, phases: [&'a mut [f32]; 4]) {
        let (stride, to) = (grid.stride(), grid.stride() / 2);
        let [a, b, c, d] = phases;
        for (row, lines) in plane
            .chunks_exact(2 * stride)
            .take(grid.rows / 2 + 1)
            .enumerate()
        {
            let (upper, lower) = lines.split_at(stride);
            let at = row * to..(row + 1) * to;
            for (line, even, odd) in [(upper, &mut *a, &mut *b), (lower, &mut *c, &mut *d)] {
                let values = even[at.clone()].iter_mut().zip(&mut odd[at.clone()]);
                for ((even, odd), pair) in values.zip(line.as_chunks::<2>().0) {
                    (*even, *odd) = (pair[0], pair[1]);
                }
            }
        }
    }
}

/// Bᵀ d B of all tiles.
struct Spread<'a> {
    phases: [&'a [f32]; 4],
    stride: usize,
    products: [&'a mut [f32]; PRODUCTS],
}

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            phases,
            stride,
            mut products,
        } = self;
        let len = products[0].len();
        // pixel (row, col) of the 4 × 4 about each tile
        let pixel = |row: usize, col: usize| {
            let phase = &phases[row % 2 * 2 + col % 2];
            S::as_simd_f32s(&phase[row / 2 * stride + col / 2..][..len]).0
        };
        for (row, products) in products.chunks_exact_mut(4).enumerate() {
            let (a, b) = [(0, 2), (1, 2), (2, 1), (1, 3)][row];
            let a = [pixel(a, 0), pixel(a, 1), pixel(a, 2), pixel(a, 3)];
            let b = [pixel(b, 0), pixel(b, 1), pixel(b, 2), pixel(b, 3)];
            let [first, second, third, last] = products else {
                continue;
            };
            let count = len / S::F32_LANES;
            let first = &mut S::as_mut_simd_f32s(first).0[..count];
            let second = &mut S::as_mut_simd_f32s(second).0[..count];
            let third = &mut S::as_mut_simd_f32s(third).0[..count];
            let last = &mut S::as_mut_simd_f32s(last).0[..count];
            let (a0, a1, a2, a3) = (
                &a[0][..count],
                &a[1][..count],
                &a[2][..count],
                &a[3][..count],
            );
            let (b0, b1, b2, b3) = (
                &b[0][..count],
                &b[1][..count],
                &b[2][..count],
                &b[3][..count],
            );
            for q in 0..count {
                let (t0, t1, t2, t3) = if row == 1 {
                    (
                        simd.add_f32s(a0[q], b0[q]),
                        simd.add_f32s(a1[q], b1[q]),
                        simd.add_f32s(a2[q], b2[q]),
                        simd.add_f32s(a3[q], b3[q]),
                    )
                } else {
                    (
                        simd.sub_f32s(a0[q], b0[q]),
                        simd.sub_f32s(a1[q], b1[q]),
                        simd.sub_f32s(a2[q], b2[q]),
                        simd.sub_f32s(a3[q], b3[q]),
                    )
                };
                first[q] = simd.sub_f32s(t0, t2);
                second[q] = simd.add_f32s(t1, t2);
                third[q] = simd.sub_f32s(t2, t1);
                last[q] = simd.sub_f32s(t1, t3);
            }
        }
    }
}

/// Aᵀ m A + b of all tiles, and 0 where that is less if `relu`.
struct Gather<'a> {
    sums: [&'a [f32]; PRODUCTS],
    bias: f32,
    relu: bool,
    values: [&'a mut [f32]; 4],
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            sums,
            bias,
            relu,
            values: [a, b, c, d],
        } = self;
        let count = a.len() / S::F32_LANES;
        let mut m = [&S::as_simd_f32s(sums[0]).0[..count]; PRODUCTS];
        for (m, sums) in m.iter_mut().zip(sums) {
            *m = &S::as_simd_f32s(sums).0[..count];
        }
        let [a, b, c, d] = [a, b, c, d].map(|values| S::as_mut_simd_f32s(values).0);
        let (a, b) = (&mut a[..count], &mut b[..count]);
        let (c, d) = (&mut c[..count], &mut d[..count]);
        let floor = simd.splat_f32s(if relu { 0.0 } else { f32::NEG_INFINITY });
        let bias = simd.splat_f32s(bias);
        for q in 0..count {
            let (mut upper, mut lower) = ([bias; 4], [bias; 4]);
            for col in 0..4 {
                let (second, third) = (m[4 + col][q], m[8 + col][q]);
                upper[col] = simd.add_f32s(m[col][q], simd.add_f32s(second, third));
                lower[col] = simd.sub_f32s(simd.sub_f32s(second, third), m[12 + col][q]);
            }
            for (line, left, right) in [(upper, &mut *a, &mut *b), (lower, &mut *c, &mut *d)] {
                let (second, third) = (line[1], line[2]);
                let even = simd.add_f32s(line[0], simd.add_f32s(second, third));
                let odd = simd.sub_f32s(simd.sub_f32s(second, third), line[3]);
                left[q] = simd.max_f32s(simd.add_f32s(even, bias), floor);
                right[q] = simd.max_f32s(simd.add_f32s(odd, bias), floor);
            }
        }
    }
}

kernel! {
    /// Puts values of tiles into a plane.
    fn put_together<'a>(values: [&'a [f32]; 4], grid: Grid, plane: &'a mut [f32]) {
        let (cols, stride) = (grid.cols / 2, grid.cols / 2 + 1);
        for row in 0..grid.rows {
            let [even, odd] = [0, 1].map(|col| &values[row % 2 * 2 + col][row / 2 * stride..][..cols]);
            let pairs = &mut plane[grid.row(row)..][..grid.cols];
            let values = even.iter().zip(odd);
            for (pair, (even, odd)) in pairs.as_chunks_mut::<2>().0.iter_mut().zip(values) {
                (pair[0], pair[1]) = (*even, *odd);
            }
        }
    }
}
