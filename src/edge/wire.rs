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
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::net::TcpStream;

/// How much is gathered, in bytes: a head and a small body. Larger writes pass through.
const GATHER_BYTES: usize = 4 * 1024;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Wire {
    io: BufWriter<TcpStream>,
    gathers: Arc<AtomicBool>,
    digest: Arc<SocketDigest>,
}

impl Wire {
    /// A connection that was accepted from `peer`.
    pub(super) fn new(io: TcpStream, peer: SocketAddr) -> Self {
        let digest = SocketDigest::from_raw_fd(io.as_raw_fd());
        // A new cell is empty; were it not, it would hold the same address.
        let _ = digest.peer_addr.set(Some(peer.into()));
        Self {
            io: BufWriter::with_capacity(GATHER_BYTES, io),
            gathers: Arc::default(),
            digest: Arc::new(digest),
        }
    }

    /// The switch that begins the gathering. It is off during a TLS handshake: the alert that ends
    /// a failed one is never flushed.
    pub(super) fn gathers(&self) -> Arc<AtomicBool> {
        self.gathers.clone()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whoever reads has nothing to write for now: what was gathered should not wait longer,
        // or a slow answer would be held back.
        if !self.io.buffer().is_empty()
            && let Poll::Ready(Err(error)) = Pin::new(&mut self.io).poll_flush(context)
        {
            return Poll::Ready(Err(error));
        }
        Pin::new(self.io.get_mut()).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.gathers.load(Ordering::Relaxed) {
            return Pin::new(self.io.get_mut()).poll_write(context, bytes);
        }
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.gathers.load(Ordering::Relaxed) {
            return Pin::new(self.io.get_mut()).poll_write_vectored(context, slices);
        }
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
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
        self.io.get_ref().as_raw_fd()
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
