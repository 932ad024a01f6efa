//! Recovery over the network, over real sockets.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "prometheus")]
#[path = "../common/scrape.rs"]
mod scrape;

mod access;
mod calls;
mod faults;
mod log;
#[cfg(feature = "prometheus")]
mod metrics;
mod overload;
mod ownership;
mod process;
mod python;
mod relief;
mod reload;
mod served;
mod soak;
