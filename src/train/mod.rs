//! Floor 3, behind the feature `train`: fits a prior to simulated and recorded scenes.

mod adam;
mod balance;
mod carry;
mod checkpoint;
mod error;
mod finish;
mod loss;
mod model;
mod noise;
mod pca;
mod recorded;
mod stream;
pub mod unroll;

use crate::frame::{Knots, RangeImage};
use crate::prior::{Matrix, Prior, Provenance, TokenGrid, Unrolled};
use crate::sim;
use candle_core::{Device, Tensor, Var};
use carry::Before;
use checkpoint::History;
pub use error::TrainError;
use loss::{Gradients, Weights};
use model::{Inputs, Model, Shape};
use noise::CodeNoise;
use pca::Principal;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
pub use recorded::RecordedFrames;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stream::{Batch, Source};

/// Weight of ½‖z‖² that keeps codes from drifting apart.
const CODE_WEIGHT: f64 = 1e-5;
/// Weight of errors of the range that is read out; see [`Weights`].
const READ_OUT: f32 = 2.0;
/// Steps over which the rate rises to its full value.
const WARM_UP: usize = 300;
/// Frames that principal directions are fitted to.
const PRINCIPAL_FRAMES: u64 = 12_288;
/// Frames of the validation figure.
const VALIDATION_FRAMES: u64 = 500;
/// Steps after which the code noise is estimated anew.
const NOISE_EVERY: usize = 500;

/// What to train, on what, for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// name of the prior
    pub name: String,
    /// the command that asked for it, for the provenance
    pub command: String,
    /// rows of pixels, a multiple of 8
    pub rows: usize,
    /// columns of pixels, a multiple of 8
    pub cols: usize,
    /// knots of the J range channels, relative to the last one
    pub knots: Knots,
    /// k
    pub code: usize,
    /// widths of the decoder's two ReLU layers
    pub hidden: [usize; 2],
    /// steps in all, those of a resumed checkpoint counted in
    pub steps: usize,
    /// frames a step
    pub batch: usize,
    /// full rate of Adam
    pub rate: f32,
    /// share of the steps, the last ones, over which the rate falls to zero, in (0, 1]
    pub cooling: f32,
    /// weight of the plain error of the channels, which is what recovery minimises, against errors of range
    pub channel_weight: f32,
    /// share of the range errors that the encoder sees too, in [0, 1]
    pub range_share: f64,
    /// m/n at which the decoder must bear how far recovery misses codes, each as often as the others; not empty
    pub noise_ratios: Vec<f64>,
    /// seed of everything random
    pub seed: u64,
    /// share of frames from recorded sequences, where there are any
    pub recorded_share: f64,
    /// prior whose weights training starts from, carried over where its knots are others or its last layer is wider;
    /// principal directions without one
    pub start: Option<Prior>,
    /// file that training resumes from, where it exists, and goes on writing
    pub checkpoint: PathBuf,
    /// steps between checkpoints and validation figures
    pub checkpoint_every: usize,
}

/// Progress of training, as it happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// principal directions are being fitted
    Principal,
    /// training starts or resumes at this step
    Started {
        /// first step to be made
        step: usize,
    },
    /// a step was made
    Step {
        /// steps made so far
        step: usize,
        /// its loss
        loss: f64,
    },
    /// range RMSE of decode(encode(frame)) on held-out frames, relative to κ_J
    Validation {
        /// steps made so far
        step: usize,
        /// of the network
        rmse: f64,
        /// of as many principal directions
        principal: f64,
    },
    /// statistics are being estimated
    Finishing,
}

