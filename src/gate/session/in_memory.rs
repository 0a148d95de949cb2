//! A session in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::id::SessionId;
use super::record::{SessionKind, StoredSession};
use super::rules::{RulesId, SessionRules};
use crate::gate::authentic::Authentic;
use crate::gate::time::{SteadyTime, UnixTime};

/// How old the stored time of a session's last use may become while it is used, in seconds.
const TOUCH_MAX_S: i64 = 3600;

/// A session in memory.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    rules: RulesId,
    authentic: Arc<Authentic>,
    idle_s: i64,
    last_seen_s: AtomicI64,
    as_of: SteadyTime,
    is_changed: AtomicBool,
}

impl Session {
    /// The session in `stored`, under `rules`, as read at `as_of`.
    pub fn compile(
        id: SessionId,
        stored: &StoredSession,
        rules: &SessionRules,
        as_of: SteadyTime,
    ) -> Self {
        let terms = rules.terms();
        let record = &stored.record;
        // Rules that became stricter since the login also apply to it.
        let (lifetime_max_s, idle_s) = match record.kind {
            SessionKind::Login(_) | SessionKind::Tokens(_) => {
                (terms.lifetime_max_s, record.idle_s.min(terms.idle_max_s))
            }
            SessionKind::ApiKey(_) => (terms.api_key_lifetime_max_s, record.idle_s),
        };
        Self::within(id, stored, rules, as_of, (lifetime_max_s, idle_s))
    }

    /// The same for the whole login: its refresh tokens may outlive its cookie.
    pub fn compile_login(
        id: SessionId,
        stored: &StoredSession,
        rules: &SessionRules,
        as_of: SteadyTime,
    ) -> Self {
        match stored.record.kind {
            SessionKind::Login(_) | SessionKind::ApiKey(_) => {
                Self::compile(id, stored, rules, as_of)
            }
            SessionKind::Tokens(_) => {
                let bounds = (rules.terms().outlived_s, stored.record.idle_s);
                Self::within(id, stored, rules, as_of, bounds)
            }
        }
    }

    fn within(
        id: SessionId,
        stored: &StoredSession,
        rules: &SessionRules,
        as_of: SteadyTime,
        (lifetime_max_s, idle_s): (i64, i64),
    ) -> Self {
        let StoredSession { record, last_seen } = stored;
        let ends = record.ends.min(record.created.plus(lifetime_max_s));
        Self {
            id,
            rules: rules.id(),
            authentic: Arc::new(Authentic::of_session(id, record, ends, rules.terms())),
            idle_s,
            last_seen_s: AtomicI64::new(last_seen.as_seconds()),
            as_of,
            is_changed: AtomicBool::new(false),
        }
    }

    /// When it was read.
    pub(super) fn as_of(&self) -> SteadyTime {
        self.as_of
    }

    /// The rules that it was built with.
    pub(super) fn rules(&self) -> RulesId {
        self.rules
    }

    /// The id by which everything but the browser knows it.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Its identity.
    pub fn authentic(&self) -> &Arc<Authentic> {
        &self.authentic
    }

    /// When its idle timeout ends it unless it is used.
    pub fn idle_ends(&self) -> UnixTime {
        self.last_seen().plus(self.idle_s)
    }

    /// When it was last used, as far as this gateway has recorded or read.
    pub fn last_seen(&self) -> UnixTime {
        UnixTime::from_seconds(self.last_seen_s.load(Ordering::Relaxed))
    }

    /// Notes a use at `seen`, if that is later than the last known use.
    pub fn was_seen(&self, seen: UnixTime) {
        self.last_seen_s.fetch_max(seen.as_seconds(), Ordering::Relaxed);
    }

    /// Notes a use at `now`. Returns `true` if the caller has to write it to the store: once in a
    /// tenth of the idle timeout, and at least once in an hour.
    pub fn touch(&self, now: UnixTime) -> bool {
        let last_s = self.last_seen_s.load(Ordering::Relaxed);
        let now_s = now.as_seconds();
        let is_due = now_s.saturating_sub(last_s) >= (self.idle_s / 10).clamp(1, TOUCH_MAX_S);
        is_due
            && self
                .last_seen_s
                .compare_exchange(last_s, now_s, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Notes that it differs from what is stored.
    pub(super) fn has_changed(&self) {
        self.is_changed.store(true, Ordering::Release);
    }

    /// Whether it differs from what is stored.
    pub fn is_changed(&self) -> bool {
        self.is_changed.load(Ordering::Acquire)
    }

    /// Roughly what it occupies, in bytes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.authentic.weight()
    }
}
