//! Key sets, and the cell that holds an issuer's current set.

mod key;
mod private;
mod unusable;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::time::UnixTime;

pub use jsonwebtoken::Algorithm;
pub use key::{Key, KeyError, RSA_BITS_MIN};
pub use private::algorithm_of_private;
pub use unusable::UnusableKey;

/// How many keys one set may hold.
pub const KEYS_MAX: usize = 100;

/// The result of matching a token's header and signature against a key set.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyMatch<'k> {
    /// A key that the header names verified the signature. With the key's own id, if it has one:
    /// the header may omit it.
    Verified(Option<&'k str>),
    /// Keys match the header, but none verified the signature.
    Signature,
    /// The same, but more than [`CANDIDATES_MAX`] keys match: the others were not tried.
    Untried,
    /// Keys match the `kid`, but none may be used with the algorithm.
    Algorithm,
    /// No key matches the `kid`.
    Unknown,
}

/// How many keys of its algorithm are tried for a token that names none. This bounds what a forged
/// token can make us compute. Issuers that rotate keys without ids publish seven and more. Sixteen
/// signatures take 0.2 ms (RS256) to 0.8 ms (ES256).
pub const CANDIDATES_MAX: usize = 16;

/// An issuer's keys at a point in time.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// A set of these keys.
    pub fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// Reads a JWKS (RFC 7517 §5). Keys that cannot be used are left out and reported separately,
    /// as §5 asks. The set may be empty: that is a valid statement of the issuer.
    ///
    /// # Errors
    ///
    /// [`JwksError`] if it is not a JWKS, or holds too many keys.
    pub fn from_jwks(
        bytes: &[u8],
        permitted: &[Algorithm],
    ) -> Result<(Self, Vec<UnusableKey>), JwksError> {
        #[derive(serde::Deserialize)]
        struct Jwks {
            keys: Vec<serde_json::Value>,
        }
        let jwks: Jwks = serde_json::from_slice(bytes)?;
        if jwks.keys.len() > KEYS_MAX {
            return Err(JwksError::TooMany);
        }
        // It does not withdraw keys, because it is not a set of keys.
        if !jwks.keys.is_empty() && !jwks.keys.iter().any(serde_json::Value::is_object) {
            return Err(JwksError::NoKeys);
        }
        let (mut keys, mut unusable) = (Vec::new(), Vec::new());
        for (index, jwk) in jwks.keys.into_iter().enumerate() {
            let id = jwk.get("kid").and_then(serde_json::Value::as_str).map(Into::into);
            match Key::from_jwk(jwk, permitted) {
                Ok(key) => keys.push(key),
                Err(error) => unusable.push(UnusableKey { id, index, error }),
            }
        }
        Ok((Self { keys }, unusable))
    }

    /// Whether a key that `id` names made `signature` over `message` with `algorithm`.
    pub fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> KeyMatch<'_> {
        let mut outcome = KeyMatch::Unknown;
        let named = self.keys.iter().filter(|key| key.answers_to(id));
        let mut tried = 0;
        for key in named {
            if !key.serves(algorithm) {
                if outcome == KeyMatch::Unknown {
                    outcome = KeyMatch::Algorithm;
                }
                continue;
            }
            if tried == CANDIDATES_MAX {
                return KeyMatch::Untried;
            }
            tried += 1;
            if key.verifies(algorithm, message, signature) {
                return KeyMatch::Verified(key.id());
            }
            outcome = KeyMatch::Signature;
        }
        outcome
    }

    /// How many keys are in the set.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The ids of its keys.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(Key::id)
    }

    /// Whether a key of the set matches `id`.
    pub fn knows(&self, id: Option<&str>) -> bool {
        self.keys.iter().any(|key| key.answers_to(id))
    }

    /// Whether some key of the set may be used with `algorithm`.
    pub fn serves(&self, algorithm: Algorithm) -> bool {
        self.keys.iter().any(|key| key.serves(algorithm))
    }

    /// Whether both sets hold the same keys.
    pub fn same_keys(&self, other: &Self) -> bool {
        fn sorted(set: &KeySet) -> Vec<(Option<&str>, [u8; 32], Vec<Algorithm>)> {
            let mut keys: Vec<_> = set
                .keys
                .iter()
                .map(|key| (key.id(), key.fingerprint(), key.algorithms().collect::<Vec<_>>()))
                .collect();
            keys.sort_unstable_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
            keys
        }
        sorted(self) == sorted(other)
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
    /// No member of `keys` is an object.
    #[error("not a JWKS: no member of `keys` is an object")]
    NoKeys,
}

/// Holds an issuer's current keys. It has one writer (the feed) and any number of readers.
#[derive(Debug)]
pub struct KeyCell {
    set: ArcSwapOption<KeySet>,
    generation: AtomicU64,
    published_at: AtomicI64,
    usable_until: AtomicI64,
}

impl KeyCell {
    /// A cell without keys: requests that need one cannot be decided.
    pub fn empty() -> Self {
        Self {
            set: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            published_at: AtomicI64::new(i64::MIN),
            usable_until: AtomicI64::new(i64::MIN),
        }
    }

    /// A cell whose keys come from the configuration and do not grow old.
    pub fn fixed(set: Arc<KeySet>) -> Self {
        let cell = Self::empty();
        cell.publish_shared(set, UnixTime::default(), UnixTime::NEVER);
        cell
    }

    /// Replaces the keys. The generation changes only if the keys differ, so a refresh without
    /// changes leaves verified tokens valid.
    pub fn publish(&self, set: KeySet, published_at: UnixTime, usable_until: UnixTime) {
        self.publish_shared(Arc::new(set), published_at, usable_until);
    }

    fn publish_shared(&self, set: Arc<KeySet>, published_at: UnixTime, usable_until: UnixTime) {
        let same = self.set.load().as_ref().is_some_and(|current| current.same_keys(&set));
        if !same {
            self.set.store(Some(set));
            // After the keys: a reader that sees the new generation also finds the new keys.
            self.generation.fetch_add(1, Ordering::Release);
        }
        self.published_at.store(published_at.as_seconds(), Ordering::Release);
        self.usable_until.store(usable_until.as_seconds(), Ordering::Release);
    }

    /// Counts the changes of the set. A token verified at one generation is verified again at the
    /// next.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// When the issuer published these keys, as far as we know; `None` if there are none.
    pub fn published_at(&self) -> Option<UnixTime> {
        let seconds = self.published_at.load(Ordering::Acquire);
        (seconds != i64::MIN).then(|| UnixTime::from_seconds(seconds))
    }

    /// Whether there are keys, and they are recent enough to be trusted.
    pub fn is_usable(&self, now: UnixTime) -> bool {
        now.as_seconds() < self.usable_until.load(Ordering::Acquire)
    }

    /// Whether the keys come from the configuration, not from a feed.
    pub fn is_fixed(&self) -> bool {
        self.usable_until.load(Ordering::Acquire) == UnixTime::NEVER.as_seconds()
    }

    /// Whether a key of this id is in the current set.
    pub fn knows(&self, id: Option<&str>) -> bool {
        self.set.load().as_ref().is_some_and(|set| set.knows(id))
    }

    /// The current keys.
    pub fn current(&self) -> Option<Arc<KeySet>> {
        self.set.load_full()
    }
}

#[cfg(test)]
mod tests;
