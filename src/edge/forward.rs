//! What an upstream is told: strip, then set.
//!
//! Called from `upstream_request_filter` and from nowhere earlier: before it Pingora deletes every
//! header that the client names in `Connection`, and would delete ours.

use std::fmt::Write;
use std::net::IpAddr;

use http::{HeaderName, HeaderValue, header};
use pingora::http::RequestHeader;

use super::client::{Client, Peer};
use super::trace::{self, Origin, RequestId};
use crate::gate::forward::OwnedNames;
use crate::gate::policy::Permit;
use crate::gate::route::ForwardCredential;

const X_FORWARDED: &str = "x-forwarded-";
const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";

/// Headers that tell the same in other words; nothing that we do not rewrite is left standing.
const ALIASES: [&str; 4] = ["forwarded", "x-real-ip", "x-client-ip", "true-client-ip"];

/// Prepares a request for the upstream.
///
/// # Errors
///
/// If a header cannot be set, which fails the request.
pub(super) fn apply(
    request: &mut RequestHeader,
    permit: &Permit,
    owned: &OwnedNames,
    credential: ForwardCredential,
    client: &Client,
    request_id: &RequestId,
) -> pingora::Result<()> {
    strip(request, owned, client.peer_is);
    match credential {
        ForwardCredential::Keep => {}
        ForwardCredential::Strip => drop(request.remove_header(&header::AUTHORIZATION)),
    }
    set_forwarded(request, client)?;
    set_trace(request, request_id)?;
    if let Some(principal) = permit.principal() {
        for (name, value) in principal.identity().headers() {
            request.insert_header(name, value.clone())?;
        }
    }
    Ok(())
}

fn strip(request: &mut RequestHeader, owned: &OwnedNames, peer: Peer) {
    let unwanted: Vec<HeaderName> = request
        .headers
        .keys()
        .filter(|name| owned.contains(name.as_str()) || is_forwarding(name.as_str(), peer))
        .cloned()
        .collect();
    for name in unwanted {
        request.remove_header(&name);
    }
}

/// From a trusted proxy the three headers that we write ourselves are read first; their other
/// spellings, and everything from anybody else, are noise.
fn is_forwarding(name: &str, peer: Peer) -> bool {
    let kept = peer == Peer::Trusted
        && matches!(name, X_FORWARDED_FOR | X_FORWARDED_PROTO | X_FORWARDED_HOST);
    !kept && (starts_like(name, X_FORWARDED) || ALIASES.iter().any(|alias| is_like(name, alias)))
}

fn is_like(name: &str, other: &str) -> bool {
    name.len() == other.len() && starts_like(name, other)
}

/// Header names compare without regard to what separates their words: `x_forwarded_for` is
/// `x-forwarded-for` to a CGI or WSGI server.
fn starts_like(name: &str, prefix: &str) -> bool {
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    name.len() >= prefix.len() && name.bytes().zip(prefix.bytes()).all(|(a, b)| fold(a) == fold(b))
}

fn set_forwarded(request: &mut RequestHeader, client: &Client) -> pingora::Result<()> {
    let peer = client.peer.map(|peer| peer.to_string()).unwrap_or_else(|| "unknown".to_owned());
    let earlier = join(request, X_FORWARDED_FOR);
    let hops = if earlier.is_empty() { peer } else { format!("{earlier}, {peer}") };
    let proto = match request.headers.get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes) {
        Some(b"https") => "https",
        Some(b"http") => "http",
        _ => client.scheme.as_str(),
    };
    // Only a trusted proxy's header is still there.
    let host = request
        .headers
        .get(X_FORWARDED_HOST)
        .or_else(|| request.headers.get(header::HOST))
        .cloned()
        .or_else(|| {
            let authority = request.uri.authority()?;
            HeaderValue::from_str(authority.as_str()).ok()
        });
    let forwarded = forwarded(client.address, proto, host.as_ref());
    request.insert_header("X-Forwarded-For", hops)?;
    request.insert_header("X-Forwarded-Proto", HeaderValue::from_static(proto))?;
    if let Some(host) = host {
        request.insert_header("X-Forwarded-Host", host)?;
    }
    request.insert_header("Forwarded", forwarded)
}

/// RFC 7239 §4.
fn forwarded(client: Option<IpAddr>, proto: &str, host: Option<&HeaderValue>) -> String {
    let mut text = String::with_capacity(80);
    // Writing to a String does not fail.
    let _ = match client {
        None => write!(text, "for=unknown;proto={proto}"),
        Some(IpAddr::V4(address)) => write!(text, "for={address};proto={proto}"),
        Some(IpAddr::V6(address)) => write!(text, "for=\"[{address}]\";proto={proto}"),
    };
    // A host that would end the quotes is left out.
    let quotable = |host: &&str| !host.contains(['"', '\\']);
    if let Some(host) = host.and_then(|host| host.to_str().ok()).filter(quotable) {
        let _ = write!(text, ";host=\"{host}\"");
    }
    text
}

fn join(request: &RequestHeader, name: &str) -> String {
    let mut joined = String::new();
    for value in request.headers.get_all(name) {
        let Ok(value) = value.to_str() else { continue };
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(value);
    }
    joined
}

fn set_trace(request: &mut RequestHeader, request_id: &RequestId) -> pingora::Result<()> {
    if request_id.origin == Origin::Gateway {
        request.insert_header("X-Request-Id", request_id.value().clone())?;
    }
    if !trace::is_traced(&request.headers) {
        request.remove_header("tracestate");
        request.insert_header("traceparent", trace::make_traceparent())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarding_headers_are_recognised_in_every_spelling() {
        for name in [
            "x-forwarded-for",
            "x_forwarded_for",
            "x.forwarded.port",
            "x-forwarded-prefix",
            "forwarded",
            "x-real-ip",
            "x_real_ip",
        ] {
            assert!(is_forwarding(name, Peer::Untrusted), "{name}");
        }
        for name in ["x-forward", "forwarded-x", "x-forwardedfor", "via"] {
            assert!(!is_forwarding(name, Peer::Untrusted), "{name}");
        }
        assert!(!is_forwarding("x-forwarded-for", Peer::Trusted));
        assert!(is_forwarding("x_forwarded_for", Peer::Trusted));
        assert!(is_forwarding("x-forwarded-user", Peer::Trusted));
    }

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
