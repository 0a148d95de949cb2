//! Tells the upstream where a request comes from: `X-Forwarded-…` and `Forwarded` (RFC 7239).

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use pingora::http::RequestHeader;

use super::came_with::CameWith;
use crate::edge::client::RequestClient;
use crate::network::push_address;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(super) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// `X-Forwarded-For` and `-Proto` are always told. `X-Forwarded-Host` and `Forwarded` say nothing
/// that they and `Host` do not; they are rewritten if the request came with them.
pub(super) fn set_forwarded(
    request: &mut RequestHeader,
    client: &RequestClient,
    came_with: CameWith,
) -> pingora::Result<()> {
    let mut hops = match came_with.forwarded_for {
        true => join(request, X_FORWARDED_FOR),
        false => String::with_capacity(24),
    };
    if !hops.is_empty() {
        hops.push_str(", ");
    }
    match client.peer {
        Some(peer) => push_address(&mut hops, peer),
        None => hops.push_str("unknown"),
    }
    let told = came_with.forwarded_proto.then(|| request.headers.get(X_FORWARDED_PROTO));
    let proto = match told.flatten().map(HeaderValue::as_bytes) {
        Some(b"https") => "https",
        Some(b"http") => "http",
        _ => client.scheme.as_str(),
    };
    request.insert_header("X-Forwarded-For", value_of(hops))?;
    request.insert_header("X-Forwarded-Proto", HeaderValue::from_static(proto))?;
    if !came_with.forwarded_host && !came_with.forwarded {
        return Ok(());
    }
    // Only a trusted proxy's header is still there.
    let told = request.headers.get(X_FORWARDED_HOST).or_else(|| request.headers.get(header::HOST));
    let host = told.cloned().or_else(|| {
        let authority = request.uri.authority()?;
        HeaderValue::from_str(authority.as_str()).ok()
    });
    if came_with.forwarded {
        let forwarded = forwarded(client.address, proto, host.as_ref());
        request.insert_header("Forwarded", value_of(forwarded))?;
    }
    match host {
        Some(host) if came_with.forwarded_host => request.insert_header("X-Forwarded-Host", host),
        Some(_) | None => Ok(()),
    }
}

/// RFC 7239 §4.
fn forwarded(client: Option<IpAddr>, proto: &str, host: Option<&HeaderValue>) -> String {
    let mut text = String::with_capacity(80);
    match client {
        None => text.push_str("for=unknown"),
        Some(address @ IpAddr::V4(_)) => {
            text.push_str("for=");
            push_address(&mut text, address);
        }
        Some(address @ IpAddr::V6(_)) => {
            text.push_str("for=\"[");
            push_address(&mut text, address);
            text.push_str("]\"");
        }
    }
    text.push_str(";proto=");
    text.push_str(proto);
    // A host that would end the quotes is left out.
    let quotable = |host: &&str| !host.contains(['"', '\\']);
    if let Some(host) = host.and_then(|host| host.to_str().ok()).filter(quotable) {
        text.push_str(";host=\"");
        text.push_str(host);
        text.push('"');
    }
    text
}

fn value_of(text: String) -> HeaderValue {
    // Made of addresses and of header values; nothing in it could not be one.
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

fn join(request: &RequestHeader, name: HeaderName) -> String {
    let mut joined = String::with_capacity(24);
    for value in request.headers.get_all(name) {
        let Ok(value) = value.to_str() else { continue };
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(value);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_is_written_as_rfc7239_says() {
        let host = HeaderValue::from_static("a:8");
        assert_eq!(
            forwarded("192.0.2.1".parse().ok(), "http", Some(&host)),
            "for=192.0.2.1;proto=http;host=\"a:8\""
        );
        assert_eq!(
            forwarded("2001:db8::1".parse().ok(), "https", None),
            "for=\"[2001:db8::1]\";proto=https"
        );
    }
}
