//! Coefficients at random, denser near the zero frequency.

use super::fourier::{Fourier, FourierError, check_pixels, conjugate};
use super::hadamard::{Hadamard, HadamardError};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

/// Power of a row's sequency that its chance falls with.
const DECAY: f64 = 2.5;

impl Hadamard {
    /// Row 0 and `readings − 1` other rows at random, under the order of pixels that makes each row a two-dimensional Walsh
    /// function.
    ///
    /// A row's chance falls with its sequency to the power of 2.5. Moshtaghpour, Bioucas-Dias & Jacques 2020, "Close encounters of
    /// the binary kind", prove for densities that fall with the square that images sparse in Haar wavelets are recovered; of
    /// powers from 1 to 3, 2.5 did best on scenes. Where rows or columns are no power of two, functions are two-dimensional
    /// roughly.
    ///
    /// # Errors
    /// As [`Hadamard::random`].
    pub fn variable_density(
        rows: usize,
        cols: usize,
        readings: usize,
        seed: u64,
    ) -> Result<Self, HadamardError> {
        let pixels = rows.saturating_mul(cols);
        Self::check_pixels(pixels)?;
        let axes = Axes::of(rows, cols);
        let mut permutation: Vec<u32> = (0..pixels as u32).collect();
        permutation.sort_by_key(|i| axes.join(*i as usize / cols, *i as usize % cols));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let others = (1..pixels.next_power_of_two() as u32).collect();
        let others = draw(others, readings.saturating_sub(1), &mut rng, |row| {
            axes.squared_sequency(row).powf(0.5 * DECAY)
        });
        let mut picked = Vec::with_capacity(readings);
        picked.extend((readings > 0).then_some(0));
        picked.extend(others);
        picked.sort_unstable();
        Self::new(permutation, picked)
    }
}

/// Which axis of an image each bit of a pixel's place belongs to, the lowest bit first: columns and rows in turn, then what
/// the longer axis has left (Morton order).
struct Axes {
    of_column: Vec<bool>,
}

impl Axes {
    fn of(rows: usize, cols: usize) -> Self {
        let bits = |extent: usize| extent.next_power_of_two().trailing_zeros();
        let (down, across) = (bits(rows), bits(cols));
        let of_column = (0..down.max(across)).flat_map(|bit| {
            let column = (bit < across).then_some(true);
            column.into_iter().chain((bit < down).then_some(false))
        });
        Self {
            of_column: of_column.collect(),
        }
    }

    /// The place whose bits are those of a pixel's row and column.
    fn join(&self, mut row: usize, mut column: usize) -> usize {
        let mut place = 0;
        for (bit, of_column) in self.of_column.iter().enumerate() {
            let from = if *of_column { &mut column } else { &mut row };
            place |= (*from & 1) << bit;
            *from >>= 1;
        }
        place
    }

    /// Sum of the squares of how often a row of the transform changes its sign down and across the image.
    fn squared_sequency(&self, row: u32) -> f64 {
        // the Walsh function of index i in Hadamard order changes its sign as often as the Gray code of i's reversed bits says
        let (mut down, mut across) = (0u32, 0u32);
        for (bit, of_column) in self.of_column.iter().enumerate() {
            let sequency = if *of_column { &mut across } else { &mut down };
            let last = *sequency & 1;
            *sequency = *sequency << 1 | (last ^ (row >> bit & 1));
        }
        f64::from(down).powi(2) + f64::from(across).powi(2)
    }
}

/// `count` of the items, in random order, each with a chance of one over its rarity: weighted sampling without replacement by
/// the least of −ln u / w (Efraimidis & Spirakis 2006).
fn draw(
    items: Vec<u32>,
    count: usize,
    rng: &mut ChaCha8Rng,
    rarity: impl Fn(u32) -> f64,
) -> impl Iterator<Item = u32> {
    let key = |item| (-(1.0 - rng.random::<f64>()).ln() * rarity(item), item);
    let mut keyed: Vec<(f64, u32)> = items.into_iter().map(key).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    keyed.into_iter().take(count).map(|(_, item)| item)
}

