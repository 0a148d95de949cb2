//! A client's HTTP/1 connection as Pingora reads it: one request at a time.
//!
//! Pingora takes whatever comes while a request is in progress for an error of that request. Here
//! stands, between it and the connection, what knows from the head where the request's body ends:
//! it hands out that body and nothing else, and keeps what follows for the next head. It also reads
//! the chunks of a body before Pingora does, which is lenient with them, and watches how fast a body
//! comes.

pub(in crate::edge) mod fault;
pub(in crate::edge) mod remaining;
mod stream;

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use pingora::protocols::Stream;
use pingora::proxy::Session;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use self::fault::Fault;
use self::remaining::Remaining;
use super::pace::Pace;
use crate::config::PaceRules;
use crate::edge::deferrable_timer::DeferrableTimer;
use crate::gate::framing::Message;

/// How much of what follows a request is kept while it is served, in bytes. A client that sends
/// more waits until we read on.
const KEPT_BYTES_MAX: usize = 32 * 1024;

/// How much of it is read at once, in bytes.
const READ_BYTES: usize = 4 * 1024;

/// A connection that no further request is read from.
#[derive(Debug)]
pub(in crate::edge) struct Left {
    pub(in crate::edge) io: Stream,
    /// Whether the client may be sending what will never be read.
    pub(in crate::edge) is_unread: bool,
}

/// Where the connection of an [`Inbound`] is to be found when that was dropped.
pub(in crate::edge) type Returned = Arc<Mutex<Option<Left>>>;

/// A client's connection.
#[derive(Debug)]
pub(in crate::edge) struct Inbound {
    io: Stream,
    /// What was read of what follows the request in progress.
    kept: BytesMut,
    body: Remaining,
    /// How fast the body has to come; `None` while the client need not send any.
    pace: Option<Pace>,
    /// The pace that begins when the client gets its 100 (Continue).
    pace_to_come: Option<PaceRules>,
    /// How long the upstream may be silent once it has the body, in milliseconds; 0 for no bound.
    answer_timeout_ms: AtomicU64,
    answer_due: Option<Instant>,
    alarm: DeferrableTimer,
    /// Whether the connection is the upstream's and the client's to talk over as they like.
    is_tunnel: AtomicBool,
    returned: Returned,
}

impl Inbound {
    /// `io`, on which nothing has been read.
    pub(in crate::edge) fn new(io: Stream, returned: Returned) -> Self {
        Self {
            io,
            kept: BytesMut::new(),
            body: Remaining::Nothing,
            pace: None,
            pace_to_come: None,
            answer_timeout_ms: AtomicU64::new(0),
            answer_due: None,
            alarm: DeferrableTimer::default(),
            is_tunnel: AtomicBool::new(false),
            returned,
        }
    }

    /// The connection itself, to read a head from, after what was kept.
    pub(in crate::edge) fn between_requests(&mut self) -> (&mut Stream, BytesMut) {
        (&mut self.io, std::mem::take(&mut self.kept))
    }

    /// Begins a request. `bytes` holds its head, and perhaps more; returns what of it belongs to the
    /// request.
    pub(in crate::edge) fn begin(
        &mut self,
        message: Message,
        mut bytes: BytesMut,
        pace: PaceRules,
    ) -> BytesMut {
        let Message { head_bytes, body, waits_to_continue } = message;
        self.body = Remaining::of(body);
        let length = self.body.take(&bytes[head_bytes..]);
        if bytes.len() > head_bytes + length {
            self.kept = bytes.split_off(head_bytes + length);
        }
        *self.answer_timeout_ms.get_mut() = 0;
        self.answer_due = None;
        (self.pace, self.pace_to_come) = match self.body {
            Remaining::Nothing | Remaining::Faulty(_) => (None, None),
            // Until the client gets its 100 (Continue), it owes nothing.
            Remaining::Length(_) | Remaining::Chunked(_) if waits_to_continue && length == 0 => {
                (None, Some(pace))
            }
            Remaining::Length(_) | Remaining::Chunked(_) => {
                (Some(Pace::begin(pace, Instant::now())), None)
            }
        };
        bytes
    }

    /// The connection that a session works on, if it is of HTTP/1.
    pub(in crate::edge) fn of(session: &Session) -> Option<&Self> {
        session.stream()?.as_any().downcast_ref()
    }

    /// Whether the client still has to send some of the body.
    pub(in crate::edge) const fn owes_body(&self) -> bool {
        self.pace.is_some() && !matches!(self.body, Remaining::Nothing)
    }

    /// Nothing more will be read as a request, whatever comes.
    pub(in crate::edge) fn give_up(&mut self) {
        self.body = Remaining::Faulty(Fault::Malformed("the connection is given up"));
    }

