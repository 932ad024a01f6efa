//! What magnitudes say before any sign is known, by expectation propagation (Minka 2001) on principal directions.
//!
//! x ≈ x̄ + V s, s ~ N(0, Σ), and a reading z = A x is told as |z + r|, r ~ N(0, e²d) what the directions leave over. Its
//! likelihood, one bump at b and one at −b, is taken as the Gaussian that has its moments beside what all other readings
//! say of z. No sign is chosen as long as neither is likely: choosing at once ends in the nearest of many minima.

use super::linear::{FrameMoments, Linear};
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, Mat, Par, Side};

/// Times that every reading is weighed beside the others.
const ROUNDS: usize = 40;
/// Share of a round's outcome that is taken.
const SHARE: f64 = 0.5;
/// Bounds of e².
const SCALES: (f64, f64) = (0.02, 10.0);
/// Least variance of z given all readings, over that given all others.
const LEAST_VARIANCE: f64 = 1e-4;

/// A reading's likelihood as a Gaussian in z, by precision and precision times mean.
#[derive(Clone, Copy, Default)]
struct Site {
    precision: f64,
    pull: f64,
}

/// A Gaussian by mean and variance.
#[derive(Clone, Copy)]
struct Moments {
    mean: f64,
    variance: f64,
}

impl Site {
    /// The likelihood of z, of which `cavity` says what all other readings say, and e² of the one reading; |z + r| = b, or
    /// z + r = b where the sign is `sure`, r of variance `spread`.
    fn of(b: f64, sure: f64, cavity: Moments, spread: f64) -> (Self, f64) {
        let Moments { mean, variance } = cavity;
        let gain = variance / (variance + spread);
        let leaning = match sure == 0.0 {
            true => (b * mean / (variance + spread)).tanh(),
            false => sure,
        };
        let turn = b * b * (1.0 - leaning * leaning); // variance of ±b
        let tilted = Moments {
            mean: mean + gain * (b * leaning - mean),
            variance: variance * (1.0 - gain) + gain * gain * turn,
        };
        let left = (1.0 - gain).powi(2) * ((b * leaning - mean).powi(2) + turn);
        let own = (left + variance * (1.0 - gain)) / spread;
        let precision = 1.0 / tilted.variance.max(LEAST_VARIANCE * variance) - 1.0 / variance;
        let site = Self {
            precision,
            pull: tilted.mean * (precision + 1.0 / variance) - mean / variance,
        };
        (site, own)
    }

    fn towards(self, other: Self) -> Self {
        let blend = |a: f64, b: f64| a + SHARE * (b - a);
        Self {
            precision: blend(self.precision, other.precision),
            pull: blend(self.pull, other.pull),
        }
    }
}

/// E\[z\] of each reading, (J·m), from magnitudes `b`, (J·m), whose noise has variance `noise` in each channel, (J), and
/// whose signs are `sure`, (m), where that is not 0.
pub(super) fn expected(
    linear: &Linear,
    moments: &FrameMoments,
    (b, noise): (&[f32], &[f32]),
    sure: &[f32],
    missing: &[u32],
) -> Option<Vec<f32>> {
    let readings = sure.len();
    let spread = linear.remainder();
    let mut present = vec![true; b.len()];
    missing.iter().for_each(|&i| present[i as usize] = false);
    let mut sites = vec![Site::default(); b.len()];
    let mut scale = 1.0;
    let mut now = posterior(linear, moments, &sites)?;
    for _ in 0..ROUNDS {
        let (mut own, mut count) = (0.0, 0.0);
        for i in (0..b.len()).filter(|&i| present[i]) {
            let site = sites[i];
            let rest = 1.0 / now[i].variance - site.precision;
            if rest <= 0.0 {
                continue;
            }
            let cavity = Moments {
                mean: (now[i].mean / now[i].variance - site.pull) / rest,
                variance: 1.0 / rest,
            };
            let spread = scale * f64::from(spread[i]) + f64::from(noise[i / readings]);
            let sure = f64::from(sure[i % readings]);
            let (next, share) = Site::of(b[i].into(), sure, cavity, spread);
            sites[i] = site.towards(next);
            own += share;
            count += 1.0;
        }
        scale = (scale * (own / count)).clamp(SCALES.0, SCALES.1);
        let Some(next) = posterior(linear, moments, &sites) else {
            sites.iter_mut().for_each(|s| {
                if s.precision < 0.0 {
                    *s = Site::default();
                }
            });
            now = posterior(linear, moments, &sites)?;
            continue;
        };
        now = next;
    }
    Some(now.iter().map(|z| z.mean as f32).collect())
}

/// Mean and variance of each z, (J·m), beside all sites. `None` where they leave s undetermined.
fn posterior(linear: &Linear, moments: &FrameMoments, sites: &[Site]) -> Option<Vec<Moments>> {
    let (matrix, offset) = (linear.matrix(), linear.offset());
    let r = matrix.ncols();
    let weighed = Mat::from_fn(matrix.nrows(), r, |i, c| {
        matrix[(i, c)] * sites[i].precision as f32
    });
    let mut gram: Mat<f32> = Mat::zeros(r, r);
    let transposed = matrix.transpose();
    matmul(
        gram.as_mut(),
        Accum::Replace,
        transposed,
        weighed.as_ref(),
        1.0,
        Par::Seq,
    );
    let normal = Mat::from_fn(r, r, |i, c| {
        let own = if i == c {
            1.0 / f64::from(moments.variances[i])
        } else {
            0.0
        };
        0.5 * (f64::from(gram[(i, c)]) + f64::from(gram[(c, i)])) + own
    });
    let factor = normal.llt(Side::Lower).ok()?;
    let factor = factor.L();
    let mut spread = Mat::from_fn(r, matrix.nrows(), |c, i| f64::from(matrix[(i, c)]));
    solve_lower_triangular_in_place(factor, spread.as_mut(), Par::Seq);
    let mut along = vec![0.0; r];
    for (i, site) in sites.iter().enumerate() {
        let pull = site.pull - site.precision * f64::from(offset[i]);
        let column = along.iter_mut().zip(spread.col_as_slice(i));
        column.for_each(|(a, v)| *a += pull * v);
    }
    let of = |i: usize| {
        let column = spread.col_as_slice(i);
        let mean = column.iter().zip(&along).map(|(v, a)| v * a).sum::<f64>();
        Moments {
            mean: mean + f64::from(offset[i]),
            variance: column
                .iter()
                .map(|v| v * v)
                .sum::<f64>()
                .max(f64::MIN_POSITIVE),
        }
    };
    Some((0..sites.len()).map(of).collect())
}
