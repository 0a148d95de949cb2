//! Places where a browser may be sent after a login: one of our own paths, or what the
//! configuration lists. An attacker who could make a login page send its visitors anywhere could
//! have them type their password again there.

use crate::config::Login;
use crate::gate::path::{Ambiguity, CanonicalPath};

/// The longest that is accepted, in bytes.
pub(super) const BYTES_MAX: usize = 2048;

/// Where a browser may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReturnTo(Box<str>);

impl ReturnTo {
    /// Reads the place that a request asks for; `None` if it is refused.
    pub(super) fn parse(text: &str, login: &Login) -> Option<Self> {
        // Browsers drop tabs and newlines, and take `\` for `/`.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#');
        if text.len() > BYTES_MAX || !text.bytes().all(is_plain) {
            return None;
        }
        (is_own(text, login) || is_listed(text, login)).then(|| Self(text.into()))
    }

    /// As it is sent.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ReturnTo {
    fn default() -> Self {
        Self("/".into())
    }
}

/// Whether it is a path of ours, however often it is decoded.
fn is_own(text: &str, login: &Login) -> bool {
    let Ok(path) = CanonicalPath::parse(text) else { return false };
    let decoded = path.decoded().unwrap_or(path.as_str());
    // The result of one decoding could be decoded again.
    let is_final =
        path.ambiguities().iter().all(|ambiguity| ambiguity != Ambiguity::EncodedPercent);
    let names_no_host = |path: &str| !path.starts_with("//") && !path.starts_with("/\\");
    // To the login page after the login: that would never end. Of our own there is one page to see.
    let is_ours = |path: &str| {
        let below = path.strip_prefix(&*login.base);
        login.is_own(path) && below != Some("/sessions")
    };
    is_final
        && names_no_host(path.as_str())
        && names_no_host(decoded)
        && !is_ours(path.as_str())
        && !is_ours(decoded)
}

/// Whether it is a URL that the configuration lists, or one of an origin that it lists.
fn is_listed(text: &str, login: &Login) -> bool {
    login.return_to.iter().any(|listed| match text.strip_prefix(&**listed) {
        Some("") => true,
        // What follows an origin is a path, and not more of its host or port.
        Some(path) => origin_of(listed) == &**listed && CanonicalPath::parse(path).is_ok(),
        None => false,
    })
}

/// The origin of what the configuration lists.
fn origin_of(listed: &str) -> &str {
    let host = listed.find("://").map_or(0, |at| at + 3);
    listed[host..].find('/').map_or(listed, |at| &listed[..host + at])
}

#[cfg(test)]
mod tests;
