//! RUN. [`Settings`](crate::config::Settings) and what already runs → what runs: key cells, caches,
//! upstreams, the gate.
//!
//! A reload keeps what did not change, by handle: tokens stay verified, keys fetched, addresses
//! resolved.

mod configuration;
mod in_force;
mod issuers;

pub use configuration::Configuration;
pub use in_force::{InForce, Source};
pub use issuers::KeyFeed;

#[cfg(test)]
mod tests;
