//! Refresh tokens. Each has the id of its family, its place in the family, 256 secret bits, and a
//! tag that shows that the family made it.
//!
//! The tag distinguishes an invented token from one that was used before: a client may know a
//! family's id, but must not be able to end the family. Checking it requires the family. The secret
//! contains another tag, by which gateways recognise their own tokens before they ask the store.
//! The place distinguishes a token that was used before from one that the store has forgotten it
//! issued.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::seal::Seal;
use crate::gate::session::{Provenance, SecretKind, SessionId, TagKeyCell};

/// The prefix of a refresh token, by which people and scanners recognise one.
pub const PREFIX: &str = "rt_";

const FAMILY_BYTES: usize = 32;
const PLACE_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
const PLACED_BYTES: usize = FAMILY_BYTES + PLACE_BYTES;
const TAGGED_BYTES: usize = PLACED_BYTES + SECRET_BYTES;
const TOKEN_BYTES: usize = TAGGED_BYTES + TAG_BYTES;

/// The length of a refresh token as text, in bytes.
pub const TEXT_BYTES: usize = PREFIX.len() + (TOKEN_BYTES * 4).div_ceil(3);

const PURPOSE: &[u8] = b"portcullis refresh successor";
const TAG_PURPOSE: &[u8] = b"portcullis refresh tag";

/// A refresh token.
pub struct RefreshToken(Zeroizing<[u8; TOKEN_BYTES]>);

impl RefreshToken {
    /// A new token of the family with this id and key, at this place in it. If there is a tag key,
    /// its secret can be recognised without the family.
    ///
    /// # Errors
    ///
    /// If the random source fails.
    pub fn generate(
        family: SessionId,
        place: u64,
        key: &[u8; 32],
        tags: &TagKeyCell,
    ) -> Result<Self, Unspecified> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        SystemRandom::new().fill(&mut *secret)?;
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        let (placed, rest) = bytes.split_at_mut(PLACED_BYTES);
        placed[..FAMILY_BYTES].copy_from_slice(family.as_bytes());
        placed[FAMILY_BYTES..].copy_from_slice(&place.to_be_bytes());
        let secret = tags.secret(SecretKind::Refresh, placed, secret);
        rest[..SECRET_BYTES].copy_from_slice(&*secret);
        let tag = hmac::sign(&hmac_key(key), &bytes[..TAGGED_BYTES]);
        bytes[TAGGED_BYTES..].copy_from_slice(&tag.as_ref()[..TAG_BYTES]);
        Ok(Self(bytes))
    }

    /// Parses a token. Only one spelling is accepted.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != TEXT_BYTES {
            return None;
        }
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        let text = text.strip_prefix(PREFIX)?;
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut *bytes).ok()?;
        (length == TOKEN_BYTES).then_some(Self(bytes))
    }

    /// The token in the form that its holder gets.
    pub fn expose(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(TEXT_BYTES));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(&self.0[..], &mut text);
        text
    }

    /// The family that the token claims to belong to.
    pub fn family(&self) -> SessionId {
        let mut id = [0; FAMILY_BYTES];
        id.copy_from_slice(&self.0[..FAMILY_BYTES]);
        SessionId::from_bytes(id)
    }

    /// The place in the family that the token claims to have; the first is 0.
    pub fn place(&self) -> u64 {
        let mut place = [0; PLACE_BYTES];
        place.copy_from_slice(&self.0[FAMILY_BYTES..FAMILY_BYTES + PLACE_BYTES]);
        u64::from_be_bytes(place)
    }

    /// Whether a gateway of this store made it, as far as can be determined without the family.
    pub fn provenance(&self, tags: &TagKeyCell) -> Provenance {
        let (placed, rest) = self.0.split_at(PLACED_BYTES);
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        secret.copy_from_slice(&rest[..SECRET_BYTES]);
        tags.provenance(SecretKind::Refresh, placed, &secret)
    }

    /// Whether the family with this key made it.
    pub fn is_of(&self, key: &[u8; 32]) -> bool {
        let (token, tag) = self.0.split_at(TAGGED_BYTES);
        let expected = hmac::sign(&hmac_key(key), token);
        // Compared in constant time.
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected.as_ref()[..TAG_BYTES], tag)
            .is_ok()
    }

    /// Its SHA-256, by which the store knows it.
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, &*self.0).as_ref());
        bytes
    }

    /// Seals the token that replaces this one, so that only a holder of this one can open it.
    ///
    /// # Errors
    ///
    /// If the cryptographic library fails.
    pub fn seal(&self, successor: &Self) -> Result<Vec<u8>, Unspecified> {
        Seal::new(&*self.0, PURPOSE)?.seal(&*successor.0, &self.digest())
    }

    /// Opens the successor that [`seal`](Self::seal) sealed.
    ///
    /// # Errors
    ///
    /// If another token sealed it.
    pub fn open(&self, sealed: &[u8]) -> Result<Self, Unspecified> {
        let open = Seal::new(&*self.0, PURPOSE)?.open(sealed, &self.digest())?;
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        if open.len() != TOKEN_BYTES {
            return Err(Unspecified);
        }
        bytes.copy_from_slice(&open);
        Ok(Self(bytes))
    }
}

