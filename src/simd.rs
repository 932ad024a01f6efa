//! Floor 0: loops for the widest vector registers that the machine has.
//!
//! A build for any machine of a kind knows only its oldest registers. A [`kernel!`] is compiled for wider ones too, and the
//! machine chooses when it runs. Products and sums stay separate and in their written order, so that results do not depend
//! on the choice.

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
        let rest = left.remainder().iter().zip(right.remainder());
        partial.iter().sum::<f32>() + rest.map(|(a, b)| a * b).sum::<f32>()
    }
}

kernel! {
    /// out += weight · v.
    pub(crate) fn add_scaled<'a>(weight: f32, v: &'a [f32], out: &'a mut [f32]) {
        out.iter_mut().zip(v).for_each(|(out, v)| *out += weight * v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
