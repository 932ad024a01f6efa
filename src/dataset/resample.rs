//! Recorded frames brought to the pixels that a recovery works on.

use super::{Crop, DatasetError, Geometry, MAX_PIXELS};
use crate::frame::RangeImage;

/// Resampling by the nearest ray: for each target pixel the source pixel that looks its way, or none.
///
/// Target rays are even in azimuth and elevation: row 0 is the top, column 0 the left.
#[derive(Clone, Debug, PartialEq)]
pub struct Resampler {
    source: (usize, usize),
    rows: usize,
    cols: usize,
    /// source pixel of each target pixel, row-major, (rows·cols); `NONE` where nothing looks there
    from: Vec<u32>,
}

const NONE: u32 = u32::MAX;

/// How a frame is varied for training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augmentation {
    /// whether left and right change places
    pub mirror: bool,
    /// factor on all ranges, > 0
    pub range_scale: f32,
    /// what lies beyond after scaling is invalid, m
    pub max_range_m: f32,
}

impl Default for Augmentation {
    /// The frame as it was recorded.
    fn default() -> Self {
        Self {
            mirror: false,
            range_scale: 1.0,
            max_range_m: f32::INFINITY,
        }
    }
}

impl Resampler {
    /// From frames of some geometry to `rows` × `cols` pixels over a part of the field of view, or over all of
    /// [`Geometry::field`].
    ///
    /// # Errors
    /// Where the number of target pixels is 0 or above [`MAX_PIXELS`], or the crop is empty or no part of a sphere.
    pub fn new(
        geometry: &Geometry,
        rows: usize,
        cols: usize,
        crop: Option<Crop>,
    ) -> Result<Self, DatasetError> {
        let pixels = rows.saturating_mul(cols);
        if pixels == 0 || pixels > MAX_PIXELS {
            return Err(DatasetError::Target {
                limit: MAX_PIXELS,
                rows,
                cols,
            });
        }
        let field = crop.unwrap_or_else(|| geometry.field());
        field.check()?;
        let from_high = |(low, high): (f32, f32), index: usize, count: usize| {
            high - (high - low) * (index as f32 + 0.5) / count as f32
        };
        let from = (0..pixels)
            .map(|target| {
                let azimuth = from_high(field.azimuth, target % cols, cols);
                let elevation = from_high(field.elevation, target / cols, rows);
                let source = geometry.nearest(azimuth, elevation);
                source.map_or(NONE, |pixel| pixel as u32)
            })
            .collect();
        Ok(Self {
            source: geometry.size(),
            rows,
            cols,
            from,
        })
    }

    /// Rows and columns of what [`Resampler::apply`] writes.
    pub fn size(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// The share of target pixels that some source pixel looks at, in [0, 1].
    pub fn covered(&self) -> f32 {
        let seen = self.from.iter().filter(|&&from| from != NONE).count();
        seen as f32 / self.from.len() as f32
    }

    /// Resamples a frame into `target`, which takes on this size.
    ///
    /// # Panics
    /// Where `frame` has another size than the geometry this was made for.
    pub fn apply(&self, frame: &RangeImage, how: Augmentation, target: &mut RangeImage) {
        assert_eq!((frame.rows, frame.cols), self.source, "size of the source");
        if (target.rows, target.cols) != self.size() {
            *target = RangeImage::empty(self.rows, self.cols);
        }
        for (pixel, &from) in self.from.iter().enumerate() {
            let (row, col) = (pixel / self.cols, pixel % self.cols);
            let mirrored = row * self.cols + (self.cols - 1 - col);
            let to = if how.mirror { mirrored } else { pixel };
            target.clear(to);
            if from == NONE || !frame.valid[from as usize] {
                continue;
            }
            let range = how.range_scale * frame.range[from as usize];
            if range <= how.max_range_m {
                target.range[to] = range;
                target.returns[to] = frame.returns[from as usize];
                target.valid[to] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> (Geometry, RangeImage) {
        let geometry = Geometry::Angles {
            elevation: vec![1.0, 0.0, -1.0],
            azimuth: vec![3.0, 1.0, -1.0, -3.0],
        };
        let mut image = RangeImage::empty(3, 4);
        for i in 0..12 {
            image.range[i] = 1.0 + i as f32;
            image.returns[i] = 0.1 * (1.0 + i as f32);
            image.valid[i] = i != 5;
        }
        image.clear(5);
        (geometry, image)
    }

    #[test]
    fn the_same_rays_give_the_same_frame() {
        let (geometry, image) = frame();
        let resampler = Resampler::new(&geometry, 3, 4, None).unwrap();
        let mut same = RangeImage::default();
        resampler.apply(&image, Augmentation::default(), &mut same);
        assert_eq!(same, image);
        assert_eq!(resampler.covered(), 1.0);
    }

    #[test]
    fn mirrors_and_scales() {
        let (geometry, image) = frame();
        let resampler = Resampler::new(&geometry, 3, 4, None).unwrap();
        let mut target = RangeImage::empty(3, 4);
        let how = Augmentation {
            mirror: true,
            range_scale: 2.0,
            max_range_m: 21.0,
        };
        resampler.apply(&image, how, &mut target);
        assert_eq!(target.range[0], 8.0);
        assert_eq!(target.returns[0], 0.4);
        assert!(!target.valid[6], "what returned nothing, mirrored");
        assert_eq!((target.valid[8], target.valid[9]), (false, false)); // 24 m and 22 m
        assert!(target.valid[10]); // 20 m
    }

    #[test]
    fn a_crop_looks_where_it_says() {
        let (geometry, image) = frame();
        let crop = Crop {
            azimuth: (-2.0, 2.0),
            elevation: (0.5, 2.5),
        };
        let resampler = Resampler::new(&geometry, 2, 2, Some(crop)).unwrap();
        let mut target = RangeImage::default();
        resampler.apply(&image, Augmentation::default(), &mut target);
        assert_eq!(target.range, [0.0, 0.0, 2.0, 3.0]); // the upper row is above all beams
        assert_eq!(resampler.covered(), 0.5);
    }

    #[test]
    fn refuses_what_is_no_target() {
        let (geometry, _) = frame();
        assert!(matches!(
            Resampler::new(&geometry, 0, 4, None),
            Err(DatasetError::Target { .. })
        ));
        assert!(matches!(
            Resampler::new(&geometry, usize::MAX, 4, None),
            Err(DatasetError::Target { .. })
        ));
        let backwards = Crop {
            azimuth: (2.0, -2.0),
            elevation: (0.0, 1.0),
        };
        assert!(matches!(
            Resampler::new(&geometry, 4, 4, Some(backwards)),
            Err(DatasetError::Crop {
                axis: "azimuth",
                ..
            })
        ));
    }
}
