//! Images in whole numbers of few bits.

use super::whole::{self, Whole};
use crate::pool::Buffer;
use crate::simd::{kernel, total};
use faer::Mat;
use std::ops::Range;

/// Values of an output that are summed up at a time: they stay in the nearest cache.
const TILE: usize = 8192;
/// Outputs whose values are rounded at a time.
const ROUNDED: usize = 64;
/// Values of a run, see [`Images::products`].
const RUN: usize = 64;
/// How far from a whole number of eight bits a value may be that was stored as one.
const NEARLY: f32 = 1e-2;

/// Images of J·n values each.
#[derive(Clone, Debug)]
pub(in crate::recover) struct Images<T> {
    /// one image after another, in steps of each value's own size, with zeros that make its last run full
    steps: Vec<T>,
    /// what a step of each value is, (J·n)
    step: Vec<f32>,
    /// what each image is multiplied with, (images)
    unit: Vec<f32>,
}

impl<T: Whole> Images<T> {
    /// None, of `len` values.
    pub(super) fn none(len: usize) -> Self {
        Self {
            steps: vec![],
            step: vec![0.0; len],
            unit: vec![],
        }
    }

    pub(super) fn scales(&self) -> impl Iterator<Item = &f32> {
        self.step.iter().chain(&self.unit)
    }

    /// Bytes of all images, without what makes runs full.
    pub(super) fn bytes(&self) -> usize {
        self.count() * size_of::<T>() * self.len()
    }

    /// Bytes of the images of which `weights` are not 0.
    pub(super) fn bytes_read(&self, weights: &[f32]) -> usize {
        weights.iter().filter(|w| **w != 0.0).count() * size_of::<T>() * self.len()
    }

    /// Number of images.
    pub(in crate::recover) fn count(&self) -> usize {
        self.unit.len()
    }

    /// J·n
    pub(super) fn len(&self) -> usize {
        self.step.len()
    }

    /// Distance from an image to the next.
    fn stride(&self) -> usize {
        stride(self.len())
    }

    fn steps(&self, index: usize) -> &[T] {
        &self.steps[index * self.stride()..][..self.stride()]
    }

    /// Image `index`, (J·n), into `out`.
    pub(super) fn image(&self, index: usize, out: &mut [f32]) {
        let values = self.steps(index).iter().zip(&self.step);
        let (slots, unit) = (out.iter_mut().zip(values), self.unit[index]);
        slots.for_each(|(out, (q, step))| *out = q.to_f32() * step * unit);
    }

    /// Values of image `index` at some positions.
    pub(super) fn pick(&self, index: usize, positions: &[u32], out: &mut [f32]) {
        let (steps, unit) = (self.steps(index), self.unit[index]);
        for (out, &at) in out.iter_mut().zip(positions) {
            let at = at as usize;
            *out = steps[at].to_f32() * self.step[at] * unit;
        }
    }

    /// out += Σ weight·image, each weight in whole numbers of the largest of its group; images of weight 0 are not read.
    pub(in crate::recover) fn add(&self, weights: &[f32], out: &mut [f32]) {
        let mut sums = [0.0f32; TILE];
        for start in (0..self.stride()).step_by(TILE) {
            let len = TILE.min(self.stride() - start);
            let sums = &mut sums[..len];
            sums.fill(0.0);
            let weights = weights.iter().zip(&self.unit).map(|(w, unit)| w * unit);
            let mut counted = weights.enumerate().filter(|(_, w)| *w != 0.0);
            while let Some((first, weight)) = counted.next() {
                let mut images = [&self.steps(first)[start..start + len]; whole::TOGETHER];
                let mut group = [0.0; whole::TOGETHER]; // what there is none left of is read as the first, and does not count
                group[0] = weight;
                for slot in 1..whole::TOGETHER {
                    if let Some((index, weight)) = counted.next() {
                        images[slot] = &self.steps(index)[start..start + len];
                        group[slot] = weight;
                    }
                }
                let largest = group.iter().fold(0.0f32, |most, w| most.max(w.abs()));
                let unit = largest / f32::from(T::MOST_WEIGHT);
                let group = group.map(|weight| (weight / unit).round() as i16);
                T::add(images, group, unit, sums);
            }
            add_products(sums, &self.step[start..], &mut out[start..]);
        }
    }
}

/// Distance between images of `len` values.
fn stride(len: usize) -> usize {
    len.next_multiple_of(RUN)
}

/// Calls `each` with a run of outputs, `from` on, and what values of `count` images `outputs` says that they are.
fn runs(
    (count, len): (usize, usize),
    outputs: impl Fn(usize, &mut [f32]),
    mut each: impl FnMut(usize, &[f32]) -> Option<()>,
) -> Option<()> {
    let mut values = vec![0.0; count * ROUNDED];
    for from in (0..len).step_by(ROUNDED) {
        let values = &mut values[..count * ROUNDED.min(len - from)];
        for (i, values) in values.chunks_exact_mut(count.max(1)).enumerate() {
            outputs(from + i, values);
        }
        each(from, values)?;
    }
    Some(())
}

