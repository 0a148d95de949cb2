//! The fast lane: plain exchanges, from one buffer to the other.
//!
//! ```text
//! head ─plain?→ gate ─Permit, at once→ lane ─bytes→ upstream ─bytes→ client
//!         └─────────────┴──── anything else, the same bytes ───→ Pingora
//! ```
//!
//! A request is plain if it is one HTTP/1.1 head, with no body or with one that has come: no upgrade,
//! nothing that concerns the connection but whether it stays. The lane takes it only if the gate permits it at once:
//! what is denied, or hangs on a key or a session that has to be fetched, goes to Pingora's proxy with
//! the same bytes and with what the gate said, before a byte was sent. What the lane has taken, it finishes.
//!
//! Both lanes ask the same gate, strip by the same rules and record in the same way.

mod answer_body;
pub(super) mod answer_head;
mod exchange;
pub(super) mod fault;
#[cfg(test)]
mod fuzz;
pub(super) mod plain_request;
mod upstream_link;

pub(super) use self::exchange::{Exchange, KeepAlive, Next};
pub(super) use self::upstream_link::Buffers;
