//! A connection to an upstream while an exchange of the lane is on it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use pingora::protocols::Stream;
use pingora::{BError, ErrorType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::fault::Fault;
use crate::edge::at_once::at_once;
use crate::edge::client_stream::inbound::Inbound;
use crate::edge::deferrable_timer::DeferrableTimer;
use crate::edge::upstream_connections::{
    OpenedConnection, PeerConnections, Reuse, UpstreamConnections,
};
use crate::upstream::Upstream;

/// How much is read of an answer at once, in bytes. What a client does not take stays with the upstream,
/// but for this.
const READ_BYTES: usize = 16 * 1024;

/// The buffers of a client's connection, and the peer that it was connected with last.
#[derive(Default)]
pub(in crate::edge) struct Buffers {
    /// What goes to the upstream, and then what goes to the client.
    pub(super) out: Vec<u8>,
    /// What came from the upstream.
    pub(super) incoming: BytesMut,
    timer: DeferrableTimer,
    peer: Option<Arc<PeerConnections>>,
}

/// What a connection keeps of its buffers while it waits for the next request, and while there is more
/// of an answer to come, in bytes.
const KEPT_BYTES_MAX: usize = 2 * 1024;
const BUSY_BYTES_MAX: usize = 64 * 1024;

impl Buffers {
    /// Gives back what the next exchange can do without: most connections wait most of the time.
    pub(super) fn rest(&mut self) {
        self.out.clear();
        if self.out.capacity() > KEPT_BYTES_MAX {
            self.out = Vec::new();
        }
        self.incoming = BytesMut::new();
    }

    /// What goes out has gone. A large head leaves no large buffers for what follows it.
    pub(super) fn shrink(&mut self) {
        self.out.clear();
        if self.out.capacity() > BUSY_BYTES_MAX {
            self.out = Vec::new();
        }
        if self.incoming.capacity() > BUSY_BYTES_MAX {
            self.incoming = BytesMut::from(&*self.incoming);
        }
    }

    /// The connections to one address of an upstream: mostly the one of the last request.
    fn peer(
        &mut self,
        connections: &UpstreamConnections,
        upstream: &Arc<Upstream>,
        address: SocketAddr,
    ) -> Arc<PeerConnections> {
        let known = self.peer.as_ref().filter(|known| known.lead_to(upstream, address));
        if let Some(known) = known {
            return known.clone();
        }
        self.peer.insert(connections.to(upstream, address)).clone()
    }
}

/// A connection to an upstream.
pub(super) struct UpstreamLink {
    stream: Stream,
    peer: Arc<PeerConnections>,
    /// Whether it served a request before.
    pub(super) is_reused: bool,
}

impl UpstreamLink {
    /// A connection that was kept, or a new one.
    pub(super) async fn open(
        connections: &UpstreamConnections,
        upstream: &Arc<Upstream>,
        address: SocketAddr,
        buffers: &mut Buffers,
        reuse: Reuse,
    ) -> Result<Self, BError> {
        let peer = buffers.peer(connections, upstream, address);
        let OpenedConnection { stream, is_reused } = connections.open(&peer, reuse).await?;
        Ok(Self { stream, peer, is_reused })
    }

    /// Keeps the connection for the next request to its peer.
    pub(super) fn keep(self, connections: &UpstreamConnections) {
        connections.keep(&self.peer, self.stream);
    }

    /// Sends a request.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let patience = self.peer.options().write_timeout;
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match within(patience, written).await {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(Fault::broken(ErrorType::WriteError, error)),
            None => Err(Fault::late(ErrorType::WriteTimedout)),
        }
    }

    /// Reads more of the answer, until the client leaves. Returns how many bytes came: 0 at the end of the
    /// connection.
    pub(super) async fn receive(
        &mut self,
        buffers: &mut Buffers,
        client: &mut Inbound,
    ) -> Result<usize, Fault> {
        let Buffers { incoming, timer, .. } = buffers;
        incoming.reserve(READ_BYTES);
        let patience = self.peer.options().read_timeout;
        let mut until = None;
        let mut read = pin!(self.stream.read_buf(incoming));
        poll_fn(|context| {
            if let Poll::Ready(read) = read.as_mut().poll(context) {
                return Poll::Ready(
                    read.map_err(|error| Fault::broken(ErrorType::ReadError, error)),
                );
            }
            if client.poll_departure(context).is_ready() {
                return Poll::Ready(Err(Fault::left()));
            }
            let Some(patience) = patience else { return Poll::Pending };
            let until = *until.get_or_insert_with(|| Instant::now() + patience);
            timer.poll(context, until).map(|()| Err(Fault::late(ErrorType::ReadTimedout)))
        })
        .await
    }
}

/// What `future` comes to; `None` if it takes longer. A timer is set only if it has to wait.
async fn within<F: Future>(patience: Option<Duration>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    match (at_once(future.as_mut()).await, patience) {
        (Some(done), _) => Some(done),
        (None, None) => Some(future.await),
        (None, Some(patience)) => tokio::time::timeout(patience, future).await.ok(),
    }
}
