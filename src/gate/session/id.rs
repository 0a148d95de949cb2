//! The two names of a session: the secret that the browser holds, and the id that everything else
//! uses.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize, Zeroizing};

use super::tag::{Provenance, SecretKind, TagKeyCell};

/// 256 bits in base64url without padding.
const TEXT_BYTES: usize = 43;

/// The value of the cookie: 256 bits that are random to everyone else (see
/// [`TagKey`](super::TagKey)). A client that has it is logged in.
pub struct SessionSecret([u8; 32]);

impl SessionSecret {
    /// The secret made of these random bits. If there is a tag key, it is recognisable as ours.
    pub fn generate(random: Zeroizing<[u8; 32]>, tags: &TagKeyCell) -> Self {
        Self(*tags.secret(SecretKind::Session, &[], random))
    }

    /// The secret made of these bits, which must be random.
    pub fn from_random(bits: [u8; 32]) -> Self {
        Self(bits)
    }

    /// Parses the value of a cookie. It accepts one spelling only: 43 characters of base64url, the
    /// last of which has no unused bits set.
    pub fn parse(text: &[u8]) -> Option<Self> {
        decode(text).map(Self)
    }

    /// Whether a gateway of this store made it.
    pub(in crate::gate) fn provenance(&self, tags: &TagKeyCell) -> Provenance {
        tags.provenance(SecretKind::Session, &[], &self.0)
    }

    /// The value of the cookie.
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The bits themselves, as a key.
    pub(super) fn bits(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id by which everything else knows the session.
    pub fn id(&self) -> SessionId {
        let mut id = [0; 32];
        id.copy_from_slice(digest::digest(&digest::SHA256, &self.0).as_ref());
        SessionId(id)
    }
}

impl Drop for SessionSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The id of a session in stores, logs and headers: the SHA-256 of its secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The id as bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses an id as [`Display`](fmt::Display) writes it.
    pub fn parse(text: &str) -> Option<Self> {
        decode(text.as_bytes()).map(Self)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn decode(text: &[u8]) -> Option<[u8; 32]> {
    if text.len() != TEXT_BYTES {
        return None;
    }
    let mut bits = [0; 32];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bits).ok()?;
    (length == bits.len()).then_some(bits)
}
