//! What an error of Pingora's comes to: a slug, what exactly was wrong, or a client that left.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use pingora::{BError, Error, ErrorSource, ErrorType};

use super::client_stream::inbound::fault::Fault;
use crate::clock;
use crate::gate::denial::{Denial, Slug};

/// Names a denial on its way through Pingora's error type.
pub(super) const BODY_TOO_LARGE: ErrorType = ErrorType::Custom("body_too_large");

/// Names an upstream of whose peers no name could be resolved.
pub(super) const NO_ADDRESS: ErrorType = ErrorType::Custom("no_address");

/// How many failures of upstreams the log reports each second. The access log has them all.
const LINES_PER_SECOND_MAX: u64 = 10;

/// What a request that failed is refused with. `None`: the client left.
pub(super) fn read(error: &Error) -> Option<Denial> {
    use ErrorType::{ConnectTimedout, ReadTimedout, TLSHandshakeTimedout, WriteTimedout};
    if let Some(fault) = Fault::of(error) {
        return Some(fault.denial());
    }
    if is_departure(error) {
        return None;
    }
    let slug = match (error.esource(), error.etype()) {
        (_, kind) if *kind == BODY_TOO_LARGE => Slug::BodyTooLarge,
        (
            ErrorSource::Upstream,
            ConnectTimedout | ReadTimedout | WriteTimedout | TLSHandshakeTimedout,
        ) => Slug::UpstreamTimeout,
        (ErrorSource::Upstream, _) if is_of_a_deadline(error) => Slug::UpstreamTimeout,
        (ErrorSource::Upstream, _) => Slug::UpstreamUnavailable,
        (ErrorSource::Downstream, ReadTimedout) => Slug::RequestTimeout,
        // A chunk that is none, or a `Connection` header that names what it may not.
        (ErrorSource::Downstream, _) => Slug::RequestFraming,
        (ErrorSource::Internal | ErrorSource::Unset, _) => Slug::Internal,
    };
    Some(match error.esource() {
        ErrorSource::Upstream => Denial::new(slug).because(reason(error)),
        ErrorSource::Downstream | ErrorSource::Internal | ErrorSource::Unset => slug.into(),
    })
}

/// Whether the client left: it closed its connection, reset its stream, or takes nothing any more.
pub(super) fn is_departure(error: &Error) -> bool {
    use ErrorType::{ConnectionClosed, H2Error, ReadError, WriteError, WriteTimedout};
    let left = [&WriteError, &ReadError, &ConnectionClosed, &WriteTimedout, &H2Error];
    *error.esource() == ErrorSource::Downstream
        && left.contains(&error.etype())
        && Fault::of(error).is_none()
}

/// Why a client is taken to have left, where it did not say so itself.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is Pingora's")]
pub(super) fn reason_of_departure(error: &Error) -> &'static str {
    let is_late = match error.etype() {
        ErrorType::WriteTimedout => true,
        ErrorType::WriteError => is_of_a_deadline(error),
        _ => false,
    };
    if is_late { "the client did not take its answer in time" } else { "" }
}

