//! KEEP CURRENT. Background writers, one for each in-memory cell that can change.

mod backoff;
pub mod jwks;
pub mod last_good;
pub mod metrics;
pub mod revocations;
pub mod sessions;
pub mod signing;
pub mod tags;
pub mod watch;
