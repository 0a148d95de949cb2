//! What an upstream is told: strip, then set.
//!
//! Called from `upstream_request_filter` and from nowhere earlier: before it Pingora deletes every
//! header that the client names in `Connection`, and would delete ours.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use pingora::http::RequestHeader;

use super::client::{Peer, RequestClient};
use super::trace::{self, RequestId, TraceOrigin};
use crate::gate::Gate;
use crate::gate::credential::Carrier;
use crate::gate::fields::{self, MethodOverride, is_like, starts_like};
use crate::gate::forward::OwnedNames;
use crate::gate::internal::{InternalToken, TokenHeader};
use crate::gate::policy::{ForwardCredential, Forwarding, Permit};
use crate::gate::session::without_cookie;
use crate::network::push_address;

const X_FORWARDED: &str = "x-forwarded-";
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Headers that tell the same in other words; nothing that we do not rewrite is left standing.
const ALIASES: [&str; 4] = ["forwarded", "x-real-ip", "x-client-ip", "true-client-ip"];

/// A token that tells the upstream who the caller is.
#[derive(Debug)]
pub(super) struct IdentityToken {
    /// What it was made by.
    pub(super) wanted: Arc<InternalToken>,
    /// The value of its header.
    pub(super) value: HeaderValue,
}

/// What is said to the upstream of a request.
pub(super) struct Outgoing<'a> {
    pub(super) permit: &'a Permit,
    pub(super) identity_token: Option<&'a IdentityToken>,
    pub(super) client: &'a RequestClient,
    pub(super) request_id: &'a RequestId,
    pub(super) gate: &'a Gate,
}

impl Outgoing<'_> {
    /// Prepares a request for the upstream. Returns what it came with.
    ///
    /// # Errors
    ///
    /// If a header cannot be set, which fails the request.
    pub(super) fn apply(&self, request: &mut RequestHeader) -> pingora::Result<CameWith> {
        let Self { permit, identity_token, client, request_id, gate } = *self;
        let Forwarding { credential, method_override, .. } = *permit.forwarding();
        let kept = match (credential, permit.principal()) {
            (ForwardCredential::Strip, _) => KeptCredentials::Nothing,
            // What nobody looked at must not arrive as if somebody had.
            (ForwardCredential::Keep, Some(principal)) => {
                KeptCredentials::Only(principal.carrier())
            }
            (ForwardCredential::Keep, None) => KeptCredentials::Everything,
        };
        let api_key = gate.settings.api_key_header.as_ref().map(|name| (name, kept));
        let unwanted = Unwanted {
            owned: &gate.settings.owned,
            api_key,
            peer: client.peer_is,
            method_override,
        };
        let came_with = strip(request, unwanted);
        if came_with.authorization && !kept.keeps(Carrier::Bearer) {
            request.remove_header(&header::AUTHORIZATION);
        }
        if came_with.length {
            set_canonical_length(request)?;
        }
        if came_with.cookie {
            join_cookies(request)?;
            if !kept.keeps(Carrier::Session) {
                strip_cookie(request, &gate.sessions.rules.terms().cookie.name)?;
            }
            // Whatever the route keeps: it is between the browser and us.
            if let Some(name) = gate.settings.refresh_cookie {
                strip_cookie(request, name)?;
            }
        }
        set_forwarded(request, client, came_with)?;
        set_trace(request, request_id, came_with)?;
        if let Some(principal) = permit.principal() {
            for (name, value) in principal.identity().headers() {
                request.insert_header(name.clone(), value.clone())?;
            }
        }
        match identity_token {
            None => Ok(()),
            Some(IdentityToken { wanted, value }) => match &wanted.terms().header {
                TokenHeader::Authorization => request.insert_header("Authorization", value.clone()),
                TokenHeader::Own(name) => request.insert_header(name.bytes(), value.clone()),
            },
        }?;
        Ok(came_with)
    }
}

/// Which credentials an upstream gets.
#[derive(Clone, Copy)]
enum KeptCredentials {
    Nothing,
    Only(Carrier),
    Everything,
}

impl KeptCredentials {
    fn keeps(self, carrier: Carrier) -> bool {
        match self {
            Self::Nothing => false,
            Self::Only(kept) => kept == carrier,
            Self::Everything => true,
        }
    }
}

/// Which fields a request came with: what is not there need not be looked up again, which would cost
/// more than to look at all names once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CameWith {
    authorization: bool,
    cookie: bool,
    pub(super) expect: bool,
    forwarded: bool,
    forwarded_for: bool,
    forwarded_host: bool,
    forwarded_proto: bool,
    pub(super) host: bool,
    length: bool,
    request_id: bool,
    trace: bool,
}

impl CameWith {
    fn note(&mut self, name: &str) {
        let noted = match name {
            "authorization" => &mut self.authorization,
            "content-length" => &mut self.length,
            "cookie" => &mut self.cookie,
            "expect" => &mut self.expect,
            "forwarded" => &mut self.forwarded,
            "host" => &mut self.host,
            "traceparent" | "tracestate" => &mut self.trace,
            "x-forwarded-for" => &mut self.forwarded_for,
            "x-forwarded-host" => &mut self.forwarded_host,
            "x-forwarded-proto" => &mut self.forwarded_proto,
            "x-request-id" => &mut self.request_id,
            _ => return,
        };
        *noted = true;
    }
}

