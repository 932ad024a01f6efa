//! What a loss of the images that a network makes says of its weights, by going back through its layers.

use super::super::aligned::Aligned;
use super::super::planes::gradient::{add_bias, add_weights};
use super::super::planes::{Convolution, Fine, Grid, Then, Tiles, put_together, take_apart};
use super::{Back, Given, Network, Room, StageRoom};
use crate::pool::Buffer;
use crate::prior::{Affine, Conditional, Stage, Unrolled};
use crate::simd::{add_scaled, dot, kernel};

/// A network that knows the way back.
pub(crate) struct Learner {
    network: Network,
    /// of each stage
    turned: Vec<Turned>,
}

/// The layers of a stage, from outputs to inputs.
struct Turned {
    merge: Convolution,
    near: Convolution,
    down: Convolution,
    far: Convolution,
    up: Convolution,
    join: Convolution,
    out: Convolution,
}

/// What a network made on the way from one image, and what it works on on the way back.
#[derive(Default)]
pub(crate) struct Tape {
    room: Room,
    stages: Vec<Made>,
    /// the image in the end, before what is below 0 is cut off, (J·n)
    end: Vec<f32>,
    back: Back,
    errors: Errors,
}

/// What one stage made.
#[derive(Clone, Default)]
struct Made {
    layers: StageRoom,
    /// planes of the features that the next stage knows
    features: Aligned,
    /// the image, (J·n)
    x: Vec<f32>,
}

/// Gradients of what layers made, as its planes stand.
#[derive(Default)]
struct Errors {
    change: Aligned,
    features: Aligned,
    near: Aligned,
    /// by `up`, and what `down` adds
    apart: [Aligned; 2],
    far: Aligned,
    down: Aligned,
    entered: Aligned,
    merged: Aligned,
    /// of the residual, (J·n)
    residual: Vec<f32>,
    tiles: Tiles,
}

impl Tape {
    /// Images that the stages made, in turn, and the one in the end, (J·n) each, before what is below 0 is cut off.
    pub(crate) fn images(&self) -> impl Iterator<Item = &[f32]> {
        let stages = self.stages.iter().map(|made| &made.x[..]);
        stages.chain(std::iter::once(&self.end[..]))
    }
}

impl Learner {
    /// Of images of rows × cols pixels, both multiples of eight.
    pub(crate) fn new(weights: &Unrolled, size: (usize, usize)) -> Self {
        let turned = weights.stages.iter().map(|stage| Turned {
            merge: Convolution::turned(&stage.merge, 1),
            near: Convolution::turned(&stage.near.weight, 3),
            down: Convolution::turned(&stage.down.weight, 1),
            far: Convolution::turned(&stage.far.weight, 3),
            up: Convolution::turned(&stage.up.weight, 1),
            join: Convolution::turned(&stage.join.weight, 3),
            out: Convolution::turned(&stage.out.weight, 1),
        });
        Self {
            network: Network::new(weights, size),
            turned: turned.collect(),
        }
    }

    /// Runs it from an image, (J·n).
    pub(crate) fn run(&self, given: &Given<'_>, x: &[f32], tape: &mut Tape) {
        let Self { network, .. } = self;
        let room = &mut tape.room;
        let mut x = x.to_vec();
        network.begin(given, &x, room);
        tape.stages.resize(network.stages.len(), Made::default());
        for (stage, made) in network.stages.iter().zip(&mut tape.stages) {
            network.advance(stage, given, &mut x, room);
            made.layers.clone_from(&room.stage);
            made.features.clone_from(&room.features);
            made.x.clone_from(&x);
        }
        network.end(given, &mut x, room);
        tape.end = x;
    }

