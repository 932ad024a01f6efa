//! What can be wrong with a recorded sequence.

use std::path::PathBuf;

/// Why a recorded sequence, or a frame of it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// a file or folder cannot be read
    #[error("cannot read {}", path.display())]
    Read {
        /// the file or folder
        path: PathBuf,
        /// what the system said
        source: std::io::Error,
    },
    /// the description is not the TOML expected
    #[error("cannot understand the description {}", path.display())]
    Description {
        /// the TOML file
        path: PathBuf,
        /// key, position and what was expected there
        source: Box<toml::de::Error>,
    },
    /// a value of the description makes no sense
    #[error("expected {expected} as `{key}` in {}, got {got}", path.display())]
    Value {
        /// the TOML file
        path: PathBuf,
        /// its key
        key: &'static str,
        /// what would do
        expected: String,
        /// what it holds
        got: String,
    },
    /// an image is no readable PNG
    #[error("cannot decode {}", path.display())]
    Decode {
        /// the image
        path: PathBuf,
        /// what the decoder said
        source: png::DecodingError,
    },
    /// an image is of another kind
    #[error("expected a {expected}-bit grey image in {}, got {got}", path.display())]
    Depth {
        /// the image
        path: PathBuf,
        /// bits per pixel
        expected: u8,
        /// colour type and bits found
        got: String,
    },
    /// an image has another size
    #[error("expected {rows} × {cols} pixels in {}, got {got_rows} × {got_cols}", path.display())]
    Size {
        /// the image
        path: PathBuf,
        /// rows of the sequence
        rows: usize,
        /// columns of the sequence
        cols: usize,
        /// rows of the image
        got_rows: usize,
        /// columns of the image
        got_cols: usize,
    },
    /// there are not as many as there should be
    #[error("expected {expected} {what} in {}, got {got}", path.display())]
    Count {
        /// the file or folder
        path: PathBuf,
        /// what was counted
        what: &'static str,
        /// how many there should be
        expected: usize,
        /// how many there are
        got: usize,
    },
    /// more than may be loaded
    #[error("expected 1 to {limit} {what} in {}, got {got}", path.display())]
    Limit {
        /// the file or folder
        path: PathBuf,
        /// what was counted
        what: &'static str,
        /// the most there may be
        limit: usize,
        /// how many there are, at least
        got: usize,
    },
    /// a line of a text file makes no sense
    #[error("expected {expected} on line {line} of {}, got `{got}`", path.display())]
    Line {
        /// the text file
        path: PathBuf,
        /// line, from 1
        line: usize,
        /// what would do
        expected: &'static str,
        /// what it holds
        got: String,
    },
    /// there is no such frame
    #[error("expected a frame of 0..{len}, got {index}")]
    Index {
        /// number of frames
        len: usize,
        /// the frame asked for
        index: usize,
    },
    /// the field of view asked for holds no ray
    #[error("expected {axis} from low to high within ±90° (azimuth ±180°), got {low}° to {high}°")]
    Crop {
        /// azimuth or elevation
        axis: &'static str,
        /// lower bound, degrees
        low: f32,
        /// upper bound, degrees
        high: f32,
    },
    /// no pixels, or too many, to resample to
    #[error("expected 1 to {limit} pixels to resample to, got {rows} × {cols}")]
    Target {
        /// [`MAX_PIXELS`](super::MAX_PIXELS)
        limit: usize,
        /// rows asked for
        rows: usize,
        /// columns asked for
        cols: usize,
    },
}
