//! DECIDE. Pure: no I/O, no clock, no `async`, no Pingora, no metrics.
//!
//! ```text
//! bytes ─parse→ Token ─verify→ Authentic ─admit→ Principal ─authorize→ Permit → upstream
//! ```
//!
//! Each rung is a type with private fields that one place builds. [`Gate::decide`] climbs the
//! ladder for one request; nothing reaches an upstream without the [`policy::Permit`] at its end.

pub mod claims;
pub mod credential;
pub mod denial;
pub mod forward;
pub mod framing;
pub mod issuer;
pub mod json;
pub mod keys;
pub mod path;
pub mod policy;
pub mod principal;
pub mod request;
pub mod revocation;
pub mod route;
pub mod time;
pub mod token;
pub mod verifier;

use std::sync::Arc;

use credential::{Carrier, Credential};
use denial::{Denial, Slug};
use forward::OwnedNames;
use issuer::{Issuer, Issuers};
use path::CanonicalPath;
use policy::{Authenticate, Permit, Policy};
use principal::{Authentic, Principal};
use request::Request;
use revocation::RevocationList;
use route::{Route, RouteTable};
use time::Moment;
use verifier::{CacheResult, Refusal, Verification, Verifier};

/// The compiled, immutable decision of one configuration.
#[derive(Debug)]
pub struct Gate {
    /// Host, path and method → route.
    pub routes: RouteTable,
    /// Who may issue tokens.
    pub issuers: Issuers,
    /// The headers that no client may set.
    pub owned: OwnedNames,
    /// The verifier, shared by all configurations of the process.
    pub verifier: Arc<Verifier>,
    /// Who has been cut off, shared by all configurations of the process.
    pub revocations: Arc<RevocationList>,
}

/// The `kid` of a key that no issuer was known to have; `None` for a token that names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedKey(pub Option<Box<str>>);

/// The answer to one request, and what was learned on the way to it.
#[derive(Debug)]
pub struct Verdict<'g> {
    /// The route, if one matched.
    pub route: Option<&'g Route>,
    /// What carried the credential, if one was read.
    pub carrier: Option<Carrier>,
    /// Whether the credential had been seen before, if one was verified.
    pub cache: Option<CacheResult>,
    /// The issuer that the credential names, if it is one of ours.
    pub issuer: Option<Arc<Issuer>>,
    /// Who asked, if that was verified: admitted or not, permitted or not.
    pub authentic: Option<Arc<Authentic>>,
    /// The key that was looked for and not found; fetching the issuer's keys anew may help.
    pub key_wanted: Option<WantedKey>,
    /// The answer.
    pub outcome: Result<Permit, Denial>,
}

impl Gate {
    /// Decides on one request at the time `now`.
    pub fn decide(&self, request: &Request<'_>, now: Moment) -> Verdict<'_> {
        let mut verdict = Verdict {
            route: None,
            carrier: None,
            cache: None,
            issuer: None,
            authentic: None,
            key_wanted: None,
            outcome: Err(Slug::Internal.into()),
        };
        verdict.outcome = self.climb(request, now, &mut verdict);
        verdict
    }

    fn climb<'g>(
        &'g self,
        request: &Request<'_>,
        now: Moment,
        verdict: &mut Verdict<'g>,
    ) -> Result<Permit, Denial> {
        let host = request::host_of(request.authority).ok_or(Slug::HostMissing)?;
        let path = CanonicalPath::parse(request.target).map_err(|_| Slug::RequestTarget)?;
        let route = self.routes.find(&host, &path, request.method)?;
        verdict.route = Some(route);
        // On public routes too: an upstream could take the other one for the credential.
        if credential::is_repeated(request.headers) {
            return Err(Slug::CredentialMalformed.into());
        }
        match &route.policy {
            Policy::Public => Ok(Permit::public()),
            Policy::Authenticate(rule) => self.authenticate(rule, request, now, verdict),
        }
    }

    /// Only an absent credential may try the next carrier; a malformed or invalid one is refused.
    fn authenticate(
        &self,
        rule: &Authenticate,
        request: &Request<'_>,
        now: Moment,
        verdict: &mut Verdict<'_>,
    ) -> Result<Permit, Denial> {
        for carrier in &rule.carriers {
            let found = match carrier {
                Carrier::Bearer => credential::find_bearer(request.headers),
            };
            let found = found.map_err(|_| {
                verdict.carrier = Some(*carrier);
                Slug::CredentialMalformed
            })?;
            if let Some(credential) = found {
                verdict.carrier = Some(*carrier);
                let list_age_max_ms = rule.when_stale.age_max_ms(request.method);
                let principal = self.establish(credential, rule, list_age_max_ms, now, verdict)?;
                return rule.requirement.authorize(principal);
            }
        }
        Err(Slug::CredentialAbsent.into())
    }

    fn establish(
        &self,
        credential: Credential<'_>,
        rule: &Authenticate,
        list_age_max_ms: u64,
        now: Moment,
        verdict: &mut Verdict<'_>,
    ) -> Result<Principal, Denial> {
        let Credential::Bearer(token) = credential;
        let Verification { issuer, cache, result } =
            self.verifier.verify(token, &self.issuers, &rule.issuers, now.wall);
        verdict.issuer = issuer;
        verdict.cache = Some(cache);
        let authentic = result.map_err(|refusal| match refusal {
            Refusal::Slug(slug) => slug,
            Refusal::KeyUnknown(key_id) => {
                verdict.key_wanted = Some(WantedKey(key_id));
                Slug::TokenKeyUnknown
            }
        })?;
        verdict.authentic = Some(authentic.clone());
        Ok(Principal::admit(authentic, &self.revocations, list_age_max_ms, now)?)
    }
}

#[cfg(test)]
mod tests;
