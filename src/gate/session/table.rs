//! The sessions in memory. The feed that keeps this table current reads a missing session from the
//! store, once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ahash::RandomState;
use moka::sync::Cache;

use super::id::SessionId;
use super::in_memory::Session;
use super::rules::SessionRules;
use crate::gate::revocation::RevocationList;
use crate::gate::time::{Moment, SteadyTime, UnixTime};

/// What this gateway knows of a session.
#[derive(Clone, Debug)]
pub enum Held {
    /// The session, unchanged.
    Current(Arc<Session>),
    /// The session as it was some time ago. It has to be read again.
    Aged(Arc<Session>),
    /// The session as it was before it changed or ended.
    Changed(Arc<Session>),
    /// Nothing.
    Absent,
}

/// The sessions that were used recently. The table is bounded: an evicted session is read again.
#[derive(Debug)]
pub struct SessionTable {
    sessions: Cache<SessionId, Arc<Session>, RandomState>,
    /// Since when the store notifies us of every change, in steady milliseconds.
    notified_since: AtomicU64,
    /// Until when the notifications are known to be complete.
    notified_until: AtomicU64,
    /// The earlier periods of notification, with start and end. A session that was read in one of
    /// them is known to be unchanged until its end.
    notified_before: Mutex<VecDeque<(u64, u64)>>,
    /// Since when sessions may have been used at a silent gateway, in seconds since 1970.
    silent_gateway_since: AtomicI64,
}

/// What an entry of the table occupies in addition to the session, in bytes, as measured.
const ENTRY_BYTES: usize = 640;

/// How many earlier periods are remembered.
const NOTIFIED_BEFORE_MAX: usize = 64;

/// How long a re-read of a session may take, in milliseconds: to find that the connection is
/// broken, to open another one, and to get a response.
const REREAD_MS: u64 = 2_000;

/// The store has never notified us.
const NEVER: u64 = u64::MAX;

