//! Tells the upstream where a request comes from: `X-Forwarded-…` and `Forwarded` (RFC 7239).

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora::http::RequestHeader;

use super::received_fields::ReceivedFields;
use crate::edge::client::{PeerTrust, RequestClient};
use crate::network::push_address;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(super) const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The forwarding fields that the upstream gets.
pub(super) struct ForwardingFields {
    /// `X-Forwarded-For`.
    pub(super) hops: String,
    /// `X-Forwarded-Proto`.
    pub(super) proto: &'static str,
    /// `Forwarded`.
    pub(super) forwarded: Option<String>,
    /// `X-Forwarded-Host`.
    pub(super) host: Option<HeaderValue>,
}

impl ForwardingFields {
    /// Of a request with these fields, of which only a trusted proxy's `X-Forwarded-…` are there.
    ///
    /// `X-Forwarded-For` and `-Proto` are always sent. `X-Forwarded-Host` and `Forwarded` say nothing
    /// that they and `Host` do not; they are rewritten if the request came with them.
    pub(super) fn of(
        headers: &HeaderMap,
        authority: Option<&str>,
        client: &RequestClient,
        received_fields: ReceivedFields,
    ) -> Self {
        let told = |name| match client.peer_is {
            PeerTrust::Trusted => headers.get(name),
            PeerTrust::Untrusted => None,
        };
        let mut hops = match (received_fields.forwarded_for, client.peer_is) {
            (true, PeerTrust::Trusted) => join(headers, X_FORWARDED_FOR),
            (true, PeerTrust::Untrusted) | (false, _) => String::with_capacity(24),
        };
        if !hops.is_empty() {
            hops.push_str(", ");
        }
        match client.peer {
            Some(peer) => push_address(&mut hops, peer),
            None => hops.push_str("unknown"),
        }
        let proto = received_fields.forwarded_proto.then(|| told(X_FORWARDED_PROTO));
        let proto = match proto.flatten().map(HeaderValue::as_bytes) {
            Some(b"https") => "https",
            Some(b"http") => "http",
            _ => client.scheme.as_str(),
        };
        if !received_fields.forwarded_host && !received_fields.forwarded {
            return Self { hops, proto, forwarded: None, host: None };
        }
        let host = told(X_FORWARDED_HOST).or_else(|| headers.get(header::HOST)).cloned();
        let host = host.or_else(|| HeaderValue::from_str(authority?).ok());
        let forwarded =
            received_fields.forwarded.then(|| forwarded(client.address, proto, host.as_ref()));
        Self { hops, proto, forwarded, host: host.filter(|_| received_fields.forwarded_host) }
    }
}

/// Sets what tells it in a request from which the rest was removed.
pub(super) fn set_forwarded(
    request: &mut RequestHeader,
    client: &RequestClient,
    received_fields: ReceivedFields,
) -> pingora::Result<()> {
    let authority = request.uri.authority().map(|authority| authority.as_str());
    let ForwardingFields { hops, proto, forwarded, host } =
        ForwardingFields::of(&request.headers, authority, client, received_fields);
    request.insert_header("X-Forwarded-For", value_of(hops))?;
    request.insert_header("X-Forwarded-Proto", HeaderValue::from_static(proto))?;
    if let Some(forwarded) = forwarded {
        request.insert_header("Forwarded", value_of(forwarded))?;
    }
    match host {
        Some(host) => request.insert_header("X-Forwarded-Host", host),
        None => Ok(()),
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

fn join(headers: &HeaderMap, name: HeaderName) -> String {
    let mut joined = String::with_capacity(24);
    for value in headers.get_all(name) {
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
