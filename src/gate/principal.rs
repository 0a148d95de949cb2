//! The rungs between a credential and a permit.
//!
//! An [`Authentic`] may be cached; a [`Principal`] never is: time and revocation are asked again
//! on every request.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::claims::{Claims, Subject};
use super::denial::Slug;
use super::forward::Identity;
use super::issuer::{Issuer, IssuerId};
use super::time::UnixTime;

/// A credential whose signature, type, issuer, audience and lifetime hold. Built by the verifier
/// only; says nothing about now.
#[derive(Debug)]
pub struct Authentic {
    issuer: IssuerId,
    issuer_name: Box<str>,
    key_generation: u64,
    clock_skew_s: i64,
    verified_at: UnixTime,
    claims: Claims,
    identity: Identity,
}

impl Authentic {
    pub(super) fn new(
        issuer: &Issuer,
        key_generation: u64,
        claims: Claims,
        all: &Map<String, Value>,
        verified_at: UnixTime,
    ) -> Self {
        let rules = issuer.rules();
        Self {
            issuer: issuer.id(),
            issuer_name: rules.name.clone(),
            key_generation,
            clock_skew_s: rules.clock_skew_s,
            verified_at,
            identity: rules.identity.render(&rules.issuer, &claims, all),
            claims,
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

    /// Seconds from its verification to the last moment at which it can be admitted.
    pub(super) fn seconds_left_when_verified(&self) -> u64 {
        let end = self.claims.expires.plus(self.clock_skew_s);
        u64::try_from(end.since(self.verified_at)).unwrap_or(0)
    }

    /// Roughly what it occupies, in bytes.
    pub(super) fn weight(&self) -> usize {
        let lists = [&self.claims.scopes, &self.claims.roles];
        let texts = lists.into_iter().flatten().map(|text| 16 + text.len()).sum::<usize>();
        size_of::<Self>() + texts + self.identity.weight() + 64 * self.claims.asked.len()
    }
}

/// An [`Authentic`] that is current (and, once there is a revocation list, not revoked).
#[derive(Clone, Debug)]
pub struct Principal(Arc<Authentic>);

impl Principal {
    /// Asks the questions whose answers change with time.
    ///
    /// # Errors
    ///
    /// [`Slug::TokenExpired`] from `exp` plus the clock skew on (RFC 7519 §4.1.4),
    /// [`Slug::TokenNotYetValid`] while `nbf` or `iat` lie further ahead than the skew.
    pub fn admit(authentic: Arc<Authentic>, now: UnixTime) -> Result<Self, Slug> {
        let skew_s = authentic.clock_skew_s;
        let claims = &authentic.claims;
        if now >= claims.expires.plus(skew_s) {
            return Err(Slug::TokenExpired);
        }
        let latest = now.plus(skew_s);
        let ahead = |date: Option<UnixTime>| date.is_some_and(|date| date > latest);
        if ahead(claims.not_before) || ahead(claims.issued_at) {
            return Err(Slug::TokenNotYetValid);
        }
        Ok(Self(authentic))
    }

    /// Who it is.
    pub fn subject(&self) -> &Subject {
        &self.0.claims.subject
    }

    /// The configured name of the issuer.
    pub fn issuer_name(&self) -> &str {
        &self.0.issuer_name
    }

    /// `jti`, if the token has one.
    pub fn token_id(&self) -> Option<&str> {
        self.0.claims.token_id.as_deref()
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
