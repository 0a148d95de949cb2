//! What is remembered of a request once it is answered: counters, timers and a line in the log.

use std::time::Instant;

use pingora::Error;
use pingora::proxy::Session;

use super::gatekeeper::Context;
use super::published::{Published, Subjects};
use crate::clock;
use crate::config::QueryInLog;
use crate::gate::credential::Carrier;
use crate::gate::denial::{Outcome, Slug};
use crate::telemetry::access_log::Entry;

/// The status that is logged for a client that left before it was answered, as other proxies do.
const CLIENT_LEFT: u16 = 499;

/// Records a request that Pingora served.
pub(super) fn served(session: &Session, error: Option<&Error>, context: &Context) {
    let Context { published, started, .. } = context;
    let took = started.elapsed();
    let status = match (session.response_written(), error) {
        (Some(response), _) => response.status.as_u16(),
        (None, Some(_)) => CLIENT_LEFT,
        (None, None) => 0,
    };
    let route = context.route;
    published.handles.decided(
        &published.families,
        route,
        context.carrier,
        context.cache,
        context.denial,
        context.decision_took,
    );
    published.handles.answered(route, status, took);
    if let Some(took) = context.upstream_took {
        published.handles.upstream_answered(route, took);
    }
    if !published.log.is_on() {
        return;
    }
    let request = session.req_header();
    let principal = context.principal.as_ref();
    let hashed;
    let subject = match (&published.subjects, principal) {
        (_, None) | (Subjects::Omitted, _) => "",
        (Subjects::Plain, Some(principal)) => principal.subject().as_str(),
        (Subjects::Hashed(pseudonyms), Some(principal)) => {
            hashed = pseudonyms.of(principal.subject().as_str());
            &hashed
        }
    };
    let target = String::from_utf8_lossy(request.raw_path());
    let path = match published.configuration.access_log.query {
        QueryInLog::Shown => &*target,
        QueryInLog::Omitted => target.split('?').next().unwrap_or_default(),
    };
    let host = request
        .headers
        .get(http::header::HOST)
        .map(|host| String::from_utf8_lossy(host.as_bytes()))
        .or_else(|| request.uri.authority().map(|authority| authority.as_str().into()))
        .unwrap_or_default();
    published.log.write(&Entry {
        time: clock::wall(),
        request_id: context.request_id(),
        client: context.client.and_then(|client| client.address),
        method: request.method.as_str(),
        host: &host,
        path,
        route: published.handles.name(route),
        status,
        outcome: context.denial.map_or(Outcome::Permitted, Slug::outcome).as_str(),
        slug: context.denial.map_or("", Slug::as_str),
        carrier: context.carrier.map_or("none", Carrier::as_str),
        issuer: context.issuer.as_ref().map_or("", |issuer| &issuer.rules().name),
        subject,
        token_id: principal.and_then(|principal| principal.token_id()).unwrap_or_default(),
        upstream: context.peer,
        bytes_in: session.body_bytes_read() as u64,
        bytes_out: session.body_bytes_sent() as u64,
        duration_us: micros(took),
        decision_us: micros(context.decision_took),
        upstream_us: context.upstream_took.map(micros),
    });
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
    published.handles.decided(&published.families, None, None, None, Some(slug), took);
    published.handles.answered(None, slug.status(), took);
    if !published.log.is_on() {
        return;
    }
    let (method, path) = shown(head);
    published.log.write(&Entry {
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

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
