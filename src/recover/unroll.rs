//! An unrolled network: learnt steps from a refined image on, each along the residual of the readings and then through a small
//! network (Gregor & LeCun 2010; Adler & Öktem 2018). It draws what is likely: what its image leaves of
//! the readings may be many times their noise.

use super::aligned::Aligned;
use super::planes::{Convolution, Fine, Grid, Then, Tiles, put_together, take_apart};
use super::track::without_into;
use crate::pool::Buffer;
use crate::prior::{Affine, Conditional, Stage, Unrolled};
use crate::sensing::Operator;

#[cfg(feature = "train")]
pub(crate) mod gradient;

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
    bias: Buffer<f32>,
}

impl Layer {
    fn new(affine: &Affine, side: usize) -> Self {
        let convolution = Convolution::new(&affine.weight, side);
        let bias = convolution.grouped(affine.bias[..].into());
        Self { convolution, bias }
    }

    fn then(&self, relu: bool) -> Then<'_> {
        Then {
            bias: &self.bias,
            relu,
        }
    }

    fn apply(&self, grid: Grid, input: &[f32], output: &mut [f32], tiles: &mut Tiles) {
        self.convolution
            .apply(grid, input, self.then(false), output, tiles);
    }

    fn relu(&self, grid: Grid, input: &[f32], output: &mut [f32], tiles: &mut Tiles) {
        self.convolution
            .apply(grid, input, self.then(true), output, tiles);
    }
}

/// What a network goes by beside the image.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) operator: &'a dyn Operator,
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
    back: Back,
    /// of the network that it has room for: fine planes, channels, fine and coarse features
    sizes: (Grid, [usize; 3]),
    /// planes of image, residual, x₀ and the frame before
    start: Aligned,
    /// planes of the features of the stage before
    features: Aligned,
    stage: StageRoom,
    tiles: Tiles,
}

impl Room {
    /// Aᵀ of what the image in the end, but for the last step, misses of the readings, (J·n).
    pub(super) fn residual(&self) -> &[f32] {
        &self.back.residual
    }
}

/// What readings are held against.
#[derive(Clone, Debug, Default)]
struct Back {
    /// AᵀA of what the image misses, (J·n)
    residual: Aligned,
    /// what it leaves of the readings, (J·m)
    left: Vec<f32>,
    scratch: Aligned,
}

/// What the layers of a stage make.
#[derive(Clone, Debug, Default)]
struct StageRoom {
    /// planes of image, residual and the features of the stage before
    merged: Aligned,
    /// planes of fine features, by `merge`
    entered: Aligned,
    /// planes of fine features, by `near`, and what `up` adds
    near: Aligned,
    /// planes of fine features, by `near`, taken apart
    apart: Aligned,
    /// planes of coarse features, by `down` and by `far`
    down: Aligned,
    far: Aligned,
    /// planes of fine features, taken apart, by `up`
    up: Aligned,
    /// planes of what is added to the image
    change: Aligned,
}

