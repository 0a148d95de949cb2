//! DECIDE. Pure: no I/O, no clock, no `async`, no Pingora, no metrics.
//!
//! ```text
//! bytes ─parse→ Token ─verify→ Authentic ─admit→ Principal ─authorize→ Permit → upstream
//! ```
//!
//! Each rung is a type with private fields that one place builds. [`Gate::decide`] climbs the
//! ladder for one request; nothing reaches an upstream without the [`policy::Permit`] at its end.

pub mod authentic;
mod bounded_cache;
mod builtin;
pub mod claims;
pub mod credential;
mod decision;
pub mod denial;
pub mod fields;
pub mod forward;
pub mod framing;
pub mod internal;
pub mod issuer;
pub mod json;
pub mod keys;
pub mod lapse;
pub mod path;
pub mod policy;
pub mod principal;
pub mod reason;
pub mod request;
pub mod revocation;
pub mod route;
pub mod session;
pub mod time;
pub mod token;
pub mod verifier;

use std::sync::Arc;

use http::HeaderName;

use authentic::Authentic;
use credential::bearer::{self, SentToken};
use credential::{Carrier, Credential, MalformedCredential, api_key, session_cookie};
use decision::Stop;
pub use decision::{Decision, Findings, Verdict, WantedKey, WantedSession};
use denial::{Denial, Slug};
use forward::OwnedNames;
use internal::InternalToken;
use issuer::Issuers;
use lapse::Lapse;
use path::CanonicalPath;
use policy::{Authenticate, Authorized, Forwarding, Permit, Policy};
use principal::Principal;
use request::Request;
use revocation::{RevocationList, Scope};
use route::RouteTable;
use session::{Held, Provenance, Session, SessionId, Sessions, TagKeyCell};
use time::Moment;
use verifier::{CacheResult, Refusal, Verification, Verifier};

/// The settings of the gate, from the configuration.
#[derive(Debug)]
pub struct GateSettings {
    /// Host, path and method → route.
    pub routes: RouteTable,
    /// The headers that no client may set.
    pub owned: OwnedNames,
    /// The path below which the gateway answers requests itself. No route matches there.
    pub own_base: Option<Box<str>>,
    /// Other paths that the gateway answers itself.
    pub own_paths: Vec<Box<str>>,
    /// The header that carries API keys, if they are enabled.
    pub api_key_header: Option<HeaderName>,
    /// The cookie that carries refresh tokens, if there is one that browsers send with every
    /// request.
    pub refresh_cookie: Option<&'static str>,
    /// The rule of the gateway's own endpoints: which credentials they accept.
    pub own_rule: Authenticate,
}

/// The gate of one configuration.
#[derive(Debug)]
pub struct Gate {
    /// The settings.
    pub settings: Arc<GateSettings>,
    /// The issuers of tokens, in the order that routes refer to.
    pub issuers: Issuers,
    /// The tokens that upstreams are sent, in the order that routes refer to.
    pub internal_tokens: Vec<Arc<InternalToken>>,
    /// The verifier, shared by all configurations of the process.
    pub verifier: Arc<Verifier>,
    /// The revocation list, shared by all configurations of the process.
    pub revocations: Arc<RevocationList>,
    /// The sessions that are in memory.
    pub sessions: Sessions,
}

/// The reason in the log for an `Authorization` field without the Bearer scheme.
const OTHER_SCHEME_REASON: &str = "the Authorization field has no Bearer scheme";

/// The reason for a request that another site may have caused.
const CSRF_REASON: &str =
    "neither Sec-Fetch-Site nor Origin is permitted, and X-CSRF-Token is not this session's";

/// The reason for a session that could not be re-read for too long.
const UNCONFIRMED_REASON: &str = "the store cannot say whether the session is still there";

/// The reason for a session that was idle for too long.
const RESTED_REASON: &str = "the session was not used for idle_timeout";

/// The reason for a session that a silent gateway may have used.
const UNHEARD_REASON: &str = "the session was not used for idle_timeout; another gateway may \
     have used it, and does not answer";

