//! Admits a request: with a permit it gets its place in flight, its upstream and its identity token.

mod decide;

use std::sync::Arc;

use http::header;
use pingora::http::RequestHeader;

use self::decide::Settled;
use super::context::Context;
use super::exchange_state::{
    ExchangeState, LoggedRequest, LoggedTarget, RevocableExchange, UpstreamExchange,
};
use super::fast_lane::plain_request::PlainRequest;
use super::forward::IdentityToken;
use super::revocation_sweep::{ServingGuard, StreamSlot};
use crate::clock;
use crate::feed::sessions::Charge;
use crate::gate::denial::{Denial, Slug};
use crate::gate::fields;
use crate::gate::internal::InternalToken;
use crate::gate::policy::{Forwarding, Permit};
use crate::gate::principal::Principal;
use crate::gate::request::Request;
use crate::gate::session::Session as LoginSession;
use crate::gate::{Decision, Gate};
use crate::issuer::internal::{InternalTokenError, Minted};

/// Who answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnsweredBy {
    /// An upstream: there is a permit.
    Upstream,
    /// The gateway itself.
    Us,
}

impl Context {
    /// Decides on a request. A permit for a principal ends when the principal lapses.
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
                // A request that could not be ended later is not served.
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

    /// Decides whether a request to the gateway itself comes from a user who is logged in. Returns
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
