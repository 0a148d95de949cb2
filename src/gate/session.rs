//! A login's server-side life, as the gate sees it: a cookie leads to a session in memory, and that
//! to an [`Authentic`] like any token's.
//!
//! The browser holds a [`SessionSecret`]; everything else knows the session by its [`SessionId`],
//! the secret's SHA-256, from which nobody gets back.

mod cookie;
mod csrf;
mod id;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use serde_json::{Map, Value};

use super::forward::IdentityTemplate;
use super::principal::{Authentic, GATEWAYS_APART_S};
use super::time::{SteadyTime, UnixTime};

pub use cookie::{Ambiguous, CookieRules, SameSite, SetBy};
pub use csrf::{Origin, Origins};
pub use id::{SessionId, SessionSecret};
pub use table::{Held, SessionTable};

/// What a login established. It does not change: who gets other rights gets another session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// Who logged in.
    pub subject: Box<str>,
    /// Who vouches for that: what `iss` is to a token.
    pub issuer: Box<str>,
    /// How: `password`, `handoff`.
    pub method: Box<str>,
    /// The roles.
    pub roles: Vec<Box<str>>,
    /// The scopes.
    pub scopes: Vec<Box<str>>,
    /// Anything else that is known of the subject.
    pub claims: Map<String, Value>,
    /// When.
    pub created: UnixTime,
    /// When it ends, however busy it is.
    pub ends: UnixTime,
    /// How long it may rest, in seconds.
    pub idle_s: i64,
    /// What it shares with the sessions that it took the place of: the id of the first.
    pub family: Box<str>,
    /// `User-Agent` at login, cut short.
    pub user_agent: Box<str>,
    /// The client's address at login.
    pub address: Box<str>,
}

/// A session as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSession {
    /// What the login established.
    pub record: SessionRecord,
    /// When it was last used, as far as that was written down.
    pub last_seen: UnixTime,
}

/// What sessions must be like, compiled from `sessions`.
#[derive(Debug)]
pub struct SessionRules {
    id: RulesId,
    terms: SessionTerms,
}

/// The contents of [`SessionRules`].
#[derive(Debug, PartialEq)]
pub struct SessionTerms {
    /// The cookie that carries the secret.
    pub cookie: CookieRules,
    /// How long a session may rest, in seconds.
    pub idle_max_s: i64,
    /// How long it lives at most, in seconds.
    pub lifetime_max_s: i64,
    /// How old what is known of a session may be before it is read again, in milliseconds.
    pub recheck_ms: u64,
    /// Other sites whose pages may send requests with the cookie.
    pub origins: Origins,
    /// Claims that routes ask for, by name or JSON pointer.
    pub asked_claims: Vec<Box<str>>,
    /// The headers that say who the caller is.
    pub identity: Arc<IdentityTemplate>,
}

impl SessionTerms {
    /// Whether the same sessions come of both.
    fn builds_as(&self, other: &Self) -> bool {
        self.idle_max_s == other.idle_max_s
            && self.lifetime_max_s == other.lifetime_max_s
            && self.asked_claims == other.asked_claims
            && self.identity == other.identity
    }

    /// How long after a moment a session can still be accepted that was begun until then, in
    /// seconds, by gateways whose clocks are apart.
    pub fn reach_s(&self) -> i64 {
        self.lifetime_max_s.saturating_add(2 * GATEWAYS_APART_S)
    }

    /// Until when a session that is there `now` must be remembered as cut off.
    pub fn forgotten_at(&self, now: UnixTime) -> UnixTime {
        now.plus(self.reach_s())
    }
}

/// Tells rules apart: what was built by others is built anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RulesId(u64);

impl SessionRules {
    /// Rules by which nothing was built yet, unless those before them would have built the same.
    pub fn new(terms: SessionTerms, previous: Option<&Self>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let alike = previous.filter(|previous| previous.terms.builds_as(&terms));
        let id = alike.map(|previous| previous.id);
        Self { id: id.unwrap_or_else(|| RulesId(NEXT.fetch_add(1, Ordering::Relaxed))), terms }
    }

    /// What they say.
    pub fn terms(&self) -> &SessionTerms {
        &self.terms
    }
}

/// The sessions of one configuration.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// What they must be like.
    pub rules: Arc<SessionRules>,
    /// Those in memory, shared by all configurations of the process.
    pub table: Arc<SessionTable>,
}

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
    /// The session that `stored` is under `rules`, as read at `as_of`.
    pub fn compile(
        id: SessionId,
        stored: &StoredSession,
        rules: &SessionRules,
        as_of: SteadyTime,
    ) -> Self {
        let StoredSession { record, last_seen } = stored;
        let SessionTerms { idle_max_s, lifetime_max_s, .. } = rules.terms;
        // Rules that became stricter since the login hold for it, too.
        let ends = record.ends.min(record.created.plus(lifetime_max_s));
        Self {
            id,
            rules: rules.id,
            authentic: Arc::new(Authentic::of_session(id, record, ends, &rules.terms)),
            idle_s: record.idle_s.min(idle_max_s),
            last_seen_s: AtomicI64::new(last_seen.as_seconds()),
            as_of,
            is_changed: AtomicBool::new(false),
        }
    }

    /// By what everybody but the browser knows it.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whose it is.
    pub fn authentic(&self) -> &Arc<Authentic> {
        &self.authentic
    }

    /// When it ends unless it is used.
    pub fn idle_ends(&self) -> UnixTime {
        self.last_seen().plus(self.idle_s)
    }

    /// When it was last used, as far as this gateway has written down or read.
    pub fn last_seen(&self) -> UnixTime {
        UnixTime::from_seconds(self.last_seen_s.load(Ordering::Relaxed))
    }

    /// Notes that it was used at `seen`, if that was later than what is known.
    pub fn was_seen(&self, seen: UnixTime) {
        self.last_seen_s.fetch_max(seen.as_seconds(), Ordering::Relaxed);
    }

    /// Notes that it is used at `now`. `true` if that has to be written down, by whoever is told
    /// so: once in a tenth of the time that it may rest.
    pub fn touch(&self, now: UnixTime) -> bool {
        let last_s = self.last_seen_s.load(Ordering::Relaxed);
        let now_s = now.as_seconds();
        let is_due = now_s.saturating_sub(last_s) >= (self.idle_s / 10).max(1);
        is_due
            && self
                .last_seen_s
                .compare_exchange(last_s, now_s, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Notes that it is no longer what is stored.
    fn has_changed(&self) {
        self.is_changed.store(true, Ordering::Release);
    }

    /// Whether it is no longer what is stored.
    pub fn is_changed(&self) -> bool {
        self.is_changed.load(Ordering::Acquire)
    }

    /// Roughly what it occupies, in bytes.
    fn weight(&self) -> usize {
        size_of::<Self>() + self.authentic.weight()
    }
}

#[cfg(test)]
mod tests;
