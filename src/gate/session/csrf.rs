//! Whether the session's user meant a request with the session cookie, or another site's page
//! caused it.
//!
//! Browsers say where a request comes from: `Sec-Fetch-Site` (Fetch Metadata §2.3), else `Origin`
//! (RFC 6454 §7). A client that sends neither must send the session's CSRF token, which no other
//! site can read.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::id::SessionSecret;
use super::origins::{Origin, Origins};
use crate::gate::request::{Request, Scheme};

/// The header that carries the CSRF token.
const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The signed label, which separates this use of the session's secret from any other.
const LABEL: &[u8] = b"portcullis csrf token 1";

impl Origins {
    /// Where a request comes from.
    pub fn origin(&self, request: &Request<'_>) -> Origin {
        let headers = request.headers;
        let (site, origin) = (only(headers, SEC_FETCH_SITE), only(headers, ORIGIN));
        let permits = |is: bool| if is { Origin::Permitted } else { Origin::Foreign };
        match (site, origin) {
            (PresentedCsrf::Twice, _) | (_, PresentedCsrf::Twice) => Origin::Foreign,
            (PresentedCsrf::Once(site), origin) => match (site.as_bytes(), origin) {
                (b"same-origin" | b"none", _) => Origin::Permitted,
                (_, PresentedCsrf::Once(origin)) => permits(self.lists(origin)),
                (_, PresentedCsrf::Nothing | PresentedCsrf::Twice) => Origin::Foreign,
            },
            (PresentedCsrf::Nothing, PresentedCsrf::Once(origin)) => {
                permits(is_own(origin, request) || self.lists(origin))
            }
            (PresentedCsrf::Nothing, PresentedCsrf::Nothing) => Origin::Unsaid,
        }
    }

    /// Whether a request with a session cookie is permitted. Safe methods without `Upgrade` always
    /// are.
    pub(in crate::gate) fn permit(&self, request: &Request<'_>, secret: &SessionSecret) -> bool {
        if request.method.is_safe() && !request.headers.contains_key(UPGRADE) {
            return true;
        }
        match self.origin(request) {
            Origin::Permitted => true,
            Origin::Foreign => false,
            Origin::Unsaid => match only(request.headers, CSRF_TOKEN) {
                PresentedCsrf::Once(token) => secret.is_csrf_token(token.as_bytes()),
                PresentedCsrf::Nothing | PresentedCsrf::Twice => false,
            },
        }
    }

    fn lists(&self, origin: &HeaderValue) -> bool {
        self.0.iter().any(|listed| listed.as_bytes() == origin.as_bytes())
    }
}

impl SessionSecret {
    /// The CSRF token of the session. Only a holder of the secret can compute it.
    pub fn csrf_token(&self) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.bits());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, LABEL))
    }

    fn is_csrf_token(&self, text: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(self.csrf_token().as_bytes(), text).is_ok()
    }
}

enum PresentedCsrf<'h> {
    Nothing,
    Once(&'h HeaderValue),
    Twice,
}

fn only(headers: &HeaderMap, name: HeaderName) -> PresentedCsrf<'_> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => PresentedCsrf::Nothing,
        (Some(value), None) => PresentedCsrf::Once(value),
        (Some(_), Some(_)) => PresentedCsrf::Twice,
    }
}

/// Whether an origin is that of the page's own server: same scheme, host and port as the request.
/// `Host` may name a default port, `Origin` never does.
fn is_own(origin: &HeaderValue, request: &Request<'_>) -> bool {
    let (prefix, port): (&[u8], &str) = match request.scheme {
        Scheme::Http => (b"http://", ":80"),
        Scheme::Https => (b"https://", ":443"),
    };
    let Some(authority) = request.authority else { return false };
    let authority = authority.strip_suffix(port).unwrap_or(authority);
    origin
        .as_bytes()
        .strip_prefix(prefix)
        .is_some_and(|origin| origin.eq_ignore_ascii_case(authority.as_bytes()))
}
