//! The caller of a request: an [`Authentic`] that is valid now. It is never cached: time and
//! revocation are checked on every request.

use std::sync::Arc;

use serde_json::Value;

use super::authentic::Authentic;
use super::claims::{Claims, Subject};
use super::credential::Carrier;
use super::denial::{Denial, Slug};
use super::forward::Identity;
use super::lapse::Lapse;
use super::reason::span;
use super::revocation::{Revocation, RevocationList};
use super::time::Moment;

/// An [`Authentic`] that is current and not revoked.
#[derive(Clone, Debug)]
pub struct Principal(Arc<Authentic>);

impl Principal {
    /// Checks what changes with time. The revocation list may be up to `list_age_max_ms` old.
    ///
    /// # Errors
    ///
    /// [`Slug::TokenExpired`] from `exp` plus the clock skew on (RFC 7519 §4.1.4),
    /// [`Slug::TokenNotYetValid`] while `nbf` or `iat` lie further ahead than the skew,
    /// [`Slug::TokenRevoked`] if it is revoked, and [`Slug::RevocationStale`] if the list is too
    /// old to decide. The same for sessions with [`Slug::SessionExpired`] and
    /// [`Slug::SessionRevoked`], and for API keys.
    pub fn admit(
        authentic: Arc<Authentic>,
        list: &RevocationList,
        list_age_max_ms: u64,
        now: Moment,
    ) -> Result<Self, Denial> {
        let (claims, time) = (authentic.claims(), authentic.time(now));
        if time >= authentic.end() {
            return Err(authentic.expired(time));
        }
        if let Some(ahead_s) = authentic.clock_ahead_s() {
            let latest = time.plus(ahead_s);
            for (name, date) in [("nbf", claims.not_before), ("iat", claims.issued_at)] {
                if let Some(date) = date.filter(|date| *date > latest) {
                    return Err(not_yet_valid(name, date.since(time), ahead_s));
                }
            }
        }
        match authentic.revocation(list, list_age_max_ms, now) {
            Revocation::Clear => Ok(Self(authentic)),
            Revocation::Revoked => Err(authentic.revoked(list)),
            Revocation::Unknown => Err(Slug::RevocationStale.into()),
        }
    }

    /// Why the principal is no longer valid at `now`; `None` if it still is. A list that is too old
    /// does not end what was permitted.
    pub fn lapsed(&self, list: &RevocationList, now: Moment) -> Option<Lapse> {
        if self.0.time(now) >= self.0.end() {
            return Some(Lapse::Expired);
        }
        match self.0.revocation(list, u64::MAX, now) {
            Revocation::Revoked => Some(Lapse::Revoked),
            Revocation::Clear | Revocation::Unknown => None,
        }
    }

    /// The verified credential.
    pub fn authentic(&self) -> &Arc<Authentic> {
        &self.0
    }

    /// The carrier of its credential.
    pub fn carrier(&self) -> Carrier {
        self.0.carrier()
    }

    /// The subject.
    pub fn subject(&self) -> &Subject {
        self.0.subject()
    }

    /// The claims of its credential that are kept.
    pub fn claims(&self) -> &Claims {
        self.0.claims()
    }

    /// The granted scopes.
    pub fn scopes(&self) -> &[Box<str>] {
        &self.0.claims().scopes
    }

    /// The held roles.
    pub fn roles(&self) -> &[Box<str>] {
        &self.0.claims().roles
    }

    /// The claim at a path that some route or internal token uses.
    pub fn claim(&self, path: &str) -> Option<&Value> {
        self.0.claims().asked(path)
    }

    /// The headers that tell the upstream who it is.
    pub fn identity(&self) -> &Identity {
        self.0.identity()
    }
}

/// The refusal of a token whose claim `name` lies in the future.
fn not_yet_valid(name: &'static str, by_s: i64, clock_ahead_s: i64) -> Denial {
    let (by, tolerated) = (span(by_s), span(clock_ahead_s));
    let reason =
        format!("the claim `{name}` lies {by} in the future, and at most {tolerated} is tolerated");
    let explanation = format!("the claim `{name}` lies in the future");
    Denial::new(Slug::TokenNotYetValid).explained(explanation).because(reason)
}
