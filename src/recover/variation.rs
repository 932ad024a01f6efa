//! Total variation: x̂ = argmin ½‖S_N^(−½)(A x − y)‖² + λ TV(x) + ½‖Γ^½(x − x₀)‖², x ≥ 0, by the primal–dual method of
//! Chambolle & Pock 2011 (algorithm 1), both operators dualised and every step over-relaxed (Condat 2013, algorithm 3.1):
//! no inner loop, and any state is a start.

use super::differences::{Layout, climb, interleave, stack, step_image, weigh};
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

/// Where the method stands. Only `x` has its channels one after another; all else lies interleaved.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// the image, (J·n)
    pub(super) x: Vec<f32>,
    /// dual of differences along rows and along columns, (n·J) each
    differences: [Vec<f32>; 2],
    room: Room,
}

/// What a descent works on.
#[derive(Clone, Debug, Default)]
struct Room {
    /// the image, (n·J)
    x: Vec<f32>,
    /// the image ahead, 2x' − x of each step, (n·J)
    ahead: Vec<f32>,
    /// gradient of all that is dualised, (n·J)
    slope: Vec<f32>,
    /// step·Γ x₀, (n·J)
    pulled: Vec<f32>,
    /// 1/(1 + step·Γ), (n·J)
    kept: Vec<f32>,
    /// λ of each difference, (n·J)
    bound: Vec<f32>,
    /// what the readings say, (m·J)
    y: Vec<f32>,
    /// 1 where a reading counts, else 0, (m·J)
    present: Vec<f32>,
    /// A of the image ahead, (m·J)
    seen: Vec<f32>,
    /// dual of the readings, (m·J)
    dual: Vec<f32>,
    scratch: Vec<f32>,
}

impl State {
    /// At an image, (J·n), with duals of its differences along rows and along columns, (n·J) each.
    pub(super) fn of(x: Vec<f32>, differences: [Vec<f32>; 2]) -> Self {
        Self {
            x,
            differences,
            room: Room::default(),
        }
    }

    /// Duals of differences along rows and along columns, (n·J) each.
    pub(super) fn duals(&self) -> &[Vec<f32>; 2] {
        &self.differences
    }

    /// At an image, with the duals of the differences of the state before where sizes agree.
    pub(super) fn restart(&mut self, x: &[f32]) {
        self.x.clear();
        self.x.extend_from_slice(x);
        for dual in &mut self.differences {
            dual.resize(x.len(), 0.0);
        }
    }
}

impl Room {
    fn enter(&mut self, terms: &Terms<'_>, x: &[f32], step: f32) {
        let channels = terms.noise.len().isqrt();
        interleave(x, channels, &mut self.x);
        interleave(terms.near, channels, &mut self.pulled);
        interleave(terms.pull, channels, &mut self.kept);
        for (pulled, kept) in self.pulled.iter_mut().zip(&mut self.kept) {
            *pulled *= step * *kept;
            *kept = 1.0 / (1.0 + step * *kept);
        }
        for image in [&mut self.ahead, &mut self.slope] {
            image.resize(x.len(), 0.0);
        }
        self.bound.clear();
        self.bound.resize(x.len(), terms.variation);
        interleave(terms.y, channels, &mut self.y);
        let readings = terms.y.len() / channels;
        self.present.clear();
        self.present.resize(terms.y.len(), 1.0);
        for &i in terms.missing {
            let (g, j) = (i as usize / readings, i as usize % readings);
            self.present[j * channels + g] = 0.0;
            self.y[j * channels + g] = 0.0; // may be anything
        }
        self.seen.resize(terms.y.len(), 0.0);
        self.dual.clear();
        self.dual.resize(terms.y.len(), 0.0);
        let scratch = terms.operator.interleaved_scratch(channels);
        self.scratch.resize(scratch, 0.0);
    }

    /// p ← (I + σ S_N)⁻¹ (p + σ (A x̄ − y)), reading by reading over the channels; 0 where a reading is missing.
    fn climb_readings(&mut self, step: f32, shrink: &[f32]) {
        let channels = shrink.len().isqrt();
        let Self {
            y,
            present,
            seen,
            dual,
            ..
        } = self;
        let ahead = seen.iter_mut().zip(y.iter()).zip(dual.iter());
        let ahead = ahead.zip(present.iter());
        for (((ahead, y), dual), present) in ahead {
            *ahead = present * (dual + step * (*ahead - y));
        }
        let readings = seen
            .chunks_exact(channels)
            .zip(present.chunks_exact(channels));
        for ((ahead, present), dual) in readings.zip(dual.chunks_exact_mut(channels)) {
            let rows = shrink.chunks_exact(channels).zip(present);
            for ((shrink, present), dual) in rows.zip(dual) {
                let climbed: f32 = shrink.iter().zip(ahead).map(|(s, a)| s * a).sum();
                *dual += RELAXATION * (climbed * present - *dual);
            }
        }
    }
}

impl Terms<'_> {
    /// `iterations` steps from `state`, which must be at an image of this size; `None` where λ or the noise leaves no step.
    pub(super) fn descend(&self, state: &mut State, iterations: usize) -> Option<()> {
        if !self.variation.is_normal() || self.variation < 0.0 {
            return None;
        }
        let channels = self.noise.len().isqrt();
        let layout = Layout {
            channels,
            line: self.cols * channels,
        };
        let dual_step = self.variation / (8.0 * STEP);
        let readings_step = self.variation / (STEP * self.norm.max(f32::MIN_POSITIVE));
        let step = 1.0 / (8.0 * dual_step + readings_step * self.norm);
        let shrink = shrink(self.noise, readings_step)?;
        let [across, down] = &mut state.differences;
        let room = &mut state.room;
        room.enter(self, &state.x, step);
        for iteration in 0..iterations {
            if self.edge > 0.0 && iteration % iterations.div_ceil(WEIGHINGS) == 0 {
                weigh(&room.x, &mut room.bound, layout, self.variation, self.edge);
            }
            let (slope, scratch) = (&mut room.slope, &mut room.scratch);
            self.operator
                .adjoint_interleaved(channels, &room.dual, slope, scratch);
            let (x, ahead) = (&mut room.x, &mut room.ahead);
            let (duals, pulls) = ([&**across, &**down], [&*room.pulled, &*room.kept]);
            step_image(x, ahead, slope, duals, pulls, layout, (step, RELAXATION));
            self.operator
                .apply_interleaved(channels, ahead, &mut room.seen, scratch);
            climb(
                ahead,
                across,
                down,
                &room.bound,
                layout,
                (dual_step, RELAXATION),
            );
            room.climb_readings(readings_step, &shrink);
        }
        stack(&room.x, channels, &mut state.x);
        state.x.iter_mut().for_each(|x| *x = x.max(0.0)); // relaxed steps end beyond
        Some(())
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
        state.restart(terms.near);
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
