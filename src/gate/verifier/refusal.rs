//! Refusals of tokens: why one is not authentic, in words for the log and for the client. They are
//! built only for a refusal.
//!
//! The client learns which claim was at fault. Its value is written to the log only.

use crate::gate::claims::{ClaimError, Claims};
use crate::gate::denial::{Denial, Slug};
use crate::gate::issuer::IssuerRules;
use crate::gate::json::JsonError;
use crate::gate::keys::{Algorithm, CANDIDATES_MAX};
use crate::gate::reason::{Quoted, listed, span};
use crate::gate::token::MalformedToken;

/// Why a token is not authentic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is refused, and new keys will not help.
    Denied(Denial),
    /// No key has this id, but newer keys might.
    KeyUnknown {
        /// `kid`; `None` for a token that names none.
        id: Option<Box<str>>,
        /// The refusal if newer keys do not have it either.
        denial: Denial,
    },
}

impl Refusal {
    /// The refusal.
    pub fn denial(&self) -> &Denial {
        match self {
            Self::Denied(denial) | Self::KeyUnknown { denial, .. } => denial,
        }
    }
}

impl From<ClaimError> for Denial {
    fn from(error: ClaimError) -> Self {
        Self::new(Slug::TokenClaims).explained_because(error.to_string())
    }
}

impl From<ClaimError> for Refusal {
    fn from(error: ClaimError) -> Self {
        Self::Denied(error.into())
    }
}

impl From<MalformedToken> for Refusal {
    fn from(malformed: MalformedToken) -> Self {
        Self::Denied(Denial::new(Slug::TokenMalformed).explained_because(malformed.to_string()))
    }
}

fn denied(slug: Slug, reason: String) -> Refusal {
    Refusal::Denied(Denial::new(slug).because(reason))
}

/// `alg` names no implemented algorithm.
pub(super) fn algorithm_unknown(named: &str) -> Refusal {
    denied(Slug::TokenAlgorithm, format!("the algorithm {} is not known", Quoted(named)))
}

/// `alg` is not one of the issuer's algorithms.
pub(super) fn algorithm_not_listed(named: Algorithm, rules: &IssuerRules) -> Refusal {
    let accepted: Vec<_> = rules.algorithms.iter().map(|known| format!("{known:?}")).collect();
    let accepted = listed(accepted.iter().map(String::as_str));
    let name = &rules.name;
    let reason =
        format!("the algorithm `{named:?}` is not accepted from `{name}`; accepted: {accepted}");
    denied(Slug::TokenAlgorithm, reason)
}

/// `crit` requires an extension (RFC 7515 §4.1.11). None is implemented.
pub(super) fn critical() -> Refusal {
    let reason = "the header has `crit`, and no extension is supported";
    Refusal::Denied(Denial::new(Slug::TokenCritical).because(reason))
}

/// The payload is not one strict JSON object.
pub(super) fn payload(error: &JsonError) -> Refusal {
    // The error may name a claim, but never holds its value.
    Refusal::Denied(
        Denial::new(Slug::TokenClaims).explained_because(format!("the claims are {error}")),
    )
}

/// `iss` names no issuer of the configuration.
pub(super) fn issuer_unknown(iss: &str) -> Refusal {
    issuer(format!("the claim `iss` is {}, and no issuer of that name is configured", Quoted(iss)))
}

/// The route does not accept this issuer's tokens.
pub(super) fn issuer_not_permitted(rules: &IssuerRules) -> Refusal {
    issuer(format!("the issuer `{}` is not among those of this route", rules.name))
}

fn issuer(reason: String) -> Refusal {
    const EXPLANATION: &str = "the claim `iss` names no issuer that is accepted";
    Refusal::Denied(Denial::new(Slug::TokenIssuer).explained(EXPLANATION).because(reason))
}

