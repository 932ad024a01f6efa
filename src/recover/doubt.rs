//! Where readings contradict an image: an obstacle that nothing foretold, a surface that has moved on.
//!
//! What an image leaves of the readings, taken back to pixels and summed over a window, gathers what is wrong there, while
//! errors elsewhere enter as noise that is alike in all windows of one size. So each window is held against the mean square
//! of all, whatever the patterns.

use crate::pool::Buffer;
use crate::sensing::Operator;
use crate::simd::{add_scaled, dot, kernel};
use pulp::{Arch, Simd, WithSimd};

/// Pixels from a window's centre to its sides: 3, 5 and 7 pixels across.
const REACHES: [usize; 3] = [1, 2, 3];
/// Lines and columns of zeros around what windows are summed over: the farthest reach.
const MARGIN: usize = 3;
/// Energy over the usual from which a window counts.
const USUAL: f32 = 1.5;

/// How far the windows about each pixel are beyond the usual, ≥ 0, (n): of the size that says most, the mean over channels
/// of the energy over its mean, less [`USUAL`]. `left` is y − A x, (J·m), 0 where a reading is missing.
pub(super) fn doubt(operator: &dyn Operator, cols: usize, left: &[f32]) -> Buffer<f32> {
    let (readings, pixels) = operator.shape();
    let mut scratch = Buffer::zeros(operator.scratch());
    let mut images = Buffer::zeros(left.len() / readings * pixels);
    for (image, left) in images
        .chunks_exact_mut(pixels)
        .zip(left.chunks_exact(readings))
    {
        operator.adjoint(left, image, &mut scratch);
    }
    doubt_of(&images, pixels, cols)
}

/// The same of what an image leaves of the readings, taken back to `pixels`, (J·n); its scale does not matter.
pub(super) fn doubt_of(images: &[f32], pixels: usize, cols: usize) -> Buffer<f32> {
    let channels = (images.len() / pixels) as f32;
    let mut line = Buffer::zeros(cols + 2 * MARGIN);
    let mut along = REACHES.map(|_| Buffer::zeros(pixels + 2 * MARGIN * cols));
    let mut beyond = REACHES.map(|_| Buffer::<f32>::zeros(pixels));
    let shares_within = |reach| (0..cols).map(|col| share(col, reach, cols)).collect();
    let shares: [Buffer<f32>; 3] = REACHES.map(shares_within);
    let (mut energy, ones) = (Buffer::zeros(pixels), Buffer::of(1.0, pixels));
    for image in images.chunks_exact(pixels) {
        let inner = along.each_mut().map(|along| &mut along[MARGIN * cols..]);
        add_along(image, &mut line, inner);
        let sizes = REACHES.iter().zip(&along).zip(&shares).zip(&mut beyond);
        for (((reach, along), shares), beyond) in sizes {
            square_windows(along, *reach, shares, &mut energy);
            let total = dot(&energy, &ones);
            if total > 0.0 {
                add_scaled(pixels as f32 / (channels * total), &energy, beyond);
            }
        }
    }
    let [mut doubt, others @ ..] = beyond;
    for other in &others {
        let pixels = doubt.iter_mut().zip(other);
        pixels.for_each(|(most, beyond)| *most = beyond.max(*most));
    }
    doubt.iter_mut().for_each(|d| *d = (*d - USUAL).max(0.0));
    doubt
}

kernel! {
    /// Sums along each line of an image over the columns within each of [`REACHES`]; `line` is room for one with its margin, which
    /// is 0.
    fn add_along<'a>(image: &'a [f32], line: &'a mut [f32], out: [&'a mut [f32]; 3]) {
        let cols = line.len() - 2 * MARGIN;
        let [near, farther, farthest] = out.map(|out| out.chunks_exact_mut(cols));
        let lines = image.chunks_exact(cols).zip(near).zip(farther).zip(farthest);
        for (((image, near), farther), farthest) in lines {
            line[MARGIN..MARGIN + cols].copy_from_slice(image);
            let at = |shift: usize| &line[shift..shift + cols];
            let [a, b, c, d, e, f, g] = [at(0), at(1), at(2), at(3), at(4), at(5), at(6)];
            for i in 0..cols {
                near[i] = c[i] + d[i] + e[i];
                farther[i] = near[i] + (b[i] + f[i]);
                farthest[i] = farther[i] + (a[i] + g[i]);
            }
        }
    }
}

