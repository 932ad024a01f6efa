//! Floor 2: simulated scenes and the virtual sensor.
//!
//! [`Scene`] is a kind of place ([`Family`]) drawn from a seed; [`Rays`] are the directions a sensor looks along;
//! [`Scene::cast`] is what it sees at a moment. Everything is a pure function of family, seed and time.

mod build;
mod cast;
mod debris;
mod ego;
mod family;
mod imperfections;
mod linear;
mod obstacle;
mod population;
mod rays;
mod sampling;
mod scene;
mod sensor;
mod shape;
mod solid;
mod texture;
mod window;

pub use family::{Family, UnknownFamily};
pub use imperfections::{Drift, Imperfections};
pub use obstacle::{LEAST_PIXELS, NEARER, Obstacle, ObstacleKind, UnknownObstacle, with_obstacle};
pub use population::{FIELD_OF_VIEW, MAX_RANGE, Split, frame, held_out, rays, scene};
pub use rays::Rays;
pub use sampling::{Sampling, UnknownSampling};
pub use scene::Scene;
pub use sensor::{SensorError, describe, describe_sampled, measure, readings};

mod detector;
mod photons;

pub use detector::{DetectorError, Noise, VirtualSensor};
pub use photons::{Exposures, PhotonCounting};
