//! A compact JWS, taken apart within bounds and trusted for nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json;

/// The largest token that is read when the configuration does not say otherwise, in bytes.
pub const TOKEN_BYTES_DEFAULT: usize = 8 * 1024;

/// The largest JOSE header that is read, in bytes after base64url decoding. Room for a header that
/// drags a certificate chain along, none for much more.
pub const HEADER_BYTES_MAX: usize = 4 * 1024;

/// Why a text is not a compact JWS (RFC 7515 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Longer than the configured bound.
    #[error("the token is too long")]
    Oversized,
    /// Not exactly three parts.
    #[error("a token has three parts separated by dots")]
    Parts,
    /// A part is not base64url without padding, or has stray bits at its end (RFC 7515 §2).
    #[error("a part is not base64url")]
    Encoding,
    /// The header is too long or not one strict JSON object with a string `alg`.
    #[error("the header is not a JOSE header")]
    Header,
}

/// A parsed compact JWS. Its contents may select a verifier; they never grant anything.
#[derive(Debug)]
pub struct Token<'a> {
    header: JoseHeader,
    signing_input: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The header parameters that the gate looks at (RFC 7515 §4.1). `jwk`, `jku`, `x5u` and `x5c` are
/// not among them: a key that comes with the token proves nothing.
#[derive(Debug)]
pub struct JoseHeader {
    /// `alg`, as written.
    pub algorithm: String,
    /// `kid`, the key that the token says it was signed with.
    pub key_id: Option<String>,
    /// `typ`, the media type of the token.
    pub token_type: Option<String>,
    /// Whether `crit` is present, whatever it lists.
    pub critical: bool,
}

impl<'a> Token<'a> {
    /// Takes a compact JWS apart.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is longer than `bytes_max` or not a compact JWS.
    pub fn parse(text: &'a str, bytes_max: usize) -> Result<Self, Malformed> {
        if text.len() > bytes_max {
            return Err(Malformed::Oversized);
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(Malformed::Parts)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Malformed::Parts)?;
        if payload.contains('.') {
            return Err(Malformed::Parts);
        }
        let header = decode(header)?;
        Ok(Self {
            header: JoseHeader::parse(&header)?,
            signing_input,
            payload: decode(payload)?,
            signature: decode(signature)?,
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
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > HEADER_BYTES_MAX {
            return Err(Malformed::Header);
        }
        let mut members = json::parse_object(bytes).map_err(|_| Malformed::Header)?;
        Ok(Self {
            algorithm: string(&mut members, "alg")?.ok_or(Malformed::Header)?,
            key_id: string(&mut members, "kid")?,
            token_type: string(&mut members, "typ")?,
            critical: members.contains_key("crit"),
        })
    }
}

fn string(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Malformed> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_),
        ) => Err(Malformed::Header),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed::Encoding)
}

#[cfg(test)]
mod tests;