/// A new key for a family's tags.
///
/// # Errors
///
/// If the random source fails.
pub fn family_key() -> Result<[u8; 32], Unspecified> {
    let mut key = [0; 32];
    SystemRandom::new().fill(&mut key)?;
    Ok(key)
}

/// The key of the tags of a family. `secret` is not in the store. Without it, a reader of the store
/// can make tags, and a tag only distinguishes tokens that others invented.
pub fn tag_key(family: &[u8; 32], secret: Option<&[u8]>) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new(*family);
    if let Some(secret) = secret {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
        context.update(TAG_PURPOSE);
        context.update(family);
        key.copy_from_slice(context.sign().as_ref());
    }
    key
}

fn hmac_key(key: &[u8; 32]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key)
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: SessionId = SessionId::from_bytes([9; 32]);

    fn token(key: u8) -> RefreshToken {
        RefreshToken::generate(FAMILY, 7, &[key; 32], &TagKeyCell::default()).expect("a token")
    }

    #[test]
    fn token_is_read_as_it_was_written_and_in_no_other_spelling() {
        let token = token(1);
        let text = token.expose();
        assert_eq!(text.len(), TEXT_BYTES);
        let read = RefreshToken::parse(&text).expect("reads");
        let told = |token: &RefreshToken| (token.digest(), token.family(), token.place());
        assert_eq!(told(&read), (token.digest(), FAMILY, 7));
        let padded = format!("{}=", &text[..TEXT_BYTES - 1]);
        // 88 bytes leave four unused bits in the last character, which must be zero.
        let last = text.chars().last().expect("a letter");
        let loose = char::from_u32(last as u32 + 1).expect("a letter");
        let loose = format!("{}{loose}", &text[..TEXT_BYTES - 1]);
        let cases =
            [&text[..TEXT_BYTES - 1], &padded, &loose, &text[3..], "", "rt_", &text.to_uppercase()];
        for case in cases {
            assert!(RefreshToken::parse(case).is_none(), "{case}");
        }
    }

    #[test]
    fn family_knows_its_own_tokens() {
        let token = token(1);
        assert!(token.is_of(&[1; 32]));
        assert!(!token.is_of(&[2; 32]));
        for at in [0, FAMILY_BYTES + PLACE_BYTES - 1, FAMILY_BYTES + PLACE_BYTES, TOKEN_BYTES - 1] {
            let mut made_up = Zeroizing::new(*token.0);
            made_up[at] ^= 1;
            assert!(!RefreshToken(made_up).is_of(&[1; 32]), "{at}");
        }
    }

    #[test]
    fn tags_are_made_with_what_is_not_in_the_store() {
        let family = [1; 32];
        assert_eq!(*tag_key(&family, None), family);
        let keys = [&b"one"[..], b"other"].map(|secret| tag_key(&family, Some(secret)));
        assert!(*keys[0] != *keys[1] && *keys[0] != family);
        let tags = TagKeyCell::default();
        let token = RefreshToken::generate(FAMILY, 7, &keys[0], &tags).expect("a token");
        assert!(token.is_of(&keys[0]) && !token.is_of(&keys[1]) && !token.is_of(&family));
        assert_ne!(*keys[0], *tag_key(&[2; 32], Some(b"one")));
    }

    #[test]
    fn only_the_token_itself_opens_its_successor() {
        let (token, successor) = (token(1), token(1));
        let sealed = token.seal(&successor).expect("seals");
        assert_eq!(token.open(&sealed).expect("opens").digest(), successor.digest());
        assert!(successor.open(&sealed).is_err());
        assert_ne!(token.digest(), successor.digest());
    }

    #[test]
    fn token_is_not_shown() {
        assert_eq!(format!("{:?}", token(1)), "RefreshToken([redacted])");
    }
}
