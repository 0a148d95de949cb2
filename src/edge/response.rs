//! What a client is told of an upstream's answer: nothing that concerned our connection to it.

use http::{HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::{ErrorType, OrErr, Result};

/// Fields that are about one connection (RFC 9110 §7.6.1); Pingora writes `Connection` itself.
const HOP_BY_HOP: [&str; 3] = ["keep-alive", "proxy-connection", "te"];

/// Removes hop-by-hop fields, those that `Connection` names included.
///
/// # Errors
///
/// If a field cannot be written, which fails the request.
pub(super) fn clean(response: &mut ResponseHeader, switches: bool) -> Result<()> {
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

/// Naming these must not change where the answer ends.
fn is_framing(name: &HeaderName) -> bool {
    *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING
}
