//! A request as the gate sees it: borrowed, and nothing more than a decision needs.

use std::sync::Arc;

use http::{HeaderMap, Method};

use super::session::Session;

/// How a request came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Over TLS, ours or a trusted proxy's.
    Https,
}

impl Scheme {
    /// The scheme of its URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A borrowed request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// How it came.
    pub scheme: Scheme,
    /// The method.
    pub method: &'a Method,
    /// The host, as sent: `Host`, or `:authority`. `None` if there is none, which only HTTP/1.0
    /// allows (RFC 9112 §3.2).
    pub authority: Option<&'a str>,
    /// The target in origin form: path and query.
    pub target: &'a str,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The session that its cookie names, if that had to be read from the store.
    pub session: Option<&'a Arc<Session>>,
}

/// The host of an authority: without port, in lower case. `None` if it is not a plain host
/// (RFC 9110 §7.2; user information is refused, and so are empty labels).
pub fn host_of(authority: &str) -> Option<std::borrow::Cow<'_, str>> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            authority.split_at(end)
        }
        None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
    };
    let port_is_valid = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()),
    };
    let is_host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(is_address),
        None => is_name(host),
    };
    if !port_is_valid || !is_host {
        return None;
    }
    // `example.` and `example` are the same host to a resolver, so to us.
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(host.to_ascii_lowercase().into());
    }
    Some(host.into())
}

/// Labels with one dot after each, or between them (RFC 1034 §3.1): what has an empty one is no
/// host to a resolver, but may be cut down to one by somebody who only strips dots.
fn is_name(host: &str) -> bool {
    let mut before = b'.';
    for byte in host.bytes() {
        match byte {
            b'.' if before == b'.' => return false,
            b'.' | b'-' | b'_' | b'~' => {}
            other if other.is_ascii_alphanumeric() => {}
            _ => return false,
        }
        before = byte;
    }
    !host.is_empty()
}

/// The characters of an IPv6 address (RFC 3986 §3.2.2).
fn is_address(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn host_is_taken_without_port_and_case() {
        for (authority, host) in [
            ("a.example", "a.example"),
            ("A.Example:8080", "a.example"),
            ("a.example.", "a.example"),
            ("A.example.:80", "a.example"),
            ("a-b_c~d.1", "a-b_c~d.1"),
            ("[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(host_of(authority).as_deref(), Some(host), "{authority}");
        }
    }

    #[test]
    fn what_is_not_a_plain_host_is_refused() {
        for authority in [
            "", ":80", "a:b", "a:123456", "u@a", "a/b", "a b", "a,b", "[::1", "a:80:80", "[::1]x",
            "a..", ".", "..", ".a", "a..b", "a..:80", "a]", "a[b]", "[]", "[a]b", "[x::1]",
            "[::1].",
        ] {
            assert_eq!(host_of(authority), None, "{authority}");
        }
    }
}
