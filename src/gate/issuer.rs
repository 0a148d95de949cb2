//! Issuers of tokens, and the rules for their tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::forward::IdentityTemplate;
use super::keys::{Algorithm, KeyCell};

/// The rules for an issuer's tokens, compiled from `issuers[]`.
#[derive(Debug, PartialEq)]
pub struct IssuerRules {
    /// The name used in the configuration, in metrics and logs.
    pub name: Box<str>,
    /// `iss`, compared byte for byte (RFC 7519 §4.1.1).
    pub issuer: Box<str>,
    /// `aud` must name one of these.
    pub audiences: Vec<Box<str>>,
    /// The only algorithms that its keys may be used with.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may be apart, in seconds.
    pub clock_skew_s: i64,
    /// How far the clock that dated a token may be ahead of ours, in seconds. For other issuers it
    /// is the clock skew. For our own issuer it is the allowed clock difference between gateways: a
    /// date in the future then only shows that their clocks differ.
    pub clock_ahead_s: i64,
    /// The claim that revocations are compared with.
    pub dated_by: DatedBy,
    /// The longest `exp − iat`, in seconds. A token without `iat` counts as issued at time zero.
    pub lifetime_max_s: i64,
    /// Accepted `typ` values in lower case, without `application/` (RFC 7515 §4.1.9).
    pub token_types: Vec<Box<str>>,
    /// Whether a token may lack `typ`.
    pub untyped: Untyped,
    /// Claims that must be present in addition to `iss`, `aud`, `exp` and `sub`.
    pub required_claims: Vec<Box<str>>,
    /// Where the roles are (JSON pointer).
    pub roles_pointer: Box<str>,
    /// Which claims name the client, by name or JSON pointer. The first that is present counts.
    pub client_claims: Vec<Box<str>>,
    /// Claims that routes or internal tokens use, by name or JSON pointer.
    pub asked_claims: Vec<Box<str>>,
    /// The headers that say who the caller is.
    pub identity: Arc<IdentityTemplate>,
    /// The maximum length of these headers together, in bytes.
    pub identity_bytes_max: usize,
}

/// The claim that revocations are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatedBy {
    /// `iat`.
    Issue,
    /// `auth_time`, or `iat` without one: a token is as old as the login it came from, however late
    /// it was issued. So no gateway can issue a token that a revocation of the login misses.
    Login,
}

impl IssuerRules {
    /// For how long after a moment a token that was issued before it can still be accepted, in
    /// seconds. A token may claim to be issued `clock_ahead_s` ahead, and is accepted for
    /// `clock_skew_s` after its end.
    pub fn reach_s(&self) -> i64 {
        self.lifetime_max_s.saturating_add(self.clock_skew_s).saturating_add(self.clock_ahead_s)
    }
}

/// How a token without `typ` is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untyped {
    /// It is accepted.
    Accepted,
    /// It is refused.
    Refused,
}

/// Distinguishes the issuers of one process: a reload that changes an issuer makes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IssuerId(u64);

/// An issuer with its keys.
#[derive(Debug)]
pub struct Issuer {
    id: IssuerId,
    rules: Arc<IssuerRules>,
    keys: Arc<KeyCell>,
}

impl Issuer {
    /// A new issuer, to which no verified token refers.
    pub fn new(rules: Arc<IssuerRules>, keys: Arc<KeyCell>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: IssuerId(NEXT.fetch_add(1, Ordering::Relaxed)), rules, keys }
    }

    /// Its identity within this process.
    pub fn id(&self) -> IssuerId {
        self.id
    }

    /// The rules for its tokens.
    pub fn rules(&self) -> &IssuerRules {
        &self.rules
    }

    /// Its current keys.
    pub fn keys(&self) -> &Arc<KeyCell> {
        &self.keys
    }
}

/// The issuers of one configuration. Routes refer to them by their positions.
#[derive(Clone, Debug, Default)]
pub struct Issuers(Vec<Arc<Issuer>>);

impl Issuers {
    /// A list of these issuers.
    pub fn new(issuers: Vec<Arc<Issuer>>) -> Self {
        Self(issuers)
    }

    /// The issuer with this `iss`, with its position.
    pub fn named(&self, iss: &str) -> Option<(usize, &Arc<Issuer>)> {
        self.0.iter().enumerate().find(|(_, issuer)| *issuer.rules.issuer == *iss)
    }

    /// The issuer with this identity, if it is still part of the configuration, with its position.
    pub fn with_id(&self, id: IssuerId) -> Option<(usize, &Arc<Issuer>)> {
        self.0.iter().enumerate().find(|(_, issuer)| issuer.id == id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.0.iter()
    }
}
