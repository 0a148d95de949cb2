//! What a credential proves, apart from time and revocation. So it may be cached.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};

use super::claims::{Claims, Subject};
use super::credential::Carrier;
use super::denial::Denial;
use super::forward::Identity;
use super::issuer::{DatedBy, Issuer, IssuerId};
use super::lapse::Lapse;
use super::reason::span;
use super::revocation::{
    CredentialScopes, GrantedBy, NO_GENERATION, Revocable, Revocation, RevocationList,
};
use super::session::id::SessionId;
use super::session::record::SessionRecord;
use super::session::rules::SessionTerms;
use super::time::{Moment, UnixTime};

/// A valid credential: a token whose signature, type, issuer, audience and lifetime are valid
/// (built by the verifier), or a session or API key that the store knows (`of_session`). It does
/// not show that the credential is valid now.
#[derive(Debug)]
pub struct Authentic {
    serial: Serial,
    source: VouchedBy,
    claims: Claims,
    /// The time that revocations are compared with.
    dated: UnixTime,
    identity: Identity,
    scope_ids: CredentialScopes,
    /// The generation of the revocation list at which it was last found clear.
    clear_at: AtomicU64,
}

/// Distinguishes all values that were ever authentic in this process. No number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Serial(u64);

impl Serial {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The result of verifying a token.
pub(super) struct VerifiedToken<'t> {
    pub(super) claims: Claims,
    /// All claims.
    pub(super) all: &'t Map<String, Value>,
    pub(super) scope_ids: CredentialScopes,
    pub(super) dated: UnixTime,
    pub(super) key_generation: u64,
}

/// The source that vouches for an [`Authentic`].
#[derive(Debug)]
enum VouchedBy {
    /// A signature.
    Token { issuer: Arc<Issuer>, key_generation: u64 },
    /// The store, with the issuer of its sessions.
    Store { issuer: Box<str>, carrier: Carrier },
}

impl Authentic {
    pub(super) fn new(issuer: &Arc<Issuer>, verified: VerifiedToken<'_>) -> Self {
        let VerifiedToken { claims, all, scope_ids, dated, key_generation } = verified;
        let rules = issuer.rules();
        let bytes_max = rules.identity_bytes_max;
        Self {
            serial: Serial::next(),
            dated,
            source: VouchedBy::Token { issuer: issuer.clone(), key_generation },
            identity: rules.identity.render(&rules.issuer, &claims, all, None, bytes_max),
            claims,
            scope_ids,
            clear_at: AtomicU64::new(NO_GENERATION),
        }
    }

    /// The identity that a login established, in a session that ends at `ends`.
    pub(super) fn of_session(
        id: SessionId,
        record: &SessionRecord,
        ends: UnixTime,
        terms: &SessionTerms,
    ) -> Self {
        let id = id.to_string();
        let bytes_max = terms.identity_bytes_max;
        // An API key has no session that could be ended.
        let session = record.login().map(|_| &*id);
        let claims = Claims::of_session(session, record, ends, &terms.asked_claims);
        let scope_ids = CredentialScopes::of(Revocable {
            issuer: &record.issuer,
            subject: &record.subject,
            token_id: None,
            session_id: Some(&id),
            client_id: None,
            key_id: None,
            granted_by: match record.login() {
                Some(_) => GrantedBy::Gateway,
                None => GrantedBy::Others,
            },
        });
        Self {
            serial: Serial::next(),
            dated: record.created,
            source: VouchedBy::Store { issuer: record.issuer.clone(), carrier: record.carrier() },
            identity: terms.identity.render(
                &record.issuer,
                &claims,
                &record.claims,
                session,
                bytes_max,
            ),
            claims,
            scope_ids,
            clear_at: AtomicU64::new(NO_GENERATION),
        }
    }

    /// Whether its identity is too large to be sent to an upstream.
    pub(super) fn is_too_large(&self) -> bool {
        self.identity.is_too_large()
    }

    /// The headers that tell the upstream who it is.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The carrier of the credential.
    pub fn carrier(&self) -> Carrier {
        match self.source {
            VouchedBy::Token { .. } => Carrier::Bearer,
            VouchedBy::Store { carrier, .. } => carrier,
        }
    }

    /// A number that no other [`Authentic`] has.
    pub fn serial(&self) -> Serial {
        self.serial
    }

    /// The issuer that vouches for the subject: `iss` of a token, or the issuer of a session.
    pub fn issued_by(&self) -> &str {
        match &self.source {
            VouchedBy::Token { issuer, .. } => &issuer.rules().issuer,
            VouchedBy::Store { issuer, .. } => issuer,
        }
    }

    /// The issuer of a session or an API key; `None` for a token.
    pub fn session_issuer(&self) -> Option<&str> {
        match &self.source {
            VouchedBy::Token { .. } => None,
            VouchedBy::Store { issuer, .. } => Some(issuer),
        }
    }

