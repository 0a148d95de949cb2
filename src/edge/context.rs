//! What is known of one request, and what the gate says to it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Version, header};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::answer::{Answer, Reader};
use super::client::Client;
use super::published::Published;
use super::record::{self, Asked};
use super::streams::Tenure;
use super::trace::RequestId;
use crate::clock;
use crate::feed::jwks::Sought;
use crate::gate::WantedKey;
use crate::gate::credential::Carrier;
use crate::gate::denial::{Denial, Slug};
use crate::gate::issuer::Issuer;
use crate::gate::policy::Permit;
use crate::gate::principal::Authentic;
use crate::gate::request::Request;
use crate::gate::route::ForwardCredential;
use crate::gate::time::Moment;
use crate::gate::verifier::CacheResult;

/// What is known of one request.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) published: Arc<Published>,
    pub(super) started: Instant,
    pub(super) request_id: Option<RequestId>,
    pub(super) client: Option<Client>,
    pub(super) decision_took: Duration,
    pub(super) route: Option<usize>,
    pub(super) carrier: Option<Carrier>,
    pub(super) cache: Option<CacheResult>,
    pub(super) issuer: Option<Arc<Issuer>>,
    pub(super) authentic: Option<Arc<Authentic>>,
    pub(super) permit: Option<Permit>,
    /// The slot from which the request is given up when its principal lapses.
    pub(super) tenure: Option<Tenure>,
    /// What is logged of the request if it is given up.
    pub(super) asked: Option<Asked>,
    /// The status of the answer, once there is one.
    pub(super) status: Option<u16>,
    /// Why the request was not permitted, or could not be served although it was.
    pub(super) denial: Option<Slug>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) upstream_took: Option<Duration>,
    pub(super) upstream: usize,
    pub(super) credential: ForwardCredential,
    pub(super) body_bytes_max: Option<u64>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) tries: usize,
    pub(super) peer_chosen: Option<Instant>,
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
            tenure: None,
            asked: None,
            status: None,
            denial: None,
            peer: None,
            upstream_took: None,
            upstream: 0,
            credential: ForwardCredential::Strip,
            body_bytes_max: None,
            bytes_in: 0,
            bytes_out: 0,
            tries: 0,
            peer_chosen: None,
        }
    }

    /// The request's id; empty before the request was looked at, which nothing observes.
    pub(super) fn request_id(&self) -> &str {
        self.request_id.as_ref().map_or("", RequestId::as_str)
    }

    /// Decides on a request. Whoever is permitted as a principal is so for as long as he is one.
    pub(super) async fn admit(&mut self, request: &RequestHeader) -> Result<(), Denial> {
        let permit = self.decide(request).await?;
        self.refuse_announced_body(request)?;
        if let Some(principal) = permit.principal() {
            // A request that nobody could end is not served.
            self.tenure = Some(Tenure::begin(principal).ok_or(Slug::Internal)?);
            self.asked = self.published.log.is_on().then(|| Asked::of(request));
        }
        self.permit = Some(permit);
        Ok(())
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
        let now = Moment { wall: clock::now(), steady: clock::steady_at(begun) };
        let published = self.published.clone();
        let verdict = published.configuration.gate.decide(request, now);
        self.decision_took += begun.elapsed();
        self.carrier = verdict.carrier;
        self.cache = verdict.cache;
        self.issuer = verdict.issuer;
        self.authentic = verdict.authentic;
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

    /// Answers with a denial.
    pub(super) async fn refuse(&mut self, session: &mut Session, denial: &Denial) -> Result<()> {
        self.denial = Some(denial.slug());
        self.status = Some(denial.slug().status());
        let reader = Reader::of(&session.req_header().headers);
        let realm = &self.published.configuration.realm;
        Answer::new(denial, reader, self.request_id(), realm).write(session).await
    }
}

impl Drop for Context {
    /// Pingora's last hook, which records a request, does not run for one that is given up.
    fn drop(&mut self) {
        // Without a lapse it is the whole program that ends.
        let Some(lapse) = self.tenure.take().and_then(Tenure::end) else { return };
        self.denial.get_or_insert(lapse.slug());
        record::ended(self, lapse);
    }
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
