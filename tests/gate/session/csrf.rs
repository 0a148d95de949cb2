//! Requests that another site's page may have caused.

use http::header::{ORIGIN, UPGRADE};

use super::*;

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

fn field(name: &HeaderName, value: &str) -> (HeaderName, String) {
    (name.clone(), value.to_owned())
}

fn methods() -> [(Method, bool); 8] {
    let own = Method::from_bytes(b"FROBNICATE").expect("a method");
    [
        (Method::GET, false),
        (Method::HEAD, false),
        (Method::OPTIONS, false),
        (Method::POST, true),
        (Method::PUT, true),
        (Method::PATCH, true),
        (Method::DELETE, true),
        (own, true),
    ]
}

#[test]
fn another_site_may_read_and_not_write() {
    let gate = gatehouse().with_alice();
    for (method, is_write) in methods() {
        let asked = GateRequest::logged_in("/only/7").by(method.clone());
        let foreign = asked.clone().with(field(&SITE, "cross-site"));
        let expected = if is_write { "csrf" } else { PERMITTED };
        assert_eq!(gate.slug_for(&foreign), expected, "{method}");
        let unsaid = gate.slug_for(&asked.clone());
        assert_eq!(unsaid, expected, "{method}: who says nothing shows the token");
        let own = asked.with(field(&SITE, "same-origin"));
        assert_eq!(gate.slug_for(&own), PERMITTED, "{method}");
    }
}

/// A WebSocket is opened with a `GET`, and browsers let any page open one.
#[test]
fn upgrade_is_a_write_whatever_its_method() {
    let gate = gatehouse().with_alice();
    let upgrade = GateRequest::logged_in("/only/7").with(field(&UPGRADE, "websocket"));
    assert_eq!(gate.slug_for(&upgrade), "csrf");
    let foreign = upgrade.clone().with(field(&ORIGIN, "https://evil.test"));
    assert_eq!(gate.slug_for(&foreign), "csrf");
    assert_eq!(gate.slug_for(&upgrade.with(field(&ORIGIN, "https://api.test"))), PERMITTED);
}

#[test]
fn origin_is_ours_by_scheme_host_and_port() {
    let gate = gatehouse().with_alice();
    for (scheme, origin, expected) in [
        (Scheme::Https, "https://api.test", PERMITTED),
        (Scheme::Https, "http://api.test", "csrf"),
        (Scheme::Http, "http://api.test", PERMITTED),
        (Scheme::Http, "https://api.test", "csrf"),
        (Scheme::Https, "https://api.test:8443", "csrf"),
        (Scheme::Https, "https://api.test.evil.test", "csrf"),
        (Scheme::Https, "https://evil-api.test", "csrf"),
        (Scheme::Https, "https://sub.api.test", "csrf"),
        (Scheme::Https, "https://api.test@evil.test", "csrf"),
        (Scheme::Https, "null", "csrf"),
        (Scheme::Https, "", "csrf"),
    ] {
        let asked = GateRequest::logged_in("/only/7").by(Method::POST).over(scheme);
        assert_eq!(gate.slug_for(&asked.with(field(&ORIGIN, origin))), expected, "{origin}");
    }
}

#[test]
fn listed_origin_may_write_and_its_neighbours_may_not() {
    let section = "sessions: {allowed_origins: ['https://app.test', 'https://dev.test:8443']}";
    let gate = with(&[section], "").with_alice();
    for (origin, expected) in [
        ("https://app.test", PERMITTED),
        ("https://dev.test:8443", PERMITTED),
        ("http://app.test", "csrf"),
        ("https://dev.test", "csrf"),
        ("https://app.test:8443", "csrf"),
        ("https://app.test/", "csrf"),
        ("https://app.test https://app.test", "csrf"),
    ] {
        let asked = GateRequest::logged_in("/only/7").by(Method::POST).with(field(&ORIGIN, origin));
        assert_eq!(gate.slug_for(&asked), expected, "{origin}");
        // A browser says both.
        let cross = asked.with(field(&SITE, "cross-site"));
        assert_eq!(gate.slug_for(&cross), expected, "{origin}");
    }
}

#[test]
fn client_that_says_nothing_shows_the_token_of_its_own_session() {
    let gate = gatehouse().with_alice();
    let asked = GateRequest::logged_in("/only/7").by(Method::POST);
    let with = |token: &str| gate.slug_for(&asked.clone().with(field(&TOKEN, token)));
    assert_eq!(with(&own().csrf_token()), PERMITTED);
    assert_eq!(with(&secret(8).csrf_token()), "csrf");
    assert_eq!(with(&own().expose()), "csrf");
    assert_eq!(with(&own().id().to_string()), "csrf");
    assert_eq!(with(""), "csrf");
    let token = field(&TOKEN, &own().csrf_token());
    let twice = asked.clone().with(token.clone()).with(token.clone());
    assert_eq!(gate.slug_for(&twice), "csrf");
    // It does not make up for a foreign origin.
    let foreign = asked.with(token).with(field(&ORIGIN, "https://evil.test"));
    assert_eq!(gate.slug_for(&foreign), "csrf");
}

/// No browser adds a bearer token by itself.
#[test]
fn bearer_is_not_asked_where_it_comes_from() {
    let gate = gatehouse().with_alice();
    let authorization = (http::header::AUTHORIZATION, bearer(&good()));
    for path in ["/bearer-only", "/bearer-first"] {
        let asked = GateRequest::logged_in(path).by(Method::POST).with(authorization.clone());
        assert_eq!(gate.slug_for(&asked.with(field(&SITE, "cross-site"))), PERMITTED, "{path}");
    }
}

/// Who is not logged in is told so first, and nobody learns from `csrf` that a cookie is good
/// before it was found to be.
#[test]
fn session_is_judged_before_its_request_is() {
    let gate = gatehouse();
    let foreign =
        GateRequest::logged_in("/only/7").by(Method::POST).with(field(&SITE, "cross-site"));
    let verdict = gate.verdict(&foreign);
    assert_eq!(slug_of(&verdict), "store_unavailable");
    assert!(wanted(&verdict).is_some());
    let mut rested = stored();
    rested.last_seen = UnixTime::from_seconds(NOW - IDLE_S);
    let read = gate.read(&own(), &rested);
    assert_eq!(gate.slug_for(&foreign.clone().having_read(read)), "session_expired");
    let read = gate.read(&own(), &stored());
    assert_eq!(gate.slug_for(&foreign.having_read(read)), "csrf");
}

/// A page of another site must not find out by the slug what its visitor may do.
#[test]
fn forged_request_is_refused_before_anybody_asks_what_its_user_holds() {
    let route = "- {name: strict, match: {path: /strict}, upstream: behind, \
                 authenticate: [session], require: {scopes: [nobody:has]}}\n";
    let gate = with(&[], route).with_alice();
    let asked = GateRequest::logged_in("/strict").by(Method::POST);
    assert_eq!(gate.slug_for(&asked.clone().with(field(&SITE, "cross-site"))), "csrf");
    assert_eq!(gate.slug_for(&asked.with(field(&SITE, "same-origin"))), "scope_missing");
}