/// Of sums along lines, with margins of zeros above and below, the squares of the sums over the windows about each pixel, over the
/// windows' areas, (n); `shares` are one over the windows' width at each column, (cols).
fn square_windows(along: &[f32], reach: usize, shares: &[f32], out: &mut [f32]) {
    let arch = Arch::new();
    match reach {
        1 => arch.dispatch(Squares::<3> { along, shares, out }),
        2 => arch.dispatch(Squares::<5> { along, shares, out }),
        _ => arch.dispatch(Squares::<7> { along, shares, out }),
    }
}

/// The same of windows of so many lines. In registers by name: loops over so many lines the compiler does not vectorise.
struct Squares<'a, const LINES: usize> {
    along: &'a [f32],
    shares: &'a [f32],
    out: &'a mut [f32],
}

impl<const LINES: usize> WithSimd for Squares<'_, LINES> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { along, shares, out } = self;
        let (cols, reach) = (shares.len(), LINES / 2);
        let rows = out.len() / cols;
        let (wide_shares, last_shares) = S::as_simd_f32s(shares);
        for (row, out) in out.chunks_exact_mut(cols).enumerate() {
            let first = row + MARGIN - reach;
            let mut lines = along[first * cols..].chunks_exact(cols);
            let lines: [_; LINES] =
                std::array::from_fn(|_| S::as_simd_f32s(lines.next().unwrap_or_default()));
            let share_of_row = share(row, reach, rows);
            let (wide, last) = S::as_mut_simd_f32s(out);
            let count = wide.len();
            let (wide_lines, wide_shares) =
                (lines.map(|(wide, _)| &wide[..count]), &wide_shares[..count]);
            for i in 0..count {
                let mut sum = simd.splat_f32s(0.0);
                for line in wide_lines {
                    sum = simd.add_f32s(sum, line[i]);
                }
                let share = simd.mul_f32s(simd.splat_f32s(share_of_row), wide_shares[i]);
                wide[i] = simd.mul_f32s(simd.mul_f32s(sum, sum), share);
            }
            for (i, (out, share)) in last.iter_mut().zip(last_shares).enumerate() {
                let sum: f32 = lines.iter().map(|(_, line)| line[i]).sum();
                *out = sum * sum * (share_of_row * share);
            }
        }
    }
}

/// One over the pixels of a line of `len` that are within `reach` of the one at `at`.
#[inline(always)]
fn share(at: usize, reach: usize, len: usize) -> f32 {
    (((at + reach + 1).min(len) - at.saturating_sub(reach)) as f32).recip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensing::Hadamard;

    #[test]
    fn what_stands_where_nothing_was_foretold_is_doubted_and_nothing_else() {
        let (rows, cols) = (16, 20);
        let operator = Hadamard::random(rows * cols, 160, 1).unwrap();
        let inside = |i: usize| (5..9).contains(&(i / cols)) && (11..15).contains(&(i % cols));
        let mut left = vec![0.0; 2 * 160];
        for (channel, left) in left.chunks_exact_mut(160).enumerate() {
            let sign = if channel == 0 { 1.0 } else { -1.0 };
            let error: Vec<f32> = (0..rows * cols)
                .map(|i| sign * f32::from(u8::from(inside(i))) + 0.1 * (i as f32).sin())
                .collect();
            operator.apply(&error, left, &mut vec![0.0; operator.scratch()]);
        }
        let doubt = doubt(&operator, cols, &left);
        let mean = |wanted: bool| {
            let chosen = (0..rows * cols).filter(|&i| inside(i) == wanted);
            let values: Vec<f32> = chosen.map(|i| doubt[i]).collect();
            values.iter().sum::<f32>() / values.len() as f32
        };
        assert!(
            mean(true) > 5.0 * mean(false),
            "{} {}",
            mean(true),
            mean(false)
        );
        assert!(
            super::doubt(&operator, cols, &[0.0; 320])
                .iter()
                .all(|d| *d == 0.0)
        );
    }
}
