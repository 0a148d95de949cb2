//! The gateway's own signing keys: made, shared, published, and dropped by the gateways.

mod fleet;
mod given;
mod outage;
mod secrecy;
mod start;
