//! Signs with a private key that is parsed only once.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::key_pairs::SigningError;

/// What a token is for, as its `typ` says (RFC 8725 §3.11). It is not accepted for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// RFC 9068 §2.1.
    Access,
    /// An identity for an upstream, from the gateway.
    Internal,
}

impl TokenType {
    /// `typ`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Internal => "internal+jwt",
        }
    }
}

/// A private key that signs.
pub struct Signer {
    id: Box<str>,
    algorithm: Algorithm,
    pair: SigningKeyPair,
    /// The encoded header of an access token, with the dot after it.
    access_header: Box<str>,
    /// The same for an internal token.
    internal_header: Box<str>,
}

enum SigningKeyPair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    /// The key in a PKCS#8 document, for ES256, EdDSA or RS256. Its id is its thumbprint (RFC
    /// 7638).
    ///
    /// # Errors
    ///
    /// [`SigningError::Unusable`] if it is none of these.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SigningError> {
        let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok();
        let ed25519 = || Ed25519KeyPair::from_pkcs8(der).ok();
        let rsa = || RsaKeyPair::from_pkcs8(der).ok();
        let pair = p256()
            .map(SigningKeyPair::P256)
            .or_else(|| ed25519().map(SigningKeyPair::Ed25519))
            .or_else(|| rsa().map(SigningKeyPair::Rsa))
            .ok_or(SigningError::Unusable)?;
        let algorithm = match &pair {
            SigningKeyPair::P256(_) => Algorithm::ES256,
            SigningKeyPair::Ed25519(_) => Algorithm::EdDSA,
            SigningKeyPair::Rsa(_) => Algorithm::RS256,
        };
        let id: Box<str> = thumbprint(&pair).into();
        let header = |kind: TokenType| {
            let header = json!({ "alg": algorithm, "kid": id, "typ": kind.as_str() });
            format!("{}.", URL_SAFE_NO_PAD.encode(header.to_string())).into()
        };
        let (access_header, internal_header) =
            (header(TokenType::Access), header(TokenType::Internal));
        Ok(Self { id, algorithm, pair, access_header, internal_header })
    }

    /// The same in PEM (RFC 7468 §10).
    ///
    /// # Errors
    ///
    /// [`SigningError::Unusable`] if it is none of these, or not PKCS#8.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SigningError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| SigningError::Unusable)?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    /// `kid`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `alg`.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key (RFC 7517 §4).
    pub fn jwk(&self) -> Value {
        let mut jwk = public_members(&self.pair);
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm);
        jwk
    }

    /// A token with these claims, which are a JSON object (RFC 7515 §3.1).
    ///
    /// # Errors
    ///
    /// [`SigningError::Generate`] if the cryptographic library fails.
    pub fn sign(&self, kind: TokenType, claims: &[u8]) -> Result<String, SigningError> {
        let header = match kind {
            TokenType::Access => &self.access_header,
            TokenType::Internal => &self.internal_header,
        };
        let mut token = String::with_capacity(header.len() + claims.len() * 4 / 3 + 400);
        token.push_str(header);
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
        Ok(token)
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let random = SystemRandom::new();
        match &self.pair {
            SigningKeyPair::P256(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            SigningKeyPair::Ed25519(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
            SigningKeyPair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

/// The members that define the key (RFC 7518 §6, RFC 8037 §2).
fn public_members(pair: &SigningKeyPair) -> Value {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match pair {
        SigningKeyPair::P256(pair) => {
            // RFC 5480 §2.2: an uncompressed point is 4, x and y.
            let point = pair.public_key().as_ref();
            let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
            json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) })
        }
        SigningKeyPair::Ed25519(pair) => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
        }
        SigningKeyPair::Rsa(pair) => {
            let key = pair.public_key();
            let (n, e) = (key.modulus(), key.exponent());
            let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
            json!({ "kty": "RSA", "n": text(n), "e": text(e) })
        }
    }
}

/// RFC 7638 §3: the SHA-256 of the required members, in lexicographic order.
fn thumbprint(pair: &SigningKeyPair) -> String {
    // The members of a JSON object are sorted here, and written without white space.
    let members = public_members(pair).to_string();
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, algorithm, .. } = self;
        f.debug_struct("Signer").field("id", id).field("algorithm", algorithm).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::keys::{Key, KeyMatch, KeySet};
    use crate::gate::token::Token;
    use crate::issuer::key_pairs::{KeyKind, generate, generate_pkcs8};

    #[test]
    fn what_is_signed_verifies_by_the_published_key() {
        for kind in [KeyKind::P256, KeyKind::Ed25519, KeyKind::Rsa] {
            let signer = Signer::from_pkcs8(&generate_pkcs8(kind).expect("a key")).expect("signs");
            let jwks = json!({ "keys": [signer.jwk()] }).to_string();
            let (set, unusable) =
                KeySet::from_jwks(jwks.as_bytes(), &[signer.algorithm()]).expect("a set");
            assert!(unusable.is_empty());
            let text = signer.sign(TokenType::Access, br#"{"sub":"a"}"#).expect("a token");
            let token = Token::parse(&text, 4096).expect("parses");
            assert_eq!(token.header().token_type.as_deref(), Some("at+jwt"));
            assert_eq!(token.header().key_id.as_deref(), Some(signer.id()));
            let verified = set.verify(
                Some(signer.id()),
                signer.algorithm(),
                token.signing_input(),
                token.signature(),
            );
            assert_eq!(verified, KeyMatch::Verified(Some(signer.id())), "{kind:?}");
        }
    }

    #[test]
    fn key_in_pem_is_the_same_key() {
        for kind in [KeyKind::P256, KeyKind::Ed25519, KeyKind::Rsa] {
            let pair = generate(kind).expect("a pair");
            let signer = Signer::from_pem(pair.private.as_bytes()).expect("signs");
            let text = signer.sign(TokenType::Internal, b"{}").expect("a token");
            let token = Token::parse(&text, 4096).expect("parses");
            let key = Key::from_pem(pair.public.as_bytes(), &[signer.algorithm()]).expect("a key");
            let set = KeySet::new(vec![key]);
            let (input, signature) = (token.signing_input(), token.signature());
            let verified = set.verify(None, signer.algorithm(), input, signature);
            assert_eq!(verified, KeyMatch::Verified(None), "{kind:?}");
            assert!(Signer::from_pem(pair.public.as_bytes()).is_err(), "a public key");
        }
        let p384 = generate(KeyKind::P384).expect("a pair");
        assert!(Signer::from_pem(p384.private.as_bytes()).is_err(), "P-384");
    }

    #[test]
    fn thumbprint_is_that_of_rfc8037() {
        // RFC 8037 A.1 and A.3.
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed.expect("base64")).expect("a key");
        let print = thumbprint(&SigningKeyPair::Ed25519(pair));
        assert_eq!(print, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn private_key_is_not_shown() {
        let der = generate_pkcs8(KeyKind::P256).expect("a key");
        let signer = Signer::from_pkcs8(&der).expect("signs");
        assert!(!format!("{signer:?}").contains("pair"));
        assert!(Signer::from_pkcs8(b"no key").is_err());
    }
}
