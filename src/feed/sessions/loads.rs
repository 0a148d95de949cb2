//! Reads in progress, one for each session however many ask; and sessions that were found absent.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::future::Cache;

use crate::gate::session::{Session, SessionId};
use crate::store::StoreError;

/// How many sessions are remembered that there are not, and for how long. A secret is never given
/// out twice, so what is not there will not be; but a store may get back what it had lost. So it is
/// forgotten, too, when anything but that store, as it was, may answer.
const ABSENT_MAX: u64 = 100_000;
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// In how many parts what is told of single sessions is kept: whoever logs in and out all the time
/// has the gateway forget the absence of what is in the same part, which is next to nothing.
const PARTS: usize = 1024;

/// The result of a read.
#[derive(Clone, Debug)]
pub(super) enum Loaded {
    Found(Arc<Session>),
    /// In this era of the store.
    Absent(Era),
}

/// A time in which it was the same store that answered, and answered rightly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Era {
    /// As the store counts.
    of_store: u64,
    /// As we do.
    of_loads: u64,
    /// As we do for the sessions in the same part.
    of_part: u64,
}

/// Reads in progress, and sessions that are not there.
#[derive(Debug)]
pub(super) struct Loads {
    coalesced: Cache<SessionId, Loaded>,
    /// For each read in progress, how many, and whether something was told of its session.
    begun: Mutex<HashMap<SessionId, LoadProgress>>,
    /// How often all that was not there was forgotten.
    forgotten: AtomicU64,
    /// How often that was, for each part of the ids, of which one may be there again.
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

    /// The era that it is for a session, while the store is in this one of its own.
    pub(super) fn era(&self, id: SessionId, of_store: u64) -> Era {
        Era {
            of_store,
            of_loads: self.forgotten.load(Ordering::Acquire),
            of_part: self.part(id).load(Ordering::Acquire),
        }
    }

    /// The part of an id. Ids are digests of random secrets, so they are in all parts alike.
    fn part(&self, id: SessionId) -> &AtomicU64 {
        let [first, second, ..] = *id.as_bytes();
        &self.forgotten_parts[usize::from(u16::from_be_bytes([first, second])) % PARTS]
    }

    /// Whether it was found a moment ago that there is no such session, by the store that is asked
    /// now.
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

    /// Forgets all that was not there: it may be, or may have been all along.
    pub(super) fn forget_all_absent(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets that a session was not there.
    pub(super) fn forget_absent(&self, id: SessionId) {
        self.part(id).fetch_add(1, Ordering::AcqRel);
    }

    /// Begins a read: from now on it is noted if something is told of the session.
    pub(super) fn begin(&self, id: SessionId) -> LoadInProgress<'_> {
        self.begun().entry(id).or_default().reads += 1;
        LoadInProgress { loads: self, id }
    }

    /// Something was told of a session: what is being read may be older, and it may be there again.
    pub(super) fn spoil(&self, id: SessionId) {
        // It counts whether or not it is being read: this is cheaper than to look, and only what is
        // in the same part is read once more.
        self.forget_absent(id);
        if let Some(progress) = self.begun().get_mut(&id) {
            progress.is_spoilt = true;
        }
    }

    /// Anything may have happened to any session.
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
    /// Publishes what was read, unless something was told meanwhile: then it must be read again.
    pub(super) fn publish(&self, publish: impl FnOnce()) -> bool {
        let mut begun = self.loads.begun();
        let progress = begun.entry(self.id).or_default();
        if std::mem::take(&mut progress.is_spoilt) {
            return false;
        }
        // Under the lock: what is told next takes it out of the table again.
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

/// Caches absence only: sessions that were found are in the table, which hears of changes.
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

    /// What was found a moment ago not to be there.
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
            // Somebody else's login is being written down, and changes.
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
            // After the store has answered, and before that is remembered.
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
