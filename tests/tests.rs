//! Drives the real program over real sockets.

mod authentication;
mod authorization;
mod commands;
mod config;
mod decisions;
mod forwarding;
mod framing;
mod harness;
mod keys;
mod lifecycle;
mod metrics;
mod revocation;
mod slugs;
mod store;
mod tidy;
mod tls;
mod upstreams;
