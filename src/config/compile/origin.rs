//! Origins, as browsers write them.

use crate::gate::request::host_of;

/// Whether a text is an origin as browsers write it (RFC 6454 §6.2).
pub(super) fn is_origin(text: &str) -> bool {
    let (rest, default_port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, 443),
        (None, Some(rest)) => (rest, 80),
        (None, None) => return false,
    };
    // The colons within an IPv6 address do not begin a port.
    let host_end = rest.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match rest[host_end..].find(':') {
        Some(at) => (&rest[..host_end + at], Some(&rest[host_end + at + 1..])),
        None => (rest, None),
    };
    let is_port = |text: &str| {
        let port = text.parse::<u16>();
        port.is_ok_and(|port| port != 0 && port != default_port && port.to_string() == text)
    };
    port.is_none_or(is_port)
        && !host.ends_with('.')
        && !host.bytes().any(|byte| byte.is_ascii_uppercase())
        && host_of(host).is_some()
}
