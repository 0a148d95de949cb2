//! What the gateway signs.

mod access;
mod internal;
