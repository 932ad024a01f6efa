//! What magnitudes may come from, before any sign is known.
//!
//! x ≈ x̄ + V s, s ~ N(0, Σ), and what the directions leave over counts as noise of each reading by itself. A guess is what is
//! expected of the readings, E\[y\]: each is weighed beside what the others are expected to be, its own part in that left out (mean
//! field; Wainwright & Jordan 2008, §5.3). It ends in one of many minima, of which most are the right one but for whole channels
//! turned round. From images drawn at random one in four ends in the right one, so dozens of them nearly always find it, all at
//! once as products of matrices.

use super::fuse::symmetric_product;
use super::grid::{Factor, Grid, energy};
use super::linear::{FrameMoments, Linear};
use super::signs::{fixed, undecided, weigh};
use crate::frame::Measurement;
use faer::linalg::matmul::matmul;
use faer::{Accum, Par};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// Images drawn at random.
const STARTS: usize = 64;
/// Times that each is weighed.
const ROUNDS: usize = 20;
/// Variance of readings about those of an image drawn at random, over what directions leave over.
const DOUBT: f32 = 4.0;
/// Guesses that are kept.
const MOST: usize = 8;
/// Correlation of readings from which on two guesses are one.
const SAME: f64 = 0.9;

/// Readings on principal directions, each with noise of its own: of covariance C = A V Σ (A V)ᵀ + W⁻².
struct Field {
    /// diagonal of W, 0 of missing readings, (J·m)
    weights: Vec<f32>,
    /// L⁻¹ (W A V)ᵀ, L Lᵀ = Σ⁻¹ + (W A V)ᵀ W A V, (r × J·m)
    directions: Grid<f32>,
    /// 1/variance of each reading beside all the others, (J·m)
    precision: Vec<f32>,
    /// of L
    factor: Factor<f32>,
}

/// What readings may be, and the code that goes with it.
pub(super) struct Guess {
    /// E\[y\], (J·m)
    pub(super) mean: Vec<f32>,
    /// E\[u | y\], (k)
    pub(super) code: Vec<f32>,
}

/// Many guesses, a column each.
struct Columns {
    /// E\[y\], (J·m × guesses)
    mean: Grid<f32>,
    /// C⁻¹ (E\[y\] − A x̄), (J·m × guesses)
    dual: Grid<f32>,
    /// L⁻¹ (W A V)ᵀ W (E\[y\] − A x̄), (r × guesses)
    along: Grid<f32>,
}

impl Field {
    /// `None` where a reading has neither noise nor what is left over, or nothing finite comes out.
    fn new(
        linear: &Linear,
        moments: &FrameMoments,
        noise: &[f32],
        magnitudes: &Measurement,
    ) -> Option<Self> {
        let (matrix, variance) = (linear.matrix(), linear.remainder());
        let (count, channels) = (matrix.ncols(), noise.len().isqrt());
        let readings = variance.len() / channels;
        let variance = variance.iter().enumerate();
        let weight = |(i, left): (usize, &f32)| {
            let noise = magnitudes.gain * noise[i / readings * (channels + 1)];
            (left + noise).sqrt().recip()
        };
        let mut weights: Vec<f32> = variance.map(weight).collect();
        let missing = magnitudes.missing.iter();
        missing.for_each(|&i| weights[i as usize] = 0.0);
        let whitened = Grid::from_fn(weights.len(), count, |i, c| weights[i] * matrix[(i, c)]);
        let mut normal = symmetric_product(whitened.as_ref());
        let variances = moments.variances.iter().take(count).enumerate();
        variances.for_each(|(c, v)| normal[(c, c)] += f64::from(*v).recip());
        let factor = Grid::of(normal.as_ref(), |v| v as f32).cholesky()?;
        let mut directions = Grid::of(whitened.as_ref().transpose(), |v| v);
        factor.solve_lower(directions.as_mut());
        let own = weights.iter().enumerate();
        let of = |(i, w): (usize, &f32)| match *w > 0.0 {
            true => (w * w * (1.0 - energy(directions.column(i)) as f32)).max(f32::MIN_POSITIVE),
            false => 0.0,
        };
        let precision: Vec<f32> = own.map(of).collect();
        let finite = weights.iter().chain(&precision).all(|v| v.is_finite());
        finite.then_some(Self {
            weights,
            directions,
            precision,
            factor,
        })
    }

