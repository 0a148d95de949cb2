//! Token → [`Authentic`], with a bounded cache of what was verified before.
//!
//! The cache key is the whole token, never a digest short enough to collide. An entry counts only
//! while its issuer is part of the configuration and has the keys that verified it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ahash::RandomState;
use moka::sync::Cache;

use super::claims::{self, Claims};
use super::denial::Slug;
use super::issuer::{DatedBy, Issuer, IssuerId, Issuers, Untyped};
use super::keys::{Algorithm, Match};
use super::principal::{Authentic, Verified};
use super::revocation::{Marks, Revocable};
use super::time::UnixTime;
use super::token::Token;

/// Whether a token had been seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheResult {
    /// Verified earlier.
    Hit,
    /// Verified, or refused, just now.
    Miss,
}

/// Why a token is not authentic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// For good.
    Slug(Slug),
    /// No key has this id; newer keys might.
    KeyUnknown(Option<Box<str>>),
}

impl From<Slug> for Refusal {
    fn from(slug: Slug) -> Self {
        Self::Slug(slug)
    }
}

/// The answer about one token, and how it was found.
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
    cache: Cache<Box<str>, Arc<Authentic>, RandomState>,
    counters: Arc<CacheCounters>,
    token_bytes_max: usize,
}

impl Verifier {
    /// A verifier that reads tokens up to `token_bytes_max` and remembers about
    /// `cache_bytes_max` worth of them.
    pub fn new(token_bytes_max: usize, cache_bytes_max: u64, counters: Arc<CacheCounters>) -> Self {
        let evictions = counters.clone();
        #[allow(clippy::borrowed_box, reason = "the cache asks with a reference to its key type")]
        let cache = Cache::builder()
            .max_capacity(cache_bytes_max)
            .weigher(|token: &Box<str>, authentic: &Arc<Authentic>| {
                u32::try_from(token.len() + authentic.weight()).unwrap_or(u32::MAX)
            })
            .expire_after(UntilExpiry)
            .eviction_listener(move |_, _, cause| {
                if cause == moka::notification::RemovalCause::Size {
                    evictions.evictions.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(RandomState::new());
        Self { cache, counters, token_bytes_max }
    }

    /// Whether it was made with these bounds.
    pub fn has_bounds(&self, token_bytes_max: usize, cache_bytes_max: u64) -> bool {
        self.token_bytes_max == token_bytes_max
            && self.cache.policy().max_capacity() == Some(cache_bytes_max)
    }

    /// Verifies `text` as a token of one of `issuers` that is also among `permitted`.
    pub fn verify(
        &self,
        text: &str,
        issuers: &Issuers,
        permitted: &[IssuerId],
        now: UnixTime,
    ) -> Verification {
        if let Some(authentic) = self.cache.get(text)
            && let Some(issuer) = authentic.issuer().and_then(|id| issuers.with_id(id))
            && authentic.is_by(issuer.id(), issuer.keys().generation())
        {
            self.counters.hits.fetch_add(1, Ordering::Relaxed);
            let result = accept(issuer, permitted, now).map(|()| authentic);
            let issuer = Some(issuer.clone());
            return Verification { issuer, cache: CacheResult::Hit, result };
        }
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        let mut named = None;
        let result = self.verify_anew(text, issuers, permitted, now, &mut named);
        if let Ok(authentic) = &result {
            self.cache.insert(text.into(), authentic.clone());
        }
        Verification { issuer: named, cache: CacheResult::Miss, result }
    }

    fn verify_anew(
        &self,
        text: &str,
        issuers: &Issuers,
        permitted: &[IssuerId],
        now: UnixTime,
        named: &mut Option<Arc<Issuer>>,
    ) -> Result<Arc<Authentic>, Refusal> {
        let token =
            Token::parse(text, self.token_bytes_max).map_err(|_| Slug::CredentialMalformed)?;
        let header = token.header();
        let algorithm: Algorithm = header.algorithm.parse().map_err(|_| Slug::TokenAlgorithm)?;
        if header.critical {
            return Err(Slug::TokenCritical.into());
        }
        let all = token.claims().map_err(|_| Slug::TokenClaims)?;
        let iss = match all.get("iss") {
            Some(serde_json::Value::String(iss)) => iss,
            Some(_) | None => return Err(Slug::TokenClaims.into()),
        };
        let issuer = issuers.named(iss).ok_or(Slug::TokenIssuer)?;
        *named = Some(issuer.clone());
        accept(issuer, permitted, now)?;
        let rules = issuer.rules();
        if !rules.algorithms.contains(&algorithm) {
            return Err(Slug::TokenAlgorithm.into());
        }
        // The generation is read before the keys: if they change in between, the result is merely
        // verified once more than necessary.
        let key_generation = issuer.keys().generation();
        let keys = issuer.keys().current().ok_or(Slug::KeysUnavailable)?;
        let key_id = header.key_id.as_deref();
        let matched = keys.verify(key_id, algorithm, token.signing_input(), token.signature());
        let key_id = match matched {
            Match::Verified(own) => own,
            Match::Signature | Match::Untried => return Err(Slug::TokenSignature.into()),
            Match::Algorithm => return Err(Slug::TokenAlgorithm.into()),
            Match::Unknown => return Err(Refusal::KeyUnknown(key_id.map(Into::into))),
        };
        require_type(header.token_type.as_deref(), issuer)?;
        if !claims::names_audience(&all, &rules.audiences).map_err(|_| Slug::TokenClaims)? {
            return Err(Slug::TokenAudience.into());
        }
        if !rules.required_claims.iter().all(|name| all.contains_key(&**name)) {
            return Err(Slug::TokenClaims.into());
        }
        let claims = Claims::parse(&all, &rules.roles_pointer, &rules.asked_claims)
            .map_err(|_| Slug::TokenClaims)?;
        // A token that does not say when it was issued could be older than any cut-off: it counts
        // as issued at time zero.
        let issued_at = claims.issued_at.unwrap_or_default();
        if claims.expires.since(issued_at) > rules.lifetime_max_s {
            return Err(Slug::TokenLifetime.into());
        }
        let dated = match rules.dated_by {
            DatedBy::Issue => issued_at,
            DatedBy::Login => {
                let login = claims::authenticated_at(&all).map_err(|_| Slug::TokenClaims)?;
                login.unwrap_or(issued_at)
            }
        };
        let marks = Marks::of(Revocable {
            issuer: &rules.issuer,
            subject: claims.subject.as_str(),
            token_id: claims.token_id.as_deref(),
            session_id: claims.session_id.as_deref(),
            client_id: claims.client_id.as_deref(),
            key_id,
        });
        let verified = Verified { claims, all: &all, marks, dated, key_generation, at: now };
        Ok(Arc::new(Authentic::new(issuer, verified)))
    }

    /// The counters of the cache; a verifier that takes the place of another goes on with them.
    pub fn counters(&self) -> &Arc<CacheCounters> {
        &self.counters
    }

    /// About how many tokens are remembered.
    pub fn entries(&self) -> u64 {
        self.cache.entry_count()
    }
}

/// Whether the route takes this issuer's tokens, and its keys can be believed now.
fn accept(issuer: &Issuer, permitted: &[IssuerId], now: UnixTime) -> Result<(), Refusal> {
    if !permitted.contains(&issuer.id()) {
        return Err(Slug::TokenIssuer.into());
    }
    if !issuer.keys().is_usable(now) {
        return Err(Slug::KeysUnavailable.into());
    }
    Ok(())
}

/// RFC 8725 §3.11: explicit typing. Media types compare without case and without the
/// `application/` that RFC 7515 §4.1.9 recommends leaving out.
fn require_type(token_type: Option<&str>, issuer: &Issuer) -> Result<(), Slug> {
    let rules = issuer.rules();
    let accepted = match token_type {
        None => rules.untyped == Untyped::Accepted,
        Some(named) => {
            let named = named.to_ascii_lowercase();
            let named = named.strip_prefix("application/").unwrap_or(&named);
            rules.token_types.iter().any(|accepted| **accepted == *named)
        }
    };
    if accepted { Ok(()) } else { Err(Slug::TokenType) }
}

struct UntilExpiry;

impl moka::Expiry<Box<str>, Arc<Authentic>> for UntilExpiry {
    fn expire_after_create(
        &self,
        _: &Box<str>,
        authentic: &Arc<Authentic>,
        _: Instant,
    ) -> Option<Duration> {
        Some(Duration::from_secs(authentic.seconds_left_when_verified()))
    }

    fn expire_after_update(
        &self,
        token: &Box<str>,
        authentic: &Arc<Authentic>,
        updated_at: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(token, authentic, updated_at)
    }
}
