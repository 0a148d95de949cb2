//! API keys: secrets with a recognisable prefix, and a checksum that shows whether they were copied
//! whole. Their data is stored like a session, and found by the key's SHA-256.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::id::SessionId;
use super::tag::{Provenance, SecretKind, TagKeyCell};

/// The prefix of an API key, by which people and scanners recognise one.
pub const PREFIX: &str = "pk_";

/// 256 bits in base64url without padding.
const SECRET_BYTES: usize = 43;
const CHECKSUM_BYTES: usize = 6;

/// How long an API key is, in bytes.
const TEXT_BYTES: usize = PREFIX.len() + SECRET_BYTES + CHECKSUM_BYTES;

/// An API key.
pub struct ApiKey(Zeroizing<[u8; TEXT_BYTES]>);

impl ApiKey {
    /// The key made of these random bits. If there is a tag key, it is recognisable as ours.
    pub fn generate(random: Zeroizing<[u8; 32]>, tags: &TagKeyCell) -> Self {
        Self::from_random(&tags.secret(SecretKind::ApiKey, &[], random))
    }

    /// Whether a gateway of this store made it.
    pub(in crate::gate) fn provenance(&self, tags: &TagKeyCell) -> Provenance {
        let mut bits = Zeroizing::new([0; 32]);
        let secret = &self.0[PREFIX.len()..PREFIX.len() + SECRET_BYTES];
        match URL_SAFE_NO_PAD.decode_slice(secret, &mut *bits) {
            Ok(_) => tags.provenance(SecretKind::ApiKey, &[], &bits),
            // It was decoded when it was parsed.
            Err(_) => Provenance::Unproven,
        }
    }

    /// The key made of these bits, which must be random.
    pub fn from_random(bits: &[u8; 32]) -> Self {
        let mut text = Zeroizing::new([0; TEXT_BYTES]);
        let (prefix, rest) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(bits));
        let (there, checksum) = rest.split_at_mut(SECRET_BYTES);
        there.copy_from_slice(secret.as_bytes());
        checksum.copy_from_slice(&checksum_of(secret.as_bytes()));
        Self(text)
    }

    /// Parses a key. It accepts one spelling only, and no key that was not copied whole.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut whole = Zeroizing::new([0; TEXT_BYTES]);
        if text.len() != TEXT_BYTES || !text.starts_with(PREFIX.as_bytes()) {
            return None;
        }
        whole.copy_from_slice(text);
        let (secret, checksum) = text[PREFIX.len()..].split_at(SECRET_BYTES);
        let mut bits = Zeroizing::new([0; 32]);
        let length = URL_SAFE_NO_PAD.decode_slice(secret, &mut *bits).ok()?;
        (length == bits.len() && checksum_of(secret) == checksum).then_some(Self(whole))
    }

    /// The key in the form that its holder gets.
    pub fn expose(&self) -> &str {
        // The bytes are ASCII, either generated or compared with a generated key.
        std::str::from_utf8(&*self.0).unwrap_or_default()
    }

    /// The id by which everything else knows it. It is not the id of any session: an API key is
    /// longer than the secret of a session.
    pub fn id(&self) -> SessionId {
        let mut id = [0; 32];
        id.copy_from_slice(digest::digest(&digest::SHA256, &*self.0).as_ref());
        SessionId::from_bytes(id)
    }
}

/// Not a secret: it detects a key that was cut short or mistyped, without a look-up in the store.
fn checksum_of(secret: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = digest::digest(&digest::SHA256, secret);
    let mut text = [0; CHECKSUM_BYTES];
    let encoded = URL_SAFE_NO_PAD.encode(digest);
    text.copy_from_slice(&encoded.as_bytes()[..CHECKSUM_BYTES]);
    text
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_read_as_it_was_written_and_in_no_other_spelling() {
        let key = ApiKey::from_random(&[5; 32]);
        let text = key.expose().to_owned();
        assert_eq!(text.len(), TEXT_BYTES);
        assert_eq!(ApiKey::parse(text.as_bytes()).map(|key| key.id()), Some(key.id()));
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            assert!(ApiKey::parse(&wrong).is_none(), "{at}");
        }
        for wrong in [&text[1..], &text[..text.len() - 1], "", "pk_", &format!("{text}A")] {
            assert!(ApiKey::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn key_and_session_of_the_same_bits_are_not_the_same() {
        let secret = super::super::SessionSecret::from_random([5; 32]);
        assert_ne!(ApiKey::from_random(&[5; 32]).id(), secret.id());
    }

    #[test]
    fn key_is_not_shown() {
        assert_eq!(format!("{:?}", ApiKey::from_random(&[5; 32])), "ApiKey([redacted])");
    }
}
