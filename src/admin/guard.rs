//! Who may use the admin listener.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::View;

/// Lets pass who presents the token; without one, whoever is on this machine and not a page in a
/// browser.
pub(super) async fn require_token(
    State(view): State<View>,
    request: Request,
    next: Next,
) -> Response {
    let configuration = view.configuration.load_full();
    let Some(token) = &configuration.admin.token else {
        // Without a token the listener is on a loopback address; the compiler saw to that.
        if is_from_elsewhere(request.headers()) {
            let why = "without a token, the admin listener answers to this machine's name only\n";
            return (StatusCode::MISDIRECTED_REQUEST, why).into_response();
        }
        return next.run(request).await;
    };
    // Both sides in constant time; a token of another length is refused at once, which tells its
    // length and no more.
    let admitted = presented(request.headers())
        .is_some_and(|presented| bool::from(presented.ct_eq(token.expose())));
    if admitted {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"portcullis-admin\"")];
    (StatusCode::UNAUTHORIZED, challenge, "the admin token is required\n").into_response()
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// Whether a page of another site makes the browser on this machine ask, as DNS rebinding would:
/// the name that it asks for is then not one of this machine's, or it says where it comes from.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text("host").unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let is_local = name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_page = headers.contains_key("origin")
        || text("sec-fetch-site").is_some_and(|site| site != "none" && site != "same-origin");
    !is_local || is_page
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn names_of_this_machine_are_its_addresses_and_localhost() {
        for host in ["127.0.0.1:9901", "127.0.0.1", "[::1]:9901", "localhost:1", "LOCALHOST"] {
            assert!(!is_from_elsewhere(&headers(&[("host", host)])), "{host}");
        }
        for host in ["evil.example:9901", "localhost.evil.example", "", "127.0.0.1.evil:1"] {
            assert!(is_from_elsewhere(&headers(&[("host", host)])), "{host}");
        }
        assert!(is_from_elsewhere(&HeaderMap::new()));
    }

    #[test]
    fn pages_of_other_sites_are_elsewhere() {
        let host = ("host", "127.0.0.1:9901");
        for field in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(is_from_elsewhere(&headers(&[host, field])), "{field:?}");
        }
        assert!(!is_from_elsewhere(&headers(&[host, ("sec-fetch-site", "none")])));
    }
}