impl Gate {
    /// Decides on one request at the time `now`.
    pub fn decide(&self, request: &Request<'_>, now: Moment) -> Verdict<'_> {
        let mut findings = Findings::default();
        let outcome = self.climb(request, now, &mut findings);
        Verdict::new(findings, outcome)
    }

    /// Decides whether a request to the gateway itself comes from a user who is logged in.
    pub fn decide_own(&self, request: &Request<'_>, now: Moment) -> Verdict<'_, Authorized> {
        let mut findings = Findings::default();
        let rule = &self.settings.own_rule;
        let outcome = self
            .authenticate(rule, request, now, &mut findings)
            .and_then(|principal| Ok(rule.requirement.authorize(principal)?));
        Verdict::new(findings, outcome)
    }

    /// Why a session that the store does not have is refused.
    pub fn absent(&self, id: SessionId, carrier: Carrier) -> Denial {
        let scope = Scope::Session(id.to_string().into());
        match self.revocations.names(&scope) {
            true => Denial::new(Lapse::Revoked.slug(carrier)).because(format!(
                "a revocation of the scope `{}` hits it, and the store has deleted it",
                scope.kind().as_str()
            )),
            false => carrier.unknown().into(),
        }
    }

    fn climb<'g>(
        &'g self,
        request: &Request<'_>,
        now: Moment,
        findings: &mut Findings<'g>,
    ) -> Result<Permit, Stop> {
        let host = match request.authority {
            None => "".into(),
            Some(authority) => request::host_of(authority).ok_or(Slug::HostMissing)?,
        };
        let path = CanonicalPath::parse(request.target)
            .map_err(|error| Denial::new(Slug::RequestTarget).because(error.to_string()))?;
        let GateSettings { routes, own_base, own_paths, .. } = &*self.settings;
        if builtin::is_builtin(&path, own_base.as_deref(), own_paths)? {
            return Err(Stop::Builtin);
        }
        let route = routes.find(&host, &path, request.method)?;
        findings.route = Some(route);
        // On public routes too: an upstream could take the second field for the credential.
        if bearer::is_repeated(request.headers) {
            return Err(MalformedCredential::Repeated.into());
        }
        let forwarding = || {
            let internal_token = match route.internal_token {
                None => None,
                Some(place) => Some(self.internal_tokens.get(place).ok_or(Slug::Internal)?.clone()),
            };
            Ok::<_, Slug>(Forwarding {
                upstream: route.upstream,
                credential: route.credential,
                internal_token,
                body_bytes_max: route.body_bytes_max,
                method_override: routes.method_override(&host, &path, request.method, route),
            })
        };
        match &route.policy {
            Policy::Public => Ok(Permit::public(forwarding()?)),
            Policy::Authenticate(rule) => {
                let principal = self.authenticate(rule, request, now, findings)?;
                // We can read it, whatever its size, but an upstream must not get a part of it.
                if principal.authentic().is_too_large() {
                    return Err(Slug::IdentityTooLarge.into());
                }
                Ok(Permit::of(rule.requirement.authorize(principal)?, forwarding()?))
            }
        }
    }

    /// Only an absent credential may try the next carrier; a malformed or invalid one is refused.
    fn authenticate(
        &self,
        rule: &Authenticate,
        request: &Request<'_>,
        now: Moment,
        findings: &mut Findings<'_>,
    ) -> Result<Principal, Stop> {
        for carrier in &rule.carriers {
            let found =
                self.find(*carrier, request).inspect_err(|_| findings.carrier = Some(*carrier))?;
            if let Some(credential) = found {
                findings.carrier = Some(*carrier);
                let list_age_max_ms = rule.when_stale.age_max_ms(request.method);
                return match credential {
                    Credential::Bearer(token) => {
                        let authentic = self.verify(token, rule, now, findings)?;
                        Ok(Principal::admit(authentic, &self.revocations, list_age_max_ms, now)?)
                    }
                    Credential::Session(secret) => {
                        let prove = |tags: &TagKeyCell| secret.provenance(tags);
                        let shown = (secret.id(), *carrier);
                        let session = self.recall(shown, prove, request, now, findings)?;
                        let authentic = session.authentic().clone();
                        let principal =
                            Principal::admit(authentic, &self.revocations, list_age_max_ms, now)?;
                        self.believe(&session, request, list_age_max_ms, now)?;
                        let origins = &self.sessions.rules.terms().origins;
                        if !origins.permit(request, &secret) {
                            return Err(Denial::new(Slug::Csrf).because(CSRF_REASON).into());
                        }
                        Ok(principal)
                    }
                    Credential::ApiKey(key) => {
                        let prove = |tags: &TagKeyCell| key.provenance(tags);
                        let shown = (key.id(), *carrier);
                        let session = self.recall(shown, prove, request, now, findings)?;
                        let authentic = session.authentic().clone();
                        let principal =
                            Principal::admit(authentic, &self.revocations, list_age_max_ms, now)?;
                        self.believe(&session, request, list_age_max_ms, now)?;
                        Ok(principal)
                    }
                };
            }
        }
        let denial = Denial::new(Slug::CredentialAbsent);
        let is_other = rule.carriers.contains(&Carrier::Bearer)
            && request.headers.contains_key(http::header::AUTHORIZATION);
        Err(if is_other { denial.because(OTHER_SCHEME_REASON) } else { denial }.into())
    }

    fn find<'r>(
        &self,
        carrier: Carrier,
        request: &Request<'r>,
    ) -> Result<Option<Credential<'r>>, Denial> {
        let found = match carrier {
            Carrier::Bearer => bearer::find(request.headers)?.map(Credential::Bearer),
            Carrier::Session => {
                let cookie = &self.sessions.rules.terms().cookie;
                session_cookie::find(request.headers, cookie)?.map(Credential::Session)
            }
            Carrier::ApiKey => match &self.settings.api_key_header {
                None => None,
                Some(name) => api_key::find(request.headers, name)?.map(Credential::ApiKey),
            },
        };
        Ok(found)
    }

    /// The session of this id, if memory can decide. Only if it cannot, `prove` checks whether the
    /// secret is one of ours.
    fn recall(
        &self,
        (id, carrier): (SessionId, Carrier),
        prove: impl FnOnce(&TagKeyCell) -> Provenance,
        request: &Request<'_>,
        now: Moment,
        findings: &mut Findings<'_>,
    ) -> Result<Arc<Session>, Stop> {
        let rested = |session: &Session| match self.sessions.table.may_have_been_used(session) {
            true => Denial::new(Slug::StoreUnavailable).because(UNHEARD_REASON),
            false => Denial::new(Lapse::Expired.slug(carrier)).because(RESTED_REASON),
        };
        if let Some(read) = request.session.filter(|read| read.id() == id) {
            findings.cache = Some(CacheResult::Miss);
            findings.session = Some(read.clone());
            findings.authentic = Some(read.authentic().clone());
            // A session's secret in the API key header, or an API key in the cookie, is unknown
            // there.
            return match (read.authentic().carrier() == carrier, now.shared() >= read.idle_ends()) {
                (false, _) => Err(carrier.unknown().into()),
                (true, true) => Err(rested(read).into()),
                (true, false) => Ok(read.clone()),
            };
        }
        let aged = match self.sessions.table.find(&id, &self.sessions.rules, now) {
            // A session that has passed its idle timeout at this gateway may have been used at
            // another.
            Held::Current(session) if session.authentic().carrier() != carrier => {
                return Err(carrier.unknown().into());
            }
            Held::Current(session) if now.shared() < session.idle_ends() => {
                findings.cache = Some(CacheResult::Hit);
                findings.authentic = Some(session.authentic().clone());
                findings.session = Some(session.clone());
                return Ok(session);
            }
            Held::Aged(session) if now.shared() < session.idle_ends() => Some(session),
            Held::Changed(session) if session.authentic().is_revoked(&self.revocations, now) => {
                findings.authentic = Some(session.authentic().clone());
                return Err(session.authentic().revoked(&self.revocations).into());
            }
            Held::Current(_) | Held::Aged(_) | Held::Changed(_) | Held::Absent => None,
        };
        let provenance = prove(&self.sessions.tags);
        Err(Stop::NeedsSession(WantedSession { id, carrier, aged, provenance }))
    }

    /// A session from memory that could not be re-read may only be used for a while, however
    /// current the list is: it may have been deleted since.
    fn believe(
        &self,
        session: &Session,
        request: &Request<'_>,
        age_max_ms: u64,
        now: Moment,
    ) -> Result<(), Denial> {
        let Sessions { rules, table, tags: _ } = &self.sessions;
        match request.session {
            // The table has just vouched for it.
            None => Ok(()),
            Some(_) if table.is_believed(session, rules, age_max_ms, now) => Ok(()),
            Some(_) => Err(Denial::new(Slug::RevocationStale).because(UNCONFIRMED_REASON)),
        }
    }

    fn verify(
        &self,
        token: SentToken<'_>,
        rule: &Authenticate,
        now: Moment,
        findings: &mut Findings<'_>,
    ) -> Result<Arc<Authentic>, Stop> {
        let (verifier, issuers, permitted) = (&self.verifier, &self.issuers, &rule.issuers);
        // A token that was verified before need not be parsed again: the cache finds it byte by
        // byte.
        let known = verifier.recall(token.as_bytes(), issuers, permitted, now.wall);
        let Verification { issuer, cache, result } = match known {
            Some(known) => known,
            None => verifier.verify_anew(token.read()?, issuers, permitted, now.wall),
        };
        findings.issuer = issuer;
        findings.cache = Some(cache);
        let authentic = result.map_err(|refusal| match refusal {
            Refusal::Denied(denial) => Stop::Denied(denial),
            Refusal::KeyUnknown { id, denial } => Stop::NeedsKey(WantedKey(id), denial),
        })?;
        findings.authentic = Some(authentic.clone());
        Ok(authentic)
    }
}

#[cfg(test)]
mod tests;
