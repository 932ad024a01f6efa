//! Readings without a sign: phase retrieval, |A x| (Hand, Leong & Voroninski 2018).
//!
//! The loss is ½‖|M φ(u)| − b‖². Given the signs of M φ(u) it is that of linear readings, so each iterate gives the readings
//! the signs that it has itself, and the solver is the same.

use super::fuse::{Fused, Readings, System};
use super::model::Model;
use super::rest::Spread;
use super::whiten::Whitener;

impl Fused {
    /// The system whose readings are whitened each by itself and never projected: a mixture of readings has no sign to be
    /// found. `None` where a reading has no noise.
    pub(super) fn unmixed(
        &self,
        model: &Model,
        noise: &[f32],
        gain: f32,
        missing: &[u32],
    ) -> Option<System> {
        let channels = noise.len().isqrt();
        let apart = |i: usize| {
            if i.is_multiple_of(channels + 1) {
                noise[i]
            } else {
                0.0
            }
        };
        let noise: Vec<f32> = (0..noise.len()).map(apart).collect();
        let spread = Spread::Apart(self.spread.variances());
        let whitener = Whitener::new(&spread, &noise, gain, missing)?;
        Some(self.system(model, whitener))
    }
}

impl System {
    /// Whitens readings `y`, (J·m), of which only the magnitude is known where `unsure` repeats them; there it is 0 where
    /// the sign counts.
    ///
    /// # Panics
    /// Where the system mixes readings, see [`Fused::unmixed`].
    pub(super) fn magnitudes(&self, y: &[f32], unsure: &[f32]) -> Readings {
        assert!(self.basis.is_none(), "readings each by itself");
        let [magnitudes] = self.whitener.apply([unsure]);
        Readings {
            magnitudes,
            ..self.project(y)
        }
    }
}

impl Readings {
    /// Turns M φ − y, taken as though every reading were positive, into what is left where each has the sign of what
    /// explains it. Linear readings are left as they are.
    pub(super) fn take_signs(&self, residual: &mut [f32]) {
        for (residual, b) in residual.iter_mut().zip(&self.magnitudes) {
            if *residual + b < 0.0 {
                *residual += 2.0 * b;
            }
        }
    }
}
