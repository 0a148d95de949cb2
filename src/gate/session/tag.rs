//! Distinguishes a secret that we made from an invented one without asking the store: its last bits
//! are a tag of the others, made with a key that all gateways of a store share.
//!
//! A tag admits no client. It decides whether the store may be asked before it is known that there
//! is something to find: a secret without a valid tag is looked up within the budget of the
//! client's network. So a lost or changed key logs out no user.

use std::fmt;

use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroizing;

/// How long a key is, in bytes.
pub const TAG_KEY_BYTES: usize = 32;

/// The length of a secret: 160 random bits (RFC 6749 §10.10), and a tag of 96 (RFC 2104 §5 asks for
/// at least 80). Without the key all of it looks random.
const SECRET_BYTES: usize = 32;
const RANDOM_BYTES: usize = 20;

/// Separates this use of the key from any other.
const PURPOSE: &[u8] = b"portcullis secret tags 1";

/// What a secret is for. It is not recognised in another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// A session's cookie.
    Session,
    /// An API key.
    ApiKey,
    /// A refresh token.
    Refresh,
}

/// Whether a secret is one of ours, as far as can be determined without the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// A gateway of this store made it.
    Ours,
    /// Invented, or made before there were tags or with another key.
    Unproven,
    /// Not known yet: the key has not been read.
    Unknown,
}

/// The key of the tags.
pub struct TagKey(hmac::Key);

impl TagKey {
    /// Derives the key from the one in the store. `secret` is not in the store: without it, a
    /// reader of the store cannot make tags.
    pub fn derive(kept: &[u8; TAG_KEY_BYTES], secret: Option<&[u8]>) -> Self {
        let Some(secret) = secret else { return Self(hmac::Key::new(hmac::HMAC_SHA256, kept)) };
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
        context.update(PURPOSE);
        context.update(kept);
        Self(hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref()))
    }

    /// Turns random bytes into a secret of this kind. `context` is what it belongs to.
    pub fn tag(&self, kind: SecretKind, context: &[u8], secret: &mut [u8; SECRET_BYTES]) {
        let (random, tag) = secret.split_at_mut(RANDOM_BYTES);
        let length = tag.len();
        tag.copy_from_slice(&self.sign(kind, context, random).as_ref()[..length]);
    }

    /// Whether this key made the secret.
    pub fn knows(&self, kind: SecretKind, context: &[u8], secret: &[u8; SECRET_BYTES]) -> bool {
        let (random, tag) = secret.split_at(RANDOM_BYTES);
        let expected = self.sign(kind, context, random);
        constant_time::verify_slices_are_equal(&expected.as_ref()[..tag.len()], tag).is_ok()
    }

    fn sign(&self, kind: SecretKind, context: &[u8], random: &[u8]) -> hmac::Tag {
        let kind: &[u8] = match kind {
            SecretKind::Session => b"session",
            SecretKind::ApiKey => b"api key",
            SecretKind::Refresh => b"refresh",
        };
        let mut signing = hmac::Context::with_key(&self.0);
        // Each has a fixed length within its kind.
        for part in [PURPOSE, kind, context, random] {
            signing.update(part);
        }
        signing.sign()
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagKey([redacted])")
    }
}

/// The current key. The feed writes it.
#[derive(Debug, Default)]
pub struct TagKeyCell {
    key: ArcSwapOption<TagKey>,
    /// Whether the store holds something that is no key.
    is_damaged: AtomicBool,
}

impl TagKeyCell {
    /// Replaces the key.
    pub fn publish(&self, key: TagKey) {
        self.key.store(Some(key.into()));
    }

    /// There will be no key until an operator repairs the store, so requests do not wait for it.
    pub fn give_up(&self) {
        self.is_damaged.store(true, Ordering::Relaxed);
    }

