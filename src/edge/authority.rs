//! The authority that a request names: `:authority`, `Host`, or both if they agree.

use std::borrow::Cow;

use http::{Version, header};
use pingora::http::RequestHeader;

use crate::gate::denial::Slug;

/// The authority of a request; `None` if it has none, which only HTTP/1.0 allows (RFC 9112 §3.2).
pub(super) fn authority_of(request: &RequestHeader) -> Result<Option<Cow<'_, str>>, Slug> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => Some(host.to_str().map_err(|_| Slug::HostMissing)?),
        (Some(_), Some(_)) => return Err(Slug::HostMissing),
    };
    // RFC 9113 §8.3.1: `:authority` and `Host` must not differ.
    let authority = match request.version {
        Version::HTTP_2 => request.uri.authority().map(|authority| authority.as_str()),
        _ => None,
    };
    match (authority, host) {
        (Some(authority), Some(host)) if authority != host => Err(Slug::HostMissing),
        (Some(authority), _) => Ok(Some(authority.into())),
        (None, Some(host)) => Ok(Some(host.into())),
        (None, None) if request.version == Version::HTTP_10 => Ok(None),
        (None, None) => Err(Slug::HostMissing),
    }
}
