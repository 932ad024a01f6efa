//! What counts as an obstacle that was found, and as one that is not there.

use crate::frame::RangeImage;
use crate::sim::{self, NEARER};

/// Range error of a pixel of a found obstacle over its true range, at most.
const FOUND_WITHIN: f32 = 0.1;
/// Fewest pixels of a false obstacle, as many as the smallest true one has.
const LEAST_FALSE: usize = sim::LEAST_PIXELS;

/// Whether at least half of an obstacle's `pixels` are recovered as valid, within 10 % of their true range.
pub fn found(recovered: &RangeImage, truth: &RangeImage, pixels: &[usize]) -> bool {
    let right = pixels.iter().filter(|&&pixel| {
        let (range, true_range) = (recovered.range[pixel], truth.range[pixel]);
        recovered.valid[pixel] && (range - true_range).abs() <= FOUND_WITHIN * true_range
    });
    2 * right.count() >= pixels.len()
}

/// Number of false obstacles: groups of at least 4 pixels, joined by their sides, that are recovered as valid and more than
/// 20 % nearer than everything truly within a pixel of them; where nothing truly returned there is nothing nearer than
/// [`sim::MAX_RANGE`].
///
/// The pixel around forgives an edge that is recovered one pixel off.
pub fn false_obstacles(recovered: &RangeImage, truth: &RangeImage) -> usize {
    let (rows, cols) = (truth.rows, truth.cols);
    let nearest_around = |pixel: usize| {
        let (row, col) = (pixel / cols, pixel % cols);
        let mut nearest = sim::MAX_RANGE;
        for r in row.saturating_sub(1)..(row + 2).min(rows) {
            for c in col.saturating_sub(1)..(col + 2).min(cols) {
                if truth.valid[r * cols + c] {
                    nearest = nearest.min(truth.range[r * cols + c]);
                }
            }
        }
        nearest
    };
    let mut open: Vec<bool> = (0..truth.pixels())
        .map(|i| recovered.valid[i] && recovered.range[i] < NEARER * nearest_around(i))
        .collect();
    let mut groups = 0;
    for start in 0..open.len() {
        groups += usize::from(take_group(&mut open, start, cols) >= LEAST_FALSE);
    }
    groups
}

/// Closes the group of open pixels that `start` belongs to; how many there were.
fn take_group(open: &mut [bool], start: usize, cols: usize) -> usize {
    let (mut size, mut next) = (0, vec![start]);
    while let Some(pixel) = next.pop() {
        if !std::mem::take(&mut open[pixel]) {
            continue;
        }
        size += 1;
        let col = pixel % cols;
        next.extend((col > 0).then(|| pixel - 1));
        next.extend((col + 1 < cols).then(|| pixel + 1));
        next.extend(pixel.checked_sub(cols));
        next.extend(Some(pixel + cols).filter(|&below| below < open.len()));
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(range: f32) -> RangeImage {
        RangeImage {
            range_sigma: vec![],
            rows: 8,
            cols: 8,
            range: vec![range; 64],
            returns: vec![0.5; 64],
            valid: vec![true; 64],
        }
    }

    fn with(pixels: &[usize], range: f32, mut image: RangeImage) -> RangeImage {
        pixels.iter().for_each(|&pixel| image.range[pixel] = range);
        image
    }

    #[test]
    fn found_is_half_of_the_pixels_within_a_tenth() {
        let pixels = vec![9, 10, 17, 18];
        let truth = with(&pixels, 5.0, flat(10.0));
        assert!(found(&truth, &truth, &pixels));
        assert!(found(&with(&[9, 10], 5.4, flat(10.0)), &truth, &pixels));
        assert!(!found(&with(&[9], 5.4, flat(10.0)), &truth, &pixels));
        assert!(!found(&with(&pixels, 5.6, flat(10.0)), &truth, &pixels));
        let mut unsure = truth.clone();
        pixels.iter().for_each(|&pixel| unsure.valid[pixel] = false);
        assert!(!found(&unsure, &truth, &pixels));
    }

    #[test]
    fn false_obstacles_are_groups_nearer_than_all_around() {
        let truth = flat(10.0);
        let square = [9, 10, 17, 18];
        assert_eq!(false_obstacles(&truth, &truth), 0);
        assert_eq!(false_obstacles(&with(&square, 7.9, flat(10.0)), &truth), 1);
        assert_eq!(false_obstacles(&with(&square, 8.1, flat(10.0)), &truth), 0);
        assert_eq!(
            false_obstacles(&with(&square[..3], 5.0, flat(10.0)), &truth),
            0
        );
        // the end of a row does not touch the beginning of the next, nor do corners
        assert_eq!(
            false_obstacles(&with(&[6, 7, 8, 9], 5.0, flat(10.0)), &truth),
            0
        );
        assert_eq!(
            false_obstacles(&with(&[0, 9, 18, 27], 5.0, flat(10.0)), &truth),
            0
        );
        let two = with(&[50, 51, 58, 59], 3.0, with(&square, 7.0, flat(10.0)));
        assert_eq!(false_obstacles(&two, &truth), 2);
        // what is within a pixel of something as near is no false obstacle
        let near_one = with(&[0, 3, 24, 27], 7.0, flat(10.0));
        assert_eq!(
            false_obstacles(&with(&square, 7.0, flat(10.0)), &near_one),
            0
        );
        // in front of nothing at all
        let mut sky = truth;
        (0..64).for_each(|pixel| sky.clear(pixel));
        assert_eq!(false_obstacles(&with(&square, 20.0, flat(25.0)), &sky), 1);
    }
}
