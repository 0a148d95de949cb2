//! Durations, sizes and URLs as users write them.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;

/// Reads `250ms`, `30s`, `15m`, `12h` or `7d`. `None` if it is anything else, or zero.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let total = number.checked_mul(milliseconds)?;
    // A century is more than any of our clocks needs.
    (1..=3_153_600_000_000).contains(&total).then(|| Duration::from_millis(total))
}

/// Reads `512B`, `64KiB`, `10MiB` or `1GiB`, in bytes. `None` if it is anything else, or zero.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes).filter(|bytes| *bytes > 0)
}

/// Reads `500B/s` or `8KiB/s`, in bytes a second; `0B/s` is 0. `None` if it is anything else.
pub(super) fn rate(text: &str) -> Option<u64> {
    match text.strip_suffix("/s")? {
        "0B" => Some(0),
        bytes => size(bytes),
    }
}

/// A URL that is safe to print: the password in its user information (RFC 3986 §3.2.1) could be
/// used by anyone who sees it.
pub fn without_password(url: &str) -> Cow<'_, str> {
    let start = url.find("://").map_or(0, |at| at + "://".len());
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    let Some((user, _)) = url[start..end].rsplit_once('@') else { return Cow::Borrowed(url) };
    match user.find(':') {
        None => Cow::Borrowed(url),
        Some(at) => Cow::Owned(format!("{}:…{}", &url[..start + at], &url[start + user.len()..])),
    }
}

/// Whether this is a host with a port: `10.0.0.7:8080`, `[::1]:8080` or `orders.internal:8080`.
pub fn is_peer(text: &str) -> bool {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return address.port() > 0;
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let host_is_name = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    host_is_name && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Whether a key set may be fetched from this URL.
///
/// # Errors
///
/// Why it may not.
pub fn key_set_url(text: &str) -> Result<(), String> {
    let url = text.parse::<Uri>();
    let host = url.as_ref().ok().and_then(Uri::host).unwrap_or_default();
    match url.as_ref().ok().and_then(Uri::scheme_str) {
        Some("https") if !host.is_empty() => Ok(()),
        // Anyone on the network path could replace the keys.
        Some("http") if is_loopback(host) => Ok(()),
        Some("http") if !host.is_empty() => Err("keys must not be fetched without TLS".to_owned()),
        _ => Err(format!("`{}` is not a URL", without_password(text))),
    }
}

/// Whether a host is this machine, with no network in between.
pub(super) fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit_and_nothing_else_is() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("15m", 900_000),
            ("12h", 43_200_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in [
            "",
            "30",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "1 s",
            "1S",
            "1w",
            "99999999999999999999s",
            "40000d",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn password_of_a_url_is_left_out() {
        for (url, told) in [
            ("https://idp.test/a@b", "https://idp.test/a@b"),
            ("https://me:secret@idp.test/a", "https://me:…@idp.test/a"),
            ("https://me:se@cret@idp.test", "https://me:…@idp.test"),
            ("me:secret@idp.test/a", "me:…@idp.test/a"),
            ("https://me@idp.test/", "https://me@idp.test/"),
            ("", ""),
        ] {
            assert_eq!(without_password(url), told);
        }
    }

    #[test]
    fn sizes_are_read_with_their_unit_and_nothing_else_is() {
        assert_eq!(size("512B"), Some(512));
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("1MiB"), Some(1_048_576));
        for text in ["", "64", "64KB", "0B", "1.5MiB", "99999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn rates_are_read_with_their_unit_and_nothing_else_is() {
        assert_eq!(rate("0B/s"), Some(0));
        assert_eq!(rate("500B/s"), Some(500));
        assert_eq!(rate("8KiB/s"), Some(8192));
        for text in ["", "500", "500B", "500/s", "0/s", "500B/m", "500B /s", "-1B/s"] {
            assert_eq!(rate(text), None, "{text}");
        }
    }
}
