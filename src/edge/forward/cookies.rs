//! Cookies on their way to the upstream: joined, and without ours.

use http::{HeaderValue, header};
use pingora::http::RequestHeader;

use crate::gate::session::without_cookie;

/// RFC 9113 §8.2.3: the crumbs of a cookie go together again for HTTP/1.1.
pub(super) fn join_cookies(request: &mut RequestHeader) -> pingora::Result<()> {
    let crumbs: Vec<&[u8]> =
        request.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return Ok(());
    }
    let whole = crumbs.join(b"; ".as_slice());
    request.insert_header("Cookie", whole.as_slice())
}

/// What a cookie of ours holds stays here; what else is in the field goes on.
pub(super) fn strip_cookie(request: &mut RequestHeader, name: &str) -> pingora::Result<()> {
    let Some(field) = request.headers.get(header::COOKIE) else { return Ok(()) };
    match without_cookie(field.as_bytes(), name) {
        None => Ok(()),
        Some(rest) if rest.is_empty() => {
            request.remove_header(&header::COOKIE);
            Ok(())
        }
        Some(rest) => request.insert_header("Cookie", rest.as_slice()),
    }
}
