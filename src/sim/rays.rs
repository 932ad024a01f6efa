//! Where the pixels of a sensor look.

/// Unit directions of the pixels of a sensor: x forward, y left, z up; row 0 at the top, column 0 at the left.
#[derive(Clone, Debug, PartialEq)]
pub struct Rays {
    rows: usize,
    cols: usize,
    /// field of view, rad
    pub(super) horizontal: f32,
    pub(super) vertical: f32,
    /// forward components, (rows·cols)
    x: Vec<f32>,
    /// leftward components, (rows·cols)
    y: Vec<f32>,
    /// upward components, (rows·cols)
    z: Vec<f32>,
}

impl Rays {
    /// Pixels even in azimuth and elevation, centred on the forward axis; each ray goes through its pixel's centre.
    ///
    /// # Panics
    /// Where the fields of view do not lie in (0, 360] and (0, 180) degrees.
    pub fn angular(rows: usize, cols: usize, horizontal_deg: f32, vertical_deg: f32) -> Rays {
        assert!(
            horizontal_deg > 0.0 && horizontal_deg <= 360.0,
            "horizontal field of view in (0, 360] degrees, got {horizontal_deg}"
        );
        assert!(
            vertical_deg > 0.0 && vertical_deg < 180.0,
            "vertical field of view in (0, 180) degrees, got {vertical_deg}"
        );
        Self::through(0.5, (rows, cols), (horizontal_deg, vertical_deg))
    }

    /// The same pixels, each looking `pixels` further to the right, in [−1, 1].
    ///
    /// # Panics
    /// Where they look further aside.
    pub fn turned(&self, pixels: f32) -> Rays {
        assert!(
            (-1.0..=1.0).contains(&pixels),
            "a turn within −1 and 1 pixel, got {pixels}"
        );
        let field = (self.horizontal.to_degrees(), self.vertical.to_degrees());
        Self::through(0.5 + pixels, (self.rows, self.cols), field)
    }

    /// Rays through the middle of a pixel's height, at the share `place` of its width from the left.
    fn through(
        place: f32,
        (rows, cols): (usize, usize),
        (horizontal_deg, vertical_deg): (f32, f32),
    ) -> Rays {
        let (horizontal, vertical) = (horizontal_deg.to_radians(), vertical_deg.to_radians());
        let (mut x, mut y, mut z) = (vec![], vec![], vec![]);
        for row in 0..rows {
            let elevation = vertical * (0.5 - (row as f32 + 0.5) / rows as f32);
            for col in 0..cols {
                let azimuth = horizontal * (0.5 - (col as f32 + place) / cols as f32);
                x.push(elevation.cos() * azimuth.cos());
                y.push(elevation.cos() * azimuth.sin());
                z.push(elevation.sin());
            }
        }
        Rays {
            rows,
            cols,
            horizontal,
            vertical,
            x,
            y,
            z,
        }
    }

    /// Angle that a pixel spans, rad: the geometric mean of both ways.
    pub(super) fn pitch(&self) -> f32 {
        (self.horizontal / self.cols as f32 * self.vertical / self.rows as f32).sqrt()
    }

    /// Rows of pixels.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of pixels.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Forward components, (rows·cols).
    pub fn x(&self) -> &[f32] {
        &self.x
    }

    /// Leftward components, (rows·cols).
    pub fn y(&self) -> &[f32] {
        &self.y
    }

    /// Upward components, (rows·cols).
    pub fn z(&self) -> &[f32] {
        &self.z
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_0_looks_up_and_column_0_left() {
        let rays = Rays::angular(4, 6, 60.0, 40.0);
        assert!(rays.y()[0] > 0.0 && rays.z()[0] > 0.0);
        assert!(rays.y()[23] < 0.0 && rays.z()[23] < 0.0);
        for i in 0..24 {
            let norm = rays.x()[i].powi(2) + rays.y()[i].powi(2) + rays.z()[i].powi(2);
            assert!((norm - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_pixel_turned_by_one_looks_where_its_neighbour_did() {
        let rays = Rays::angular(4, 6, 60.0, 40.0);
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        let (whole, half) = (rays.turned(1.0), rays.turned(0.5));
        for row in 0..4 {
            let (own, next) = (6 * row..6 * row + 5, 6 * row + 1..6 * row + 6);
            assert!(near(&whole.y()[own.clone()], &rays.y()[next.clone()]));
            let between = own.zip(next);
            assert!(between.into_iter().all(|(own, next)| {
                rays.y()[own] > half.y()[own] && half.y()[own] > rays.y()[next]
            }));
        }
        assert!(near(half.z(), rays.z()));
    }
}
