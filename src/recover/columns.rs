//! Images that are added up: those of the features and of the error directions, kept in 16 bits.
//!
//! Adding them up is as fast as they come from memory, so that half the bytes take half the time. A step is 1/65,534 of the
//! span of a value over all images: hundreds of times finer than the eight bits that priors are stored in.

use crate::prior::Matrix;
use crate::simd::kernel;
use faer::Mat;

/// Values of an output that are summed up at a time: they stay in the nearest cache.
const TILE: usize = 16384;
/// Images that are added in one pass.
const TOGETHER: usize = 4;
/// Outputs whose values are rounded at a time.
const ROUNDED: usize = 64;

/// Images of J·n values each.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// one image after another, in steps of each value's own size
    steps: Vec<i16>,
    /// what a step of each value is, (J·n)
    step: Vec<f32>,
}

impl Columns {
    /// `count` images of `len` values; `outputs(i, values)` writes what value i, (count), is in each.
    pub(super) fn new(count: usize, len: usize, outputs: impl Fn(usize, &mut [f32])) -> Self {
        let mut steps = vec![0; count * len];
        let mut step = vec![0.0; len];
        let mut values = vec![0.0; count * ROUNDED];
        for start in (0..len).step_by(ROUNDED) {
            let tile = ROUNDED.min(len - start);
            for (i, values) in (start..start + tile).zip(values.chunks_exact_mut(count.max(1))) {
                outputs(i, values);
                let most = values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
                step[i] = most / f32::from(i16::MAX);
            }
            for c in 0..count {
                for (at, slot) in steps[c * len + start..][..tile].iter_mut().enumerate() {
                    let step = step[start + at].max(f32::MIN_POSITIVE);
                    *slot = (values[at * count + c] / step).round() as i16; // within its bounds by the choice of step
                }
            }
        }
        Self { steps, step }
    }

    /// What a step of each value is, (J·n): how large it is in any image.
    pub(super) fn scales(&self) -> &[f32] {
        &self.step
    }

    /// Bytes of all images.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.steps.as_slice())
    }

    /// Number of images.
    pub(super) fn count(&self) -> usize {
        self.steps.len() / self.step.len().max(1)
    }

    /// J·n
    pub(super) fn len(&self) -> usize {
        self.step.len()
    }

    fn steps(&self, index: usize) -> &[i16] {
        &self.steps[index * self.step.len()..][..self.step.len()]
    }

    /// Image `index`, (J·n), into `out`.
    pub(super) fn image(&self, index: usize, out: &mut [f32]) {
        let values = self.steps(index).iter().zip(&self.step);
        let slots = out.iter_mut().zip(values);
        slots.for_each(|(out, (q, step))| *out = f32::from(*q) * step);
    }

    /// All images, as columns.
    pub(super) fn matrix(&self) -> Mat<f32> {
        let mut matrix = Mat::zeros(self.len(), self.count());
        for index in 0..self.count() {
            self.image(index, matrix.col_as_slice_mut(index));
        }
        matrix
    }

    /// out += Σ weight·image; images of weight 0 are not read.
    pub(super) fn add(&self, weights: &[f32], out: &mut [f32]) {
        let mut sums = [0.0f32; TILE];
        let counted = || weights.iter().enumerate().filter(|(_, w)| **w != 0.0);
        for start in (0..out.len()).step_by(TILE) {
            let len = TILE.min(out.len() - start);
            let sums = &mut sums[..len];
            sums.fill(0.0);
            let mut counted = counted();
            while let Some((first, &weight)) = counted.next() {
                let mut images = [&self.steps(first)[start..start + len]; TOGETHER];
                let mut scales = [0.0; TOGETHER]; // what there is none left of is read as the first, and does not count
                scales[0] = weight;
                for slot in 1..TOGETHER {
                    if let Some((index, &weight)) = counted.next() {
                        images[slot] = &self.steps(index)[start..start + len];
                        scales[slot] = weight;
                    }
                }
                add_steps(images, scales, sums);
            }
            add_products(
                sums,
                &self.step[start..start + len],
                &mut out[start..start + len],
            );
        }
    }

    /// All images, (count × any), as `keep` thins each.
    pub(super) fn thinned(&self, keep: impl Fn(&[f32]) -> Vec<f32>) -> Matrix {
        let mut image = vec![0.0; self.step.len()];
        let mut kept = vec![];
        for index in 0..self.count() {
            self.image(index, &mut image);
            kept.extend(keep(&image));
        }
        let count = self.count();
        Matrix::new(count, kept.len() / count.max(1), kept)
    }
}

kernel! {
    /// sums += Σ scale·image.
    fn add_steps<'a>(images: [&'a [i16]; TOGETHER], scales: [f32; TOGETHER], sums: &'a mut [f32]) {
        let [a, b, c, d] = images;
        for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            let (first, second) = (
                scales[0] * f32::from(*a) + scales[1] * f32::from(*b),
                scales[2] * f32::from(*c) + scales[3] * f32::from(*d),
            );
            *sum += first + second;
        }
    }
}

kernel! {
    /// out += a ∘ b.
    fn add_products<'a>(a: &'a [f32], b: &'a [f32], out: &'a mut [f32]) {
        out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out += a * b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_add_up_to_within_their_steps() {
        let (count, len) = (11, TILE + 77);
        let value = |c: usize, i: usize| ((c * 31 + i * 7) as f32).sin() * (1 + i % 5) as f32;
        let columns = Columns::new(count, len, |i, values| {
            values
                .iter_mut()
                .enumerate()
                .for_each(|(c, v)| *v = value(c, i));
        });
        assert_eq!(columns.count(), count);
        let weights: Vec<f32> = (0..count).map(|c| (c % 4) as f32 * 0.5).collect();
        let mut out = vec![1.0; len];
        columns.add(&weights, &mut out);
        let mut image = vec![0.0; len];
        columns.image(3, &mut image);
        let total: f32 = weights.iter().sum();
        for i in 0..len {
            let step = (1 + i % 5) as f32 / 32_000.0;
            let exact: f32 = 1.0 + (0..count).map(|c| weights[c] * value(c, i)).sum::<f32>();
            assert!((out[i] - exact).abs() < total * step, "{} {exact}", out[i]);
            assert!((image[i] - value(3, i)).abs() < step);
        }
    }
}
