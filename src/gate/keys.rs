//! Keys that own their algorithms, and the cell in which an issuer's current set is kept.
//!
//! RFC 8725 §3.1: the key decides the algorithm; a token's header may only agree.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{PublicKey as RsaPublicKey, PublicKeyComponents};
use aws_lc_rs::signature::{self as sig, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::Error as JwtError;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{DecodingKey, DecodingKeyKind};
use std::sync::Arc;

use super::time::UnixTime;

pub use jsonwebtoken::Algorithm;

/// The smallest RSA modulus that is accepted, in bits (RFC 7518 §3.3).
pub const RSA_BITS_MIN: usize = 2048;

/// How many keys one set may hold.
pub const KEYS_MAX: usize = 100;

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
    #[error("none of the permitted algorithms fits this kind of key, which could serve {0:?}")]
    NoAlgorithm(&'static [Algorithm]),
    /// Not meant for signatures, or for an algorithm that is not permitted.
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
    Secret(hmac::Key),
    Public(ParsedPublicKey),
}

/// A verification key, prepared for each algorithm that it may serve.
pub struct Key {
    id: Option<String>,
    prepared: Vec<(Algorithm, Prepared)>,
    fingerprint: u64,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<_> = self.algorithms().collect();
        f.debug_struct("Key").field("id", &self.id).field("algorithms", &algorithms).finish()
    }
}

impl Key {
    /// A key from a PEM file with a public key or certificate, serving those of `permitted` that
    /// fit it.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it is not such a file, the key is weak, or nothing in `permitted` fits.
    pub fn from_pem(pem: &[u8], permitted: &[Algorithm]) -> Result<Self, KeyError> {
        type Parse = fn(&[u8]) -> Result<DecodingKey, JwtError>;
        let parsers: [(Parse, Kind); 3] = [
            (DecodingKey::from_rsa_pem, Kind::Rsa),
            (DecodingKey::from_ec_pem, Kind::Ec),
            (DecodingKey::from_ed_pem, Kind::Ed),
        ];
        let (key, kind) = parsers
            .into_iter()
            .find_map(|(parse, kind)| Some((parse(pem).ok()?, kind)))
            .ok_or(KeyError::Pem)?;
        let DecodingKeyKind::SecretOrDer(der) = key.kind() else { return Err(KeyError::Pem) };
        match kind {
            Kind::Rsa => {
                let rsa = RsaPublicKey::from_der(der).map_err(|_| KeyError::Rejected)?;
                Self::rsa(
                    None,
                    rsa.modulus_len() * 8,
                    permitted,
                    |algorithm| ParsedPublicKey::new(algorithm, der).ok(),
                    der,
                )
            }
            Kind::Ec => Self::ec(None, der, permitted),
            Kind::Ed => Self::ed(None, der, permitted),
        }
    }

