//! The signing keys in force, for requests: which one signs now, and which are published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::signer::Signer;
use crate::gate::time::UnixTime;

/// A key, and when it begins to sign.
#[derive(Clone, Debug)]
pub struct DatedSigner {
    /// The key.
    pub signer: Arc<Signer>,
    /// When it begins to sign.
    pub signs_from: UnixTime,
}

/// The keys at a point in time.
#[derive(Debug, Default)]
pub struct SigningSet {
    /// The keys that may sign and are not revoked, in the order in which they begin.
    keys: Vec<DatedSigner>,
    /// The JWKS of all published keys (RFC 7517 §5).
    jwks: Arc<str>,
    /// How long the JWKS may be cached, in seconds.
    fresh_for_s: u64,
    /// The generation of the revocation list at which none of the keys was revoked.
    clear_at: AtomicU64,
}

/// Holds the current keys. It has one writer (the feed) and any number of readers.
#[derive(Debug, Default)]
pub struct SigningCell(ArcSwapOption<SigningSet>);

impl SigningSet {
    /// A set of these keys. Its JWKS may be cached for this long.
    pub fn new(mut keys: Vec<DatedSigner>, jwks: Arc<str>, fresh_for_s: u64) -> Self {
        keys.sort_by_key(|key| key.signs_from);
        Self { keys, jwks, fresh_for_s, clear_at: AtomicU64::new(u64::MAX) }
    }

    /// The key that signs now: the last one that has begun. If none has, because a clock is behind,
    /// the first.
    pub fn signer(&self, now: UnixTime) -> Option<&Arc<Signer>> {
        let begun = self.keys.iter().rev().find(|key| key.signs_from <= now);
        begun.or(self.keys.first()).map(|key| &key.signer)
    }

    /// The same without these keys.
    pub fn signer_but(&self, revoked: &[Box<str>], now: UnixTime) -> Option<&Arc<Signer>> {
        let is_left = |key: &&DatedSigner| !revoked.iter().any(|id| **id == *key.signer.id());
        let begun = self.keys.iter().rev().filter(is_left).find(|key| key.signs_from <= now);
        begun.or_else(|| self.keys.iter().find(is_left)).map(|key| &key.signer)
    }

    /// The ids of the keys that sign, now or later.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.signer.id())
    }

    /// Whether none of them was revoked at this generation of the revocation list.
    pub fn is_clear_at(&self, generation: u64) -> bool {
        self.clear_at.load(Ordering::Relaxed) == generation
    }

    /// Notes that none was revoked at this generation.
    pub fn was_clear_at(&self, generation: u64) {
        self.clear_at.store(generation, Ordering::Relaxed);
    }

    /// The published keys.
    pub fn jwks(&self) -> &Arc<str> {
        &self.jwks
    }

    /// How long they may be cached, in seconds.
    pub fn fresh_for_s(&self) -> u64 {
        self.fresh_for_s
    }
}

impl SigningCell {
    /// Replaces the keys.
    pub fn publish(&self, set: SigningSet) {
        self.0.store(Some(Arc::new(set)));
    }

    /// Removes the keys: nothing is to be signed any more.
    pub fn clear(&self) {
        self.0.store(None);
    }

    /// The current keys; `None` until they were read for the first time.
    pub fn current(&self) -> Option<Arc<SigningSet>> {
        self.0.load_full()
    }
}