impl SessionTable {
    /// A table for about `bytes_max` bytes of sessions.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        let sessions = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, session: &Arc<Session>| {
                u32::try_from(ENTRY_BYTES + session.weight()).unwrap_or(u32::MAX)
            })
            .expire_after(UntilEnd)
            .build_with_hasher(RandomState::new());
        let (notified_since, notified_until) = (AtomicU64::new(NEVER), AtomicU64::new(0));
        let notified_before = Mutex::default();
        let silent_gateway_since = AtomicI64::new(i64::MAX);
        Arc::new(Self {
            sessions,
            notified_since,
            notified_until,
            notified_before,
            silent_gateway_since,
        })
    }

    /// What is known of a session. It does not check the idle timeout.
    pub fn find(&self, id: &SessionId, rules: &SessionRules, now: Moment) -> Held {
        match self.sessions.get(id) {
            Some(session) if session.rules() != rules.id() => Held::Absent,
            Some(session) if session.is_changed() => Held::Changed(session),
            Some(session) if self.is_current(&session, rules, now) => Held::Current(session),
            Some(session) => Held::Aged(session),
            None => Held::Absent,
        }
    }

    /// Whether the session was read, or the notifications were known to be complete, recently
    /// enough.
    fn is_current(&self, session: &Session, rules: &SessionRules, now: Moment) -> bool {
        let read = session.as_of().as_millis();
        let notified_since = self.notified_since.load(Ordering::Acquire);
        let sure = match notified_since {
            NEVER => read,
            // An earlier change may have been missed.
            notified_since if read <= notified_since => return false,
            _ => read.max(self.notified_until.load(Ordering::Acquire)),
        };
        now.steady.millis_since(SteadyTime::from_millis(sure)) <= rules.terms().recheck_ms
    }

    /// Whether a session may still be trusted if the store could not be asked again: for as long as
    /// a list of the same age would be, but no shorter than without a re-read. It does not matter
    /// whether other parts of the store can be reached.
    pub(in crate::gate) fn is_believed(
        &self,
        session: &Session,
        rules: &SessionRules,
        age_max_ms: u64,
        now: Moment,
    ) -> bool {
        let believed_ms = age_max_ms.max(rules.terms().recheck_ms).saturating_add(REREAD_MS);
        let is_within = |sure: SteadyTime| now.steady.millis_since(sure) <= believed_ms;
        is_within(session.as_of()) || is_within(self.sure_until(session))
    }

    /// Until when a session is known to be unchanged.
    fn sure_until(&self, session: &Session) -> SteadyTime {
        let read = session.as_of().as_millis();
        let before = self.notified_before.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (
            self.notified_since.load(Ordering::Acquire),
            self.notified_until.load(Ordering::Acquire),
        );
        let mut spans = before.iter().chain(std::iter::once(&now)).rev();
        let span = spans.find(|(since, _)| *since != NEVER && *since < read);
        SteadyTime::from_millis(span.map_or(read, |(_, until)| read.max(*until)))
    }

    /// Adds a session. The feed is the only writer.
    pub fn publish(&self, session: Arc<Session>) {
        self.sessions.insert(session.id(), session);
    }

    /// Notes that a session has changed or ended. The entry then only says whose it was, so that a
    /// refusal can give the reason.
    pub fn changed(&self, id: &SessionId) {
        if let Some(session) = self.sessions.get(id) {
            session.has_changed();
        }
    }

    /// Notes the same for all sessions that are revoked now, because a revocation is about to be
    /// lifted.
    pub fn cut_off_changed(&self, list: &RevocationList, now: Moment) {
        for (_, session) in &self.sessions {
            if session.authentic().is_revoked(list, now) {
                session.has_changed();
            }
        }
    }

    /// From `at` on the store notifies us of every change; earlier changes may have been missed.
    pub fn notified_from(&self, at: SteadyTime) {
        let mut before = self.notified_before.lock().unwrap_or_else(PoisonError::into_inner);
        let since = self.notified_since.load(Ordering::Acquire);
        if since != NEVER {
            before.push_back((since, self.notified_until.load(Ordering::Acquire)));
        }
        if before.len() > NOTIFIED_BEFORE_MAX {
            before.pop_front();
        }
        self.notified_until.store(0, Ordering::Release);
        self.notified_since.store(at.as_millis(), Ordering::Release);
    }

    /// Every change until `at` has been reported.
    pub fn notified_until(&self, at: SteadyTime) {
        self.notified_until.store(at.as_millis(), Ordering::Release);
    }

    /// Since when a silent gateway may have used sessions; `None` if there is none.
    pub fn silent_gateway_since(&self, since: Option<UnixTime>) {
        let seconds = since.map_or(i64::MAX, UnixTime::as_seconds);
        self.silent_gateway_since.store(seconds, Ordering::Relaxed);
    }

    /// Whether a session that seems to have passed its idle timeout may have been used in time.
    pub(in crate::gate) fn may_have_been_used(&self, session: &Session) -> bool {
        session.idle_ends().as_seconds() >= self.silent_gateway_since.load(Ordering::Relaxed)
    }

    /// About how many sessions are held. Not for the hot path.
    pub fn entries(&self) -> u64 {
        self.sessions.run_pending_tasks();
        self.sessions.entry_count()
    }
}

struct UntilEnd;

impl moka::Expiry<SessionId, Arc<Session>> for UntilEnd {
    fn expire_after_create(
        &self,
        _: &SessionId,
        session: &Arc<Session>,
        _: Instant,
    ) -> Option<Duration> {
        let rest_s = session.authentic().end().since(session.last_seen());
        Some(Duration::from_secs(u64::try_from(rest_s).unwrap_or(0).max(1)))
    }

    fn expire_after_update(
        &self,
        id: &SessionId,
        session: &Arc<Session>,
        at: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(id, session, at)
    }
}
