//! Where readings contradict an image: an obstacle that nothing foretold, a surface that has moved on.
//!
//! What an image leaves of the readings, taken back to pixels and summed over a window, gathers what is wrong there, while
//! errors elsewhere enter as noise that is alike in all windows of one size. So each window is held against the mean square
//! of all, whatever the patterns.

use crate::pool::Buffer;
use crate::sensing::Operator;
use crate::simd::{add_scaled, dot, kernel};

/// Pixels from a window's centre to its sides: 3, 5 and 7 pixels across.
const REACHES: [usize; 3] = [1, 2, 3];
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
    let channels = images.len() / pixels;
    let (mut sums, mut energy) = (Buffer::zeros(pixels), Buffer::zeros(pixels));
    let (mut doubt, ones) = (Buffer::zeros(pixels), Buffer::of(1.0, pixels));
    for reach in REACHES {
        let widths: Buffer<f32> = (0..cols).map(|col| span(col, reach, cols)).collect();
        let mut beyond = Buffer::<f32>::zeros(pixels);
        for image in images.chunks_exact(pixels) {
            add_lines(image, reach, cols, &mut sums);
            square_windows(&sums, reach, &widths, &mut energy);
            let total = dot(&energy, &ones);
            if total > 0.0 {
                let mean = total * channels as f32 / pixels as f32;
                add_scaled(mean.recip(), &energy, &mut beyond);
            }
        }
        let pixels = doubt.iter_mut().zip(&beyond);
        pixels.for_each(|(most, beyond)| *most = beyond.max(*most));
    }
    doubt.iter_mut().for_each(|d| *d = (*d - USUAL).max(0.0));
    doubt
}

kernel! {
    /// Sums over the lines within `reach` of each, (n).
    fn add_lines<'a>(image: &'a [f32], reach: usize, cols: usize, out: &'a mut [f32]) {
        let rows = image.len() / cols;
        for (row, out) in out.chunks_exact_mut(cols).enumerate() {
            out.fill(0.0);
            for other in row.saturating_sub(reach)..(row + reach + 1).min(rows) {
                let other = &image[other * cols..][..cols];
                out.iter_mut().zip(other).for_each(|(out, v)| *out += v);
            }
        }
    }
}

kernel! {
    /// Of sums over lines, the squares of the sums over the windows about each pixel, over the windows' areas, (n); windows
    /// are as wide as `widths`, (cols), at each column.
    fn square_windows<'a>(sums: &'a [f32], reach: usize, widths: &'a [f32], out: &'a mut [f32]) {
        let cols = widths.len();
        let rows = sums.len() / cols;
        for (row, (out, sums)) in out.chunks_exact_mut(cols).zip(sums.chunks_exact(cols)).enumerate() {
            out.copy_from_slice(sums);
            for shift in 1..=reach.min(cols - 1) {
                out[shift..].iter_mut().zip(sums).for_each(|(out, v)| *out += v);
                out.iter_mut().zip(&sums[shift..]).for_each(|(out, v)| *out += v);
            }
            let height = span(row, reach, rows);
            out.iter_mut().zip(widths).for_each(|(sum, width)| *sum *= *sum / (height * width));
        }
    }
}

/// Pixels of a line of `len` within `reach` of the one at `at`.
#[inline(always)]
fn span(at: usize, reach: usize, len: usize) -> f32 {
    ((at + reach + 1).min(len) - at.saturating_sub(reach)) as f32
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