/// Trains a prior and estimates what recovery needs to know of it.
///
/// # Errors
/// Where sizes do not fit, a checkpoint does not belong to them, or a file cannot be written.
pub fn train(
    options: &Options,
    recorded: Vec<RecordedFrames>,
    observe: &mut dyn FnMut(Event),
) -> Result<Prior, TrainError> {
    let grid = TokenGrid {
        rows: options.rows,
        cols: options.cols,
        channels: options.knots.channels(),
    };
    let fits = |side: usize| side > 0 && side.is_multiple_of(TokenGrid::MULTIPLE);
    if !fits(grid.rows) || !fits(grid.cols) {
        return Err(TrainError::Grid {
            rows: grid.rows,
            cols: grid.cols,
        });
    }
    let data = data(options, &recorded);
    let source = Arc::new(Source {
        grid,
        knots: options.knots.scaled_to(1.0)?,
        rays: sim::rays(grid.rows, grid.cols),
        recorded,
        recorded_share: options.recorded_share,
        seed: options.seed,
    });
    if !(1..=finish::MOMENT_DIRECTIONS).contains(&options.code) || options.batch == 0 {
        return Err(TrainError::Size {
            most: finish::MOMENT_DIRECTIONS,
            code: options.code,
            batch: options.batch,
        });
    }
    if !(0.0..=1.0).contains(&options.recorded_share) {
        return Err(TrainError::Share(options.recorded_share));
    }
    observe(Event::Principal);
    let principal = fit_principal(&source, options.seed);
    let model = start(options, &source, &principal)?;
    let mut history = History::new(options);
    let first = if options.checkpoint.exists() {
        checkpoint::load(&model, &mut history, &options.checkpoint)?
    } else {
        0
    };
    observe(Event::Started { step: first });
    descend(
        options,
        &source,
        &model,
        &principal,
        &mut history,
        first,
        observe,
    )?;
    observe(Event::Finishing);
    let prior = finish::finish(
        &options.name,
        &source,
        &model,
        &principal,
        Provenance {
            command: options.command.clone(),
            earlier: history.earlier,
            seed: options.seed,
            steps: first.max(options.steps),
            batch: options.batch,
            data,
        },
    )?;
    Ok(Prior {
        unrolled: kept_network(options, &prior),
        ..prior
    })
}

/// The unrolled network of the prior to start from, which knows images of its channels, whatever the code.
fn kept_network(options: &Options, prior: &Prior) -> Option<Unrolled> {
    let start = options.start.as_ref()?;
    let network = start.unrolled.as_ref()?;
    (start.knots == prior.knots).then(|| network.clone())
}

/// The network before the first step: the prior to start from, carried over to these channels where it is of others.
fn start(
    options: &Options,
    source: &Arc<Source>,
    principal: &Principal,
) -> Result<Model, TrainError> {
    let grid = source.grid;
    let shape = |grid, hidden| Shape {
        grid,
        code: options.code,
        hidden,
    };
    let resumed = options.checkpoint.exists(); // with weights of its own
    let Some(prior) = options.start.as_ref().filter(|_| !resumed) else {
        return Ok(Model::principal(
            shape(grid, options.hidden),
            principal,
            options.seed,
        )?);
    };
    let before = TokenGrid {
        channels: prior.channels(),
        ..grid
    };
    let widths: Vec<usize> = prior.decoder.layers.iter().map(|l| l.bias.len()).collect();
    let [first, last] = options.hidden;
    let widest = widths.last().map_or(last, |&w| w.max(last));
    let model = Model::of_prior(shape(before, [first, widest]), prior)?;
    let model = model.ok_or_else(|| TrainError::Start {
        rows: grid.rows,
        cols: grid.cols,
        code: options.code,
        hidden: options.hidden,
        got: format!(
            "{}, {} × {} pixels, code {}, hidden {widths:?}",
            prior.name,
            prior.rows,
            prior.cols,
            prior.decoder.code_len(),
        ),
    })?;
    if prior.knots == source.knots.metres() && widest == last {
        return Ok(model);
    }
    let before = Before {
        grid: before,
        knots: Knots::new(prior.knots.clone())?,
    };
    carry::carried(&model, &before, source, last)
}

