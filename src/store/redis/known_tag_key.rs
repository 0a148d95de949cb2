//! Remembers the key of the tags as a server had it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

/// The key of the tags as the server last had it, in case the server loses it: with another key,
/// the tags of existing secrets would not be recognised.
#[derive(Default)]
pub(super) struct KnownTagKey(Mutex<Option<Zeroizing<Vec<u8>>>>);

impl KnownTagKey {
    /// Whether the key is this one.
    pub(super) fn is(&self, key: &[u8]) -> bool {
        self.known().as_ref().is_some_and(|known| known.as_slice() == key)
    }

    /// Records that the server has this one.
    pub(super) fn note(&self, key: &[u8]) {
        *self.known() = Some(Zeroizing::new(key.to_vec()));
    }

    /// The key, if it was read; locked.
    pub(super) fn known(&self) -> MutexGuard<'_, Option<Zeroizing<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
