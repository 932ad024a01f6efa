//! Ways to recover a frame, and their parameters.

use super::error::TrackerError;
use super::report::Settings;
use serde::{Deserialize, Serialize};

/// What makes the first image x₀ of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// the generator and its error, tracked from frame to frame
    #[default]
    Latent,
    /// principal directions, in closed form
    Principal,
    /// nothing: the readings, and what [`Refine`] asks of an image
    Blank,
    /// the sparsest cosine coefficients (Lasso)
    Cosines,
    /// the sparsest wavelet coefficients (Lasso)
    Wavelets,
}

/// m/n up to which [`Refine::unrolled_iterations`] do.
const FEW_READINGS: f32 = 0.05;

/// What x₀ is refined by: x̂ = argmin ½‖S_N^(−½)(A x − y)‖² + λ TV(x) + ½‖Γ^½(x − x₀)‖², x ≥ 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Refine {
    /// steps of the primal–dual method; 0 leaves x₀ as it is
    pub iterations: usize,
    /// the same of a cold frame, which has no duals of the frame before to go on from
    pub cold_iterations: usize,
    /// λ, in units of one over the return that the prior knows
    pub variation: f32,
    /// difference, over that return, at which its weight in TV has halved; 0 weighs all alike
    pub edge: f32,
    /// γ at m/n = 2 %: Γ = γ (2 % · n/m)^1.1 / (e²ψ (w + w₀)) of each pixel, and no less than γ of a pixel that no reading sees
    pub proximity: f32,
    /// w₀: how far even a dark pixel may leave x₀
    pub freedom: f32,
    /// the same as γ, towards the refined frame before, where that was a thirtieth of a second ago, and in inverse proportion
    /// to the time; as far as the readings bear it out
    pub last_proximity: f32,
    /// how fast both γ fall where readings contradict an image: γ/(1 + this · excess of the energy that it leaves there)
    pub doubt: f32,
    /// whether the prior's unrolled network goes on from there, where it has one
    pub unrolled: bool,
    /// steps of the primal–dual method before it up to an m/n of 5 %; beyond they rise with m/n, up to as many as without it
    pub unrolled_iterations: usize,
    /// the same of a cold frame
    pub unrolled_cold_iterations: usize,
}

impl Default for Refine {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Refine {
    /// The strongest choice of parameters for the default method, found on tuning scenes.
    const DEFAULT: Self = Self {
        iterations: 60,
        cold_iterations: 150,
        variation: 18.0,
        edge: 0.05,
        proximity: 0.2,
        freedom: 0.3,
        last_proximity: 6.0,
        doubt: 3.0,
        unrolled: true,
        unrolled_iterations: 18,
        unrolled_cold_iterations: 40,
    };

    /// Steps of the primal–dual method of a frame.
    pub(super) fn steps(&self, warm: bool) -> usize {
        match warm {
            true => self.iterations,
            false => self.cold_iterations,
        }
    }

    /// The same before the unrolled network, at `ratio` = m/n: the more readings there are, the longer it takes to hear them all.
    pub(super) fn unrolled_steps(&self, warm: bool, ratio: f32) -> usize {
        let few = match warm {
            true => self.unrolled_iterations,
            false => self.unrolled_cold_iterations,
        };
        let more = (ratio / FEW_READINGS).max(1.0);
        ((few as f32 * more) as usize).min(self.steps(warm).max(few))
    }

    /// Checks what refinement is asked to do; nothing is asked of it with no steps.
    ///
    /// # Errors
    /// The first setting that cannot be.
    pub fn check(&self) -> Result<(), TrackerError> {
        if self.iterations == 0 {
            return Ok(());
        }
        if !self.variation.is_normal() || self.variation < 0.0 {
            return Err(TrackerError::Refine {
                what: "variation > 0",
                got: self.variation,
            });
        }
        let others = [
            ("edge ≥ 0", self.edge),
            ("proximity ≥ 0", self.proximity),
            ("freedom ≥ 0", self.freedom),
            ("last_proximity ≥ 0", self.last_proximity),
            ("doubt ≥ 0", self.doubt),
        ];
        match others.into_iter().find(|(_, v)| !v.is_finite() || *v < 0.0) {
            None => Ok(()),
            Some((what, got)) => Err(TrackerError::Refine { what, got }),
        }
    }

