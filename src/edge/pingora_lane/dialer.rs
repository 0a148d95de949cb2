//! Gives Pingora its connections to upstreams: those that both lanes share, read strictly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use pingora::Result;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::VirtualSocketStream;
use pingora::upstreams::peer::{HttpPeer, Scheme};

use super::given_connection::GivenConnection;
use super::upstream_stream::{Deadlines, SharedConnections, UpstreamStream};
use crate::edge::upstream_connections::{OpenedConnection, Reuse, UpstreamConnections};
use crate::upstream::Upstream;

/// What a request wants of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionUse {
    /// One exchange, whose deadlines Pingora keeps.
    Exchange,
    /// Perhaps another protocol. That may be silent for as long as it likes, but only once the upstream
    /// has switched. Pingora sets its deadlines once for an exchange, so it gets none, and the connection
    /// keeps them itself.
    Upgrade,
}

/// Opens the connection for one try.
#[derive(Debug)]
pub(super) struct Dialer {
    pub(super) connections: UpstreamConnections,
    pub(super) upstream: Arc<Upstream>,
    pub(super) address: SocketAddr,
    pub(super) method: Method,
    pub(super) reuse: Reuse,
}

impl Dialer {
    /// The peer that Pingora talks to over this connection, which it takes for one of TCP that it opens
    /// for each request.
    pub(super) fn into_peer(
        self,
        mut peer: Box<HttpPeer>,
        usage: ConnectionUse,
    ) -> (Box<HttpPeer>, Arc<GivenConnection>) {
        let given = Arc::new(GivenConnection::default());
        // The connection has its own handshake, with its own deadlines.
        peer.scheme = Scheme::HTTP;
        let options = &mut peer.options;
        options.connection_timeout = None;
        options.total_connection_timeout = None;
        options.tcp_keepalive = None;
        let deadlines = match usage {
            ConnectionUse::Exchange => Deadlines::default(),
            ConnectionUse::Upgrade => {
                Deadlines { read: options.read_timeout.take(), write: options.write_timeout.take() }
            }
        };
        options.custom_l4 =
            Some(Arc::new(GivingDialer { dialer: self, deadlines, given: given.clone() }));
        // Pingora cannot tell such connections apart: none is taken from its pool, none stays there.
        options.idle_timeout = Some(Duration::ZERO);
        peer.group_key = fastrand::u64(..);
        (peer, given)
    }
}

/// A dialer that says what it gave.
#[derive(Debug)]
struct GivingDialer {
    dialer: Dialer,
    deadlines: Deadlines,
    given: Arc<GivenConnection>,
}

#[async_trait]
impl L4Connect for GivingDialer {
    async fn connect(&self, _: &PeerAddress) -> Result<Stream> {
        let Dialer { connections, upstream, address, method, reuse } = &self.dialer;
        let peer = connections.to(upstream, *address);
        let OpenedConnection { stream, is_reused } = connections.open(&peer, *reuse).await?;
        if is_reused {
            self.given.reused();
        }
        let home = SharedConnections { connections: connections.clone(), peer };
        let given = self.given.clone();
        let stream = UpstreamStream::new(stream, home, given, method.clone(), self.deadlines);
        Ok(VirtualSocketStream::new(Box::new(stream)).into())
    }
}
