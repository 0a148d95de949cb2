//! State of one request while it is served, and the decision about it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, Uri, Version, header};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::answer::{FinishedAnswer, client_kind};
use super::client::RequestClient;
use super::forward::IdentityToken;
use super::pace::Pace;
use super::places::HeldPlaces;
use super::published::Published;
use super::streams::ServingGuard;
use super::trace::RequestId;
use super::upgrade::Switched;
use crate::clock;
use crate::feed::sessions::Charge;
use crate::feed::{jwks, sessions};
use crate::gate::credential::Carrier;
use crate::gate::denial::{Denial, Detail, Slug};
use crate::gate::fields;
use crate::gate::internal::InternalToken;
use crate::gate::issuer::Issuer;
use crate::gate::policy::{Forwarding, Permit, Policy};
use crate::gate::principal::{Authentic, Lapse, Principal};
use crate::gate::request::{Request, Scheme};
use crate::gate::session::Session as LoginSession;
use crate::gate::time::Moment;
use crate::gate::verifier::CacheResult;
use crate::gate::{Decision, Findings, Gate, Verdict, WantedKey, WantedSession};
use crate::issuer::internal::{InternalTokenError, Minted};
use crate::upstream::Upstream;
use crate::web::message::{ClientKind, KeySeeker};

/// What becomes of a browser that is refused for want of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingSession {
    /// It is told so.
    Refused,
    /// It is sent to the login page, and comes back.
    SentToLogin,
}

/// Who answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnsweredBy {
    /// An upstream: there is a permit.
    Upstream,
    /// The gateway itself.
    Us,
}

/// Asks the gate in one of its two ways: by the route's rule, or by that of its own endpoints.
type Ask<P> = for<'g, 'a, 'r> fn(&'g Gate, &'a Request<'r>, Moment) -> Verdict<'g, P>;

/// A decision for which nothing is lacking any more.
enum Settled<P> {
    Permitted(P),
    Builtin,
}

/// What is logged of a request as it was asked. Copied without its bytes.
#[derive(Debug)]
pub(super) struct LoggedRequest {
    pub(super) method: Method,
    pub(super) host: Option<HeaderValue>,
    pub(super) uri: Uri,
}

impl LoggedRequest {
    /// A permitted request, whose target is a path.
    fn of(request: &RequestHeader) -> Self {
        Self {
            method: request.method.clone(),
            host: request.headers.get(header::HOST).cloned(),
            uri: request.uri.clone(),
        }
    }
}

/// What is known of one request.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) published: Arc<Published>,
    pub(super) started: Instant,
    pub(super) request_id: Option<RequestId>,
    pub(super) client: Option<RequestClient>,
    pub(super) decision_took: Duration,
    pub(super) route: Option<usize>,
    pub(super) carrier: Option<Carrier>,
    pub(super) cache: Option<CacheResult>,
    pub(super) issuer: Option<Arc<Issuer>>,
    pub(super) authentic: Option<Arc<Authentic>>,
    pub(super) permit: Option<Permit>,
    /// The session by which the request was decided.
    pub(super) session: Option<Arc<LoginSession>>,
    /// What becomes of a browser that is refused for want of a session.
    pub(super) stranger: MissingSession,
    /// The slot from which the request is given up when its principal lapses.
    pub(super) tenure: Option<ServingGuard>,
    /// What is logged of the request if it is given up.
    pub(super) asked: Option<LoggedRequest>,
    /// The status of the answer, once there is one.
    pub(super) status: Option<u16>,
    /// Why the request was not permitted, or could not be served although it was.
    pub(super) denial: Option<Slug>,
    /// What exactly was wrong then, for the log.
    pub(super) reason: Cow<'static, str>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) upstream_took: Option<Duration>,
    /// The token that tells the upstream who the caller is, in its header.
    pub(super) identity_token: Option<IdentityToken>,
    pub(super) bytes_in: u64,
    /// How fast the body of an HTTP/2 request has to come.
    pace: Option<Pace>,
    pub(super) bytes_out: u64,
    pub(super) tries: usize,
    pub(super) peer_chosen: Option<Instant>,
    /// Whether the upstream has switched protocols, if that was asked for.
    pub(super) switched: Option<Switched>,
    /// Its place among the requests that are being served.
    pub(super) places: HeldPlaces,
}