/// There are no keys, or they are too old to be trusted.
pub(super) fn keys_unavailable(rules: &IssuerRules) -> Refusal {
    denied(
        Slug::KeysUnavailable,
        format!("no keys of `{}` are available, or they are too old", rules.name),
    )
}

/// Keys match the header, but none made the signature.
pub(super) fn signature(key_id: Option<&str>, rules: &IssuerRules) -> Refusal {
    let name = &rules.name;
    let reason = match key_id {
        Some(id) => format!("the signature is not by the key {} of `{name}`", Quoted(id)),
        None => format!("the signature is by no key of `{name}`, and the token names no key"),
    };
    denied(Slug::TokenSignature, reason)
}

/// More keys match the header than are tried.
pub(super) fn untried(rules: &IssuerRules) -> Refusal {
    let name = &rules.name;
    let reason = format!(
        "the signature is by none of the first {CANDIDATES_MAX} keys of `{name}`, and no more are \
         tried; the token names no key"
    );
    denied(Slug::TokenSignature, reason)
}

/// The key that `kid` names may not be used with the algorithm (RFC 8725 §3.1).
pub(super) fn key_serves_not(
    algorithm: Algorithm,
    key_id: Option<&str>,
    rules: &IssuerRules,
) -> Refusal {
    let name = &rules.name;
    let reason = match key_id {
        Some(id) => format!("the key {} of `{name}` is not for `{algorithm:?}`", Quoted(id)),
        None => format!("no key of `{name}` is for `{algorithm:?}`"),
    };
    denied(Slug::TokenAlgorithm, reason)
}

/// No key matches `kid`, but newer keys might.
pub(super) fn key_unknown(key_id: Option<&str>, rules: &IssuerRules) -> Refusal {
    let name = &rules.name;
    let reason = match key_id {
        Some(id) => format!("`{name}` has no key with the id {}", Quoted(id)),
        None => format!("`{name}` has no keys, and the token names none"),
    };
    let denial = Denial::new(Slug::TokenKeyUnknown).because(reason);
    Refusal::KeyUnknown { id: key_id.map(Into::into), denial }
}

/// `typ` is not one of the accepted types (RFC 8725 §3.11).
pub(super) fn token_type(named: Option<&str>, rules: &IssuerRules) -> Refusal {
    let accepted = listed(rules.token_types.iter().map(|accepted| &**accepted));
    let reason = match named {
        Some(named) => format!("the type is {}; accepted: {accepted}", Quoted(named)),
        None => format!("there is no type (`typ`); accepted: {accepted}"),
    };
    denied(Slug::TokenType, reason)
}

/// `aud` names none of the issuer's audiences (RFC 7519 §4.1.3).
pub(super) fn audience(named: &[&str], rules: &IssuerRules) -> Refusal {
    const EXPLANATION: &str = "the claim `aud` names none of the audiences that are accepted";
    let accepted = listed(rules.audiences.iter().map(|accepted| &**accepted));
    let named = listed(named.iter().copied());
    let reason = format!("the claim `aud` is {named}; accepted: {accepted}");
    Refusal::Denied(Denial::new(Slug::TokenAudience).explained(EXPLANATION).because(reason))
}

/// It lives longer than the issuer's `max_lifetime`.
pub(super) fn lifetime(claims: &Claims, rules: &IssuerRules) -> Refusal {
    let longest = span(rules.lifetime_max_s);
    let lives = span(claims.expires.since(claims.issued_at.unwrap_or_default()));
    let (explanation, reason) = match claims.issued_at {
        Some(_) => (
            "the claim `exp` is too long after `iat`",
            format!("the token's lifetime is {lives}, and max_lifetime is {longest}"),
        ),
        None => (
            "the claim `iat` is missing",
            format!(
                "the claim `iat` is missing, so the token counts as issued in 1970 and lives for {lives}; \
                 max_lifetime is {longest}"
            ),
        ),
    };
    Refusal::Denied(Denial::new(Slug::TokenLifetime).explained(explanation).because(reason))
}