    /// Brings the duals to the means, A x̄ being `offset`, (J·m).
    fn follow(&self, guesses: &mut Columns, offset: &[f32]) {
        let Columns { mean, dual, along } = guesses;
        for (s, dual) in dual.columns_mut().enumerate() {
            let readings = mean.column(s).iter().zip(offset).zip(&self.weights);
            let values = dual.iter_mut().zip(readings);
            values.for_each(|(dual, ((y, o), w))| *dual = w * (y - o));
        }
        let directions = self.directions.as_ref();
        let (seen, by) = (along.as_mut(), dual.as_ref());
        matmul(seen, Accum::Replace, directions, by, 1.0, Par::Seq);
        let (left, by) = (dual.as_mut(), along.as_ref());
        matmul(left, Accum::Add, directions.transpose(), by, -1.0, Par::Seq);
        for dual in dual.columns_mut() {
            let values = dual.iter_mut().zip(&self.weights);
            values.for_each(|(dual, w)| *dual *= w);
        }
    }
}

impl Columns {
    /// Of images drawn at random, whose readings are believed a little.
    fn drawn(
        linear: &Linear,
        moments: &FrameMoments,
        field: &Field,
        (b, sure): (&[f32], &[f32]),
    ) -> Self {
        let (len, count) = (b.len(), linear.matrix().ncols());
        let mut random = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(0));
        let mut draw = || -> f32 { random.next().unwrap_or_default() };
        let along = Grid::from_fn(count, STARTS, |c, _| draw() * moments.variances[c].sqrt());
        let offset = linear.offset();
        let mut dual = Grid::from_fn(len, STARTS, |i, _| -offset[i]);
        let (to, by) = (dual.as_mut(), along.as_ref());
        matmul(to, Accum::Add, linear.matrix(), by, -1.0, Par::Seq);
        let told = |i: usize| field.weights[i] > 0.0 && fixed(sure, i);
        let mut mean = Grid::from_fn(len, STARTS, |i, _| match told(i) {
            true => b[i] * sure[i % sure.len()],
            false => 0.0, // of what is missing, whatever it holds
        });
        for (mean, dual) in mean.columns_mut().zip(dual.columns_mut()) {
            // what is drawn is all that others say, beside nothing of a reading's own
            let values = dual.iter_mut().zip(&field.weights);
            values.for_each(|(dual, w)| *dual *= w * w);
            weigh((b, sure), mean, dual, &field.precision, DOUBT);
        }
        Self { mean, dual, along }
    }
}

/// Guesses at the readings behind `magnitudes`, whose sign is `sure`, (m), where that is not 0: the likeliest first, no two alike.
pub(super) fn guesses(
    (linear, moments): (&Linear, &FrameMoments),
    noise: &[f32],
    magnitudes: &Measurement,
    sure: &[f32],
) -> Vec<Guess> {
    let Some(field) = Field::new(linear, moments, noise, magnitudes) else {
        return vec![];
    };
    let told = (&magnitudes.y[..], sure);
    let (offset, precision) = (linear.offset(), &field.precision);
    let mut guesses = Columns::drawn(linear, moments, &field, told);
    for _ in 0..ROUNDS {
        field.follow(&mut guesses, offset);
        let Columns { mean, dual, .. } = &mut guesses;
        for (s, mean) in mean.columns_mut().enumerate() {
            weigh(told, mean, dual.column(s), precision, 1.0);
        }
    }
    field.follow(&mut guesses, offset);
    let loss = |s: usize| {
        let (mean, dual) = (guesses.mean.column(s), guesses.dual.column(s));
        let undecided = undecided(told, mean, precision);
        let left = mean.iter().zip(offset).zip(dual);
        let left: f64 = left.map(|((y, o), d)| f64::from((y - o) * d)).sum();
        0.5 * (left + undecided.variance) - undecided.entropy
    };
    let mut ranked: Vec<(f64, usize)> = (0..STARTS).map(|s| (loss(s), s)).collect();
    ranked.retain(|(loss, _)| loss.is_finite());
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    field.factor.solve_lower_transposed(guesses.along.as_mut());
    let mut kept: Vec<Guess> = vec![];
    for (_, s) in ranked {
        let mean = guesses.mean.column(s);
        let new = |other: &Guess| correlation(&other.mean, mean, sure) < SAME;
        if kept.len() < MOST && kept.iter().all(new) {
            kept.push(Guess {
                mean: mean.to_vec(),
                code: moments.code(guesses.along.column(s).to_vec()),
            });
        }
    }
    kept
}

