//! Streaming recovery of compressive LIDAR frames through a deep generative ReLU prior.
//!
//! A compressive LIDAR takes far fewer readings than it has pixels. relucent recovers each frame by finding the code
//! of a trained generator that explains the readings, starting from the frame before, and says how well it did.
//!
//! ```
//! use relucent::{clock::Monotonic, frame::RangeImage, prior::Prior, recover::{Settings, Tracker}, sim};
//! use std::sync::Arc;
//!
//! let prior = Prior::embedded()?;
//! let sensor = Arc::new(sim::describe((64, 64), &prior.knots, 30.0, (1, 205), 7)?); // 205 patterns for 4096 pixels
//! let mut tracker = Tracker::new(Arc::clone(&sensor), &prior, Settings::default(), Monotonic::default())?;
//! let (mut truth, mut frame) = (RangeImage::default(), RangeImage::default());
//! sim::frame(sim::Split::HeldOut, 0, &sim::rays(64, 64), &mut truth);
//! let mut rng: rand_chacha::ChaCha8Rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(1);
//! let measurement = sim::measure(&sensor, 0, &truth, 0.005, &mut rng);
//! let report = tracker.recover(&measurement, &mut frame)?;
//! assert!(frame.valid.iter().any(|valid| *valid) && report.residual_ratio < 6.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # In reading order
//!
//! | module | what it is |
//! | --- | --- |
//! | [`frame`] | range images, range knots, geometries, measurements |
//! | [`sensing`] | patterns, the sensor's description, photon histograms as measurements |
//! | [`prior`] | the generator, what is known of its codes and errors, its file |
//! | [`recover`] | the estimator: [`recover::Tracker`] is the synchronous entry |
//! | [`wire`], [`journal`] | protobuf messages; MCAP logs of them |
//! | [`sim`], [`dataset`] | simulated scenes and the virtual sensor; recorded sequences |
//! | [`pipeline`] | threads and queues around trackers: [`pipeline::Pipeline`] is the streaming entry |
//! | `serve` | the same over gRPC (feature `serve`) |
//! | `telemetry` | how a running pipeline does, for Prometheus (feature `prometheus`) |
//! | [`metrics`], [`eval`], [`report`] | errors, how good recovery is, pictures |
//! | [`mod@bench`] | how fast it is |
//! | [`pool`] | vectors that are used again, so that a frame allocates nothing |
//!
//! # What always holds
//!
//! Modules below `pipeline` hold no threads, no async and no wall clock. Every frame offered to a pipeline is accounted for:
//! emitted, dropped or rejected. A sensor's frames keep their order, and what is recovered does not depend on the number
//! of threads. Nothing that arrives in a measurement, a description or a file panics: it is refused with an error that
//! says what was expected and what was found. Methods that take slices panic where a length they state is not kept.

#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod bench;
pub mod clock;
pub mod dataset;
pub mod eval;
pub mod frame;
pub mod journal;
pub mod metrics;
pub mod pipeline;
pub mod pool;
pub mod prior;
pub mod recover;
pub mod report;
pub mod sensing;
#[cfg(feature = "serve")]
pub mod serve;
pub mod sim;
mod simd;
#[cfg(feature = "prometheus")]
pub mod telemetry;
#[cfg(feature = "train")]
pub mod train;
pub mod wire;
