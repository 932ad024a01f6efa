//! Total variation: x̂ = argmin ½‖S_N^(−½)(A x − y)‖² + λ TV(x) + ½‖Γ^½(x − x₀)‖², x ≥ 0, by the primal–dual method of
//! Chambolle & Pock 2011 (algorithm 1), both operators dualised and every step over-relaxed (Condat 2013, algorithm 3.1):
//! no inner loop, and any state is a start.

use super::aligned::Aligned;
use super::differences::{climb, step_image, weigh};
use super::grid::Grid;
use super::method::Refine;
use crate::pool::Buffer;
use crate::sensing::Operator;
use crate::simd::{add_columns, kernel};
use std::slice::from_mut;

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
    pub(super) x: Buffer<f32>,
    /// dual of differences along rows and along columns, (J·n) each
    differences: [Buffer<f32>; 2],
    room: Room,
}

/// What a descent works on.
#[derive(Clone, Debug, Default)]
struct Room {
    /// of each channel
    channels: Vec<Channel>,
    /// 1, and 0 in the last column, (cols)
    inner: Vec<f32>,
    scratch: Aligned,
}

/// One channel of what a descent works on.
#[derive(Clone, Debug, Default)]
struct Channel {
    /// the image, (n + 1)
    x: Aligned,
    /// the image ahead, 2x' − x of each step, (n + 1)
    ahead: Aligned,
    /// gradient of all that is dualised, (n)
    slope: Aligned,
    /// duals of differences along rows and along columns, a row of zeros before each, (cols + n)
    differences: [Aligned; 2],
    /// step·Γ x₀, (n)
    pulled: Aligned,
    /// 1/(1 + step·Γ), (n)
    kept: Aligned,
    /// λ of each difference, (n)
    bound: Aligned,
    /// what the readings say, (m)
    y: Vec<f32>,
    /// 1 where a reading counts, else 0, (m)
    present: Vec<f32>,
    /// A of the image ahead, (m)
    seen: Vec<f32>,
    /// dual of the readings, (m)
    dual: Vec<f32>,
}

impl State {
    /// At an image, with duals of its differences along rows and along columns, (J·n) each.
    pub(super) fn of(x: Buffer<f32>, differences: [Buffer<f32>; 2]) -> Self {
        Self {
            x,
            differences,
            room: Room::default(),
        }
    }