/// The steps from `first` on.
fn descend(
    options: &Options,
    source: &Arc<Source>,
    model: &Model,
    principal: &Principal,
    history: &mut History,
    first: usize,
    observe: &mut dyn FnMut(Event),
) -> Result<(), TrainError> {
    let validation = source.validation(0..VALIDATION_FRAMES);
    let baseline = range_rmse(
        source,
        &validation,
        &principal_decoded(principal, options.code, &validation.channels),
    );
    let inputs = inputs(source.grid, &validation)?;
    let ratios = &options.noise_ratios;
    let mut code_noise = CodeNoise::estimate(model, &inputs, &validation.channels, ratios)?;
    let mut random = ChaCha8Rng::seed_from_u64(options.seed ^ first as u64);
    let batches = source.spawn(PRINCIPAL_FRAMES + history.drawn, options.batch);
    for step in first..options.steps {
        let batch = batches.recv().map_err(|_| TrainError::Stream)?;
        history.drawn += batch.frames as u64;
        if step > first && step.is_multiple_of(NOISE_EVERY) {
            code_noise = CodeNoise::estimate(model, &inputs, &validation.channels, ratios)?;
        }
        let noise = code_noise.sample(batch.frames, &mut random)?;
        let loss = descend_once(options, source, model, &batch, &noise, step)?;
        observe(Event::Step {
            step: step + 1,
            loss,
        });
        if (step + 1).is_multiple_of(options.checkpoint_every) || step + 1 == options.steps {
            checkpoint::save(model, history, step + 1, &options.checkpoint)?;
            let rmse = range_rmse(source, &validation, &decoded(model, &validation)?);
            observe(Event::Validation {
                step: step + 1,
                rmse,
                principal: baseline,
            });
        }
    }
    Ok(())
}

/// One step of Adam; returns the loss.
///
/// The encoder stands for recovery, which finds codes from the channels and knows nothing of the read-out: it descends the
/// channels' errors and only a share of the errors of range, which the decoder, given such a code, descends wholly.
fn descend_once(
    options: &Options,
    source: &Source,
    model: &Model,
    batch: &Batch,
    noise: &Tensor,
    step: usize,
) -> Result<f64, TrainError> {
    let rate = options.rate * schedule(step, options.steps, options.cooling);
    let code = model.encode(&inputs(source.grid, batch)?)?;
    let found = Var::from_tensor(&code.detach())?;
    let features = model.features(&(found.as_tensor() + noise)?)?;
    let (loss, [channels, total]) = loss_and_gradients(
        source,
        options.channel_weight,
        batch,
        &model.head(&features)?,
    )?;
    let head = model.head_gradients(&features, &total)?;
    // surrogates: scalars whose gradients are the loss's
    let decoder = (&features * model.feature_gradient(&total)?)?.sum_all()?;
    let decoder = decoder.backward()?;
    let share = options.range_share;
    let seen = ((channels * (1.0 - share))? + (total * share)?)?;
    let through = (&features * model.feature_gradient(&seen)?)?.sum_all()?;
    let through = through.backward()?;
    let Some(at_code) = through.get(found.as_tensor()) else {
        return Err(TrainError::Diverged);
    };
    let energy = (code.sqr()?.sum_all()? * (CODE_WEIGHT / batch.frames as f64))?;
    let encoder = ((&code * at_code)?.sum_all()? + energy)?.backward()?;
    for parameter in model.parameters() {
        let var = parameter.var.as_tensor();
        let gradient = match parameter.name {
            model::HEAD_WEIGHT => Some(&head.weight),
            model::HEAD_BIAS => Some(&head.bias),
            _ => decoder.get(var).or_else(|| encoder.get(var)),
        };
        if let Some(gradient) = gradient {
            parameter.descend(gradient, rate, step + 1)?;
        }
    }
    Ok(loss)
}

