//! Messages and the words of floor 0, both ways.

use super::arrays::words;
use super::v1::{self, geometry::Kind};
use super::{WireError, pack_f32s};
use crate::frame::{Geometry, Pose, RangeImage};

/// The longest name of a sensor, bytes.
const MAX_SENSOR_ID: usize = 128;

/// Checks a sensor's name.
///
/// # Errors
/// Where it is empty, longer than 128 bytes, or holds control characters.
pub fn check_sensor_id(id: &str) -> Result<(), WireError> {
    if !id.is_empty() && id.len() <= MAX_SENSOR_ID && !id.chars().any(char::is_control) {
        return Ok(());
    }
    Err(WireError::SensorId {
        limit: MAX_SENSOR_ID,
        got: id.chars().filter(|c| !c.is_control()).take(40).collect(),
    })
}

/// Where pixels look; not yet validated.
///
/// # Errors
/// Where it does not say.
pub fn geometry(message: Option<&v1::Geometry>) -> Result<Geometry, WireError> {
    match message.and_then(|m| m.kind.as_ref()) {
        Some(Kind::Angular(a)) => Ok(Geometry::Angular {
            left_deg: a.left_deg,
            right_deg: a.right_deg,
            top_deg: a.top_deg,
            bottom_deg: a.bottom_deg,
        }),
        Some(&Kind::Pinhole(v1::Pinhole { fx, fy, cx, cy })) => {
            Ok(Geometry::Pinhole { fx, fy, cx, cy })
        }
        None => Err(WireError::Missing { field: "geometry" }),
    }
}

/// The message of a geometry.
pub fn geometry_message(geometry: &Geometry) -> v1::Geometry {
    let kind = match *geometry {
        Geometry::Angular {
            left_deg,
            right_deg,
            top_deg,
            bottom_deg,
        } => Kind::Angular(v1::AngularGrid {
            left_deg,
            right_deg,
            top_deg,
            bottom_deg,
        }),
        Geometry::Pinhole { fx, fy, cx, cy } => Kind::Pinhole(v1::Pinhole { fx, fy, cx, cy }),
    };
    v1::Geometry { kind: Some(kind) }
}

/// A pose.
pub fn pose(message: &v1::Pose) -> Pose {
    Pose {
        position: [message.x, message.y, message.z],
        rotation: [message.qx, message.qy, message.qz, message.qw],
    }
}

/// The message of a pose.
pub fn pose_message(pose: &Pose) -> v1::Pose {
    let ([x, y, z], [qx, qy, qz, qw]) = (pose.position, pose.rotation);
    v1::Pose {
        x,
        y,
        z,
        qx,
        qy,
        qz,
        qw,
    }
}

/// An image; a pixel whose range is NaN is not valid.
///
/// # Errors
/// Where rows and columns do not fit the arrays, or a return is not a number.
pub fn range_frame(message: &v1::RangeFrame) -> Result<RangeImage, WireError> {
    let (rows, cols) = (message.rows as usize, message.cols as usize);
    let pixels = rows.saturating_mul(cols);
    let returns = super::f32s("returns", &message.returns, pixels)?;
    if message.range_m.len() != message.returns.len() {
        return Err(WireError::Length {
            field: "range_m",
            expected: pixels,
            got: message.range_m.len(),
        });
    }
    let range: Vec<f32> = words(&message.range_m).map(f32::from_le_bytes).collect();
    Ok(RangeImage {
        rows,
        cols,
        valid: range.iter().map(|r| !r.is_nan()).collect(),
        range: range
            .iter()
            .map(|r| if r.is_nan() { 0.0 } else { *r })
            .collect(),
        returns,
        range_sigma: vec![],
    })
}

/// The message of an image.
pub fn range_frame_message(image: &RangeImage) -> v1::RangeFrame {
    let range = image.range.iter().zip(&image.valid);
    v1::RangeFrame {
        rows: image.rows as u32,
        cols: image.cols as u32,
        range_m: pack_f32s(range.map(|(&r, &valid)| if valid { r } else { f32::NAN })),
        returns: pack_f32s(image.returns.iter().copied()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_survive_and_misfits_are_named() {
        let mut image = RangeImage::empty(2, 3);
        (image.range[4], image.returns[4], image.valid[4]) = (7.5, 0.25, true);
        let message = range_frame_message(&image);
        assert_eq!(range_frame(&message).unwrap(), image);
        let wide = v1::RangeFrame {
            cols: 4,
            ..message.clone()
        };
        assert!(matches!(
            range_frame(&wide),
            Err(WireError::Length { expected: 8, .. })
        ));
        let huge = v1::RangeFrame {
            rows: u32::MAX,
            cols: u32::MAX,
            ..message
        };
        assert!(range_frame(&huge).is_err());
    }

    #[test]
    fn names_are_checked() {
        assert!(check_sensor_id("front").is_ok());
        assert!(check_sensor_id("").is_err() && check_sensor_id("a\nb").is_err());
        assert!(check_sensor_id(&"x".repeat(129)).is_err());
    }
}
