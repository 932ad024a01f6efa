//! Signs of magnitudes weighed anew by refined images.
//!
//! Total variation finds what code and error cannot say, and so what it sees, A x̂, tells readings from their negatives that those
//! left open: b tanh(b A x̂/variance) is expected of a reading ±b, A x̂ missing all readings by the same variance, which they tell
//! themselves. The image is made of those very readings, which makes it surer than it should be: few rounds serve best.

use super::signs::fixed;
use super::track::without;
use super::variation::{State, Terms};
use crate::pool::Buffer;

/// Images made before the signs are taken as they are.
const ROUNDS: usize = 3;
/// Times that the variance of readings about an image is estimated anew.
const ESTIMATES: usize = 20;

/// Readings and noise as refined images expect them.
pub(super) struct Weighed {
    /// E\[y\], (J·m)
    pub(super) y: Buffer<f32>,
    /// αN₀ and what signs leave open, (J × J)
    pub(super) noise: Buffer<f32>,
}

/// Weighs the signs of the readings of `terms`, in whose noise they count as certain, where they are not `sure`, (m), from what is
/// `expected` of them, in \[−1, 1\], (J·m), on. Each image takes so many steps from the one before, the first from `state`.
pub(super) fn weighed(
    terms: &Terms<'_>,
    sure: &[f32],
    mut expected: Vec<f32>,
    (mut state, steps): (State, usize),
) -> Weighed {
    let readings = sure.len();
    let mut present = vec![true; terms.y.len()];
    let missing = terms.missing.iter();
    missing.for_each(|&i| present[i as usize] = false);
    let present = |g: usize| (g * readings..(g + 1) * readings).filter(|&i| present[i]);
    let channels = 0..terms.y.len() / readings;
    let as_expected = |expected: &[f32]| {
        let of = |i: usize| terms.y[i] * terms.y[i] * (1.0 - expected[i] * expected[i]);
        let doubt = channels.clone().map(|g| {
            let doubt: f32 = present(g).map(of).sum();
            doubt / present(g).count().max(1) as f32
        });
        let y = terms.y.iter().zip(expected);
        Weighed {
            y: y.map(|(y, expected)| y.abs() * expected).collect(),
            noise: noise_with(terms.noise, doubt),
        }
    };
    let mut weighed = as_expected(&expected);
    for _ in 0..ROUNDS {
        let now = Terms {
            y: &weighed.y,
            noise: &weighed.noise,
            ..*terms
        };
        if now.descend(&mut state, steps).is_none() {
            break;
        }
        let left = without(terms.operator, &state.x, &weighed.y);
        let pair = |i: usize| (terms.y[i].abs(), weighed.y[i] - left[i]);
        for g in channels.clone() {
            let open: Vec<usize> = present(g).filter(|i| !fixed(sure, *i)).collect();
            let pairs: Vec<_> = open.iter().map(|&i| pair(i)).collect();
            let apart = variance(&pairs);
            for (i, (b, seen)) in open.iter().zip(&pairs) {
                expected[*i] = (b * seen / apart).tanh();
            }
        }
        weighed = as_expected(&expected);
    }
    weighed
}

/// Noise, (J × J), with a variance more in each channel, (J).
fn noise_with(noise: &[f32], more: impl Iterator<Item = f32>) -> Buffer<f32> {
    let channels = noise.len().isqrt();
    let mut noise = Buffer::from(noise);
    let diagonal = noise.iter_mut().step_by(channels + 1);
    diagonal.zip(more).for_each(|(noise, more)| *noise += more);
    noise
}

