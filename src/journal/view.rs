//! Depth for viewers: as an image of a pinhole camera with its calibration, and as points.
//!
//! A sensor measures range along each ray; viewers expect depth along a camera's axis. The camera stands where the
//! sensor does, looks along its x axis, sees what the sensor sees (up to 60° to each side), has as many rows and
//! columns, and takes each pixel from the sensor's pixel nearest to it.

use crate::frame::{Geometry, RangeImage};
use crate::wire::foxglove::{
    CameraCalibration, PackedElementField, PointCloud, Pose, Quaternion, RawImage, Vector3,
    packed_element_field::NumericType,
};
use bytes::Bytes;
use prost_types::Timestamp;
use serde::{Deserialize, Serialize};

/// How far to each side the camera sees at most, degrees.
const WIDEST_DEG: f32 = 60.0;

/// How depth is written into images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DepthEncoding {
    /// mm, 0 = invalid, as all is beyond 65.535 m
    #[default]
    #[serde(rename = "16UC1")]
    Millimetres,
    /// m, NaN = invalid
    #[serde(rename = "32FC1")]
    Metres,
}

/// A camera in a sensor's place.
#[derive(Clone, Debug)]
pub struct View {
    frame_id: String,
    size: (usize, usize),
    /// fx, fy, cx, cy, px
    camera: [f32; 4],
    /// the sensor's pixel that each pixel of the camera shows, and the share of its range that is depth
    from: Vec<Option<(usize, f32)>>,
    /// unit vector along each ray of the sensor
    directions: Vec<[f32; 3]>,
}

