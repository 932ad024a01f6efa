//! Depth recorded by others, out of MCAP logs: depth images (foxglove, ROS 1 and ROS 2) and foxglove point clouds.

mod image;
mod points;

use crate::dataset::{
    Augmentation, Crop, DatasetError, Intrinsics, Resampler, Slope, positive, read_text,
    slope_returns,
};
use crate::frame::{Geometry, RangeImage};
use crate::journal::{Entry, JournalError, Reader};
use crate::wire::foxglove;
use prost::Message;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Which depth of a log is meant, and what it means. Unknown keys are refused.
///
/// ```toml
/// log = "recording.mcap"
/// topic = "/camera/depth/image_raw"  # foxglove.RawImage, sensor_msgs/Image or foxglove.PointCloud
/// max_range_m = 10.0                 # what lies beyond is invalid
/// calibration = "/camera/camera_calibration" # of images: a foxglove.CameraCalibration; or
/// # intrinsics = { fx = 385.0, fy = 385.0, cx = 320.0, cy = 240.0 }
/// # scale_m = 0.001                  # metres per unit of an image; by its encoding where left out
/// # field = { azimuth = [-60.0, 60.0], elevation = [-20.0, 20.0] } # of clouds, degrees; the first cloud's where left out
/// returns = { slope = { albedo = 0.6, reach = 2 } } # or { constant = 0.5 }; clouds with an intensity use that
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportDescription {
    /// the log, relative to the TOML file
    pub log: PathBuf,
    /// topic of the images or clouds
    pub topic: String,
    /// κ_J, m: what lies beyond is invalid
    pub max_range_m: f32,
    /// topic of the camera's calibration
    #[serde(default)]
    pub calibration: Option<String>,
    /// the camera, where no topic tells
    #[serde(default)]
    pub intrinsics: Option<Intrinsics>,
    /// metres per unit of an image
    #[serde(default)]
    pub scale_m: Option<f32>,
    /// field of view that clouds are seen in
    #[serde(default)]
    pub field: Option<Field>,
    /// where the returns come from
    pub returns: ImportReturns,
}

impl ImportDescription {
    /// The description that a TOML file holds; `path` is its name in errors.
    ///
    /// # Errors
    /// Where it is no description, or a value makes no sense.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ImportError> {
        let description: Self =
            toml::from_str(text).map_err(|source| ImportError::Description {
                path: path.to_owned(),
                source: Box::new(source),
            })?;
        let positive = |key, value, most| positive(path, key, value, most);
        positive("max_range_m", description.max_range_m.into(), 1e6)?;
        match description.returns {
            ImportReturns::Slope(slope) => slope.check(path)?,
            ImportReturns::Constant(constant) => positive("constant", constant.into(), 1e3)?,
        }
        if let Some(intrinsics) = description.intrinsics {
            intrinsics.check(path)?;
        }
        if let Some(scale_m) = description.scale_m {
            positive("scale_m", scale_m.into(), 1e3)?;
        }
        Ok(description)
    }
}

/// A field of view, degrees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// rightmost and leftmost azimuth
    pub azimuth: [f32; 2],
    /// lowest and highest elevation
    pub elevation: [f32; 2],
}

/// Where returns come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ImportReturns {
    /// cosine of incidence, estimated from neighbouring ranges of an image, times an albedo
    Slope(Slope),
    /// the same for every pixel
    Constant(f32),
}

/// Why a recording cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// the description is not the TOML expected
    #[error("cannot understand the description {path}", path = path.display())]
    Description {
        /// its path
        path: PathBuf,
        /// why
        source: Box<toml::de::Error>,
    },
    /// a value that makes no sense, or a message that does not
    #[error("expected {expected} as {what}, got {got}")]
    Value {
        /// what it is
        what: String,
        /// what would do
        expected: &'static str,
        /// what is there
        got: String,
    },
    /// no such topic
    #[error("expected messages on topic {topic}, found none")]
    NoTopic {
        /// the topic
        topic: String,
    },
    /// the log
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// the resampling
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