impl Network {
    /// Of images of rows × cols pixels, both multiples of eight.
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
        self.begin(given, x, room);
        for stage in &self.stages {
            self.advance(stage, given, x, room);
        }
        self.end(given, x, room);
        x.iter_mut().for_each(|x| *x = x.max(0.0));
    }

    /// The features before the first stage.
    fn begin(&self, given: &Given<'_>, x: &[f32], room: &mut Room) {
        self.enter(given, room);
        given.residual(x, &mut room.back);
        let parts = [x, &room.back.residual, given.first, given.last];
        let planes = room
            .start
            .chunks_exact_mut(4 * given.channels() * self.fine.len());
        for (part, planes) in parts.into_iter().zip(planes) {
            take_apart(part, Fine::Image, self.fine, planes);
        }
        let bias = self.first_bias.at(given.conditions);
        let then = Then {
            bias: &self.first.grouped(bias),
            relu: true,
        };
        let (features, tiles) = (&mut room.features, &mut room.tiles);
        self.first
            .apply(self.fine, &room.start, then, features, tiles);
    }

    /// One stage: a step along the residual, and one of the network.
    fn advance(&self, stage: &StageLayers, given: &Given<'_>, x: &mut [f32], room: &mut Room) {
        let Self { fine, coarse, .. } = *self;
        let Room {
            back,
            features,
            stage: own,
            tiles,
            ..
        } = room;
        step(&stage.step.at(given.conditions), &back.residual, x);
        let image = 4 * given.channels() * fine.len(); // of its planes
        take_apart(x, Fine::Image, fine, &mut own.merged[..image]);
        let residual = &mut own.merged[image..2 * image];
        take_apart(&back.residual, Fine::Image, fine, residual);
        own.merged[2 * image..].copy_from_slice(features);
        let bias = stage.merge_bias.at(given.conditions);
        let then = Then {
            bias: &stage.merge.grouped(bias),
            relu: true,
        };
        stage
            .merge
            .apply(fine, &own.merged, then, &mut own.entered, tiles);
        stage.near.relu(fine, &own.entered, &mut own.near, tiles);
        take_apart(&own.near, Fine::Planes, coarse, &mut own.apart);
        stage.down.relu(coarse, &own.apart, &mut own.down, tiles);
        stage.far.relu(coarse, &own.down, &mut own.far, tiles);
        stage.up.apply(coarse, &own.far, &mut own.up, tiles);
        put_together(&own.up, coarse, Fine::Planes, &mut own.near);
        stage.join.relu(fine, &own.near, features, tiles);
        stage.out.apply(fine, features, &mut own.change, tiles);
        put_together(&own.change, fine, Fine::Image, x);
        given.residual(x, back);
    }

    /// The last step along the residual.
    fn end(&self, given: &Given<'_>, x: &mut [f32], room: &Room) {
        step(&self.step.at(given.conditions), &room.back.residual, x);
    }

    /// Makes room, once for each size of network.
    fn enter(&self, given: &Given<'_>, room: &mut Room) {
        let (m, n) = given.operator.shape();
        let (channels, features) = (given.channels(), self.features);
        let back = &mut room.back;
        back.left.resize(channels * m, 0.0);
        back.scratch.fit(given.operator.scratch());
        back.residual.fit(channels * n);
        let sizes = (self.fine, [channels, features, self.coarse_features]);
        if room.sizes != sizes {
            room.sizes = sizes;
            room.start = self.fine.planes(16 * channels);
            room.features = self.fine.planes(features);
            room.stage = StageRoom {
                merged: self.fine.planes(8 * channels + features),
                entered: self.fine.planes(features),
                near: self.fine.planes(features),
                apart: self.coarse.planes(4 * features),
                down: self.coarse.planes(self.coarse_features),
                far: self.coarse.planes(self.coarse_features),
                up: self.coarse.planes(4 * features),
                change: self.fine.planes(4 * channels),
            };
        }
    }
}

impl Given<'_> {
    /// J
    fn channels(&self) -> usize {
        self.first.len() / self.operator.shape().1
    }

    /// Aᵀ(y − A x) over the largest singular value of A squared.
    fn residual(&self, x: &[f32], back: &mut Back) {
        let (m, n) = self.operator.shape();
        without_into(self.operator, x, self.y, &mut back.left, &mut back.scratch);
        let missing = self.missing.iter();
        missing.for_each(|&i| back.left[i as usize] = 0.0);
        let channels = back.left.chunks_exact(m);
        for (left, residual) in channels.zip(back.residual.chunks_exact_mut(n)) {
            self.operator.adjoint(left, residual, &mut back.scratch);
        }
        let scale = 1.0 / self.norm.max(f32::MIN_POSITIVE);
        back.residual.iter_mut().for_each(|r| *r *= scale);
    }
}

/// x ← x + η r, with a step for each channel.
fn step(logits: &[f32], residual: &[f32], x: &mut [f32]) {
    let n = x.len() / logits.len();
    let channels = x.chunks_exact_mut(n).zip(residual.chunks_exact(n));
    for ((x, residual), logit) in channels.zip(logits) {
        let step = Unrolled::step_of(*logit);
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

    pub(super) const N: usize = 4096;

    /// A scene at the return that the prior knows, blurred along its rows.
    pub(super) fn images(prior: &Prior) -> [Vec<f32>; 2] {
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