    /// A secret of this kind made of random bytes. Without a key the bytes stay as they are.
    pub fn secret(
        &self,
        kind: SecretKind,
        context: &[u8],
        mut random: Zeroizing<[u8; SECRET_BYTES]>,
    ) -> Zeroizing<[u8; SECRET_BYTES]> {
        if let Some(key) = &*self.key.load() {
            key.tag(kind, context, &mut random);
        }
        random
    }

    /// Whether a secret is one of ours.
    pub fn provenance(
        &self,
        kind: SecretKind,
        context: &[u8],
        secret: &[u8; SECRET_BYTES],
    ) -> Provenance {
        match &*self.key.load() {
            Some(key) if key.knows(kind, context, secret) => Provenance::Ours,
            Some(_) => Provenance::Unproven,
            None if self.is_damaged.load(Ordering::Relaxed) => Provenance::Unproven,
            None => Provenance::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: [u8; SECRET_BYTES] = [7; SECRET_BYTES];

    fn cell(kept: u8, secret: Option<&[u8]>) -> TagKeyCell {
        let cell = TagKeyCell::default();
        cell.publish(TagKey::derive(&[kept; TAG_KEY_BYTES], secret));
        cell
    }

    fn made(cell: &TagKeyCell, kind: SecretKind, context: &[u8]) -> [u8; SECRET_BYTES] {
        *cell.secret(kind, context, Zeroizing::new(RANDOM))
    }

    #[test]
    fn secret_is_known_by_whoever_has_the_key_and_nobody_else() {
        let session = |cell: &TagKeyCell, secret: &[u8; SECRET_BYTES]| {
            cell.provenance(SecretKind::Session, b"", secret)
        };
        let ours = cell(1, None);
        let secret = made(&ours, SecretKind::Session, b"");
        assert_eq!(secret[..RANDOM_BYTES], RANDOM[..RANDOM_BYTES]);
        assert_eq!(session(&ours, &secret), Provenance::Ours);
        for at in 0..SECRET_BYTES {
            let mut changed = secret;
            changed[at] ^= 1;
            assert_eq!(session(&ours, &changed), Provenance::Unproven, "{at}");
        }
        for other in [cell(2, None), cell(1, Some(b"one"))] {
            assert_eq!(session(&other, &secret), Provenance::Unproven);
        }
        let [one, other] = [&b"one"[..], b"other"].map(|secret| cell(1, Some(secret)));
        let secret = made(&one, SecretKind::Session, b"");
        assert_eq!(session(&cell(1, Some(b"one")), &secret), Provenance::Ours);
        assert_eq!(session(&other, &secret), Provenance::Unproven);
    }

    #[test]
    fn secret_of_one_kind_and_context_is_not_known_as_another() {
        let cell = cell(1, None);
        let refresh = made(&cell, SecretKind::Refresh, b"here");
        let provenance = |kind, context: &[u8]| cell.provenance(kind, context, &refresh);
        assert_eq!(provenance(SecretKind::Refresh, b"here"), Provenance::Ours);
        assert_eq!(provenance(SecretKind::Refresh, b"there"), Provenance::Unproven);
        assert_eq!(provenance(SecretKind::Session, b"here"), Provenance::Unproven);
        assert_eq!(provenance(SecretKind::ApiKey, b"here"), Provenance::Unproven);
    }

    #[test]
    fn without_a_key_secrets_are_random_throughout_and_prove_nothing() {
        let cell = TagKeyCell::default();
        assert_eq!(made(&cell, SecretKind::Session, b""), RANDOM);
        assert_eq!(cell.provenance(SecretKind::Session, b"", &RANDOM), Provenance::Unknown);
        cell.give_up();
        assert_eq!(cell.provenance(SecretKind::Session, b"", &RANDOM), Provenance::Unproven);
    }

    #[test]
    fn key_is_not_shown() {
        let shown = format!("{:?}", cell(1, None));
        assert!(shown.contains("redacted"), "{shown}");
    }
}