/// The frames of a recording, brought to rows × cols pixels even in azimuth and elevation.
pub struct Import {
    description: ImportDescription,
    size: (usize, usize),
    reader: Reader,
    view: View,
}

/// How frames become images.
enum View {
    Camera {
        source: crate::dataset::Geometry,
        resampler: Resampler,
        geometry: Geometry,
    },
    Cloud(Geometry),
}

pub(super) fn value<T>(
    what: impl Into<String>,
    expected: &'static str,
    got: impl std::fmt::Display,
) -> Result<T, ImportError> {
    Err(ImportError::Value {
        what: what.into(),
        expected,
        got: got.to_string(),
    })
}

impl Import {
    /// Opens the recording that a TOML file describes, for frames of `size` = (rows, cols) pixels.
    ///
    /// # Errors
    /// Where the description or the log cannot be read, or the log holds no such topic.
    pub fn open(
        toml: &Path,
        root: Option<&Path>,
        size: (usize, usize),
    ) -> Result<Self, ImportError> {
        let description = ImportDescription::parse(&read_text(toml)?, toml)?;
        let beside = toml.parent().unwrap_or(Path::new(""));
        let log = root.unwrap_or(beside).join(&description.log);
        let mut intrinsics = description.intrinsics;
        if let (None, Some(topic)) = (intrinsics, &description.calibration) {
            let entry = first_of(&log, topic)?;
            intrinsics = Some(calibration(&entry)?);
        }
        let first = first_of(&log, &description.topic)?;
        let view = view(&description, &first, intrinsics, size)?;
        Ok(Self {
            reader: Reader::open(&log)?,
            description,
            size,
            view,
        })
    }

    /// Where the pixels look.
    pub fn geometry(&self) -> Geometry {
        match &self.view {
            View::Camera { geometry, .. } | View::Cloud(geometry) => *geometry,
        }
    }

    /// κ_J, m.
    pub fn max_range_m(&self) -> f32 {
        self.description.max_range_m
    }

    fn frame(&self, entry: &Entry) -> Result<RangeImage, ImportError> {
        let max = self.description.max_range_m;
        match &self.view {
            View::Cloud(geometry) => {
                let returns = match self.description.returns {
                    ImportReturns::Constant(value) => value,
                    ImportReturns::Slope(slope) => slope.albedo,
                };
                points::bin(entry, geometry, self.size, max, returns)
            }
            View::Camera {
                source, resampler, ..
            } => {
                let depth = image::decode(entry)?;
                if (depth.rows, depth.cols) != source.size() {
                    return value(
                        format!("size of an image on {}", entry.channel.topic),
                        "that of the first one",
                        format!("{} × {}", depth.rows, depth.cols),
                    );
                }
                let mut image = depth.ranges(source, self.description.scale_m, max)?;
                match self.description.returns {
                    ImportReturns::Slope(slope) => slope_returns(source, slope, &mut image),
                    ImportReturns::Constant(value) => {
                        let pixels = image.returns.iter_mut().zip(&image.valid);
                        pixels.for_each(|(s, &valid)| *s = if valid { value } else { 0.0 });
                    }
                }
                let mut out = RangeImage::default();
                resampler.apply(&image, Augmentation::default(), &mut out);
                Ok(out)
            }
        }
    }
}

/// Ranges along the rays of a camera, m, from a message that is a depth image; `scale_m` is metres per unit, by the image's
/// encoding where it is not given.
///
/// # Errors
/// Where it is none, or not as large as it says.
pub fn depth_image(
    entry: &Entry,
    intrinsics: Intrinsics,
    scale_m: Option<f32>,
    max_range_m: f32,
) -> Result<RangeImage, ImportError> {
    let depth = image::decode(entry)?;
    let camera = crate::dataset::Geometry::Pinhole {
        rows: depth.rows,
        cols: depth.cols,
        intrinsics,
    };
    depth.ranges(&camera, scale_m, max_range_m)
}

