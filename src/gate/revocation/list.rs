//! The list in memory: any number of readers, one writer.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ahash::RandomState;
use moka::sync::Cache;

use super::credential_scopes::{CredentialScopes, Revocable, ScopeId};
use super::cut_offs::{CutOffSpan, CutOffs, Part};
use super::entry::{Entry, Revocation};
use super::id::{Lifted, RevocationId};
use super::scope::{Scope, ScopeKind};
use crate::gate::time::{Moment, SteadyTime, UnixTime};

/// The tolerated clock difference, in seconds, before an entry could be dropped too early. It is
/// generous: an entry that stays longer only costs a little memory.
const CLOCK_MARGIN_S: i64 = 300;

/// An entry that lives this long is kept for ever.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What the list keeps of an entry.
#[derive(Clone, Copy, Debug)]
struct ListCut {
    cut_off: UnixTime,
    expires: UnixTime,
    /// How long it stays in memory; `None`: for ever.
    stays: Option<Duration>,
}

impl ListCut {
    /// What is kept of a span; `None` if it expired long ago.
    fn of(CutOffSpan { cut_off, expires }: CutOffSpan, now: UnixTime) -> Option<Self> {
        let seconds = expires.plus(CLOCK_MARGIN_S).since(now);
        let stays = Duration::from_secs(u64::try_from(seconds).ok()?);
        // The cache needs a finite lifetime. This process will not outlive that one.
        let lasts = stays < FOR_EVER;
        (!stays.is_zero()).then(|| Self { cut_off, expires, stays: lasts.then_some(stays) })
    }
}

/// The revocations that this gateway knows of, and the age of that knowledge.
///
/// Its size is not bounded: an eviction would make a revoked credential valid again. Instead,
/// appends to the log are bounded.
#[derive(Debug)]
pub struct RevocationList {
    cuts: Cache<ScopeId, ListCut, RandomState>,
    /// The kinds of scopes that were ever revoked.
    kinds: AtomicU8,
    generation: AtomicU64,
    /// When the log was last known to be read to its end, in steady milliseconds.
    contact: AtomicU64,
    has_writer: AtomicBool,
}

/// [`RevocationList::contact`] before the first snapshot.
const NO_CONTACT: u64 = u64::MAX;

/// [`RevocationList::contact`] of a list that cannot lack anything: later than any time.
const COMPLETE: u64 = u64::MAX - 1;

/// A generation that the list never has: for credentials that were never found clear.
pub(in crate::gate) const NO_GENERATION: u64 = u64::MAX;

/// Writes the list. Each list has one writer, so that entries are merged in one place.
#[derive(Debug)]
pub struct ListWriter {
    list: Arc<RevocationList>,
    /// Only the writer takes this lock, so it is never waited for.
    cut_offs: Mutex<CutOffs>,
}

impl RevocationList {
    /// An empty list, before the first snapshot.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            cuts: Cache::builder().expire_after(UntilSpent).build_with_hasher(RandomState::new()),
            kinds: AtomicU8::new(0),
            generation: AtomicU64::new(0),
            contact: AtomicU64::new(NO_CONTACT),
            has_writer: AtomicBool::new(false),
        })
    }

    /// The list's writer; `None` after the first call.
    pub fn writer(self: &Arc<Self>) -> Option<ListWriter> {
        let first = !self.has_writer.swap(true, Ordering::AcqRel);
        first.then(|| ListWriter { list: self.clone(), cut_offs: Mutex::default() })
    }

    /// Checks whether a credential is revoked.
    ///
    /// `clear_at` is the generation at which this credential was last found clear. While the list
    /// has the same generation, no look-up is needed. `age_max_ms` is how old the list may be, in
    /// milliseconds. Before the first snapshot it is too old for every request.
    pub fn find(
        &self,
        scopes: &CredentialScopes,
        issued_at: UnixTime,
        clear_at: &AtomicU64,
        age_max_ms: u64,
        now: Moment,
    ) -> Revocation {
        // Read before the list: an entry that is added in between causes another check next time.
        let generation = self.generation.load(Ordering::Acquire);
        if clear_at.load(Ordering::Relaxed) != generation {
            if self.hits(scopes, issued_at).next().is_some() {
                return Revocation::Revoked;
            }
            clear_at.store(generation, Ordering::Relaxed);
        }
        match self.age_ms(now.steady) {
            Some(age) if age <= age_max_ms => Revocation::Clear,
            Some(_) | None => Revocation::Unknown,
        }
    }

    /// The revocation that matches a credential, for the log: the kind of the first matching entry,
    /// and its cut-off; [`UnixTime::NEVER`]: whatever the time. It may have expired by now.
    pub fn cause(
        &self,
        scopes: &CredentialScopes,
        issued_at: UnixTime,
    ) -> Option<(ScopeKind, UnixTime)> {
        self.hits(scopes, issued_at).next().map(|(id, cut)| (id.kind(), cut.cut_off))
    }

    /// The entries that revoke a credential.
    fn hits(
        &self,
        scopes: &CredentialScopes,
        issued_at: UnixTime,
    ) -> impl Iterator<Item = (ScopeId, ListCut)> {
        let kinds = self.kinds.load(Ordering::Acquire);
        let hit = move |id: ScopeId| {
            // A check for presence costs a third of a read, and usually there is no entry.
            let may_be_there = kinds & id.kind_bit() != 0 && self.cuts.contains_key(&id);
            let cut = may_be_there.then(|| self.cuts.get(&id)).flatten()?;
            (issued_at <= cut.cut_off).then_some((id, cut))
        };
        scopes.iter().filter_map(hit)
    }

    /// Checks the same for something that is not presented: the source from which a credential is
    /// to be issued, dated `dated`.
    pub fn find_source(
        &self,
        source: Revocable<'_>,
        dated: UnixTime,
        age_max_ms: u64,
        now: Moment,
    ) -> Revocation {
        self.find(
            &CredentialScopes::of(source),
            dated,
            &AtomicU64::new(NO_GENERATION),
            age_max_ms,
            now,
        )
    }

    /// Whether there is an entry for exactly this scope, whatever its cut-off.
    pub fn names(&self, scope: &Scope) -> bool {
        self.cuts.contains_key(&ScopeId::of(scope))
    }

    /// How old the list is, in milliseconds; `None` before the first snapshot.
    pub fn age_ms(&self, now: SteadyTime) -> Option<u64> {
        match self.contact.load(Ordering::Acquire) {
            NO_CONTACT => None,
            contact => Some(now.millis_since(SteadyTime::from_millis(contact))),
        }
    }

    /// Counts the entries that were applied.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How many entries are live. Not for the hot path: it first runs the cache's pending tasks.
    pub fn entries(&self) -> u64 {
        self.cuts.run_pending_tasks();
        self.cuts.entry_count()
    }
}

