//! KEEP CURRENT. Background writers, one for each in-memory cell that can change.

pub mod fetch;
pub mod jwks;
pub mod last_good;
pub mod resolver;
pub mod revocations;
pub mod watch;
