//! The signing keys in force, as requests find them: which one signs now, and which are published.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::signer::Signer;
use crate::gate::time::UnixTime;

/// A key, and from when on it signs.
#[derive(Clone, Debug)]
pub struct DatedSigner {
    /// The key.
    pub signer: Arc<Signer>,
    /// From when on it signs.
    pub signs_from: UnixTime,
}

/// The keys at one time.
#[derive(Debug, Default)]
pub struct SigningSet {
    /// Those that may sign and are not cut off, by when they begin to.
    keys: Vec<DatedSigner>,
    /// The JWKS of all that are published (RFC 7517 §5).
    jwks: Arc<str>,
    /// How long the JWKS may be believed, in seconds.
    fresh_for_s: u64,
    /// The generation of the revocation list at which none of the keys was revoked.
    clear_at: AtomicU64,
}

/// Where the current keys are kept: one writer (the feed), any number of readers.
#[derive(Debug, Default)]
pub struct SigningCell(ArcSwapOption<SigningSet>);

impl SigningSet {
    /// A set of these keys, of which the JWKS may be believed for so long.
    pub fn new(mut keys: Vec<DatedSigner>, jwks: Arc<str>, fresh_for_s: u64) -> Self {
        keys.sort_by_key(|key| key.signs_from);
        Self { keys, jwks, fresh_for_s, clear_at: AtomicU64::new(u64::MAX) }
    }

    /// The key that signs now: the one that began last. While none has begun, by a clock that is
    /// behind, the first.
    pub fn signer(&self, now: UnixTime) -> Option<&Arc<Signer>> {
        let begun = self.keys.iter().rev().find(|key| key.signs_from <= now);
        begun.or(self.keys.first()).map(|key| &key.signer)
    }

    /// The same, were these not there.
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

    /// Notes that none was.
    pub fn was_clear_at(&self, generation: u64) {
        self.clear_at.store(generation, Ordering::Relaxed);
    }

    /// The published keys.
    pub fn jwks(&self) -> &Arc<str> {
        &self.jwks
    }

    /// How long they may be believed, in seconds.
    pub fn fresh_for_s(&self) -> u64 {
        self.fresh_for_s
    }
}

impl SigningCell {
    /// Replaces the keys.
    pub fn publish(&self, set: SigningSet) {
        self.0.store(Some(Arc::new(set)));
    }

    /// Takes the keys away: nothing is to be signed any more.
    pub fn clear(&self) {
        self.0.store(None);
    }

    /// The current keys; none until they were read for the first time.
    pub fn current(&self) -> Option<Arc<SigningSet>> {
        self.0.load_full()
    }
}
