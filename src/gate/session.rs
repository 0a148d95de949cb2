//! A login's server-side life, as the gate sees it: a cookie leads to a session in memory, and that
//! to an [`Authentic`] like any token's.
//!
//! The browser holds a [`SessionSecret`]; everything else knows the session by its [`SessionId`],
//! the secret's SHA-256, from which nobody gets back.

mod api_key;
mod cookie;
mod csrf;
mod id;
mod table;
mod tag;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use serde_json::{Map, Value};

use super::forward::IdentityTemplate;
use super::principal::{Authentic, GATEWAYS_APART_S};
use super::time::{SteadyTime, UnixTime};

pub use api_key::{ApiKey, PREFIX as API_KEY_PREFIX};
pub use cookie::{
    Ambiguous, CookieRules, REFRESH_COOKIE, SameSite, SetBy, cookie_value, sets_cookie,
    without_cookie,
};
pub use csrf::{Origin, Origins};
pub use id::{SessionId, SessionSecret};
pub use table::{Held, SessionTable};
pub use tag::{Provenance, SecretKind, TAG_KEY_BYTES, TagKey, TagKeyCell};

/// What a session is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// Of a login, whose secret a cookie carries.
    Login,
    /// Of a login of which tokens came, which may outlive a cookie, if there is one.
    Tokens,
    /// Of an API key: it was made by an operator, does not rest, and lives for as long as the key.
    ApiKey,
}

/// What a login established. It does not change: who gets other rights gets another session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// What it is of.
    pub kind: SessionKind,
    /// Who logged in.
    pub subject: Box<str>,
    /// Who vouches for that: what `iss` is to a token.
    pub issuer: Box<str>,
    /// How: `password`, `handoff`, `api_key`.
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
    /// What people call it: the name of an API key.
    pub label: Box<str>,
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
#[derive(Clone, Debug, PartialEq)]
pub struct SessionTerms {
    /// The cookie that carries the secret.
    pub cookie: CookieRules,
    /// How long a session may rest, in seconds.
    pub idle_max_s: i64,
    /// How long it lives at most, in seconds.
    pub lifetime_max_s: i64,
    /// How long anything that comes of a login lives at most, its refresh tokens included, in
    /// seconds.
    pub outlived_s: i64,
    /// How long an API key lives at most, in seconds.
    pub api_key_lifetime_max_s: i64,
    /// How old what is known of a session may be before it is read again, in milliseconds.
    pub recheck_ms: u64,
    /// Other sites whose pages may send requests with the cookie.
    pub origins: Origins,
    /// Claims that routes ask for, by name or JSON pointer.
    pub asked_claims: Vec<Box<str>>,
    /// The headers that say who the caller is.
    pub identity: Arc<IdentityTemplate>,
    /// How long these headers may be together, in bytes.
    pub identity_bytes_max: usize,
}

impl SessionTerms {
    /// Whether the same sessions come of both.
    fn builds_as(&self, other: &Self) -> bool {
        self.idle_max_s == other.idle_max_s
            && self.lifetime_max_s == other.lifetime_max_s
            && self.api_key_lifetime_max_s == other.api_key_lifetime_max_s
            && self.identity_bytes_max == other.identity_bytes_max
            && self.asked_claims == other.asked_claims
            && self.identity == other.identity
    }

    /// How long after a moment anything can still be accepted that was begun until then, an API key
    /// included, in seconds, by gateways whose clocks are apart.
    pub fn reach_s(&self) -> i64 {
        self.outlived_s.max(self.api_key_lifetime_max_s).saturating_add(2 * GATEWAYS_APART_S)
    }

    /// Until when a login that is there `now` must be remembered as cut off. Logins end often, and
    /// are forgotten sooner than API keys.
    pub fn forgotten_at(&self, now: UnixTime) -> UnixTime {
        now.plus(self.outlived_s.saturating_add(2 * GATEWAYS_APART_S))
    }
}

/// How old what is written of a session's last use may become while it is used, in seconds.
const TOUCH_MAX_S: i64 = 3600;

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
    /// What tells secrets of ours from made-up ones, shared likewise.
    pub tags: Arc<TagKeyCell>,
}

impl Sessions {
    /// The session whose cookie this is, if a gateway of this store made it: not if somebody else
    /// did, however well it is spelt.
    pub fn made_here(&self, secret: &SessionSecret) -> Option<SessionId> {
        (secret.provenance(&self.tags) == Provenance::Ours).then(|| secret.id())
    }
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
        let terms = &rules.terms;
        let record = &stored.record;
        // Rules that became stricter since the login hold for it, too.
        let (lifetime_max_s, idle_s) = match record.kind {
            SessionKind::Login | SessionKind::Tokens => {
                (terms.lifetime_max_s, record.idle_s.min(terms.idle_max_s))
            }
            SessionKind::ApiKey => (terms.api_key_lifetime_max_s, record.idle_s),
        };
        Self::within(id, stored, rules, as_of, (lifetime_max_s, idle_s))
    }

    /// The same for all that came of a login: refresh tokens may live on when its cookie does not.
    pub fn compile_login(
        id: SessionId,
        stored: &StoredSession,
        rules: &SessionRules,
        as_of: SteadyTime,
    ) -> Self {
        match stored.record.kind {
            SessionKind::Login | SessionKind::ApiKey => Self::compile(id, stored, rules, as_of),
            SessionKind::Tokens => {
                let bounds = (rules.terms.outlived_s, stored.record.idle_s);
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
            rules: rules.id,
            authentic: Arc::new(Authentic::of_session(id, record, ends, &rules.terms)),
            idle_s,
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
    /// so: once in a tenth of the time that it may rest, and at least once in an hour.
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
