//! Floor 3, behind the feature `serve`: recovery over gRPC. tokio does network only; frames are recovered by the
//! pipeline's own threads, and everything between the two is in one file, `bridge`.

mod address;
mod bridge;
mod client;
mod server;

pub use address::{Address, AddressError};
pub use client::{ClientError, RoundTrips, Send, send};
pub use server::{ServeError, Server};
