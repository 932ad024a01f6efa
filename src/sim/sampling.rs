//! Which Hadamard patterns a sensor shows.

use crate::sensing::{Data, Hadamard, HadamardError};
use std::fmt;
use std::str::FromStr;

/// How Hadamard patterns are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// coarse patterns more often than fine ones, [`Hadamard::variable_density`]
    #[default]
    VariableDensity,
    /// all as often, under a random permutation of the pixels, [`Hadamard::random`]
    Scrambled,
}

/// A name that is no way to draw patterns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected variable-density or scrambled as sampling, got `{got}`")]
pub struct UnknownSampling {
    /// the name given
    pub got: String,
}

impl Sampling {
    /// Both.
    pub const ALL: [Self; 2] = [Self::VariableDensity, Self::Scrambled];

    /// What recovers best from readings that tell `data`: of magnitudes only random signs at every pixel leave no doubt.
    pub fn for_data(data: Data) -> Self {
        match data {
            Data::Linear => Self::default(),
            Data::Magnitudes => Self::Scrambled,
        }
    }

    /// `readings` patterns of an image of rows × cols pixels.
    ///
    /// # Errors
    /// Where there is no pixel or no reading, or there are too many pixels.
    pub fn patterns(
        self,
        (rows, cols): (usize, usize),
        readings: usize,
        seed: u64,
    ) -> Result<Hadamard, HadamardError> {
        match self {
            Self::VariableDensity => Hadamard::variable_density(rows, cols, readings, seed),
            Self::Scrambled => Hadamard::random(rows.saturating_mul(cols), readings, seed),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::VariableDensity => "variable-density",
            Self::Scrambled => "scrambled",
        }
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Sampling {
    type Err = UnknownSampling;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|sampling| sampling.name() == name)
            .ok_or_else(|| UnknownSampling { got: name.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for sampling in Sampling::ALL {
            assert_eq!(sampling.to_string().parse(), Ok(sampling));
        }
        let error = "fine".parse::<Sampling>().unwrap_err();
        assert!(error.to_string().contains("scrambled"), "{error}");
    }
}
