//! Reads the head of the next HTTP/1 request on a connection, within a deadline.
//!
//! Pingora gives each read 60 seconds and a head any number of reads; here the head as a whole has
//! a deadline and a size, and its framing is read by the gate before Pingora sees a byte.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use pingora::protocols::Stream;
use pingora::time::timeout;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::at_once::at_once;
use super::drain::Drain;
use crate::config::Limits;
use crate::gate::denial::Slug;
use crate::gate::framing::{self, Body, Head, Message, Scan};

/// The first read asks for this much; most heads fit.
const READ_BYTES: usize = 4 * 1024;

/// A body of up to so many bytes is short: it is read with the head, if it is there.
const SHORT_BODY_BYTES: u64 = 16 * 1024;

/// What came of reading a head.
#[derive(Debug)]
pub(super) enum ReadHead {
    /// A complete head, and perhaps more: with it a short body, if that has come.
    Head(Message, BytesMut),
    /// There is no further request.
    Closed,
    /// What came is not a request that could be served; nor can what follows it be.
    Refused(Slug, BytesMut),
}

/// Whether a connection is new or has served a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    Next,
}

/// Reads the next head, which begins with `buffer`.
pub(super) async fn read(
    stream: &mut Stream,
    mut buffer: BytesMut,
    limits: &Limits,
    turn: Turn,
    drain: &Drain,
) -> ReadHead {
    let mut scan = Scan::default();
    if !is_begun(&buffer) {
        let patience = match turn {
            Turn::First => limits.header_timeout,
            Turn::Next => limits.keepalive_timeout,
        };
        let first = async {
            while !is_begun(&buffer) && read_first(stream, &mut buffer).await? > 0 {}
            io::Result::Ok(())
        };
        tokio::select! {
            biased;
            // Broken or silent for too long is like closed: no client waits for an answer.
            _ = timeout(patience, first) => {}
            () = drain.begun() => return ReadHead::Closed,
        };
        if !is_begun(&buffer) {
            return ReadHead::Closed;
        }
    }
    let mut deadline = None;
    loop {
        match scan.read(&buffer, limits.head) {
            Ok(Head::Complete(message)) => {
                read_short_body(stream, message, &mut buffer).await;
                return ReadHead::Head(message, buffer);
            }
            Ok(Head::Partial) => {}
            Ok(Head::Unescaped(line)) => {
                buffer = BytesMut::from(&*framing::escape_query(&buffer, line));
                scan = Scan::default();
                continue;
            }
            Err(slug) => return ReadHead::Refused(slug, buffer),
        }
        let deadline = *deadline.get_or_insert_with(|| from_now(limits.header_timeout));
        buffer.reserve(READ_BYTES);
        match timeout_at(deadline, stream.read_buf(&mut buffer)).await {
            Ok(Ok(bytes)) if bytes > 0 => {}
            Ok(Ok(_) | Err(_)) => return ReadHead::Closed,
            Err(_) => return ReadHead::Refused(Slug::RequestTimeout, buffer),
        }
    }
}

/// Reads what comes first. Until something does, no memory waits for it: most connections are idle.
async fn read_first(stream: &mut Stream, buffer: &mut BytesMut) -> io::Result<usize> {
    poll_fn(|context| {
        let mut piece = [MaybeUninit::uninit(); READ_BYTES];
        let mut piece = ReadBuf::uninit(&mut piece);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut piece))?;
        buffer.reserve(READ_BYTES);
        buffer.extend_from_slice(piece.filled());
        Poll::Ready(Ok(piece.filled().len()))
    })
    .await
}

/// Adds what has come of a short body, without waiting for the rest.
async fn read_short_body(stream: &mut Stream, message: Message, buffer: &mut BytesMut) {
    let Body::Length(length @ 1..=SHORT_BODY_BYTES) = message.body else { return };
    let end = message.head_bytes + length as usize;
    while let Some(missing) = end.checked_sub(buffer.len()).filter(|missing| *missing > 0) {
        buffer.reserve(missing);
        // The next reader meets the end of the connection, or its fault, once more.
        let Some(Ok(1..)) = at_once(stream.read_buf(buffer)).await else { return };
    }
}

/// Whether a request has begun: the empty line that may come first begins none.
fn is_begun(bytes: &[u8]) -> bool {
    !matches!(bytes, [] | [b'\r'] | [b'\r', b'\n'])
}

fn from_now(duration: Duration) -> Instant {
    Instant::now() + duration
}
