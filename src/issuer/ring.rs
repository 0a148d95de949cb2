//! The signing keys that the gateways share, in the order in which they sign.
//!
//! ```text
//! created ─is published→ signs_from ─signs→ signs_from of the next ─is published→ dropped
//! ```
//!
//! Pure: the time, the revoked keys and the random bits are arguments.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::Algorithm;
use zeroize::Zeroizing;

use super::key_pairs::{KeyKind, SigningError, generate_pkcs8};
use super::signer::Signer;
use super::signing_set::DatedSigner;
use crate::gate::time::UnixTime;

/// How many keys a ring may hold.
pub const KEYS_MAX: usize = 16;

/// A change of the algorithm adds a key only below this number: gateways with different
/// configurations would take turns.
const KEYS_OF_CHANGES_MAX: usize = KEYS_MAX / 2;

/// How far the clocks of two gateways may be apart, in seconds.
pub const CLOCKS_APART_S: i64 = 300;

/// The keys in the order in which they begin to sign, the newest last.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    keys: Vec<RingKey>,
}

/// A key of the ring.
#[derive(Clone)]
pub struct RingKey {
    pub(super) signer: Arc<Signer>,
    pub(super) pkcs8: Arc<Zeroizing<Vec<u8>>>,
    pub(super) created: UnixTime,
    pub(super) signs_from: UnixTime,
    pub(super) reach_s: i64,
}

/// A key pair that was just generated.
pub struct FreshKey {
    signer: Arc<Signer>,
    pkcs8: Arc<Zeroizing<Vec<u8>>>,
}

/// The terms by which keys follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The algorithm of new keys.
    pub algorithm: Algorithm,
    /// How long after a key's last signature something that it signed can still be valid, in
    /// seconds.
    pub reach_s: i64,
    /// How long a new key is published before it signs, in seconds.
    pub publish_before_s: i64,
    /// How long a key signs until another replaces it, in seconds; for ever if absent.
    pub rotate_every_s: Option<i64>,
}

/// When a new key begins to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginsTo {
    /// After it has been published for `publish_before_s`.
    SignAfterPublication,
    /// At once.
    SignNow,
}

/// Why a new key is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There was none.
    First,
    /// The last one has signed for `rotate_every_s`.
    Schedule,
    /// The configuration names another algorithm.
    Algorithm,
    /// No key is left that may sign.
    Revoked,
    /// An operator asked for it.
    Operator,
}

/// There are [`KEYS_MAX`] keys already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {KEYS_MAX} signing keys already: one must be dropped first")]
pub struct Full;

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 5] =
        [Self::First, Self::Schedule, Self::Algorithm, Self::Revoked, Self::Operator];

    /// The label value in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Schedule => "schedule",
            Self::Algorithm => "algorithm",
            Self::Revoked => "revoked",
            Self::Operator => "operator",
        }
    }

    /// When a key that is made for this reason begins to sign, unless an operator decides.
    pub const fn begins_to(self) -> BeginsTo {
        match self {
            // Without a key, nothing can be signed: it signs at once.
            Self::First | Self::Revoked => BeginsTo::SignNow,
            Self::Schedule | Self::Algorithm | Self::Operator => BeginsTo::SignAfterPublication,
        }
    }
}

impl FreshKey {
    /// Generates one. It blocks, for RSA.
    ///
    /// # Errors
    ///
    /// [`SigningError`] if the algorithm cannot sign here, or the random source failed.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is jsonwebtoken's")]
    pub fn generate(algorithm: Algorithm) -> Result<Self, SigningError> {
        let kind = match algorithm {
            Algorithm::ES256 => KeyKind::P256,
            Algorithm::EdDSA => KeyKind::Ed25519,
            Algorithm::RS256 => KeyKind::Rsa,
            _ => return Err(SigningError::Unusable),
        };
        let pkcs8 = generate_pkcs8(kind)?;
        let signer = Arc::new(Signer::from_pkcs8(&pkcs8)?);
        Ok(Self { signer, pkcs8: Arc::new(pkcs8) })
    }

