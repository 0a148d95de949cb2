//! The rungs between a credential and a permit.
//!
//! An [`Authentic`] may be cached; a [`Principal`] never is: time and revocation are asked again
//! on every request.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::{Map, Value};

use super::claims::{Claims, Subject};
use super::credential::Carrier;
use super::denial::Slug;
use super::forward::Identity;
use super::issuer::{Issuer, IssuerId};
use super::revocation::{Marks, NO_GENERATION, Revocable, Revocation, RevocationList};
use super::session::{SessionId, SessionRecord, SessionTerms};
use super::time::{Moment, UnixTime};

/// How far the clocks of gateways may be apart, in seconds.
pub(super) const GATEWAYS_APART_S: i64 = 300;

/// A credential whose signature, type, issuer, audience and lifetime hold. Built by the verifier
/// only; says nothing about now.
#[derive(Debug)]
pub struct Authentic {
    source: Source,
    claims: Claims,
    identity: Identity,
    marks: Marks,
    /// The generation of the revocation list at which it was last found clear.
    clear_at: AtomicU64,
}

/// What vouches for an [`Authentic`].
#[derive(Debug)]
enum Source {
    /// A signature.
    Token { issuer: IssuerId, key_generation: u64, clock_skew_s: i64, verified_at: UnixTime },
    /// The store, with what stands for an issuer.
    Session { issuer: Box<str> },
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
            source: Source::Token {
                issuer: issuer.id(),
                key_generation,
                clock_skew_s: rules.clock_skew_s,
                verified_at,
            },
            identity: rules.identity.render(&rules.issuer, &claims, all, None),
            claims,
            marks,
            clear_at: AtomicU64::new(NO_GENERATION),
        }
    }

    /// What a login established, in a session that ends at `ends`.
    pub(super) fn of_session(
        id: SessionId,
        record: &SessionRecord,
        ends: UnixTime,
        terms: &SessionTerms,
    ) -> Self {
        let id = id.to_string();
        let claims = Claims::of_session(record, ends, &terms.asked_claims);
        let marks = Marks::of(Revocable {
            issuer: &record.issuer,
            subject: &record.subject,
            token_id: None,
            session_id: Some(&id),
            client_id: None,
            key_id: None,
        });
        Self {
            source: Source::Session { issuer: record.issuer.clone() },
            identity: terms.identity.render(&record.issuer, &claims, &record.claims, Some(&id)),
            claims,
            marks,
            clear_at: AtomicU64::new(NO_GENERATION),
        }
    }

    /// The headers that tell the upstream who it is.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What carried it.
    pub fn carrier(&self) -> Carrier {
        match self.source {
            Source::Token { .. } => Carrier::Bearer,
            Source::Session { .. } => Carrier::Session,
        }
    }

    /// What vouches for a session's subject; for a token it is its issuer.
    pub fn session_issuer(&self) -> Option<&str> {
        match &self.source {
            Source::Token { .. } => None,
            Source::Session { issuer } => Some(issuer),
        }
    }

    /// Whether this issuer issued it, and these keys of it verified it.
    pub(super) fn is_by(&self, by: IssuerId, generation: u64) -> bool {
        match self.source {
            Source::Token { issuer, key_generation, .. } => {
                issuer == by && key_generation == generation
            }
            Source::Session { .. } => false,
        }
    }

    /// The issuer of a token.
    pub(super) fn issuer(&self) -> Option<IssuerId> {
        match self.source {
            Source::Token { issuer, .. } => Some(issuer),
            Source::Session { .. } => None,
        }
    }

    /// How far the issuer's clock may be from ours, in seconds.
    fn clock_skew_s(&self) -> i64 {
        match self.source {
            Source::Token { clock_skew_s, .. } => clock_skew_s,
            Source::Session { .. } => 0,
        }
    }

    /// From when on it cannot be admitted: a token's `exp` plus the clock skew, a session's end.
    pub fn end(&self) -> UnixTime {
        match self.source {
            Source::Token { clock_skew_s, .. } => self.claims.expires.plus(clock_skew_s),
            Source::Session { .. } => self.claims.expires,
        }
    }

    /// Whether it would be cut off, were it presented now, by a list of any age.
    pub fn is_revoked(&self, list: &RevocationList, now: Moment) -> bool {
        match self.revocation(list, u64::MAX, now) {
            Revocation::Revoked => true,
            Revocation::Clear | Revocation::Unknown => false,
        }
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
        let since = match self.source {
            Source::Token { verified_at, .. } => verified_at,
            Source::Session { .. } => self.end(),
        };
        u64::try_from(self.end().since(since)).unwrap_or(0)
    }

    /// Roughly what it occupies, in bytes.
    pub(super) fn weight(&self) -> usize {
        let lists = [&self.claims.scopes, &self.claims.roles];
        let texts = lists.into_iter().flatten().map(|text| 16 + text.len()).sum::<usize>();
        size_of::<Self>()
            + texts
            + self.identity.weight()
            + self.claims.asked.iter().map(|(_, value)| 64 + weight_of(value)).sum::<usize>()
            + self.marks.weight()
    }
}

/// Roughly what a value occupies beside itself, in bytes.
fn weight_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 32 + weight_of(item)).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| 96 + name.len() + weight_of(value)).sum()
        }
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

    /// What a request with such a credential would now be refused with.
    pub const fn slug(self, carrier: Carrier) -> Slug {
        match (self, carrier) {
            (Self::Expired, Carrier::Bearer) => Slug::TokenExpired,
            (Self::Expired, Carrier::Session) => Slug::SessionExpired,
            (Self::Revoked, Carrier::Bearer) => Slug::TokenRevoked,
            (Self::Revoked, Carrier::Session) => Slug::SessionRevoked,
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
    /// old to say. For sessions [`Slug::SessionExpired`] and [`Slug::SessionRevoked`].
    pub fn admit(
        authentic: Arc<Authentic>,
        list: &RevocationList,
        list_age_max_ms: u64,
        now: Moment,
    ) -> Result<Self, Slug> {
        let skew_s = authentic.clock_skew_s();
        let claims = &authentic.claims;
        let carrier = authentic.carrier();
        if now.wall >= authentic.end() {
            return Err(Lapse::Expired.slug(carrier));
        }
        let latest = now.wall.plus(skew_s);
        // What was issued ahead of our time by ourselves is news of our clock, not of the session.
        let ahead = |date: Option<UnixTime>| {
            carrier == Carrier::Bearer && date.is_some_and(|date| date > latest)
        };
        if ahead(claims.not_before) || ahead(claims.issued_at) {
            return Err(Slug::TokenNotYetValid);
        }
        match authentic.revocation(list, list_age_max_ms, now) {
            Revocation::Clear => Ok(Self(authentic)),
            Revocation::Revoked => Err(Lapse::Revoked.slug(carrier)),
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

    /// What its credential came in.
    pub fn carrier(&self) -> Carrier {
        self.0.carrier()
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
        self.0.identity()
    }
}
