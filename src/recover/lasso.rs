//! Sparsity, the classic prior: Lasso in an orthonormal basis, by FISTA.

use crate::sensing::Operator;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use std::f32::consts::PI;

/// Relative change of a step that ends the iteration.
const ENOUGH: f32 = 1e-5;
/// Daubechies' orthonormal wavelet of four taps (Daubechies 1988, table 1).
const TAPS: [f32; 4] = [0.482_962_9, 0.836_516_3, 0.224_143_87, -0.129_409_52];
/// Least side of the coarsest wavelet level.
const COARSEST: usize = 4;

/// An orthonormal basis of images.
#[derive(Clone, Debug)]
pub(super) enum Basis {
    /// the two-dimensional DCT-II, by the matrices of its sides
    Cosines {
        /// (rows × rows)
        down: Mat<f32>,
        /// (cols × cols)
        across: Mat<f32>,
    },
    /// periodic wavelets of four taps
    Wavelets {
        /// rows, cols
        grid: (usize, usize),
    },
}

impl Basis {
    pub(super) fn cosines(rows: usize, cols: usize) -> Self {
        Self::Cosines {
            down: cosines(rows),
            across: cosines(cols),
        }
    }

    /// Φ v, in place, (n).
    fn analyse(&self, v: &mut [f32]) {
        match self {
            Self::Cosines { down, across } => {
                between(down.as_ref(), v, across.as_ref());
            }
            Self::Wavelets { grid } => {
                let levels = levels(*grid);
                for level in 0..levels {
                    let part = (grid.0 >> level, grid.1 >> level);
                    each_line(v, *grid, part, split);
                }
            }
        }
    }

    /// Φᵀ c, in place, (n).
    fn synthesise(&self, c: &mut [f32]) {
        match self {
            Self::Cosines { down, across } => {
                between(down.transpose(), c, across.transpose());
            }
            Self::Wavelets { grid } => {
                for level in (0..levels(*grid)).rev() {
                    let part = (grid.0 >> level, grid.1 >> level);
                    each_line(c, *grid, part, merge);
                }
            }
        }
    }
}

/// DCT-II of length `len`, orthonormal.
fn cosines(len: usize) -> Mat<f32> {
    let n = len as f32;
    let entry = |k: usize, i: usize| {
        let scale = if k == 0 {
            (1.0 / n).sqrt()
        } else {
            (2.0 / n).sqrt()
        };
        scale * (PI * k as f32 * (i as f32 + 0.5) / n).cos()
    };
    Mat::from_fn(len, len, entry)
}

fn product(to: MatMut<'_, f32>, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    matmul(to, Accum::Replace, a, b, 1.0, Par::Seq);
}

/// D V Aᵀ, or Dᵀ V A, of an image V, (rows × cols), in place.
fn between(down: MatRef<'_, f32>, v: &mut [f32], across: MatRef<'_, f32>) {
    let (rows, cols) = (down.nrows(), across.nrows());
    let mut half: Mat<f32> = Mat::zeros(rows, cols);
    let image = MatRef::from_row_major_slice(v, rows, cols);
    product(half.as_mut(), image, across.transpose());
    product(
        MatMut::from_row_major_slice_mut(v, rows, cols),
        down,
        half.as_ref(),
    );
}

/// Levels at which both sides are even and not yet small.
fn levels((rows, cols): (usize, usize)) -> usize {
    let fits = |side: usize, level: usize| {
        (side >> level).is_multiple_of(2)
            && side >> (level + 1) >= COARSEST
            && side.is_multiple_of(1 << level)
    };
    (0..)
        .take_while(|&level| fits(rows, level) && fits(cols, level))
        .count()
}

/// Does `what` to every row and then to every column of the upper left `part` of an image.
fn each_line(
    v: &mut [f32],
    (_, cols): (usize, usize),
    part: (usize, usize),
    what: impl Fn(&[f32], &mut [f32]),
) {
    let mut out = vec![0.0; part.0.max(part.1)];
    for row in v.chunks_exact_mut(cols).take(part.0) {
        what(&row[..part.1], &mut out[..part.1]);
        row[..part.1].copy_from_slice(&out[..part.1]);
    }
    for col in 0..part.1 {
        let line: Vec<f32> = (0..part.0).map(|r| v[r * cols + col]).collect();
        what(&line, &mut out[..part.0]);
        (0..part.0).for_each(|r| v[r * cols + col] = out[r]);
    }
}

/// High-pass taps: alternating, reversed.
fn detail(tap: usize) -> f32 {
    if tap.is_multiple_of(2) {
        TAPS[3 - tap]
    } else {
        -TAPS[3 - tap]
    }
}

/// One level of the periodic transform: averages, then details.
fn split(line: &[f32], out: &mut [f32]) {
    let (len, half) = (line.len(), line.len() / 2);
    for i in 0..half {
        let at = |tap: usize| line[(2 * i + tap) % len];
        out[i] = (0..4).map(|tap| TAPS[tap] * at(tap)).sum();
        out[half + i] = (0..4).map(|tap| detail(tap) * at(tap)).sum();
    }
}

