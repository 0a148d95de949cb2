//! Takes a request over from Pingora: who sent it, by which id it goes, in one form of target.

use std::net::IpAddr;

use http::Version;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::edge::client::RequestClient;
use crate::edge::context::Context;
use crate::edge::exchange_state::{ExchangeState, RequestOrigin};
use crate::edge::trace::RequestId;
use crate::gate::denial::Slug;
use crate::gate::framing::http2;
use crate::gate::request::Scheme;

/// What a request comes to before anybody decides on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reception {
    /// It can be decided on.
    Received,
    /// It is malformed, and its stream is reset.
    Refused,
}

/// Makes a request ready to be decided on.
pub(super) fn receive(session: &mut Session, context: &mut Context) -> Result<Reception> {
    // How fast an answer has to be taken the connection knows, but nothing of streams.
    let send_timeout = context.published.configuration.settings.limits.send_pace.timeout;
    let of_stream = session.is_http2().then_some(send_timeout);
    session.set_write_timeout(of_stream);
    // The connection knows how fast a body has to come.
    session.set_read_timeout(None);
    if session.is_upgrade_req() && wants_websocket(session) {
        // If it is declined, what follows may have been meant for the other protocol: it is
        // never read as a request.
        session.set_keepalive(None);
    }
    let scheme = match session.digest().and_then(|digest| digest.ssl_digest.as_ref()) {
        Some(_) => Scheme::Https,
        None => Scheme::Http,
    };
    let peer = peer_of(session);
    let trusted = &context.published.configuration.settings.trusted_proxies;
    let headers = &session.req_header().headers;
    let client = RequestClient::find(peer, scheme, headers, trusted);
    let request_id = RequestId::find(headers);
    context.state = ExchangeState::Received(RequestOrigin { client, request_id });
    if session.req_header().version == Version::HTTP_2 && refuse_malformed(session, context) {
        return Ok(Reception::Refused);
    }
    if session.req_header().version == Version::HTTP_10 {
        // RFC 9110 §15.2: not to clients that do not know interim answers.
        session.set_ignore_info_resp(true);
    }
    to_origin_form(session.req_header_mut())?;
    Ok(Reception::Received)
}

fn wants_websocket(session: &Session) -> bool {
    let upgrades = session.req_header().headers.get_all(http::header::UPGRADE).iter();
    upgrades
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|protocol| protocol.trim_ascii().to_ascii_lowercase().starts_with(b"websocket"))
}

fn peer_of(session: &Session) -> Option<IpAddr> {
    session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip())
}

/// Resets the stream of a malformed HTTP/2 request (RFC 9113 §8.1.1); tells whether it was one.
fn refuse_malformed(session: &mut Session, context: &mut Context) -> bool {
    let Some(field) = http2::padded_field(&session.req_header().headers) else { return false };
    context.record.denial = Some(Slug::RequestFraming);
    context.record.reason =
        format!("the value of `{field}` starts or ends with white space").into();
    session.as_downstream_mut().shutdown_with_reason(h2::Reason::PROTOCOL_ERROR);
    true
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
