//! What can be wrong with a prior's file.

use super::format::{KEY, MAX_FILE, VERSION};
use safetensors::Dtype;
use std::path::PathBuf;

/// Why a file is no prior.
#[derive(Debug, thiserror::Error)]
pub enum PriorError {
    /// cannot be read
    #[error("cannot read prior {path}", path = path.display())]
    Read {
        /// the file
        path: PathBuf,
        /// why
        source: std::io::Error,
    },
    /// cannot be written
    #[error("cannot write prior {path}", path = path.display())]
    Write {
        /// the file
        path: PathBuf,
        /// why
        source: std::io::Error,
    },
    /// larger than any prior
    #[error("expected a prior of at most {MAX_FILE} bytes, found {found}")]
    TooLarge {
        /// its size, bytes
        found: u64,
    },
    /// not safetensors, or cut
    #[error("expected a whole safetensors file, found {found}")]
    Container {
        /// what was wrong
        found: String,
    },
    /// no metadata of ours
    #[error("expected safetensors metadata `{KEY}`, found none: this file holds no relucent prior")]
    NoHeader,
    /// metadata that does not parse
    #[error(
        "expected the prior's architecture as JSON in metadata `{KEY}`, found otherwise: {source}"
    )]
    Header {
        /// why
        source: serde_json::Error,
    },
    /// another version
    #[error("expected prior format version {VERSION}, found {found}")]
    Version {
        /// its version
        found: u32,
    },
    /// a size that cannot be
    #[error("expected {what} within 1..={max}, found {found}")]
    Size {
        /// which size
        what: &'static str,
        /// the largest allowed
        max: usize,
        /// its value
        found: usize,
    },
    /// knots that do not increase to 1
    #[error("expected relative range knots ≥ 0 that increase to 1, found {found:?}")]
    Knots {
        /// the knots
        found: Vec<f32>,
    },
    /// a return that no frame has
    #[error("expected an rms return > 0, found {found}")]
    RmsReturn {
        /// its value
        found: f32,
    },
    /// a tensor is missing
    #[error("expected tensor `{tensor}`, found none")]
    Missing {
        /// its name
        tensor: String,
    },
    /// a tensor has another shape
    #[error("expected tensor `{tensor}` of shape {expected:?}, found {found:?}")]
    Shape {
        /// its name
        tensor: String,
        /// the shape the architecture asks for
        expected: Vec<usize>,
        /// its shape
        found: Vec<usize>,
    },
    /// a tensor has another type
    #[error("expected tensor `{tensor}` as F32, or as I8 with scales, found {found:?}")]
    Type {
        /// its name
        tensor: String,
        /// its type
        found: Dtype,
    },
    /// a value that cannot be
    #[error("expected {expected} in tensor `{tensor}`, found {found} at position {index}")]
    Value {
        /// its name
        tensor: String,
        /// what values may be
        expected: &'static str,
        /// position of the value
        index: usize,
        /// the value
        found: f32,
    },
}
