//! The connection to an upstream as Pingora has it: for one exchange, and read strictly.
//!
//! Pingora is lenient with the chunks of an answer. Here every byte of it is read before Pingora gets
//! it: malformed bytes end the exchange, and bytes behind the answer are never passed on. When request
//! and answer are whole, the connection waits for the next request of either lane.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Method;
use pingora::protocols::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::deadline::Deadline;
use super::given_connection::GivenConnection;
use super::received_answer::ReceivedAnswer;
use super::sent_request::SentRequest;
use crate::edge::upstream_connections::{PeerConnections, UpstreamConnections};

/// How much of an answer Pingora gets at once, in bytes. It holds up to nine such pieces for a client that
/// takes none: less than 64 KiB.
const PIECE_BYTES: usize = 7 * 1024;

/// How long one read or write may take, where Pingora does not see to that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deadlines {
    pub(super) read: Option<Duration>,
    pub(super) write: Option<Duration>,
}

/// Where a connection waits for another exchange.
#[derive(Debug)]
pub(super) struct SharedConnections {
    pub(super) connections: UpstreamConnections,
    pub(super) peer: Arc<PeerConnections>,
}

/// A connection to an upstream.
#[derive(Debug)]
pub(super) struct UpstreamStream {
    /// `None` once it waits for another exchange.
    io: Option<Stream>,
    shared: SharedConnections,
    given: Arc<GivenConnection>,
    request: SentRequest,
    /// Whether all that was sent has left our buffers.
    is_flushed: bool,
    answer: ReceivedAnswer,
    reading: Deadline,
    writing: Deadline,
}

impl UpstreamStream {
    /// A connection, on which a request with this method follows.
    pub(super) fn new(
        io: Stream,
        shared: SharedConnections,
        given: Arc<GivenConnection>,
        method: Method,
        deadlines: Deadlines,
    ) -> Self {
        Self {
            io: Some(io),
            shared,
            given,
            request: SentRequest::new(),
            is_flushed: true,
            answer: ReceivedAnswer::to(method),
            reading: Deadline::new(deadlines.read),
            writing: Deadline::new(deadlines.write),
        }
    }

    /// Reads a piece of the answer.
    fn poll_answer(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(malformed) = self.answer.malformed() {
            return Poll::Ready(Err(io::Error::other(malformed.clone())));
        }
        let Some(io) = self.io.as_mut().filter(|_| !self.answer.is_whole()) else {
            // The end: nothing follows an answer that is whole.
            return Poll::Ready(Ok(()));
        };
        let room = buffer.remaining().min(PIECE_BYTES);
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let read = Pin::new(io).poll_read(context, &mut piece);
        ready!(self.reading.bound(read, context))?;
        let came = piece.filled();
        let (came, taken) = (came.len(), self.answer.take(came));
        buffer.advance(taken);
        if came > 0 {
            self.given.answered();
        }
        if self.answer.is_whole() && came == taken {
            self.keep();
        }
        if self.answer.is_tunnel() {
            self.reading.lift();
            self.writing.lift();
        }
        match self.answer.malformed() {
            // What is in order goes on, whatever follows it.
            Some(malformed) if taken == 0 => Poll::Ready(Err(io::Error::other(malformed.clone()))),
            Some(_) | None => Poll::Ready(Ok(())),
        }
    }

    /// Has the connection wait for another exchange, if nothing of this one can be left on it.
    fn keep(&mut self) {
        if self.answer.keeps_connection
            && self.request.is_whole()
            && self.is_flushed
            && let Some(io) = self.io.take()
        {
            self.shared.connections.keep(&self.shared.peer, io);
        }
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.io {
            Some(io) if this.answer.is_tunnel() => Pin::new(io).poll_read(context, buffer),
            Some(_) | None => this.poll_answer(context, buffer),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { io, request, is_flushed, answer, writing, .. } = self.get_mut();
        let Some(io) = io else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        let written = Pin::new(io).poll_write(context, bytes);
        let written = ready!(writing.bound(written, context))?;
        *is_flushed = false;
        if !answer.is_tunnel() {
            request.sent(&bytes[..written]);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, is_flushed, .. } = self.get_mut();
        let Some(io) = io else { return Poll::Ready(Ok(())) };
        ready!(Pin::new(io).poll_flush(context))?;
        *is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Some(io) => Pin::new(io).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl VirtualSocket for UpstreamStream {
    /// The connection had its options set when it was opened.
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}
