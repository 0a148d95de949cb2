//! Requests that another site may have caused.

use super::*;

fn permits(method: Method, fields: &[(HeaderName, &str)]) -> bool {
    let request = Request {
        scheme: Scheme::Https,
        method: &method,
        authority: Some("shop.example"),
        target: "/",
        headers: &headers(fields),
        session: None,
    };
    Origins(vec!["https://app.example".into()]).permit(&request, &secret(7))
}

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

#[test]
fn another_site_may_read_and_not_write() {
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
        assert!(permits(method, &[(SITE, "cross-site")]));
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        assert!(!permits(method, &[(SITE, "cross-site")]));
    }
    let brew = Method::from_bytes(b"BREW").expect("a method");
    assert!(!permits(brew, &[(SITE, "cross-site")]));
}

#[test]
fn upgrade_is_a_write() {
    let upgrade = (http::header::UPGRADE, "websocket");
    assert!(!permits(Method::GET, &[upgrade.clone(), (ORIGIN, "https://evil.example")]));
    assert!(!permits(Method::GET, std::slice::from_ref(&upgrade)));
    assert!(permits(Method::GET, &[upgrade, (ORIGIN, "https://shop.example")]));
}

#[test]
fn sec_fetch_site_goes_before_origin() {
    let own = (ORIGIN, "https://shop.example");
    for (site, expected) in [
        ("same-origin", true),
        ("none", true),
        ("same-site", false),
        ("cross-site", false),
        ("Same-Origin", false),
        ("", false),
        ("same-origin, same-origin", false),
    ] {
        assert_eq!(permits(Method::POST, &[(SITE, site)]), expected, "{site}");
        assert_eq!(permits(Method::POST, &[(SITE, site), own.clone()]), expected, "{site}");
    }
    let listed = (ORIGIN, "https://app.example");
    assert!(permits(Method::POST, &[(SITE, "cross-site"), listed.clone()]));
    assert!(permits(Method::POST, &[(SITE, "same-site"), listed]));
    assert!(!permits(Method::POST, &[(SITE, "same-origin"), (SITE, "same-origin")]));
}

#[test]
fn origin_is_compared_whole() {
    for (origin, expected) in [
        ("https://shop.example", true),
        ("https://app.example", true),
        ("http://shop.example", false),
        ("https://shop.example:8443", false),
        ("https://shop.example.evil.example", false),
        ("https://evil-shop.example", false),
        ("https://app.example/", false),
        ("null", false),
        ("", false),
    ] {
        assert_eq!(permits(Method::POST, &[(ORIGIN, origin)]), expected, "{origin}");
    }
    let twice = [(ORIGIN, "https://shop.example"), (ORIGIN, "https://shop.example")];
    assert!(!permits(Method::POST, &twice));
}

#[test]
fn client_that_says_nothing_shows_the_token() {
    let good = secret(7).csrf_token();
    assert!(permits(Method::POST, &[(TOKEN, &good)]));
    assert!(!permits(Method::POST, &[]));
    assert!(!permits(Method::POST, &[(TOKEN, "")]));
    assert!(!permits(Method::POST, &[(TOKEN, &secret(8).csrf_token())]));
    assert!(!permits(Method::POST, &[(TOKEN, &good), (TOKEN, &good)]));
    // It does not excuse a foreign origin.
    assert!(!permits(Method::POST, &[(TOKEN, &good), (ORIGIN, "https://evil.example")]));
}
