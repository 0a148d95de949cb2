//! A route's rule, and the permit that only it can issue.

use std::sync::Arc;

use http::Method;
use serde_json::Value;

use super::claims::ClaimError;
use super::credential::Carrier;
use super::denial::{Denial, Detail, Slug};
use super::fields::MethodOverride;
use super::internal::InternalToken;
use super::principal::Principal;
use super::reason::listed;

/// The policy of a route: who may use it.
#[derive(Debug)]
pub enum Policy {
    /// Anyone. The credential is not read.
    Public,
    /// Principals that meet the requirement.
    Authenticate(Authenticate),
}

impl Policy {
    /// Whether every caller that passes this policy also passes `other` with the same credential.
    pub fn implies(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Public) => true,
            (Self::Public, Self::Authenticate(_)) => false,
            (Self::Authenticate(rule), Self::Authenticate(other)) => rule.implies(other),
        }
    }
}

/// How a principal is established, and what it must have.
#[derive(Debug)]
pub struct Authenticate {
    /// Where credentials may come from, in order of precedence.
    pub carriers: Vec<Carrier>,
    /// The issuers whose tokens are accepted, by their places in the configuration.
    pub issuers: Vec<usize>,
    /// The scopes, roles and claims that the principal must have.
    pub requirement: Requirement,
    /// How requests are answered while the revocation list is too old.
    pub when_stale: WhenStale,
}

impl Authenticate {
    fn implies(&self, other: &Self) -> bool {
        let Self { carriers, issuers, requirement, when_stale } = self;
        is_within(carriers, &other.carriers)
            && is_within(issuers, &other.issuers)
            && requirement.implies(&other.requirement)
            && when_stale.implies(other.when_stale)
    }
}

fn is_within<T: PartialEq>(some: &[T], others: &[T]) -> bool {
    some.iter().all(|one| others.contains(one))
}

/// How old the revocation list may be, in milliseconds, for a request to pass. Before the first
/// snapshot no request passes: an empty list is not an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WhenStale {
    /// For safe methods (RFC 9110 §9.2.1).
    pub safe_age_max_ms: u64,
    /// For the others.
    pub unsafe_age_max_ms: u64,
}

impl WhenStale {
    /// The age that is tolerated for a request with this method.
    pub fn age_max_ms(self, method: &Method) -> u64 {
        if method.is_safe() { self.safe_age_max_ms } else { self.unsafe_age_max_ms }
    }

    fn implies(self, other: Self) -> bool {
        let Self { safe_age_max_ms, unsafe_age_max_ms } = self;
        safe_age_max_ms <= other.safe_age_max_ms && unsafe_age_max_ms <= other.unsafe_age_max_ms
    }
}

/// The scopes, roles and claims that a principal must have.
#[derive(Debug, Default)]
pub struct Requirement {
    /// All of these scopes.
    pub scopes: Vec<Box<str>>,
    /// The same, as text for the challenge.
    pub scopes_text: Arc<str>,
    /// One of these roles, unless empty.
    pub any_role: Vec<Box<str>>,
    /// Each of these claims.
    pub claims: Vec<ClaimRule>,
}

/// A claim that must have, or as an array contain, one of some values.
#[derive(Debug)]
pub struct ClaimRule {
    /// A member name, or a JSON pointer if it starts with a slash.
    pub path: Box<str>,
    /// The accepted values.
    pub accepted: Vec<Value>,
}

/// The proof that a request may pass, and where to. A request to an upstream can only be made
/// with a permit.
#[derive(Clone, Debug)]
pub struct Permit {
    principal: Option<Principal>,
    forwarding: Forwarding,
}

/// Where a permitted request goes, and how.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// The upstream's position in the configuration.
    pub upstream: usize,
    /// What happens to the credential.
    pub credential: ForwardCredential,
    /// The token that tells the upstream who the caller is, if one is configured.
    pub internal_token: Option<Arc<InternalToken>>,
    /// The largest body, in bytes.
    pub body_bytes_max: Option<u64>,
    /// What happens to fields that ask for another method.
    pub method_override: MethodOverride,
}

