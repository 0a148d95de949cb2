//! Parses a compact JWS within bounds, and trusts none of it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json;
use super::reason::kind_of;

/// The largest token that is read when the configuration does not say otherwise, in bytes.
pub const TOKEN_BYTES_DEFAULT: usize = 8 * 1024;

/// The largest JOSE header that is read, in bytes after base64url decoding. It leaves room for a
/// certificate chain, but not for much more.
pub const HEADER_BYTES_MAX: usize = 4 * 1024;

/// Why a text is not a compact JWS (RFC 7515 §7.1). The error quotes none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedToken {
    /// Longer than the configured bound.
    #[error("the token has {bytes} bytes; the limit is {bytes_max} (limits.token_bytes)")]
    Oversized {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Five parts: a compact JWE (RFC 7516 §7.1).
    #[error("the token has 5 parts: it is encrypted (JWE), and only signed tokens are accepted")]
    Encrypted,
    /// Not exactly three parts.
    #[error("the token has {0} part{s}; a signed token has 3", s = if *.0 == 1 { "" } else { "s" })]
    Parts(usize),
    /// A part is not base64url without padding, or has unused bits set at its end (RFC 7515 §2).
    #[error("the token's {0} is not base64url")]
    Encoding(&'static str),
    /// The header is longer than [`HEADER_BYTES_MAX`].
    #[error("the token's header has {0} bytes; the limit is {HEADER_BYTES_MAX}")]
    HeaderOversized(usize),
    /// The header is not one strict JSON object.
    #[error("the token's header is not one strict JSON object")]
    Header,
    /// The header has no `alg`.
    #[error("the token's header has no `alg`")]
    Algorithm,
    /// A parameter of the header is not a string.
    #[error("`{name}` in the token's header is {found}; expected a string")]
    Parameter {
        /// The name of the parameter.
        name: &'static str,
        /// The type of its value.
        found: &'static str,
    },
}

/// A parsed compact JWS. Its contents may select a verifier, but never grant anything.
#[derive(Debug)]
pub struct Token<'a> {
    header: JoseHeader,
    signing_input: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The header parameters that the gate reads (RFC 7515 §4.1). They exclude `jwk`, `jku`, `x5u` and
/// `x5c`: a key that comes with the token proves nothing.
#[derive(Debug)]
pub struct JoseHeader {
    /// `alg`, as written.
    pub algorithm: String,
    /// `kid`, the key that the token claims to be signed with.
    pub key_id: Option<String>,
    /// `typ`, the media type of the token.
    pub token_type: Option<String>,
    /// Whether `crit` is present, whatever it lists.
    pub critical: bool,
}

impl<'a> Token<'a> {
    /// Splits a compact JWS.
    ///
    /// # Errors
    ///
    /// [`MalformedToken`] if it is longer than `bytes_max` or not a compact JWS.
    pub fn parse(text: &'a str, bytes_max: usize) -> Result<Self, MalformedToken> {
        if text.len() > bytes_max {
            return Err(MalformedToken::Oversized { bytes: text.len(), bytes_max });
        }
        let parts = || match text.split('.').count() {
            5 => MalformedToken::Encrypted,
            parts => MalformedToken::Parts(parts),
        };
        let (signing_input, signature) = text.rsplit_once('.').ok_or_else(parts)?;
        let (header, payload) = signing_input.split_once('.').ok_or_else(parts)?;
        if payload.contains('.') {
            return Err(parts());
        }
        let header = decode(header, "header")?;
        Ok(Self {
            header: JoseHeader::parse(&header)?,
            signing_input,
            payload: decode(payload, "payload")?,
            signature: decode(signature, "signature")?,
        })
    }

    /// The JOSE header.
    pub fn header(&self) -> &JoseHeader {
        &self.header
    }

    /// The bytes that the signature covers (RFC 7515 §5.1): header and payload as sent.
    pub fn signing_input(&self) -> &[u8] {
        self.signing_input.as_bytes()
    }

    /// The signature, decoded.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The claims set, unverified.
    ///
    /// # Errors
    ///
    /// [`json::JsonError`] if the payload is not one strict JSON object.
    pub fn claims(&self) -> Result<Map<String, Value>, json::JsonError> {
        json::parse_object(&self.payload)
    }
}

impl JoseHeader {
    fn parse(bytes: &[u8]) -> Result<Self, MalformedToken> {
        if bytes.len() > HEADER_BYTES_MAX {
            return Err(MalformedToken::HeaderOversized(bytes.len()));
        }
        let mut members = json::parse_object(bytes).map_err(|_| MalformedToken::Header)?;
        Ok(Self {
            algorithm: string(&mut members, "alg")?.ok_or(MalformedToken::Algorithm)?,
            key_id: string(&mut members, "kid")?,
            token_type: string(&mut members, "typ")?,
            critical: members.contains_key("crit"),
        })
    }
}

/// A parameter that is `null` counts as absent.
fn string(
    members: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<String>, MalformedToken> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
            Err(MalformedToken::Parameter { name, found: kind_of(&other) })
        }
    }
}

fn decode(part: &str, name: &'static str) -> Result<Vec<u8>, MalformedToken> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| MalformedToken::Encoding(name))
}

#[cfg(test)]
mod tests;