    /// x₀ stays as it is.
    pub const NONE: Self = Self {
        iterations: 0,
        cold_iterations: 0,
        variation: 0.0,
        edge: 0.0,
        proximity: 0.0,
        freedom: 0.0,
        last_proximity: 0.0,
        doubt: 0.0,
        unrolled: false,
        unrolled_iterations: 0,
        unrolled_cold_iterations: 0,
    };
}

/// Lasso: argmin ½‖A x − y‖² + λ‖Φ x‖₁, by FISTA (Beck & Teboulle 2009).
///
/// Rows of A have unit norm and Φ is orthonormal, so that λ speaks of the scene's own coefficients whatever m, and y is not
/// whitened: what few readings leave open outweighs their noise. Of λ = 0.0003 to 0.3, the default cost at most 2 % of range
/// RMSE over the best at each m/n from 1 to 25 %, for cosines and for wavelets (20 tuning scenes under scrambled Hadamard
/// patterns, σ = 0.5 % of mean |y|); the best did not move between σ = 0.1 % and 2 %. Under patterns of variable density 0.1 is
/// better by 4 to 8 % for cosines up to m/n = 10 %, and worse by 4 % at 25 %; for wavelets the default stays within 5 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lasso {
    /// most steps
    pub iterations: usize,
    /// λ, in units of the return that the prior knows
    pub weight: f32,
}

impl Default for Lasso {
    fn default() -> Self {
        Self {
            iterations: 200,
            weight: 0.03,
        }
    }
}

/// Names of [`Settings::preset`].
pub const PRESETS: [&str; 9] = [
    "latent+net",
    "latent+tv",
    "latent",
    "pca+tv",
    "pca",
    "pca-64",
    "tv",
    "wavelet",
    "dct",
];

impl Settings {
    /// Settings by the name of a method, each with the parameters that were best on tuning scenes: one of [`PRESETS`].
    pub fn preset(name: &str) -> Option<Self> {
        let image = |method, refine| Self {
            method,
            refine,
            ..Self::default()
        };
        Some(match name {
            "latent+net" => Self::default(),
            "latent+tv" => image(Method::Latent, LATENT_AND_VARIATION),
            "latent" => image(Method::Latent, Refine::NONE),
            "pca" => image(Method::Principal, Refine::NONE),
            "pca-64" => Self {
                directions: 64,
                ..image(Method::Principal, Refine::NONE)
            },
            "pca+tv" => image(Method::Principal, PRINCIPAL_AND_VARIATION),
            "tv" => image(Method::Blank, VARIATION),
            "wavelet" => image(Method::Wavelets, Refine::NONE),
            "dct" => image(Method::Cosines, Refine::NONE),
            _ => return None,
        })
    }
}

const LATENT_AND_VARIATION: Refine = Refine {
    unrolled: false,
    ..Refine::DEFAULT
};
const PRINCIPAL_AND_VARIATION: Refine = Refine {
    iterations: 100,
    cold_iterations: 150,
    variation: 20.0,
    edge: 0.05,
    proximity: 0.3,
    freedom: 0.0,
    last_proximity: 6.0,
    doubt: 3.0,
    ..Refine::NONE
};
const VARIATION: Refine = Refine {
    iterations: 150,
    cold_iterations: 150,
    variation: 13.0,
    edge: 0.08,
    proximity: 0.0,
    freedom: 0.0,
    last_proximity: 2.0,
    doubt: 3.0,
    ..Refine::NONE
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_and_what_cannot_is_named() {
        for name in PRESETS {
            assert_eq!(
                Settings::preset(name).unwrap().refine.check(),
                Ok(()),
                "{name}"
            );
        }
        let refine = |variation, edge| Refine {
            variation,
            edge,
            ..Refine::default()
        };
        let error = refine(-1.0, 0.1).check().unwrap_err().to_string();
        assert_eq!(error, "expected refine.variation > 0, got -1");
        let error = refine(1.0, f32::NAN).check().unwrap_err().to_string();
        assert_eq!(error, "expected refine.edge ≥ 0, got NaN");
    }
}