    /// Once the upstream has the body, it may be silent for so long. Until then it has nothing to
    /// answer, which a bound on the reads from it would not know.
    pub(in crate::edge) fn bound_answer(&self, timeout: Duration) {
        let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.answer_timeout_ms.store(milliseconds, Ordering::Relaxed);
    }

    /// From now on the connection is not read as HTTP (RFC 9110 §7.8).
    pub(in crate::edge) fn switch(&self) {
        self.is_tunnel.store(true, Ordering::Relaxed);
    }

    /// A piece of the body.
    fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Remaining::Faulty(fault) = self.body {
            return Poll::Ready(Err(io::Error::other(fault)));
        }
        let start = buffer.filled().len();
        if Pin::new(&mut self.io).poll_read(context, buffer)?.is_pending() {
            ready!(self.poll_late(context));
            self.body = Remaining::Faulty(Fault::Late);
            return Poll::Ready(Err(io::Error::other(Fault::Late)));
        }
        let came = &buffer.filled()[start..];
        if came.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.begin_pace();
        if let Some(pace) = &mut self.pace {
            pace.arrived(came.len(), Instant::now);
        }
        let taken = self.body.take(came);
        if taken < came.len() {
            self.kept.extend_from_slice(&came[taken..]);
            buffer.set_filled(start + taken);
            if let (Remaining::Faulty(fault), 0) = (&self.body, taken) {
                return Poll::Ready(Err(io::Error::other(*fault)));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The client is being sent something.
    fn answering(&mut self) {
        self.answer_due = None;
        self.begin_pace();
    }

    /// The client got its 100 (Continue), or did not wait for it.
    fn begin_pace(&mut self) {
        if let Some(rules) = self.pace_to_come.take() {
            self.pace = Some(Pace::begin(rules, Instant::now()));
        }
    }

    /// Ready when the body is late.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(pace) = &mut self.pace else { return Poll::Pending };
        let until = pace.wait(Instant::now());
        self.alarm.poll(context, until)
    }

    /// Ready when the upstream is late.
    fn poll_unanswered(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timeout_ms = self.answer_timeout_ms.load(Ordering::Relaxed);
        if timeout_ms == 0 {
            return Poll::Pending;
        }
        let due = || Instant::now() + Duration::from_millis(timeout_ms);
        let until = *self.answer_due.get_or_insert_with(due);
        self.alarm.poll(context, until)
    }

    /// Ready once the client has left. Keeps what it sends meanwhile: it belongs to the next request.
    pub(in crate::edge) fn poll_departure(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut piece = [MaybeUninit::uninit(); READ_BYTES];
        let mut piece = ReadBuf::uninit(&mut piece);
        self.poll_follows(context, &mut piece).map(drop)
    }

    /// Waits for the client to leave, and keeps what it sends meanwhile.
    fn poll_beyond(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.poll_follows(context, buffer)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_unanswered(context));
        Poll::Ready(Err(io::Error::other(Fault::Unanswered)))
    }

    /// Keeps what comes; ready when the client has left.
    fn poll_follows(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.kept.len() >= KEPT_BYTES_MAX {
            // The caller is woken by the answer.
            return Poll::Pending;
        }
        let start = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        if buffer.filled().len() == start {
            return Poll::Ready(Ok(()));
        }
        self.kept.extend_from_slice(&buffer.filled()[start..]);
        buffer.set_filled(start);
        while self.kept.len() < KEPT_BYTES_MAX {
            let mut piece = [0; READ_BYTES];
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut self.io).poll_read(context, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.kept.extend_from_slice(piece.filled());
        }
        Poll::Pending
    }

    fn poll_tunnel(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.kept.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, buffer);
        }
        let length = self.kept.len().min(buffer.remaining());
        buffer.put_slice(&self.kept[..length]);
        self.kept.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Inbound {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_tunnel.load(Ordering::Relaxed) {
            return this.poll_tunnel(context, buffer);
        }
        match this.body {
            Remaining::Nothing => this.poll_beyond(context, buffer),
            Remaining::Length(_) | Remaining::Chunked(_) | Remaining::Faulty(_) => {
                this.poll_body(context, buffer)
            }
        }
    }
}

impl AsyncWrite for Inbound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answering();
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.answering();
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

impl Drop for Inbound {
    fn drop(&mut self) {
        // Holds no memory, and is never asked.
        let nowhere = Box::new(io::Cursor::new(Vec::new()));
        let left = Left {
            io: std::mem::replace(&mut self.io, nowhere),
            is_unread: !matches!(self.body, Remaining::Nothing) || !self.kept.is_empty(),
        };
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
    }
}
