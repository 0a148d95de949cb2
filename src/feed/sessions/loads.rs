//! Reads in progress, at most one for each session, and sessions that were found absent.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::future::Cache;

use crate::gate::session::{Session, SessionId};
use crate::store::StoreError;

/// How many absent sessions are remembered, and for how long. A secret is never issued twice, so an
/// absent session stays absent, unless a store recovers data that it had lost. So absence is also
/// forgotten whenever another store, or the same in another state, may answer.
const ABSENT_MAX: u64 = 100_000;
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// Into how many parts session ids are divided. A client that logs in and out all the time makes
/// the gateway forget only the absent sessions of the same part, which are very few.
const PARTS: usize = 1024;

/// The result of a read.
#[derive(Clone, Debug)]
pub(super) enum Loaded {
    Found(Arc<Session>),
    /// It was absent in this era of the store.
    Absent(Era),
}

/// A period in which the same store answered, and answered correctly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Era {
    /// The store's own counter.
    of_store: u64,
    /// Our counter for all sessions.
    of_loads: u64,
    /// Our counter for the sessions in the same part.
    of_part: u64,
}

/// Reads in progress, and sessions that are not there.
#[derive(Debug)]
pub(super) struct Loads {
    coalesced: Cache<SessionId, Loaded>,
    /// For each session that is being read: the number of reads, and whether a change was reported.
    begun: Mutex<HashMap<SessionId, LoadProgress>>,
    /// How often all absent sessions were forgotten.
    forgotten: AtomicU64,
    /// The same for each part of the ids, in which one session may exist again.
    forgotten_parts: Box<[AtomicU64]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct LoadProgress {
    reads: usize,
    is_spoilt: bool,
}

/// A read in progress.
pub(super) struct LoadInProgress<'l> {
    loads: &'l Loads,
    id: SessionId,
}

impl Loads {
    /// No reads yet.
    pub(super) fn new() -> Self {
        let coalesced = Cache::builder().max_capacity(ABSENT_MAX).expire_after(AbsentOnly).build();
        let forgotten_parts = std::iter::repeat_with(AtomicU64::default).take(PARTS).collect();
        Self { coalesced, begun: Mutex::default(), forgotten: AtomicU64::new(0), forgotten_parts }
    }

    /// The result of `read`, or of a read of the same session that is already in progress; or
    /// absent, if the session was found to be absent a moment ago.
    pub(super) async fn load(
        &self,
        id: SessionId,
        read: impl Future<Output = Result<Loaded, StoreError>>,
    ) -> Result<Loaded, StoreError> {
        self.coalesced.try_get_with(id, read).await.map_err(|error| (*error).clone())
    }

    /// The current era for a session, given the store's own.
    pub(super) fn era(&self, id: SessionId, of_store: u64) -> Era {
        Era {
            of_store,
            of_loads: self.forgotten.load(Ordering::Acquire),
            of_part: self.part(id).load(Ordering::Acquire),
        }
    }

    /// The part of an id. Ids are digests of random secrets, so they are spread evenly.
    fn part(&self, id: SessionId) -> &AtomicU64 {
        let [first, second, ..] = *id.as_bytes();
        &self.forgotten_parts[usize::from(u16::from_be_bytes([first, second])) % PARTS]
    }

    /// Whether the store that is asked now was found a moment ago to lack the session.
    pub(super) async fn is_known_absent(&self, id: &SessionId, now: Era) -> bool {
        match self.coalesced.get(id).await {
            Some(Loaded::Absent(era)) if era == now => true,
            Some(Loaded::Absent(_)) => {
                self.coalesced.invalidate(id).await;
                false
            }
            Some(Loaded::Found(_)) | None => false,
        }
    }

    /// Notes that a session was found not to be there, in this era.
    pub(super) async fn note_absent(&self, id: SessionId, era: Era) {
        self.coalesced.insert(id, Loaded::Absent(era)).await;
    }

    /// Forgets all absent sessions: they may exist now, or may have existed all along.
    pub(super) fn forget_all_absent(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets that a session was absent.
    pub(super) fn forget_absent(&self, id: SessionId) {
        self.part(id).fetch_add(1, Ordering::AcqRel);
    }

    /// Begins a read. From now on, changes that are reported for the session are noted.
    pub(super) fn begin(&self, id: SessionId) -> LoadInProgress<'_> {
        self.begun().entry(id).or_default().reads += 1;
        LoadInProgress { loads: self, id }
    }

