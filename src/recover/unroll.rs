//! An unrolled network: learnt steps from a refined image on, each along the residual of the readings and then through a small
//! network (Gregor & LeCun 2010; Adler & Öktem 2018). It draws what is likely: what its image leaves of
//! the readings may be many times their noise.

use super::planes::{Convolution, Fine, Grid, put_together, take_apart};
use super::track::without_into;
use crate::prior::{Affine, Conditional, Stage, Unrolled};
use crate::sensing::Operator;

/// A network, ready to run.
#[derive(Clone, Debug)]
pub(super) struct Network {
    /// every second row and column of the image, and every fourth
    fine: Grid,
    coarse: Grid,
    /// C
    features: usize,
    /// D
    coarse_features: usize,
    first: Convolution,
    first_bias: Conditional,
    stages: Vec<StageLayers>,
    step: Conditional,
}

/// The layers of a stage; see [`Stage`].
#[derive(Clone, Debug)]
struct StageLayers {
    step: Conditional,
    merge: Convolution,
    merge_bias: Conditional,
    near: Layer,
    down: Layer,
    far: Layer,
    up: Layer,
    join: Layer,
    out: Layer,
}

#[derive(Clone, Debug)]
struct Layer {
    convolution: Convolution,
    bias: Vec<f32>,
}

impl Layer {
    fn new(affine: &Affine, side: usize) -> Self {
        let convolution = Convolution::new(&affine.weight, side);
        let bias = convolution.grouped(affine.bias.clone());
        Self { convolution, bias }
    }

    fn apply(&self, grid: Grid, input: &[f32], output: &mut [f32]) {
        self.convolution
            .apply(grid, input, &self.bias, false, output);
    }

    fn relu(&self, grid: Grid, input: &[f32], output: &mut [f32]) {
        self.convolution
            .apply(grid, input, &self.bias, true, output);
    }
}

/// What a network goes by beside the image.
pub(super) struct Given<'a> {
    pub(super) operator: &'a dyn Operator,
    /// largest singular value of the operator, squared
    pub(super) norm: f32,
    /// readings, (J·m)
    pub(super) y: &'a [f32],
    /// positions in y that do not count
    pub(super) missing: &'a [u32],
    /// see [`Unrolled::conditions`]
    pub(super) conditions: [f32; 2],
    /// x₀, (J·n)
    pub(super) first: &'a [f32],
    /// the refined frame before, (J·n); x₀ where there is none
    pub(super) last: &'a [f32],
}

/// What a network works on.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    /// AᵀA of what the image misses, (J·n)
    residual: Vec<f32>,
    /// what it leaves of the readings, (J·m)
    left: Vec<f32>,
    scratch: Vec<f32>,
    /// planes of image, residual, x₀ and the frame before
    start: Vec<f32>,
    /// planes of image, residual and the features of the stage before
    merged: Vec<f32>,
    /// planes of fine features, twice
    near: [Vec<f32>; 2],
    /// planes of fine features, taken apart
    apart: Vec<f32>,
    /// planes of coarse features, twice
    far: [Vec<f32>; 2],
    /// planes of what is added to the image
    change: Vec<f32>,
}

impl Network {
    /// Of images of rows × cols pixels, both multiples of four.
    pub(super) fn new(weights: &Unrolled, (rows, cols): (usize, usize)) -> Self {
        let stage = |stage: &Stage| StageLayers {
            step: stage.step.clone(),
            merge: Convolution::new(&stage.merge, 1),
            merge_bias: stage.merge_bias.clone(),
            near: Layer::new(&stage.near, 3),
            down: Layer::new(&stage.down, 1),
            far: Layer::new(&stage.far, 3),
            up: Layer::new(&stage.up, 1),
            join: Layer::new(&stage.join, 3),
            out: Layer::new(&stage.out, 1),
        };
        let grid = |part: usize| Grid {
            rows: rows / part,
            cols: cols / part,
        };
        Self {
            fine: grid(2),
            coarse: grid(4),
            features: weights.features(),
            coarse_features: weights.coarse_features(),
            first: Convolution::new(&weights.first, 1),
            first_bias: weights.first_bias.clone(),
            stages: weights.stages.iter().map(stage).collect(),
            step: weights.step.clone(),
        }
    }