/// Its inverse, which is its transpose.
fn merge(line: &[f32], out: &mut [f32]) {
    let (len, half) = (line.len(), line.len() / 2);
    out.fill(0.0);
    for i in 0..half {
        for tap in 0..4 {
            out[(2 * i + tap) % len] += TAPS[tap] * line[i] + detail(tap) * line[half + i];
        }
    }
}

/// argmin ½‖A x − y‖² + λ‖Φ x‖₁ over images x, (J·n), from `x`; readings at `missing` positions do not count. `norm` is
/// the operator's largest singular value squared. Returns the steps made.
pub(super) fn lasso(
    operator: &dyn Operator,
    norm: f32,
    basis: &Basis,
    (weight, iterations): (f32, usize),
    y: &[f32],
    missing: &[u32],
    x: &mut [f32],
) -> usize {
    let (m, n) = operator.shape();
    let mut scratch = vec![0.0; operator.scratch()];
    let mut present = vec![true; y.len()];
    missing.iter().for_each(|&i| present[i as usize] = false);
    let (mut seen, mut slope) = (vec![0.0; m], vec![0.0; n]);
    let mut ahead = x.to_vec();
    let mut momentum = 1.0f32;
    for iteration in 0..iterations {
        let next_momentum = 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt());
        let inertia = (momentum - 1.0) / next_momentum;
        let (mut change, mut size) = (0.0, 0.0);
        for (g, (x, ahead)) in x
            .chunks_exact_mut(n)
            .zip(ahead.chunks_exact_mut(n))
            .enumerate()
        {
            operator.apply(ahead, &mut seen, &mut scratch);
            let readings = y[g * m..].iter().zip(&present[g * m..]);
            let left = seen.iter_mut().zip(readings);
            left.for_each(|(seen, (y, present))| *seen = if *present { *seen - y } else { 0.0 });
            operator.adjoint(&seen, &mut slope, &mut scratch);
            let step = slope.iter_mut().zip(ahead.iter());
            step.for_each(|(slope, ahead)| *slope = ahead - *slope / norm);
            basis.analyse(&mut slope);
            let threshold = weight / norm;
            slope
                .iter_mut()
                .for_each(|c| *c = c.signum() * (c.abs() - threshold).max(0.0));
            basis.synthesise(&mut slope);
            for ((x, ahead), next) in x.iter_mut().zip(ahead.iter_mut()).zip(&slope) {
                change += (next - *x).powi(2);
                size += next * next;
                *ahead = next + inertia * (next - *x);
                *x = *next;
            }
        }
        momentum = next_momentum;
        if change <= ENOUGH * ENOUGH * size {
            return iteration + 1;
        }
    }
    iterations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensing::Dense;

    fn image(len: usize) -> Vec<f32> {
        (0..len)
            .map(|i| (i as f32 * 0.37).sin() + (i % 7) as f32)
            .collect()
    }

    #[test]
    fn bases_are_orthonormal() {
        for basis in [Basis::cosines(24, 16), Basis::Wavelets { grid: (24, 16) }] {
            let v = image(24 * 16);
            let mut c = v.clone();
            basis.analyse(&mut c);
            let energy = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>();
            assert!((energy(&c) / energy(&v) - 1.0).abs() < 1e-4);
            assert!(c.iter().zip(&v).any(|(c, v)| (c - v).abs() > 0.5));
            basis.synthesise(&mut c);
            assert!(c.iter().zip(&v).all(|(a, b)| (a - b).abs() < 1e-3));
        }
    }

    #[test]
    fn flat_images_have_one_cosine_and_no_details() {
        for basis in [Basis::cosines(16, 16), Basis::Wavelets { grid: (16, 16) }] {
            let mut v = vec![2.0; 256];
            basis.analyse(&mut v);
            let counted = v.iter().filter(|c| c.abs() > 1e-4).count();
            let expected = if matches!(basis, Basis::Cosines { .. }) {
                1
            } else {
                16
            };
            assert_eq!(counted, expected);
        }
    }

    #[test]
    fn few_coefficients_come_back_from_few_readings() {
        for basis in [Basis::cosines(16, 16), Basis::Wavelets { grid: (16, 16) }] {
            let mut truth = vec![0.0; 256];
            for (at, value) in [(3, 1.0), (40, -2.0), (130, 1.5), (200, 0.7)] {
                truth[at] = value;
            }
            basis.synthesise(&mut truth);
            let operator = Dense::gaussian(80, 256, 3).unwrap();
            let (mut y, mut x) = (vec![0.0; 80], vec![0.0; 256]);
            operator.apply(&truth, &mut y, &mut vec![0.0; operator.scratch()]);
            let norm = super::super::variation::norm(&operator);
            y[5] = f32::NAN; // what is marked as missing may hold anything
            lasso(&operator, norm, &basis, (1e-3, 3000), &y, &[5], &mut x);
            let error: f32 = x.iter().zip(&truth).map(|(a, b)| (a - b).powi(2)).sum();
            let energy: f32 = truth.iter().map(|v| v * v).sum();
            assert!(error < 1e-4 * energy, "{}", error / energy);
        }
    }
}