/// Correlation of two guesses over the readings, (J·m), whose signs are not sure; 1 where those are 0.
fn correlation(a: &[f32], b: &[f32], sure: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        let pairs = a.iter().zip(b).enumerate();
        let unsure = pairs.filter(|(i, _)| !fixed(sure, *i));
        unsure.map(|(_, (a, b))| f64::from(a * b)).sum::<f64>()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 {
        dot(a, b) / lengths
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior::{Matrix, SecondMoments};
    use crate::recover::grid::orthonormal;
    use crate::sensing::Hadamard;

    const SIDE: usize = 16;
    const PIXELS: usize = SIDE * SIDE;
    const DIRECTIONS: usize = 12;
    const READINGS: usize = 80;
    const LEFT: f32 = 0.02;

    /// Directions of falling variance, random and of unit length.
    fn moments(random: &mut impl Iterator<Item = f32>) -> FrameMoments {
        let directions =
            orthonormal((0..DIRECTIONS).map(|_| random.take(PIXELS).collect::<Vec<f32>>()));
        let variance = |r: usize| PIXELS as f32 / (1.0 + r as f32);
        FrameMoments::new(&SecondMoments {
            mean: (0..PIXELS).map(|i| 2.0 * f32::from(i % SIDE < 6)).collect(),
            directions: Matrix::new(DIRECTIONS, PIXELS, directions.concat()),
            variances: (0..DIRECTIONS).map(variance).collect(),
            remainder: vec![LEFT; PIXELS],
            cross: Matrix::new(1, DIRECTIONS, vec![0.0; DIRECTIONS]),
        })
    }

    #[test]
    fn the_likeliest_guess_has_the_signs_of_what_was_read() {
        let mut random = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(1));
        let moments = moments(&mut random);
        let pattern = Hadamard::random(PIXELS, READINGS, 1).unwrap();
        let linear = Linear::new(&moments, DIRECTIONS, &pattern);
        let mut sure = vec![0.0; READINGS];
        sure[0] = 1.0;
        for frame in 0..10 {
            let mut readings = linear.offset().to_vec();
            for (c, variance) in moments.variances.iter().enumerate() {
                let score = variance.sqrt() * random.next().unwrap();
                let column = (0..READINGS).map(|i| linear.matrix()[(i, c)]);
                let readings = readings.iter_mut().zip(column);
                readings.for_each(|(y, v)| *y += score * v);
            }
            let left = readings.iter_mut().zip(&mut random);
            left.for_each(|(y, v)| *y += LEFT.sqrt() * v);
            let mut magnitudes = Measurement {
                gain: 1.0,
                y: readings.iter().map(|y| y.abs()).collect(),
                ..Measurement::default()
            };
            magnitudes.y[0] = readings[0];
            (magnitudes.y[7], magnitudes.missing) = (f32::NAN, vec![7]);
            let found = guesses((&linear, &moments), &[1e-6], &magnitudes, &sure);
            assert!((1..=MOST).contains(&found.len()));
            let alike = |guess: &[f32]| correlation(guess, &readings, &sure);
            assert!(
                alike(&found[0].mean) > 0.95,
                "{frame}: {}",
                alike(&found[0].mean)
            );
            for (i, guess) in found.iter().enumerate() {
                let others = found[..i].iter();
                let most = others.map(|other| correlation(&other.mean, &guess.mean, &sure));
                assert!(most.fold(-1.0, f64::max) < SAME);
                assert!(guess.mean.iter().all(|y| y.is_finite()));
                assert!(guess.mean[0] == readings[0]);
            }
        }
    }

    #[test]
    fn nothing_is_guessed_of_readings_without_any_variance() {
        let mut random = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(1));
        let mut moments = moments(&mut random);
        moments.remainder.fill(0.0);
        let pattern = Hadamard::random(PIXELS, READINGS, 1).unwrap();
        let linear = Linear::new(&moments, DIRECTIONS, &pattern);
        let magnitudes = Measurement {
            gain: 1.0,
            y: vec![1.0; READINGS],
            ..Measurement::default()
        };
        assert!(guesses((&linear, &moments), &[0.0], &magnitudes, &[0.0; READINGS]).is_empty());
    }
}
