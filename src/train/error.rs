//! What can go wrong.

use super::unroll;
use crate::prior::TokenGrid;
use std::path::PathBuf;

/// Why training could not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// sizes that do not fit the encoder
    #[error("expected rows and columns that are positive multiples of {multiple}, got {rows} × {cols}", multiple = TokenGrid::MULTIPLE)]
    Grid {
        /// rows
        rows: usize,
        /// columns
        cols: usize,
    },
    /// a code, or a batch, of a length that cannot be
    #[error(
        "expected a code of 1 to {most} numbers and at least one frame a step, got {code} and {batch}"
    )]
    Size {
        /// the longest code
        most: usize,
        /// k asked for
        code: usize,
        /// frames a step asked for
        batch: usize,
    },
    /// a share that is none
    #[error("expected a share of recorded frames from 0 to 1, got {0}")]
    Share(f64),
    /// no channels
    #[error(transparent)]
    Knots(#[from] crate::frame::KnotsError),
    /// a checkpoint that does not fit
    #[error("checkpoint {path} does not fit: {what}", path = path.display())]
    Checkpoint {
        /// the file
        path: PathBuf,
        /// what is wrong
        what: String,
    },
    /// a prior to start from that has other sizes
    #[error(
        "expected a prior of {rows} × {cols} pixels, code {code}, hidden {hidden:?} or a wider last layer to start from, got `{got}`"
    )]
    Start {
        /// rows asked for
        rows: usize,
        /// columns asked for
        cols: usize,
        /// k asked for
        code: usize,
        /// widths asked for
        hidden: [usize; 2],
        /// name and sizes of the prior
        got: String,
    },
    /// numbers that are none any more
    #[error("training diverged: a covariance of codes is not positive definite; try a lower rate")]
    Diverged,
    /// a file that cannot be read or written
    #[error("cannot write {path}", path = path.display())]
    Io {
        /// the file
        path: PathBuf,
        /// why
        source: std::io::Error,
    },
    /// the training stream ended
    #[error("the thread that makes training frames stopped")]
    Stream,
    /// a recorded sequence that cannot be read
    #[error(transparent)]
    Dataset(#[from] crate::dataset::DatasetError),
    /// a sensor to learn from that cannot be
    #[error(transparent)]
    Lesson(#[from] unroll::LessonError),
    /// a prior that cannot be written
    #[error(transparent)]
    Prior(#[from] crate::prior::PriorError),
    /// a fault of the numerics
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