    /// `kid`.
    pub fn id(&self) -> &str {
        self.signer.id()
    }

    fn dated(&self, now: UnixTime, signs_from: UnixTime, reach_s: i64) -> RingKey {
        let Self { signer, pkcs8 } = self;
        let (signer, pkcs8) = (signer.clone(), pkcs8.clone());
        RingKey { signer, pkcs8, created: now, signs_from, reach_s }
    }
}

impl RingKey {
    /// `kid`.
    pub fn id(&self) -> &str {
        self.signer.id()
    }

    /// The signer with this key.
    pub fn signer(&self) -> &Arc<Signer> {
        &self.signer
    }

    /// When it was made.
    pub fn created(&self) -> UnixTime {
        self.created
    }

    /// From when on it signs.
    pub fn signs_from(&self) -> UnixTime {
        self.signs_from
    }

    /// How long after its last signature something that it signed can still be valid, in seconds.
    pub fn reach_s(&self) -> i64 {
        self.reach_s
    }
}

impl Ring {
    /// The keys in the order in which they begin to sign.
    pub fn keys(&self) -> &[RingKey] {
        &self.keys
    }

    /// The key of this id.
    pub fn key(&self, id: &str) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.id() == id)
    }

    /// The place of the key whose turn it is: the last one that has begun to sign. If none has,
    /// because a clock is behind, the first.
    pub fn turn(&self, now: UnixTime) -> Option<usize> {
        let begun = self.keys.iter().rposition(|key| key.signs_from <= now);
        begun.or((!self.keys.is_empty()).then_some(0))
    }

    /// The keys that sign, now or later. If the key whose turn it is is revoked, the next one
    /// replaces it. Keys whose turn is over never sign again.
    pub fn signers(&self, revoked: &[Box<str>], now: UnixTime) -> Vec<DatedSigner> {
        let from_now_on = self.keys.iter().skip(self.turn(now).unwrap_or(0));
        let left = from_now_on.filter(|key| !is_among(revoked, key));
        left.map(|key| DatedSigner { signer: key.signer.clone(), signs_from: key.signs_from })
            .collect()
    }

    /// From when on nothing that the key at this place signed can be valid; `None` for the last
    /// key.
    pub fn retires_at(&self, place: usize) -> Option<UnixTime> {
        let (key, next) = (self.keys.get(place)?, self.keys.get(place + 1)?);
        // A gateway with a slow clock may have begun the next key, and one with a fast clock may
        // drop this one. Also, what a fast clock dated is valid for longer by a slow one.
        Some(next.signs_from.plus(key.reach_s).plus(2 * CLOCKS_APART_S))
    }

    /// Whether there is no room for another key.
    pub fn is_full(&self) -> bool {
        self.keys.len() >= KEYS_MAX
    }

    /// Whether a new key is due, and why.
    pub fn due(&self, terms: &Terms, revoked: &[Box<str>], now: UnixTime) -> Option<Cause> {
        if self.keys.is_empty() {
            return Some(Cause::First);
        }
        if self.signers(revoked, now).is_empty() {
            return Some(Cause::Revoked);
        }
        // A key that begins later than any correct clock could have said was dated by a wrong
        // clock. Waiting for it could take years.
        let latest = now.plus(terms.publish_before_s).plus(CLOCKS_APART_S);
        let is_eligible = |key: &&RingKey| key.signs_from <= latest && !is_among(revoked, key);
        let newest = self.keys.iter().rev().find(is_eligible)?;
        let has_begun = newest.signs_from <= now;
        if newest.signer.algorithm() != terms.algorithm
            && has_begun
            && self.keys.len() < KEYS_OF_CHANGES_MAX
        {
            return Some(Cause::Algorithm);
        }
        let signed_enough = newest.signs_from.plus(terms.rotate_every_s?);
        (signed_enough.plus(-terms.publish_before_s) <= now).then_some(Cause::Schedule)
    }

    /// Adds a key, which may be the first.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn rotate(
        &mut self,
        fresh: &FreshKey,
        begins: BeginsTo,
        terms: &Terms,
        now: UnixTime,
    ) -> Result<(), Full> {
        if self.is_full() {
            return Err(Full);
        }
        // Not before the key whose turn it is, even if a faster clock dated that.
        let turn = self.turn(now).and_then(|place| self.keys.get(place));
        let earliest = turn.map_or(now, |key| key.signs_from.max(now));
        let signs_from = match begins {
            BeginsTo::SignAfterPublication => earliest.plus(terms.publish_before_s),
            BeginsTo::SignNow => earliest,
        };
        self.insert(fresh.dated(now, signs_from, terms.reach_s));
        Ok(())
    }

    /// Inserts a key at its place: the keys are in the order in which they sign.
    pub(super) fn insert(&mut self, key: RingKey) {
        let place = self.keys.partition_point(|known| known.signs_from <= key.signs_from);
        self.keys.insert(place, key);
    }

    /// Restores keys that were lost since `known` was read: a fail-over may lack the last writes,
    /// and a server may have lost its data. A key that signs, now or later, is dropped only if it
    /// is revoked.
    pub fn recover(&mut self, known: &Self, revoked: &[Box<str>], now: UnixTime) {
        let all_is_lost = known.keys.iter().all(|key| self.key(key.id()).is_none());
        let turn = known.turn(now).unwrap_or(0);
        for (place, key) in known.keys.iter().enumerate() {
            let is_wanted = all_is_lost || place >= turn;
            if is_wanted && !is_among(revoked, key) && self.key(key.id()).is_none() {
                self.insert(key.clone());
            }
        }
    }

    /// Must be called before keys are added or dropped. It raises the reach of each key to that of
    /// the terms, since the key may have signed under them.
    pub fn raise_reach(&mut self, reach_s: i64) {
        for key in &mut self.keys {
            key.reach_s = key.reach_s.max(reach_s);
        }
    }

    /// Drops revoked keys. If the key whose turn it is is revoked, the next one replaces it.
    pub fn expel(&mut self, revoked: &[Box<str>], now: UnixTime) {
        if let Some(turn) = self.turn(now)
            && is_among(revoked, &self.keys[turn])
        {
            let ours = self.keys[turn].signs_from.max(now);
            let next = self.keys.iter_mut().skip(turn).find(|key| !is_among(revoked, key));
            if let Some(next) = next {
                next.signs_from = next.signs_from.min(ours);
            }
        }
        self.keys.retain(|key| !is_among(revoked, key));
    }

    /// Drops the keys whose signatures can no longer be valid, but never one that signs, now or
    /// later.
    pub fn prune(&mut self, now: UnixTime) {
        let turn = self.turn(now).unwrap_or(0);
        let is_dead = |place: &usize| self.retires_at(*place).is_some_and(|time| time <= now);
        let dead: Vec<_> = (0..turn).filter(is_dead).collect();
        for place in dead.into_iter().rev() {
            self.keys.remove(place);
        }
    }

    /// Whether both hold the same keys, with the same times.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let facts = |key: &RingKey| (key.id().to_owned(), key.created, key.signs_from, key.reach_s);
        self.keys.iter().map(facts).eq(other.keys.iter().map(facts))
    }
}

fn is_among(ids: &[Box<str>], key: &RingKey) -> bool {
    ids.iter().any(|id| **id == *key.id())
}

impl fmt::Debug for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signer, pkcs8: _, created, signs_from, reach_s } = self;
        f.debug_struct("RingKey")
            .field("signer", signer)
            .field("created", created)
            .field("signs_from", signs_from)
            .field("reach_s", reach_s)
            .finish()
    }
}

impl fmt::Debug for FreshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreshKey").field("signer", &self.signer).finish()
    }
}

#[cfg(test)]
mod tests;