    /// Whether this issuer issued it, and its keys of this generation verified it.
    pub(super) fn is_by(&self, by: IssuerId, generation: u64) -> bool {
        match &self.source {
            VouchedBy::Token { issuer, key_generation, .. } => {
                issuer.id() == by && *key_generation == generation
            }
            VouchedBy::Store { .. } => false,
        }
    }

    /// The issuer of a token.
    pub(super) fn issuer(&self) -> Option<IssuerId> {
        match &self.source {
            VouchedBy::Token { issuer, .. } => Some(issuer.id()),
            VouchedBy::Store { .. } => None,
        }
    }

    /// How far the clock that dated it may be ahead of ours, in seconds. `None` if that does not
    /// matter: a session dated in the future says something about our clock, not about the session.
    pub(super) fn clock_ahead_s(&self) -> Option<i64> {
        match &self.source {
            VouchedBy::Token { issuer, .. } => Some(issuer.rules().clock_ahead_s),
            VouchedBy::Store { .. } => None,
        }
    }

    /// The time by the clock that dated it: the shared clock of the gateways, or the wall clock.
    pub(super) fn time(&self, now: Moment) -> UnixTime {
        match &self.source {
            VouchedBy::Token { issuer, .. } => match issuer.rules().dated_by {
                DatedBy::Issue => now.wall,
                DatedBy::Login => now.shared(),
            },
            VouchedBy::Store { .. } => now.shared(),
        }
    }

    /// From when on it is refused: a token's `exp` plus the clock skew, or a session's end.
    pub fn end(&self) -> UnixTime {
        match &self.source {
            VouchedBy::Token { issuer, .. } => {
                self.claims.expires.plus(issuer.rules().clock_skew_s)
            }
            VouchedBy::Store { .. } => self.claims.expires,
        }
    }

    /// The refusal of an expired credential.
    pub(super) fn expired(&self, now: UnixTime) -> Denial {
        let denial = Denial::new(Lapse::Expired.slug(self.carrier()));
        let ago = span(now.since(self.claims.expires));
        match &self.source {
            VouchedBy::Token { issuer, .. } => {
                let skew = span(issuer.rules().clock_skew_s);
                let reason = format!("the claim `exp` passed {ago} ago, and clock_skew is {skew}");
                denial.explained("the claim `exp` has passed").because(reason)
            }
            VouchedBy::Store { .. } => denial.because(format!("it expired {ago} ago")),
        }
    }

    /// The refusal of a revoked credential, with the revocation that matches it. That takes another
    /// look at the list, but only for requests that are refused.
    pub(super) fn revoked(&self, list: &RevocationList) -> Denial {
        let denial = Denial::new(Lapse::Revoked.slug(self.carrier()));
        let Some((kind, cut_off)) = list.cause(&self.scope_ids, self.dated) else { return denial };
        let (kind, dated) = (kind.as_str(), self.dated);
        denial.because(match cut_off {
            UnixTime::NEVER => format!("a revocation of the scope `{kind}` hits it, whatever its time"),
            cut_off => format!(
                "a revocation of the scope `{kind}` hits what began by {cut_off}, and this began at {dated}"
            ),
        })
    }

    /// When it began: the time of the login that it came from, else its own. Revocations are
    /// compared with it.
    pub fn dated(&self) -> UnixTime {
        self.dated
    }

    /// Whether it would be revoked if it were presented now, by a list of any age.
    pub fn is_revoked(&self, list: &RevocationList, now: Moment) -> bool {
        match self.revocation(list, u64::MAX, now) {
            Revocation::Revoked => true,
            Revocation::Clear | Revocation::Unknown => false,
        }
    }

    /// The subject.
    pub fn subject(&self) -> &Subject {
        &self.claims.subject
    }

    /// The claims that are kept.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// `jti`, if the token has one.
    pub fn token_id(&self) -> Option<&str> {
        self.claims.token_id.as_deref()
    }

    /// Whether it is revoked, by a list that is at most `age_max_ms` old.
    pub(super) fn revocation(
        &self,
        list: &RevocationList,
        age_max_ms: u64,
        now: Moment,
    ) -> Revocation {
        list.find(&self.scope_ids, self.dated, &self.clear_at, age_max_ms, now)
    }

    /// Roughly what it occupies, in bytes.
    pub(super) fn weight(&self) -> usize {
        let lists = [&self.claims.scopes, &self.claims.roles];
        let texts = lists.into_iter().flatten().map(|text| 16 + text.len()).sum::<usize>();
        size_of::<Self>()
            + texts
            + self.claims.session_id.as_ref().map_or(0, |id| id.len())
            + self.claims.client_id.as_ref().map_or(0, |id| id.len())
            + self.identity.weight()
            + self.claims.asked.iter().map(|(_, value)| 64 + weight_of(value)).sum::<usize>()
            + self.scope_ids.weight()
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
