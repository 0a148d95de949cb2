//! What the gateway itself issues: access and refresh tokens, for people and machines; API keys; one
//! identity for upstreams.

mod api_keys;
mod attacks;
mod clients;
mod clocks;
mod cutoff;
mod delivery;
mod faults;
mod fleet;
mod histories;
mod internal;
mod introspection;
mod machines;
mod outage;
mod published;
mod requests;
mod revoking;
mod rotation;
mod spoofing;
mod steps;
