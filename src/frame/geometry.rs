//! Where the pixels of a sensor look.

/// Directions of rows × cols pixels; row 0 is the top, column 0 the left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Geometry {
    /// even in azimuth and elevation, each ray through its pixel's centre; degrees, leftward and upward positive
    Angular {
        /// azimuth of the left edge
        left_deg: f32,
        /// azimuth of the right edge, below that of the left one
        right_deg: f32,
        /// elevation of the upper edge
        top_deg: f32,
        /// elevation of the lower edge, below that of the upper one
        bottom_deg: f32,
    },
    /// a pinhole camera without distortion, px; the first pixel's centre is at (0, 0)
    Pinhole {
        /// focal length across
        fx: f32,
        /// focal length down
        fy: f32,
        /// principal point, column
        cx: f32,
        /// principal point, row
        cy: f32,
    },
}

/// A geometry that looks nowhere.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("expected {expected}, got {got:?}")]
pub struct GeometryError {
    /// what would do
    pub expected: &'static str,
    /// the geometry
    pub got: Geometry,
}

impl Geometry {
    /// Pixels around the forward axis, fields of view in degrees.
    pub fn centred(horizontal_deg: f32, vertical_deg: f32) -> Self {
        Self::Angular {
            left_deg: 0.5 * horizontal_deg,
            right_deg: -0.5 * horizontal_deg,
            top_deg: 0.5 * vertical_deg,
            bottom_deg: -0.5 * vertical_deg,
        }
    }

    /// Checks that every pixel looks somewhere.
    ///
    /// # Errors
    /// Where angles are no part of the sphere in order, or focal lengths are not positive numbers.
    pub fn validate(&self) -> Result<(), GeometryError> {
        let (good, expected) = match *self {
            Self::Angular {
                left_deg,
                right_deg,
                top_deg,
                bottom_deg,
            } => (
                (right_deg < left_deg && left_deg - right_deg <= 360.0)
                    && (-90.0 <= bottom_deg && bottom_deg < top_deg && top_deg <= 90.0),
                "edges with right < left, at most 360 degrees apart, and -90 ≤ bottom < top ≤ 90 degrees",
            ),
            Self::Pinhole { fx, fy, cx, cy } => (
                fx > 0.0
                    && fy > 0.0
                    && [fx, fy, cx, cy]
                        .iter()
                        .all(|v| v.is_finite() && v.abs() < 1e6),
                "focal lengths > 0 and a principal point, all below 10⁶ px",
            ),
        };
        if good {
            return Ok(());
        }
        Err(GeometryError {
            expected,
            got: *self,
        })
    }

    /// Unit vector along a pixel's ray: x forward, y left, z up.
    pub fn direction(&self, (rows, cols): (usize, usize), (row, col): (usize, usize)) -> [f32; 3] {
        match *self {
            Self::Angular {
                left_deg,
                right_deg,
                top_deg,
                bottom_deg,
            } => {
                let along = |from: f32, to: f32, index: usize, count: usize| {
                    (from + (to - from) * (index as f32 + 0.5) / count as f32).to_radians()
                };
                let (azimuth, elevation) = (
                    along(left_deg, right_deg, col, cols),
                    along(top_deg, bottom_deg, row, rows),
                );
                [
                    elevation.cos() * azimuth.cos(),
                    elevation.cos() * azimuth.sin(),
                    elevation.sin(),
                ]
            }
            Self::Pinhole { fx, fy, cx, cy } => {
                let (y, z) = ((cx - col as f32) / fx, (cy - row as f32) / fy);
                let norm = (1.0 + y * y + z * z).sqrt();
                [1.0 / norm, y / norm, z / norm]
            }
        }
    }

    /// The pixel whose ray is nearest to a direction; `None` where none looks that way.
    pub fn pixel(&self, (rows, cols): (usize, usize), d: [f32; 3]) -> Option<(usize, usize)> {
        let (row, col) = match *self {
            Self::Angular {
                left_deg,
                right_deg,
                top_deg,
                bottom_deg,
            } => {
                // the turn that begins with the rightmost edge
                let azimuth = d[1].atan2(d[0]).to_degrees() - right_deg;
                let azimuth = right_deg + azimuth.rem_euclid(360.0);
                let elevation = d[2].atan2(d[0].hypot(d[1])).to_degrees();
                let share = |from: f32, to: f32, at: f32| (at - from) / (to - from);
                (
                    share(top_deg, bottom_deg, elevation) * rows as f32,
                    share(left_deg, right_deg, azimuth) * cols as f32,
                )
            }
            Self::Pinhole { fx, fy, cx, cy } if d[0] > 0.0 => {
                (cy - fy * d[2] / d[0] + 0.5, cx - fx * d[1] / d[0] + 0.5)
            }
            Self::Pinhole { .. } => return None,
        };
        let inside = (0.0..rows as f32).contains(&row) && (0.0..cols as f32).contains(&col);
        inside.then_some((row as usize, col as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_nearest_to_its_own_ray() {
        let size = (9, 14);
        for geometry in [
            Geometry::centred(60.0, 45.0),
            Geometry::Angular {
                left_deg: 30.0,
                right_deg: -10.0,
                top_deg: 24.0,
                bottom_deg: -22.0,
            },
            Geometry::Angular {
                left_deg: 225.0,
                right_deg: 135.0,
                top_deg: 20.0,
                bottom_deg: -20.0,
            },
            Geometry::Angular {
                left_deg: 390.0,
                right_deg: 330.0,
                top_deg: 20.0,
                bottom_deg: -20.0,
            },
            Geometry::Pinhole {
                fx: 12.0,
                fy: 11.0,
                cx: 6.5,
                cy: 4.0,
            },
        ] {
            geometry.validate().unwrap();
            for pixel in (0..9).flat_map(|row| (0..14).map(move |col| (row, col))) {
                let d = geometry.direction(size, pixel);
                assert!((d.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
                assert_eq!(geometry.pixel(size, d), Some(pixel));
            }
        }
        let first = Geometry::centred(60.0, 45.0).direction(size, (0, 0));
        assert!(
            first[1] > 0.0 && first[2] > 0.0,
            "row 0 looks up, column 0 left"
        );
    }

    #[test]
    fn refuses_what_looks_nowhere() {
        assert!(Geometry::centred(0.0, 45.0).validate().is_err());
        assert!(Geometry::centred(f32::NAN, 45.0).validate().is_err());
        let flat = Geometry::Pinhole {
            fx: 0.0,
            fy: 1.0,
            cx: 0.0,
            cy: 0.0,
        };
        assert!(flat.validate().is_err());
    }
}
