//! A cache that is bounded in bytes and costs little at every use, also when it is full.
//!
//! Which entry makes room is decided by a hand that goes round (the CLOCK algorithm): it passes over an
//! entry once if somebody asked for it since it came by last. A flood of credentials that come once so
//! drives out itself, and not those in use.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use ahash::RandomState;
use hashbrown::HashTable;

use super::time::UnixTime;

/// So many parts has a cache at most, each with a lock of its own.
const SHARDS_MAX: usize = 16;
/// So large is a part at least, if there is more than one.
const SHARD_BYTES_MIN: usize = 1 << 20;
/// What an entry costs beside its key and its value, in bytes.
const ENTRY_OVERHEAD: usize = 96;
/// So many places are looked at for entries that have ended, at each insertion.
const LOOKED_AT: usize = 2;

/// Values by their keys, of which the least asked for make room for new ones.
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
    /// From when on the value is of no use.
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
    /// Where the search for what has ended is.
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
        // Most have been asked for already: a line of memory that is only read stays with all cores.
        if !slot.asked_for.load(Ordering::Relaxed) {
            slot.asked_for.store(true, Ordering::Relaxed);
        }
        Some(slot.cached.value.clone())
    }

    /// Keeps a value, in place of what was kept of the same key; one that is larger than its part of
    /// the cache is not kept. Returns how many values that had not ended made room.
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
        // What was removed is freed without the lock.
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
        // The table of a shard goes by the lowest bits and the highest seven.
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

    /// Takes out the next entry that was not asked for since the hand came by last, or that has ended.
    fn make_room(&mut self, now: UnixTime) -> Option<Cached<K, V>> {
        // After one round no entry is asked for any more.
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

    /// Takes out what has ended of a few places, so that it does not stay until there is no room.
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

/// The place that a cursor is at, among `count`, of which there is one at least; moves it on.
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
