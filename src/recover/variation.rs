//! Total variation: x̂ = argmin ½‖S_N^(−½)(A x − y)‖² + λ TV(x) + ½‖Γ^½(x − x₀)‖², x ≥ 0, by the primal–dual method of
//! Chambolle & Pock 2011 (algorithm 1), both operators dualised and every step over-relaxed (Condat 2013, algorithm 3.1):
//! no inner loop, and any state is a start.

use crate::sensing::Operator;
use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};

/// Differences that the duals are stepped for, in units of the return that the prior knows.
const STEP: f32 = 0.02;
/// How far past each step's end the state is moved, in steps: convergent below 2 (Condat 2013, theorem 3.3).
const RELAXATION: f32 = 1.9;
/// Times that differences are weighed anew on the way.
const WEIGHINGS: usize = 2;

/// What an image is asked to be.
pub(super) struct Terms<'a> {
    pub(super) operator: &'a dyn Operator,
    /// largest singular value of the operator, squared
    pub(super) norm: f32,
    /// columns of pixels
    pub(super) cols: usize,
    /// readings, (J·m)
    pub(super) y: &'a [f32],
    /// positions in y that do not count
    pub(super) missing: &'a [u32],
    /// αN₀, (J × J)
    pub(super) noise: &'a [f32],
    /// λ
    pub(super) variation: f32,
    /// difference at which its weight in TV has halved; 0 weighs all alike
    pub(super) edge: f32,
    /// x₀, (J·n)
    pub(super) near: &'a [f32],
    /// Γ, ≥ 0, (J·n)
    pub(super) pull: &'a [f32],
}

/// Where the method stands.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// the image, (J·n)
    pub(super) x: Vec<f32>,
    /// the image ahead, 2x − x of the step before, (J·n)
    ahead: Vec<f32>,
    /// dual of the readings, (J·m)
    readings: Vec<f32>,
    /// dual of differences along rows and along columns, (J·n) each
    differences: [Vec<f32>; 2],
}

impl State {
    /// At an image, with the duals of the state before where sizes agree.
    pub(super) fn restart(&mut self, x: &[f32], readings: usize) {
        self.x.clear();
        self.x.extend_from_slice(x);
        self.ahead.clone_from(&self.x);
        self.readings.clear();
        self.readings.resize(readings, 0.0);
        for dual in &mut self.differences {
            dual.resize(x.len(), 0.0);
        }
    }
}