/// What happens to the credential on its way to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardCredential {
    /// It stays at the gateway.
    Strip,
    /// The upstream gets it.
    Keep,
}

/// The proof that a principal meets the requirement.
#[derive(Clone, Debug)]
pub struct Authorized(Principal);

impl Authorized {
    /// The principal.
    pub fn principal(&self) -> &Principal {
        &self.0
    }
}

impl Permit {
    /// The permit of a public route, without a principal.
    pub(super) fn public(forwarding: Forwarding) -> Self {
        Self { principal: None, forwarding }
    }

    /// The permit of a principal that meets the route's requirement.
    pub(super) fn of(Authorized(principal): Authorized, forwarding: Forwarding) -> Self {
        Self { principal: Some(principal), forwarding }
    }

    /// The principal, unless the route is public.
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// Where it goes, and how.
    pub fn forwarding(&self) -> &Forwarding {
        &self.forwarding
    }
}

impl Requirement {
    /// Checks whether `principal` meets the requirement.
    ///
    /// # Errors
    ///
    /// The [`Denial`] for the first thing that is missing: scopes, then roles, then claims.
    pub fn authorize(&self, principal: Principal) -> Result<Authorized, Denial> {
        let Self { scopes, scopes_text, any_role, claims } = self;
        if let Some(missing) = scopes.iter().find(|scope| !principal.scopes().contains(scope)) {
            return Err(unreadable(principal.claims().scopes_error()).unwrap_or_else(|| {
                Denial::with(Slug::ScopeMissing, Detail::Scopes(scopes_text.clone()))
                    .because(format!("the caller does not have the scope `{missing}`"))
            }));
        }
        if !any_role.is_empty() && !any_role.iter().any(|role| principal.roles().contains(role)) {
            return Err(unreadable(principal.claims().roles_error()).unwrap_or_else(|| {
                let wanted = listed(any_role.iter().map(|role| &**role));
                let reason = format!("the caller has none of the roles: {wanted}");
                Denial::new(Slug::RoleMissing).because(reason)
            }));
        }
        if let Some(rule) = claims.iter().find(|rule| !rule.holds(&principal)) {
            return Err(rule.mismatch(&principal));
        }
        Ok(Authorized(principal))
    }

    fn implies(&self, other: &Self) -> bool {
        let Self { scopes, scopes_text: _, any_role, claims } = self;
        let role = other.any_role.is_empty()
            || (!any_role.is_empty() && is_within(any_role, &other.any_role));
        let is_asked = |other: &ClaimRule| claims.iter().any(|rule| rule.implies(other));
        is_within(&other.scopes, scopes) && role && other.claims.iter().all(is_asked)
    }
}

/// The refusal of a token with a claim of unreadable type that the route requires.
fn unreadable(error: Option<&ClaimError>) -> Option<Denial> {
    error.map(|error| error.clone().into())
}

impl ClaimRule {
    fn mismatch(&self, principal: &Principal) -> Denial {
        let name = &self.path;
        let reason = match principal.claim(name) {
            None | Some(Value::Null) => format!("the claim `{name}` is missing"),
            Some(_) => format!("the claim `{name}` does not have an accepted value"),
        };
        Denial::new(Slug::ClaimMismatch).explained_because(reason)
    }

    fn implies(&self, other: &Self) -> bool {
        let Self { path, accepted } = self;
        *path == other.path && is_within(accepted, &other.accepted)
    }

    fn holds(&self, principal: &Principal) -> bool {
        match principal.claim(&self.path) {
            None => false,
            Some(Value::Array(items)) => items.iter().any(|item| self.accepted.contains(item)),
            Some(value) => self.accepted.contains(value),
        }
    }
}

#[cfg(test)]
mod tests;