    /// Adds what a loss says to the gradient of the weights; `errors` are its gradients of [`Tape::images`], (J·n) each.
    pub(crate) fn go_back(
        &self,
        given: &Given<'_>,
        tape: &mut Tape,
        errors: &[Vec<f32>],
        gradient: &mut Unrolled,
    ) {
        let Self { network, turned } = self;
        let Tape {
            room,
            stages,
            back,
            errors: own,
            ..
        } = tape;
        own.enter(network, given.channels());
        let conditions = given.conditions;
        let (mut x, errors) = match errors.split_last() {
            Some((last, others)) => (last.clone(), others),
            None => return,
        };
        let steps = Steps::of(&network.step, conditions);
        own.residual = steps.along(&x);
        steps.add(&x, &room.back.residual, conditions, &mut gradient.step);
        own.features.fill(0.0);
        let layers = network.stages.iter().zip(turned).zip(&mut gradient.stages);
        let stages = stages.iter().zip(errors);
        for (((layer, turned), gradient), (made, error)) in layers.zip(stages).rev() {
            add_scaled(1.0, error, &mut x);
            given.residual_gradient(&own.residual, back);
            add_scaled(1.0, &back.residual, &mut x);
            own.layers(network, turned, made, &x, gradient);
            let (fine, image) = (network.fine, 4 * given.channels() * network.fine.len());
            add_bias_of(fine, &own.entered, conditions, &mut gradient.merge_bias);
            put_together(&own.merged[..image], fine, Fine::Image, &mut x);
            own.residual.fill(0.0);
            let residual = &own.merged[image..2 * image];
            put_together(residual, fine, Fine::Image, &mut own.residual);
            let features = &own.merged[2 * image..];
            own.features.copy_from_slice(features);
            // x here is what the step along the residual made
            let steps = Steps::of(&layer.step, conditions);
            let planes = &made.layers.merged[image..2 * image];
            let mut residual = vec![0.0; x.len()];
            put_together(planes, fine, Fine::Image, &mut residual);
            steps.add(&x, &residual, conditions, &mut gradient.step);
            add_scaled(1.0, &steps.along(&x), &mut own.residual);
        }
        let fine = network.fine;
        if let Some(first) = tape.stages.first() {
            let image = 8 * given.channels() * fine.len();
            keep_active(&first.layers.merged[image..], &mut own.features);
        }
        let errors = &own.features;
        add_weights(fine, &room.start, errors, 1, &mut gradient.first);
        add_bias_of(fine, errors, conditions, &mut gradient.first_bias);
    }
}

impl Errors {
    /// Goes back through a stage's layers from the gradient of its image; leaves those of what entered it in `merged`.
    fn layers(
        &mut self,
        network: &Network,
        turned: &Turned,
        made: &Made,
        x: &[f32],
        gradient: &mut Stage,
    ) {
        let Network { fine, coarse, .. } = *network;
        let Made {
            layers, features, ..
        } = made;
        take_apart(x, Fine::Image, fine, &mut self.change);
        learn(fine, features, &self.change, 1, &mut gradient.out);
        let mut sum = vec![0.0; self.features.len()];
        back(&turned.out, fine, &self.change, &mut sum, &mut self.tiles);
        add_scaled(1.0, &sum, &mut self.features);
        keep_active(features, &mut self.features);
        learn(fine, &layers.near, &self.features, 3, &mut gradient.join);
        back(
            &turned.join,
            fine,
            &self.features,
            &mut self.near,
            &mut self.tiles,
        );
        let [by_up, by_down] = &mut self.apart;
        take_apart(&self.near, Fine::Planes, coarse, by_up);
        learn(coarse, &layers.far, by_up, 1, &mut gradient.up);
        back(&turned.up, coarse, by_up, &mut self.far, &mut self.tiles);
        keep_active(&layers.far, &mut self.far);
        learn(coarse, &layers.down, &self.far, 3, &mut gradient.far);
        back(
            &turned.far,
            coarse,
            &self.far,
            &mut self.down,
            &mut self.tiles,
        );
        keep_active(&layers.down, &mut self.down);
        learn(coarse, &layers.apart, &self.down, 1, &mut gradient.down);
        back(&turned.down, coarse, &self.down, by_down, &mut self.tiles);
        add_scaled(1.0, by_up, by_down);
        keep_active(&layers.apart, by_down);
        self.near.fill(0.0);
        put_together(by_down, coarse, Fine::Planes, &mut self.near);
        learn(fine, &layers.entered, &self.near, 3, &mut gradient.near);
        back(
            &turned.near,
            fine,
            &self.near,
            &mut self.entered,
            &mut self.tiles,
        );
        keep_active(&layers.entered, &mut self.entered);
        add_weights(fine, &layers.merged, &self.entered, 1, &mut gradient.merge);
        back(
            &turned.merge,
            fine,
            &self.entered,
            &mut self.merged,
            &mut self.tiles,
        );
    }

