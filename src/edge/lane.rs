//! The fast lane: plain exchanges, from one buffer to the other.
//!
//! ```text
//! head ─plain?→ gate ─Permit, at once→ lane ─bytes→ upstream ─bytes→ client
//!         └─────────────┴──── anything else, the same bytes ───→ Pingora
//! ```
//!
//! A request is plain if it is one HTTP/1.1 head and nothing else: no body, no upgrade, nothing that
//! concerns the connection but whether it stays. The lane takes it only if the gate permits it at once:
//! what is denied, or hangs on a key or a session that has to be fetched, goes to Pingora's proxy with
//! the same bytes, before anything of it was counted or sent. What the lane has taken, it finishes.
//!
//! Both lanes ask the same gate, strip by the same rules and record in the same way.

mod answer_body;
mod answer_head;
mod exchange;
mod fault;
mod plain_request;
mod upstream_link;

use std::sync::Arc;

use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::server::configuration::ServerConf;

pub(super) use self::exchange::{Exchange, KeepAlive, Next};
pub(super) use self::plain_request::PlainRequest;
pub(super) use self::upstream_link::Buffers;

/// The fast lane of all connections: the connections to upstreams that they share.
#[derive(Clone)]
pub(super) struct Lane(Arc<TransportConnector>);

impl Lane {
    /// A lane that keeps as many connections to upstreams as `conf` says.
    pub(super) fn new(conf: &ServerConf) -> Self {
        Self(Arc::new(TransportConnector::new(Some(ConnectorOptions::from_server_conf(conf)))))
    }
}
