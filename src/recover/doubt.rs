//! Where readings contradict an image: an obstacle that nothing foretold, a surface that has moved on.
//!
//! What an image leaves of the readings, taken back to pixels and summed over a window, gathers what is wrong there, while
//! errors elsewhere enter as noise that is alike in all windows of one size. So each window is held against the mean square
//! of all, whatever the patterns.

use crate::sensing::Operator;

/// Pixels from a window's centre to its sides: 3, 5 and 7 pixels across.
const REACHES: [usize; 3] = [1, 2, 3];
/// Energy over the usual from which a window counts.
const USUAL: f32 = 1.5;

/// How far the windows about each pixel are beyond the usual, ≥ 0, (n): of the size that says most, the mean over channels
/// of the energy over its mean, less [`USUAL`]. `left` is y − A x, (J·m), 0 where a reading is missing.
pub(super) fn doubt(operator: &dyn Operator, cols: usize, left: &[f32]) -> Vec<f32> {
    let (readings, pixels) = operator.shape();
    let channels = left.len() / readings;
    let mut scratch = vec![0.0; operator.scratch()];
    let mut image = vec![0.0; pixels];
    let mut energy = vec![[0.0; REACHES.len()]; pixels];
    for left in left.chunks_exact(readings) {
        operator.adjoint(left, &mut image, &mut scratch);
        let sums = Sums::new(&image, cols);
        for (size, reach) in REACHES.into_iter().enumerate() {
            let windows: Vec<f32> = (0..pixels).map(|i| sums.window(i, reach)).collect();
            let mean = windows.iter().sum::<f32>() / pixels as f32;
            if mean > 0.0 {
                let windows = energy.iter_mut().zip(&windows);
                windows.for_each(|(energy, window)| energy[size] += window / mean);
            }
        }
    }
    let most = |energy: &[f32; REACHES.len()]| energy.iter().fold(0.0f32, |a, &b| a.max(b));
    let beyond = energy
        .iter()
        .map(|e| (most(e) / channels as f32 - USUAL).max(0.0));
    beyond.collect()
}

/// Sums over all pixels above and to the left (Crow 1984).
struct Sums {
    table: Vec<f64>,
    grid: (usize, usize),
}

impl Sums {
    fn new(image: &[f32], cols: usize) -> Self {
        let stride = cols + 1;
        let mut table = vec![0.0; (image.len() / cols + 1) * stride];
        for (row, line) in image.chunks_exact(cols).enumerate() {
            let mut sum = 0.0;
            for (col, value) in line.iter().enumerate() {
                sum += f64::from(*value);
                table[(row + 1) * stride + col + 1] = table[row * stride + col + 1] + sum;
            }
        }
        Self {
            table,
            grid: (image.len() / cols, cols),
        }
    }

    /// The square of the sum over the window about a pixel, over the window's area.
    fn window(&self, pixel: usize, reach: usize) -> f32 {
        let (rows, cols) = self.grid;
        let span = |at: usize, len: usize| (at.saturating_sub(reach), (at + reach + 1).min(len));
        let ((top, bottom), (left, right)) = (span(pixel / cols, rows), span(pixel % cols, cols));
        let at = |row: usize, col: usize| self.table[row * (cols + 1) + col];
        let sum = at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left);
        (sum * sum / ((bottom - top) * (right - left)) as f64) as f32
    }
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