/// Variance of readings ±b about what is seen of an image, of pairs of both, each sign as likely as that makes it: by
/// expectation maximisation from where each is of the nearer sign.
fn variance(pairs: &[(f32, f32)]) -> f32 {
    let count = pairs.len().max(1) as f32;
    let mean = |of: &dyn Fn(f32, f32) -> f32| {
        let sum: f32 = pairs.iter().map(|(b, seen)| of(*b, *seen)).sum();
        (sum / count).max(f32::MIN_POSITIVE)
    };
    let nearer = mean(&|b, seen| (b - seen.abs()).powi(2));
    (0..ESTIMATES).fold(nearer, |variance, _| {
        mean(&|b, seen| b * b - 2.0 * b * seen * (b * seen / variance).tanh() + seen * seen)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recover::method::Refine;
    use crate::sensing::{Hadamard, Operator};
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn readings_of_either_sign_spread_as_they_were_drawn() {
        let mut random = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(1));
        let mut draw = || -> f32 { random.next().unwrap() };
        for spread in [0.1f32, 0.3, 1.0] {
            let pairs: Vec<(f32, f32)> = (0..4000)
                .map(|_| {
                    let seen = draw();
                    ((seen + spread * draw()).abs(), seen)
                })
                .collect();
            let found = variance(&pairs).sqrt();
            assert!((found / spread - 1.0).abs() < 0.1, "{found} for {spread}");
        }
        assert!(variance(&[]) > 0.0);
    }

    #[test]
    fn an_image_tells_signs_that_were_left_open() {
        const SIDE: usize = 16;
        const READINGS: usize = 128;
        let pattern = Hadamard::random(SIDE * SIDE, READINGS, 1).unwrap();
        let mut y = vec![];
        for from in [2, 7] {
            let block = |i: usize| (from..from + 8).contains(&(i % SIDE)) && i / SIDE > 6;
            let channel: Vec<f32> = (0..SIDE * SIDE).map(|i| f32::from(block(i))).collect();
            let mut readings = vec![0.0; READINGS];
            pattern.apply(&channel, &mut readings, &mut vec![0.0; pattern.scratch()]);
            y.extend(readings);
        }
        let mut sure = vec![0.0; READINGS];
        sure[0] = 1.0;
        let open = |j: usize| j % 4 == 3;
        let said = |j: usize| if open(j) { 0.0 } else { y[j].signum() };
        let expected: Vec<f32> = (0..2 * READINGS).map(said).collect();
        let mut magnitudes: Vec<f32> = y.iter().map(|y| y.abs()).collect();
        let missing = READINGS + 7;
        magnitudes[missing] = f32::NAN;
        let (near, pull) = (vec![0.0; 2 * SIDE * SIDE], vec![1e-4; 2 * SIDE * SIDE]);
        let terms = Terms {
            y: &magnitudes,
            missing: &[missing as u32],
            noise: &[1e-6, 0.0, 0.0, 1e-6],
            near: &near,
            pull: &pull,
            variation: 2.0,
            ..Terms::new(&Refine::default(), &pattern, SIDE)
        };
        let mut state = State::default();
        state.restart(&near);
        let weighed = weighed(&terms, &sure, expected, (state, 300));
        for g in [0, 1] {
            let own = (g * READINGS..(g + 1) * READINGS).filter(|j| *j != missing);
            let off = |of: &dyn Fn(usize) -> f32| -> f32 {
                own.clone().map(|j| (of(j) - y[j]).powi(2)).sum()
            };
            let share = off(&|j| weighed.y[j]) / off(&|j| if open(j) { 0.0 } else { y[j] });
            assert!(share < 0.1, "{share} of channel {g}");
            let squares = |j: usize| y[j] * y[j] - weighed.y[j] * weighed.y[j];
            let left = own.clone().map(squares).sum::<f32>() / (READINGS - g) as f32;
            let doubt = weighed.noise[3 * g] - 1e-6;
            assert!(
                (doubt - left).abs() < 1e-4 + 1e-2 * left,
                "{doubt}, not {left}"
            );
            assert!(weighed.y[g * READINGS] == y[g * READINGS]);
        }
        assert!(weighed.noise[1] == 0.0 && weighed.noise[2] == 0.0);
    }
}
