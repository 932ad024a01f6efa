//! Floor 0: loops for the widest vector registers that the machine has.
//!
//! A build for any machine of a kind knows only its oldest registers. A [`kernel!`] is compiled for wider ones too, and the
//! machine chooses when it runs. Products and sums stay separate, where they are not fused by name, and in their written order, so
//! that results do not depend on the choice.

pub(crate) use pulp::NullaryFnOnce;

/// Runs a computation as compiled for the machine at hand.
pub(crate) fn widest<F: NullaryFnOnce>(computation: F) -> F::Output {
    pulp::Arch::new().dispatch(computation)
}

/// A function whose loops the compiler vectorises for the machine that it runs on. All borrowed arguments have one
/// lifetime; what the body calls must be `#[inline(always)]`, or is compiled for the oldest registers.
macro_rules! kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$a:lifetime>($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name<$a>($($arg: $type),*) $(-> $out)? {
            struct Call<$a> {
                $($arg: $type),*
            }
            impl<$a> $crate::simd::NullaryFnOnce for Call<$a> {
                type Output = $crate::simd::kernel!(@out $($out)?);

                #[inline(always)]
                fn call(self) -> Self::Output {
                    let Self { $($arg),* } = self;
                    $body
                }
            }
            $crate::simd::widest(Call { $($arg),* })
        }
    };
    (@out) => { () };
    (@out $out:ty) => { $out };
}
pub(crate) use kernel;

kernel! {
    /// ⟨a, b⟩, in sixteen partial sums.
    pub(crate) fn dot<'a>(a: &'a [f32], b: &'a [f32]) -> f32 {
        const LANES: usize = 16;
        let mut partial = [0.0f32; LANES];
        let (mut left, mut right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        for (a, b) in left.by_ref().zip(right.by_ref()) {
            for lane in 0..LANES {
                partial[lane] += a[lane] * b[lane];
            }
        }
        let mut rest = 0.0;
        for (a, b) in left.remainder().iter().zip(right.remainder()) {
            rest += a * b;
        }
        total(partial) + rest
    }
}

/// The sum of partial sums, a power of two of them, pair by pair: none waits for all others.
#[inline(always)]
pub(crate) fn total<const LANES: usize>(mut partial: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            partial[lane] += partial[lane + width];
        }
        width /= 2;
    }
    partial[0]
}

kernel! {
    /// out += weight · v.
    pub(crate) fn add_scaled<'a>(weight: f32, v: &'a [f32], out: &'a mut [f32]) {
        out.iter_mut().zip(v).for_each(|(out, v)| *out += weight * v);
    }
}

kernel! {
    /// The same in f64.
    pub(crate) fn add_scaled_f64<'a>(weight: f64, v: &'a [f64], out: &'a mut [f64]) {
        out.iter_mut().zip(v).for_each(|(out, v)| *out += weight * v);
    }
}

/// Columns that are added in one pass.
const TOGETHER: usize = 4;

/// out += Σ weight·column; columns of weight 0 are not read.
pub(crate) fn add_columns<'a>(columns: impl Iterator<Item = (f32, &'a [f32])>, out: &mut [f32]) {
    let mut counted = columns.filter(|(weight, _)| *weight != 0.0);
    while let Some((weight, column)) = counted.next() {
        let (mut weights, mut group) = ([0.0; TOGETHER], [column; TOGETHER]);
        weights[0] = weight; // where there are no more, the first is read again and does not count
        for slot in 1..TOGETHER {
            if let Some((weight, column)) = counted.next() {
                (weights[slot], group[slot]) = (weight, column);
            }
        }
        add_group(weights, group, out);
    }
}

kernel! {
    fn add_group<'a>(weights: [f32; TOGETHER], columns: [&'a [f32]; TOGETHER], out: &'a mut [f32]) {
        let [a, b, c, d] = columns;
        for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *out += (weights[0] * a + weights[1] * b) + (weights[2] * c + weights[3] * d);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_add_up() {
        let columns: Vec<[f32; 3]> = (0..7).map(|c| [c as f32, 1.0, -1.0]).collect();
        let weights = [1.0, 0.0, 2.0, 3.0, 0.0, 4.0, 5.0];
        let mut out = [0.5; 3];
        let pairs = weights.iter().copied().zip(columns.iter().map(|c| &c[..]));
        add_columns(pairs, &mut out);
        assert_eq!(out, [4.0 + 9.0 + 20.0 + 30.0 + 0.5, 15.5, -14.5]);
    }

    #[test]
    fn whatever_the_length_every_product_counts() {
        for len in [0, 1, 15, 16, 17, 63] {
            let a: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let mut out = vec![1.0; len];
            add_scaled(2.0, &a, &mut out);
            let squares: f32 = a.iter().map(|a| a * a).sum();
            let sum: f32 = a.iter().sum();
            assert_eq!(dot(&a, &a), squares);
            assert_eq!(dot(&a, &out), 2.0 * squares + sum);
        }
    }
}