/// Mean loss of a batch and its gradients of the channels alone and in all, (frames × J·n), frames spread over the cores.
fn loss_and_gradients(
    source: &Source,
    channel_weight: f32,
    batch: &Batch,
    decoded: &[f32],
) -> Result<(f64, [Tensor; 2]), TrainError> {
    let pixels = source.grid.rows * source.grid.cols;
    let outputs = source.grid.channels * pixels;
    let (mut of_channels, mut of_all) = (vec![0.0; decoded.len()], vec![0.0; decoded.len()]);
    let share = batch.frames.div_ceil(threads());
    let weights = Weights {
        channels: channel_weight,
        read_out: READ_OUT,
        relative: 0.0,
        pixels: &[],
    };
    let total: f64 = std::thread::scope(|scope| {
        let parts = of_channels
            .chunks_mut(share * outputs)
            .zip(of_all.chunks_mut(share * outputs))
            .enumerate();
        let parts = parts.map(|(part, (of_channels, of_all))| {
            scope.spawn(move || {
                let frames = of_channels
                    .chunks_exact_mut(outputs)
                    .zip(of_all.chunks_exact_mut(outputs));
                frames
                    .enumerate()
                    .map(|(frame, (channels, total))| {
                        let frame = part * share + frame;
                        let at = frame * outputs..(frame + 1) * outputs;
                        loss::loss(
                            weights,
                            &decoded[at.clone()],
                            &batch.channels[at],
                            &batch.range[frame * pixels..(frame + 1) * pixels],
                            &source.knots,
                            Gradients { channels, total },
                        )
                    })
                    .sum::<f64>()
            })
        });
        let parts: Vec<_> = parts.collect();
        parts
            .into_iter()
            .map(|part| part.join().unwrap_or(f64::NAN))
            .sum()
    });
    let mean = |gradient: Vec<f32>| -> Result<Tensor, TrainError> {
        let gradient = Tensor::from_vec(gradient, (batch.frames, outputs), &Device::Cpu)?;
        Ok((gradient / batch.frames as f64)?)
    };
    Ok((
        total / batch.frames as f64,
        [mean(of_channels)?, mean(of_all)?],
    ))
}

fn inputs(grid: TokenGrid, batch: &Batch) -> Result<Inputs, TrainError> {
    let outputs = batch.channels.len() / batch.frames;
    Ok(Inputs {
        channels: Tensor::from_slice(&batch.channels, (batch.frames, outputs), &Device::Cpu)?,
        tokens: Tensor::from_slice(
            &batch.tokens,
            (batch.tokens.len() / grid.token_len(), grid.token_len()),
            &Device::Cpu,
        )?,
    })
}

/// decode(encode(·)) of a batch, (frames × J·n).
fn decoded(model: &Model, batch: &Batch) -> Result<Vec<f32>, TrainError> {
    let code = model.encode(&inputs(model.shape().grid, batch)?)?;
    Ok(model.head(&model.features(&code)?)?)
}

/// The first `count` principal directions' idea of frames, (frames × J·n).
fn principal_decoded(principal: &Principal, count: usize, channels: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(channels.len());
    for frame in channels.chunks_exact(principal.mean.len()) {
        let centred: Vec<f32> = frame
            .iter()
            .zip(&principal.mean)
            .map(|(x, m)| x - m)
            .collect();
        let mut decoded = principal.mean.clone();
        for row in (0..count.min(principal.directions.rows())).map(|r| principal.directions.row(r))
        {
            let score = crate::simd::dot(row, &centred);
            decoded
                .iter_mut()
                .zip(row)
                .for_each(|(out, v)| *out += score * v);
        }
        out.extend(decoded);
    }
    out
}

