//! Images that are added up: those of the features and of the error directions, in 8 bits where that is what they are stored
//! in, and in 16 elsewhere.
//!
//! Adding them up is as fast as they come from memory, so that half the bytes take half the time.

mod images;
mod whole;

use crate::prior::Matrix;
pub(super) use images::Images;

/// Images of J·n values each: first those that are whole numbers of 8 bits, then those that are rounded to 16.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    exact: Images<i8>,
    rounded: Images<i16>,
}

impl Columns {
    /// `count` images of `len` values; `outputs(i, values)` writes what value i, (count), is in each.
    pub(super) fn new(count: usize, len: usize, outputs: impl Fn(usize, &mut [f32])) -> Self {
        Self {
            exact: Images::none(len),
            rounded: Images::rounded(0..count, len, outputs),
        }
    }

    /// The same, where the first images may be whole numbers of 8 bits: of `steps`, (len), times `units`, (images).
    pub(super) fn stored(
        (steps, units): (Vec<f32>, Vec<f32>),
        count: usize,
        outputs: impl Fn(usize, &mut [f32]),
    ) -> Self {
        let (len, first) = (steps.len(), units.len());
        match Images::exact((steps, units), count, &outputs) {
            Some(exact) => Self {
                exact,
                rounded: Images::rounded(first..count, len, outputs),
            },
            None => Self::new(count, len, outputs),
        }
    }

    /// What steps of values, and of images, are: how large they are.
    pub(super) fn scales(&self) -> impl Iterator<Item = &f32> {
        self.exact.scales().chain(self.rounded.scales())
    }

    /// Bytes of all images.
    pub(super) fn bytes(&self) -> usize {
        self.exact.bytes() + self.rounded.bytes()
    }

    /// Bytes of the images of which `weights` are not 0.
    pub(super) fn bytes_read(&self, weights: &[f32]) -> usize {
        let (exact, rounded) = weights.split_at(self.exact.count());
        self.exact.bytes_read(exact) + self.rounded.bytes_read(rounded)
    }

    /// Number of images.
    pub(super) fn count(&self) -> usize {
        self.exact.count() + self.rounded.count()
    }

    /// J·n
    pub(super) fn len(&self) -> usize {
        self.exact.len()
    }

    /// Image `index`, (J·n), into `out`.
    pub(super) fn image(&self, index: usize, out: &mut [f32]) {
        match index.checked_sub(self.exact.count()) {
            None => self.exact.image(index, out),
            Some(index) => self.rounded.image(index, out),
        }
    }

    /// Values of image `index` at some positions.
    pub(super) fn pick(&self, index: usize, positions: &[u32], out: &mut [f32]) {
        match index.checked_sub(self.exact.count()) {
            None => self.exact.pick(index, positions, out),
            Some(index) => self.rounded.pick(index, positions, out),
        }
    }

    /// out += Σ weight·image; images of weight 0 are not read.
    pub(super) fn add(&self, weights: &[f32], out: &mut [f32]) {
        let (exact, rounded) = weights.split_at(self.exact.count());
        self.exact.add(exact, out);
        self.rounded.add(rounded, out);
    }

    /// All images, (count × any), as `keep` thins each.
    pub(super) fn thinned(&self, keep: impl Fn(&[f32]) -> Vec<f32>) -> Matrix {
        let mut image = vec![0.0; self.len()];
        let mut kept = vec![];
        for index in 0..self.count() {
            self.image(index, &mut image);
            kept.extend(keep(&image));
        }
        let count = self.count();
        Matrix::new(count, kept.len() / count.max(1), kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faer::Mat;

    /// Seven images of 33 values, of which the first five are whole numbers of 8 bits times 0.1, 0.2, …
    fn value(i: usize, c: usize) -> f32 {
        let whole = ((i * 37 + c * 11) % 255) as f32 - 127.0;
        match c < 5 {
            true => whole * 0.1 * (c + 1) as f32,
            false => (whole * 0.77).sin(),
        }
    }

    /// All images, as columns.
    fn matrix(columns: &Columns) -> Mat<f32> {
        let mut matrix = Mat::zeros(columns.len(), columns.count());
        for index in 0..columns.count() {
            columns.image(index, matrix.col_as_slice_mut(index));
        }
        matrix
    }

    fn outputs(i: usize, values: &mut [f32]) {
        values
            .iter_mut()
            .enumerate()
            .for_each(|(c, v)| *v = value(i, c));
    }

    #[test]
    fn what_is_stored_in_eight_bits_is_kept_in_eight() {
        let units = (1..=5).map(|c| 0.1 * c as f32).collect();
        let columns = Columns::stored((vec![1.0; 33], units), 7, outputs);
        assert_eq!((columns.count(), columns.len()), (7, 33));
        assert_eq!(columns.bytes(), 33 * (5 + 2 * 2));
        let matrix = matrix(&columns);
        let weights = [0.5, 0.0, 1.0, -2.0, 0.1, 3.0, 0.7];
        let mut sum = vec![1.0; 33];
        columns.add(&weights, &mut sum);
        for (i, sum) in sum.into_iter().enumerate() {
            (0..5).for_each(|c| assert!((matrix[(i, c)] - value(i, c)).abs() < 1e-4));
            (5..7).for_each(|c| assert!((matrix[(i, c)] - value(i, c)).abs() < 1e-4));
            let exact: f32 = (0..7).map(|c| weights[c] * value(i, c)).sum();
            assert!((sum - 1.0 - exact).abs() < 0.01, "{sum}, not {exact}");
        }
    }

    #[test]
    fn what_is_not_is_rounded_to_sixteen() {
        let columns = Columns::stored((vec![0.9; 33], vec![1.0; 5]), 7, outputs);
        assert_eq!(columns.bytes(), 33 * 7 * 2);
        let matrix = matrix(&columns);
        let near = |i: usize, c: usize| (matrix[(i, c)] - value(i, c)).abs() < 2e-3;
        assert!((0..33 * 7).all(|at| near(at / 7, at % 7)));
        let mut picked = [0.0; 3];
        columns.pick(6, &[2, 30, 31], &mut picked);
        assert_eq!(picked, [2, 30, 31].map(|i| matrix[(i, 6)]));
    }
}
