//! Seals what is written to a store, so that a reader of the store cannot use it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

/// A key that seals, derived from a secret and a purpose.
pub struct Seal(RandomizedNonceKey);

impl Seal {
    /// The key for `purpose` (RFC 5869). The secret has at least 32 random bytes.
    ///
    /// # Errors
    ///
    /// If the cryptographic library fails.
    pub fn new(secret: &[u8], purpose: &[u8]) -> Result<Self, Unspecified> {
        let mut key = Zeroizing::new([0; 32]);
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
        derived.expand(&[purpose], hkdf::HKDF_SHA256)?.fill(&mut *key)?;
        Ok(Self(RandomizedNonceKey::new(&AES_256_GCM, &*key)?))
    }

    /// Seals `open` and authenticates `context`: a random nonce, then the output of AES-256-GCM.
    ///
    /// # Errors
    ///
    /// If the cryptographic library fails.
    pub fn seal(&self, open: &[u8], context: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let mut text = open.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(context), &mut text)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// Opens what was sealed for the same `context`.
    ///
    /// # Errors
    ///
    /// If it was sealed with another key or for another context, or was changed since.
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(Unspecified)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self.0.open_in_place(nonce, Aad::from(context), &mut text)?.len();
        text.truncate(length);
        Ok(text)
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_opens_and_only_what_was_sealed() {
        let seal = Seal::new(&[7; 32], b"a").expect("a key");
        let sealed = seal.seal(b"secret", b"here").expect("seals");
        assert_eq!(&**seal.open(&sealed, b"here").expect("opens"), b"secret");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert!(seal.open(&sealed, b"there").is_err());
        assert!(seal.open(&sealed[..sealed.len() - 1], b"here").is_err());
        assert!(seal.open(&[], b"here").is_err());
        for (secret, purpose) in [([8; 32], b"a"), ([7; 32], b"b")] {
            let other = Seal::new(&secret, purpose).expect("a key");
            assert!(other.open(&sealed, b"here").is_err());
        }
        let again = seal.seal(b"secret", b"here").expect("seals");
        assert_ne!(again, sealed, "the nonce is another one each time");
    }
}
