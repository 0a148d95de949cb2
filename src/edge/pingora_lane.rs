//! Pingora's lane: every request that the fast lane does not take, through Pingora's proxy.
//!
//! The hooks that Pingora calls ask the same gate, and let pass only what has a permit.

pub(super) mod body_start;
mod deadline;
mod dialer;
pub(super) mod given_connection;
pub(super) mod proxy_hooks;
mod received_answer;
pub(super) mod revocable_proxy;
mod sent_request;
mod upgrade;
mod upstream_stream;
