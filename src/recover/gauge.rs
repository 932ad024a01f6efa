//! What refinement needs to know of a pattern set, and how near to x₀ it keeps each pixel.

use super::rest::Rest;
use super::signs::one_sign;
use super::variation::norm;
use crate::sensing::Operator;

/// m/n at which proximities are given, and the power of m/n that they fall with.
const PROXIMITY_AT: (f32, f32) = (0.02, 1.1);

/// What refinement needs to know of a pattern set.
#[derive(Clone, Debug)]
pub(super) struct Gauge {
    /// largest singular value squared
    pub(super) norm: f32,
    /// variance that ψ puts on each reading, (J·m)
    pub(super) energy: Vec<f32>,
    /// γ of each pixel over that at m/n = 2 %, (n), where x₀ has taken in all that the readings say of its errors.
    ///
    /// The more of a pixel the readings see the better they place it themselves. Of patterns that see all pixels alike that
    /// is m/n; of a pixel beside those that a mask picks they say nothing, and x₀ all there is to know.
    pub(super) level: Vec<f32>,
    /// the same of an x₀ that does not say of one pixel what it knows of the next: all alike, (n)
    pub(super) even_level: Vec<f32>,
    /// see [`sure`](super::signs::sure)
    pub(super) sure: Vec<f32>,
}

impl Gauge {
    pub(super) fn new(rest: &Rest, pattern: &dyn Operator) -> Self {
        let (readings, pixels) = pattern.shape();
        let fraction = readings as f32 / pixels as f32;
        let (at, power) = PROXIMITY_AT;
        let level = |seen: f32| (at / seen).powf(power);
        let (seen, sure) = seen(pattern);
        let seen = seen.iter().map(|seen| level(seen.max(fraction.min(at))));
        Self {
            norm: norm(pattern),
            energy: rest.energy(pattern),
            level: seen.collect(),
            even_level: vec![level(fraction); pixels],
            sure,
        }
    }
}

/// Share of each pixel that readings see, Σ_j A_ji², (n), and which signs are [`sure`](super::signs::sure), (m).
fn seen(pattern: &dyn Operator) -> (Vec<f32>, Vec<f32>) {
    let (readings, pixels) = pattern.shape();
    let (mut unit, mut row) = (vec![0.0; readings], vec![0.0; pixels]);
    let mut scratch = vec![0.0; pattern.scratch()];
    let mut seen = vec![0.0; pixels];
    let sign = |j: usize| {
        unit[j] = 1.0;
        pattern.adjoint(&unit, &mut row, &mut scratch);
        unit[j] = 0.0;
        let pixels = seen.iter_mut().zip(&row);
        pixels.for_each(|(seen, a)| *seen += a * a);
        one_sign(&row)
    };
    let sure = (0..readings).map(sign).collect();
    (seen, sure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensing::{Blocks, Fourier, Hadamard, Mask};

    #[test]
    fn only_pixels_that_readings_pass_over_stay_nearer() {
        let rest = Rest::white(vec![1.0; 256], 1, 16);
        let even: [&dyn Operator; 3] = [
            &Hadamard::random(256, 26, 1).unwrap(),
            &Fourier::random(16, 16, 26, 1).unwrap(),
            &Blocks::new(16, 16, 4).unwrap(),
        ];
        for pattern in even {
            let gauge = Gauge::new(&rest, pattern);
            for (level, even) in gauge.level.iter().zip(&gauge.even_level) {
                assert!((level / even - 1.0).abs() < 1e-3, "{level}, not {even}");
            }
        }
        let mask = Mask::random(256, 26, 1).unwrap();
        let level = Gauge::new(&rest, &mask).level;
        let picked = mask.picked()[3] as usize;
        let passed = (0..256).find(|i| !mask.picked().contains(i)).unwrap();
        assert!((level[passed as usize] - 1.0).abs() < 1e-6); // as at 2 %
        assert!((level[picked] - 0.02f32.powf(1.1)).abs() < 1e-6);
    }
}
