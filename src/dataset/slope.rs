//! Returns from the slope of what is seen.

use super::{Geometry, Slope};
use crate::frame::RangeImage;

/// The least cosine of incidence taken: at an edge in the image the slope says nothing, and a return must stay one.
const LEAST_COSINE: f32 = 0.1;

/// Writes the returns of all valid pixels: albedo × cosine of incidence.
///
/// With g₁ and g₂ the gradients of range across the ray along the image's rows and columns, the cosine is
/// 1/√(1 + g₁² + g₂²). A gradient is taken to whichever of the two neighbours is nearer in range, so that it does
/// not straddle an edge; without any neighbour it is 0.
pub fn returns(geometry: &Geometry, slope: Slope, image: &mut RangeImage) {
    let (rows, cols) = (image.rows, image.cols);
    let reach = slope.reach;
    for row in 0..rows {
        for col in 0..cols {
            let here = row * cols + col;
            if !image.valid[here] {
                continue;
            }
            let across = [(row, col.wrapping_sub(reach)), (row, col + reach)];
            let down = [(row.wrapping_sub(reach), col), (row + reach, col)];
            let g1 = gradient(geometry, image, (row, col), across);
            let g2 = gradient(geometry, image, (row, col), down);
            let cosine = 1.0 / (1.0 + g1 * g1 + g2 * g2).sqrt();
            image.returns[here] = slope.albedo * cosine.max(LEAST_COSINE);
        }
    }
}

/// Range gained per metre across the ray, towards the neighbour nearer in range.
fn gradient(
    geometry: &Geometry,
    image: &RangeImage,
    (row, col): (usize, usize),
    neighbours: [(usize, usize); 2],
) -> f32 {
    let at = |(row, col): (usize, usize)| row * image.cols + col;
    let range = image.range[at((row, col))];
    let nearer = neighbours
        .into_iter()
        .filter(|&(r, c)| r < image.rows && c < image.cols && image.valid[at((r, c))])
        .min_by(|&a, &b| {
            let gap = |p| (image.range[at(p)] - range).abs();
            gap(a).total_cmp(&gap(b))
        });
    let Some((r, c)) = nearer else { return 0.0 };
    let (Some(ray), Some(other)) = (geometry.direction(row, col), geometry.direction(r, c)) else {
        return 0.0;
    };
    let there = image.range[at((r, c))];
    let cosine: f32 = ray.iter().zip(other).map(|(a, b)| a * b).sum();
    let apart: f32 = ray.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum();
    let sine = (apart - 0.25 * apart * apart).sqrt(); // sin² = d² − d⁴/4 for unit vectors d apart
    (there * cosine - range) / (there * sine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilted_wall_returns_by_the_cosine_of_its_tilt() {
        let angles = |count: usize| -> Vec<f32> {
            (0..count)
                .map(|i| (count / 2) as f32 * 0.5 - 0.5 * i as f32)
                .collect()
        };
        let geometry = Geometry::Angles {
            elevation: angles(9),
            azimuth: angles(11),
        };
        let normal = [0.6f32, 0.64, 0.48]; // of unit length; the wall is 5 m away along it
        let mut image = RangeImage::empty(9, 11);
        let mut truth = vec![0.0; 99];
        for (i, truth) in truth.iter_mut().enumerate() {
            let ray = geometry.direction(i / 11, i % 11).unwrap();
            *truth = ray.iter().zip(normal).map(|(a, b)| a * b).sum();
            image.range[i] = 5.0 / *truth;
            image.valid[i] = i != 15;
        }
        let slope = Slope {
            albedo: 0.5,
            reach: 1,
        };
        returns(&geometry, slope, &mut image);
        // pixel 4 has neither a neighbour above nor, without pixel 15, below
        for i in (0..99).filter(|&i| i != 15 && i != 4) {
            let expected = 0.5 * truth[i];
            assert!((image.returns[i] - expected).abs() < 1e-3, "pixel {i}");
        }
        assert_eq!(image.returns[15], 0.0);
    }
}
