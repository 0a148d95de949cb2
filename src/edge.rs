//! SERVE. The only folder that knows Pingora's server side.
//!
//! ```text
//! listener ─accept→ connection ─head→ lane ─gate─ Permit → upstream
//!                        └────────────→ Pingora ─gatekeeper─ gate ─ Permit → upstream
//! ```
//!
//! The connection reads each HTTP/1 head itself, within a deadline and byte for byte. A plain request
//! goes into the fast lane, which asks the gate and forwards. Anything else goes to Pingora's proxy, whose
//! hooks are the gatekeeper's. What is forwarded is given up if its principal lapses meanwhile.

mod admission;
mod answer;
mod at_once;
mod body_start;
mod builtin;
mod client;
mod client_stream;
mod connection;
mod context;
mod deferrable_timer;
pub mod drain;
mod exchange;
mod failure;
mod forward;
mod gatekeeper;
mod head;
mod http2;
mod lane;
pub mod limits;
pub mod listener;
pub mod metrics;
mod plain_request;
pub mod published;
mod record;
mod response;
mod revocable_proxy;
mod streams;
mod trace;
mod upgrade;
