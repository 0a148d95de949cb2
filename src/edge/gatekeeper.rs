//! Between Pingora and the gate: asks for a verdict, and lets pass only what has a permit.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::answer::{Answer, Reader};
use super::client::{Client, Scheme};
use super::published::{Current, Published};
use super::trace::RequestId;
use super::{forward, record, response, upstream};
use crate::clock;
use crate::feed::jwks::Sought;
use crate::gate::WantedKey;
use crate::gate::credential::Carrier;
use crate::gate::denial::{Denial, Slug};
use crate::gate::issuer::Issuer;
use crate::gate::policy::Permit;
use crate::gate::principal::Principal;
use crate::gate::request::Request;
use crate::gate::route::ForwardCredential;
use crate::gate::verifier::CacheResult;

/// How long a client may take to accept a piece of the answer.
const CLIENT_WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client may take to send a piece of the body.
const CLIENT_READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Names a denial on its way through Pingora's error type.
const BODY_TOO_LARGE: ErrorType = ErrorType::Custom("body_too_large");

/// The application that Pingora calls.
#[derive(Debug)]
pub(super) struct Gatekeeper {
    current: Current,
}

impl Gatekeeper {
    pub(super) fn new(current: Current) -> Self {
        Self { current }
    }
}

/// What is known of one request.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) published: Arc<Published>,
    pub(super) started: Instant,
    request_id: Option<RequestId>,
    pub(super) client: Option<Client>,
    pub(super) decision_took: Duration,
    pub(super) route: Option<usize>,
    pub(super) carrier: Option<Carrier>,
    pub(super) cache: Option<CacheResult>,
    pub(super) issuer: Option<Arc<Issuer>>,
    pub(super) principal: Option<Principal>,
    pub(super) permit: Option<Permit>,
    /// Why the request was not permitted, or could not be served although it was.
    pub(super) denial: Option<Slug>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) upstream_took: Option<Duration>,
    upstream: usize,
    credential: ForwardCredential,
    body_bytes_max: Option<u64>,
    body_bytes: u64,
    tries: usize,
    peer_chosen: Option<Instant>,
}

impl Context {
    fn new(published: Arc<Published>) -> Self {
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
            principal: None,
            permit: None,
            denial: None,
            peer: None,
            upstream_took: None,
            upstream: 0,
            credential: ForwardCredential::Strip,
            body_bytes_max: None,
            body_bytes: 0,
            tries: 0,
            peer_chosen: None,
        }
    }

    /// The request's id; empty before the request was looked at, which nothing observes.
    pub(super) fn request_id(&self) -> &str {
        self.request_id.as_ref().map_or("", RequestId::as_str)
    }

    /// Asks the gate; if the answer hangs on a key that may have come since, fetches and asks once
    /// more.
    async fn decide(&mut self, request: &RequestHeader) -> Result<Permit, Denial> {
        // HTTP/1 heads were counted before Pingora saw them.
        if request.headers.len() > self.published.configuration.limits.head.fields_max {
            return Err(Slug::HeadersTooLarge.into());
        }
        let authority = authority_of(request).ok_or(Slug::HostMissing)?;
        let target = std::str::from_utf8(request.raw_path()).map_err(|_| Slug::RequestTarget)?;
        let request = Request {
            method: &request.method,
            authority: &authority,
            target,
            headers: &request.headers,
        };
        let wanted = match self.ask(&request) {
            (Err(_), Some(wanted)) => wanted,
            (outcome, _) => return outcome,
        };
        let issuer = self.issuer.clone();
        let published = self.published.clone();
        let Some(feed) = issuer.as_ref().and_then(|issuer| published.key_feed(issuer)) else {
            return Err(Slug::TokenKeyUnknown.into());
        };
        match feed.seek(&wanted.0).await {
            Sought::Found => self.ask(&request).0,
            Sought::Absent => Err(Slug::TokenKeyUnknown.into()),
            Sought::Unavailable => Err(Slug::KeysUnavailable.into()),
        }
    }

    /// One pass through the gate, timed. Also tells the key that was looked for in vain.
    fn ask(&mut self, request: &Request<'_>) -> (Result<Permit, Denial>, Option<WantedKey>) {
        let begun = Instant::now();
        let published = self.published.clone();
        let verdict = published.configuration.gate.decide(request, clock::now());
        self.decision_took += begun.elapsed();
        self.carrier = verdict.carrier;
        self.cache = verdict.cache;
        self.issuer = verdict.issuer;
        self.principal = verdict.principal;
        if let Some(route) = verdict.route {
            self.route = Some(route.index);
            self.upstream = route.upstream;
            self.credential = route.credential;
            self.body_bytes_max = route.body_bytes_max;
        }
        if let (Some(CacheResult::Miss), Some(issuer)) = (self.cache, &self.issuer) {
            let result = match &verdict.outcome {
                Ok(_) => "ok",
                Err(denial) => denial.slug().as_str(),
            };
            let labels = [&*issuer.rules().name, result];
            published.families.tokens_verified.with_label_values(&labels).inc();
        }
        (verdict.outcome, verdict.key_wanted)
    }

    fn refuse_announced_body(&self, request: &RequestHeader) -> Result<(), Denial> {
        let Some(max) = self.body_bytes_max else { return Ok(()) };
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

    async fn refuse(&mut self, session: &mut Session, denial: &Denial) -> Result<()> {
        self.denial = Some(denial.slug());
        let reader = Reader::of(&session.req_header().headers);
        let realm = &self.published.configuration.realm;
        Answer::new(denial, reader, self.request_id(), realm).write(session).await
    }
}

