//! How much the pixels of a frame weigh: small things that stand out weigh more, for they are what a robot runs into.

/// Widths of windows, pixels, and what pixels weigh more by, at an m/n of 2 %, that are nearer than a closing over such a window
/// makes them: the smaller a thing is, the more.
const WINDOWS: [(usize, f32); 3] = [(11, 0.25), (5, 0.25), (3, 0.6)];
/// Range over that of the closing, at most.
const NEARER: f32 = 0.83;

/// Power of m/n that this rises with: few readings show little of small things, and who sees them everywhere is wrong the more.
const RISE: f32 = 0.68;

/// Weights of pixels, (n), of true ranges relative to κ_J, (n), NaN where nothing returned, measured at `ratio` = m/n.
pub(super) fn emphasis(range: &[f32], cols: usize, ratio: f32) -> Vec<f32> {
    let mut weights = vec![1.0; range.len()];
    for (window, weight) in WINDOWS {
        let weight = weight * (ratio / 0.02).powf(RISE);
        for (pixel, near) in stands_out(range, cols, window).into_iter().enumerate() {
            weights[pixel] += if near { weight } else { 0.0 };
        }
    }
    weights
}

/// Whether pixels are nearer than what is around them, (n): than the closing, the least over a window of the greatest over
/// windows, of their ranges (Serra 1982).
pub(super) fn stands_out(range: &[f32], cols: usize, window: usize) -> Vec<bool> {
    let filled: Vec<f32> = range
        .iter()
        .map(|r| if r.is_nan() { 1.0 } else { *r })
        .collect();
    let closing = over_windows(
        &over_windows(&filled, cols, window, f32::max),
        cols,
        window,
        f32::min,
    );
    let pixels = range.iter().zip(&closing);
    pixels
        .map(|(range, closing)| *range < NEARER * closing)
        .collect()
}

/// The greatest or least value over the window about each pixel, (n).
fn over_windows(values: &[f32], cols: usize, window: usize, most: fn(f32, f32) -> f32) -> Vec<f32> {
    let (rows, reach) = (values.len() / cols, window / 2);
    let of = |at: usize, len: usize| at.saturating_sub(reach)..(at + reach + 1).min(len);
    let along = |pixel: usize| {
        let row = &values[pixel / cols * cols..][..cols];
        row[of(pixel % cols, cols)].iter().copied().reduce(most)
    };
    let lines: Vec<f32> = (0..values.len()).filter_map(along).collect();
    let across = |pixel: usize| {
        let column = of(pixel / cols, rows).map(|row| lines[row * cols + pixel % cols]);
        column.reduce(most)
    };
    (0..values.len()).filter_map(across).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_things_weigh_more_than_large_ones_and_walls_nothing() {
        let mut range = vec![0.8; 64 * 64];
        let mut stand = |at: (usize, usize), side: usize, value: f32| {
            for i in 0..side * side {
                range[(at.0 + i / side) * 64 + at.1 + i % side] = value;
            }
        };
        stand((5, 5), 2, 0.4);
        stand((20, 20), 4, 0.4);
        stand((40, 40), 8, 0.4);
        stand((5, 40), 16, 0.4);
        stand((50, 5), 2, 0.7); // hardly nearer
        range[63 * 64] = f32::NAN;
        let weights = emphasis(&range, 64, 0.02);
        let at = |row: usize, col: usize| weights[row * 64 + col];
        assert_eq!([at(5, 6), at(21, 22), at(44, 44)], [2.1, 1.5, 1.25]);
        assert_eq!([at(12, 48), at(50, 5), at(30, 5), at(63, 0)], [1.0; 4]);
    }
}
