//! What the gateway itself issues: access and refresh tokens, for people and machines; API keys; one
//! identity for upstreams.

mod client;
mod client_credentials;
mod clocks;
mod cut_off;
mod faults;
mod fleet;
mod histories;
mod introspect;
mod metadata;
mod outage;
mod refresh;
mod revoke;
mod steps;
mod token;
