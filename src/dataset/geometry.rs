//! Where the pixels of a recorded frame look.

use super::{DatasetError, Intrinsics};

/// A part of the field of view, degrees: azimuth positive to the left, elevation positive upwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// rightmost and leftmost azimuth, degrees
    pub azimuth: (f32, f32),
    /// lowest and highest elevation, degrees
    pub elevation: (f32, f32),
}

impl Crop {
    pub(super) fn check(&self) -> Result<(), DatasetError> {
        for (axis, (low, high), bound) in [
            ("azimuth", self.azimuth, 180.0),
            ("elevation", self.elevation, 90.0),
        ] {
            if !(-bound <= low && low < high && high <= bound) {
                return Err(DatasetError::Crop { axis, low, high });
            }
        }
        Ok(())
    }
}

/// Where the pixels look. Row 0 is the top, column 0 the left.
#[derive(Clone, Debug, PartialEq)]
pub enum Geometry {
    /// a pinhole camera
    Pinhole {
        /// rows of pixels
        rows: usize,
        /// columns of pixels
        cols: usize,
        /// focal lengths and principal point, px
        intrinsics: Intrinsics,
    },
    /// a direction for each row and each column, decreasing; NaN where it is never used, two at least are used
    Angles {
        /// elevation of each row, degrees, (rows)
        elevation: Vec<f32>,
        /// azimuth of each column, degrees, (cols)
        azimuth: Vec<f32>,
    },
}

impl Geometry {
    /// Rows and columns of pixels.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Pinhole { rows, cols, .. } => (*rows, *cols),
            Self::Angles { elevation, azimuth } => (elevation.len(), azimuth.len()),
        }
    }

    /// Unit vector along a pixel's ray (forwards, left, up); `None` where the pixel is never used.
    pub fn direction(&self, row: usize, col: usize) -> Option<[f32; 3]> {
        match self {
            Self::Pinhole { intrinsics: k, .. } => {
                let left = (k.cx - col as f32) / k.fx;
                let up = (k.cy - row as f32) / k.fy;
                let norm = (1.0 + left * left + up * up).sqrt();
                Some([1.0 / norm, left / norm, up / norm])
            }
            Self::Angles { elevation, azimuth } => {
                let (elevation, azimuth) = (elevation[row], azimuth[col]);
                if elevation.is_nan() || azimuth.is_nan() {
                    return None;
                }
                let (up, level) = elevation.to_radians().sin_cos();
                let (left, forwards) = azimuth.to_radians().sin_cos();
                Some([level * forwards, level * left, up])
            }
        }
    }

    /// The widest field, even in azimuth and elevation, every ray of which some pixel sees.
    pub fn field(&self) -> Crop {
        match self {
            Self::Pinhole {
                rows,
                cols,
                intrinsics: k,
            } => {
                let left = (k.cx + 0.5) / k.fx;
                let right = (*cols as f32 - 0.5 - k.cx) / k.fx;
                // a row of pixels sinks towards the horizon with azimuth: the edges see the least
                let widest = (1.0 + left.max(right).powi(2)).sqrt();
                let up = (k.cy + 0.5) / (k.fy * widest);
                let down = (*rows as f32 - 0.5 - k.cy) / (k.fy * widest);
                let degrees = |tangent: f32| tangent.atan().to_degrees();
                Crop {
                    azimuth: (-degrees(right), degrees(left)),
                    elevation: (-degrees(down), degrees(up)),
                }
            }
            Self::Angles { elevation, azimuth } => Crop {
                azimuth: extent(azimuth, 180.0),
                elevation: extent(elevation, 90.0),
            },
        }
    }

    /// The pixel nearest to a ray, row-major; `None` where no pixel looks there.
    pub fn nearest(&self, azimuth_deg: f32, elevation_deg: f32) -> Option<usize> {
        match self {
            Self::Pinhole {
                rows,
                cols,
                intrinsics: k,
            } => {
                if azimuth_deg.abs() >= 90.0 || elevation_deg.abs() >= 90.0 {
                    return None;
                }
                let azimuth = azimuth_deg.to_radians();
                let u = k.cx - k.fx * azimuth.tan();
                let v = k.cy - k.fy * elevation_deg.to_radians().tan() / azimuth.cos();
                let row = whole(v, *rows)?;
                Some(row * cols + whole(u, *cols)?)
            }
            Self::Angles { elevation, azimuth } => {
                let row = closest(elevation, elevation_deg, 90.0)?;
                Some(row * azimuth.len() + closest(azimuth, azimuth_deg, 180.0)?)
            }
        }
    }
}