impl Terms<'_> {
    /// `iterations` steps from `state`, which must be at an image of this size; `None` where λ or the noise leaves no step.
    pub(super) fn descend(&self, state: &mut State, iterations: usize) -> Option<()> {
        if !self.variation.is_normal() || self.variation < 0.0 {
            return None;
        }
        let (m, n) = self.operator.shape();
        let channels = self.noise.len().isqrt();
        let dual_step = self.variation / (8.0 * STEP);
        let readings_step = self.variation / (STEP * self.norm.max(f32::MIN_POSITIVE));
        let step = 1.0 / (8.0 * dual_step + readings_step * self.norm);
        let shrink = shrink(self.noise, readings_step)?;
        let mut present = vec![1.0f32; channels * m];
        self.missing.iter().for_each(|&i| present[i as usize] = 0.0);
        let mut scratch = vec![0.0; self.operator.scratch()];
        let (mut seen, mut image) = (vec![0.0; channels * m], vec![0.0; channels * n]);
        let mut bound = vec![self.variation; channels * n];
        for iteration in 0..iterations {
            if self.edge > 0.0 && iteration % iterations.div_ceil(WEIGHINGS) == 0 {
                self.reweigh(&state.x, &mut bound);
            }
            for g in 0..channels {
                let dual = &state.readings[g * m..(g + 1) * m];
                self.operator
                    .adjoint(dual, &mut image[g * n..(g + 1) * n], &mut scratch);
            }
            self.subtract_divergence(state, &mut image);
            let near = self.near.iter().zip(self.pull);
            let now = state.x.iter_mut().zip(&mut state.ahead);
            for (((x, ahead), slope), (x0, pull)) in now.zip(&image).zip(near) {
                let moved = (*x - step * (slope - pull * x0)) / (1.0 + step * pull);
                let moved = moved.max(0.0);
                *ahead = 2.0 * moved - *x;
                *x += RELAXATION * (moved - *x);
            }
            for g in 0..channels {
                let seen = &mut seen[g * m..(g + 1) * m];
                self.operator
                    .apply(&state.ahead[g * n..(g + 1) * n], seen, &mut scratch);
            }
            self.climb_readings(state, &seen, &present, readings_step, &shrink);
            self.climb_differences(state, dual_step, &bound);
        }
        state.x.iter_mut().for_each(|x| *x = x.max(0.0)); // relaxed steps end beyond
        Some(())
    }

    /// p ← (I + σ S_N)⁻¹ (p + σ (A x̄ − y)), reading by reading over the channels; 0 where a reading is missing.
    fn climb_readings(
        &self,
        state: &mut State,
        seen: &[f32],
        present: &[f32],
        step: f32,
        shrink: &[f32],
    ) {
        let channels = self.noise.len().isqrt();
        let m = seen.len() / channels;
        let dual = &mut state.readings;
        let mut ahead = vec![0.0; channels];
        for j in 0..m {
            for (g, ahead) in ahead.iter_mut().enumerate() {
                let at = g * m + j;
                *ahead = if present[at] > 0.0 {
                    dual[at] + step * (seen[at] - self.y[at])
                } else {
                    0.0
                };
            }
            for (g, shrink) in shrink.chunks_exact(channels).enumerate() {
                let climbed: f32 = shrink.iter().zip(&ahead).map(|(s, a)| s * a).sum();
                let dual = &mut dual[g * m + j];
                *dual += RELAXATION * (climbed * present[g * m + j] - *dual);
            }
        }
    }

    /// q ← (q + σ ∇x̄) / max(1, |q + σ ∇x̄| / λ).
    fn climb_differences(&self, state: &mut State, step: f32, bound: &[f32]) {
        let State {
            ahead, differences, ..
        } = state;
        let [across, down] = differences;
        let (n, cols) = (self.operator.shape().1, self.cols);
        let climb = |[across, down]: [&mut f32; 2], [right, below]: [f32; 2], bound: f32| {
            let (a, d) = (*across + step * right, *down + step * below);
            let within = bound / (a * a + d * d).sqrt().max(bound);
            *across += RELAXATION * (within * a - *across);
            *down += RELAXATION * (within * d - *down);
        };
        for start in (0..ahead.len()).step_by(cols) {
            let last_row = start % n + cols == n;
            let line = start..start + cols;
            let x = &ahead[line.clone()];
            let below = if last_row {
                x
            } else {
                &ahead[start + cols..][..cols]
            };
            let (across, down) = (&mut across[line.clone()], &mut down[line.clone()]);
            let bound = &bound[line];
            let inner = cols - 1;
            let duals = across[..inner].iter_mut().zip(&mut down[..inner]);
            let pixels = x.iter().zip(&x[1..]).zip(below).zip(bound);
            for ((across, down), (((x, right), below), bound)) in duals.zip(pixels) {
                climb([across, down], [right - x, below - x], *bound);
            }
            let duals = [&mut across[inner], &mut down[inner]];
            climb(duals, [0.0, below[inner] - x[inner]], bound[inner]);
        }
    }

    /// Weights λ·ε/(ε + |∇x|) of an image's differences: what is an edge for certain need not pay for it (Candès, Wakin &
    /// Boyd 2008, section 2.2).
    fn reweigh(&self, x: &[f32], bound: &mut [f32]) {
        let n = self.operator.shape().1;
        let cols = self.cols;
        for (x, bound) in x.chunks_exact(n).zip(bound.chunks_exact_mut(n)) {
            for i in 0..n {
                let right = if (i + 1) % cols == 0 {
                    0.0
                } else {
                    x[i + 1] - x[i]
                };
                let below = if i + cols >= n {
                    0.0
                } else {
                    x[i + cols] - x[i]
                };
                let length = (right * right + below * below).sqrt();
                bound[i] = self.variation * self.edge / (self.edge + length);
            }
        }
    }

    /// out += ∇ᵀq.
    fn subtract_divergence(&self, state: &State, out: &mut [f32]) {
        let n = self.operator.shape().1;
        let cols = self.cols;
        let [across, down] = &state.differences;
        for ((out, across), down) in out
            .chunks_exact_mut(n)
            .zip(across.chunks_exact(n))
            .zip(down.chunks_exact(n))
        {
            for (out, q) in out.chunks_exact_mut(cols).zip(across.chunks_exact(cols)) {
                let inner = &q[..cols - 1]; // no difference beyond the last column
                out.iter_mut().zip(inner).for_each(|(out, q)| *out -= q);
                out[1..]
                    .iter_mut()
                    .zip(inner)
                    .for_each(|(out, q)| *out += q);
            }
            let inner = &down[..n - cols];
            out.iter_mut().zip(inner).for_each(|(out, q)| *out -= q);
            out[cols..]
                .iter_mut()
                .zip(inner)
                .for_each(|(out, q)| *out += q);
        }
    }
}

/// (I + σ S_N)⁻¹, row-major, (J × J).
fn shrink(noise: &[f32], step: f32) -> Option<Vec<f32>> {
    let channels = noise.len().isqrt();
    let matrix = Mat::from_fn(channels, channels, |r, c| {
        f64::from(u8::from(r == c)) + f64::from(step) * f64::from(noise[r * channels + c])
    });
    let inverse = matrix.llt(Side::Lower).ok()?.inverse();
    let entries = (0..channels * channels).map(|i| inverse[(i / channels, i % channels)] as f32);
    Some(entries.collect())
}

