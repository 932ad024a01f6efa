//! What recovery needs of a prior, folded once.

use super::brightness::Brightness;
use super::columns::Columns;
use super::error::TrackerError;
use super::fingerprint::fingerprint;
use super::linear::FrameMoments;
use super::rest::Rest;
use super::unroll::Network;
use super::view::Shared;
use crate::pool::Buffer;
use crate::prior::{Activations, Affine, Decoder, Head, Matrix, Prior, SecondMoments};
use crate::sensing::SensorDescription;
use crate::simd::kernel;
use faer::Mat;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Random codes whose features tell what readings can show.
const SAMPLES: usize = 1024;

/// How the representation error enters the estimate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorModel {
    /// along its leading directions, as unknowns c beside the code, and as a correlated field beyond them
    #[default]
    Directions,
    /// as white noise of the same mean variance in each channel: what one does without knowing better
    White,
}

/// A generator and its error, x = G(u) + ē + E c + rest, as the solver sees it.
///
/// The unknowns are v = (u, c), both with prior N(0, I): c is scaled by Λ^½. Every column of the head and of E is an
/// image of J·n values: patterns are applied to images, and rendering adds up images.
#[derive(Debug)]
pub struct Model {
    pub(super) decoder: Decoder,
    /// its layers' weights, transposed
    turned: Vec<Matrix>,
    /// a factor F of φ's second moments E\[φ φᵀ\] = F Fᵀ, (H × any), where codes have a distribution
    pub(super) features: Option<Mat<f32>>,
    /// images of the H features
    pub(super) head: Columns,
    /// E·Λ^½, q images
    pub(super) error: Columns,
    /// b, (J·n)
    pub(super) bias: Vec<f32>,
    /// ē, (J·n)
    pub(super) mean_error: Vec<f32>,
    /// covariance of the rest
    pub(super) rest: Rest,
    /// J
    channels: usize,
    /// rows and columns of pixels
    pub(super) grid: (usize, usize),
    /// knots of the channels, relative to κ_J, (J)
    pub(super) knots: Vec<f32>,
    /// root mean square over all pixels of the return of the frames that the model knows
    pub(super) rms_return: f32,
    /// what the linear estimate of u is made from, where there is anything
    pub(super) moments: Option<FrameMoments>,
    /// what refines images after total variation, where the prior has learnt it
    pub(super) network: Option<Network>,
    /// tells models of priors apart
    pub(super) fingerprint: u64,
    /// what pattern sets make of it, while trackers have them
    pub(super) views: Shared,
}