impl Images<i8> {
    /// The first of `count` images, as whole numbers of 8 bits times steps, (len), and units, (images): `None` where they
    /// are not. `outputs(i, values)` writes what value i, (count), is in each.
    pub(super) fn exact(
        (step, unit): (Vec<f32>, Vec<f32>),
        count: usize,
        outputs: impl Fn(usize, &mut [f32]),
    ) -> Option<Self> {
        let len = step.len();
        let mut steps = vec![0; unit.len() * stride(len)];
        runs((count, len), outputs, |from, values| {
            for (c, unit) in unit.iter().enumerate() {
                let values = values.iter().skip(c).step_by(count).zip(&step[from..]);
                let slots = steps[c * stride(len) + from..].iter_mut();
                for (slot, (value, step)) in slots.zip(values) {
                    let whole = value / (step * unit).max(f32::MIN_POSITIVE);
                    let near = whole.round();
                    let is_whole = (whole - near).abs() <= NEARLY;
                    if !is_whole || near.abs() > f32::from(i8::MAX) {
                        return None;
                    }
                    *slot = near as i8;
                }
            }
            Some(())
        })?;
        Some(Self { steps, step, unit })
    }
}

impl Images<i16> {
    /// Some of `count` images of `len` values, in steps of 1/65,534 of the span of a value over them: hundreds of times finer
    /// than eight bits. `outputs(i, values)` writes what value i, (count), is in each.
    pub(in crate::recover) fn rounded(
        some: Range<usize>,
        len: usize,
        outputs: impl Fn(usize, &mut [f32]),
    ) -> Self {
        let (first, images, count) = (some.start, some.len(), some.end);
        let (mut steps, mut step) = (vec![0; images * stride(len)], vec![0.0; len]);
        let _ = runs((count, len), outputs, |from, values| {
            let rows = values.chunks_exact(count.max(1));
            for (step, values) in step[from..].iter_mut().zip(rows) {
                let most = values[first..]
                    .iter()
                    .fold(0.0f32, |most, v| most.max(v.abs()));
                *step = most / f32::from(i16::MAX);
            }
            for c in 0..images {
                let values = values.iter().skip(first + c).step_by(count.max(1));
                let slots = steps[c * stride(len) + from..].iter_mut();
                for (slot, (value, step)) in slots.zip(values.zip(&step[from..])) {
                    *slot = (value / step.max(f32::MIN_POSITIVE)).round() as i16; // within its bounds by the choice of step
                }
            }
            Some(())
        });
        Self {
            steps,
            step,
            unit: vec![1.0; images],
        }
    }

    /// ⟨image, v⟩ of each image, (any × images), of some `vectors` v that are 0 but in a range, and of it alone.
    pub(in crate::recover) fn products_within(
        &self,
        range: Range<usize>,
        vectors: &[Vec<f32>],
    ) -> Mat<f32> {
        let step = &self.step[range.clone()];
        let scaled = Mat::from_fn(step.len(), vectors.len(), |r, c| step[r] * vectors[c][r]);
        let mut steps = Mat::zeros(range.len(), self.count());
        for c in 0..self.count() {
            to_f32(&self.steps(c)[range.clone()], steps.col_as_slice_mut(c));
        }
        scaled.transpose() * steps
    }

    /// ⟨image, v⟩ of each image, (images), of `v`, (J·n).
    pub(in crate::recover) fn products(&self, v: &[f32]) -> Buffer<f32> {
        let mut scaled = Buffer::with_capacity(self.stride());
        scaled.extend(v.iter().zip(&self.step).map(|(v, step)| v * step));
        scaled.resize(self.stride(), 0.0);
        let mut out = Buffer::zeros(self.count());
        products(&self.steps, &scaled, &mut out);
        out
    }
}

kernel! {
    fn to_f32<'a>(from: &'a [i16], to: &'a mut [f32]) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = f32::from(*from));
    }
}

kernel! {
    /// ⟨image, v⟩ of each of `images` as long as v, whole runs, in so many partial sums that none waits for the one before.
    /// Products are fused with their sums, as in convolutions.
    fn products<'a>(images: &'a [i16], v: &'a [f32], out: &'a mut [f32]) {
        for (out, image) in out.iter_mut().zip(images.chunks_exact(v.len().max(1))) {
            let mut partial = [0.0f32; RUN];
            let runs = image.as_chunks::<RUN>().0.iter().zip(v.as_chunks::<RUN>().0);
            for (steps, v) in runs {
                for lane in 0..RUN {
                    partial[lane] = f32::from(steps[lane]).mul_add(v[lane], partial[lane]);
                }
            }
            *out = total(partial);
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
        let images = Images::rounded(0..count, len, |i, values| {
            let values = values.iter_mut().enumerate();
            values.for_each(|(c, v)| *v = value(c, i));
        });
        assert_eq!((images.count(), images.len()), (count, len));
        let weights: Vec<f32> = (0..count).map(|c| (c % 4) as f32 * 0.5).collect();
        let mut out = vec![1.0; len];
        images.add(&weights, &mut out);
        let mut image = vec![0.0; len];
        images.image(3, &mut image);
        let total: f32 = weights.iter().sum();
        let rounding = count as f32 * 1.5 / f32::from(i16::MOST_WEIGHT); // of weights, at most 1.5
        for i in 0..len {
            let most = (1 + i % 5) as f32;
            let exact: f32 = 1.0 + (0..count).map(|c| weights[c] * value(c, i)).sum::<f32>();
            let bound = most * (total / 32_000.0 + rounding);
            assert!((out[i] - exact).abs() < bound, "{} {exact}", out[i]);
            assert!((image[i] - value(3, i)).abs() < most / 32_000.0);
        }
        let against: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).cos()).collect();
        for (c, product) in images.products(&against).iter().enumerate() {
            let pairs = against.iter().enumerate();
            let exact: f64 = pairs.map(|(i, v)| f64::from(v * value(c, i))).sum();
            assert!((f64::from(*product) - exact).abs() < 1e-4 * len as f64);
        }
    }
}
