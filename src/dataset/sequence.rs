//! A recorded sequence, its frames loaded one by one.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::files::{self, GreyImage};
use super::geometry::Geometry;
use super::{
    DatasetError, FrameKind, GeometrySource, Intrinsics, MAX_PIXELS, ReturnSource,
    SequenceDescription, Timing, slope,
};
use crate::frame::RangeImage;

/// A recorded sequence. Opening it checks all counts; each frame is read when it is asked for.
#[derive(Clone, Debug)]
pub struct Sequence {
    description: SequenceDescription,
    geometry: Geometry,
    frames: Vec<PathBuf>,
    intensities: Vec<PathBuf>,
    stamps_ns: Vec<u64>,
}

/// One frame as it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedFrame {
    /// position in the sequence
    pub index: usize,
    /// acquisition time, ns
    pub stamp_ns: u64,
    /// ranges along the rays and returns, at the recording's own size
    pub image: RangeImage,
}

impl Sequence {
    /// Opens the sequence that a TOML file describes; its paths are relative to `root`, or to the file's folder.
    ///
    /// # Errors
    /// Where the description cannot be used, a file or folder cannot be read, or frames, intensities, stamps and
    /// angles do not match in number.
    pub fn open(toml: &Path, root: Option<&Path>) -> Result<Self, DatasetError> {
        let description = SequenceDescription::read(toml)?;
        let beside = toml.parent().unwrap_or(Path::new(""));
        let root = root.unwrap_or(beside);
        let frames = files::images(&root.join(&description.frames))?;
        let first = GreyImage::open(&frames[0], 16)?;
        let geometry = geometry(toml, root, &description.geometry, (first.rows, first.cols))?;
        let intensities = intensities(root, &description.returns, frames.len())?;
        let stamps_ns = stamps(root, &description.timing, frames.len())?;
        for (key, part) in [
            ("train", description.train),
            ("evaluate", description.evaluate),
        ] {
            if let Some([start, end]) = part
                && !(start < end && end <= frames.len())
            {
                return Err(DatasetError::Value {
                    path: toml.to_owned(),
                    key,
                    expected: format!("[start, end] with start < end ≤ {}", frames.len()),
                    got: format!("[{start}, {end}]"),
                });
            }
        }
        if let (Some(train), Some(evaluate)) = (description.train, description.evaluate)
            && train[0] < evaluate[1]
            && evaluate[0] < train[1]
        {
            return Err(DatasetError::Value {
                path: toml.to_owned(),
                key: "evaluate",
                expected: format!("frames beside those of train, {train:?}"),
                got: format!("{evaluate:?}"),
            });
        }
        let sequence = Self {
            description,
            geometry,
            frames,
            intensities,
            stamps_ns,
        };
        for (key, left) in [
            ("evaluate", sequence.train()),
            ("train", sequence.evaluate()),
        ] {
            if left.is_empty() {
                return Err(DatasetError::Value {
                    path: toml.to_owned(),
                    key,
                    expected: "a part that leaves frames for the other one".to_owned(),
                    got: format!("all {} frames", sequence.len()),
                });
            }
        }
        Ok(sequence)
    }

    /// What the TOML file says.
    pub fn description(&self) -> &SequenceDescription {
        &self.description
    }

    /// Where the pixels look.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// κ_J, m: what lies beyond is invalid.
    pub fn max_range_m(&self) -> f32 {
        self.description.max_range_m
    }

    /// Number of frames, ≥ 1.
    #[expect(clippy::len_without_is_empty, reason = "a sequence has a frame")]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Frames that may be trained and tuned on; where the description does not say, those before or after the frames for
    /// evaluation, whichever are more, and all where it says nothing.
    pub fn train(&self) -> Range<usize> {
        self.part(self.description.train, self.description.evaluate)
    }

    /// Frames kept for evaluation; where the description does not say, those before or after the frames to train on, whichever
    /// are more, and all where it says nothing.
    pub fn evaluate(&self) -> Range<usize> {
        self.part(self.description.evaluate, self.description.train)
    }

    fn part(&self, part: Option<[usize; 2]>, other: Option<[usize; 2]>) -> Range<usize> {
        match (part, other) {
            (Some([start, end]), _) => start..end,
            (None, None) => 0..self.len(),
            (None, Some([start, end])) => match start >= self.len() - end {
                true => 0..start,
                false => end..self.len(),
            },
        }
    }

    /// Acquisition time of a frame, ns.
    ///
    /// # Panics
    /// Where there is no such frame.
    pub fn stamp_ns(&self, index: usize) -> u64 {
        self.stamps_ns[index]
    }

    /// Reads a frame: ranges along the rays, returns, invalid where nothing returned or beyond the greatest range.
    ///
    /// # Errors
    /// Where there is no such frame, or its images cannot be read, are not grey of the right depth, or have not
    /// the sequence's size.
    pub fn frame(&self, index: usize) -> Result<RecordedFrame, DatasetError> {
        let path = self.frames.get(index).ok_or(DatasetError::Index {
            len: self.len(),
            index,
        })?;
        let (rows, cols) = self.geometry.size();
        let counts = GreyImage::open(path, 16)?.bytes(rows, cols)?;
        let mut image = RangeImage::empty(rows, cols);
        for (pixel, count) in counts.chunks_exact(2).enumerate() {
            let count = u16::from_be_bytes([count[0], count[1]]);
            if let Some(range) = self.range(count, pixel / cols, pixel % cols) {
                image.range[pixel] = range;
                image.valid[pixel] = true;
            }
        }
        self.write_returns(index, &mut image)?;
        Ok(RecordedFrame {
            index,
            stamp_ns: self.stamps_ns[index],
            image,
        })
    }