impl View {
    /// The view of a sensor of `size` = (rows, cols) pixels, in the coordinate frame `frame_id`.
    pub fn new(geometry: &Geometry, size: (usize, usize), frame_id: &str) -> Self {
        let (rows, cols) = size;
        let camera = camera(geometry, size);
        let [fx, fy, cx, cy] = camera;
        let pinhole = Geometry::Pinhole { fx, fy, cx, cy };
        let pixels = || (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
        let from = pixels().map(|pixel| {
            let (row, col) = geometry.pixel(size, pinhole.direction(size, pixel))?;
            let depth = geometry.direction(size, (row, col))[0];
            (depth > 0.0).then_some((row * cols + col, depth))
        });
        Self {
            frame_id: frame_id.to_owned(),
            size,
            camera,
            from: from.collect(),
            directions: pixels()
                .map(|pixel| geometry.direction(size, pixel))
                .collect(),
        }
    }

    /// Depth along the camera's axis, z forward; its frame is `<frame id>_optical`.
    ///
    /// # Panics
    /// Where the image has another size.
    pub fn depth_image(
        &self,
        image: &RangeImage,
        stamp_ns: u64,
        encoding: DepthEncoding,
    ) -> RawImage {
        assert_eq!((image.rows, image.cols), self.size, "rows, cols");
        let depths = self.from.iter().map(|from| {
            from.filter(|&(pixel, _)| image.valid[pixel])
                .map(|(pixel, share)| image.range[pixel] * share)
        });
        let (name, width, data): (_, _, Bytes) = match encoding {
            DepthEncoding::Millimetres => {
                let counts = depths.map(|depth| {
                    let mm = depth.map_or(0.0, |d| (d * 1000.0).round());
                    if mm <= f32::from(u16::MAX) {
                        mm as u16
                    } else {
                        0
                    }
                });
                ("16UC1", 2, counts.flat_map(u16::to_le_bytes).collect())
            }
            DepthEncoding::Metres => {
                let metres = depths.map(|depth| depth.unwrap_or(f32::NAN));
                ("32FC1", 4, metres.flat_map(f32::to_le_bytes).collect())
            }
        };
        let (rows, cols) = (self.size.0 as u32, self.size.1 as u32);
        RawImage {
            timestamp: Some(timestamp(stamp_ns)),
            frame_id: self.optical_frame(),
            width: cols,
            height: rows,
            encoding: name.to_owned(),
            step: cols * width,
            data,
        }
    }

    /// The camera of [`View::depth_image`].
    pub fn calibration(&self, stamp_ns: u64) -> CameraCalibration {
        let [fx, fy, cx, cy] = self.camera.map(f64::from);
        CameraCalibration {
            timestamp: Some(timestamp(stamp_ns)),
            frame_id: self.optical_frame(),
            width: self.size.1 as u32,
            height: self.size.0 as u32,
            distortion_model: String::new(),
            d: vec![],
            k: vec![fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
            r: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            p: vec![fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        }
    }

    /// The valid pixels as points x, y, z, intensity, in the sensor's frame.
    ///
    /// # Panics
    /// Where the image has another size.
    pub fn points(&self, image: &RangeImage, stamp_ns: u64) -> PointCloud {
        assert_eq!((image.rows, image.cols), self.size, "rows, cols");
        let valid = (0..image.pixels()).filter(|&i| image.valid[i]);
        let data = valid.flat_map(|i| {
            let [x, y, z] = self.directions[i].map(|part| part * image.range[i]);
            [x, y, z, image.returns[i]]
                .into_iter()
                .flat_map(f32::to_le_bytes)
        });
        let fields = ["x", "y", "z", "intensity"].iter().zip((0..).step_by(4));
        PointCloud {
            timestamp: Some(timestamp(stamp_ns)),
            frame_id: self.frame_id.clone(),
            pose: Some(Pose {
                position: Some(Vector3::default()),
                orientation: Some(Quaternion {
                    w: 1.0,
                    ..Quaternion::default()
                }),
            }),
            point_stride: 16,
            fields: fields
                .map(|(name, offset)| PackedElementField {
                    name: (*name).to_owned(),
                    offset,
                    r#type: NumericType::Float32.into(),
                })
                .collect(),
            data: data.collect(),
        }
    }

    fn optical_frame(&self) -> String {
        format!("{}_optical", self.frame_id)
    }
}

/// Focal lengths and principal point of the camera, px.
fn camera(geometry: &Geometry, (rows, cols): (usize, usize)) -> [f32; 4] {
    match *geometry {
        Geometry::Pinhole { fx, fy, cx, cy } => [fx, fy, cx, cy],
        Geometry::Angular {
            left_deg,
            right_deg,
            top_deg,
            bottom_deg,
        } => {
            let axis = |from: f32, to: f32, count: usize| {
                let tangent = |deg: f32| deg.clamp(-WIDEST_DEG, WIDEST_DEG).to_radians().tan();
                let (from, to) = (tangent(from), tangent(to));
                let focal = count as f32 / (from - to).max(1e-3);
                (focal, focal * from - 0.5)
            };
            let (fx, cx) = axis(left_deg, right_deg, cols);
            let (fy, cy) = axis(top_deg, bottom_deg, rows);
            [fx, fy, cx, cy]
        }
    }
}

fn timestamp(stamp_ns: u64) -> Timestamp {
    const SECOND: u64 = 1_000_000_000;
    Timestamp {
        seconds: (stamp_ns / SECOND) as i64, // at most 2⁶⁴ / 10⁹
        nanos: (stamp_ns % SECOND) as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wall across the axis, 5 m ahead: every ray that reaches it has the same depth.
    #[test]
    fn a_wall_has_one_depth() {
        let size = (24, 32);
        let geometry = Geometry::centred(60.0, 45.0);
        let mut wall = RangeImage::empty(24, 32);
        for pixel in 0..wall.pixels() {
            let d = geometry.direction(size, (pixel / 32, pixel % 32));
            (wall.range[pixel], wall.valid[pixel]) = (5.0 / d[0], true);
        }
        (0..4 * 4).for_each(|i| wall.valid[i / 4 * 32 + i % 4] = false); // the upper left corner
        let view = View::new(&geometry, size, "lidar");
        let image = view.depth_image(&wall, 1_500_000_000, DepthEncoding::Millimetres);
        let depths: Vec<u16> = image
            .data
            .chunks_exact(2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
            .collect();
        assert_eq!((image.step, depths.len()), (64, 24 * 32));
        assert_eq!(depths[0], 0, "invalid");
        let seen = depths.iter().filter(|d| (4999..=5001).contains(*d)).count();
        assert!(seen > 24 * 32 * 9 / 10, "{seen} pixels of 768 at 5 m");
        assert!(depths.iter().all(|d| *d == 0 || (4999..=5001).contains(d)));
        let stamp = image.timestamp.unwrap();
        assert_eq!((stamp.seconds, stamp.nanos), (1, 500_000_000));
        let metres = view.depth_image(&wall, 0, DepthEncoding::Metres);
        assert!(f32::from_le_bytes(metres.data[..4].try_into().unwrap()).is_nan());
        let points = view.points(&wall, 0);
        assert_eq!(points.data.len(), 16 * (24 * 32 - 16));
        let x = f32::from_le_bytes(points.data[..4].try_into().unwrap());
        assert!((x - 5.0).abs() < 1e-4);
        assert_eq!(view.calibration(0).k.len(), 9);
    }
}
