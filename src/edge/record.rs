//! What is remembered of a request once it is answered: counters, timers and a line in the log.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode, Uri, header};
use pingora::Error;
use pingora::proxy::Session;

use super::context::Context;
use super::exchange_state::{
    ExchangeState, LoggedRequest, LoggedTarget, RevocableExchange, UpstreamAttempt,
};
use super::failure;
use super::fast_lane::plain_request::PlainRequest;
use super::publication::{Published, Subjects};
use super::response;
use crate::clock;
use crate::config::QueryInLog;
use crate::gate::credential::Carrier;
use crate::gate::denial::{Outcome, Slug};
use crate::gate::lapse::Lapse;
use crate::telemetry::access_log::LogEntry;

/// The status that is logged for a client that left before it had its answer, as other proxies do.
const CLIENT_LEFT: u16 = 499;

/// What the log takes from elsewhere than the context.
struct ExchangeRecord<'a> {
    method: &'a str,
    host: Cow<'a, str>,
    target: &'a [u8],
    bytes_in: u64,
    bytes_out: u64,
}

/// Records a request that Pingora served.
pub(super) fn served(session: &Session, error: Option<&Error>, context: &Context) {
    let left = error.is_some_and(failure::is_departure);
    let status = match (response::given(session), error) {
        // However much of an answer it got; but a connection that was switched has no other end.
        (Some(response), _) if left && response.status != StatusCode::SWITCHING_PROTOCOLS => {
            CLIENT_LEFT
        }
        (Some(response), _) => response.status.as_u16(),
        (None, Some(_)) => CLIENT_LEFT,
        // A stream that was reset has no status; the log tells that of the refusal.
        (None, None) => context.record.denial.map_or(0, Slug::status),
    };
    let took = context.record.started.elapsed();
    count(context, status, took);
    if !context.published.log.is_on() {
        return;
    }
    let request = session.req_header();
    let exchange = ExchangeRecord {
        method: request.method.as_str(),
        host: host_of(request.headers.get(header::HOST), Some(&request.uri)),
        target: request.raw_path(),
        bytes_in: session.body_bytes_read() as u64,
        bytes_out: session.body_bytes_sent() as u64,
    };
    tell(context, status, took, &exchange);
}

/// Records a request that the fast lane served: with this status, if the client was given one.
pub(super) fn exchanged(context: &Context, request: &PlainRequest, given: Option<u16>) {
    let status = given.unwrap_or(CLIENT_LEFT);
    let took = context.record.started.elapsed();
    count(context, status, took);
    if !context.published.log.is_on() {
        return;
    }
    let exchange = ExchangeRecord {
        method: request.method.as_str(),
        host: host_of(request.headers.get(header::HOST), None),
        target: request.target(),
        bytes_in: context.record.bytes_in,
        bytes_out: context.record.bytes_out,
    };
    tell(context, status, took, &exchange);
}

impl Drop for Context {
    /// Pingora's last hook, which records a request, does not run for one that is given up.
    fn drop(&mut self) {
        let revocable = self.state.permitted_mut().and_then(|exchange| exchange.revocable.take());
        let Some(RevocableExchange { guard, logged }) = revocable else { return };
        // Without a lapse it is the whole program that ends.
        let Some(lapse) = guard.end() else { return };
        let slug = self.slug_of(lapse);
        self.record.denial.get_or_insert(slug);
        ended(self, lapse, logged.as_ref());
    }
}

/// Records a request that was given up because its principal lapsed.
fn ended(context: &Context, lapse: Lapse, logged: Option<&LoggedRequest>) {
    // Without an answer, the status is what the request would have been refused with.
    let status = context.record.status.unwrap_or(context.slug_of(lapse).status());
    let took = context.record.started.elapsed();
    context.published.metrics.streams_ended.with_label_values(&[lapse.as_str()]).inc();
    count(context, status, took);
    let (true, Some(LoggedRequest { method, host, target })) =
        (context.published.log.is_on(), logged)
    else {
        return;
    };
    let (uri, target) = match target {
        LoggedTarget::Uri(uri) => {
            (Some(uri), uri.path_and_query().map_or(b"".as_slice(), |it| it.as_str().as_bytes()))
        }
        LoggedTarget::Line(target) => (None, &**target),
    };
    let exchange = ExchangeRecord {
        method: method.as_str(),
        host: host_of(host.as_ref(), uri),
        target,
        bytes_in: context.record.bytes_in,
        bytes_out: context.record.bytes_out,
    };
    tell(context, status, took, &exchange);
}