impl Context {
    pub(super) fn new(published: Arc<Published>) -> Self {
        Self {
            published,
            started: Instant::now(),
            request_id: None,
            client: None,
            decision_took: Duration::ZERO,
            route: None,
            carrier: None,
            cache: None,
            issuer: None,
            authentic: None,
            permit: None,
            session: None,
            stranger: MissingSession::Refused,
            tenure: None,
            asked: None,
            status: None,
            denial: None,
            reason: Cow::Borrowed(""),
            peer: None,
            upstream_took: None,
            identity_token: None,
            bytes_in: 0,
            pace: None,
            bytes_out: 0,
            tries: 0,
            peer_chosen: None,
            switched: None,
            places: HeldPlaces::default(),
        }
    }

    /// The request's id; empty before the request was looked at, which nothing observes.
    pub(super) fn request_id(&self) -> &str {
        self.request_id.as_ref().map_or("", RequestId::as_str)
    }

    /// Whether the body of an HTTP/2 request, of which so many bytes came, is too slow. What the
    /// upstream takes to accept it counts, too; but that is bounded by its own timeout.
    pub(super) fn is_late(&mut self, bytes: u64) -> bool {
        let rules = self.published.configuration.settings.limits.body_pace;
        let now = tokio::time::Instant::now();
        let started = self.started.into();
        let pace = self.pace.get_or_insert_with(|| Pace::begin(rules, started));
        let until = if pace.is_waiting() { pace.wait(now) } else { pace.wait(started) };
        pace.arrived(usize::try_from(bytes).unwrap_or(usize::MAX), || now);
        // From now on the rest is waited for.
        pace.wait(now);
        until < now
    }

    /// Decides on a request. Whoever is permitted as a principal is so for as long as they are one.
    pub(super) async fn admit(&mut self, request: &RequestHeader) -> Result<AnsweredBy, Denial> {
        let permit = match self.decide(request, Gate::decide, Charge::Client).await? {
            Settled::Permitted(permit) => permit,
            Settled::Builtin => return Ok(AnsweredBy::Us),
        };
        let Forwarding { body_bytes_max, internal_token, .. } = permit.forwarding();
        refuse_announced_body(request, *body_bytes_max)?;
        self.take_place()?;
        if let Some(principal) = permit.principal() {
            self.identity_token = self.identity_token_of(principal, internal_token.as_ref())?;
            // A request that nobody could end is not served.
            self.tenure = Some(ServingGuard::begin(principal).ok_or(Slug::Internal)?);
            self.asked = self.published.log.is_on().then(|| LoggedRequest::of(request));
        }
        if let Some(session) = &self.session {
            self.published.sessions.touch(session, clock::shared());
        }
        self.permit = Some(permit);
        Ok(AnsweredBy::Upstream)
    }

    /// Counts the request among those in flight.
    fn take_place(&mut self) -> Result<(), Denial> {
        let client = self.client.and_then(|client| client.address);
        self.places.enter(&self.published, client)
    }

    /// The token that tells the upstream who the principal is, if the route asks for one.
    fn identity_token_of(
        &self,
        principal: &Principal,
        wanted: Option<&Arc<InternalToken>>,
    ) -> Result<Option<IdentityToken>, Denial> {
        let Some(wanted) = wanted else { return Ok(None) };
        let published = &self.published;
        let tokens = published.configuration.settings.tokens.as_ref().ok_or(Slug::Internal)?;
        let now = clock::moment();
        let signer = published.signing.signer(now.shared()).ok_or(Slug::KeysUnavailable)?;
        let made = published.internal_tokens.value(
            principal.authentic(),
            wanted,
            &tokens.issuer,
            &signer,
            now,
        );
        match made {
            Ok((value, minted)) => {
                if minted == Minted::Now {
                    let issued = &published.families.tokens_issued;
                    issued.with_label_values(&["internal", "none"]).inc();
                }
                Ok(Some(IdentityToken { wanted: wanted.clone(), value }))
            }
            Err(InternalTokenError::TooLarge) => Err(Slug::IdentityTooLarge.into()),
            Err(InternalTokenError::Signing(error)) => {
                tracing::error!(%error, "an internal token cannot be signed");
                Err(Slug::Internal.into())
            }
        }
    }

    /// Decides whether a request to the gateway itself comes from somebody who is logged in.
    pub(super) async fn admit_own(
        &mut self,
        request: &RequestHeader,
        charge: Charge,
    ) -> Result<(), Denial> {
        match self.decide(request, Gate::decide_own, charge).await? {
            Settled::Permitted(_) => Ok(()),
            Settled::Builtin => Err(Slug::Internal.into()),
        }
    }