impl Fourier {
    /// Exactly `readings` readings of random coefficients, the zero frequency always among them.
    ///
    /// A coefficient's chance falls with the square of its frequency, the density for which Krahmer & Ward 2014, "Stable and
    /// robust sampling strategies for compressive imaging", prove recovery of images of few gradients. Coefficients that
    /// are their own conjugates make up an even number.
    ///
    /// # Errors
    /// Where the image has no pixel or too many, or no choice of coefficients gives so many readings.
    pub fn random(
        rows: usize,
        cols: usize,
        readings: usize,
        seed: u64,
    ) -> Result<Self, FourierError> {
        check_pixels(rows, cols)?;
        let pixels = rows * cols;
        let half = half_plane(rows, cols);
        let (mut alone, pairs): (Vec<u32>, Vec<u32>) = half
            .into_iter()
            .partition(|f| *f == conjugate(*f, rows, cols));
        let count = (readings.saturating_sub(1) / 2).min(pairs.len());
        let rest = readings - 2 * count;
        if rest == 0 || rest > alone.len() {
            return Err(FourierError::Readings {
                pixels,
                got: readings,
            });
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        alone.sort_by_key(|f| squared(*f, rows, cols));
        let mut coefficients = alone[..rest].to_vec();
        coefficients.extend(draw(pairs, count, &mut rng, |f| {
            squared(f, rows, cols) as f64
        }));
        coefficients.sort_unstable();
        Self::new(rows, cols, coefficients)
    }
}

/// One coefficient of each conjugate pair, of the lower column of the two, so that few columns hold any.
fn half_plane(rows: usize, cols: usize) -> Vec<u32> {
    let place = |f: u32| (f % cols as u32, f);
    (0..(rows * cols) as u32)
        .filter(|f| place(*f) <= place(conjugate(*f, rows, cols)))
        .collect()
}

/// The square of a frequency, (cycles per image)².
fn squared(coefficient: u32, rows: usize, cols: usize) -> usize {
    let (k, l) = (coefficient as usize / cols, coefficient as usize % cols);
    k.min(rows - k).pow(2) + l.min(cols - l).pow(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensing::Operator;

    #[test]
    fn every_count_there_is_is_exact() {
        for (rows, cols) in [(1, 1), (1, 2), (4, 6), (5, 4), (3, 5)] {
            let n = rows * cols;
            for readings in 0..n + 3 {
                let possible = readings > 0 && readings <= n && (n % 2 == 0 || readings % 2 == 1);
                match Fourier::random(rows, cols, readings, 3) {
                    Ok(op) => {
                        assert!(possible, "{readings} of {n}");
                        assert_eq!(op.shape(), (readings, n));
                        assert!(op.coefficients().contains(&0));
                    }
                    Err(error) => {
                        assert!(!possible, "{readings} of {n}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn sequency_counts_changes_of_sign() {
        for (rows, cols) in [(8, 8), (4, 16), (16, 2), (1, 8), (1, 1)] {
            let n = rows * cols;
            let axes = Axes::of(rows, cols);
            let op = Hadamard::variable_density(rows, cols, n, 1).unwrap();
            let mut image = vec![0.0; n];
            for (j, row) in op.rows().iter().enumerate() {
                let mut unit = vec![0.0; n];
                unit[j] = 1.0;
                op.adjoint(&unit, &mut image, &mut vec![0.0; op.scratch()]);
                let changes = |line: &mut dyn Iterator<Item = f32>| -> usize {
                    let line: Vec<f32> = line.collect();
                    line.windows(2).filter(|w| w[0] * w[1] < 0.0).count()
                };
                let across = changes(&mut image[..cols].iter().copied());
                let down = changes(&mut image.iter().step_by(cols).copied());
                let expected = (across * across + down * down) as f64;
                assert_eq!(
                    axes.squared_sequency(*row),
                    expected,
                    "{rows} × {cols}, {row}"
                );
            }
        }
    }

    #[test]
    fn coarse_patterns_are_denser_and_sets_differ() {
        let op = Hadamard::variable_density(64, 64, 205, 1).unwrap();
        assert_eq!(op.shape(), (205, 4096));
        let axes = Axes::of(64, 64);
        let within = |limit: f64| {
            let near = |row: &&u32| axes.squared_sequency(**row) <= limit * limit;
            op.rows().iter().filter(near).count()
        };
        assert!(within(6.0) > 25, "{} of the 35", within(6.0)); // were all as likely: 2
        assert!(within(30.0) < 204, "{}", within(30.0)); // fine ones too
        assert_ne!(op, Hadamard::variable_density(64, 64, 205, 2).unwrap());
    }

    #[test]
    fn any_grid_has_patterns_or_an_error() {
        for (rows, cols) in [(1, 1), (3, 5), (48, 80), (7, 64)] {
            for readings in [1, 2, rows * cols, 100_000] {
                let op = Hadamard::variable_density(rows, cols, readings, 3).unwrap();
                let most = (rows * cols).next_power_of_two();
                assert_eq!(op.shape(), (readings.min(most), rows * cols));
            }
            assert!(Hadamard::variable_density(rows, cols, 0, 3).is_err());
        }
        for (rows, cols) in [(0, 4), (4, 0), (1 << 20, 1 << 20), (usize::MAX, 2)] {
            let error = Hadamard::variable_density(rows, cols, 4, 3).unwrap_err();
            assert!(matches!(error, HadamardError::Pixels { .. }));
        }
    }

    #[test]
    fn low_frequencies_are_denser() {
        let op = Fourier::random(64, 64, 410, 1).unwrap();
        let near = |f: &&u32| squared(**f, 64, 64) <= 6 * 6;
        let near = op.coefficients().iter().filter(near).count();
        assert!(near > 45, "{near} of the 57 within 6 cycles"); // were all as likely: 6
        assert!(op.coefficients().iter().any(|f| squared(*f, 64, 64) > 400));
        assert_ne!(op, Fourier::random(64, 64, 410, 2).unwrap());
    }
}