    /// Makes room, once.
    fn enter(&mut self, network: &Network, channels: usize) {
        if !self.merged.is_empty() {
            return;
        }
        let Network {
            fine,
            coarse,
            features,
            coarse_features,
            ..
        } = *network;
        *self = Self {
            change: fine.planes(4 * channels),
            features: fine.planes(features),
            near: fine.planes(features),
            apart: [(); 2].map(|()| coarse.planes(4 * features)),
            far: coarse.planes(coarse_features),
            down: coarse.planes(coarse_features),
            entered: fine.planes(features),
            merged: fine.planes(8 * channels + features),
            ..Self::default()
        };
    }
}

impl Given<'_> {
    /// The gradient of x of which `residual`, (J·n), is that of Aᵀ(y − A x).
    fn residual_gradient(&self, residual: &[f32], back: &mut Back) {
        let (m, n) = self.operator.shape();
        back.left.resize(self.channels() * m, 0.0);
        back.scratch.fit(self.operator.scratch());
        back.residual.fit(self.channels() * n);
        let alone = Given {
            y: &vec![0.0; self.y.len()],
            ..*self
        };
        alone.residual(residual, back); // −AᵀA is symmetric
    }
}

/// Steps along a residual, of each channel.
struct Steps(Vec<f32>);

impl Steps {
    fn of(logits: &Conditional, conditions: [f32; 2]) -> Self {
        let logits = logits.at(conditions);
        Self(logits.iter().map(|&l| Unrolled::step_of(l)).collect())
    }

    /// The gradient of the residual, (J·n), from that of the image.
    fn along(&self, x: &[f32]) -> Vec<f32> {
        let n = x.len() / self.0.len();
        let channels = x.chunks_exact(n).zip(&self.0);
        channels
            .flat_map(|(x, step)| x.iter().map(move |x| step * x))
            .collect()
    }

    /// Adds to the gradient of the logits.
    fn add(&self, x: &[f32], residual: &[f32], conditions: [f32; 2], gradient: &mut Conditional) {
        let n = x.len() / self.0.len();
        let channels = x.chunks_exact(n).zip(residual.chunks_exact(n));
        for (g, ((x, residual), step)) in channels.zip(&self.0).enumerate() {
            let share = step / Unrolled::LONGEST_STEP;
            add_conditional(
                g,
                dot(x, residual) * step * (1.0 - share),
                conditions,
                gradient,
            );
        }
    }
}

/// Adds to the gradient of value `index` of a vector that depends on conditions.
fn add_conditional(index: usize, error: f32, conditions: [f32; 2], gradient: &mut Conditional) {
    gradient.base[index] += error;
    let slope = gradient.slope.row_mut(index);
    slope
        .iter_mut()
        .zip(conditions)
        .for_each(|(slope, condition)| *slope += condition * error);
}

fn add_bias_of(grid: Grid, error: &[f32], conditions: [f32; 2], gradient: &mut Conditional) {
    let mut bias = vec![0.0; gradient.base.len()];
    add_bias(grid, error, &mut bias);
    for (index, error) in bias.into_iter().enumerate() {
        add_conditional(index, error, conditions, gradient);
    }
}

/// Adds to the gradient of a layer.
fn learn(grid: Grid, input: &[f32], error: &[f32], side: usize, gradient: &mut Affine) {
    add_weights(grid, input, error, side, &mut gradient.weight);
    add_bias(grid, error, &mut gradient.bias);
}

/// Takes the gradient of what a layer makes back to that of what it is made of.
fn back(turned: &Convolution, grid: Grid, error: &[f32], input: &mut [f32], tiles: &mut Tiles) {
    let bias = turned.grouped(Buffer::default());
    let then = Then {
        bias: &bias,
        relu: false,
    };
    turned.apply(grid, error, then, input, tiles);
}