/// What stays behind.
struct Unwanted<'a> {
    owned: &'a OwnedNames,
    api_key: Option<(&'a HeaderName, KeptCredentials)>,
    peer: Peer,
    method_override: MethodOverride,
}

fn strip(request: &mut RequestHeader, unwanted: Unwanted<'_>) -> CameWith {
    let Unwanted { owned, api_key, peer, method_override } = unwanted;
    let mut came_with = CameWith::default();
    let mut stays_behind: Vec<HeaderName> = Vec::new();
    for name in request.headers.keys() {
        let text = name.as_str();
        came_with.note(text);
        // Of one that is kept, the others that are like it were looked at by nobody.
        let is_api_key = api_key.is_some_and(|(key, kept)| {
            is_like(text, key.as_str())
                && match kept {
                    KeptCredentials::Nothing
                    | KeptCredentials::Only(Carrier::Bearer | Carrier::Session) => true,
                    KeptCredentials::Only(Carrier::ApiKey) => name != key,
                    KeptCredentials::Everything => false,
                }
        });
        if is_api_key
            || owned.contains(text)
            || is_forwarding(text, peer)
            || fields::is_rewrite(text)
            || (method_override == MethodOverride::Stripped && fields::is_method_override(text))
            || (peer == Peer::Trusted && is_misused(name, request))
        {
            stays_behind.push(name.clone());
        }
    }
    for name in stays_behind {
        request.remove_header(&name);
    }
    came_with
}

/// From a trusted proxy the three headers that we write ourselves are read first, and two that only it
/// knows are passed on; their other spellings, and everything from anybody else, are noise.
fn is_forwarding(name: &str, peer: Peer) -> bool {
    const KEPT: [HeaderName; 5] = [
        X_FORWARDED_FOR,
        X_FORWARDED_PROTO,
        X_FORWARDED_HOST,
        X_FORWARDED_PORT,
        X_FORWARDED_PREFIX,
    ];
    let kept = peer == Peer::Trusted && KEPT.iter().any(|kept| kept == name);
    !kept && (starts_like(name, X_FORWARDED) || ALIASES.iter().any(|alias| is_like(name, alias)))
}

/// Whether a port or prefix is told twice, or is none: a proxy that says nothing of them lets pass what
/// its client says.
fn is_misused(name: &HeaderName, request: &RequestHeader) -> bool {
    let is_right: fn(&[u8]) -> bool = if name == X_FORWARDED_PORT {
        |port| {
            let port = std::str::from_utf8(port).ok();
            let is_number = |port: &&str| port.bytes().all(|byte| byte.is_ascii_digit());
            port.filter(is_number).and_then(|port| port.parse::<u16>().ok()).is_some_and(|p| p > 0)
        }
    } else if name == X_FORWARDED_PREFIX {
        // A path, and no other host.
        |prefix| {
            let is_path = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(byte);
            prefix.starts_with(b"/") && !prefix.starts_with(b"//") && prefix.iter().all(is_path)
        }
    } else {
        return false;
    };
    let mut values = request.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => !is_right(value.as_bytes()),
        (None, _) | (Some(_), Some(_)) => true,
    }
}

/// One length, in one spelling.
fn set_canonical_length(request: &mut RequestHeader) -> pingora::Result<()> {
    match fields::canonical_length(&request.headers).map(<[u8]>::to_vec) {
        Some(length) => request.insert_header("Content-Length", length.as_slice()),
        None => Ok(()),
    }
}

/// `X-Forwarded-For` and `-Proto` are always told. `X-Forwarded-Host` and `Forwarded` say nothing
/// that they and `Host` do not; they are rewritten if the request came with them.
fn set_forwarded(
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

/// RFC 9113 §8.2.3: the crumbs of a cookie go together again for HTTP/1.1.
fn join_cookies(request: &mut RequestHeader) -> pingora::Result<()> {
    let crumbs: Vec<&[u8]> =
        request.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return Ok(());
    }
    let whole = crumbs.join(b"; ".as_slice());
    request.insert_header("Cookie", whole.as_slice())
}

/// What a cookie of ours holds stays here; what else is in the field goes on.
fn strip_cookie(request: &mut RequestHeader, name: &str) -> pingora::Result<()> {
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

fn set_trace(
    request: &mut RequestHeader,
    request_id: &RequestId,
    came_with: CameWith,
) -> pingora::Result<()> {
    // A client can have its own id deleted by naming it in `Connection`.
    if request_id.origin == TraceOrigin::Gateway || !came_with.request_id {
        request.insert_header("X-Request-Id", request_id.value().clone())?;
    }
    if !came_with.trace {
        request.insert_header("traceparent", trace::make_traceparent())?;
    } else if !trace::is_traced(&request.headers) {
        request.remove_header(&TRACESTATE);
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
        for name in ["x-forwarded-for", "x-forwarded-port", "x-forwarded-prefix"] {
            assert!(!is_forwarding(name, Peer::Trusted), "{name}");
        }
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
