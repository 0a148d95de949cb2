//! Decides on a request: asks the gate, and fetches a key or a session where the decision hangs on it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use http::{Version, header};
use pingora::http::RequestHeader;

use super::context::{Asked, Context, RequestRecord};
use super::exchange::{
    ExchangeState, LoggedRequest, LoggedTarget, RevocableExchange, UpstreamExchange,
};
use super::forward::IdentityToken;
use super::plain_request::PlainRequest;
use super::published::Published;
use super::streams::{ServingGuard, StreamSlot};
use crate::clock;
use crate::feed::sessions::Charge;
use crate::feed::{jwks, sessions};
use crate::gate::credential::Carrier;
use crate::gate::denial::{Denial, Detail, Slug};
use crate::gate::fields;
use crate::gate::internal::InternalToken;
use crate::gate::lapse::Lapse;
use crate::gate::policy::{Forwarding, Permit};
use crate::gate::principal::Principal;
use crate::gate::request::Request;
use crate::gate::session::Session as LoginSession;
use crate::gate::time::Moment;
use crate::gate::verifier::CacheResult;
use crate::gate::{Decision, Findings, Gate, Verdict, WantedKey, WantedSession};
use crate::issuer::internal::{InternalTokenError, Minted};
use crate::web::message::KeySeeker;

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
    /// By a session, if there was one.
    Permitted(P, Option<Arc<LoginSession>>),
    Builtin,
}

impl Context {
    /// Decides on a request. Whoever is permitted as a principal is so for as long as they are one.
    pub(super) async fn admit(&mut self, request: &RequestHeader) -> Result<AnsweredBy, Denial> {
        let prior = self.prior.take();
        let settled = self.decide(request, Gate::decide, Charge::Client, prior).await?;
        let (permit, session) = match settled {
            Settled::Permitted(permit, session) => (permit, session),
            Settled::Builtin => return Ok(AnsweredBy::Us),
        };
        refuse_longer(announced_length(request), permit.forwarding().body_bytes_max)?;
        self.take_place()?;
        let logged = || LoggedRequest::of(request);
        self.permit(permit, session.is_some(), logged, ServingGuard::begin)?;
        if let Some(session) = &session {
            self.published.sessions.touch(session, clock::shared());
        }
        Ok(AnsweredBy::Upstream)
    }

    /// Has a plain request go to its upstream if the gate permits it at once, and there is room for it
    /// there. Whether it may; if not, what the gate said is kept for [`Context::admit`].
    pub(super) fn admit_at_once(&mut self, request: &PlainRequest, slot: &StreamSlot) -> bool {
        let headers = &request.headers;
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let target = std::str::from_utf8(request.target());
        let (Ok(()), Some(host), Ok(target)) = (fields::read(headers), host, target) else {
            return false;
        };
        let asked = Request {
            scheme: self.scheme(headers),
            method: &request.method,
            authority: Some(host),
            target,
            headers,
            session: None,
        };
        let (decision, session) = self.ask(&asked, Gate::decide);
        let Decision::Permitted(permit) = decision else {
            self.prior = Some((decision, session));
            return false;
        };
        let sent = self.send_at_once(request, slot, permit, session.as_ref());
        if let Err(denial) = sent {
            self.prior = Some((Decision::Denied(denial), None));
            return false;
        }
        true
    }

    fn send_at_once(
        &mut self,
        request: &PlainRequest,
        slot: &StreamSlot,
        permit: Permit,
        session: Option<&Arc<LoginSession>>,
    ) -> Result<(), Denial> {
        let body_bytes = request.body().len() as u64;
        refuse_longer(Some(body_bytes), permit.forwarding().body_bytes_max)?;
        self.take_place()?;
        let logged = || LoggedRequest {
            method: request.method.clone(),
            host: request.headers.get(header::HOST).cloned(),
            target: LoggedTarget::Line(request.shared_target()),
        };
        let begin = |principal: &Principal| Some(slot.begin(principal));
        self.permit(permit, session.is_some(), logged, begin)?;
        let entered = match self.state.permitted() {
            Some(exchange) => self.places.enter_upstream(&self.published, &exchange.upstream),
            None => Err(Slug::Internal.into()),
        };
        if entered.is_err() {
            // It is refused like any request that was received.
            self.state.withdraw();
        }
        entered?;
        self.record.bytes_in = body_bytes;
        if let Some(session) = session {
            self.published.sessions.touch(session, clock::shared());
        }
        Ok(())
    }

    /// With its permit the request is on its way to an upstream.
    fn permit(
        &mut self,
        permit: Permit,
        is_of_session: bool,
        logged: impl FnOnce() -> LoggedRequest,
        begin: impl FnOnce(&Principal) -> Option<ServingGuard>,
    ) -> Result<(), Denial> {
        let Forwarding { upstream, internal_token, .. } = permit.forwarding();
        let upstream = self.published.configuration.upstreams.get(*upstream);
        let upstream = upstream.ok_or(Slug::Internal)?.clone();
        let (identity_token, revocable) = match permit.principal() {
            None => (None, None),
            Some(principal) => {
                let identity_token = self.identity_token_of(principal, internal_token.as_ref())?;
                // A request that nobody could end is not served.
                let guard = begin(principal).ok_or(Slug::Internal)?;
                let logged = self.published.log.is_on().then(logged);
                (identity_token, Some(RevocableExchange { guard, logged }))
            }
        };
        let ExchangeState::Received(origin) = std::mem::take(&mut self.state) else {
            return Err(Slug::Internal.into());
        };
        self.state = ExchangeState::Permitted(UpstreamExchange {
            origin,
            permit,
            upstream,
            identity_token,
            is_of_session,
            revocable,
            tries: 0,
            attempt: None,
        });
        Ok(())
    }

