//! Training survives its process: weights, moments and position in the stream.

use super::TrainError;
use super::model::Model;
use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::path::Path;

const STEP: &str = "step";

/// Writes everything that training needs to go on, whole or not at all.
pub(super) fn save(model: &Model, step: usize, path: &Path) -> Result<(), TrainError> {
    let mut tensors = HashMap::new();
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
    let unfinished = path.with_extension("unfinished");
    candle_core::safetensors::save(&tensors, &unfinished)?;
    std::fs::rename(&unfinished, path).map_err(|source| TrainError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Puts a checkpoint into `model` and returns the step it was taken at.
pub(super) fn load(model: &Model, path: &Path) -> Result<usize, TrainError> {
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
    Ok(find(STEP)?.to_vec1::<u32>()?.first().copied().unwrap_or(0) as usize)
}
