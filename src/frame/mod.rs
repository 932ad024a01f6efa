//! Floor 0, the words every other room speaks: images, knots, measurements.

mod geometry;
mod image;
mod knots;
mod measurement;

pub use geometry::{Geometry, GeometryError};
pub use image::RangeImage;
pub use knots::{Knots, KnotsError};
pub use measurement::{Measurement, Pose};