/// Whether it is a deadline of one of our connections that an error of Pingora's came of.
fn is_of_a_deadline(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

/// What went wrong with an upstream. Nothing of what it answered is repeated: it may be meant for the client
/// alone.
fn reason(error: &Error) -> Cow<'static, str> {
    if let Some(malformed) = MalformedResponse::find(error) {
        return malformed.0.clone();
    }
    use ErrorType::{
        ConnectNoRoute, ConnectRefused, ConnectTimedout, ConnectionClosed, InvalidHTTPHeader,
        ReadTimedout, TLSHandshakeFailure, TLSHandshakeTimedout, WriteTimedout,
    };
    let error = innermost(error);
    let said = error.context.as_ref().map_or("", |context| context.as_str());
    let cause = error.cause.as_ref().map(ToString::to_string);
    match (error.etype(), cause) {
        (kind, _) if *kind == NO_ADDRESS => "no address: no name of its peers is resolved".into(),
        (ConnectRefused, _) => "connection refused".into(),
        (ConnectNoRoute, _) => "no route to its address".into(),
        (ConnectTimedout, _) => "no connection within timeouts.connect".into(),
        (TLSHandshakeTimedout, _) => "no TLS handshake within timeouts.connect".into(),
        (ReadTimedout, _) => "nothing was sent for as long as timeouts.read".into(),
        (WriteTimedout, _) => "nothing was taken for as long as timeouts.write".into(),
        // What Pingora says ends with the words of the TLS library; the cause is our own address.
        (TLSHandshakeFailure, _) => {
            let words = said.rsplit_once("cause: ").map_or(said, |(_, words)| words);
            format!("no TLS handshake: {words}").into()
        }
        (ConnectionClosed, _) => "the connection was closed before the answer was complete".into(),
        // What Pingora says where there is a cause holds the head itself.
        (InvalidHTTPHeader, Some(cause)) => format!(
            "the head of the answer cannot be read: {cause} (up to 256 fields and 1 MiB are)"
        )
        .into(),
        (InvalidHTTPHeader, None) => format!("the answer is malformed: {said}").into(),
        (_, Some(_)) if is_of_a_deadline(error) => {
            "it neither sent nor took anything for as long as its timeouts".into()
        }
        (kind, Some(cause)) => format!("{}: {cause}", kind.as_str()).into(),
        (kind, None) => format!("{}: {said}", kind.as_str()).into(),
    }
}

/// An answer whose framing is broken. Travels through Pingora as the cause of its error.
#[derive(Clone, Debug)]
pub(super) struct MalformedResponse(Cow<'static, str>);

impl MalformedResponse {
    /// One that is broken in this way.
    pub(super) fn of(error: &Error) -> Self {
        Self(reason(error))
    }

    /// The one that an error of Pingora's came of, if it was one.
    fn find(error: &Error) -> Option<&Self> {
        error.root_cause().downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for MalformedResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for MalformedResponse {}

/// Pingora wraps an error in others that say where it was met.
fn innermost(error: &Error) -> &Error {
    let mut error = error;
    while let Some(cause) = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<BError>()) {
        error = cause;
    }
    error
}

/// Bounds the lines of each second.
struct LinesPerSecond(AtomicU64);

impl LinesPerSecond {
    /// No line was written yet.
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Whether there may be one more line in this second. Second and count are one number, so that
    /// threads which enter a new second at once agree on the count.
    fn may_tell(&self, second: i64) -> bool {
        let second = second as u64 & u64::from(u32::MAX);
        let more = |told: u64| {
            let is_same = told >> u32::BITS == second;
            let lines = if is_same { told & u64::from(u32::MAX) } else { 0 };
            (lines < LINES_PER_SECOND_MAX).then_some(second << u32::BITS | (lines + 1))
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// Tells the log of an upstream that failed.
pub(super) fn tell(error: &Error, request_id: &str, upstream: &str, peer: Option<SocketAddr>) {
    static LINES: LinesPerSecond = LinesPerSecond::new();
    if !LINES.may_tell(clock::now().as_seconds()) {
        return;
    }
    let reason = reason(error);
    let peer = peer.map(tracing::field::display);
    tracing::info!(request_id, upstream, peer, %reason, "an upstream failed");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_second_are_bounded_and_the_next_has_its_own() {
        let lines = LinesPerSecond::new();
        let told = |second| (0..100).filter(|_| lines.may_tell(second)).count() as u64;
        assert_eq!(told(1_800_000_000), LINES_PER_SECOND_MAX);
        assert_eq!(told(1_800_000_000), 0);
        assert_eq!(told(1_800_000_001), LINES_PER_SECOND_MAX);
        // Also when the clock was set back.
        assert_eq!(told(1_799_999_999), LINES_PER_SECOND_MAX);
    }
}
