//! Connections to upstreams: new ones, and those that wait for the next request. Both lanes share them.

mod idle;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use pingora::BError;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::Stream;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::{HttpPeer, PeerOptions};

use self::idle::{IdleConnections, IdlePeer, PeerIdentity};
use crate::upstream::Upstream;

/// The connections of a process to its upstreams.
#[derive(Clone)]
pub(super) struct UpstreamConnections {
    connector: Arc<TransportConnector>,
    idle: Arc<IdleConnections>,
}

impl fmt::Debug for UpstreamConnections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UpstreamConnections").finish_non_exhaustive()
    }
}

/// One address of an upstream: what Pingora needs to know of it, and the connections to it that wait.
#[derive(Debug)]
pub(super) struct PeerConnections {
    upstream: Arc<Upstream>,
    address: SocketAddr,
    peer: Box<HttpPeer>,
    idle: Arc<IdlePeer>,
}

/// Whether an idle connection may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    Allowed,
    /// One that was kept has just failed, or the request wants one of its own.
    Refused,
}

/// A connection that one exchange has for itself.
#[derive(Debug)]
pub(super) struct OpenedConnection {
    pub(super) stream: Stream,
    /// Whether it served a request before.
    pub(super) is_reused: bool,
}

impl UpstreamConnections {
    /// Keeps so many connections for the next request. Must be called on the runtime that serves.
    pub(super) fn start(conf: &ServerConf, idle_max: usize) -> Self {
        let options = ConnectorOptions::from_server_conf(conf);
        Self {
            connector: Arc::new(TransportConnector::new(Some(options))),
            idle: IdleConnections::start(idle_max),
        }
    }

    /// The connections to one address of an upstream.
    pub(super) fn to(&self, upstream: &Arc<Upstream>, address: SocketAddr) -> Arc<PeerConnections> {
        let peer = upstream.peer_at(address);
        let server_name = upstream.settings().tls.as_ref().map(|tls| tls.server_name.clone());
        let identity = PeerIdentity { address, server_name, authorities: peer.group_key };
        let idle = self.idle.of(identity);
        Arc::new(PeerConnections { upstream: upstream.clone(), address, peer, idle })
    }

    /// A connection that was kept, or a new one.
    pub(super) async fn open(
        &self,
        to: &PeerConnections,
        reuse: Reuse,
    ) -> Result<OpenedConnection, BError> {
        if reuse == Reuse::Allowed
            && let Some(stream) = self.idle.take(&to.idle)
        {
            return Ok(OpenedConnection { stream, is_reused: true });
        }
        // Boxed: it is large, and mostly not needed.
        let opened = Box::pin(self.connector.new_stream(&*to.peer)).await;
        let stream = opened.map_err(|error| error.into_up())?;
        Ok(OpenedConnection { stream, is_reused: false })
    }

    /// Keeps a connection for the next request to its peer. Nothing of the last exchange may be left on
    /// it.
    pub(super) fn keep(&self, to: &PeerConnections, stream: Stream) {
        if let Some(patience) = to.peer.options.idle_timeout {
            self.idle.put(&to.idle, stream, patience);
        }
    }
}

impl PeerConnections {
    /// Whether they are those to this address.
    pub(super) fn lead_to(&self, upstream: &Arc<Upstream>, address: SocketAddr) -> bool {
        self.address == address && Arc::ptr_eq(&self.upstream, upstream)
    }

    /// Its timeouts.
    pub(super) fn options(&self) -> &PeerOptions {
        &self.peer.options
    }
}
