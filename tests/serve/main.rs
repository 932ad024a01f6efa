//! Recovery over the network, over real sockets.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod faults;
mod log;
mod ownership;
mod served;