fn count(context: &Context, status: u16, took: Duration) {
    let Context { published, state, record, .. } = context;
    published.handles.decided(
        record.route,
        record.carrier,
        record.cache,
        record.denial,
        record.decision_took,
    );
    published.handles.answered(record.route, status, took);
    if let Some(took) = attempt_of(state).and_then(|attempt| attempt.answered_after) {
        published.handles.upstream_answered(record.route, took);
    }
}

/// The last try to have a request answered by its upstream.
fn attempt_of(state: &ExchangeState) -> Option<&UpstreamAttempt> {
    state.permitted().and_then(|exchange| exchange.attempt.as_ref())
}

fn tell(context: &Context, status: u16, took: Duration, exchange: &ExchangeRecord<'_>) {
    let Context { published, state, record, .. } = context;
    let attempt = attempt_of(state);
    let ExchangeRecord { method, host, target, bytes_in, bytes_out } = exchange;
    let who = record.authentic.as_ref();
    let hashed;
    let subject = match (&published.subjects, who) {
        (_, None) | (Subjects::Omitted, _) => "",
        (Subjects::Plain, Some(who)) => who.subject().as_str(),
        (Subjects::Hashed(pseudonyms), Some(who)) => {
            hashed = pseudonyms.of(who.subject().as_str());
            &hashed
        }
    };
    let target = String::from_utf8_lossy(target);
    let path = match published.configuration.settings.access_log.query {
        QueryInLog::Shown => &*target,
        QueryInLog::Omitted => target.split('?').next().unwrap_or_default(),
    };
    published.log.write(&LogEntry {
        time: clock::wall(),
        request_id: context.request_id(),
        client: context.client_address(),
        method,
        host,
        path,
        route: published.handles.name(record.route),
        status,
        outcome: record.denial.map_or(Outcome::Permitted, Slug::outcome).as_str(),
        slug: record.denial.map_or("", Slug::as_str),
        reason: &record.reason,
        carrier: record.carrier.map_or("none", Carrier::as_str),
        issuer: match &record.issuer {
            Some(issuer) => &issuer.rules().name,
            None => who.and_then(|who| who.session_issuer()).unwrap_or_default(),
        },
        subject,
        token_id: who.and_then(|who| who.token_id()).unwrap_or_default(),
        upstream: attempt.map(|attempt| attempt.address),
        bytes_in: *bytes_in,
        bytes_out: *bytes_out,
        duration_us: micros(took),
        decision_us: micros(record.decision_took),
        upstream_us: attempt.and_then(|attempt| attempt.answered_after).map(micros),
    });
}

fn host_of<'a>(host: Option<&'a HeaderValue>, uri: Option<&'a Uri>) -> Cow<'a, str> {
    host.map(|host| String::from_utf8_lossy(host.as_bytes()))
        .or_else(|| uri?.authority().map(|authority| authority.as_str().into()))
        .unwrap_or_default()
}

/// Records a head that was refused before Pingora saw it.
pub(super) fn refused(
    published: &Published,
    client: std::net::IpAddr,
    request_id: &str,
    head: &[u8],
    slug: Slug,
    started: Instant,
) {
    let took = started.elapsed();
    published.handles.decided(None, None, None, Some(slug), took);
    published.handles.answered(None, slug.status(), took);
    if !published.log.is_on() {
        return;
    }
    let (method, path) = shown(head);
    published.log.write(&LogEntry {
        time: clock::wall(),
        request_id,
        client: Some(client),
        method,
        host: "",
        path,
        route: "",
        status: slug.status(),
        outcome: slug.outcome().as_str(),
        slug: slug.as_str(),
        reason: "",
        carrier: "none",
        issuer: "",
        subject: "",
        token_id: "",
        upstream: None,
        bytes_in: 0,
        bytes_out: 0,
        duration_us: micros(took),
        decision_us: micros(took),
        upstream_us: None,
    });
}

/// As much of a refused request line as is sure to be a method and a path: anything else could be
/// a credential that lost its way.
fn shown(head: &[u8]) -> (&str, &str) {
    const BYTES_MAX: usize = 256;
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let line = std::str::from_utf8(&line[..line.len().min(BYTES_MAX)]).unwrap_or_default();
    let mut words = line.split(' ');
    let is_method = |word: &&str| word.len() <= 16 && word.bytes().all(|b| b.is_ascii_uppercase());
    let Some(method) = words.next().filter(is_method) else { return ("", "") };
    let target = words.next().filter(|target| target.starts_with('/')).unwrap_or_default();
    (method, target.split('?').next().unwrap_or_default())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
