//! A client's TCP connection as Pingora takes it: writes are gathered until they are flushed.
//!
//! Pingora's own TCP stream gathers writes too, but only inside its own listeners; without it the
//! head and the body of an answer would be a system call each.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::send_watch::SendWatch;
use crate::config::Limits;

/// How much is gathered, in bytes: a head and a small body. Larger writes pass through.
const GATHER_BYTES: usize = 4 * 1024;

/// How much is read at once, in bytes. Pingora has room for 64 KiB in each of the pieces that may wait
/// for an upstream; so little fits in all of them together.
const READ_BYTES_MAX: usize = 8 * 1024;

/// A client's connection.
#[derive(Debug)]
pub(in crate::edge) struct Wire {
    io: TcpStream,
    /// What was written and not sent yet. Without memory while there is nothing: most connections are idle.
    gathered: BytesMut,
    gathers: Arc<AtomicBool>,
    watch: SendWatch,
    digest: Arc<SocketDigest>,
}

impl Wire {
    /// A connection that was accepted from `peer`.
    pub(in crate::edge) fn new(io: TcpStream, peer: SocketAddr, limits: &Limits) -> Self {
        let digest = SocketDigest::from_raw_fd(io.as_raw_fd());
        // A new cell is empty; were it not, it would hold the same address.
        let _ = digest.peer_addr.set(Some(peer.into()));
        Self {
            io,
            gathered: BytesMut::new(),
            gathers: Arc::default(),
            watch: SendWatch::new(limits),
            digest: Arc::new(digest),
        }
    }

    /// The switch that begins the gathering. It is off during a TLS handshake: the alert that ends
    /// a failed one is never flushed.
    pub(in crate::edge) fn gathers(&self) -> Arc<AtomicBool> {
        self.gathers.clone()
    }
}

impl Wire {
    /// Sends what was gathered.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let sent = ready!(Pin::new(&mut self.io).poll_write(context, &self.gathered))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gathered.advance(sent);
        }
        self.gathered = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Whether so many bytes are to be gathered. If they are too many for that, what was gathered is sent
    /// first.
    fn poll_room(&mut self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<bool>> {
        let gathers = self.gathers.load(Ordering::Relaxed);
        if !gathers || self.gathered.len() + length > GATHER_BYTES {
            ready!(self.poll_send(context))?;
        }
        Poll::Ready(Ok(gathers && length < GATHER_BYTES))
    }

    fn poll_gather(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_room(context, bytes.len()))? {
            return Pin::new(&mut self.io).poll_write(context, bytes);
        }
        self.gathered.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_gather_all(
        &mut self,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        if !ready!(self.poll_room(context, length))? {
            return Pin::new(&mut self.io).poll_write_vectored(context, slices);
        }
        for slice in slices {
            self.gathered.extend_from_slice(slice);
        }
        Poll::Ready(Ok(length))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The caller reads, so it has nothing to write for now. What was gathered should not wait
        // longer, or a slow answer would be held back.
        if let Poll::Ready(Err(error)) = self.poll_send(context) {
            return Poll::Ready(Err(error));
        }
        let io = Pin::new(&mut self.io);
        if buffer.remaining() <= READ_BYTES_MAX {
            return io.poll_read(context, buffer);
        }
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(READ_BYTES_MAX));
        ready!(io.poll_read(context, &mut piece))?;
        let length = piece.filled().len();
        buffer.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.poll_gather(context, bytes);
        self.watch.bound(written, |taken| *taken, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.poll_gather_all(context, slices);
        self.watch.bound(written, |taken| *taken, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.poll_send(context);
        // What was gathered counted when it was written.
        self.watch.bound(flushed, |()| 0, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was gathered goes first, and may have to wait.
        let shut = match self.poll_send(context) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.io).poll_shutdown(context),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        self.watch.bound(shut, |()| 0, context)
    }
}

#[async_trait]
impl Shutdown for Wire {
    async fn shutdown(&mut self) {
        // The connection is given up; that this fails changes nothing.
        drop(AsyncWriteExt::shutdown(&mut self.io).await);
    }
}

impl UniqueID for Wire {
    fn id(&self) -> UniqueIDType {
        self.io.as_raw_fd()
    }
}

impl Ssl for Wire {}

impl Peek for Wire {}

impl GetTimingDigest for Wire {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Wire {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Wire {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}
