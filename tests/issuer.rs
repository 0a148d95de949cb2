//! What the gateway signs.

mod access;