impl Model {
    /// The model of a trained prior. One that is given away, and not borrowed, is let go of part by part, so that at no time
    /// both are held whole.
    pub fn new<'a>(prior: impl Into<Cow<'a, Prior>>, error: ErrorModel) -> Self {
        let mut prior = prior.into();
        let moments = FrameMoments::new(&prior.moments);
        let_go(&mut prior, |prior| prior.moments = SecondMoments::default());
        let (error, rest) = Self::error(&prior, error);
        let_go(&mut prior, |prior| {
            prior.error.directions = Matrix::default();
        });
        let whitened = prior
            .decoder
            .whitened_head(&prior.code.mean, &prior.code.factor);
        let layers = prior
            .decoder
            .whitened_layers(&prior.code.mean, &prior.code.factor);
        let generator = Self::generator(&prior.decoder.head, layers, whitened);
        let_go(&mut prior, |prior| prior.decoder.head = Head::Identity);
        let grid = (prior.rows, prior.cols);
        let network = prior.unrolled.as_ref();
        let mut model = Self {
            features: Some(generator.feature_factor()),
            mean_error: prior.error.mean.clone(),
            rms_return: prior.rms_return,
            moments: Some(moments),
            error,
            rest,
            channels: prior.channels(),
            grid,
            knots: prior.knots.clone(),
            network: network.map(|weights| Network::new(weights, grid)),
            ..generator
        };
        model.fingerprint = fingerprint(&model);
        model
    }

    /// E·Λ^½ of a prior's error, and the rest.
    fn error(prior: &Prior, error: ErrorModel) -> (Columns, Rest) {
        let (channels, cols) = (prior.channels(), prior.cols);
        let directions = &prior.error.directions;
        let spreads: Vec<f32> = prior.error.variances.iter().map(|v| v.sqrt()).collect();
        let mut remainder = prior.error.remainder.clone();
        let (rest, count) = match error {
            ErrorModel::Directions => {
                let correlation = &prior.error.correlation;
                let correlation =
                    (0..channels).map(|g| [correlation.row(g)[0], correlation.row(g)[1]]);
                let rest = Rest::new(remainder, correlation.collect(), cols);
                (rest, directions.rows())
            }
            ErrorModel::White => {
                for (q, variance) in prior.error.variances.iter().enumerate() {
                    remainder
                        .iter_mut()
                        .zip(directions.row(q))
                        .for_each(|(rest, e)| *rest += variance * e * e);
                }
                for channel in remainder.chunks_exact_mut(prior.pixels()) {
                    let mean = channel.iter().sum::<f32>() / channel.len() as f32;
                    channel.fill(mean);
                }
                (Rest::white(remainder, channels, cols), 0)
            }
        };
        let units = (0..count).map(|q| eight_bits_of(directions.row(q)) * spreads[q]);
        let stored = (vec![1.0; prior.decoder.output_len()], units.collect());
        let columns = Columns::stored(stored, count, |i, values| {
            let values = values.iter_mut().enumerate();
            values.for_each(|(q, v)| *v = directions.row(q)[i] * spreads[q]);
        });
        (columns, rest)
    }

    /// Whether it can recover what a sensor measures.
    ///
    /// # Errors
    /// Where the prior is of another grid or other knots.
    pub fn check(&self, description: &SensorDescription) -> Result<(), TrackerError> {
        let (expected, got) = (self.grid, (description.rows, description.cols));
        if expected != got {
            return Err(TrackerError::Grid { expected, got });
        }
        let got = description.knots.relative();
        let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
        if got.len() != self.knots.len() || !got.iter().zip(&self.knots).all(near) {
            return Err(TrackerError::Knots {
                expected: self.knots.clone(),
                got,
            });
        }
        Ok(())
    }

    /// [`Model::features`]: of random codes, the same ones always; no wider than high.
    fn feature_factor(&self) -> Mat<f32> {
        let mut at = Activations::default();
        let mut normal = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(0));
        let mut samples = Mat::zeros(self.feature_len(), SAMPLES);
        for s in 0..SAMPLES {
            let code: Vec<f32> = normal.by_ref().take(self.code_len()).collect();
            self.evaluate(&code, &mut at);
            samples.col_as_slice_mut(s).copy_from_slice(at.features());
        }
        samples *= faer::Scale((SAMPLES as f32).sqrt().recip());
        if SAMPLES <= self.feature_len() {
            return samples;
        }
        samples.transpose().qr().thin_R().transpose().to_owned()
    }

    /// A generator without error and without statistics: the theory's setting.
    pub fn exact(decoder: Decoder) -> Self {
        let Decoder { layers, head } = decoder;
        Self::generator(&head, layers, None)
    }

    /// A generator alone; `whitened` are the head's weights of the code, (J·n × k), and its bias, where these are not its own.
    fn generator(head: &Head, layers: Vec<Affine>, whitened: Option<Affine>) -> Self {
        let hidden = layers.last().map_or(0, |layer| layer.bias.len());
        let (columns, bias, kind) = match head {
            Head::Affine(own) => {
                let (rows, cols) = (own.weight.rows(), own.weight.cols());
                let steps = (0..rows).map(|i| eight_bits_of(own.weight.row(i)));
                let stored = (steps.collect(), vec![1.0; hidden]);
                let columns = Columns::stored(stored, cols, |i, values| {
                    values.copy_from_slice(own.weight.row(i));
                    if let Some(whitened) = &whitened {
                        values[hidden..].copy_from_slice(whitened.weight.row(i));
                    }
                });
                let bias = whitened.as_ref().unwrap_or(own).bias.clone();
                (columns, bias, Head::Affine(Affine::default()))
            }
            Head::Identity => {
                let columns = Columns::new(hidden, hidden, |i, values| {
                    values.fill(0.0);
                    values[i] = 1.0;
                });
                (columns, vec![0.0; hidden], Head::Identity)
            }
        };
        let outputs = bias.len();
        Self {
            turned: layers
                .iter()
                .map(|layer| layer.weight.transposed())
                .collect(),
            decoder: Decoder { layers, head: kind }, // its weights live in the columns
            features: None,
            head: columns,
            error: Columns::new(0, outputs, |_, _| ()),
            mean_error: vec![0.0; outputs],
            rest: Rest::white(vec![0.0; outputs], 1, outputs),
            bias,
            channels: 1,
            grid: (1, outputs),
            knots: vec![1.0],
            rms_return: 1.0,
            moments: None,
            network: None,
            fingerprint: 0,
            views: Shared::default(),
        }
    }

    /// What a frame's returns are divided by to be those that the model knows.
    pub(super) fn scale(&self, brightness: Brightness) -> f32 {
        brightness.rms / self.rms_return
    }

    /// k, length of the code u.
    pub fn code_len(&self) -> usize {
        self.decoder.code_len()
    }

    /// H, number of features that the head sees.
    pub fn feature_len(&self) -> usize {
        self.head.count()
    }

    /// Bytes of the images of all features.
    pub fn image_bytes(&self) -> usize {
        self.head.bytes()
    }

    /// Bytes of the images that rendering x₀ adds up at `code` u, (k): of features that are not 0, and of all error directions.
    ///
    /// # Panics
    /// Where `code` is not k long.
    pub fn rendered_bytes(&self, code: &[f32]) -> usize {
        let mut at = Activations::default();
        self.evaluate(code, &mut at);
        self.head.bytes_read(at.features()) + self.error.bytes()
    }

    /// q, number of error directions.
    pub fn error_len(&self) -> usize {
        self.error.count()
    }

    /// k + q, length of the state v = (u, c).
    pub fn state_len(&self) -> usize {
        self.code_len() + self.error_len()
    }

    /// J·n
    pub fn output_len(&self) -> usize {
        self.bias.len()
    }

    /// The mean of x over the unknowns' linear part, b + ē, (J·n).
    pub(super) fn offset(&self) -> Vec<f32> {
        self.bias
            .iter()
            .zip(&self.mean_error)
            .map(|(b, e)| b + e)
            .collect()
    }

    /// Evaluates the features φ at `code` u, (k).
    pub(super) fn evaluate(&self, code: &[f32], at: &mut Activations) {
        self.decoder.evaluate_turned(&self.turned, code, at);
    }

    /// G(u), (J·n), of a state v = (u, c); only columns that count are read.
    ///
    /// # Panics
    /// Where `state` is not k + q long or `x` not J·n.
    pub(super) fn generate(&self, state: &[f32], at: &mut Activations, x: &mut [f32]) {
        assert_eq!(state.len(), self.state_len(), "k + q");
        self.evaluate(&state[..self.code_len()], at);
        x.copy_from_slice(&self.bias);
        self.head.add(at.features(), x);
    }

    /// ē + E c, (J·n), of a state v = (u, c).
    pub(super) fn correct(&self, state: &[f32], correction: &mut [f32]) {
        correction.copy_from_slice(&self.mean_error);
        self.error.add(&state[self.code_len()..], correction);
    }

    /// x = G(u) + w∘correction, where `x` holds G(u).
    ///
    /// Errors grow with the light: E, Λ and ψ are those of bright pixels, and in a dark one their sum would drown the
    /// range. So each pixel takes them in by w = s²/(s² + s₀²) of its own return s in G(u), where s₀ is
    /// `half_trust`. Returns w, (n).
    pub(super) fn take_in(
        &self,
        correction: &[f32],
        half_trust: f32,
        x: &mut [f32],
    ) -> Buffer<f32> {
        let mut trust = Buffer::zeros(x.len() / self.channels);
        take_in(correction, half_trust * half_trust, x, &mut trust);
        trust
    }

    /// Variance of x that `draws` of v − v̂ about a state v̂, (k + q), show, where each pixel takes in E c by `trust`, (n): of
    /// the pixels of each channel that the images of features and errors, (H × any) and (q × any), show.
    pub(super) fn variance(
        &self,
        [head, error]: &[Matrix; 2],
        state: &[f32],
        draws: &[f32],
        trust: &[f32],
    ) -> Vec<f32> {
        let moved = self.moved(state, draws);
        let (features, errors) = moved.as_ref().split_at_row(self.feature_len());
        let code = head.view().transpose() * features;
        let error = error.view().transpose() * errors;
        let mut variance = vec![0.0; head.cols()];
        for d in 0..moved.ncols() {
            let parts = code.col_as_slice(d).iter().zip(error.col_as_slice(d));
            let pixels = trust.iter().cycle();
            for ((variance, (code, error)), w) in variance.iter_mut().zip(parts).zip(pixels) {
                *variance += (code + w * error).powi(2) / moved.ncols() as f32;
            }
        }
        variance
    }

    /// What each of `draws` of v − v̂ moves the features and c by, (H + q × any).
    fn moved(&self, state: &[f32], draws: &[f32]) -> Mat<f32> {
        let (k, features) = (self.code_len(), self.feature_len());
        let mut at = Activations::default();
        self.evaluate(&state[..k], &mut at);
        let here = at.features().to_vec();
        let count = draws.len() / state.len();
        let mut moved = Mat::zeros(features + self.error_len(), count);
        for (d, draw) in draws.chunks_exact(state.len()).enumerate() {
            let code: Vec<f32> = state.iter().zip(&draw[..k]).map(|(u, d)| u + d).collect();
            self.evaluate(&code, &mut at);
            let column = moved.col_as_slice_mut(d);
            let there = at.features().iter().zip(&here);
            let features = column.iter_mut().zip(there);
            features.for_each(|(moved, (there, here))| *moved = there - here);
            column[self.feature_len()..].copy_from_slice(&draw[k..]);
        }
        moved
    }
}