    /// All weights of its stages, in no order that matters but always the same.
    pub(super) fn weights(&self) -> impl Iterator<Item = &f32> {
        let stages = self.stages.iter().flat_map(|stage| {
            let StageLayers {
                near,
                down,
                far,
                up,
                join,
                out,
                ..
            } = stage;
            let layers = [near, down, far, up, join, out];
            layers
                .into_iter()
                .flat_map(|layer| layer.convolution.weights().iter().chain(&layer.bias))
        });
        let merges = self.stages.iter().flat_map(|stage| stage.merge.weights());
        self.first.weights().iter().chain(merges).chain(stages)
    }

    /// Improves an image, (J·n).
    pub(super) fn improve(&self, given: &Given<'_>, x: &mut [f32], room: &mut Room) {
        let (fine, coarse) = (self.fine, self.coarse);
        let channels = x.len() / given.operator.shape().1;
        let image = 4 * channels * fine.len(); // of its planes
        self.enter(given, channels, room);
        let conditions = given.conditions;
        given.residual(x, room);
        let parts = [&*x, &room.residual, given.first, given.last];
        let planes = room.start.chunks_exact_mut(image);
        for (part, planes) in parts.into_iter().zip(planes) {
            take_apart(part, Fine::Image, fine, planes);
        }
        let bias = self.first.grouped(self.first_bias.at(conditions));
        let before = &mut room.merged[2 * image..];
        self.first.apply(fine, &room.start, &bias, true, before);
        for stage in &self.stages {
            step(&stage.step.at(conditions), &room.residual, x);
            let [a, b] = &mut room.near;
            let [c, d] = &mut room.far;
            take_apart(x, Fine::Image, fine, &mut room.merged);
            let residual = &mut room.merged[image..2 * image];
            take_apart(&room.residual, Fine::Image, fine, residual);
            let bias = stage.merge_bias.at(conditions);
            let bias = stage.merge.grouped(bias);
            stage.merge.apply(fine, &room.merged, &bias, true, a);
            stage.near.relu(fine, a, b);
            take_apart(b, Fine::Planes, coarse, &mut room.apart);
            stage.down.relu(coarse, &room.apart, c);
            stage.far.relu(coarse, c, d);
            stage.up.apply(coarse, d, &mut room.apart);
            put_together(&room.apart, coarse, Fine::Planes, b);
            let joined = &mut room.merged[2 * image..];
            stage.join.relu(fine, b, joined);
            stage.out.apply(fine, joined, &mut room.change);
            put_together(&room.change, fine, Fine::Image, x);
            given.residual(x, room);
        }
        step(&self.step.at(conditions), &room.residual, x);
        x.iter_mut().for_each(|x| *x = x.max(0.0));
    }

    /// Makes room, once.
    fn enter(&self, given: &Given<'_>, channels: usize, room: &mut Room) {
        let (m, n) = given.operator.shape();
        room.left.resize(channels * m, 0.0);
        room.scratch.resize(given.operator.scratch(), 0.0);
        room.residual.resize(channels * n, 0.0);
        if room.start.is_empty() {
            room.start = self.fine.planes(16 * channels);
            room.merged = self.fine.planes(8 * channels + self.features);
            room.near = [(); 2].map(|()| self.fine.planes(self.features));
            room.apart = self.coarse.planes(4 * self.features);
            room.far = [(); 2].map(|()| self.coarse.planes(self.coarse_features));
            room.change = self.fine.planes(4 * channels);
        }
    }
}

impl Given<'_> {
    /// Aᵀ(y − A x) over the largest singular value of A squared.
    fn residual(&self, x: &[f32], room: &mut Room) {
        let (m, n) = self.operator.shape();
        without_into(self.operator, x, self.y, &mut room.left, &mut room.scratch);
        let missing = self.missing.iter();
        missing.for_each(|&i| room.left[i as usize] = 0.0);
        let channels = room.left.chunks_exact(m);
        for (left, residual) in channels.zip(room.residual.chunks_exact_mut(n)) {
            self.operator.adjoint(left, residual, &mut room.scratch);
        }
        let scale = 1.0 / self.norm.max(f32::MIN_POSITIVE);
        room.residual.iter_mut().for_each(|r| *r *= scale);
    }
}