    /// A change of a session was reported: a read in progress may be outdated, and an absent
    /// session may exist again.
    pub(super) fn spoil(&self, id: SessionId) {
        // The counter changes whether or not the session is being read. That is cheaper than a
        // look, and costs one more read for the sessions in the same part.
        self.forget_absent(id);
        if let Some(progress) = self.begun().get_mut(&id) {
            progress.is_spoilt = true;
        }
    }

    /// Any session may have changed.
    pub(super) fn spoil_all(&self) {
        self.forget_all_absent();
        for progress in self.begun().values_mut() {
            progress.is_spoilt = true;
        }
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<SessionId, LoadProgress>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoadInProgress<'_> {
    /// Publishes what was read. If a change was reported meanwhile, returns false: it must be read
    /// again.
    pub(super) fn publish(&self, publish: impl FnOnce()) -> bool {
        let mut begun = self.loads.begun();
        let progress = begun.entry(self.id).or_default();
        if std::mem::take(&mut progress.is_spoilt) {
            return false;
        }
        // Under the lock, so that the next change removes it from the table again.
        publish();
        true
    }
}

impl Drop for LoadInProgress<'_> {
    fn drop(&mut self) {
        let mut begun = self.loads.begun();
        if let Some(progress) = begun.get_mut(&self.id) {
            progress.reads -= 1;
            if progress.reads == 0 {
                begun.remove(&self.id);
            }
        }
    }
}

/// Caches absence only. Found sessions are in the table, which receives changes.
struct AbsentOnly;

impl moka::Expiry<SessionId, Loaded> for AbsentOnly {
    fn expire_after_create(&self, _: &SessionId, loaded: &Loaded, _: Instant) -> Option<Duration> {
        Some(kept_for(loaded))
    }

    fn expire_after_update(
        &self,
        _: &SessionId,
        loaded: &Loaded,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept_for(loaded))
    }
}

fn kept_for(loaded: &Loaded) -> Duration {
    match loaded {
        Loaded::Found(_) => Duration::ZERO,
        Loaded::Absent(_) => ABSENT_FOR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_STORE: u64 = 7;

    fn id(first: u8) -> SessionId {
        let mut bytes = [0; 32];
        bytes[1] = first;
        SessionId::from_bytes(bytes)
    }

    /// Sessions that were found absent a moment ago.
    async fn find_absent(loads: &Loads, id: SessionId) {
        let era = loads.era(id, OF_STORE);
        let found = loads.load(id, async { Ok(Loaded::Absent(era)) }).await;
        assert!(matches!(found, Ok(Loaded::Absent(_))), "{found:?}");
    }

    async fn is_known_absent(loads: &Loads, id: SessionId) -> bool {
        loads.is_known_absent(&id, loads.era(id, OF_STORE)).await
    }

    #[tokio::test]
    async fn what_is_told_of_a_session_leaves_what_is_known_of_others() {
        let (loads, one, other) = (Loads::new(), id(1), id(2));
        for told in [Loads::spoil, Loads::forget_absent] {
            find_absent(&loads, one).await;
            find_absent(&loads, other).await;
            // Another user's login is being written, and changes.
            let _begun = loads.begin(other);
            told(&loads, other);
            assert!(!is_known_absent(&loads, other).await);
            assert!(is_known_absent(&loads, one).await);
        }
        loads.spoil_all();
        assert!(!is_known_absent(&loads, one).await);
    }

    #[tokio::test]
    async fn absence_that_was_read_before_something_was_told_is_not_remembered() {
        let (loads, id) = (Loads::new(), id(1));
        let read = async {
            let _begun = loads.begin(id);
            let era = loads.era(id, OF_STORE);
            // After the store has answered, but before the absence is remembered.
            loads.spoil(id);
            Ok(Loaded::Absent(era))
        };
        assert!(loads.load(id, read).await.is_ok());
        assert!(!is_known_absent(&loads, id).await);
        find_absent(&loads, id).await;
        assert!(is_known_absent(&loads, id).await);
        assert!(!loads.is_known_absent(&id, loads.era(id, OF_STORE + 1)).await);
    }
}
