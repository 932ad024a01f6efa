//! The layers of the networks, and the decoder that recovery inverts.

use super::matrix::Matrix;
use crate::pool::Buffer;
use crate::simd::add_columns;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// An affine layer: W v + b.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Affine {
    /// W, (out × in)
    pub weight: Matrix,
    /// b, (out)
    pub bias: Vec<f32>,
}

impl Affine {
    /// W v + b, (out), of `v`, (in).
    pub fn apply(&self, v: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.bias.len()];
        self.apply_into(v, &mut out);
        out
    }

    /// max(0, W v + b), (out), of `v`, (in).
    pub fn relu(&self, v: &[f32]) -> Vec<f32> {
        let mut out = self.apply(v);
        out.iter_mut().for_each(|out| *out = out.max(0.0));
        out
    }

    fn apply_into(&self, v: &[f32], out: &mut [f32]) {
        self.weight.apply(v, out);
        out.iter_mut()
            .zip(&self.bias)
            .for_each(|(out, b)| *out += b);
    }
}

/// What follows the last ReLU layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Head {
    /// x = W_d \[h; z\] + b: affine in the features and in the code itself; weight (J·n × (h + k))
    Affine(Affine),
    /// x = h: the theory's networks end in a ReLU
    Identity,
}

/// A ReLU decoder G: code → image, (k) → (J·n).
///
/// Split where recovery splits it: `features` φ(z) = \[h(z); z\] (or h alone) is nonlinear and small, the head is affine
/// and touches pixels. J, n, k as everywhere; H is the number of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoder {
    /// affine layers, each followed by a ReLU; at least one
    pub layers: Vec<Affine>,
    /// what follows them
    pub head: Head,
}

/// The decoder's state at one code, and the room to linearise it.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    layers: Buffer<Buffer<f32>>,
    features: Buffer<f32>,
    active: [Buffer<usize>; 2],
    jacobian: [Buffer<f32>; 2],
    gathered: Buffer<f32>,
}

impl Activations {
    /// φ, (H), where it was last evaluated.
    pub fn features(&self) -> &[f32] {
        &self.features
    }
}

/// ∂h/∂z at one code: the rows of the ReLUs that are on; all others are zero.
#[derive(Clone, Copy, Debug)]
pub struct Jacobian<'a> {
    /// features whose ReLU is on, ascending
    pub active: &'a [usize],
    /// their derivatives, (active × k)
    pub rows: MatRef<'a, f32>,
}

impl Decoder {
    /// k
    pub fn code_len(&self) -> usize {
        self.layers[0].weight.cols()
    }

    /// Width of the last ReLU layer, h.
    pub fn hidden_len(&self) -> usize {
        self.layers[self.layers.len() - 1].bias.len()
    }

    /// H: h, and k more where the head sees the code.
    pub fn feature_len(&self) -> usize {
        match &self.head {
            Head::Affine(head) => head.weight.cols(),
            Head::Identity => self.hidden_len(),
        }
    }

    /// J·n
    pub fn output_len(&self) -> usize {
        match &self.head {
            Head::Affine(head) => head.bias.len(),
            Head::Identity => self.hidden_len(),
        }
    }

    /// Evaluates φ at `code`, (k).
    pub fn evaluate(&self, code: &[f32], at: &mut Activations) {
        self.evaluate_by(code, at, |layer, v, out| {
            self.layers[layer].apply_into(v, out);
        });
    }

    /// The same by the layers' transposed weights, (in × out) each: what ReLUs hold at 0 is not multiplied.
    pub(crate) fn evaluate_turned(&self, turned: &[Matrix], code: &[f32], at: &mut Activations) {
        self.evaluate_by(code, at, |layer, v, out| {
            out.copy_from_slice(&self.layers[layer].bias);
            let columns = v.iter().enumerate();
            add_columns(columns.map(|(c, &v)| (v, turned[layer].row(c))), out);
        });
    }