    /// Range along the ray of a pixel's count, m, if anything returned.
    fn range(&self, count: u16, row: usize, col: usize) -> Option<f32> {
        let ray = self.geometry.direction(row, col)?;
        let value = f32::from(count) * self.description.scale_m;
        let range = match self.description.kind {
            FrameKind::Range => value,
            FrameKind::Depth => value / ray[0], // 1/ray[0] = √(1 + ((u − cx)/fx)² + ((v − cy)/fy)²)
        };
        (count > 0 && range <= self.max_range_m()).then_some(range)
    }

    fn write_returns(&self, index: usize, image: &mut RangeImage) -> Result<(), DatasetError> {
        match self.description.returns {
            ReturnSource::Constant(value) => {
                for (out, &valid) in image.returns.iter_mut().zip(&image.valid) {
                    *out = if valid { value } else { 0.0 };
                }
            }
            ReturnSource::Slope(how) => slope::returns(&self.geometry, how, image),
            ReturnSource::Intensity(_) => {
                let (rows, cols) = (image.rows, image.cols);
                let values = GreyImage::open(&self.intensities[index], 8)?.bytes(rows, cols)?;
                for (pixel, value) in values.into_iter().enumerate() {
                    if value == 0 {
                        image.clear(pixel); // what returned nothing has no range either
                    } else if image.valid[pixel] {
                        let one = self.description.intensity_of_1;
                        image.returns[pixel] = f32::from(value.min(one)) / f32::from(one);
                    }
                }
            }
        }
        Ok(())
    }
}

fn geometry(
    toml: &Path,
    root: &Path,
    source: &GeometrySource,
    (rows, cols): (usize, usize),
) -> Result<Geometry, DatasetError> {
    match source {
        &GeometrySource::Intrinsics(intrinsics) => {
            let Intrinsics { cx, cy, .. } = intrinsics;
            for (key, value, count) in [("cx", cx, cols), ("cy", cy, rows)] {
                if !(0.0..count as f32).contains(&value) {
                    return Err(DatasetError::Value {
                        path: toml.to_owned(),
                        key,
                        expected: format!("a principal point within the {count} pixels"),
                        got: value.to_string(),
                    });
                }
            }
            Ok(Geometry::Pinhole {
                rows,
                cols,
                intrinsics,
            })
        }
        GeometrySource::Angles(files) => Ok(Geometry::Angles {
            elevation: angles(&root.join(&files.elevation), 90.0, rows)?,
            azimuth: angles(&root.join(&files.azimuth), 180.0, cols)?,
        }),
    }
}

fn angles(path: &Path, bound: f32, count: usize) -> Result<Vec<f32>, DatasetError> {
    let angles = files::column(
        path,
        "an angle in degrees below the one before, or nan",
        |last, angle: f32| angle.abs() <= bound && last.is_none_or(|last| angle < last),
        |angle| !angle.is_nan(),
    )?;
    expect_count(path, "angles", count, angles.len())?;
    let used = angles.iter().filter(|a| !a.is_nan()).count();
    if used < 2 {
        return Err(DatasetError::Count {
            path: path.to_owned(),
            what: "angles other than nan at least",
            expected: 2,
            got: used,
        });
    }
    Ok(angles)
}

fn intensities(
    root: &Path,
    source: &ReturnSource,
    count: usize,
) -> Result<Vec<PathBuf>, DatasetError> {
    let ReturnSource::Intensity(folder) = source else {
        return Ok(Vec::new());
    };
    let folder = root.join(folder);
    let images = files::images(&folder)?;
    expect_count(&folder, "intensity images", count, images.len())?;
    Ok(images)
}

fn stamps(root: &Path, timing: &Timing, count: usize) -> Result<Vec<u64>, DatasetError> {
    match timing {
        Timing::RateHz(rate) => Ok((0..count)
            .map(|index| (index as f64 * 1e9 / rate).round() as u64)
            .collect()),
        Timing::Stamps(file) => {
            let path = root.join(file);
            let stamps = files::column(
                &path,
                "a time in ns after the one before",
                |last, stamp: u64| last.is_none_or(|last| stamp > last),
                |_| true,
            )?;
            expect_count(&path, "stamps", count, stamps.len())?;
            Ok(stamps)
        }
    }
}

fn expect_count(
    path: &Path,
    what: &'static str,
    expected: usize,
    got: usize,
) -> Result<(), DatasetError> {
    if got == expected {
        return Ok(());
    }
    Err(DatasetError::Count {
        path: path.to_owned(),
        what,
        expected,
        got,
    })
}

const _: () = assert!(
    MAX_PIXELS <= u32::MAX as usize,
    "a resampler keeps pixels as u32"
);
