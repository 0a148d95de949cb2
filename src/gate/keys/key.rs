//! One key, which owns its algorithms.
//!
//! RFC 8725 §3.1: the key decides the algorithm; a token's header may only agree.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{PublicKey as RsaPublicKey, PublicKeyComponents};
use aws_lc_rs::signature::{self as sig, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::Error as JwtError;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

/// The smallest RSA modulus that is accepted, in bits (RFC 7518 §3.3).
pub const RSA_BITS_MIN: usize = 2048;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a PEM file with a public key of a supported kind.
    #[error("not a PEM public key (RSA, EC P-256 or P-384, Ed25519)")]
    Pem,
    /// The bytes are not a key of the kind they claim to be.
    #[error("the key is damaged or of an unsupported kind")]
    Rejected,
    /// An RSA key below [`RSA_BITS_MIN`].
    #[error("the RSA key has {0} bits, at least {RSA_BITS_MIN} are required")]
    Weak(usize),
    /// An HMAC secret shorter than the output of its hash (RFC 7518 §3.2).
    #[error("the secret has {have} bytes, {algorithm:?} needs at least {need}")]
    ShortSecret {
        /// The algorithm that was asked for.
        algorithm: Algorithm,
        /// Bytes in the secret.
        have: usize,
        /// Bytes required.
        need: usize,
    },
    /// None of the algorithms that the issuer permits fits the key.
    #[error("none of the permitted algorithms fits this kind of key, which can verify {0:?}")]
    NoAlgorithm(&'static [Algorithm]),
    /// Not for signatures, or for an algorithm that is not permitted.
    #[error("the key is meant for something else ({0})")]
    Purpose(&'static str),
    /// Not a JWK at all.
    #[error("not a JWK: {0}")]
    Jwk(#[from] serde_json::Error),
}

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const P256: &[Algorithm] = &[Algorithm::ES256];
const P384: &[Algorithm] = &[Algorithm::ES384];
const ED25519: &[Algorithm] = &[Algorithm::EdDSA];

enum Prepared {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// A verification key, prepared for each algorithm that it may be used with.
pub struct Key {
    id: Option<String>,
    prepared: Vec<(Algorithm, Prepared)>,
    /// SHA-256 of the key's material. It distinguishes keys without keeping the material.
    fingerprint: [u8; 32],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<_> = self.algorithms().collect();
        f.debug_struct("Key").field("id", &self.id).field("algorithms", &algorithms).finish()
    }
}

impl Key {
    /// A key from a PEM file with a public key or certificate, for those of `permitted` that fit
    /// it.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it is not such a file, the key is weak, or nothing in `permitted` fits.
    pub fn from_pem(pem: &[u8], permitted: &[Algorithm]) -> Result<Self, KeyError> {
        type Parse = fn(&[u8]) -> Result<DecodingKey, JwtError>;
        let parsers: [(Parse, KeyShape); 3] = [
            (DecodingKey::from_rsa_pem, KeyShape::Rsa),
            (DecodingKey::from_ec_pem, KeyShape::Ec),
            (DecodingKey::from_ed_pem, KeyShape::Ed),
        ];
        let (key, kind) = parsers
            .into_iter()
            .find_map(|(parse, kind)| Some((parse(pem).ok()?, kind)))
            .ok_or(KeyError::Pem)?;
        let DecodingKeyKind::SecretOrDer(der) = key.kind() else { return Err(KeyError::Pem) };
        match kind {
            KeyShape::Rsa => {
                let rsa = RsaPublicKey::from_der(der).map_err(|_| KeyError::Rejected)?;
                Self::rsa(
                    None,
                    rsa.modulus_len() * 8,
                    permitted,
                    |algorithm| ParsedPublicKey::new(algorithm, der).ok(),
                    der,
                )
            }
            KeyShape::Ec => Self::ec(None, der, permitted),
            KeyShape::Ed => Self::ed(None, der, permitted),
        }
    }

    /// A symmetric key, for those of `permitted` that are HMACs.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`] if the secret is shorter than the longest hash in `permitted`,
    /// [`KeyError::NoAlgorithm`] if no HMAC is permitted.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is jsonwebtoken's")]
    pub fn from_secret(secret: &[u8], permitted: &[Algorithm]) -> Result<Self, KeyError> {
        let prepared = prepare(permitted, HMAC, |algorithm| {
            let hash = match algorithm {
                Algorithm::HS256 => hmac::HMAC_SHA256,
                Algorithm::HS384 => hmac::HMAC_SHA384,
                _ => hmac::HMAC_SHA512,
            };
            let need = hash.digest_algorithm().output_len();
            if secret.len() < need {
                return Err(KeyError::ShortSecret { algorithm, have: secret.len(), need });
            }
            Ok(Prepared::Secret(Box::new(hmac::Key::new(hash, secret))))
        })?;
        Ok(Self { id: None, prepared, fingerprint: fingerprint(secret) })
    }

    /// A key from a JWK (RFC 7517), for those of `permitted` that fit it and its `alg`. Symmetric
    /// keys are refused: what can be fetched is not a secret.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it is not a usable public signature key.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is jsonwebtoken's")]
    pub fn from_jwk(jwk: serde_json::Value, permitted: &[Algorithm]) -> Result<Self, KeyError> {
        let jwk: Jwk = serde_json::from_value(jwk)?;
        match jwk.common.public_key_use {
            None | Some(PublicKeyUse::Signature) => {}
            Some(_) => return Err(KeyError::Purpose("use")),
        }
        // RFC 7517 §4.3.
        if jwk.common.key_operations.is_some_and(|named| !named.contains(&KeyOperations::Verify)) {
            return Err(KeyError::Purpose("key_ops"));
        }
        let permitted: Vec<Algorithm> = match jwk.common.key_algorithm {
            None => permitted.to_vec(),
            Some(named) => match named.to_string().parse() {
                Ok(named) if permitted.contains(&named) => vec![named],
                _ => return Err(KeyError::Purpose("alg")),
            },
        };
        let id = jwk.common.key_id;
        match jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                let (n, e) = (integer(&rsa.n)?, integer(&rsa.e)?);
                let bits =
                    n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
                let identity = [n.as_slice(), e.as_slice()].concat();
                let components = PublicKeyComponents { n, e };
                Self::rsa(
                    id,
                    bits,
                    &permitted,
                    |algorithm| components.to_parsed_public_key(algorithm).ok(),
                    &identity,
                )
            }
            AlgorithmParameters::EllipticCurve(ec) => {
                let width = match ec.curve {
                    EllipticCurve::P256 => 32,
                    EllipticCurve::P384 => 48,
                    _ => return Err(KeyError::Rejected),
                };
                let (x, y) = (coordinate(&ec.x, width)?, coordinate(&ec.y, width)?);
                // SEC 1 §2.3.3: an uncompressed point.
                Self::ec(id, &[&[4], x.as_slice(), y.as_slice()].concat(), &permitted)
            }
            AlgorithmParameters::OctetKeyPair(okp) => {
                if okp.curve != EllipticCurve::Ed25519 {
                    return Err(KeyError::Rejected);
                }
                Self::ed(id, &decode(&okp.x)?, &permitted)
            }
            AlgorithmParameters::OctetKey(_) => Err(KeyError::Purpose("kty oct is a secret")),
            _ => Err(KeyError::Rejected),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is jsonwebtoken's")]
    fn rsa(
        id: Option<String>,
        bits: usize,
        permitted: &[Algorithm],
        parse: impl Fn(&'static sig::RsaParameters) -> Option<ParsedPublicKey>,
        identity: &[u8],
    ) -> Result<Self, KeyError> {
        if bits < RSA_BITS_MIN {
            return Err(KeyError::Weak(bits));
        }
        let prepared = prepare(permitted, RSA, |algorithm| {
            let parameters = match algorithm {
                Algorithm::RS256 => &sig::RSA_PKCS1_2048_8192_SHA256,
                Algorithm::RS384 => &sig::RSA_PKCS1_2048_8192_SHA384,
                Algorithm::RS512 => &sig::RSA_PKCS1_2048_8192_SHA512,
                Algorithm::PS256 => &sig::RSA_PSS_2048_8192_SHA256,
                Algorithm::PS384 => &sig::RSA_PSS_2048_8192_SHA384,
                _ => &sig::RSA_PSS_2048_8192_SHA512,
            };
            parse(parameters).map(Prepared::Public).ok_or(KeyError::Rejected)
        })?;
        let fingerprint = fingerprint(identity);
        Ok(Self { id, prepared, fingerprint })
    }

    fn ec(id: Option<String>, point: &[u8], permitted: &[Algorithm]) -> Result<Self, KeyError> {
        let (fits, parameters) = match point.len() {
            65 => (P256, &sig::ECDSA_P256_SHA256_FIXED),
            97 => (P384, &sig::ECDSA_P384_SHA384_FIXED),
            _ => return Err(KeyError::Rejected),
        };
        let prepared = prepare(permitted, fits, |_| {
            let key = ParsedPublicKey::new(parameters, point).map_err(|_| KeyError::Rejected)?;
            Ok(Prepared::Public(key))
        })?;
        let fingerprint = fingerprint(point);
        Ok(Self { id, prepared, fingerprint })
    }

    fn ed(id: Option<String>, key: &[u8], permitted: &[Algorithm]) -> Result<Self, KeyError> {
        let prepared = prepare(permitted, ED25519, |_| {
            let key = ParsedPublicKey::new(&sig::ED25519, key).map_err(|_| KeyError::Rejected)?;
            Ok(Prepared::Public(key))
        })?;
        let fingerprint = fingerprint(key);
        Ok(Self { id, prepared, fingerprint })
    }

    /// The algorithms it serves.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.prepared.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether `signature` over `message` was made with this key and `algorithm`.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.prepared.iter().any(|(served, prepared)| {
            *served == algorithm
                && match prepared {
                    Prepared::Secret(key) => hmac::verify(key, message, signature).is_ok(),
                    Prepared::Public(key) => key.verify_sig(message, signature).is_ok(),
                }
        })
    }

    /// Whether it may verify signatures of this algorithm.
    pub(super) fn serves(&self, algorithm: Algorithm) -> bool {
        self.algorithms().any(|served| served == algorithm)
    }

    /// Its `kid` (RFC 7517 §4.5), if it has one.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// A SHA-256 digest that distinguishes the key from any other, whatever its id.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// A key without an id matches any token. A key with an id matches tokens that name it or name
    /// none.
    pub(super) fn answers_to(&self, id: Option<&str>) -> bool {
        match (self.id.as_deref(), id) {
            (Some(own), Some(asked)) => own == asked,
            (None, _) | (_, None) => true,
        }
    }
}

#[derive(Clone, Copy)]
enum KeyShape {
    Rsa,
    Ec,
    Ed,
}

fn prepare(
    permitted: &[Algorithm],
    fits: &'static [Algorithm],
    mut prepare: impl FnMut(Algorithm) -> Result<Prepared, KeyError>,
) -> Result<Vec<(Algorithm, Prepared)>, KeyError> {
    let mut prepared = Vec::new();
    for algorithm in permitted.iter().copied().filter(|algorithm| fits.contains(algorithm)) {
        prepared.push((algorithm, prepare(algorithm)?));
    }
    if prepared.is_empty() { Err(KeyError::NoAlgorithm(fits)) } else { Ok(prepared) }
}

fn decode(text: &str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Rejected)
}

/// An integer of a JWK without its leading zeros. RFC 7518 §6.3.1.1 forbids them, and notes that
/// some libraries write one anyway: the sign of Java's `BigInteger`.
fn integer(text: &str) -> Result<Vec<u8>, KeyError> {
    let mut bytes = decode(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    Ok(bytes)
}

/// A coordinate of a point. RFC 7518 §6.2.1.2 wants as many bytes as the field has; the same
/// libraries write one more or fewer.
fn coordinate(text: &str, width: usize) -> Result<Vec<u8>, KeyError> {
    let bytes = integer(text)?;
    let missing = width.checked_sub(bytes.len()).ok_or(KeyError::Rejected)?;
    Ok([vec![0; missing], bytes].concat())
}

fn fingerprint(material: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, material);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