#[async_trait]
impl ProxyHttp for Gatekeeper {
    /// Boxed: Pingora moves it from one future into the next.
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Box<Context> {
        Box::new(Context::new(self.current.load()))
    }

    /// No modules: compression is the upstream's business.
    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        context: &mut Box<Context>,
    ) -> Result<bool> {
        session.set_write_timeout(Some(CLIENT_WRITE_TIMEOUT));
        session.set_read_timeout(Some(CLIENT_READ_TIMEOUT));
        let scheme = match session.digest().and_then(|digest| digest.ssl_digest.as_ref()) {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        };
        let peer = peer_of(session);
        let trusted = &context.published.configuration.trusted_proxies;
        let headers = &session.req_header().headers;
        context.client = Some(Client::find(peer, scheme, headers, trusted));
        context.request_id = Some(RequestId::find(headers));
        to_origin_form(session.req_header_mut())?;
        let request = session.req_header();
        let outcome = match context.decide(request).await {
            Ok(permit) => context.refuse_announced_body(request).map(|()| permit),
            Err(denial) => Err(denial),
        };
        match outcome {
            Ok(permit) => {
                context.permit = Some(permit);
                Ok(false)
            }
            Err(denial) => {
                context.refuse(session, &denial).await?;
                Ok(true)
            }
        }
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        context: &mut Box<Context>,
    ) -> Result<Box<HttpPeer>> {
        // The last look before a request leaves: no permit, no upstream.
        if context.permit.is_none() {
            return Err(Error::explain(ErrorType::InternalError, "a request without a permit"));
        }
        let configuration = &context.published.configuration;
        let found = configuration.upstreams.get(context.upstream).and_then(|upstream| {
            Some((upstream.next()?, context.published.peers.get(context.upstream)?))
        });
        let Some((address, template)) = found else {
            return Err(Error::new_up(ErrorType::ConnectNoRoute));
        };
        context.tries += 1;
        context.peer = Some(address);
        context.peer_chosen = Some(Instant::now());
        let mut peer = upstream::at(template, address);
        if session.is_upgrade_req() {
            // A WebSocket may be silent for as long as it likes; TCP keep-alive finds the dead.
            peer.options.read_timeout = None;
            peer.options.write_timeout = None;
        }
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        context: &mut Box<Context>,
    ) -> Result<()> {
        let (Some(permit), Some(client), Some(request_id)) =
            (&context.permit, &context.client, &context.request_id)
        else {
            return Err(Error::explain(ErrorType::InternalError, "a request without a permit"));
        };
        forward::apply(
            request,
            permit,
            &context.published.configuration.gate.owned,
            context.credential,
            client,
            request_id,
        )
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        context: &mut Box<Context>,
    ) -> Result<()> {
        let Some(max) = context.body_bytes_max else { return Ok(()) };
        context.body_bytes += body.as_ref().map_or(0, |body| body.len() as u64);
        if context.body_bytes > max {
            return Err(Error::new_down(BODY_TOO_LARGE));
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        context: &mut Box<Context>,
    ) -> Result<()> {
        if context.upstream_took.is_none() {
            context.upstream_took = context.peer_chosen.map(|chosen| chosen.elapsed());
        }
        let switches = response.status == http::StatusCode::SWITCHING_PROTOCOLS;
        if switches && !session.is_upgrade_req() {
            return Err(Error::new_up(ErrorType::InvalidHTTPHeader));
        }
        if switches {
            session.set_read_timeout(None);
        }
        response::clean(response, switches)
    }

    fn fail_to_connect(
        &self,
        _: &mut Session,
        _: &HttpPeer,
        context: &mut Box<Context>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let upstream = context.published.configuration.upstreams.get(context.upstream);
        let retries = upstream.map_or(0, |upstream| upstream.settings().retries);
        // Nothing was sent yet: any method may be tried elsewhere.
        error.set_retry(context.tries <= retries);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Box<Context>,
    ) -> FailToProxy {
        let nobody_waits = FailToProxy { error_code: 0, can_reuse_downstream: false };
        let Some(slug) = slug_of(error) else { return nobody_waits };
        context.denial = Some(slug);
        tracing::debug!(request_id = context.request_id(), %error, "cannot proxy");
        if session.response_written().is_some() {
            return nobody_waits;
        }
        // Pingora closes the connection after a failed request; the answer says so.
        session.set_keepalive(None);
        // A client that cannot be answered has left.
        drop(context.refuse(session, &slug.into()).await);
        FailToProxy { error_code: slug.status(), can_reuse_downstream: false }
    }

    async fn logging(
        &self,
        session: &mut Session,
        error: Option<&Error>,
        context: &mut Box<Context>,
    ) {
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

/// What an error of Pingora's comes to. `None`: the client left, and nobody waits for an answer.
fn slug_of(error: &Error) -> Option<Slug> {
    use ErrorType::{
        ConnectTimedout, ConnectionClosed, InvalidHTTPHeader, ReadError, ReadTimedout,
        TLSHandshakeTimedout, WriteError, WriteTimedout,
    };
    match (error.esource(), error.etype()) {
        (_, kind) if *kind == BODY_TOO_LARGE => Some(Slug::BodyTooLarge),
        (
            ErrorSource::Upstream,
            ConnectTimedout | ReadTimedout | WriteTimedout | TLSHandshakeTimedout,
        ) => Some(Slug::UpstreamTimeout),
        (ErrorSource::Upstream, _) => Some(Slug::UpstreamUnavailable),
        (ErrorSource::Downstream, WriteError | ReadError | ConnectionClosed | WriteTimedout) => {
            None
        }
        (ErrorSource::Downstream, ReadTimedout) => Some(Slug::RequestTimeout),
        // A chunk that is none, or a `Connection` header that names what it may not.
        (ErrorSource::Downstream, InvalidHTTPHeader | _) => Some(Slug::RequestFraming),
        (ErrorSource::Internal | ErrorSource::Unset, _) => Some(Slug::Internal),
    }
}

fn peer_of(session: &Session) -> Option<IpAddr> {
    session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip())
}

/// The authority of a request; `None` unless there is exactly one.
fn authority_of(request: &RequestHeader) -> Option<Cow<'_, str>> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => Some(host.to_str().ok()?),
        (Some(_), Some(_)) => return None,
    };
    // RFC 9113 §8.3.1: `:authority` and `Host` must not differ.
    let authority = match request.version {
        Version::HTTP_2 => request.uri.authority().map(|authority| authority.as_str()),
        _ => None,
    };
    match (authority, host) {
        (Some(authority), Some(host)) if authority != host => None,
        (Some(authority), _) => Some(authority.into()),
        (None, host) => host.map(Into::into),
    }
}

/// `GET http://host/path` becomes `GET /path`: what is matched is what is forwarded. The head was
/// read strictly, so the authority is the `Host` already.
fn to_origin_form(request: &mut RequestHeader) -> Result<()> {
    let raw = request.raw_path();
    if request.version == Version::HTTP_2 || raw.starts_with(b"/") {
        return Ok(());
    }
    let scheme = raw.windows(3).position(|window| window == b"://").map_or(0, |at| at + 3);
    let rest = &raw[scheme..];
    let path = match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
        None => b"/".to_vec(),
        Some(at) if rest[at] == b'?' => [b"/", &rest[at..]].concat(),
        Some(at) => rest[at..].to_vec(),
    };
    request.set_raw_path(&path)
}
