//! The rules for sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cookie::CookieRules;
use super::origins::Origins;
use crate::gate::forward::IdentityTemplate;
use crate::gate::time::{GATEWAYS_APART_S, UnixTime};

/// The rules for sessions, compiled from `sessions`.
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

/// Tells rules apart: what was built by others is built anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RulesId(u64);

impl SessionRules {
    /// Rules by which nothing was built yet, unless those before them would have built the same.
    pub fn new(terms: SessionTerms, previous: Option<&Self>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let alike = previous.filter(|previous| previous.terms.builds_as(&terms));
        let id = alike.map(|previous| previous.id);
        Self { id: id.unwrap_or_else(|| RulesId(NEXT.fetch_add(1, Ordering::Relaxed))), terms }
    }

    /// Their identity within this process.
    pub(super) fn id(&self) -> RulesId {
        self.id
    }

    /// The terms.
    pub fn terms(&self) -> &SessionTerms {
        &self.terms
    }
}
