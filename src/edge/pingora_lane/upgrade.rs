//! Requests that ask for another protocol (RFC 9110 §7.8).

use http::{Version, header};
use pingora::http::RequestHeader;

/// Whether a request asks for a WebSocket: the only protocol of whose wish Pingora tells upstreams.
pub(super) fn is_asked_for(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_11
        && request
            .headers
            .get(header::UPGRADE)
            .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
