//! The connection to an upstream for a request that asks for another protocol (RFC 9110 §7.8).
//!
//! A WebSocket may be silent for as long as it likes, but only once the upstream has switched. Until
//! then its reads and writes have the deadlines of any other request. Pingora sets them once for an
//! exchange, so it gets none, and the connection keeps them itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use http::{Version, header};
use pingora::connectors::L4Connect;
use pingora::http::RequestHeader;
use pingora::protocols::l4::ext::set_tcp_keepalive;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, OrErr, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::edge::deferrable_timer::DeferrableTimer;

/// Whether an upstream has switched protocols.
#[derive(Clone, Debug, Default)]
pub(in crate::edge) struct Switched(Arc<AtomicBool>);

impl Switched {
    /// From now on the connection has no deadlines.
    pub(in crate::edge) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Whether a request asks for a WebSocket: the only protocol of whose wish Pingora tells upstreams.
pub(in crate::edge) fn is_asked_for(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_11
        && request
            .headers
            .get(header::UPGRADE)
            .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Gives `peer` a connection of its own, whose deadlines end when it has switched.
pub(in crate::edge) fn prepare(peer: &mut HttpPeer) -> Switched {
    let switched = Switched::default();
    let options = &mut peer.options;
    options.custom_l4 = Some(Arc::new(Dialer {
        connect_timeout: options.connection_timeout,
        read_timeout: options.read_timeout.take(),
        write_timeout: options.write_timeout.take(),
        switched: switched.clone(),
    }));
    // Pingora cannot tell such connections apart: none is taken from its pool, none stays there.
    options.idle_timeout = Some(Duration::ZERO);
    peer.group_key = fastrand::u64(..);
    switched
}

/// Opens such connections.
#[derive(Debug)]
struct Dialer {
    connect_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    switched: Switched,
}

#[async_trait]
impl L4Connect for Dialer {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let inet = address.as_inet();
        let address = inet.ok_or_else(|| Error::new_up(ErrorType::ConnectNoRoute))?;
        let connecting = TcpStream::connect(address);
        let connected = match self.connect_timeout {
            None => connecting.await,
            Some(timeout) => tokio::time::timeout(timeout, connecting)
                .await
                .map_err(|_| Error::new_up(ErrorType::ConnectTimedout))?,
        };
        let io = connected.or_err(ErrorType::ConnectError, "connecting to an upstream")?;
        let connection = UpgradableStream {
            io,
            reading: Deadline::new(self.read_timeout),
            writing: Deadline::new(self.write_timeout),
            switched: self.switched.clone(),
        };
        Ok(VirtualSocketStream::new(Box::new(connection)).into())
    }
}

/// A connection with deadlines until it has switched.
#[derive(Debug)]
struct UpgradableStream {
    io: TcpStream,
    reading: Deadline,
    writing: Deadline,
    switched: Switched,
}

/// How long one operation may take.
#[derive(Debug)]
struct Deadline {
    timeout: Option<Duration>,
    /// When the operation that is waited for has to be done.
    until: Option<Instant>,
    timer: DeferrableTimer,
}

impl Deadline {
    fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, until: None, timer: DeferrableTimer::default() }
    }

    /// What becomes of an operation: it is done, or has to wait, or has waited for too long.
    fn bound<T>(
        &mut self,
        operation: Poll<io::Result<T>>,
        switched: &Switched,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        let timeout = self.timeout.filter(|_| operation.is_pending() && !switched.is_set());
        let Some(timeout) = timeout else {
            self.until = None;
            return operation;
        };
        let until = *self.until.get_or_insert_with(|| Instant::now() + timeout);
        self.timer.poll(context, until).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for UpgradableStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, reading, writing: _, switched } = self.get_mut();
        let read = Pin::new(io).poll_read(context, buffer);
        reading.bound(read, switched, context)
    }
}

impl AsyncWrite for UpgradableStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { io, reading: _, writing, switched } = self.get_mut();
        let written = Pin::new(io).poll_write(context, bytes);
        writing.bound(written, switched, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

impl VirtualSocket for UpgradableStream {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.io.set_nodelay(true),
            VirtualSockOpt::KeepAlive(keepalive) => {
                set_tcp_keepalive(&self.io, &keepalive).map_err(io::Error::other)
            }
            // Whatever else there may be is not asked for.
            _ => Ok(()),
        }
    }
}
