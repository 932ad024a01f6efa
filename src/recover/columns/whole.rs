//! Sums of products of whole numbers, of which a machine makes twice as many at once as of others.

/// Images that are added in one pass.
pub(super) const TOGETHER: usize = 8;

/// Whole numbers of few bits.
pub(in crate::recover) trait Whole: Copy {
    /// The largest weight: [`TOGETHER`] times it, times the largest number, stays below 2³¹.
    const MOST_WEIGHT: i16;

    fn to_f32(self) -> f32;

    /// sums += unit · Σ weight·image.
    fn add(images: [&[Self]; TOGETHER], weights: [i16; TOGETHER], unit: f32, sums: &mut [f32]);
}

impl Whole for i8 {
    const MOST_WEIGHT: i16 = i16::MAX;

    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    fn add(images: [&[Self]; TOGETHER], weights: [i16; TOGETHER], unit: f32, sums: &mut [f32]) {
        widest(images, weights, unit, sums);
    }
}

impl Whole for i16 {
    const MOST_WEIGHT: i16 = 8191;

    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    fn add(images: [&[Self]; TOGETHER], weights: [i16; TOGETHER], unit: f32, sums: &mut [f32]) {
        widest(images, weights, unit, sums);
    }
}

#[cfg(target_arch = "x86_64")]
fn widest<T: wide::Pair + Copy + Into<i32>>(
    images: [&[T]; TOGETHER],
    weights: [i16; TOGETHER],
    unit: f32,
    sums: &mut [f32],
) {
    match pulp::x86::V3::try_new() {
        Some(simd) => simd.vectorize(wide::Adding {
            simd,
            images,
            weights,
            unit,
            sums,
        }),
        None => in_blocks(images, weights, unit, sums),
    }
}

#[cfg(not(target_arch = "x86_64"))]
use in_blocks as widest;

/// Values at a time where nothing is known of the machine: enough for whatever registers it has.
const BLOCK: usize = 64;

