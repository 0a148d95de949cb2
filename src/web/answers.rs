//! Builds the few kinds of responses, with the header fields that they share.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use serde_json::{Value, json};

use crate::config::Login;
use crate::gate::denial::Slug;
use crate::gate::session::{CookieRules, SessionSecret};
use crate::runtime::Running;
use crate::web::message::{Answer, ClientKind, Reply};
use crate::web::refresh_cookie::RefreshCookie;

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// A field whose value is a constant, or was compiled to what a header can hold.
pub(crate) fn field(name: HeaderName, value: &str) -> Option<(HeaderName, HeaderValue)> {
    HeaderValue::from_str(value).ok().map(|value| (name, value))
}

/// The fields of every response: no cache may keep it, and its type must not be guessed.
fn common() -> Vec<(HeaderName, HeaderValue)> {
    vec![
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ]
}

/// An answer with a body of this type.
pub(crate) fn with_body(status: u16, kind: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut fields = common();
    fields.push((header::CONTENT_TYPE, kind));
    Answer { status, fields, body: body.into(), denial: None }
}

/// 200, with JSON.
pub(crate) fn found(value: &Value) -> Answer {
    with_body(200, HeaderValue::from_static("application/json"), value.to_string())
}

/// JSON for the client alone: no cache may keep it, old ones included (RFC 6749 §5.1).
pub(crate) fn private(status: u16, value: &Value) -> Answer {
    let kind = HeaderValue::from_static("application/json");
    let mut answer = with_body(status, kind, value.to_string());
    answer.fields.push((header::PRAGMA, HeaderValue::from_static("no-cache")));
    answer
}

/// 204.
pub(crate) fn done() -> Answer {
    Answer { status: 204, fields: common(), body: Bytes::new(), denial: None }
}

/// 303, to this location.
pub(crate) fn see(place: &str) -> Answer {
    let mut answer = Answer { status: 303, ..done() };
    answer.fields.extend(field(header::LOCATION, place));
    answer
}

/// Problem details (RFC 9457) with more detail than the table has.
pub(crate) fn problem(slug: Slug, detail: &str, request_id: &str) -> Reply {
    let body = json!({
        "type": format!("urn:portcullis:denial:{}", slug.as_str()),
        "title": slug.title(),
        "status": slug.status(),
        "slug": slug.as_str(),
        "detail": detail,
        "request_id": request_id,
    });
    let kind = HeaderValue::from_static("application/problem+json");
    let answer = with_body(slug.status(), kind, body.to_string());
    Reply::Answer(Answer { denial: Some(slug), ..answer })
}

/// The response to a logout. It clears the user's cookies and what their browser has cached of our
/// pages.
pub(crate) fn logged_out(
    client_kind: ClientKind,
    configuration: &Running,
    login: &Login,
) -> Answer {
    let mut answer = match client_kind {
        ClientKind::Program => done(),
        ClientKind::Person => see(&format!("{}/login", login.base)),
    };
    clear_cookies(&mut answer, configuration);
    answer.fields.push((CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\"")));
    answer
}

/// Sets the session cookie.
pub(crate) fn set_cookie(answer: &mut Answer, cookie: &CookieRules, secret: &SessionSecret) {
    add_cookie(answer, &cookie.set(secret));
}

/// Clears the session cookie and the cookie with the refresh token.
pub(crate) fn clear_cookies(answer: &mut Answer, configuration: &Running) {
    let cookie = &configuration.gate.sessions.rules.terms().cookie;
    add_cookie(answer, &cookie.clear());
    if configuration.settings.tokens.is_some() {
        add_cookie(answer, &RefreshCookie::of(configuration).clear());
    }
}

/// Adds a `Set-Cookie` field, which sets or clears a cookie.
pub(crate) fn add_cookie(answer: &mut Answer, set: &str) {
    answer.fields.extend(field(header::SET_COOKIE, set).map(|(name, mut value)| {
        value.set_sensitive(true);
        (name, value)
    }));
}