impl ListWriter {
    /// The list that it writes.
    pub fn list(&self) -> &Arc<RevocationList> {
        &self.list
    }

    /// Adds an entry until it expires. If an earlier entry revokes more, or for longer, that stays
    /// in force. An entry that expired long ago matches nothing and is ignored.
    pub fn apply(&self, entry: &Entry, now: UnixTime) {
        self.take(entry, Part::Lasting, now);
    }

    /// The same for an entry that can be lifted, and may have been already.
    pub fn apply_liftable(&self, entry: &Entry, id: RevocationId, now: UnixTime) {
        self.take(entry, Part::Liftable(id), now);
    }

    fn take(&self, entry: &Entry, part: Part, now: UnixTime) {
        let mut cut_offs = self.cut_offs();
        if matches!(part, Part::Liftable(id) if cut_offs.is_lifted(id)) {
            return;
        }
        let id = ScopeId::of(&entry.scope);
        let span = CutOffSpan { cut_off: entry.cut_off, expires: entry.expires };
        let known = self.list.cuts.get(&id);
        let whole = known.map_or(span, |ListCut { cut_off, expires, .. }| {
            span.with(CutOffSpan { cut_off, expires })
        });
        let Some(cut) = ListCut::of(whole, now) else { return };
        if entry.scope.kind().is_liftable() {
            cut_offs.add(id, part, span);
        }
        self.list.cuts.insert(id, cut);
        self.list.kinds.fetch_or(id.kind_bit(), Ordering::Release);
        // Last: a reader that sees the new generation also finds the entry.
        self.list.generation.fetch_add(1, Ordering::Release);
    }

    /// Lifts entries of a scope, including those that arrive later. The other entries of the scope
    /// stay in force. A lift revokes nothing, so cached answers stay correct.
    pub fn lift(&self, scope: &Scope, lifted: &[Lifted], now: UnixTime) {
        let id = ScopeId::of(scope);
        let mut cut_offs = self.cut_offs();
        let counted = lifted.iter().filter(|one| cut_offs.lift(id, **one)).count();
        if counted == 0 {
            return;
        }
        match cut_offs.rest(id).and_then(|rest| ListCut::of(rest, now)) {
            Some(cut) => self.list.cuts.insert(id, cut),
            None => self.list.cuts.invalidate(&id),
        }
    }

    /// Whether one of these revocations is in force.
    pub fn has_any(&self, scope: &Scope, sought: &[Lifted]) -> bool {
        let id = ScopeId::of(scope);
        let cut_offs = self.cut_offs();
        sought.iter().any(|one| cut_offs.holds(id, one.id))
    }

    /// Whether the entry of this id has been lifted.
    pub fn is_lifted(&self, id: RevocationId) -> bool {
        self.cut_offs().is_lifted(id)
    }

    /// The revocations of a scope that can be lifted.
    pub fn liftable(&self, scope: &Scope) -> Vec<Lifted> {
        self.cut_offs().liftable(ScopeId::of(scope))
    }

    /// The entry of this id, if it can be lifted or was lifted.
    pub fn find_liftable(&self, id: RevocationId) -> Option<Lifted> {
        self.cut_offs().find(id)
    }

    fn cut_offs(&self) -> MutexGuard<'_, CutOffs> {
        self.cut_offs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that everything written until `at` has been applied.
    pub fn contact(&self, at: SteadyTime) {
        self.list.contact.store(at.as_millis(), Ordering::Release);
    }

    /// Notes that every entry is applied as it is written, by this process only. From now on the
    /// list does not grow old.
    pub fn complete(&self) {
        self.list.contact.store(COMPLETE, Ordering::Release);
    }

    /// Drops expired entries and returns how many are left.
    pub fn prune(&self, now: UnixTime) -> u64 {
        self.cut_offs().prune(now.plus(-CLOCK_MARGIN_S));
        self.list.entries()
    }
}

struct UntilSpent;

impl moka::Expiry<ScopeId, ListCut> for UntilSpent {
    fn expire_after_create(&self, _: &ScopeId, cut: &ListCut, _: Instant) -> Option<Duration> {
        cut.stays
    }

    fn expire_after_update(
        &self,
        _: &ScopeId,
        cut: &ListCut,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        cut.stays
    }
}
