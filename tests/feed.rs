//! What gateways keep current in memory: keys of issuers, signing keys, the revocation list, sessions.

mod jwks;
mod revocations;
mod sessions;
mod signing;
mod watch;
