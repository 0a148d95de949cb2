//! SERVE. The only folder that knows Pingora's server side.
//!
//! ```text
//! listener ─accept→ connection ─head→ fast_lane ─gate─ Permit → upstream
//!                        └──────────→ pingora_lane ─gate─ Permit → upstream
//! ```
//!
//! The connection reads each HTTP/1 head itself, within a deadline and byte for byte. A plain request
//! goes into the fast lane, which asks the gate and forwards. Anything else goes to Pingora's proxy, whose
//! hooks ask the same gate. What is forwarded is given up if its principal lapses meanwhile.

mod admission;
mod answer;
mod at_once;
mod authority;
mod builtin;
mod client;
mod client_stream;
mod connection;
mod context;
mod deferrable_timer;
pub mod drain;
mod exchange_state;
mod failure;
mod fast_lane;
mod forward;
mod head;
mod http2;
pub mod limits;
pub mod listener;
pub mod metrics;
mod pingora_lane;
pub mod publication;
mod record;
mod response;
mod revocation_sweep;
mod trace;
mod upstream_connections;
