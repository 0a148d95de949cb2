//! How much of a request was sent to its upstream.

use bytes::BytesMut;

use crate::edge::client_stream::inbound::remaining::Remaining;
use crate::gate::framing::{Head, HeadLimits, Scan};

/// The gateway writes it, and was given less: these limits are met by none.
const LIMITS: HeadLimits = HeadLimits { bytes_max: usize::MAX, fields_max: usize::MAX };

/// A request on its way to an upstream, read as the upstream reads it.
#[derive(Debug)]
pub(super) enum SentRequest {
    /// Of its head, so much was sent.
    Head(BytesMut, Scan),
    /// Of its body, so much is left.
    Body(Remaining),
    /// It cannot be known where it ends.
    Unknown,
}

impl SentRequest {
    /// One of which nothing was sent.
    pub(super) fn new() -> Self {
        Self::Head(BytesMut::new(), Scan::default())
    }

    /// Whether all of it was sent, and nothing else.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Body(Remaining::Nothing))
    }

    /// These bytes were sent.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        match self {
            Self::Head(head, scan) => {
                head.extend_from_slice(bytes);
                *self = match scan.read(head, LIMITS) {
                    Ok(Head::Partial) => return,
                    Ok(Head::Complete(message)) => {
                        let follows = head.split_off(message.head_bytes);
                        let mut request = Self::Body(Remaining::of(message.body));
                        request.sent(&follows);
                        request
                    }
                    Ok(Head::Unescaped(_)) | Err(_) => Self::Unknown,
                };
            }
            Self::Body(remaining) => {
                if remaining.take(bytes) < bytes.len() {
                    *self = Self::Unknown;
                }
            }
            Self::Unknown => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pieces: &[&str]) -> bool {
        let mut request = SentRequest::new();
        for piece in pieces {
            request.sent(piece.as_bytes());
        }
        request.is_whole()
    }

    #[test]
    fn request_is_whole_with_the_last_byte_of_its_body_and_not_with_more() {
        const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(sent(&[GET]) && sent(&["GET / HTTP/1.1\r\n", "Host: a\r\n\r\n"]));
        assert!(!sent(&["GET / HTTP/1.1\r\nHost: a\r\n\r"]) && !sent(&[GET, "x"]));
        const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
        assert!(sent(&[POST, "a", "b"]) && sent(&[&format!("{POST}ab")]));
        assert!(!sent(&[POST, "a"]) && !sent(&[POST, "abc"]));
        const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(sent(&[CHUNKED, "2\r\nab\r\n", "0\r\n\r\n"]));
        assert!(!sent(&[CHUNKED, "2\r\nab\r\n", "0\r\n\r"]));
        assert!(!sent(&["GET / HTTP/1.1\r\n\r\n"]), "a head that is none has no end");
    }
}
