//! A denial as an HTTP response: problem details (RFC 9457), or a small page for a browser.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::pingora_lane::body_start::expects_continue;
use crate::clock;
use crate::gate::denial::{Denial, Detail};
use crate::login::RETURN_TO_BYTES_MAX;
use crate::web::message::ClientKind;

/// A request body up to this size is read and thrown away, so that the connection can stay open.
const DRAIN_BYTES_MAX: usize = 64 * 1024;

/// How long that may take.
const DRAIN_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

/// A finished answer.
#[derive(Debug)]
pub(super) struct FinishedAnswer {
    pub(super) status: u16,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

/// Who looks at an answer: a person, if a browser that takes HTML navigates; a script's request is
/// a program's.
pub(super) fn client_kind(headers: &HeaderMap) -> ClientKind {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let takes_html = text("accept").is_some_and(|accept| accept.contains("text/html"));
    let navigates = text("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    if takes_html && navigates { ClientKind::Person } else { ClientKind::Program }
}

impl FinishedAnswer {
    /// The answer that tells `denial`.
    pub(super) fn new(
        denial: &Denial,
        client_kind: ClientKind,
        request_id: &str,
        realm: &str,
    ) -> Self {
        let slug = denial.slug();
        let (kind, body) = match client_kind {
            ClientKind::Program => ("application/problem+json", problem(denial, request_id)),
            ClientKind::Person => ("text/html; charset=utf-8", page(denial, request_id)),
        };
        let mut fields = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (header::CONTENT_LENGTH, HeaderValue::from(body.len())),
        ];
        let mut add = |name, text: &str| {
            // Realm, scopes and methods were compiled to what a header can hold.
            fields.extend(HeaderValue::from_str(text).ok().map(|value| (name, value)));
        };
        if client_kind == ClientKind::Person {
            let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
            add(header::CONTENT_SECURITY_POLICY, policy);
        }
        if let Some(challenge) = denial.challenge(realm) {
            add(header::WWW_AUTHENTICATE, &challenge);
        }
        match denial.detail() {
            Detail::None | Detail::Scopes(_) => {}
            Detail::Allow(methods) => add(header::ALLOW, methods),
            Detail::RetryAfter(seconds) => add(header::RETRY_AFTER, &seconds.to_string()),
        }
        Self { status: slug.status(), fields, body: body.into() }
    }

    /// Sends a browser to log in, and to come back to `target` afterwards.
    pub(super) fn to_login(base: &str, target: &[u8]) -> Self {
        let mut location = format!("{base}/login");
        // A longer one would not be accepted.
        if target.len() <= RETURN_TO_BYTES_MAX {
            location.push_str("?return_to=");
        }
        for byte in target.iter().filter(|_| target.len() <= RETURN_TO_BYTES_MAX) {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    location.push(char::from(*byte));
                }
                // Writing to a String does not fail.
                other => drop(write!(location, "%{other:02X}")),
            }
        }
        let fields = [
            (header::LOCATION, location.as_str()),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_LENGTH, "0"),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, text)| HeaderValue::from_str(text).ok().map(|value| (name, value)));
        Self { status: 302, fields: fields.collect(), body: Bytes::new() }
    }

    /// Writes it on a session. The connection stays open if what is left of the request's body is
    /// small.
    ///
    /// Over HTTP/2 the answer does not wait for that rest, which is in no other request's way there. It is
    /// read afterwards: clients that still send while their stream is reset report that as an
    /// error, and lose the answer (RFC 9113 §8.1 lets a server do so; curl 7.88 is one).
    pub(super) async fn write(self, session: &mut Session) -> pingora::Result<()> {
        let Self { status, fields, body } = self;
        let is_kept = session.is_http2() || session.get_keepalive().is_some();
        let waits_for_rest = is_kept && !session.is_http2() && !session.is_body_done();
        let keep = !waits_for_rest || drain(session).await;
        let mut response = Box::new(ResponseHeader::build(status, Some(fields.len() + 3))?);
        for (name, value) in fields {
            // Of all fields that we set, only this one may come more than once.
            if name == header::SET_COOKIE {
                response.append_header(name, value)?;
            } else {
                response.insert_header(name, value)?;
            }
        }
        if !keep {
            session.set_keepalive(None);
        }
        let head_only = session.req_header().method == http::Method::HEAD;
        session.write_response_header(response, head_only).await?;
        if !head_only {
            session.write_response_body(Some(body), true).await?;
        }
        if session.is_http2() && !session.is_body_done() {
            drain(session).await;
        }
        Ok(())
    }

    /// The bytes of an HTTP/1.1 answer after which the connection is closed.
    pub(super) fn into_last_bytes(self) -> Vec<u8> {
        let Self { status, fields, body } = self;
        let reason = http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default();
        let mut bytes = format!("HTTP/1.1 {status} {reason}\r\n").into_bytes();
        let now = httpdate::fmt_http_date(clock::wall());
        let date = HeaderValue::from_str(&now).ok().map(|now| (header::DATE, now));
        let close = (header::CONNECTION, HeaderValue::from_static("close"));
        for (name, value) in fields.iter().chain(&date).chain([&close]) {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        bytes
    }
}

/// Reads a small rest of the request's body. `false` if it is not small, or slow.
async fn drain(session: &mut Session) -> bool {
    let headers = &session.req_header().headers;
    // The client waits for a 100 (Continue). It will not send what was refused.
    if expects_continue(headers) {
        return false;
    }
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > DRAIN_BYTES_MAX) {
        return false;
    }
    let read = async {
        let mut total = 0;
        while let Ok(chunk) = session.downstream_session.read_request_body().await {
            let Some(chunk) = chunk else { return true };
            total += chunk.len();
            if total > DRAIN_BYTES_MAX {
                return false;
            }
        }
        false
    };
    tokio::time::timeout(DRAIN_TIMEOUT, read).await.unwrap_or(false)
}

fn problem(denial: &Denial, request_id: &str) -> String {
    let slug = denial.slug();
    let mut problem = serde_json::json!({
        "type": format!("urn:portcullis:denial:{}", slug.as_str()),
        "title": slug.title(),
        "status": slug.status(),
        "slug": slug.as_str(),
        "request_id": request_id,
    });
    if let Some(sentence) = denial.explanation() {
        problem["detail"] = sentence.into();
    }
    problem.to_string()
}

/// Title and slug are ours; the id is restricted to characters that mean nothing in HTML.
fn page(denial: &Denial, request_id: &str) -> String {
    let (slug, title) = (denial.slug().as_str(), denial.slug().title());
    let status = denial.slug().status();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{status} {title}</title>\n\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;\
         padding:0 1rem}}small{{color:#666}}</style>\n<main>\n<h1>{title}</h1>\n\
         <p>The request was answered with {status} <code>{slug}</code>.</p>\n\
         <p><small>Request {request_id}</small></p>\n</main>\n</html>\n"
    )
}