fn in_blocks<T: Copy + Into<i32>>(
    images: [&[T]; TOGETHER],
    weights: [i16; TOGETHER],
    unit: f32,
    sums: &mut [f32],
) {
    for (block, sums) in sums.chunks_mut(BLOCK).enumerate() {
        let mut whole = [0i32; BLOCK];
        for (image, weight) in images.iter().zip(weights) {
            let values = &image[block * BLOCK..][..sums.len()];
            let slots = whole.iter_mut().zip(values);
            slots.for_each(|(sum, v)| *sum += (*v).into() * i32::from(weight));
        }
        let values = sums.iter_mut().zip(whole);
        values.for_each(|(sum, whole)| *sum += unit * whole as f32);
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{TOGETHER, in_blocks};
    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast, i16x16, i32x8};

    /// Values at a time.
    const LANES: usize = 16;

    pub(super) struct Adding<'a, T> {
        pub(super) simd: V3,
        pub(super) images: [&'a [T]; TOGETHER],
        pub(super) weights: [i16; TOGETHER],
        pub(super) unit: f32,
        pub(super) sums: &'a mut [f32],
    }

    /// Whole numbers that are put side by side with others.
    pub(super) trait Pair: Sized {
        /// Weighted sums of two images' values: two halves, which [`Pair::in_order`] puts in order.
        fn pair(simd: V3, a: &[Self; LANES], b: &[Self; LANES], weights: i16x16) -> [i32x8; 2];

        fn in_order(simd: V3, halves: [i32x8; 2]) -> [i32x8; 2];
    }

    impl Pair for i16 {
        #[inline(always)]
        fn pair(simd: V3, a: &[Self; LANES], b: &[Self; LANES], weights: i16x16) -> [i32x8; 2] {
            let (a, b) = (cast(*a), cast(*b));
            let low = cast(simd.avx2._mm256_unpacklo_epi16(a, b)); // of values 0 to 3 and 8 to 11
            let high = cast(simd.avx2._mm256_unpackhi_epi16(a, b));
            [
                simd.multiply_wrapping_add_adjacent_i16x16(low, weights),
                simd.multiply_wrapping_add_adjacent_i16x16(high, weights),
            ]
        }

        #[inline(always)]
        fn in_order(simd: V3, [low, high]: [i32x8; 2]) -> [i32x8; 2] {
            let (low, high) = (cast(low), cast(high));
            [
                cast(simd.avx2._mm256_permute2x128_si256::<0x20>(low, high)),
                cast(simd.avx2._mm256_permute2x128_si256::<0x31>(low, high)),
            ]
        }
    }

    impl Pair for i8 {
        #[inline(always)]
        fn pair(simd: V3, a: &[Self; LANES], b: &[Self; LANES], weights: i16x16) -> [i32x8; 2] {
            let (a, b) = (cast(*a), cast(*b));
            let low = simd.sse2._mm_unpacklo_epi8(a, b); // of values 0 to 7
            let high = simd.sse2._mm_unpackhi_epi8(a, b);
            let low = cast(simd.avx2._mm256_cvtepi8_epi16(low));
            let high = cast(simd.avx2._mm256_cvtepi8_epi16(high));
            [
                simd.multiply_wrapping_add_adjacent_i16x16(low, weights),
                simd.multiply_wrapping_add_adjacent_i16x16(high, weights),
            ]
        }

        #[inline(always)]
        fn in_order(_: V3, halves: [i32x8; 2]) -> [i32x8; 2] {
            halves
        }
    }

    #[inline(always)]
    fn sum(simd: V3, [a, b, c, d]: [i32x8; 4]) -> i32x8 {
        let (first, second) = (simd.wrapping_add_i32x8(a, b), simd.wrapping_add_i32x8(c, d));
        simd.wrapping_add_i32x8(first, second)
    }

    impl<T: Pair + Copy + Into<i32>> NullaryFnOnce for Adding<'_, T> {
        type Output = ();

        /// Images two by two: their values side by side, times their weights side by side, add up in one instruction.
        #[inline(always)]
        fn call(self) {
            let Self {
                simd,
                images,
                weights,
                unit,
                sums,
            } = self;
            let mut pairs = [simd.splat_i16x16(0); TOGETHER / 2];
            for (pair, weights) in pairs.iter_mut().zip(weights.as_chunks::<2>().0) {
                *pair = cast::<[[i16; 2]; LANES / 2], _>([*weights; LANES / 2]);
            }
            let [a, b, c, d, e, f, g, h] = images.map(|image| image.as_chunks::<LANES>().0);
            let (whole, rest) = sums.as_chunks_mut::<LANES>();
            let done = whole.len() * LANES;
            let blocks = whole.iter_mut().zip(a).zip(b).zip(c).zip(d);
            let blocks = blocks.zip(e).zip(f).zip(g).zip(h);
            for ((((((((sums, a), b), c), d), e), f), g), h) in blocks {
                let ab = T::pair(simd, a, b, pairs[0]);
                let cd = T::pair(simd, c, d, pairs[1]);
                let ef = T::pair(simd, e, f, pairs[2]);
                let gh = T::pair(simd, g, h, pairs[3]);
                let low = sum(simd, [ab[0], cd[0], ef[0], gh[0]]);
                let high = sum(simd, [ab[1], cd[1], ef[1], gh[1]]);
                let unit = simd.splat_f32x8(unit);
                let halves = sums.as_chunks_mut::<{ LANES / 2 }>().0;
                for (sums, values) in halves.iter_mut().zip(T::in_order(simd, [low, high])) {
                    let values = simd.convert_i32x8_to_f32x8(values);
                    let products: [f32; LANES / 2] = cast(simd.mul_f32x8(values, unit));
                    for (sum, product) in sums.iter_mut().zip(products) {
                        *sum += product;
                    }
                }
            }
            in_blocks(images.map(|image| &image[done..]), weights, unit, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of images of such numbers, with the largest weights among others.
    fn check<T: Whole + Into<i32>>(number: impl Fn(usize) -> T) {
        let image = |of: usize| (0..77).map(|i| number(i * 7919 + of * 104_729)).collect();
        let images: Vec<Vec<T>> = (0..TOGETHER).map(image).collect();
        let images: [&[T]; TOGETHER] = std::array::from_fn(|of| &images[of][..]);
        let most = T::MOST_WEIGHT;
        for weights in [[most; TOGETHER], [most, -most, 0, 1, -1, 4000, most, -77]] {
            let (mut wide, mut blocks) = (vec![0.5; 77], vec![0.5; 77]);
            T::add(images, weights, 0.25, &mut wide);
            in_blocks(images, weights, 0.25, &mut blocks);
            assert_eq!(wide, blocks);
            for (i, sum) in wide.into_iter().enumerate() {
                let pairs = images.iter().zip(weights);
                let whole: i32 = pairs.map(|(image, w)| image[i].into() * i32::from(w)).sum();
                assert_eq!(sum, 0.5 + 0.25 * whole as f32);
            }
        }
    }

    #[test]
    fn sums_are_those_of_whole_numbers_however_they_are_made() {
        check(|seed| (seed % 65_535) as i16);
        check(|seed| if seed % 3 == 0 { i16::MAX } else { -i16::MAX });
        check(|seed| (seed % 255) as i8);
        check(|seed| if seed % 3 == 0 { i8::MAX } else { -i8::MAX });
        check(|_| i16::MAX);
    }
}
