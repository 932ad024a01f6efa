//! What a track knows, to be kept across a restart: a process that comes back goes on warm where it was.

use super::belief::Posterior;
use super::brightness::Brightness;
use super::grid::Grid;
use super::model::Model;
use super::pace::Pace;
use super::variation::State;
use crate::pool::Buffer;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Where the header stands among the container's metadata.
const KEY: &str = "relucent.checkpoint";
/// The format that is written and read.
const VERSION: u32 = 2;

/// The most unknowns of a state, k + q.
const MOST_UNKNOWNS: usize = 4096;

/// Why bytes are no checkpoint, or none of this track.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// no container of tensors
    #[error("expected a checkpoint (safetensors), found {found}")]
    Container {
        /// what its reader says
        found: String,
    },
    /// no header, or one that cannot be read
    #[error("expected a header `{KEY}` of version {VERSION}, found {found}")]
    Header {
        /// what there is
        found: String,
    },
    /// a tensor is missing, or of another size or kind
    #[error("expected `{name}` of {expected} values, found {found}")]
    Tensor {
        /// its name
        name: &'static str,
        /// number of values, and their kind
        expected: String,
        /// what there is
        found: String,
    },
    /// a value that cannot be
    #[error("expected {expected}, found {found}")]
    Value {
        /// what it is and may be
        expected: &'static str,
        /// what there is
        found: String,
    },
    /// of another prior
    #[error("expected a checkpoint of model {expected:016x}, found one of {found:016x}")]
    Model {
        /// the track's
        expected: u64,
        /// the checkpoint's
        found: u64,
    },
}

/// What a track knows after a frame: the state's posterior, the rest, the refined image and its duals, brightness, the scale
/// of errors and the time constants as learnt. What is made from the patterns is not in it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub(super) header: Header,
    /// the state's posterior, (k + q)
    pub(super) posterior: Posterior,
    /// E\[rest | y\], (J·n), at the sensor's own scale
    pub(super) rest: Buffer<f32>,
    /// where refinement stands; none of an image that is not kept
    pub(super) refined: State,
}

/// The part that is not arrays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    version: u32,
    /// which model it is of
    pub(super) model: u64,
    pub(super) sequence: u64,
    pub(super) stamp_ns: u64,
    pub(super) brightness: Brightness,
    pub(super) error_scale: f64,
    pub(super) pace: Pace,
}

impl Header {
    pub(super) fn new(model: &Model, at: (u64, u64), track: (Brightness, f64, &Pace)) -> Self {
        let ((sequence, stamp_ns), (brightness, error_scale, pace)) = (at, track);
        Self {
            version: VERSION,
            model: model.fingerprint,
            sequence,
            stamp_ns,
            brightness,
            error_scale,
            pace: *pace,
        }
    }
}

impl Checkpoint {
    /// Position in the sensor's stream of the last frame that it knows of.
    pub fn sequence(&self) -> u64 {
        self.header.sequence
    }

    /// When that frame was measured, ns, on the sensor's clock.
    pub fn stamp_ns(&self) -> u64 {
        self.header.stamp_ns
    }

    /// The bytes of a file: safetensors, with what is no array as JSON in its metadata.
    ///
    /// # Errors
    /// Where the container cannot be built.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let header =
            serde_json::to_string(&self.header).map_err(|error| CheckpointError::Header {
                found: error.to_string(),
            })?;
        let [across, down] = self.refined.duals();
        let tensors = [
            double("mean", &self.posterior.mean),
            double("precision", self.posterior.precision.values()),
            single("rest", &self.rest),
            single("image", &self.refined.x),
            single("across", across),
            single("down", down),
        ];
        let views = tensors.iter().map(|(name, dtype, len, bytes)| {
            let view = TensorView::new(*dtype, vec![*len], bytes)?;
            Ok((*name, view))
        });
        let views = views.collect::<Result<Vec<_>, _>>().map_err(container)?;
        let metadata = HashMap::from([(KEY.to_owned(), header)]);
        safetensors::serialize(views, Some(metadata)).map_err(container)
    }

    /// Reads what [`Checkpoint::to_bytes`] wrote.
    ///
    /// # Errors
    /// Where the bytes are no checkpoint; the error says what was expected and what was found.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(container)?;
        let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let text = text.ok_or_else(|| header_error("none"))?;
        let header: Header =
            serde_json::from_str(text).map_err(|error| header_error(&error.to_string()))?;
        if header.version != VERSION {
            return Err(header_error(&format!("version {}", header.version)));
        }
        header.check()?;
        let tensors = SafeTensors::deserialize(bytes).map_err(container)?;
        let mean = doubles(&tensors, "mean", None)?;
        let len = mean.len();
        if len > MOST_UNKNOWNS {
            return Err(tensor_error(
                "mean",
                format!("at most {MOST_UNKNOWNS}"),
                &len.to_string(),
            ));
        }
        let precision = doubles(&tensors, "precision", len.checked_mul(len))?;
        let precision = Grid::from_fn(len, len, |r, c| precision[c * len + r]);
        if precision.clone().cholesky().is_none() {
            return Err(value_error(
                "a positive definite precision",
                "one that is not",
            ));
        }
        let rest = singles(&tensors, "rest", None)?;
        let x = singles(&tensors, "image", None)?;
        if ![0, rest.len()].contains(&x.len()) {
            return Err(tensor_error("image", rest.len(), &x.len().to_string()));
        }
        let across = singles(&tensors, "across", Some(x.len()))?;
        let down = singles(&tensors, "down", Some(x.len()))?;
        Ok(Self {
            posterior: Posterior {
                mean: mean.into(),
                precision,
            },
            refined: State::of(x.into(), [across.into(), down.into()]),
            header,
            rest: rest.into(),
        })
    }

    /// Whether it fits a model.
    pub(super) fn check(&self, model: &Model) -> Result<(), CheckpointError> {
        let expected = model.fingerprint;
        if self.header.model != expected {
            return Err(CheckpointError::Model {
                expected,
                found: self.header.model,
            });
        }
        let sizes = [
            ("mean", model.state_len(), self.posterior.mean.len()),
            ("rest", model.output_len(), self.rest.len()),
        ];
        let wrong = sizes
            .into_iter()
            .find(|(_, expected, found)| expected != found);
        wrong.map_or(Ok(()), |(name, expected, found)| {
            Err(tensor_error(name, expected, &found.to_string()))
        })
    }
}

