//! Strip, then set: the headers that tell an upstream who the caller is.
//!
//! These headers are owned by the gateway. Whatever a client sends under one of their names is
//! removed before the gateway writes its own, in any spelling that some server takes for the same
//! name.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::claims::{self, Claims};

/// Which headers carry which part of an identity, compiled from `identity_headers`.
#[derive(Debug, PartialEq)]
pub struct IdentityTemplate {
    /// `sub`.
    pub subject: OwnedName,
    /// `iss`.
    pub issuer: OwnedName,
    /// The granted scopes, separated by spaces.
    pub scopes: OwnedName,
    /// The roles, separated by commas.
    pub roles: OwnedName,
    /// The session id.
    pub session: OwnedName,
    /// Claims by name or JSON pointer.
    pub claims: Vec<(Box<str>, OwnedName)>,
}

/// The name of a header that belongs to the gateway, spelled as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedName(Bytes);

impl OwnedName {
    /// The name, if `text` can be one.
    pub fn new(text: &str) -> Option<Self> {
        HeaderName::from_bytes(text.as_bytes()).ok()?;
        Some(Self(Bytes::copy_from_slice(text.as_bytes())))
    }

    /// The name as bytes, in the configured spelling, for a header to be set.
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        // Header names are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl IdentityTemplate {
    /// The names that belong to the gateway.
    pub fn names(&self) -> impl Iterator<Item = &OwnedName> {
        let Self { subject, issuer, scopes, roles, session, claims } = self;
        let fixed = [subject, issuer, scopes, roles, session];
        fixed.into_iter().chain(claims.iter().map(|(_, name)| name))
    }

    /// Builds the header values for an identity, once. `session` is the id of its session, if there
    /// is one. If the headers exceed `bytes_max` together, the identity is [`Identity::TooLarge`].
    pub fn render(
        &self,
        iss: &str,
        claims: &Claims,
        all: &Map<String, Value>,
        session: Option<&str>,
        bytes_max: usize,
    ) -> Identity {
        let mut headers = Vec::with_capacity(5 + self.claims.len());
        let mut put = |name: &OwnedName, text: String| {
            // `encode` leaves visible ASCII and separators only, so the value is always valid.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.push((name.0.clone(), value));
            }
        };
        put(&self.subject, encode(claims.subject.as_str(), Within::Value));
        put(&self.issuer, encode(iss, Within::Value));
        if !claims.scopes.is_empty() {
            put(&self.scopes, join(&claims.scopes, ' '));
        }
        if !claims.roles.is_empty() {
            put(&self.roles, join(&claims.roles, ','));
        }
        if let Some(session) = session {
            put(&self.session, encode(session, Within::Value));
        }
        for (path, name) in &self.claims {
            if let Some(text) = claims::find(all, path).and_then(text_of) {
                put(name, text);
            }
        }
        // As sent: with colon, space and the end of the line.
        let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        match bytes > bytes_max {
            true => Identity::TooLarge,
            false => Identity::Headers(headers.into()),
        }
    }
}

/// The finished headers of one identity.
#[derive(Debug)]
pub enum Identity {
    /// The headers.
    Headers(Box<[(Bytes, HeaderValue)]>),
    /// They would be too long, so this identity is not admitted: a part of it would be another
    /// identity.
    TooLarge,
}

impl Identity {
    /// The headers to set.
    pub fn headers(&self) -> &[(Bytes, HeaderValue)] {
        match self {
            Self::Headers(headers) => headers,
            Self::TooLarge => &[],
        }
    }

    /// Whether the headers are too large to be sent.
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge)
    }

    /// Roughly what they occupy, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.headers().iter().map(|(name, value)| 80 + name.len() + value.len()).sum()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Value,
    List,
}

/// Percent-encodes everything that is not visible ASCII, and `%` itself. In a list it also encodes
/// the separating comma, so that one item cannot pass for two.
fn encode(text: &str, within: Within) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let keep =
            byte.is_ascii_graphic() && byte != b'%' && (within == Within::Value || byte != b',');
        if keep {
            encoded.push(byte as char);
        } else {
            // Writing to a String does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn join(items: &[Box<str>], separator: char) -> String {
    let mut joined = String::new();
    for item in items {
        if !joined.is_empty() {
            joined.push(separator);
        }
        joined.push_str(&encode(item, Within::List));
    }
    joined
}

/// A claim as header text: strings, numbers and truth values, or an array of them. Anything else
/// is not forwarded.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(encode(text, Within::Value)),
        Value::Array(items) => {
            let items: Option<Vec<Box<str>>> = items.iter().map(scalar).collect();
            Some(join(&items?, ','))
        }
        Value::Number(_) | Value::Bool(_) => scalar(value).map(Into::into),
        Value::Null | Value::Object(_) => None,
    }
}

fn scalar(value: &Value) -> Option<Box<str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(truth) => Some(truth.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A set of header names, compared as the most lenient server would: letters in lower case, and
/// everything that is neither letter nor digit the same.
#[derive(Debug, Default)]
pub struct OwnedNames {
    folded: Vec<Box<[u8]>>,
    /// Bit *n* is set if some name has *n* bytes (63: or more): most headers end here.
    lengths: u64,
}

impl OwnedNames {
    /// A set of `names`.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a OwnedName>) -> Self {
        let mut set = Self::default();
        for name in names {
            let folded = name.as_str().bytes().map(fold).collect();
            set.lengths |= length_bit(name.as_str().len());
            set.folded.push(folded);
        }
        set
    }

    /// Whether `name`, in whatever spelling, is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.lengths & length_bit(name.len()) != 0
            && self.folded.iter().any(|owned| {
                owned.len() == name.len()
                    && name.bytes().zip(owned.iter()).all(|(byte, owned)| fold(byte) == *owned)
            })
    }
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_names_are_recognised_in_every_spelling() {
        let owned = OwnedNames::new([&OwnedName::new("X-Auth-Subject").expect("a name")]);
        for name in [
            "x-auth-subject",
            "X_Auth_Subject",
            "x.auth.subject",
            "x-auth~subject",
            "X-AUTH-SUBJECT",
        ] {
            assert!(owned.contains(name), "{name}");
        }
        for name in ["x-auth-subjec", "x-auth-subjects", "xx-auth-subject", "x-auth-sub-ect", ""] {
            assert!(!owned.contains(name), "{name}");
        }
    }

    #[test]
    fn values_become_visible_ascii_without_loss() {
        assert_eq!(encode("a@b", Within::Value), "a@b");
        assert_eq!(encode("Zoë 100%\r\n", Within::Value), "Zo%C3%AB%20100%25%0D%0A");
        assert_eq!(join(&["a,b".into(), "c d".into()], ','), "a%2Cb,c%20d");
        assert_eq!(text_of(&serde_json::json!(["a", 1, true])).as_deref(), Some("a,1,true"));
        assert_eq!(text_of(&serde_json::json!({"a": 1})), None);
        assert_eq!(text_of(&serde_json::json!(["a", null])), None);
    }
}