    /// Asks the gate; if the answer hangs on a key that may have come since, or on a session that
    /// is not in memory, fetches it and asks once more.
    async fn decide<P>(
        &mut self,
        request: &RequestHeader,
        ask: Ask<P>,
        charge: Charge,
    ) -> Result<Settled<P>, Denial> {
        // HTTP/1 heads were counted before Pingora saw them.
        if request.headers.len() > self.published.configuration.settings.limits.head.fields_max {
            return Err(Slug::HeadersTooLarge.into());
        }
        fields::read(&request.headers)?;
        let authority = authority_of(request)?;
        let target = std::str::from_utf8(request.raw_path()).map_err(|_| Slug::RequestTarget)?;
        let request = Request {
            scheme: self.client.map_or(Scheme::Http, |client| client.scheme_told(&request.headers)),
            method: &request.method,
            authority: authority.as_deref(),
            target,
            headers: &request.headers,
            session: None,
        };
        match self.ask(&request, ask) {
            Decision::NeedsKey(wanted, denial) => {
                self.take_place()?;
                self.decide_with_key(&request, ask, &wanted, denial).await
            }
            Decision::NeedsSession(wanted) => {
                self.take_place()?;
                self.decide_with_session(&request, ask, charge, &wanted).await
            }
            decision @ (Decision::Permitted(_) | Decision::Denied(_) | Decision::Builtin) => {
                settled(decision)
            }
        }
    }

    async fn decide_with_session<P>(
        &mut self,
        request: &Request<'_>,
        ask: Ask<P>,
        charge: Charge,
        wanted: &WantedSession,
    ) -> Result<Settled<P>, Denial> {
        use sessions::Sought;
        let published = self.published.clone();
        let client = self.client.and_then(|client| client.address);
        published.families.session_misses.inc();
        match published.sessions.seek(wanted, client, charge).await {
            Sought::Found(session) => {
                let decision = self.ask(&Request { session: Some(&session), ..*request }, ask);
                let outcome = settled(decision);
                if let Err(denial) = &outcome
                    && denial.slug() == Lapse::Expired.slug(wanted.carrier)
                {
                    published.sessions.spend(client, charge);
                }
                outcome
            }
            Sought::Absent => Err(published.configuration.gate.absent(wanted.id, wanted.carrier)),
            Sought::Unavailable => Err(Slug::StoreUnavailable.into()),
            Sought::Refused(seconds) => {
                Err(Denial::with(Slug::VerificationBudget, Detail::RetryAfter(seconds)))
            }
        }
    }

    async fn decide_with_key<P>(
        &mut self,
        request: &Request<'_>,
        ask: Ask<P>,
        wanted: &WantedKey,
        absent: Denial,
    ) -> Result<Settled<P>, Denial> {
        use jwks::KeySearch;
        let issuer = self.issuer.clone();
        let published = self.published.clone();
        let Some(issuer) = issuer else { return Err(absent) };
        match published.seek(&issuer, &wanted.0).await {
            KeySearch::Found => settled(self.ask(request, ask)),
            KeySearch::Absent => Err(absent),
            KeySearch::Unavailable => {
                let reason = format!("{}, and it cannot be looked up now", absent.reason());
                Err(Denial::new(Slug::KeysUnavailable).because(reason))
            }
        }
    }

    /// One pass through the gate, timed.
    fn ask<P>(&mut self, request: &Request<'_>, ask: Ask<P>) -> Decision<P> {
        let begun = Instant::now();
        let now = clock::moment_at(clock::steady_at(begun));
        let published = self.published.clone();
        let Verdict { findings, decision } = ask(&published.configuration.gate, request, now);
        self.decision_took += begun.elapsed();
        let Findings { route, carrier, cache, issuer, authentic, session } = findings;
        self.carrier = carrier;
        self.cache = cache;
        self.issuer = issuer;
        self.authentic = authentic;
        self.session = session;
        if let Some(route) = route {
            self.route = Some(route.index);
            self.stranger = match &route.policy {
                Policy::Authenticate(rule) if rule.carriers.contains(&Carrier::Session) => {
                    MissingSession::SentToLogin
                }
                Policy::Authenticate(_) | Policy::Public => MissingSession::Refused,
            };
        }
        if let (Some(CacheResult::Miss), Some(issuer)) = (self.cache, &self.issuer) {
            let result = match &decision {
                Decision::Denied(denial) | Decision::NeedsKey(_, denial) => denial.slug().as_str(),
                Decision::Permitted(_) | Decision::NeedsSession(_) | Decision::Builtin => "ok",
            };
            let labels = [&*issuer.rules().name, result];
            published.families.tokens_verified.with_label_values(&labels).inc();
        }
        if let (Some(Carrier::Session | Carrier::ApiKey), Some(CacheResult::Hit)) = (carrier, cache)
        {
            published.families.session_hits.inc();
        }
        decision
    }

