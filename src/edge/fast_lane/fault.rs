//! What ends an exchange of the lane early: the upstream's fault, or a client that left.

use std::io;

use pingora::{BError, Error, ErrorType};

/// Why an exchange cannot go on.
#[derive(Debug)]
pub(in crate::edge) enum Fault {
    /// The upstream failed.
    Upstream(BError),
    /// The client left, or did not take what it was sent in time.
    Client(BError),
}

impl Fault {
    /// An upstream that said or did nothing for as long as it may.
    pub(super) fn late(kind: ErrorType) -> Self {
        Self::Upstream(Error::explain(kind, "an exchange of the lane").into_up())
    }

    /// An upstream that closed its connection too early.
    pub(super) fn closed() -> Self {
        let kind = ErrorType::ConnectionClosed;
        Self::Upstream(Error::explain(kind, "before the answer was complete").into_up())
    }

    /// A connection to an upstream that broke.
    pub(super) fn broken(kind: ErrorType, error: io::Error) -> Self {
        Self::Upstream(Error::because(kind, "an exchange of the lane", error).into_up())
    }

    /// An answer that is not HTTP, or says two things of its length.
    pub(in crate::edge) fn malformed(what: &'static str) -> Self {
        Self::Upstream(Error::explain(ErrorType::InvalidHTTPHeader, what).into_up())
    }

    /// An answer's head that the parser refuses.
    pub(super) fn unreadable(error: httparse::Error) -> Self {
        let kind = ErrorType::InvalidHTTPHeader;
        Self::Upstream(Error::because(kind, "the head of an answer", error).into_up())
    }

    /// A client that closed its connection.
    pub(super) fn left() -> Self {
        let kind = ErrorType::ConnectionClosed;
        Self::Client(Error::explain(kind, "the client closed the connection").into_down())
    }

    /// A client that cannot be sent anything.
    pub(super) fn unsent(error: io::Error) -> Self {
        Self::Client(Error::because(ErrorType::WriteError, "an answer", error).into_down())
    }
}