    /// Duals of differences along rows and along columns, (J·n) each.
    pub(super) fn duals(&self) -> &[Buffer<f32>; 2] {
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

/// Step sizes of a descent.
#[derive(Clone, Copy, Debug)]
struct Steps {
    image: f32,
    differences: f32,
    readings: f32,
}

impl Channel {
    /// Channel `g` of the terms, from where `state` stands.
    fn enter(
        &mut self,
        terms: &Terms<'_>,
        x: &[f32],
        differences: [&[f32]; 2],
        g: usize,
        step: f32,
    ) {
        let (m, n) = terms.operator.shape();
        for image in [&mut self.x, &mut self.ahead] {
            image.fit(n + 1);
            image[n] = 0.0;
        }
        self.x[..n].copy_from_slice(x);
        for (to, from) in self.differences.iter_mut().zip(differences) {
            to.fit(terms.cols + n);
            to[..terms.cols].fill(0.0);
            to[terms.cols..].copy_from_slice(from);
        }
        for values in [&mut self.slope, &mut self.kept, &mut self.pulled] {
            values.fit(n);
        }
        let pixels = g * n..(g + 1) * n;
        let (near, pull) = (&terms.near[pixels.clone()], &terms.pull[pixels]);
        pulls(near, pull, step, &mut self.kept, &mut self.pulled);
        self.bound.fit(n);
        self.bound.fill(terms.variation);
        self.y.clear();
        self.y.extend_from_slice(&terms.y[g * m..(g + 1) * m]);
        self.present.clear();
        self.present.resize(m, 1.0);
        let own = terms
            .missing
            .iter()
            .map(|&i| i as usize)
            .filter(|i| i / m == g);
        for j in own.map(|i| i % m) {
            self.present[j] = 0.0;
            self.y[j] = 0.0; // may be anything
        }
        self.seen.resize(m, 0.0);
        self.dual.clear();
        self.dual.resize(m, 0.0);
    }

    /// A step of the image, one of the duals of its differences, and what the readings' duals are to climb to but for the
    /// noise: p + σ (A x̄ − y), 0 where a reading is missing.
    fn step(&mut self, operator: &dyn Operator, inner: &[f32], scratch: &mut [f32], steps: Steps) {
        let n = self.slope.len();
        operator.adjoint(&self.dual, &mut self.slope, scratch);
        let [across, down] = &mut self.differences;
        step_image(
            &mut self.x[..n],
            &mut self.ahead,
            &self.slope,
            [across, down],
            [&self.pulled, &self.kept],
            inner.len(),
            (steps.image, RELAXATION),
        );
        operator.apply(&self.ahead[..n], &mut self.seen, scratch);
        climb(
            &self.ahead,
            &mut across[inner.len()..],
            &mut down[inner.len()..],
            &self.bound,
            inner,
            (steps.differences, RELAXATION),
        );
        let readings = self
            .seen
            .iter_mut()
            .zip(&self.y)
            .zip(&self.dual)
            .zip(&self.present);
        for (((seen, y), dual), present) in readings {
            *seen = present * (dual + steps.readings * (*seen - y));
        }
    }
}

/// p ← p + ρ ((I + σ S_N)⁻¹ p̃ − p) over the channels, p̃ of which [`Channel::step`] has left where it saw the image;
/// `shrink` are their rows and columns of the inverse.
fn climb_readings(channels: &mut [Channel], shrink: &[f32]) {
    let count = channels.len();
    for g in 0..count {
        let mut dual = std::mem::take(&mut channels[g].dual);
        dual.iter_mut().for_each(|dual| *dual *= 1.0 - RELAXATION);
        let weights = shrink[g * count..].iter().map(|weight| RELAXATION * weight);
        add_columns(weights.zip(channels.iter().map(|c| &c.seen[..])), &mut dual);
        let present = dual.iter_mut().zip(&channels[g].present);
        present.for_each(|(dual, present)| *dual *= present);
        channels[g].dual = dual;
    }
}

impl<'a> Terms<'a> {
    /// Total variation as settings say, with nothing read and nothing near.
    pub(super) fn new(settings: &Refine, operator: &'a dyn Operator, cols: usize) -> Self {
        Self {
            operator,
            norm: 1.0,
            cols,
            y: &[],
            missing: &[],
            noise: &[],
            variation: settings.variation,
            edge: settings.edge,
            near: &[],
            pull: &[],
        }
    }

    /// `iterations` steps from `state`, which must be at an image of this size; `None` where λ or the noise leaves no step.
    pub(super) fn descend(&self, state: &mut State, iterations: usize) -> Option<()> {
        if !self.variation.is_normal() || self.variation < 0.0 {
            return None;
        }
        let differences = self.variation / (8.0 * STEP);
        let readings = self.variation / (STEP * self.norm.max(f32::MIN_POSITIVE));
        let steps = Steps {
            image: 1.0 / (8.0 * differences + readings * self.norm),
            differences,
            readings,
        };
        let shrink = shrink(self.noise, steps.readings)?;
        let n = self.operator.shape().1;
        let channels = self.noise.len().isqrt();
        let State {
            x,
            differences: [across, down],
            room,
        } = state;
        room.inner.clear();
        room.inner.resize(self.cols, 1.0);
        room.inner[self.cols - 1] = 0.0;
        room.scratch.fit(self.operator.scratch());
        room.channels.resize_with(channels, Channel::default);
        let pixels = |g: usize| g * n..(g + 1) * n;
        for (g, channel) in room.channels.iter_mut().enumerate() {
            let differences = [&across[pixels(g)], &down[pixels(g)]];
            channel.enter(self, &x[pixels(g)], differences, g, steps.image);
        }
        if uncoupled(&shrink) {
            for (g, channel) in room.channels.iter_mut().enumerate() {
                let shrink = &[shrink[g * channels + g]];
                self.iterate(
                    from_mut(channel),
                    &room.inner,
                    &mut room.scratch,
                    (steps, shrink),
                    iterations,
                );
            }
        } else {
            self.iterate(
                &mut room.channels,
                &room.inner,
                &mut room.scratch,
                (steps, &shrink),
                iterations,
            );
        }
        for (g, channel) in room.channels.iter().enumerate() {
            let image = x[pixels(g)].iter_mut().zip(&*channel.x);
            image.for_each(|(to, x)| *to = x.max(0.0)); // relaxed steps end beyond
            for (to, from) in [&mut *across, &mut *down]
                .into_iter()
                .zip(&channel.differences)
            {
                to[pixels(g)].copy_from_slice(&from[self.cols..]);
            }
        }
        Some(())
    }

    /// All iterations of some channels whose noise has to do with no other's.
    fn iterate(
        &self,
        channels: &mut [Channel],
        inner: &[f32],
        scratch: &mut [f32],
        (steps, shrink): (Steps, &[f32]),
        iterations: usize,
    ) {
        for iteration in 0..iterations {
            for channel in &mut *channels {
                if self.edge > 0.0 && iteration % iterations.div_ceil(WEIGHINGS) == 0 {
                    weigh(
                        &channel.x,
                        &mut channel.bound,
                        inner,
                        self.variation,
                        self.edge,
                    );
                }
                channel.step(self.operator, inner, scratch, steps);
            }
            climb_readings(channels, shrink);
        }
    }
}

kernel! {
    /// 1/(1 + τΓ) and τΓ x₀, of pulls Γ to x₀, (n) each.
    fn pulls<'a>(near: &'a [f32], pull: &'a [f32], step: f32, kept: &'a mut [f32], pulled: &'a mut [f32]) {
        let pulls = near.iter().zip(pull).zip(kept).zip(pulled);
        for (((near, pull), kept), pulled) in pulls {
            (*kept, *pulled) = (1.0 / (1.0 + step * pull), step * pull * near);
        }
    }
}

/// Whether a matrix is diagonal.
fn uncoupled(matrix: &[f32]) -> bool {
    let side = matrix.len().isqrt();
    let mut entries = (0..).zip(matrix);
    entries.all(|(i, value)| i / side == i % side || *value == 0.0)
}

/// (I + σ S_N)⁻¹, row-major, (J × J).
fn shrink(noise: &[f32], step: f32) -> Option<Buffer<f32>> {
    let channels = noise.len().isqrt();
    let matrix = Grid::from_fn(channels, channels, |r, c| {
        f64::from(u8::from(r == c)) + f64::from(step) * f64::from(noise[r * channels + c])
    });
    let inverse = matrix.cholesky()?.inverse(); // symmetric
    Some(inverse.values().iter().map(|&v| v as f32).collect())
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
        state.x.to_vec()
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
