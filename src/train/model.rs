//! The network as candle trains it: the encoder and the decoder that `prior` defines.

use super::adam::Parameter;
use super::pca::Principal;
use crate::prior::{Affine, Head, Matrix, Prior, TokenGrid};
use candle_core::{Device, Result, Tensor, Var};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, Normal};

/// Features per token, per block and per frame of the encoder.
const ENCODER_FEATURES: [usize; 3] = [64, 96, 192];

/// Sizes of the network.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) grid: TokenGrid,
    /// k
    pub(super) code: usize,
    /// widths of the decoder's two ReLU layers
    pub(super) hidden: [usize; 2],
}

impl Shape {
    /// J·n
    pub(super) fn outputs(&self) -> usize {
        self.grid.channels * self.grid.rows * self.grid.cols
    }
}

/// Names of the head's parameters.
pub(super) const HEAD_WEIGHT: &str = "decoder.head.weight";
pub(super) const HEAD_BIAS: &str = "decoder.head.bias";

/// Gradients of the head.
pub(super) struct HeadGradients {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

/// Everything that training changes.
pub(super) struct Model {
    shape: Shape,
    parameters: Vec<Parameter>,
}

/// A batch as the network sees it.
pub(super) struct Inputs {
    /// channels, (batch × J·n)
    pub(super) channels: Tensor,
    /// tokens, (batch·tokens × token length)
    pub(super) tokens: Tensor,
}

impl Model {
    /// The linear optimum: decoder and encoder are the principal directions, scaled to codes of unit variance; the
    /// ReLU paths end in zeros, and training only improves on it.
    pub(super) fn principal(shape: Shape, principal: &Principal, seed: u64) -> Result<Self> {
        let (k, outputs) = (shape.code, shape.outputs());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut random = |rows: usize, cols: usize| -> Result<Tensor> {
            let spread =
                Normal::new(0.0, (2.0 / cols as f32).sqrt()).map_err(candle_core::Error::wrap)?; // He et al. 2015
            let values: Vec<f32> = spread.sample_iter(&mut rng).take(rows * cols).collect();
            Tensor::from_vec(values, (rows, cols), &Device::Cpu)
        };
        let zeros = |rows: usize, cols: usize| {
            Tensor::zeros((rows, cols), candle_core::DType::F32, &Device::Cpu)
        };
        let [token, block, frame] = ENCODER_FEATURES;
        let [first, second] = shape.hidden;
        let spread: Vec<f32> = principal.variances[..k].iter().map(|v| v.sqrt()).collect();
        let directions = Tensor::from_slice(
            &principal.directions.data()[..k * outputs],
            (k, outputs),
            &Device::Cpu,
        )?;
        let spread = Tensor::from_vec(spread, (k, 1), &Device::Cpu)?;
        let project = directions.broadcast_div(&spread)?;
        let mean = Tensor::from_slice(&principal.mean, (1, outputs), &Device::Cpu)?;
        let centre = project.matmul(&mean.t()?)?.neg()?.reshape((1, k))?;
        let block_inputs = TokenGrid::tokens_per_block() * token;
        let frame_inputs = shape.grid.blocks() * block;
        let initial = [
            (
                "encoder.token.weight",
                random(token, shape.grid.token_len())?,
            ),
            ("encoder.token.bias", zeros(1, token)?),
            ("encoder.block.weight", random(block, block_inputs)?),
            ("encoder.block.bias", zeros(1, block)?),
            ("encoder.frame.weight", random(frame, frame_inputs)?),
            ("encoder.frame.bias", zeros(1, frame)?),
            ("encoder.out.weight", zeros(k, frame)?),
            ("encoder.linear.weight", project),
            ("encoder.linear.bias", centre),
            ("decoder.0.weight", random(first, k)?),
            ("decoder.0.bias", zeros(1, first)?),
            ("decoder.1.weight", random(second, first)?),
            ("decoder.1.bias", zeros(1, second)?),
            (
                HEAD_WEIGHT,
                Tensor::cat(
                    &[
                        zeros(outputs, second)?,
                        directions.broadcast_mul(&spread)?.t()?,
                    ],
                    1,
                )?,
            ),
            (HEAD_BIAS, mean),
        ];
        Self::new(shape, &initial)
    }

