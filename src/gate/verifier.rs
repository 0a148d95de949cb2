//! Token → [`Authentic`], with a bounded cache of tokens that were verified before.
//!
//! The cache key is the whole token, not a digest that could collide. An entry is valid only while
//! its issuer is part of the configuration and has the keys that verified it.

mod refusal;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};

use super::authentic::{Authentic, VerifiedToken};
use super::bounded_cache::{BoundedCache, Cached};
use super::claims::{self, ClaimError, ClaimNames, Claims};
use super::issuer::{DatedBy, Issuer, IssuerRules, Issuers, Untyped};
use super::keys::{Algorithm, KeyMatch, KeySet};
use super::revocation::{CredentialScopes, GrantedBy, Revocable};
use super::time::UnixTime;
use super::token::Token;

pub use refusal::Refusal;

/// Whether a token had been seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheResult {
    /// It was verified earlier.
    Hit,
    /// It was verified, or refused, just now.
    Miss,
}

/// The answer for one token, and how it was found.
#[derive(Debug)]
pub struct Verification {
    /// The token's issuer, if it is one of ours.
    pub issuer: Option<Arc<Issuer>>,
    /// Whether the token had been seen before.
    pub cache: CacheResult,
    /// The answer.
    pub result: Result<Arc<Authentic>, Refusal>,
}

/// Counters of the cache since the process started.
#[derive(Debug, Default)]
pub struct CacheCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
}

impl CacheCounters {
    /// How often a token was found in the cache.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// How often a token had to be verified.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// How many tokens were dropped to make room.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

/// The verifier of one process; it outlives configurations.
#[derive(Debug)]
pub struct Verifier {
    cache: BoundedCache<Box<[u8]>, Arc<Authentic>>,
    cache_bytes_max: u64,
    counters: Arc<CacheCounters>,
    token_bytes_max: usize,
}

impl Verifier {
    /// A verifier for tokens up to `token_bytes_max`, with a cache of about `cache_bytes_max`.
    pub fn new(token_bytes_max: usize, cache_bytes_max: u64, counters: Arc<CacheCounters>) -> Self {
        let cache = BoundedCache::new(cache_bytes_max);
        Self { cache, cache_bytes_max, counters, token_bytes_max }
    }

    /// Whether it was made with these limits.
    pub fn has_bounds(&self, token_bytes_max: usize, cache_bytes_max: u64) -> bool {
        self.token_bytes_max == token_bytes_max && self.cache_bytes_max == cache_bytes_max
    }

    /// Verifies `text` as a token of one of `issuers` whose position is in `permitted`, unless it
    /// was verified before.
    pub fn verify(
        &self,
        text: &str,
        issuers: &Issuers,
        permitted: &[usize],
        now: UnixTime,
    ) -> Verification {
        self.recall(text.as_bytes(), issuers, permitted, now)
            .unwrap_or_else(|| self.verify_anew(text, issuers, permitted, now))
    }

    /// The answer for a token that was verified before; `None` for any other bytes.
    pub(super) fn recall(
        &self,
        token: &[u8],
        issuers: &Issuers,
        permitted: &[usize],
        now: UnixTime,
    ) -> Option<Verification> {
        let authentic = self.cache.find(token)?;
        let (place, issuer) = issuers.with_id(authentic.issuer()?)?;
        if !authentic.is_by(issuer.id(), issuer.keys().generation()) {
            return None;
        }
        self.counters.hits.fetch_add(1, Ordering::Relaxed);
        let result = accept((place, issuer), permitted, now).map(|()| authentic);
        Some(Verification { issuer: Some(issuer.clone()), cache: CacheResult::Hit, result })
    }

    /// Verifies a token that was not verified before, and caches it.
    pub(super) fn verify_anew(
        &self,
        text: &str,
        issuers: &Issuers,
        permitted: &[usize],
        now: UnixTime,
    ) -> Verification {
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        let mut named = None;
        let result = self.climb(text, issuers, permitted, now, &mut named);
        if let Ok(authentic) = &result {
            self.remember(text, authentic, now);
        }
        Verification { issuer: named, cache: CacheResult::Miss, result }
    }

    fn remember(&self, text: &str, authentic: &Arc<Authentic>, now: UnixTime) {
        let cached = Cached {
            key: text.as_bytes().into(),
            value: authentic.clone(),
            bytes: text.len() + authentic.weight(),
            ends: authentic.end(),
        };
        let evicted = self.cache.insert(cached, now);
        self.counters.evictions.fetch_add(evicted, Ordering::Relaxed);
    }

    fn climb(
        &self,
        text: &str,
        issuers: &Issuers,
        permitted: &[usize],
        now: UnixTime,
        named: &mut Option<Arc<Issuer>>,
    ) -> Result<Arc<Authentic>, Refusal> {
        let token = Token::parse(text, self.token_bytes_max)?;
        let algorithm = algorithm(&token)?;
        let all = token.claims().map_err(|error| refusal::payload(&error))?;
        let iss = claims::issuer(&all)?;
        let (place, issuer) = issuers.named(iss).ok_or_else(|| refusal::issuer_unknown(iss))?;
        *named = Some(issuer.clone());
        accept((place, issuer), permitted, now)?;
        let rules = issuer.rules();
        if !rules.algorithms.contains(&algorithm) {
            return Err(refusal::algorithm_not_listed(algorithm, rules));
        }
        // The generation is read before the keys: if they change in between, the token is only
        // verified once more than necessary.
        let key_generation = issuer.keys().generation();
        let keys = issuer.keys().current().ok_or_else(|| refusal::keys_unavailable(rules))?;
        let key_id = verify_signature(&token, algorithm, &keys, rules)?;
        require_type(token.header().token_type.as_deref(), rules)?;
        require_audience(&all, rules)?;
        require_claims(&all, rules)?;
        let names = ClaimNames {
            roles: &rules.roles_pointer,
            client: &rules.client_claims,
            asked: &rules.asked_claims,
        };
        let claims = Claims::parse(&all, names)?;
        let dated = dated(&claims, &all, rules)?;
        let scopes = credential_scopes(&claims, key_id, rules);
        let verified =
            VerifiedToken { claims, all: &all, scope_ids: scopes, dated, key_generation };
        Ok(Arc::new(Authentic::new(issuer, verified)))
    }