/// Range RMSE over the pixels with a return, relative to κ_J.
fn range_rmse(source: &Source, batch: &Batch, decoded: &[f32]) -> f64 {
    let pixels = source.grid.rows * source.grid.cols;
    let mut read = RangeImage::empty(source.grid.rows, source.grid.cols);
    let (mut squares, mut count) = (0.0f64, 0usize);
    for (frame, range) in decoded
        .chunks_exact(source.grid.channels * pixels)
        .zip(batch.range.chunks_exact(pixels))
    {
        source.knots.read_out(frame, 0.0, &mut read);
        for (&got, &truth) in read.range.iter().zip(range) {
            if !truth.is_nan() {
                squares += f64::from(got - truth).powi(2);
                count += 1;
            }
        }
    }
    (squares / count.max(1) as f64).sqrt()
}

fn fit_principal(source: &Source, seed: u64) -> Principal {
    let sample = source.batch(0..PRINCIPAL_FRAMES);
    let outputs = sample.channels.len() / sample.frames;
    pca::principal(
        &mut Matrix::new(sample.frames, outputs, sample.channels),
        finish::MOMENT_DIRECTIONS,
        seed,
    )
}

/// Share of the full rate at a step: rises, stays, falls to zero.
fn schedule(step: usize, steps: usize, cooling: f32) -> f32 {
    let rise = (step + 1) as f32 / WARM_UP as f32;
    let fall = (steps - step) as f32 / (cooling * steps as f32).max(1.0);
    rise.min(fall).min(1.0)
}

/// What the prior is trained on: that of the prior it starts from, and its own.
fn data(options: &Options, recorded: &[RecordedFrames]) -> Vec<String> {
    let mut data = options
        .start
        .as_ref()
        .map_or_else(Vec::new, |prior| prior.provenance.data.clone());
    let own = std::iter::once("simulated scenes of every family, never repeated".to_owned())
        .chain(recorded.iter().map(|r| r.origin.clone()));
    for origin in own {
        if !data.contains(&origin) {
            data.push(origin);
        }
    }
    data
}

/// Cores to spread work over.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Whether `path` looks like a place that a prior can be written to.
///
/// # Errors
/// Where its folder does not exist.
pub fn check_output(path: &Path) -> Result<(), TrainError> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::metadata(folder)
        .map(|_| ())
        .map_err(|source| TrainError::Io {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_goes_on_from_its_checkpoint_and_refuses_one_of_other_knots() {
        let folder = tempfile::tempdir().unwrap();
        let options = |steps, knots: &[f32]| Options {
            name: "small".to_owned(),
            command: format!("train --steps {steps}"),
            rows: 8,
            cols: 8,
            knots: Knots::new(knots.to_vec()).unwrap(),
            code: 8,
            hidden: [16, 16],
            steps,
            batch: 4,
            rate: 1e-3,
            cooling: 0.5,
            channel_weight: 3.0,
            range_share: 0.5,
            noise_ratios: vec![0.5],
            seed: 1,
            recorded_share: 0.0,
            start: None,
            checkpoint: folder.path().join("p-0.5.checkpoint"),
            checkpoint_every: 2,
        };
        let knots = [0.0, 0.3, 1.0];
        let mut began = vec![];
        let mut run = |options: Options| {
            train(&options, vec![], &mut |event| {
                if let Event::Started { step } = event {
                    began.push(step);
                }
            })
        };
        let first = run(options(2, &knots)).unwrap();
        let prior = run(options(4, &knots)).unwrap();
        assert_eq!((prior.rows, &prior.knots[..]), (8, &knots[..]));
        assert_ne!(prior.decoder, first.decoder, "two steps were made");
        let told = prior.provenance;
        assert_eq!((told.steps, told.earlier.len()), (4, 1), "{told:?}");
        let error = run(options(6, &[0.0, 0.5, 1.0])).unwrap_err().to_string();
        assert!(error.contains("0.3") && error.contains("0.5"), "{error}");
        for bad in [
            Options {
                code: 256,
                ..options(6, &knots)
            },
            Options {
                batch: 0,
                ..options(6, &knots)
            },
            Options {
                recorded_share: 2.0,
                ..options(6, &knots)
            },
        ] {
            run(bad).unwrap_err();
        }
        assert_eq!(began, [0, 2]);
    }
}
