//! Floor 2: simulated scenes and the virtual sensor.

mod detector;
mod photons;

pub use detector::{DetectorError, Noise, VirtualSensor};
pub use photons::{Exposures, PhotonCounting};
