//! Requests as the gate sees them: borrowed, with only what a decision needs.

use std::sync::Arc;

use http::{HeaderMap, Method};

use super::session::in_memory::Session;

/// How a request reached the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Unencrypted.
    Http,
    /// Over TLS, terminated here or at a trusted proxy.
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
    /// How it was sent.
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
    /// The session that its cookie names, if it had to be read from the store.
    pub session: Option<&'a Arc<Session>>,
}

/// The host of an authority: without port, in lower case. `None` if it is not a plain host (RFC
/// 9110 §7.2). User information and empty labels are refused.
pub fn host_of(authority: &str) -> Option<std::borrow::Cow<'_, str>> {
    let (length, has_upper) = match authority.strip_prefix('[') {
        Some(rest) => {
            let address = &rest[..rest.find(']')?];
            let has_upper = address.bytes().any(|byte| byte.is_ascii_uppercase());
            (is_address(address).then_some(address.len() + 2)?, has_upper)
        }
        None => name(authority)?,
    };
    let (host, port) = authority.split_at(length);
    let port_is_valid = match port.as_bytes() {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !port_is_valid {
        return None;
    }
    // A resolver treats `example.` and `example` as the same host, so the gateway does too.
    let host = host.strip_suffix('.').unwrap_or(host);
    Some(if has_upper { host.to_ascii_lowercase().into() } else { host.into() })
}

/// The length of the name at the start of an authority, and whether it has upper-case letters.
///
/// A name consists of labels with a dot after each, or between them (RFC 1034 §3.1). A name with an
/// empty label is no host to a resolver, but software that only strips dots may reduce it to one.
fn name(authority: &str) -> Option<(usize, bool)> {
    let mut has_upper = false;
    let mut label_is_empty = true;
    let mut length = authority.len();
    for (at, byte) in authority.bytes().enumerate() {
        label_is_empty = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => false,
            b'.' if !label_is_empty => true,
            b'A'..=b'Z' => {
                has_upper = true;
                false
            }
            b':' => {
                length = at;
                break;
            }
            _ => return None,
        };
    }
    (length > 0).then_some((length, has_upper))
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
