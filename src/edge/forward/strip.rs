//! Removes what must not reach the upstream, whatever its spelling.

use http::{HeaderMap, HeaderName};
use pingora::http::RequestHeader;

use super::provenance::{
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PREFIX, X_FORWARDED_PROTO,
};
use super::received_fields::ReceivedFields;
use crate::edge::client::PeerTrust;
use crate::gate::credential::Carrier;
use crate::gate::fields::{self, MethodOverride, is_like, starts_like};
use crate::gate::forward::OwnedNames;

const X_FORWARDED: &str = "x-forwarded-";

/// Headers that tell the same in other words; nothing that we do not rewrite is left standing.
const ALIASES: [&str; 4] = ["forwarded", "x-real-ip", "x-client-ip", "true-client-ip"];

/// Which credentials an upstream gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeptCredentials {
    Nothing,
    Only(Carrier),
    Everything,
}

impl KeptCredentials {
    pub(super) fn keeps(self, carrier: Carrier) -> bool {
        match self {
            Self::Nothing => false,
            Self::Only(kept) => kept == carrier,
            Self::Everything => true,
        }
    }
}

/// What stays behind.
pub(super) struct Unwanted<'a> {
    pub(super) owned: &'a OwnedNames,
    pub(super) api_key: Option<(&'a HeaderName, KeptCredentials)>,
    pub(super) peer: PeerTrust,
    pub(super) method_override: MethodOverride,
}

impl Unwanted<'_> {
    /// Whether the field of this name, one of `headers`, stays behind.
    pub(super) fn has(&self, name: &HeaderName, headers: &HeaderMap) -> bool {
        let Self { owned, api_key, peer, method_override } = *self;
        let text = name.as_str();
        // Of a field that is kept, the repetitions were not inspected.
        let is_api_key = api_key.is_some_and(|(key, kept)| {
            is_like(text, key.as_str())
                && match kept {
                    KeptCredentials::Nothing
                    | KeptCredentials::Only(Carrier::Bearer | Carrier::Session) => true,
                    KeptCredentials::Only(Carrier::ApiKey) => name != key,
                    KeptCredentials::Everything => false,
                }
        });
        is_api_key
            || owned.contains(text)
            || is_forwarding(text, peer)
            || fields::is_rewrite(text)
            || (method_override == MethodOverride::Stripped && fields::is_method_override(text))
            || (peer == PeerTrust::Trusted && is_misused(name, headers))
    }
}

/// Removes what stays behind; tells what else the request came with.
pub(super) fn strip(request: &mut RequestHeader, unwanted: &Unwanted<'_>) -> ReceivedFields {
    let mut received_fields = ReceivedFields::default();
    let mut stays_behind: Vec<HeaderName> = Vec::new();
    for name in request.headers.keys() {
        received_fields.note(name.as_str());
        if unwanted.has(name, &request.headers) {
            stays_behind.push(name.clone());
        }
    }
    for name in stays_behind {
        request.remove_header(&name);
    }
    received_fields
}

/// From a trusted proxy the three headers that we write ourselves are read first, and two that only it
/// knows are passed on; their other spellings, and everything from anybody else, are noise.
fn is_forwarding(name: &str, peer: PeerTrust) -> bool {
    const KEPT: [HeaderName; 5] = [
        X_FORWARDED_FOR,
        X_FORWARDED_PROTO,
        X_FORWARDED_HOST,
        X_FORWARDED_PORT,
        X_FORWARDED_PREFIX,
    ];
    let kept = peer == PeerTrust::Trusted && KEPT.iter().any(|kept| kept == name);
    !kept && (starts_like(name, X_FORWARDED) || ALIASES.iter().any(|alias| is_like(name, alias)))
}

/// Whether a port or prefix is repeated or malformed: a proxy that does not set them passes on what its
/// client sent.
fn is_misused(name: &HeaderName, headers: &HeaderMap) -> bool {
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
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => !is_right(value.as_bytes()),
        (None, _) | (Some(_), Some(_)) => true,
    }
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
            assert!(is_forwarding(name, PeerTrust::Untrusted), "{name}");
        }
        for name in ["x-forward", "forwarded-x", "x-forwardedfor", "via"] {
            assert!(!is_forwarding(name, PeerTrust::Untrusted), "{name}");
        }
        for name in ["x-forwarded-for", "x-forwarded-port", "x-forwarded-prefix"] {
            assert!(!is_forwarding(name, PeerTrust::Trusted), "{name}");
        }
        assert!(is_forwarding("x_forwarded_for", PeerTrust::Trusted));
        assert!(is_forwarding("x-forwarded-user", PeerTrust::Trusted));
    }
}
