//! Between Pingora and the gate: asks for a verdict, and lets pass only what has a permit.

mod receive;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use self::receive::{Reception, receive};
use super::dialer::{ConnectionUse, Dialer};
use super::{body_start, upgrade};
use crate::edge::admission::AnsweredBy;
use crate::edge::client_stream::inbound::Inbound;
use crate::edge::client_stream::inbound::fault::Fault;
use crate::edge::context::Context;
use crate::edge::exchange_state::{UpstreamAttempt, UpstreamExchange};
use crate::edge::forward::Outgoing;
use crate::edge::publication::Current;
use crate::edge::upstream_connections::{Reuse, UpstreamConnections};
use crate::edge::{builtin, failure, record, response};
use crate::gate::denial::{Denial, Slug};

/// The application that Pingora calls.
#[derive(Debug)]
pub(in crate::edge) struct ProxyHooks {
    current: Current,
    connections: UpstreamConnections,
}

impl ProxyHooks {
    pub(in crate::edge) fn new(current: Current, connections: UpstreamConnections) -> Self {
        Self { current, connections }
    }
}

#[async_trait]
impl ProxyHttp for ProxyHooks {
    /// Boxed: Pingora moves it from one future into the next.
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Box<Context> {
        Context::of_request(|| self.current.load())
    }

