//! The rungs between a credential and a permit.
//!
//! An [`Authentic`] may be cached; a [`Principal`] never is: time and revocation are asked again
//! on every request.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::{Map, Value};

use super::claims::{Claims, Subject};
use super::denial::Slug;
use super::forward::Identity;
use super::issuer::{Issuer, IssuerId};
use super::revocation::{Marks, NO_GENERATION, Revocation, RevocationList};
use super::time::{Moment, UnixTime};

/// A credential whose signature, type, issuer, audience and lifetime hold. Built by the verifier
/// only; says nothing about now.
#[derive(Debug)]
pub struct Authentic {
    issuer: IssuerId,
    key_generation: u64,
    clock_skew_s: i64,
    verified_at: UnixTime,
    claims: Claims,
    identity: Identity,
    marks: Marks,
    /// The generation of the revocation list at which it was last found clear.
    clear_at: AtomicU64,
}

impl Authentic {
    pub(super) fn new(
        issuer: &Issuer,
        key_generation: u64,
        claims: Claims,
        marks: Marks,
        all: &Map<String, Value>,
        verified_at: UnixTime,
    ) -> Self {
        let rules = issuer.rules();
        Self {
            issuer: issuer.id(),
            key_generation,
            clock_skew_s: rules.clock_skew_s,
            verified_at,
            identity: rules.identity.render(&rules.issuer, &claims, all),
            claims,
            marks,
            clear_at: AtomicU64::new(NO_GENERATION),
        }
    }

    /// Who issued it.
    pub fn issuer(&self) -> IssuerId {
        self.issuer
    }

    /// The generation of the issuer's keys that verified it.
    pub(super) fn key_generation(&self) -> u64 {
        self.key_generation
    }

    /// From when on it cannot be admitted: `exp` plus the clock skew.
    pub fn end(&self) -> UnixTime {
        self.claims.expires.plus(self.clock_skew_s)
    }

    /// Who it is about.
    pub fn subject(&self) -> &Subject {
        &self.claims.subject
    }

    /// `jti`, if the token has one.
    pub fn token_id(&self) -> Option<&str> {
        self.claims.token_id.as_deref()
    }

    /// Whether it is cut off, by a list that is at most `age_max_ms` old.
    fn revocation(&self, list: &RevocationList, age_max_ms: u64, now: Moment) -> Revocation {
        // The verifier refuses tokens without `iat`; anything else without counts as the oldest.
        let issued_at = self.claims.issued_at.unwrap_or_default();
        list.find(&self.marks, issued_at, &self.clear_at, age_max_ms, now)
    }

    /// Seconds from its verification to the last moment at which it can be admitted.
    pub(super) fn seconds_left_when_verified(&self) -> u64 {
        u64::try_from(self.end().since(self.verified_at)).unwrap_or(0)
    }

    /// Roughly what it occupies, in bytes.
    pub(super) fn weight(&self) -> usize {
        let lists = [&self.claims.scopes, &self.claims.roles];
        let texts = lists.into_iter().flatten().map(|text| 16 + text.len()).sum::<usize>();
        size_of::<Self>()
            + texts
            + self.identity.weight()
            + 64 * self.claims.asked.len()
            + self.marks.weight()
    }
}

/// Why a principal no longer is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lapse {
    /// Its credential has expired.
    Expired,
    /// It was cut off.
    Revoked,
}

impl Lapse {
    /// The label value in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// What a request would now be refused with.
    pub const fn slug(self) -> Slug {
        match self {
            Self::Expired => Slug::TokenExpired,
            Self::Revoked => Slug::TokenRevoked,
        }
    }
}

/// An [`Authentic`] that is current and not revoked.
#[derive(Clone, Debug)]
pub struct Principal(Arc<Authentic>);

impl Principal {
    /// Asks the questions whose answers change with time. The revocation list may be up to
    /// `list_age_max_ms` old.
    ///
    /// # Errors
    ///
    /// [`Slug::TokenExpired`] from `exp` plus the clock skew on (RFC 7519 §4.1.4),
    /// [`Slug::TokenNotYetValid`] while `nbf` or `iat` lie further ahead than the skew,
    /// [`Slug::TokenRevoked`] if it is cut off, and [`Slug::RevocationStale`] if the list is too
    /// old to say.
    pub fn admit(
        authentic: Arc<Authentic>,
        list: &RevocationList,
        list_age_max_ms: u64,
        now: Moment,
    ) -> Result<Self, Slug> {
        let skew_s = authentic.clock_skew_s;
        let claims = &authentic.claims;
        if now.wall >= authentic.end() {
            return Err(Slug::TokenExpired);
        }
        let latest = now.wall.plus(skew_s);
        let ahead = |date: Option<UnixTime>| date.is_some_and(|date| date > latest);
        if ahead(claims.not_before) || ahead(claims.issued_at) {
            return Err(Slug::TokenNotYetValid);
        }
        match authentic.revocation(list, list_age_max_ms, now) {
            Revocation::Clear => Ok(Self(authentic)),
            Revocation::Revoked => Err(Slug::TokenRevoked),
            Revocation::Unknown => Err(Slug::RevocationStale),
        }
    }

    /// Whether it would still be one at `now`: why not, if not. A list that is too old to say is no
    /// reason to end what was permitted.
    pub fn lapsed(&self, list: &RevocationList, now: Moment) -> Option<Lapse> {
        if now.wall >= self.0.end() {
            return Some(Lapse::Expired);
        }
        match self.0.revocation(list, u64::MAX, now) {
            Revocation::Revoked => Some(Lapse::Revoked),
            Revocation::Clear | Revocation::Unknown => None,
        }
    }

    /// Who it is.
    pub fn subject(&self) -> &Subject {
        &self.0.claims.subject
    }

    /// The granted scopes.
    pub fn scopes(&self) -> &[Box<str>] {
        &self.0.claims.scopes
    }

    /// The held roles.
    pub fn roles(&self) -> &[Box<str>] {
        &self.0.claims.roles
    }

    /// The claim at a path that some route asks for.
    pub fn claim(&self, path: &str) -> Option<&Value> {
        self.0.claims.asked(path)
    }

    /// The headers that tell the upstream who it is.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }
}
