//! Recovery over the network, over real sockets.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod calls;
mod faults;
mod log;
mod overload;
mod ownership;
mod process;
mod python;
mod relief;
mod reload;
mod served;
mod soak;