kernel! {
    /// Nothing passes back where a ReLU gave 0.
    fn keep_active<'a>(made: &'a [f32], error: &'a mut [f32]) {
        error.iter_mut().zip(made).for_each(|(error, made)| *error = if *made > 0.0 { *error } else { 0.0 });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{N, images};
    use super::*;
    use crate::prior::Prior;
    use crate::sensing::{Hadamard, Operator};

    /// ½‖x_T − truth‖² + ½‖x₁‖² of the embedded network on a blurred scene, and its gradient.
    #[test]
    fn the_gradient_is_that_of_differences() {
        let prior = Prior::embedded().unwrap();
        let mut weights = prior.unrolled.clone().unwrap();
        let [truth, blurred] = images(&prior);
        let operator = Hadamard::variable_density(64, 64, 410, 1).unwrap();
        let mut y = vec![0.0; prior.channels() * 410];
        let mut scratch = vec![0.0; operator.scratch()];
        for (x, y) in truth.chunks_exact(N).zip(y.chunks_exact_mut(410)) {
            operator.apply(x, y, &mut scratch);
        }
        let given = Given {
            operator: &operator,
            norm: 1.0,
            y: &y,
            missing: &[500],
            conditions: Unrolled::conditions(0.1, 3e-4).unwrap(),
            first: &blurred,
            last: &truth,
        };
        let mut tape = Tape::default();
        let mut loss = |weights: &Unrolled, gradient: Option<&mut Unrolled>| {
            let learner = Learner::new(weights, (64, 64));
            learner.run(&given, &blurred, &mut tape);
            let images: Vec<Vec<f32>> = tape.images().map(<[f32]>::to_vec).collect();
            let last = images.len() - 1;
            let energy = |v: &[f32]| v.iter().map(|v| f64::from(v * v)).sum::<f64>();
            let mut errors = vec![vec![0.0; truth.len()]; images.len()];
            errors[0] = images[0].clone();
            let end = images[last].iter().zip(&truth);
            errors[last] = end.map(|(x, truth)| x - truth).collect();
            if let Some(gradient) = gradient {
                learner.go_back(&given, &mut tape, &errors, gradient);
            }
            0.5 * energy(&errors[0]) + 0.5 * energy(&errors[last])
        };
        let mut gradient = weights.zeroed();
        let whole = loss(&weights, Some(&mut gradient));
        let parts = gradient.parts_mut().into_iter().map(|part| part.to_vec());
        for (index, gradient) in parts.collect::<Vec<_>>().into_iter().enumerate() {
            // along the gradient of each part by itself
            let length = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
            assert!(length > 0.0, "part {index}");
            let step = (1e-3 * whole as f32 / length).min(1e-3); // as far as makes a difference, and few ReLUs change
            let mut at = |step: f32| {
                let change = |weights: &mut Unrolled, step: f32| {
                    let mut parts = weights.parts_mut();
                    add_scaled(step / length, &gradient, parts[index]);
                };
                let before = weights.clone();
                change(&mut weights, step);
                let value = loss(&weights, None);
                weights = before;
                value
            };
            let difference = (at(step) - at(-step)) / f64::from(2.0 * step);
            let rounding = 3e-7 * whole / f64::from(2.0 * step);
            assert!(
                (difference - f64::from(length)).abs() < 0.03 * f64::from(length) + rounding,
                "part {index}: {difference} {length}"
            );
        }
    }

    #[test]
    fn room_is_made_anew_for_a_network_of_another_size() {
        let prior = Prior::embedded().unwrap();
        let [truth, blurred] = images(&prior);
        let operator = Hadamard::variable_density(64, 64, 410, 1).unwrap();
        let given = Given {
            operator: &operator,
            norm: 1.0,
            y: &vec![0.1; prior.channels() * 410],
            missing: &[],
            conditions: Unrolled::conditions(0.1, 3e-4).unwrap(),
            first: &blurred,
            last: &truth,
        };
        let mut kept = Room::default();
        for features in [(8, 12), (24, 64), (8, 12)] {
            let weights = Unrolled::untrained(prior.channels(), 1, features, 1);
            let network = Network::new(&weights, (64, 64));
            let [with_kept, with_new] = [&mut kept, &mut Room::default()].map(|room| {
                let mut x = blurred.clone();
                network.improve(&given, &mut x, room);
                x
            });
            assert_ne!(with_new, blurred);
            assert_eq!(with_kept, with_new);
        }
    }
}
