//! What the files of a recorded sequence mean, as TOML.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use super::{DatasetError, files};

/// A recorded sequence: where its files are and what they mean. Unknown keys are refused.
///
/// ```toml
/// frames = "range"                  # folder of 16-bit grey PNGs, in the order of their names; 0 = no return
/// kind = "range"                    # along the ray; "depth": along the axis
/// scale_m = 0.004                   # metres per count
/// max_range_m = 120.0               # what lies beyond is invalid
/// geometry = { angles = { elevation = "elevation_deg.txt", azimuth = "azimuth_deg.txt" } }
/// returns = { intensity = "intensity" }
/// intensity_of_1 = 100              # optional; brighter pixels saturate, as retroreflectors do
/// timing = { stamps = "timestamps_ns.txt" }
/// train = [0, 200]                  # optional, half-open
/// evaluate = [200, 250]             # optional, half-open
/// origin = "who recorded it, and where it is published"
/// licence = "MIT"
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceDescription {
    /// folder of 16-bit grey PNGs, taken in the order of their names; 0 = no return
    pub frames: PathBuf,
    /// whether a value is a range or a depth
    pub kind: FrameKind,
    /// metres per count
    pub scale_m: f32,
    /// κ_J, m: what lies beyond is invalid
    pub max_range_m: f32,
    /// where the pixels look
    pub geometry: GeometrySource,
    /// where the returns come from
    pub returns: ReturnSource,
    /// intensity that is a return of 1; brighter pixels saturate at it
    #[serde(default = "full_scale")]
    pub intensity_of_1: u8,
    /// when the frames were taken
    pub timing: Timing,
    /// frames that may be trained and tuned on, half-open; without it those before or after `evaluate`, whichever are more, or all
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<[usize; 2]>,
    /// frames kept for evaluation, half-open; without it those before or after `train`, whichever are more, or all
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluate: Option<[usize; 2]>,
    /// who recorded it, and where it is published
    pub origin: String,
    /// its licence
    pub licence: String,
}

/// The greatest intensity of an 8-bit image.
fn full_scale() -> u8 {
    u8::MAX
}

/// What a frame's values measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameKind {
    /// distance along the pixel's ray
    Range,
    /// distance along the optical axis; r = z·√(1 + ((u − cx)/fx)² + ((v − cy)/fy)²)
    Depth,
}

/// Where the pixels look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GeometrySource {
    /// a pinhole camera
    Intrinsics(Intrinsics),
    /// a direction for each row and each column
    Angles(Angles),
}

/// A pinhole camera without distortion, px; the first pixel's centre is at (0, 0).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intrinsics {
    /// focal length across, px
    pub fx: f32,
    /// focal length down, px
    pub fy: f32,
    /// principal point, column
    pub cx: f32,
    /// principal point, row
    pub cy: f32,
}

/// Text files with one angle in degrees per line, decreasing; `nan` where a row or column is never used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Angles {
    /// one per row, upwards positive
    pub elevation: PathBuf,
    /// one per column, leftwards positive
    pub azimuth: PathBuf,
}

/// Where the returns come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ReturnSource {
    /// folder of 8-bit grey PNGs in the order of the frames; return = value / `intensity_of_1`, 1 at most, invalid at 0
    Intensity(PathBuf),
    /// cosine of incidence, estimated from neighbouring ranges, times an albedo
    Slope(Slope),
    /// the same for every pixel
    Constant(f32),
}

/// Return from the surface's slope.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slope {
    /// albedo of everything, in (0, 1]
    pub albedo: f32,
    /// how far the neighbours are that the slope is taken from, px, ≥ 1: more where ranges are noisy
    pub reach: usize,
}

/// When the frames were taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Timing {
    /// text file with one acquisition time a frame, ns, increasing
    Stamps(PathBuf),
    /// evenly from 0, Hz
    RateHz(f64),
}

impl SequenceDescription {
    /// Reads a description from a TOML file and checks its values.
    ///
    /// # Errors
    /// Where the file cannot be read, is not the TOML expected, or holds a value that makes no sense.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        Self::parse(&files::read_text(path)?, path)
    }

    /// Reads a description from the text of a TOML file and checks its values; `path` is its name in errors.
    ///
    /// # Errors
    /// Where it is not the TOML expected, or holds a value that makes no sense.
    pub fn parse(text: &str, path: &Path) -> Result<Self, DatasetError> {
        let description: Self =
            toml::from_str(text).map_err(|source| DatasetError::Description {
                path: path.to_owned(),
                source: Box::new(source),
            })?;
        description.check(path)?;
        Ok(description)
    }

    fn check(&self, path: &Path) -> Result<(), DatasetError> {
        let positive = |key, value, most| positive(path, key, value, most);
        positive("scale_m", self.scale_m.into(), 1e3)?;
        positive("max_range_m", self.max_range_m.into(), 1e6)?;
        match self.geometry {
            GeometrySource::Intrinsics(intrinsics) => intrinsics.check(path)?,
            GeometrySource::Angles(_) if self.kind == FrameKind::Depth => {
                return Err(DatasetError::Value {
                    path: path.to_owned(),
                    key: "geometry",
                    expected: "intrinsics, as depth along the axis needs them".into(),
                    got: "angles".into(),
                });
            }
            GeometrySource::Angles(_) => {}
        }
        match self.returns {
            ReturnSource::Slope(slope) => slope.check(path)?,
            ReturnSource::Constant(value) => positive("constant", value.into(), 1e3)?,
            ReturnSource::Intensity(_) => {}
        }
        positive("intensity_of_1", self.intensity_of_1.into(), 255.0)?;
        if let Timing::RateHz(rate) = self.timing {
            positive("rate_hz", rate, 1e6)?;
        }
        Ok(())
    }
}

impl Slope {
    /// # Errors
    /// Where a number makes no sense; `path` is the file's that gives it.
    pub(crate) fn check(&self, path: &Path) -> Result<(), DatasetError> {
        positive(path, "albedo", self.albedo.into(), 1.0)?;
        positive(path, "reach", self.reach as f64, 64.0)
    }
}

impl Intrinsics {
    /// # Errors
    /// Where a focal length makes no sense; `path` is the file's that gives it.
    pub(crate) fn check(&self, path: &Path) -> Result<(), DatasetError> {
        positive(path, "fx", self.fx.into(), 1e6)?;
        positive(path, "fy", self.fy.into(), 1e6)
    }
}

/// Checks a number that a file gives as `key`.
///
/// # Errors
/// Where it is not above 0 and at most `most`.
pub(crate) fn positive(
    path: &Path,
    key: &'static str,
    value: f64,
    most: f64,
) -> Result<(), DatasetError> {
    if value > 0.0 && value <= most {
        return Ok(());
    }
    Err(DatasetError::Value {
        path: path.to_owned(),
        key,
        expected: format!("a number above 0 and at most {most:e}"),
        got: value.to_string(),
    })
}