    /// The counters of the cache. A verifier that replaces another continues them.
    pub fn counters(&self) -> &Arc<CacheCounters> {
        &self.counters
    }

    /// How many tokens are cached.
    pub fn entries(&self) -> usize {
        self.cache.len()
    }
}

/// Whether the route accepts this issuer's tokens, and its keys can be trusted now.
fn accept(
    (place, issuer): (usize, &Issuer),
    permitted: &[usize],
    now: UnixTime,
) -> Result<(), Refusal> {
    if !permitted.contains(&place) {
        return Err(refusal::issuer_not_permitted(issuer.rules()));
    }
    if !issuer.keys().is_usable(now) {
        return Err(refusal::keys_unavailable(issuer.rules()));
    }
    Ok(())
}

/// The algorithm that the header names (RFC 7515 §4.1.1), if it is one of ours. The header must not
/// require an unknown extension (`crit`, §4.1.11).
fn algorithm(token: &Token<'_>) -> Result<Algorithm, Refusal> {
    let header = token.header();
    let unknown = |_| refusal::algorithm_unknown(&header.algorithm);
    let algorithm = header.algorithm.parse().map_err(unknown)?;
    if header.critical {
        return Err(refusal::critical());
    }
    Ok(algorithm)
}

/// Verifies the signature. Returns the id of the key that made it, if the key has one.
fn verify_signature<'k>(
    token: &Token<'_>,
    algorithm: Algorithm,
    keys: &'k KeySet,
    rules: &IssuerRules,
) -> Result<Option<&'k str>, Refusal> {
    let key_id = token.header().key_id.as_deref();
    match keys.verify(key_id, algorithm, token.signing_input(), token.signature()) {
        KeyMatch::Verified(own) => Ok(own),
        KeyMatch::Signature => Err(refusal::signature(key_id, rules)),
        KeyMatch::Untried => Err(refusal::untried(rules)),
        KeyMatch::Algorithm => Err(refusal::key_serves_not(algorithm, key_id, rules)),
        KeyMatch::Unknown => Err(refusal::key_unknown(key_id, rules)),
    }
}

/// RFC 8725 §3.11: explicit typing. Media types compare without case and without the
/// `application/` that RFC 7515 §4.1.9 recommends leaving out.
fn require_type(token_type: Option<&str>, rules: &IssuerRules) -> Result<(), Refusal> {
    let accepted = match token_type {
        None => rules.untyped == Untyped::Accepted,
        Some(named) => {
            let named = named.to_ascii_lowercase();
            let named = named.strip_prefix("application/").unwrap_or(&named);
            rules.token_types.iter().any(|accepted| **accepted == *named)
        }
    };
    if accepted { Ok(()) } else { Err(refusal::token_type(token_type, rules)) }
}

/// RFC 7519 §4.1.3: one of the token's audiences is one of ours.
fn require_audience(all: &Map<String, Value>, rules: &IssuerRules) -> Result<(), Refusal> {
    let audiences = claims::audiences(all)?;
    let is_ours = |named: &&str| rules.audiences.iter().any(|ours| **ours == **named);
    if audiences.iter().any(is_ours) {
        return Ok(());
    }
    Err(refusal::audience(&audiences, rules))
}

/// The claims that the issuer's rules require are present, with any value.
fn require_claims(all: &Map<String, Value>, rules: &IssuerRules) -> Result<(), Refusal> {
    let is_missing = |name: &&str| all.get(*name).is_none_or(Value::is_null);
    match rules.required_claims.iter().map(|name| &**name).find(is_missing) {
        Some(name) => Err(ClaimError::missing(name.to_owned()).into()),
        None => Ok(()),
    }
}

/// When the credential began, for comparison with cut-offs: when it was issued, or the time of the
/// login that it comes from. A token that lives longer than its issuer's `max_lifetime` is refused.
fn dated(
    claims: &Claims,
    all: &Map<String, Value>,
    rules: &IssuerRules,
) -> Result<UnixTime, Refusal> {
    // A token without `iat` could be older than any cut-off, so it counts as issued at time zero.
    let issued_at = claims.issued_at.unwrap_or_default();
    if claims.expires.since(issued_at) > rules.lifetime_max_s {
        return Err(refusal::lifetime(claims, rules));
    }
    match rules.dated_by {
        DatedBy::Issue => Ok(issued_at),
        DatedBy::Login => Ok(claims::authenticated_at(all)?.unwrap_or(issued_at)),
    }
}

/// The properties by which the token can be revoked.
fn credential_scopes(
    claims: &Claims,
    key_id: Option<&str>,
    rules: &IssuerRules,
) -> CredentialScopes {
    CredentialScopes::of(Revocable {
        issuer: &rules.issuer,
        subject: claims.subject.as_str(),
        token_id: claims.token_id.as_deref(),
        session_id: claims.session_id.as_deref(),
        client_id: claims.client_id.as_deref(),
        key_id,
        granted_by: match rules.dated_by {
            DatedBy::Login => GrantedBy::Gateway,
            DatedBy::Issue => GrantedBy::Others,
        },
    })
}