    /// The weights of a prior, to be trained on; `None` where they have other shapes.
    pub(super) fn of_prior(shape: Shape, prior: &Prior) -> Result<Option<Self>> {
        let (decoder, encoder) = (&prior.decoder, &prior.encoder);
        let ([first, second], Head::Affine(head)) = (decoder.layers.as_slice(), &decoder.head)
        else {
            return Ok(None);
        };
        let widths = [first.bias.len(), second.bias.len()];
        let fits = prior.token_grid() == shape.grid
            && decoder.code_len() == shape.code
            && widths == shape.hidden;
        if !fits {
            return Ok(None);
        }
        let matrix = |m: &Matrix| Tensor::from_slice(m.data(), (m.rows(), m.cols()), &Device::Cpu);
        let bias =
            |layer: &Affine| Tensor::from_slice(&layer.bias, (1, layer.bias.len()), &Device::Cpu);
        let initial = [
            ("encoder.token.weight", matrix(&encoder.token.weight)?),
            ("encoder.token.bias", bias(&encoder.token)?),
            ("encoder.block.weight", matrix(&encoder.block.weight)?),
            ("encoder.block.bias", bias(&encoder.block)?),
            ("encoder.frame.weight", matrix(&encoder.frame.weight)?),
            ("encoder.frame.bias", bias(&encoder.frame)?),
            ("encoder.out.weight", matrix(&encoder.out)?),
            ("encoder.linear.weight", matrix(&encoder.linear.weight)?),
            ("encoder.linear.bias", bias(&encoder.linear)?),
            ("decoder.0.weight", matrix(&first.weight)?),
            ("decoder.0.bias", bias(first)?),
            ("decoder.1.weight", matrix(&second.weight)?),
            ("decoder.1.bias", bias(second)?),
            (HEAD_WEIGHT, matrix(&head.weight)?),
            (HEAD_BIAS, bias(head)?),
        ];
        Self::new(shape, &initial).map(Some)
    }

    fn new(shape: Shape, initial: &[(&'static str, Tensor)]) -> Result<Self> {
        let parameters = initial
            .iter()
            .map(|(name, value)| Parameter::new(name, value))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { shape, parameters })
    }

    /// The same weights but for those `replaced`, for another shape.
    pub(super) fn replaced(
        &self,
        shape: Shape,
        replaced: &[(&'static str, Tensor)],
    ) -> Result<Self> {
        let weights = self.parameters.iter().map(|parameter| {
            let new = replaced.iter().find(|(name, _)| *name == parameter.name);
            let kept = || (parameter.name, parameter.var.as_detached_tensor());
            new.cloned().unwrap_or_else(kept)
        });
        Self::new(shape, &weights.collect::<Vec<_>>())
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The weights named `name`.
    pub(super) fn var(&self, name: &str) -> &Var {
        match self.parameters.iter().find(|p| p.name == name) {
            Some(parameter) => &parameter.var,
            None => unreachable!("{name} is a parameter of every model"),
        }
    }

    /// The affine layer `name` of `inputs`, (batch × in) → (batch × out).
    fn affine(&self, name: &str, inputs: &Tensor) -> Result<Tensor> {
        let weight = self.var(&format!("{name}.weight"));
        let bias = self.var(&format!("{name}.bias"));
        inputs.matmul(&weight.t()?)?.broadcast_add(bias)
    }

    /// Codes, (batch × k).
    pub(super) fn encode(&self, inputs: &Inputs) -> Result<Tensor> {
        let frames = inputs.channels.dim(0)?;
        let blocks = frames * self.shape.grid.blocks();
        let tokens = self
            .affine("encoder.token", &inputs.tokens)?
            .relu()?
            .reshape((blocks, ()))?;
        let blocks = self
            .affine("encoder.block", &tokens)?
            .relu()?
            .reshape((frames, ()))?;
        let frame = self.affine("encoder.frame", &blocks)?.relu()?;
        let correction = frame.matmul(&self.var("encoder.out.weight").t()?)?;
        self.affine("encoder.linear", &inputs.channels)? + correction
    }

    /// Features \[h(z); z\], (batch × (h + k)), of codes, (batch × k).
    pub(super) fn features(&self, code: &Tensor) -> Result<Tensor> {
        let first = self.affine("decoder.0", code)?.relu()?;
        let second = self.affine("decoder.1", &first)?.relu()?;
        Tensor::cat(&[&second, code], 1)
    }

    /// Channels, (batch × J·n), of features; nothing is kept for a gradient, see [`Model::head_gradients`].
    pub(super) fn head(&self, features: &Tensor) -> Result<Vec<f32>> {
        let weight = self.var(HEAD_WEIGHT).as_detached_tensor();
        let bias: Vec<f32> = self.var(HEAD_BIAS).flatten_all()?.to_vec1()?;
        let mut decoded: Vec<f32> = features
            .detach()
            .matmul(&weight.t()?)?
            .flatten_all()?
            .to_vec1()?;
        for frame in decoded.chunks_exact_mut(bias.len()) {
            frame.iter_mut().zip(&bias).for_each(|(out, b)| *out += b);
        }
        Ok(decoded)
    }

    /// What a gradient of the channels, (batch × J·n), is for the head's weight and bias. The head is affine and by far
    /// the largest layer: products, instead of a graph over every pixel.
    pub(super) fn head_gradients(
        &self,
        features: &Tensor,
        channels: &Tensor,
    ) -> Result<HeadGradients> {
        Ok(HeadGradients {
            weight: channels.t()?.matmul(&features.detach())?,
            bias: channels.sum_keepdim(0)?,
        })
    }

    /// What a gradient of the channels, (batch × J·n), is for the features, (batch × (h + k)).
    pub(super) fn feature_gradient(&self, channels: &Tensor) -> Result<Tensor> {
        channels.matmul(&self.var(HEAD_WEIGHT).as_detached_tensor())
    }
}
