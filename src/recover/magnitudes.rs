//! Readings without a sign: phase retrieval, |A x| (Hand, Leong & Voroninski 2018).
//!
//! The loss is ½‖|M φ(u)| − b‖². Given the signs of M φ(u) it is that of linear readings, so each iterate gives the readings
//! the signs that it has itself, and the solver is the same.

use super::fuse::{Fused, Readings, System};
use super::model::Model;
use super::rest::Spread;
use super::whiten::Whitener;

impl Fused {
    /// The system of an image of one channel whose readings have noise of variance 1, each by itself, and are never projected: a
    /// mixture of readings has no sign to be found. `None` where a reading's own variance is not finite.
    pub(super) fn unmixed(&self, model: &Model) -> Option<System> {
        let spread = Spread::Apart(self.spread.variances());
        let whitener = Whitener::new(&spread, &[1.0], 1.0, &[])?;
        Some(self.system(model, whitener))
    }
}

impl System {
    /// Whitens readings `b`, (m), of which only the magnitude is known.
    ///
    /// # Panics
    /// Where the system mixes readings, see [`Fused::unmixed`].
    pub(super) fn magnitudes(&self, b: &[f32]) -> Readings {
        assert!(self.basis.is_none(), "readings each by itself");
        let [magnitudes] = self.whitener.apply([b]);
        Readings {
            magnitudes,
            ..self.project(b)
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
