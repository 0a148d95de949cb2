//! What a client gets of an upstream's answer: nothing that concerned our connection to it.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{ErrorType, OrErr, Result};

use crate::runtime::Running;
use crate::web::refresh_cookie::RefreshCookie;

/// Fields that are about one connection (RFC 9110 §7.6.1); Pingora writes `Connection` itself.
const HOP_BY_HOP: [&str; 3] = ["keep-alive", "proxy-connection", "te"];

/// Whether another answer follows this one (RFC 9110 §15.2). After a 101 none does.
pub(super) fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// The answer that the client was given, or began to be given. An interim one is none yet.
pub(super) fn given(session: &Session) -> Option<&ResponseHeader> {
    session.response_written().filter(|response| !is_interim(response.status))
}

/// Removes hop-by-hop fields, those that `Connection` names included, and what tells the framing of content
/// that there is not.
///
/// # Errors
///
/// If a field cannot be written, which fails the request.
pub(super) fn clean(response: &mut ResponseHeader, method: &Method, switches: bool) -> Result<()> {
    let named: Vec<HeaderName> = response
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| !is_framing(name))
        .collect();
    if !switches {
        for name in &named {
            response.remove_header(name);
        }
        response.remove_header(&header::UPGRADE);
    }
    for name in HOP_BY_HOP {
        response.remove_header(name);
    }
    let (is_interim, status) = (response.status.is_informational(), response.status.as_u16());
    // RFC 9112 §6.1. Nothing follows, and who believes the field waits for the last chunk.
    if is_interim || matches!(status, 204 | 304) || *method == Method::HEAD {
        response.remove_header(&header::TRANSFER_ENCODING);
    }
    // RFC 9110 §8.6; elsewhere it says how long the content would be.
    if is_interim || status == 204 {
        response.remove_header(&header::CONTENT_LENGTH);
    }
    // Equal repetitions mean one length (RFC 9110 §8.6); unequal ones Pingora refuses.
    let mut lengths = response.headers.get_all(header::CONTENT_LENGTH).iter();
    let is_repeated = |length: &HeaderValue| length.as_bytes().contains(&b',');
    if let (Some(length), another) = (lengths.next(), lengths.next())
        && (another.is_some() || is_repeated(length))
    {
        let length = length.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default();
        let length = HeaderValue::from_bytes(length.trim_ascii())
            .or_err(ErrorType::InvalidHTTPHeader, "an odd Content-Length")?;
        response.insert_header(header::CONTENT_LENGTH, length)?;
    }
    Ok(())
}

/// Keeps an upstream from setting or taking the cookies of a login, and others from keeping what was
/// meant for a session alone: without a word about caching, a browser shows it again after a logout.
///
/// # Errors
///
/// If a field cannot be written, which fails the request.
pub(super) fn keep_session(
    response: &mut ResponseHeader,
    configuration: &Running,
    is_for_session: bool,
) -> Result<()> {
    let is_ours = |field: &HeaderValue| sets_cookie_of_ours(field.as_bytes(), configuration);
    if response.headers.get_all(header::SET_COOKIE).iter().any(is_ours) {
        let others = response.headers.get_all(header::SET_COOKIE).iter();
        let others: Vec<_> = others.filter(|field| !is_ours(field)).cloned().collect();
        response.remove_header(&header::SET_COOKIE);
        for other in others {
            response.append_header(header::SET_COOKIE, other)?;
        }
    }
    if is_for_session && !response.headers.contains_key(header::CACHE_CONTROL) {
        response.insert_header("Cache-Control", HeaderValue::from_static("no-store"))?;
    }
    Ok(())
}

/// Whether a `Set-Cookie` field sets, or takes away, a cookie of a login.
pub(super) fn sets_cookie_of_ours(field: &[u8], configuration: &Running) -> bool {
    let cookie = &configuration.gate.sessions.rules.terms().cookie;
    let is_refresh = |field| RefreshCookie::of(configuration).is_set_by(field);
    cookie.is_set_by(field) || configuration.settings.tokens.is_some() && is_refresh(field)
}

/// Naming these must not change where the answer ends.
fn is_framing(name: &HeaderName) -> bool {
    *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING
}