/// The pixel whose square holds a coordinate.
fn whole(at: f32, count: usize) -> Option<usize> {
    let index = (at + 0.5).floor();
    (index >= 0.0 && index < count as f32).then_some(index as usize)
}

/// The index of the angle nearest to `at`, if `at` is within the angles' extent.
fn closest(angles: &[f32], at: f32, bound: f32) -> Option<usize> {
    let (low, high) = extent(angles, bound);
    if !(low..=high).contains(&at) {
        return None;
    }
    let distance = |i: &usize| (angles[*i] - at).abs();
    (0..angles.len())
        .filter(|&i| !angles[i].is_nan())
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// From the last angle to the first, each with half the step to its neighbour beyond it.
fn extent(angles: &[f32], bound: f32) -> (f32, f32) {
    let mut used = angles.iter().copied().filter(|a| !a.is_nan());
    let mut reversed = used.clone().rev();
    let beyond = |edge: Option<f32>, next: Option<f32>| match (edge, next) {
        (Some(edge), Some(next)) => (edge + (edge - next) / 2.0).clamp(-bound, bound),
        _ => f32::NAN,
    };
    let low = beyond(reversed.next(), reversed.next());
    let high = beyond(used.next(), used.next());
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beams() -> Geometry {
        Geometry::Angles {
            elevation: vec![f32::NAN, 2.0, 0.0, -6.0],
            azimuth: vec![10.0, 0.0, f32::NAN, -10.0],
        }
    }

    fn camera() -> Geometry {
        Geometry::Pinhole {
            rows: 48,
            cols: 64,
            intrinsics: Intrinsics {
                fx: 40.0,
                fy: 42.0,
                cx: 30.0,
                cy: 25.0,
            },
        }
    }

    #[test]
    fn beams_reach_half_a_step_beyond_the_last() {
        let field = beams().field();
        assert_eq!(field.elevation, (-9.0, 3.0));
        assert_eq!(field.azimuth, (-15.0, 15.0));
        assert_eq!(beams().nearest(9.0, 1.5), Some(4));
        assert_eq!(beams().nearest(-4.0, -2.0), Some(2 * 4 + 1)); // never the column without an angle
        assert_eq!(beams().nearest(0.0, 3.1), None);
        assert_eq!(beams().nearest(-15.1, 0.0), None);
        assert_eq!(beams().direction(0, 1), None);
    }

    #[test]
    fn every_pixel_of_a_camera_is_nearest_to_its_own_ray() {
        let camera = camera();
        for (row, col) in [(0, 0), (47, 63), (25, 30), (3, 50), (40, 7)] {
            let [forwards, left, up] = camera.direction(row, col).unwrap();
            let azimuth = left.atan2(forwards).to_degrees();
            let elevation = up.asin().to_degrees();
            assert_eq!(camera.nearest(azimuth, elevation), Some(row * 64 + col));
        }
        let [_, left, up] = camera.direction(0, 0).unwrap();
        assert!(
            left > 0.0 && up > 0.0,
            "row 0 is the top, column 0 the left"
        );
    }

    #[test]
    fn a_camera_sees_all_of_its_field_and_no_more() {
        let camera = camera();
        let Crop { azimuth, elevation } = camera.field();
        for (a, e) in [(azimuth.0, elevation.0), (azimuth.1, elevation.1)] {
            assert!(camera.nearest(0.999 * a, 0.999 * e).is_some());
            assert!(camera.nearest(1.001 * a, 0.0).is_none());
        }
        let widest = azimuth.0; // the right edge is further from the axis
        assert!(
            camera
                .nearest(0.9999 * widest, 1.001 * elevation.0)
                .is_none()
        );
        assert!(camera.nearest(120.0, 0.0).is_none());
    }
}
