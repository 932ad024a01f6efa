//! Random networks: the theory's setting.

use super::{Affine, Decoder, Head, Matrix};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

impl Decoder {
    /// A random expansive network without bias, widths k, h₁, …, n: weights N(0, 1/output width), a ReLU after every
    /// layer, the last one too (Hand & Voroninski 2017, section 1.1).
    ///
    /// # Panics
    /// Where there are fewer than two widths.
    pub fn random(widths: &[usize], seed: u64) -> Self {
        assert!(widths.len() >= 2, "a network needs a code and a layer");
        let mut random = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(seed));
        let layers = widths.windows(2).map(|pair| {
            let spread = 1.0 / (pair[1] as f32).sqrt();
            let weights = random
                .by_ref()
                .take(pair[0] * pair[1])
                .map(|w: f32| w * spread)
                .collect();
            Affine {
                weight: Matrix::new(pair[1], pair[0], weights),
                bias: vec![0.0; pair[1]],
            }
        });
        Self {
            layers: layers.collect(),
            head: Head::Identity,
        }
    }
}
