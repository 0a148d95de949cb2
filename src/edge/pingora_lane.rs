//! Pingora's lane: every request that the fast lane does not take, through Pingora's proxy.
//!
//! The hooks that Pingora calls ask the same gate, and let pass only what has a permit.

pub(super) mod body_start;
pub(super) mod proxy_hooks;
pub(super) mod revocable_proxy;
pub(super) mod upgrade;