    /// A symmetric key, serving those of `permitted` that are HMACs.
    ///
    /// # Errors
    ///
    /// [`KeyError::ShortSecret`] if the secret is shorter than the longest hash asked for,
    /// [`KeyError::NoAlgorithm`] if no HMAC is permitted.
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
            Ok(Prepared::Secret(hmac::Key::new(hash, secret)))
        })?;
        Ok(Self { id: None, prepared, fingerprint: fingerprint(None, secret) })
    }

    /// A key from a JWK (RFC 7517), serving those of `permitted` that fit it and its `alg`.
    /// Symmetric keys are refused: what can be fetched is not a secret.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if it is not a usable public signature key.
    pub fn from_jwk(jwk: serde_json::Value, permitted: &[Algorithm]) -> Result<Self, KeyError> {
        let jwk: Jwk = serde_json::from_value(jwk)?;
        match jwk.common.public_key_use {
            None | Some(PublicKeyUse::Signature) => {}
            Some(_) => return Err(KeyError::Purpose("use")),
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
                let (n, e) = (decode(&rsa.n)?, decode(&rsa.e)?);
                let bits = n
                    .iter()
                    .position(|byte| *byte != 0)
                    .map_or(0, |zeros| (n.len() - zeros) * 8 - n[zeros].leading_zeros() as usize);
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
                let (x, y) = (decode(&ec.x)?, decode(&ec.y)?);
                let width = match ec.curve {
                    EllipticCurve::P256 => 32,
                    EllipticCurve::P384 => 48,
                    _ => return Err(KeyError::Rejected),
                };
                if x.len() != width || y.len() != width {
                    return Err(KeyError::Rejected);
                }
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
        let fingerprint = fingerprint(id.as_deref(), identity);
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
        let fingerprint = fingerprint(id.as_deref(), point);
        Ok(Self { id, prepared, fingerprint })
    }

    fn ed(id: Option<String>, key: &[u8], permitted: &[Algorithm]) -> Result<Self, KeyError> {
        let prepared = prepare(permitted, ED25519, |_| {
            let key = ParsedPublicKey::new(&sig::ED25519, key).map_err(|_| KeyError::Rejected)?;
            Ok(Prepared::Public(key))
        })?;
        let fingerprint = fingerprint(id.as_deref(), key);
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

    fn serves(&self, algorithm: Algorithm) -> bool {
        self.algorithms().any(|served| served == algorithm)
    }

    /// A key without an id serves any token; one with an id only tokens that name it or none.
    fn answers_to(&self, id: Option<&str>) -> bool {
        match (self.id.as_deref(), id) {
            (Some(own), Some(asked)) => own == asked,
            (None, _) | (_, None) => true,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
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

/// Tells sets apart within this process; never leaves it and decides nothing but "the same set".
fn fingerprint(id: Option<&str>, material: &[u8]) -> u64 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, material);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_ref()[..8]);
    let id = id.map_or(0, |id| {
        id.bytes().fold(1_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()))
    });
    u64::from_le_bytes(bytes) ^ id
}

/// What a key set says to a token's header.
#[derive(Debug, PartialEq, Eq)]
pub enum Match {
    /// A key that the header names verified the signature.
    Verified,
    /// Keys answer to the header, but none verified the signature.
    Signature,
    /// Keys answer to the `kid`, but none serves the algorithm.
    Algorithm,
    /// No key answers to the `kid`.
    Unknown,
}

/// How many keys are tried for a token that names none: a bound on what it can make us compute.
const CANDIDATES_MAX: usize = 4;

/// An issuer's keys at one time.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// A set of these keys.
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// Reads a JWKS (RFC 7517 §5). Keys that cannot be used are left out and reported beside the
    /// set, as §5 asks.
    ///
    /// # Errors
    ///
    /// [`JwksError`] if it is not a JWKS, or holds too many keys or no usable one.
    pub fn from_jwks(
        bytes: &[u8],
        permitted: &[Algorithm],
    ) -> Result<(Self, Vec<KeyError>), JwksError> {
        #[derive(serde::Deserialize)]
        struct Jwks {
            keys: Vec<serde_json::Value>,
        }
        let jwks: Jwks = serde_json::from_slice(bytes)?;
        if jwks.keys.len() > KEYS_MAX {
            return Err(JwksError::TooMany);
        }
        let (mut keys, mut unusable) = (Vec::new(), Vec::new());
        for jwk in jwks.keys {
            match Key::from_jwk(jwk, permitted) {
                Ok(key) => keys.push(key),
                Err(error) => unusable.push(error),
            }
        }
        if keys.is_empty() {
            Err(JwksError::Empty(unusable))
        } else {
            Ok((Self { keys }, unusable))
        }
    }

    /// Whether a key that `id` names made `signature` over `message` with `algorithm`.
    pub fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Match {
        let mut outcome = Match::Unknown;
        let named = self.keys.iter().filter(|key| key.answers_to(id));
        let mut tried = 0;
        for key in named {
            if !key.serves(algorithm) {
                if outcome == Match::Unknown {
                    outcome = Match::Algorithm;
                }
                continue;
            }
            if tried == CANDIDATES_MAX {
                break;
            }
            tried += 1;
            if key.verifies(algorithm, message, signature) {
                return Match::Verified;
            }
            outcome = Match::Signature;
        }
        outcome
    }

    /// How many keys are in the set.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether some key of the set serves `algorithm`.
    pub fn serves(&self, algorithm: Algorithm) -> bool {
        self.keys.iter().any(|key| key.serves(algorithm))
    }

    /// Whether both sets hold the same keys.
    pub fn same_keys(&self, other: &Self) -> bool {
        let prints = |set: &Self| {
            let mut prints: Vec<_> = set.keys.iter().map(|key| key.fingerprint).collect();
            prints.sort_unstable();
            prints
        };
        prints(self) == prints(other)
    }
}

