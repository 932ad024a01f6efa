//! Floor 3: how fast it is. The real pipeline, in process, under a load that does not wait for it.
//!
//! [`Workload`] is what sensors send, made before any clock starts. [`Bench`] sends it to a [`crate::pipeline::Pipeline`] at
//! a rate, and gathers a [`Sample`] of every frame that comes out; [`Measured`] is what these come to. A frame's latency
//! counts from the moment it was due, not from when it was let in: what waits behind a slow frame is late too
//! (Tene's "coordinated omission"). [`Parts`] are figures of recovery on its own, and the physical floors beside it.

mod collect;
mod compare;
mod error;
mod load;
mod machine;
mod parts;
mod result;
mod run;
mod spread;
mod sweep;
mod workload;

pub use collect::Sample;
pub use compare::{Ratio, ratios};
pub use error::BenchError;
pub use machine::{Machine, Memory};
pub use parts::Parts;
pub use result::{Counts, Latencies, Phase, Throughput};
pub use run::{Bench, Measured, Options};
pub use spread::{LEAST_FOR_P999, Spread};
pub use sweep::{Growth, Point, Sweep};
pub use workload::Workload;
