//! Floor 2: recorded depth sequences in.
//!
//! A folder of images and a TOML file that says what they mean ([`SequenceDescription`]) become a [`Sequence`],
//! which loads its frames one by one; a [`Resampler`] brings them to the pixels that a recovery works on.

mod description;
mod error;
mod files;
mod geometry;
mod resample;
mod sequence;
mod slope;

pub(crate) use description::positive;
pub use description::{
    Angles, FrameKind, GeometrySource, Intrinsics, ReturnSource, SequenceDescription, Slope, Timing,
};
pub use error::DatasetError;
pub use files::{grey_png, read_text};
pub use geometry::{Crop, Geometry};
pub use resample::{Augmentation, Resampler};
pub use sequence::{RecordedFrame, Sequence};
pub use slope::returns as slope_returns;

/// The most pixels a recorded frame may have.
pub const MAX_PIXELS: usize = 1 << 24;

/// The most frames a sequence may have.
pub const MAX_FRAMES: usize = 100_000;
