//! Generates private keys, and signs with them.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Why a key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// Neither a supported private key in PEM nor a secret.
    #[error("not a private key in PEM (PKCS#8: RSA, EC P-256 or P-384, Ed25519)")]
    Unusable,
    /// Nothing but white space: anyone could sign with that.
    #[error("the file is empty")]
    Empty,
    /// The random source or the cryptographic library failed.
    #[error("no key can be generated")]
    Generate(#[from] Unspecified),
    /// The token cannot be signed.
    #[error("cannot sign: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// A new key pair in PEM.
pub struct KeyPairPem {
    /// PKCS#8.
    pub private: Zeroizing<String>,
    /// SubjectPublicKeyInfo.
    pub public: String,
}

/// The kind of key to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with 2048 bits, for RS256 and its siblings.
    Rsa,
    /// EC on P-256, for ES256.
    P256,
    /// EC on P-384, for ES384.
    P384,
    /// Ed25519, for EdDSA.
    Ed25519,
}

/// Makes a private key, in PKCS#8 (DER).
///
/// # Errors
///
/// [`SigningError::Generate`].
pub fn generate_pkcs8(kind: KeyKind) -> Result<Zeroizing<Vec<u8>>, SigningError> {
    let document = match kind {
        KeyKind::P256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?.to_pkcs8v1()?,
        KeyKind::P384 => EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING)?.to_pkcs8v1()?,
        KeyKind::Ed25519 => Ed25519KeyPair::generate()?.to_pkcs8v1()?,
        KeyKind::Rsa => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            let der: Pkcs8V1Der<'_> = pair.as_der()?;
            return Ok(Zeroizing::new(der.as_ref().to_vec()));
        }
    };
    Ok(Zeroizing::new(document.as_ref().to_vec()))
}

/// Makes a key pair.
///
/// # Errors
///
/// [`SigningError::Generate`].
pub fn generate(kind: KeyKind) -> Result<KeyPairPem, SigningError> {
    match kind {
        KeyKind::P256 => generate_ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
        KeyKind::P384 => generate_ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
        KeyKind::Rsa => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            let private: Pkcs8V1Der<'_> = pair.as_der()?;
            let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
            Ok(KeyPairPem::new(private.as_ref(), public.as_ref()))
        }
        KeyKind::Ed25519 => {
            let pair = Ed25519KeyPair::generate()?;
            let private = pair.to_pkcs8v1()?;
            let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
            Ok(KeyPairPem::new(private.as_ref(), public.as_ref()))
        }
    }
}

fn generate_ec(algorithm: &'static EcdsaSigningAlgorithm) -> Result<KeyPairPem, SigningError> {
    let pair = EcdsaKeyPair::generate(algorithm)?;
    let private = pair.to_pkcs8v1()?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
    Ok(KeyPairPem::new(private.as_ref(), public.as_ref()))
}

impl KeyPairPem {
    fn new(private: &[u8], public: &[u8]) -> Self {
        Self {
            private: Zeroizing::new(pem("PRIVATE KEY", private)),
            public: pem("PUBLIC KEY", public),
        }
    }
}

/// PEM (RFC 7468 §2).
fn pem(label: &str, der: &[u8]) -> String {
    const LINE: usize = 64;
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = next;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// A key that signs tokens with the algorithm that fits it.
pub struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
    id: Option<String>,
}

impl SigningKey {
    /// A key from the contents of a file: a private key in PEM, or else a secret for HS256. White
    /// space around a secret is removed, as in `secret_file`.
    ///
    /// # Errors
    ///
    /// [`SigningError::Unusable`], [`SigningError::Empty`].
    pub fn from_file(bytes: &[u8], id: Option<String>) -> Result<Self, SigningError> {
        if bytes.trim_ascii().is_empty() {
            return Err(SigningError::Empty);
        }
        if !bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            let key = EncodingKey::from_secret(bytes.trim_ascii());
            return Ok(Self { algorithm: Algorithm::HS256, key, id });
        }
        let candidates = [
            (Algorithm::RS256, EncodingKey::from_rsa_pem(bytes)),
            (Algorithm::ES256, EncodingKey::from_ec_pem(bytes)),
            (Algorithm::ES384, EncodingKey::from_ec_pem(bytes)),
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(bytes)),
        ];
        for (algorithm, key) in candidates {
            let Ok(key) = key else { continue };
            let candidate = Self { algorithm, key, id: id.clone() };
            // Only an attempt to sign shows whether a key is on the right curve.
            if candidate.sign("JWT", &Map::new()).is_ok() {
                return Ok(candidate);
            }
        }
        Err(SigningError::Unusable)
    }

    /// Signs a token with these claims (RFC 7519 §7.1).
    ///
    /// # Errors
    ///
    /// [`SigningError::Sign`].
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>) -> Result<String, SigningError> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some(typ.to_owned());
        header.kid.clone_from(&self.id);
        Ok(encode(&header, claims, &self.key)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gate::keys::{Key, KeyMatch, KeySet};
    use crate::gate::token::Token;

    #[test]
    fn what_is_signed_here_verifies_at_the_gate() {
        let kinds = [
            (KeyKind::Rsa, Algorithm::RS256),
            (KeyKind::P256, Algorithm::ES256),
            (KeyKind::P384, Algorithm::ES384),
            (KeyKind::Ed25519, Algorithm::EdDSA),
        ];
        for (kind, algorithm) in kinds {
            let pair = generate(kind).expect("a key pair");
            let signing = SigningKey::from_file(pair.private.as_bytes(), None).expect("signs");
            let Value::Object(claims) = json!({"sub": "a"}) else { panic!("an object") };
            let text = signing.sign("JWT", &claims).expect("a token");
            let token = Token::parse(&text, 4096).expect("parses");
            let key = Key::from_pem(pair.public.as_bytes(), &[algorithm]).expect("a public key");
            let set = KeySet::new(vec![key]);
            let verify =
                |signature: &[u8]| set.verify(None, algorithm, token.signing_input(), signature);
            assert_eq!(verify(token.signature()), KeyMatch::Verified(None), "{kind:?}");
            let mut broken = token.signature().to_vec();
            broken[0] ^= 1;
            assert_eq!(verify(&broken), KeyMatch::Signature, "{kind:?}");
        }
    }
}
