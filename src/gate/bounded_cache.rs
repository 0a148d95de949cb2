//! A cache that is bounded in bytes and costs little at every use, even when it is full.
//!
//! The CLOCK algorithm decides which entry is evicted. Its hand passes over an entry once if the
//! entry was used since the hand's last visit. So a flood of credentials that are used once evicts
//! itself, not the credentials in use.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use ahash::RandomState;
use hashbrown::HashTable;

use super::time::UnixTime;

/// How many shards a cache has at most. Each has its own lock.
const SHARDS_MAX: usize = 16;
/// How large a shard is at least, if there is more than one.
const SHARD_BYTES_MIN: usize = 1 << 20;
/// What an entry costs in addition to its key and its value, in bytes.
const ENTRY_OVERHEAD: usize = 96;
/// How many places are checked for expired entries at each insertion.
const LOOKED_AT: usize = 2;

/// Values by their keys. The least used make room for new ones.
#[derive(Debug)]
pub(super) struct BoundedCache<K, V> {
    hasher: RandomState,
    shards: Box<[RwLock<Shard<K, V>>]>,
    shard_bytes_max: usize,
}

/// What is kept of a value.
#[derive(Debug)]
pub(super) struct Cached<K, V> {
    pub(super) key: K,
    pub(super) value: V,
    /// Roughly what key and value occupy.
    pub(super) bytes: usize,
    /// When the value expires.
    pub(super) ends: UnixTime,
}

#[derive(Debug)]
struct Shard<K, V> {
    /// Hash → place in `slots`.
    index: HashTable<usize>,
    slots: Vec<Option<CacheSlot<K, V>>>,
    /// Places without an entry.
    vacant: Vec<usize>,
    /// Where the hand is.
    hand: usize,
    /// Where the search for expired entries is.
    sweep: usize,
    bytes: usize,
}

#[derive(Debug)]
struct CacheSlot<K, V> {
    hash: u64,
    cached: Cached<K, V>,
    asked_for: AtomicBool,
}

impl<K: Hash + Eq, V: Clone> BoundedCache<K, V> {
    /// An empty cache for about `bytes_max` bytes of keys and values.
    pub(super) fn new(bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let shards = (bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        Self {
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            shard_bytes_max: bytes_max / shards,
        }
    }

    /// The value of `key`.
    pub(super) fn find<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let shard = self.shard(hash).read().unwrap_or_else(PoisonError::into_inner);
        let (_, slot) = shard.find(hash, key)?;
        // Most entries have been used already: a cache line that is only read stays with all cores.
        if !slot.asked_for.load(Ordering::Relaxed) {
            slot.asked_for.store(true, Ordering::Relaxed);
        }
        Some(slot.cached.value.clone())
    }

    /// Stores a value, and replaces one with the same key. A value larger than its shard is not
    /// stored. Returns how many values that had not expired were evicted.
    pub(super) fn insert(&self, mut cached: Cached<K, V>, now: UnixTime) -> u64 {
        cached.bytes += ENTRY_OVERHEAD;
        if cached.bytes > self.shard_bytes_max {
            return 0;
        }
        let hash = self.hasher.hash_one(&cached.key);
        let mut shard = self.shard(hash).write().unwrap_or_else(PoisonError::into_inner);
        let mut removed = shard.take_ended(now);
        if let Some((place, _)) = shard.find(hash, &cached.key) {
            removed.extend(shard.take(place));
        }
        let mut evicted = 0;
        while shard.bytes + cached.bytes > self.shard_bytes_max {
            let Some(made_room) = shard.make_room(now) else { break };
            evicted += u64::from(made_room.ends > now);
            removed.push(made_room);
        }
        shard.add(hash, cached);
        // Removed values are freed outside the lock.
        drop(shard);
        drop(removed);
        evicted
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        let of = |shard: &RwLock<Shard<K, V>>| {
            shard.read().unwrap_or_else(PoisonError::into_inner).index.len()
        };
        self.shards.iter().map(of).sum()
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard<K, V>> {
        // The table of a shard uses the lowest bits and the highest seven.
        let place = (hash >> 32) as usize % self.shards.len();
        &self.shards[place]
    }
}

impl<K: Hash + Eq, V> Shard<K, V> {
    fn find<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Option<(usize, &CacheSlot<K, V>)>
    where
        K: Borrow<Q>,
    {
        let has_key = |place: &usize| {
            let slot = self.slots[*place].as_ref();
            slot.is_some_and(|slot| slot.hash == hash && slot.cached.key.borrow() == key)
        };
        let place = *self.index.find(hash, has_key)?;
        self.slots[place].as_ref().map(|slot| (place, slot))
    }

    fn add(&mut self, hash: u64, cached: Cached<K, V>) {
        self.bytes += cached.bytes;
        let slot = Some(CacheSlot { hash, cached, asked_for: AtomicBool::new(false) });
        let place = match self.vacant.pop() {
            Some(place) => {
                self.slots[place] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        let slots = &self.slots;
        let hash_of = |place: &usize| slots[*place].as_ref().map_or(0, |slot| slot.hash);
        self.index.insert_unique(hash, place, hash_of);
    }

    fn take(&mut self, place: usize) -> Option<Cached<K, V>> {
        let slot = self.slots[place].take()?;
        self.vacant.push(place);
        self.bytes -= slot.cached.bytes;
        if let Ok(entry) = self.index.find_entry(slot.hash, |at| *at == place) {
            entry.remove();
        }
        Some(slot.cached)
    }

    /// Removes the next entry that was not used since the hand's last visit, or that has expired.
    fn make_room(&mut self, now: UnixTime) -> Option<Cached<K, V>> {
        // After one round no entry is marked as used any more.
        for _ in 0..2 * self.slots.len() {
            let place = next(&mut self.hand, self.slots.len());
            let Some(slot) = &mut self.slots[place] else { continue };
            let is_in_use = std::mem::take(slot.asked_for.get_mut());
            if !is_in_use || slot.cached.ends <= now {
                return self.take(place);
            }
        }
        None
    }

    /// Removes expired entries from a few places, so that they do not stay until the cache is full.
    fn take_ended(&mut self, now: UnixTime) -> Vec<Cached<K, V>> {
        let mut ended = Vec::new();
        for _ in 0..self.slots.len().min(LOOKED_AT) {
            let place = next(&mut self.sweep, self.slots.len());
            if self.slots[place].as_ref().is_some_and(|slot| slot.cached.ends <= now) {
                ended.extend(self.take(place));
            }
        }
        ended
    }
}

/// The cursor's place among `count` places, of which there is at least one. Advances the cursor.
fn next(cursor: &mut usize, count: usize) -> usize {
    let place = if *cursor < count { *cursor } else { 0 };
    *cursor = place + 1;
    place
}

impl<K, V> Default for Shard<K, V> {
    fn default() -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            vacant: Vec::new(),
            hand: 0,
            sweep: 0,
            bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests;
