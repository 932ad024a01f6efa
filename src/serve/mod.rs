//! Floor 3, behind the feature `serve`: recovery over gRPC. tokio does network only; frames are recovered by the
//! pipeline's own threads, and everything between the two is in one file, `bridge`.
//!
//! Beyond this machine nothing is served without TLS and without asking clients who they are ([`Access`]); whoever is let in
//! has limits ([`Limits`]). A sensor belongs to the stream that described it first, until that ends.

mod access;
mod address;
mod bridge;
mod client;
mod connection;
mod credentials;
mod holders;
mod limits;
mod listener;
mod peer;
mod server;
mod service;
mod stats;
mod subscribers;

pub use access::{Access, AccessError, AccessFiles};
pub use address::{Address, AddressError};
pub use client::{ClientError, RoundTrips, Send, send};
pub use credentials::{Bearer, CredentialFiles, Credentials};
pub use limits::{LimitError, Limits};
pub use peer::{Peer, PeerError, Recovery};
pub use server::{ServeError, Server, Serving};