impl Header {
    fn check(&self) -> Result<(), CheckpointError> {
        if !self.error_scale.is_finite() || self.error_scale <= 0.0 {
            return Err(value_error(
                "an error scale > 0",
                &self.error_scale.to_string(),
            ));
        }
        if !self.brightness.is_usable() {
            return Err(value_error(
                "a brightness > 0",
                &format!("{:?}", self.brightness),
            ));
        }
        if !self.pace.is_usable() {
            return Err(value_error(
                "time constants > 0",
                &format!("{:?}", self.pace),
            ));
        }
        Ok(())
    }
}

fn container(error: SafeTensorError) -> CheckpointError {
    CheckpointError::Container {
        found: error.to_string(),
    }
}

fn header_error(found: &str) -> CheckpointError {
    CheckpointError::Header {
        found: found.to_owned(),
    }
}

fn value_error(expected: &'static str, found: &str) -> CheckpointError {
    CheckpointError::Value {
        expected,
        found: found.to_owned(),
    }
}

fn tensor_error(name: &'static str, expected: impl ToString, found: &str) -> CheckpointError {
    CheckpointError::Tensor {
        name,
        expected: expected.to_string(),
        found: found.to_owned(),
    }
}

/// Name, kind, number of values and bytes of a tensor.
type Stored = (&'static str, Dtype, usize, Vec<u8>);

fn double(name: &'static str, values: &[f64]) -> Stored {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    (name, Dtype::F64, values.len(), bytes)
}

fn single(name: &'static str, values: &[f32]) -> Stored {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    (name, Dtype::F32, values.len(), bytes)
}

/// The bytes of a tensor of one dimension, `len` values long where that is known.
fn values<'a>(
    tensors: &SafeTensors<'a>,
    name: &'static str,
    (dtype, len): (Dtype, Option<usize>),
) -> Result<&'a [u8], CheckpointError> {
    let expected = len.map_or_else(|| "some".to_owned(), |len| len.to_string());
    let expected = format!("{expected} {dtype:?}");
    let view = tensors
        .tensor(name)
        .map_err(|error| tensor_error(name, &expected, &error.to_string()))?;
    match view.shape() {
        [found] if view.dtype() == dtype && len.is_none_or(|len| len == *found) => Ok(view.data()),
        shape => Err(tensor_error(
            name,
            expected,
            &format!("{:?} of {shape:?}", view.dtype()),
        )),
    }
}

fn doubles(
    tensors: &SafeTensors<'_>,
    name: &'static str,
    len: Option<usize>,
) -> Result<Vec<f64>, CheckpointError> {
    let bytes = values(tensors, name, (Dtype::F64, len))?;
    let values = bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b));
    let values: Vec<f64> = values.collect();
    match values.iter().find(|v| !v.is_finite()) {
        Some(v) => Err(value_error("finite values", &format!("{v} in `{name}`"))),
        None => Ok(values),
    }
}

fn singles(
    tensors: &SafeTensors<'_>,
    name: &'static str,
    len: Option<usize>,
) -> Result<Vec<f32>, CheckpointError> {
    let bytes = values(tensors, name, (Dtype::F32, len))?;
    let values = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
    let values: Vec<f32> = values.collect();
    match values.iter().find(|v| !v.is_finite()) {
        Some(v) => Err(value_error("finite values", &format!("{v} in `{name}`"))),
        None => Ok(values),
    }
}