/// x ← x + η r, with a step for each channel.
fn step(logits: &[f32], residual: &[f32], x: &mut [f32]) {
    let n = x.len() / logits.len();
    let channels = x.chunks_exact_mut(n).zip(residual.chunks_exact(n));
    for ((x, residual), logit) in channels.zip(logits) {
        let step = Unrolled::LONGEST_STEP / (1.0 + (-logit).exp());
        x.iter_mut().zip(residual).for_each(|(x, r)| *x += step * r);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::RangeImage;
    use crate::prior::{Matrix, Prior};
    use crate::sensing::Hadamard;
    use crate::sim::{self, Split};

    const N: usize = 4096;

    /// A scene at the return that the prior knows, blurred along its rows.
    fn images(prior: &Prior) -> [Vec<f32>; 2] {
        let mut image = RangeImage::empty(64, 64);
        sim::frame(Split::Tune, 3, &sim::rays(64, 64), &mut image);
        let knots = crate::frame::Knots::new(prior.knots.clone()).unwrap();
        let mut truth = vec![0.0; prior.channels() * N];
        image.range.iter_mut().for_each(|r| *r /= sim::MAX_RANGE);
        knots.split(&image, &mut truth);
        prior.scale_to_known_return(&mut truth);
        let mut blurred = truth.clone();
        for (to, from) in blurred.chunks_exact_mut(64).zip(truth.chunks_exact(64)) {
            for i in 1..63 {
                to[i] = (from[i - 1] + from[i] + from[i + 1]) / 3.0;
            }
        }
        [truth, blurred]
    }

    /// How far from the truth a blurred image is after and before, with a reading missing that may be anything.
    fn improved(weights: &Unrolled) -> [f32; 2] {
        let prior = Prior::embedded().unwrap();
        let [truth, blurred] = images(&prior);
        let operator = Hadamard::variable_density(64, 64, 410, 1).unwrap();
        let mut y = vec![0.0; prior.channels() * 410];
        let mut scratch = vec![0.0; operator.scratch()];
        for (x, y) in truth.chunks_exact(N).zip(y.chunks_exact_mut(410)) {
            operator.apply(x, y, &mut scratch);
        }
        y[500] = f32::NAN;
        let given = Given {
            operator: &operator,
            norm: 1.0,
            y: &y,
            missing: &[500],
            conditions: Unrolled::conditions(0.1, 3e-4).unwrap(),
            first: &blurred,
            last: &blurred,
        };
        let mut x = blurred.clone();
        let network = Network::new(weights, (64, 64));
        network.improve(&given, &mut x, &mut Room::default());
        let distance = |x: &[f32]| {
            let squares = x.iter().zip(&truth).map(|(a, b)| (a - b).powi(2));
            squares.sum::<f32>().sqrt()
        };
        [distance(&x), distance(&blurred)]
    }

    #[test]
    fn readings_alone_bring_it_nearer_and_one_that_does_nothing_leaves_it() {
        let mut weights = Prior::embedded().unwrap().unrolled.unwrap();
        for stage in &mut weights.stages {
            stage.out.bias.fill(0.0);
            stage.out.weight = Matrix::zeros(stage.out.weight.rows(), stage.out.weight.cols());
        }
        let [after, before] = improved(&weights);
        assert!(after < 0.99 * before, "{after} {before}");
        let closed = |step: &mut Conditional| {
            step.base.fill(-1e9);
            step.slope = Matrix::zeros(step.base.len(), 2);
        };
        closed(&mut weights.step);
        weights
            .stages
            .iter_mut()
            .for_each(|stage| closed(&mut stage.step));
        let [after, before] = improved(&weights);
        assert_eq!(after, before);
    }

    #[test]
    fn none_is_used_beyond_what_it_is_trained_for() {
        assert!(Unrolled::conditions(0.25, 1e-3).is_some());
        assert_eq!(Unrolled::conditions(1.0, 1e-3), None);
        assert_eq!(Unrolled::conditions(0.1, 0.1), None);
    }
}