    /// No modules: compression is the upstream's business.
    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        context: &mut Box<Context>,
    ) -> Result<bool> {
        match receive(session, context)? {
            Reception::Refused => return Ok(true),
            Reception::Received => {}
        }
        let request = session.req_header();
        match context.admit(request).await {
            Ok(AnsweredBy::Upstream) => Ok(false),
            Ok(AnsweredBy::Us) => {
                builtin::answer(session, context).await.map_err(Error::into_down)?;
                Ok(true)
            }
            Err(denial) => {
                context.refuse(session, &denial).await.map_err(Error::into_down)?;
                Ok(true)
            }
        }
    }

    /// Before an upstream is dialled, for the first time.
    async fn proxy_upstream_filter(
        &self,
        session: &mut Session,
        context: &mut Box<Context>,
    ) -> Result<bool> {
        // What seldom happens is boxed: the rest of this is moved for each request.
        if !session.as_mut().is_body_empty() {
            let patience = context.published.configuration.settings.limits.body_pace.timeout;
            Box::pin(body_start::arrived(session, patience)).await?;
        }
        let Context { published, state, places, .. } = &mut **context;
        let entered = match state.permitted() {
            Some(exchange) => places.enter_upstream(published, &exchange.upstream),
            None => Err(Slug::Internal.into()),
        };
        match entered {
            Ok(()) => Ok(true),
            Err(denial) => {
                Box::pin(context.refuse(session, &denial)).await?;
                Ok(false)
            }
        }
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        context: &mut Box<Context>,
    ) -> Result<Box<HttpPeer>> {
        // The last look before a request leaves: no permit, no upstream.
        let exchange = context.state.permitted_mut().ok_or_else(without_permit)?;
        let upstream = &exchange.upstream;
        let Some(address) = upstream.next() else {
            return Err(Error::new_up(failure::NO_ADDRESS));
        };
        let mut peer = upstream.peer_at(address);
        let chosen = Instant::now();
        if owes_body(session) {
            let body_timeout = context.published.configuration.settings.limits.body_pace.timeout;
            peer.options.read_timeout = match (Inbound::of(session), peer.options.read_timeout) {
                (Some(inbound), Some(timeout)) => {
                    inbound.bound_answer(timeout);
                    // The client is given up earlier. What is left is an upstream that takes no body
                    // and says nothing; each piece that it takes begins this anew.
                    Some(timeout + body_timeout)
                }
                // Over HTTP/2, only the stream knows when the body ends.
                (None, Some(timeout)) => Some(timeout.max(body_timeout)),
                (_, None) => None,
            };
        }
        let request = session.req_header();
        let (usage, mut reuse) = match upgrade::is_asked_for(request) {
            true => (ConnectionUse::Upgrade, Reuse::Refused),
            false => (ConnectionUse::Exchange, Reuse::Allowed),
        };
        if exchange.attempt.as_ref().is_some_and(UpstreamAttempt::was_dead) {
            // RFC 9112 §9.3.1: the upstream closed it before it saw the request, which uses up no try.
            reuse = Reuse::Refused;
        } else {
            exchange.tries += 1;
        }
        let dialer = Dialer {
            connections: self.connections.clone(),
            upstream: upstream.clone(),
            address,
            method: request.method.clone(),
            reuse,
        };
        let (peer, connection) = dialer.into_peer(peer, usage);
        exchange.attempt = Some(UpstreamAttempt {
            address,
            chosen,
            answered_after: None,
            connection: Some(connection),
        });
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Box<Context>,
    ) -> Result<()> {
        let exchange = context.state.permitted().ok_or_else(without_permit)?;
        let UpstreamExchange { origin, permit, identity_token, .. } = exchange;
        let outgoing = Outgoing {
            permit,
            identity_token: identity_token.as_ref(),
            client: &origin.client,
            request_id: &origin.request_id,
            gate: &context.published.configuration.gate,
        };
        let received_fields = outgoing.apply(request)?;
        if received_fields.expect
            && body_start::expects_continue(&request.headers)
            && !session.as_mut().is_body_empty()
        {
            // The client got its 100 (Continue): the body has begun.
            request.remove_header(&header::EXPECT);
        }
        if !received_fields.host {
            request.insert_header(header::HOST, exchange.upstream_host())?;
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        is_end: bool,
        context: &mut Box<Context>,
    ) -> Result<()> {
        context.record.bytes_in += length(body.as_ref());
        let exchange = context.state.permitted().ok_or_else(without_permit)?;
        let max = exchange.permit.forwarding().body_bytes_max;
        if max.is_some_and(|max| context.record.bytes_in > max) {
            return Err(Error::new_down(failure::BODY_TOO_LARGE));
        }
        // The connection sees to that of HTTP/1.
        if !is_end && session.is_http2() && context.is_late(length(body.as_ref())) {
            return Err(Error::because(
                ErrorType::ReadTimedout,
                "a body",
                std::io::Error::other(Fault::Late),
            ));
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Box<Context>,
    ) -> Result<()> {
        let exchange = context.state.permitted_mut().ok_or_else(without_permit)?;
        let attempt = exchange.attempt.as_mut().ok_or_else(without_permit)?;
        if attempt.answered_after.is_none() {
            attempt.answered_after = Some(attempt.chosen.elapsed());
        }
        let switches = response.status == http::StatusCode::SWITCHING_PROTOCOLS;
        if switches {
            if !upgrade::is_asked_for(session.req_header()) {
                let why = "a 101 that nobody asked for";
                return Err(Error::explain(ErrorType::InvalidHTTPHeader, why).into_up());
            }
            if let Some(inbound) = Inbound::of(session) {
                inbound.switch();
            }
        }
        if !response::is_interim(response.status) {
            context.record.status = Some(response.status.as_u16());
        }
        response::clean(response, &session.req_header().method, switches)?;
        response::keep_session(response, &context.published.configuration, exchange.is_of_session)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _: &mut Box<Context>,
    ) -> Result<()> {
        // RFC 9112 §6.1: HTTP/1.0 knows no chunks. There the end of the connection is that of the answer.
        if session.req_header().version == Version::HTTP_10
            && response.remove_header(&header::TRANSFER_ENCODING).is_some()
        {
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        context: &mut Box<Context>,
    ) -> Result<Option<Duration>> {
        context.record.bytes_out += length(body.as_ref());
        Ok(None)
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        context: &mut Box<Context>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let exchange = context.state.permitted();
        let is_last =
            exchange.is_none_or(|exchange| exchange.tries > exchange.upstream.settings().retries);
        if !is_last {
            tell(&error, context);
        }
        // Nothing was sent yet: any method may be tried elsewhere.
        error.set_retry(!is_last);
        error
    }

    /// Decides on another try when a connection failed before an answer came.
    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Box<Context>,
        _: bool,
    ) -> Box<Error> {
        let attempt = context.state.permitted().and_then(|exchange| exchange.attempt.as_ref());
        let is_repeatable = session.req_header().method.is_idempotent()
            && !session.as_ref().retry_buffer_truncated();
        match is_repeatable {
            true => error.retry.decide_reuse(attempt.is_some_and(UpstreamAttempt::was_dead)),
            false => error.set_retry(false),
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Box<Context>,
    ) -> FailToProxy {
        let nobody_waits = FailToProxy { error_code: 0, can_reuse_downstream: false };
        let Some(denial) = denial_of(error, session) else {
            context.record.reason = failure::reason_of_departure(error).into();
            return nobody_waits;
        };
        tracing::debug!(request_id = context.request_id(), %error, "cannot proxy");
        if *error.esource() == ErrorSource::Upstream && denial.slug() != Slug::RequestTimeout {
            tell(error, context);
        }
        if response::given(session).is_some() {
            context.denied(&denial);
            return nobody_waits;
        }
        // Pingora closes the connection after a failed request; the answer says so.
        session.set_keepalive(None);
        // A client that cannot be answered has left.
        drop(context.refuse(session, &denial).await);
        FailToProxy { error_code: denial.slug().status(), can_reuse_downstream: false }
    }

    async fn logging(
        &self,
        session: &mut Session,
        error: Option<&Error>,
        context: &mut Box<Context>,
    ) {
        // Whatever comes now, the request ended by itself.
        drop(context.state.permitted_mut().and_then(|exchange| exchange.revocable.take()));
        record::served(session, error, context);
    }

    /// The access log tells of every failed request, once.
    fn suppress_error_log(&self, _: &Session, _: &Box<Context>, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Box<Context>,
        _: &Error,
        _: pingora::proxy::ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// What must never be: nothing reaches an upstream without a permit.
fn without_permit() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "a request without a permit")
}

/// The refusal that a failure comes to; `None` if the client has left.
fn denial_of(error: &Error, session: &mut Session) -> Option<Denial> {
    let denial = failure::read(error)?;
    // The upstream had nothing to answer yet. That it takes nothing is its own fault; over HTTP/1
    // nothing else is left, as the connection itself gives a late client up.
    let is_late = session.is_http2()
        && denial.slug() == Slug::UpstreamTimeout
        && *error.etype() == ErrorType::ReadTimedout
        && owes_body(session);
    Some(if is_late { Fault::Late.denial() } else { denial })
}

/// Tells the log of the failure of a request's upstream.
fn tell(error: &Error, context: &Context) {
    let exchange = context.state.permitted();
    let name = exchange.map_or("", |exchange| &exchange.upstream.settings().name);
    let address = exchange.and_then(|exchange| exchange.attempt.as_ref()).map(|last| last.address);
    failure::tell(error, context.request_id(), name, address);
}

/// Whether the client still has to send some of the request's body.
fn owes_body(session: &mut Session) -> bool {
    match Inbound::of(session) {
        Some(inbound) => inbound.owes_body(),
        None => !session.is_body_done(),
    }
}

fn length(body: Option<&Bytes>) -> u64 {
    body.map_or(0, |body| body.len() as u64)
}
