//! RUN. Builds what runs from [`Settings`](crate::config::Settings) and what already runs: key
//! cells, caches, upstreams, the gate, the TLS of listeners.
//!
//! A reload keeps what did not change, by handle: tokens stay verified, keys fetched, and addresses
//! resolved.

mod freed_memory;
mod in_force;
mod issuers;
mod running;
mod tls;

pub use in_force::{InForce, Source};
pub use issuers::KeyFeed;
pub use running::Running;

#[cfg(test)]
mod tests;
