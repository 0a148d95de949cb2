//! Reads in progress: one for each session, whoever asks; and what was found not to be there.

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

/// What a read found.
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
}

/// Reads in progress, and sessions that are not there.
#[derive(Debug)]
pub(super) struct Loads {
    coalesced: Cache<SessionId, Loaded>,
    /// For each read in progress, how many, and whether something was told of its session.
    begun: Mutex<HashMap<SessionId, Progress>>,
    /// How often what was not there was forgotten.
    forgotten: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    reads: usize,
    is_spoilt: bool,
}

/// A read in progress.
pub(super) struct Begun<'l> {
    loads: &'l Loads,
    id: SessionId,
}

impl Loads {
    pub(super) fn new() -> Self {
        let coalesced = Cache::builder().max_capacity(ABSENT_MAX).expire_after(AbsentOnly).build();
        Self { coalesced, begun: Mutex::default(), forgotten: AtomicU64::new(0) }
    }

    /// What `read` finds, or somebody else's read of the same session that is in progress; or
    /// that it was found not to be there a moment ago.
    pub(super) async fn load(
        &self,
        id: SessionId,
        read: impl Future<Output = Result<Loaded, StoreError>>,
    ) -> Result<Loaded, StoreError> {
        self.coalesced.try_get_with(id, read).await.map_err(|error| (*error).clone())
    }

    /// The era that it is, while the store is in this one of its own.
    pub(super) fn era(&self, of_store: u64) -> Era {
        Era { of_store, of_loads: self.forgotten.load(Ordering::Acquire) }
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

    /// Forgets what was not there: it may be, or may have been all along.
    pub(super) fn forget_absent(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
    }

    /// Begins a read: from now on it is noted if something is told of the session.
    pub(super) fn begin(&self, id: SessionId) -> Begun<'_> {
        self.begun().entry(id).or_default().reads += 1;
        Begun { loads: self, id }
    }

    /// Something was told of a session: what is being read may be older, and it may be there again.
    pub(super) fn spoil(&self, id: SessionId) {
        let is_read = self.begun().get_mut(&id).map(|progress| progress.is_spoilt = true).is_some();
        if is_read || self.coalesced.contains_key(&id) {
            self.forget_absent();
        }
    }

    /// Anything may have happened to any session.
    pub(super) fn spoil_all(&self) {
        self.forget_absent();
        for progress in self.begun().values_mut() {
            progress.is_spoilt = true;
        }
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<SessionId, Progress>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Begun<'_> {
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

impl Drop for Begun<'_> {
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

/// What was found is in the table, which is told of changes; here it would grow old.
struct AbsentOnly;

impl moka::Expiry<SessionId, Loaded> for AbsentOnly {
    fn expire_after_create(&self, _: &SessionId, loaded: &Loaded, _: Instant) -> Option<Duration> {
        match loaded {
            Loaded::Found(_) => Some(Duration::ZERO),
            Loaded::Absent(_) => Some(ABSENT_FOR),
        }
    }
}