/// Why a text is not a usable JWKS.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// Not `{"keys": […]}`.
    #[error("not a JWKS: {0}")]
    Json(#[from] serde_json::Error),
    /// More than [`KEYS_MAX`].
    #[error("more than {KEYS_MAX} keys")]
    TooMany,
    /// Nothing in it can verify a token of this issuer.
    #[error("no usable key among {n}{}", list(.0), n = .0.len())]
    Empty(Vec<KeyError>),
}

fn list(errors: &[KeyError]) -> String {
    errors.iter().map(|error| format!("; {error}")).collect()
}

/// Where an issuer's current keys are kept: one writer (the feed), any number of readers.
#[derive(Debug)]
pub struct KeyCell {
    set: ArcSwapOption<KeySet>,
    generation: AtomicU64,
    published_at: AtomicI64,
    usable_until: AtomicI64,
}

impl KeyCell {
    /// A cell without keys: everything that needs one cannot be decided.
    pub fn empty() -> Self {
        Self {
            set: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            published_at: AtomicI64::new(i64::MIN),
            usable_until: AtomicI64::new(i64::MIN),
        }
    }

    /// A cell whose keys come from the configuration and do not grow old.
    pub fn fixed(set: KeySet) -> Self {
        let cell = Self::empty();
        cell.publish(set, UnixTime::default(), UnixTime::NEVER);
        cell
    }

    /// Replaces the keys. The generation moves on only if they really differ, so that a refresh
    /// that brings nothing new leaves verified tokens verified.
    pub fn publish(&self, set: KeySet, published_at: UnixTime, usable_until: UnixTime) {
        let same = self.set.load().as_ref().is_some_and(|current| current.same_keys(&set));
        if !same {
            self.set.store(Some(Arc::new(set)));
            // After the store: whoever reads the new generation also finds the new keys.
            self.generation.fetch_add(1, Ordering::Release);
        }
        self.published_at.store(published_at.as_seconds(), Ordering::Release);
        self.usable_until.store(usable_until.as_seconds(), Ordering::Release);
    }

    /// Counts the changes of the set. A token verified at one generation is verified anew at the
    /// next.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// When the issuer published these keys, as far as we know; `None` if there are none.
    pub fn published_at(&self) -> Option<UnixTime> {
        let seconds = self.published_at.load(Ordering::Acquire);
        (seconds != i64::MIN).then(|| UnixTime::from_seconds(seconds))
    }

    /// Whether there are keys, and they are young enough to be believed.
    pub fn is_usable(&self, now: UnixTime) -> bool {
        now.as_seconds() < self.usable_until.load(Ordering::Acquire)
    }

    /// Whether the keys come from the configuration, not from a feed.
    pub fn is_fixed(&self) -> bool {
        self.usable_until.load(Ordering::Acquire) == UnixTime::NEVER.as_seconds()
    }

    /// Whether a key of this id is in the current set.
    pub fn knows(&self, id: Option<&str>) -> bool {
        self.set.load().as_ref().is_some_and(|set| set.keys.iter().any(|key| key.answers_to(id)))
    }

    /// The current keys.
    pub fn current(&self) -> Option<Arc<KeySet>> {
        self.set.load_full()
    }
}

#[cfg(test)]
mod tests;