/// The nearest point of each pixel of `size` = (rows, cols), from a message that is a point cloud; without a `geometry`, over
/// the field of view that it fills.
///
/// # Errors
/// Where it is none, or fills no field of view.
pub fn point_cloud(
    entry: &Entry,
    geometry: Option<Geometry>,
    size: (usize, usize),
    max_range_m: f32,
) -> Result<RangeImage, ImportError> {
    let geometry = match geometry {
        Some(geometry) => geometry,
        None => seen(points::field(entry)?)?,
    };
    points::bin(entry, &geometry, size, max_range_m, 1.0)
}

/// The geometry of a field of view.
fn seen(field: Field) -> Result<Geometry, ImportError> {
    let geometry = angular(&Crop {
        azimuth: field.azimuth.into(),
        elevation: field.elevation.into(),
    });
    match geometry.validate() {
        Ok(()) => Ok(geometry),
        Err(error) => value("field of view", "edges in order, in degrees", error),
    }
}

impl Iterator for Import {
    type Item = Result<(u64, RangeImage), ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.reader.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error.into())),
            };
            if entry.channel.topic == self.description.topic {
                let stamp_ns = entry.log_time_ns;
                return Some(self.frame(&entry).map(|image| (stamp_ns, image)));
            }
        }
    }
}

fn first_of(log: &Path, topic: &str) -> Result<Entry, ImportError> {
    for entry in Reader::open(log)? {
        let entry = entry?;
        if entry.channel.topic == topic {
            return Ok(entry);
        }
    }
    Err(ImportError::NoTopic {
        topic: topic.to_owned(),
    })
}

fn calibration(entry: &Entry) -> Result<Intrinsics, ImportError> {
    let what = || format!("message on {}", entry.channel.topic);
    if entry.channel.schema != "foxglove.CameraCalibration" {
        return value(
            what(),
            "a foxglove.CameraCalibration",
            &entry.channel.schema,
        );
    }
    match foxglove::CameraCalibration::decode(entry.data.clone()) {
        Ok(c) if c.k.len() == 9 => Ok(Intrinsics {
            fx: c.k[0] as f32,
            fy: c.k[4] as f32,
            cx: c.k[2] as f32,
            cy: c.k[5] as f32,
        }),
        Ok(c) => value(what(), "an intrinsic matrix K of 9 values", c.k.len()),
        Err(error) => value(what(), "a foxglove.CameraCalibration", error),
    }
}

fn view(
    description: &ImportDescription,
    first: &Entry,
    intrinsics: Option<Intrinsics>,
    size: (usize, usize),
) -> Result<View, ImportError> {
    if first.channel.schema == "foxglove.PointCloud" {
        let field = match description.field {
            Some(field) => field,
            None => points::field(first)?,
        };
        return Ok(View::Cloud(seen(field)?));
    }
    let expected = "focal lengths > 0, as intrinsics or by a calibration topic";
    let intrinsics = match intrinsics {
        None => return value("camera", expected, "none"),
        Some(k) if k.fx > 0.0 && k.fy > 0.0 => k,
        Some(k) => return value("camera", expected, format!("{} and {}", k.fx, k.fy)),
    };
    let depth = image::decode(first)?;
    let source = crate::dataset::Geometry::Pinhole {
        rows: depth.rows,
        cols: depth.cols,
        intrinsics,
    };
    Ok(View::Camera {
        resampler: Resampler::new(&source, size.0, size.1, None)?,
        geometry: angular(&source.field()),
        source,
    })
}

/// The geometry of frames resampled over a field of view.
pub fn angular(field: &Crop) -> Geometry {
    Geometry::Angular {
        left_deg: field.azimuth.1,
        right_deg: field.azimuth.0,
        top_deg: field.elevation.1,
        bottom_deg: field.elevation.0,
    }
}
