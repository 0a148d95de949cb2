//! Guards the admin listener: who may use it.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::context::AdminContext;
use crate::config::AdminToken;

/// On a loopback address, refuses requests that a page in a browser on this machine could have
/// sent.
pub(super) async fn refuse_pages(
    State(context): State<AdminContext>,
    request: Request,
    next: Next,
) -> Response {
    let is_loopback = context.configuration.load().settings.admin.address.ip().is_loopback();
    if is_loopback && is_from_elsewhere(request.headers()) {
        let why = "on a loopback address the admin listener answers to localhost and to loopback \
                   addresses only, and to no page in a browser\n";
        return (StatusCode::MISDIRECTED_REQUEST, why).into_response();
    }
    next.run(request).await
}

/// Lets a request pass that presents the token.
pub(super) async fn require_token(
    State(context): State<AdminContext>,
    request: Request,
    next: Next,
) -> Response {
    let token = context.admin_token.load_full();
    // The comparison takes constant time. A token of another length is refused at once, which
    // reveals only the length.
    let admitted = presented(request.headers())
        .is_some_and(|presented| bool::from(presented.ct_eq(token.expose())));
    if admitted {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"portcullis-admin\"")];
    (StatusCode::UNAUTHORIZED, challenge, "the admin token is required\n").into_response()
}

/// Lets a request pass that presents the token. Without a configured token, only this machine can
/// send requests.
pub(super) async fn require_given_token(
    State(context): State<AdminContext>,
    request: Request,
    next: Next,
) -> Response {
    let configuration = context.configuration.load();
    match configuration.settings.admin.token {
        AdminToken::Given(_) => require_token(State(context), request, next).await,
        AdminToken::Kept(_) => next.run(request).await,
    }
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// Whether a page of another site makes the browser on this machine send the request, as DNS
/// rebinding would. The `Host` is then not a name of this machine, or the request says that a page
/// sent it.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let mut hosts = headers.get_all(header::HOST).iter();
    let is_local = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(names_this_machine),
        _ => false,
    };
    let is_page = headers.contains_key("origin")
        || text("sec-fetch-site").is_some_and(|site| site != "none" && site != "same-origin");
    !is_local || is_page
}

/// Whether a `Host` is `localhost` or a loopback address. Any port is accepted, because it may be
/// forwarded.
fn names_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if let Some(bracketed) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return bracketed.parse::<Ipv6Addr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    }
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
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
        for host in [
            "127.0.0.1:9901",
            "127.0.0.1",
            "127.255.255.254",
            "[::1]:9901",
            "[::1]",
            "[::ffff:127.0.0.1]:1",
            "localhost:1",
            "LOCALHOST",
        ] {
            assert!(!is_from_elsewhere(&headers(&[("host", host)])), "{host}");
        }
        for host in [
            "evil.example:9901",
            "localhost.evil.example",
            "",
            ":9901",
            "127.0.0.1.evil:1",
            "126.0.0.1",
            "128.0.0.1:9901",
            "10.0.0.1",
            "0.0.0.0:9901",
            "::1",
            "[::2]:9901",
            "[::]",
            "[127.0.0.1]",
            "[::1",
            "localhost:port",
            "localhost@evil.example",
        ] {
            assert!(is_from_elsewhere(&headers(&[("host", host)])), "{host}");
        }
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert!(!is_from_elsewhere(&headers(&twice[..1])));
        let mut both = headers(&twice[..1]);
        both.append("host", HeaderValue::from_static("localhost"));
        assert!(is_from_elsewhere(&both));
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