/// The largest singular value of an operator squared, by power iteration from a random image.
pub(super) fn norm(operator: &dyn Operator) -> f32 {
    const STEPS: usize = 30;
    let (m, n) = operator.shape();
    let (mut y, mut scratch) = (vec![0.0; m], vec![0.0; operator.scratch()]);
    let mut v: Vec<f32> = (0..n).map(|i| 1.0 + (i as f32 * 0.618).fract()).collect();
    let mut most = 0.0;
    for _ in 0..STEPS {
        let length = v.iter().map(|v| v * v).sum::<f32>().sqrt();
        if length == 0.0 {
            break;
        }
        v.iter_mut().for_each(|v| *v /= length);
        operator.apply(&v, &mut y, &mut scratch);
        most = y.iter().map(|y| y * y).sum::<f32>().max(most);
        operator.adjoint(&y, &mut v, &mut scratch);
    }
    1.02 * most // power iteration comes from below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensing::{Dense, Hadamard};

    const SIDE: usize = 16;
    const N: usize = SIDE * SIDE;

    /// A box on a step, in two channels.
    fn image() -> Vec<f32> {
        let value = |i: usize| {
            let (channel, row, col) = (i / N, i % N / SIDE, i % SIDE);
            let inside = (4..9).contains(&row) && (5..11).contains(&col);
            match channel {
                0 => 0.2 + 0.5 * f32::from(u8::from(inside)),
                _ => 0.6 * f32::from(u8::from(col > 7)),
            }
        };
        (0..2 * N).map(value).collect()
    }

    fn read(operator: &dyn Operator, x: &[f32]) -> Vec<f32> {
        let (m, n) = operator.shape();
        let mut y = vec![0.0; x.len() / n * m];
        let mut scratch = vec![0.0; operator.scratch()];
        let channels = x.chunks_exact(n).zip(y.chunks_exact_mut(m));
        channels.for_each(|(x, y)| operator.apply(x, y, &mut scratch));
        y
    }

    fn relative_error(x: &[f32], truth: &[f32]) -> f32 {
        let energy = |v: &mut dyn Iterator<Item = f32>| v.map(|v| v * v).sum::<f32>();
        let errors = energy(&mut x.iter().zip(truth).map(|(a, b)| a - b));
        (errors / energy(&mut truth.iter().copied())).sqrt()
    }

    fn descend(terms: &Terms<'_>, iterations: usize) -> Vec<f32> {
        let mut state = State::default();
        state.restart(terms.near, terms.y.len());
        terms.descend(&mut state, iterations).unwrap();
        state.x
    }

    #[test]
    fn what_is_piecewise_flat_comes_back_from_few_readings() {
        let truth = image();
        let operators: [&dyn Operator; 2] = [
            &Hadamard::random(N, 110, 2).unwrap(),
            &Dense::gaussian(110, N, 2).unwrap(),
        ];
        for operator in operators {
            let mut y = read(operator, &truth);
            let missing = [7, 130];
            missing.iter().for_each(|&i| y[i as usize] = f32::NAN);
            let terms = Terms {
                operator,
                norm: norm(operator),
                cols: SIDE,
                y: &y,
                missing: &missing,
                noise: &[1e-8, 0.0, 0.0, 1e-8],
                variation: 20.0,
                edge: 0.0,
                near: &vec![0.0; 2 * N],
                pull: &vec![0.0; 2 * N],
            };
            let plain = relative_error(&descend(&terms, 4000), &truth);
            assert!(plain < 0.02, "{plain}");
            let weighed = Terms { edge: 0.1, ..terms };
            let weighed = relative_error(&descend(&weighed, 4000), &truth);
            assert!(weighed < 0.02, "{weighed}");
        }
    }

    #[test]
    fn what_is_pulled_stays() {
        let operator = Hadamard::random(N, 30, 2).unwrap();
        let (near, y) = (image(), vec![0.1; 60]);
        let terms = |pull| Terms {
            operator: &operator,
            norm: norm(&operator),
            cols: SIDE,
            y: &y,
            missing: &[],
            noise: &[1e-4, 0.0, 0.0, 1e-4],
            variation: 20.0,
            edge: 0.1,
            near: &near,
            pull,
        };
        let (strong, weak) = (vec![1e7; 2 * N], vec![1e-3; 2 * N]);
        assert!(relative_error(&descend(&terms(&strong), 200), &near) < 1e-2);
        assert!(relative_error(&descend(&terms(&weak), 200), &near) > 0.3);
    }

    #[test]
    fn the_norm_of_an_operator_comes_from_power_iteration() {
        assert!((norm(&Hadamard::random(N, 30, 2).unwrap()) - 1.02).abs() < 0.01);
        let alike = Dense::new(2, 2, vec![1.0, 0.0, 1.0, 0.0]).unwrap(); // one row twice: σ² = 2
        assert!((norm(&alike) - 2.04).abs() < 0.02);
    }
}
