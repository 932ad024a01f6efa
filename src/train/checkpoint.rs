//! Training survives its process: weights, moments and position in the stream.

use super::model::Model;
use super::{Options, TrainError};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

const STEP: &str = "step";
const HISTORY: &str = "history";

/// What has trained a model: the commands, and what they must agree on to go on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct History {
    /// those before, oldest first, each with the step it went to
    pub(super) earlier: Vec<String>,
    /// the present one
    command: String,
    /// knots of the channels, relative to the last one
    knots: Vec<f32>,
    /// frames of the stream that were learnt from
    pub(super) drawn: u64,
}

impl History {
    /// Of a model before its first step.
    pub(super) fn new(options: &Options) -> Self {
        let earlier = options.start.as_ref().map_or_else(Vec::new, |prior| {
            let mut earlier = prior.provenance.earlier.clone();
            earlier.push(prior.provenance.command.clone());
            earlier
        });
        Self {
            earlier,
            command: options.command.clone(),
            knots: options.knots.metres().to_vec(),
            drawn: 0,
        }
    }

    /// After a checkpoint of `before`, taken at `step`.
    fn resume(&mut self, before: Self, step: usize) {
        self.drawn = before.drawn;
        self.earlier = before.earlier;
        if before.command != self.command {
            self.earlier
                .push(format!("{} (until step {step})", before.command));
        }
    }
}

/// Writes everything that training needs to go on, whole or not at all.
pub(super) fn save(
    model: &Model,
    history: &History,
    step: usize,
    path: &Path,
) -> Result<(), TrainError> {
    let mut tensors = HashMap::new();
    let history = serde_json::to_vec(history).map_err(candle_core::Error::wrap)?;
    let len = history.len();
    tensors.insert(
        HISTORY.to_owned(),
        Tensor::from_vec(history, len, &Device::Cpu)?,
    );
    for parameter in model.parameters() {
        let value = parameter.var.as_tensor();
        let (first, second) = parameter.moments();
        tensors.insert(parameter.name.to_owned(), value.clone());
        tensors.insert(
            format!("{}.m", parameter.name),
            Tensor::from_vec(first, value.shape(), &Device::Cpu)?,
        );
        tensors.insert(
            format!("{}.v", parameter.name),
            Tensor::from_vec(second, value.shape(), &Device::Cpu)?,
        );
    }
    tensors.insert(STEP.to_owned(), Tensor::new(&[step as u32], &Device::Cpu)?);
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    candle_core::safetensors::save(&tensors, &unfinished)?;
    std::fs::rename(&unfinished, path).map_err(|source| TrainError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Puts a checkpoint into `model` and returns the step it was taken at.
pub(super) fn load(model: &Model, history: &mut History, path: &Path) -> Result<usize, TrainError> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
    let find = |name: &str| {
        let missing = || TrainError::Checkpoint {
            path: path.to_owned(),
            what: format!("no tensor {name}"),
        };
        tensors.get(name).ok_or_else(missing)
    };
    for parameter in model.parameters() {
        let value = find(parameter.name)?;
        if value.shape() != parameter.var.shape() {
            let what = format!(
                "{} of shape {:?}, expected {:?}",
                parameter.name,
                value.shape(),
                parameter.var.shape()
            );
            return Err(TrainError::Checkpoint {
                path: path.to_owned(),
                what,
            });
        }
        let moments = |suffix: &str| -> Result<Vec<f32>, TrainError> {
            Ok(find(&format!("{}.{suffix}", parameter.name))?
                .flatten_all()?
                .to_vec1()?)
        };
        parameter.restore(value, moments("m")?, moments("v")?)?;
    }
    let step = find(STEP)?.to_vec1::<u32>()?.first().copied().unwrap_or(0) as usize;
    let unfit = |what| TrainError::Checkpoint {
        path: path.to_owned(),
        what,
    };
    let before = serde_json::from_slice(&find(HISTORY)?.to_vec1::<u8>()?);
    let before: History = before.map_err(|error| unfit(error.to_string()))?;
    if before.knots != history.knots {
        let (got, expected) = (before.knots, &history.knots);
        return Err(unfit(format!("knots {got:?}, expected {expected:?}")));
    }
    history.resume(before, step);
    Ok(step)
}