    fn evaluate_by(
        &self,
        code: &[f32],
        at: &mut Activations,
        affine: impl Fn(usize, &[f32], &mut [f32]),
    ) {
        at.layers.resize(self.layers.len(), Buffer::default());
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, here) = at.layers.split_at_mut(index);
            let out = &mut here[0];
            out.resize(layer.bias.len(), 0.0);
            affine(index, before.last().map_or(code, |below| below), out);
            out.iter_mut().for_each(|v| *v = v.max(0.0));
        }
        at.features.clear();
        at.features.reserve(self.feature_len());
        at.features
            .extend_from_slice(&at.layers[self.layers.len() - 1]);
        if matches!(self.head, Head::Affine(_)) {
            at.features.extend_from_slice(code);
        }
    }

    /// G(code), (J·n), into `image`.
    pub fn decode(&self, code: &[f32], at: &mut Activations, image: &mut [f32]) {
        self.evaluate(code, at);
        match &self.head {
            Head::Affine(head) => head.apply_into(&at.features, image),
            Head::Identity => image.copy_from_slice(&at.features),
        }
    }

    /// ∂h/∂z where φ was last evaluated: D_{d−1}W_{d−1}⋯D₁W₁, of which inactive rows and columns are never multiplied.
    pub fn jacobian<'a>(&self, at: &'a mut Activations) -> Jacobian<'a> {
        let k = self.code_len();
        let Activations {
            layers,
            active,
            jacobian,
            gathered,
            ..
        } = at;
        let [on, next_on] = active;
        let [rows, next_rows] = jacobian;
        active_units(&layers[0], on);
        rows.reserve(layers[0].len() * k); // as much as any code can need
        rows.resize(on.len() * k, 0.0);
        for (row, &unit) in on.iter().enumerate() {
            let weights = self.layers[0].weight.row(unit);
            weights
                .iter()
                .enumerate()
                .for_each(|(c, &w)| rows[c * on.len() + row] = w);
        }
        for (layer, output) in self.layers.iter().zip(layers.iter()).skip(1) {
            active_units(output, next_on);
            gathered.clear();
            gathered.reserve(output.len() * layer.weight.cols());
            for &unit in next_on.iter() {
                let weights = layer.weight.row(unit);
                gathered.extend(on.iter().map(|&from| weights[from]));
            }
            next_rows.reserve(output.len() * k);
            next_rows.resize(next_on.len() * k, 0.0);
            matmul(
                MatMut::from_column_major_slice_mut(next_rows, next_on.len(), k),
                Accum::Replace,
                MatRef::from_row_major_slice(gathered, next_on.len(), on.len()),
                MatRef::from_column_major_slice(rows, on.len(), k),
                1.0,
                Par::Seq,
            );
            std::mem::swap(on, next_on);
            std::mem::swap(rows, next_rows);
        }
        Jacobian {
            active: on,
            rows: MatRef::from_column_major_slice(rows, on.len(), k),
        }
    }

    /// (∂φ/∂z)ᵀ v, (k), of `v`, (H), where φ was last evaluated.
    pub fn pull_back(&self, at: &Activations, v: &[f32]) -> Buffer<f32> {
        let (v, direct) = v.split_at(self.hidden_len());
        let mut v = Buffer::from(v);
        for (layer, output) in self.layers.iter().zip(at.layers.iter()).rev() {
            v.iter_mut()
                .zip(output.iter())
                .filter(|(_, out)| **out <= 0.0)
                .for_each(|(v, _)| *v = 0.0);
            let mut below = Buffer::zeros(layer.weight.cols());
            layer.weight.apply_transposed(&v, &mut below);
            v = below;
        }
        v.iter_mut().zip(direct).for_each(|(v, d)| *v += d);
        v
    }

    /// The same decoder over whitened codes: z = mean + factor·u is folded into its first layer and its head.
    ///
    /// `mean` is (k), `factor` (k × k).
    pub fn whitened(&self, mean: &[f32], factor: &Matrix) -> Self {
        let head = match (&self.head, self.whitened_head(mean, factor)) {
            (Head::Affine(head), Some(Affine { weight: code, bias })) => {
                let mut weight = head.weight.clone();
                for r in 0..weight.rows() {
                    weight.row_mut(r)[self.hidden_len()..].copy_from_slice(code.row(r));
                }
                Head::Affine(Affine { weight, bias })
            }
            _ => Head::Identity,
        };
        Self {
            layers: self.whitened_layers(mean, factor),
            head,
        }
    }

    /// The layers of [`Decoder::whitened`].
    pub(crate) fn whitened_layers(&self, mean: &[f32], factor: &Matrix) -> Vec<Affine> {
        let mut layers = self.layers.clone();
        layers[0] = fold(layers[0].weight.view(), &layers[0].bias, mean, factor);
        layers
    }

    /// What [`Decoder::whitened`] changes of the head: its weights of the code, (J·n × k), and its bias; `None` where it has
    /// none.
    pub(crate) fn whitened_head(&self, mean: &[f32], factor: &Matrix) -> Option<Affine> {
        let Head::Affine(head) = &self.head else {
            return None;
        };
        let code = head
            .weight
            .view()
            .subcols(self.hidden_len(), self.code_len());
        Some(fold(code, &head.bias, mean, factor))
    }
}

/// W (mean + factor·u) + b as a layer of u.
fn fold(weight: MatRef<'_, f32>, bias: &[f32], mean: &[f32], factor: &Matrix) -> Affine {
    let mut moved = bias.to_vec();
    matmul(
        MatMut::from_column_major_slice_mut(&mut moved, bias.len(), 1),
        Accum::Add,
        weight,
        MatRef::from_column_major_slice(mean, mean.len(), 1),
        1.0,
        Par::Seq,
    );
    Affine {
        weight: Matrix::of_product(weight, factor),
        bias: moved,
    }
}

fn active_units(output: &[f32], active: &mut Buffer<usize>) {
    active.clear();
    active.reserve(output.len());
    let on = output.iter().enumerate().filter(|(_, v)| **v > 0.0);
    active.extend(on.map(|(unit, _)| unit));
}