    /// The upstream to which the request is permitted.
    pub(super) fn upstream(&self) -> Option<&Arc<Upstream>> {
        let Forwarding { upstream, .. } = self.permit.as_ref()?.forwarding();
        self.published.configuration.upstreams.get(*upstream)
    }

    /// What the upstream is told as `Host` of a request without one.
    pub(super) fn upstream_host(&self) -> String {
        match (self.upstream(), self.peer) {
            (Some(found), Some(address)) => found.host_at(address),
            (None, _) | (_, None) => String::new(),
        }
    }

    /// Remembers why a request was not permitted, or could not be served.
    pub(super) fn denied(&mut self, denial: &Denial) {
        self.denial = Some(denial.slug());
        self.reason = denial.reason().to_owned().into();
    }

    /// Answers with a denial.
    pub(super) async fn refuse(&mut self, session: &mut Session, denial: &Denial) -> Result<()> {
        self.denied(denial);
        // Where a request ends that can be read in two ways, somebody before us may see another way.
        if denial.slug() == Slug::RequestFraming {
            session.set_keepalive(None);
        }
        let request = session.req_header();
        let client_kind = client_kind(&request.headers);
        let answer =
            match (&self.published.configuration.settings.login, self.stranger, client_kind) {
                (Some(login), MissingSession::SentToLogin, ClientKind::Person)
                    if request.method.is_safe() && denial.slug().is_want_of_login() =>
                {
                    FinishedAnswer::to_login(&login.base, request.raw_path())
                }
                (Some(_) | None, MissingSession::SentToLogin | MissingSession::Refused, _) => {
                    let realm = &self.published.configuration.settings.realm;
                    FinishedAnswer::new(denial, client_kind, self.request_id(), realm)
                }
            };
        self.status = Some(answer.status);
        answer.write(session).await
    }

    /// What a request whose principal has lapsed would now be refused with.
    pub(super) fn slug_of(&self, lapse: Lapse) -> Slug {
        lapse.slug(self.carrier.unwrap_or(Carrier::Bearer))
    }
}

/// What a decision comes to when nothing more can be fetched for it.
fn settled<P>(decision: Decision<P>) -> Result<Settled<P>, Denial> {
    match decision {
        Decision::Permitted(proof) => Ok(Settled::Permitted(proof)),
        Decision::Builtin => Ok(Settled::Builtin),
        Decision::Denied(denial) | Decision::NeedsKey(_, denial) => Err(denial),
        Decision::NeedsSession(_) => Err(Slug::StoreUnavailable.into()),
    }
}

/// Refuses a body that says that it is longer than the route allows.
fn refuse_announced_body(request: &RequestHeader, max: Option<u64>) -> Result<(), Denial> {
    let Some(max) = max else { return Ok(()) };
    let announced = request
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    match announced {
        Some(length) if length > max => Err(Slug::BodyTooLarge.into()),
        Some(_) | None => Ok(()),
    }
}

/// The authority of a request; `None` if it has none, which only HTTP/1.0 allows (RFC 9112 §3.2).
pub(super) fn authority_of(request: &RequestHeader) -> Result<Option<Cow<'_, str>>, Slug> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => Some(host.to_str().map_err(|_| Slug::HostMissing)?),
        (Some(_), Some(_)) => return Err(Slug::HostMissing),
    };
    // RFC 9113 §8.3.1: `:authority` and `Host` must not differ.
    let authority = match request.version {
        Version::HTTP_2 => request.uri.authority().map(|authority| authority.as_str()),
        _ => None,
    };
    match (authority, host) {
        (Some(authority), Some(host)) if authority != host => Err(Slug::HostMissing),
        (Some(authority), _) => Ok(Some(authority.into())),
        (None, Some(host)) => Ok(Some(host.into())),
        (None, None) if request.version == Version::HTTP_10 => Ok(None),
        (None, None) => Err(Slug::HostMissing),
    }
}