/// Lets go of what is done with of a prior that was given away.
fn let_go(prior: &mut Cow<'_, Prior>, part: impl FnOnce(&mut Prior)) {
    if let Cow::Owned(prior) = prior {
        part(prior);
    }
}

kernel! {
    /// See [`Model::take_in`]; `half` is s₀².
    fn take_in<'a>(correction: &'a [f32], half: f32, x: &'a mut [f32], trust: &'a mut [f32]) {
        let pixels = trust.len();
        for channel in x.chunks_exact(pixels) {
            let values = trust.iter_mut().zip(channel);
            values.for_each(|(sum, x)| *sum += if *x > 0.0 { *x } else { 0.0 });
        }
        trust.iter_mut().for_each(|s| *s = *s * *s / (*s * *s + half).max(f32::MIN_POSITIVE));
        let channels = x.chunks_exact_mut(pixels).zip(correction.chunks_exact(pixels));
        for (x, correction) in channels {
            let values = x.iter_mut().zip(correction).zip(trust.iter());
            values.for_each(|((x, correction), w)| *x += w * correction);
        }
    }
}

/// What a step of a row of values is where it is stored in eight bits.
pub(super) fn eight_bits_of(row: &[f32]) -> f32 {
    row.iter().fold(0.0f32, |most, v| most.max(v.abs())) / f32::from(i8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prior_given_away_makes_the_same_model() {
        let prior = Prior::embedded().unwrap();
        let [borrowed, given] = [Cow::Borrowed(&prior), Cow::Owned(prior.clone())]
            .map(|prior| Model::new(prior, ErrorModel::Directions));
        assert_eq!(given.fingerprint, borrowed.fingerprint);
        let code = vec![0.3; given.state_len()];
        let image = |model: &Model| {
            let mut x = vec![0.0; model.output_len()];
            model.generate(&code, &mut Activations::default(), &mut x);
            x
        };
        assert_eq!(image(&given), image(&borrowed));
    }

    #[test]
    fn what_a_prior_stores_in_eight_bits_stays_in_eight() {
        let prior = Prior::embedded().unwrap();
        let model = Model::new(&prior, ErrorModel::Directions);
        let (hidden, code) = (prior.decoder.hidden_len(), model.code_len());
        assert_eq!(
            model.image_bytes(),
            model.output_len() * (hidden + 2 * code)
        );
        assert_eq!(model.error.bytes(), model.output_len() * model.error_len());
    }
}