    /// Counts the request among those in flight.
    fn take_place(&mut self) -> Result<(), Denial> {
        self.places.enter(&self.published, self.client_address())
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
                    published.signing.metrics().issued("internal", "none");
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

    /// Decides whether a request to the gateway itself comes from somebody who is logged in. Returns
    /// their session.
    pub(super) async fn admit_own(
        &mut self,
        request: &RequestHeader,
        charge: Charge,
    ) -> Result<Arc<LoginSession>, Denial> {
        match self.decide(request, Gate::decide_own, charge, None).await? {
            Settled::Permitted(_, Some(session)) => Ok(session),
            Settled::Permitted(_, None) | Settled::Builtin => Err(Slug::Internal.into()),
        }
    }

    /// Asks the gate, unless it has said something already; if the answer hangs on a key that may have
    /// come since, or on a session that is not in memory, fetches it and asks once more.
    async fn decide<P>(
        &mut self,
        request: &RequestHeader,
        ask: Ask<P>,
        charge: Charge,
        prior: Option<Asked<P>>,
    ) -> Result<Settled<P>, Denial> {
        // HTTP/1 heads were counted before Pingora saw them.
        if request.headers.len() > self.published.configuration.settings.limits.head.fields_max {
            return Err(Slug::HeadersTooLarge.into());
        }
        fields::read(&request.headers)?;
        let authority = authority_of(request)?;
        let target = std::str::from_utf8(request.raw_path()).map_err(|_| Slug::RequestTarget)?;
        let request = Request {
            scheme: self.scheme(&request.headers),
            method: &request.method,
            authority: authority.as_deref(),
            target,
            headers: &request.headers,
            session: None,
        };
        match prior.unwrap_or_else(|| self.ask(&request, ask)) {
            (Decision::NeedsKey(wanted, denial), _) => {
                self.take_place()?;
                self.decide_with_key(&request, ask, &wanted, denial).await
            }
            (Decision::NeedsSession(wanted), _) => {
                self.take_place()?;
                self.decide_with_session(&request, ask, charge, &wanted).await
            }
            asked @ (Decision::Permitted(_) | Decision::Denied(_) | Decision::Builtin, _) => {
                settled(asked)
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
        let client = self.client_address();
        published.sessions.metrics().miss();
        match published.sessions.seek(wanted, client, charge).await {
            Sought::Found(session) => {
                let outcome =
                    settled(self.ask(&Request { session: Some(&session), ..*request }, ask));
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
        let issuer = self.record.issuer.clone();
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
    fn ask<P>(&mut self, request: &Request<'_>, ask: Ask<P>) -> Asked<P> {
        let begun = Instant::now();
        let now = clock::moment_at(clock::steady_at(begun));
        let published = &self.published;
        let Verdict { findings, decision } = ask(&published.configuration.gate, request, now);
        let result = match &decision {
            Decision::Denied(denial) | Decision::NeedsKey(_, denial) => denial.slug().as_str(),
            Decision::Permitted(_) | Decision::NeedsSession(_) | Decision::Builtin => "ok",
        };
        let session = self.record.note(published, findings, result, begun);
        (decision, session)
    }
}

impl RequestRecord {
    /// Takes what the gate found, and what it said of a token that was verified; returns the session by
    /// which it decided.
    fn note(
        &mut self,
        published: &Published,
        findings: Findings<'_>,
        result: &str,
        begun: Instant,
    ) -> Option<Arc<LoginSession>> {
        let Findings { route, carrier, cache, issuer, authentic, session } = findings;
        self.decision_took += begun.elapsed();
        self.route = route.map(|route| route.index).or(self.route);
        if let (Some(CacheResult::Miss), Some(issuer)) = (cache, &issuer) {
            let labels = [&*issuer.rules().name, result];
            published.metrics.tokens_verified.with_label_values(&labels).inc();
        }
        if let (Some(Carrier::Session | Carrier::ApiKey), Some(CacheResult::Hit)) = (carrier, cache)
        {
            published.sessions.metrics().hit();
        }
        self.carrier = carrier;
        self.cache = cache;
        self.issuer = issuer;
        self.authentic = authentic;
        session
    }
}

/// What a decision comes to when nothing more can be fetched for it.
fn settled<P>((decision, session): Asked<P>) -> Result<Settled<P>, Denial> {
    match decision {
        Decision::Permitted(proof) => Ok(Settled::Permitted(proof, session)),
        Decision::Builtin => Ok(Settled::Builtin),
        Decision::Denied(denial) | Decision::NeedsKey(_, denial) => Err(denial),
        Decision::NeedsSession(_) => Err(Slug::StoreUnavailable.into()),
    }
}

/// Refuses a body that is longer than the route allows.
fn refuse_longer(length: Option<u64>, max: Option<u64>) -> Result<(), Denial> {
    match (length, max) {
        (Some(length), Some(max)) if length > max => Err(Slug::BodyTooLarge.into()),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// How long a body says that it is.
fn announced_length(request: &RequestHeader) -> Option<u64> {
    request.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
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
