//! An image of ranges and returns, as sensed, simulated or recovered.

/// What a frame shows, pixel by pixel, row-major.
///
/// Range is the distance along the pixel's ray, not the depth along the optical axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RangeImage {
    /// rows of pixels
    pub rows: usize,
    /// columns of pixels
    pub cols: usize,
    /// range along each pixel's ray, m, (rows·cols); meaningless where the pixel is not valid
    pub range: Vec<f32>,
    /// return of each pixel, ≥ 0, unitless (reflectance × cosine), (rows·cols); 0 where nothing returned
    pub returns: Vec<f32>,
    /// whether the pixel's range can be relied on, (rows·cols)
    pub valid: Vec<bool>,
    /// standard deviation of each pixel's range, m, (rows·cols); empty where nothing was asked or is known of it
    pub range_sigma: Vec<f32>,
}

impl RangeImage {
    /// An image in which nothing returned.
    pub fn empty(rows: usize, cols: usize) -> Self {
        let pixels = rows * cols;
        Self {
            rows,
            cols,
            range: vec![0.0; pixels],
            returns: vec![0.0; pixels],
            valid: vec![false; pixels],
            range_sigma: vec![],
        }
    }

    /// Number of pixels, n.
    pub fn pixels(&self) -> usize {
        self.rows * self.cols
    }

    /// Marks a pixel as one from which nothing returned.
    pub fn clear(&mut self, pixel: usize) {
        self.range[pixel] = 0.0;
        self.returns[pixel] = 0.0;
        self.valid[pixel] = false;
    }
}
