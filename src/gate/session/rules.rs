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
    /// The idle timeout of a session, in seconds.
    pub idle_max_s: i64,
    /// The longest lifetime of a session, in seconds.
    pub lifetime_max_s: i64,
    /// The longest lifetime of anything that comes from a login, including its refresh tokens, in
    /// seconds.
    pub outlived_s: i64,
    /// The longest lifetime of an API key, in seconds.
    pub api_key_lifetime_max_s: i64,
    /// How old the known state of a session may be before it is read again, in milliseconds.
    pub recheck_ms: u64,
    /// Other sites whose pages may send requests with the cookie.
    pub origins: Origins,
    /// Claims that routes or internal tokens use, by name or JSON pointer.
    pub asked_claims: Vec<Box<str>>,
    /// The headers that say who the caller is.
    pub identity: Arc<IdentityTemplate>,
    /// The maximum length of these headers together, in bytes.
    pub identity_bytes_max: usize,
}

impl SessionTerms {
    /// Whether both build the same sessions.
    fn builds_as(&self, other: &Self) -> bool {
        self.idle_max_s == other.idle_max_s
            && self.lifetime_max_s == other.lifetime_max_s
            && self.api_key_lifetime_max_s == other.api_key_lifetime_max_s
            && self.identity_bytes_max == other.identity_bytes_max
            && self.asked_claims == other.asked_claims
            && self.identity == other.identity
    }

    /// For how long after a moment anything that began before it can still be accepted, API keys
    /// included, in seconds. It allows for the clock difference between gateways.
    pub fn reach_s(&self) -> i64 {
        self.outlived_s.max(self.api_key_lifetime_max_s).saturating_add(2 * GATEWAYS_APART_S)
    }

    /// Until when the revocation of a login that exists at `now` must be remembered. Logins end
    /// often, and are forgotten sooner than API keys.
    pub fn forgotten_at(&self, now: UnixTime) -> UnixTime {
        now.plus(self.outlived_s.saturating_add(2 * GATEWAYS_APART_S))
    }
}

/// Distinguishes rules: sessions built with others are built again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RulesId(u64);

impl SessionRules {
    /// New rules. They keep the identity of `previous` if both build the same sessions.
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
