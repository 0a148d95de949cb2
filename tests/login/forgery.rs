//! Pages of other sites that log a visitor in as somebody of their choice, or out.

use serde_json::json;

use crate::harness::client;
use crate::harness::login::{Login, PASSWORD};
use crate::harness::password_login::{
    FORM, JSON, LoginGateway, MANY, WRONG, assert_refused, encoded, guess,
};

/// What tells of another site's page.
const FOREIGN: [&[(&str, &str)]; 9] = [
    &[("Sec-Fetch-Site", "cross-site")],
    &[("Sec-Fetch-Site", "same-site")],
    &[("Sec-Fetch-Site", "cross-site"), ("Origin", "http://gateway.test")],
    &[("Sec-Fetch-Site", "Same-Origin")],
    &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
    &[("Origin", "https://evil.test")],
    &[("Origin", "https://gateway.test")],
    &[("Origin", "http://gateway.test.evil.test")],
    &[("Origin", "null")],
];

/// What tells of our own page, of its user's own hand, or of no browser at all.
const OWN: [&[(&str, &str)]; 6] = [
    &[],
    &[("Sec-Fetch-Site", "same-origin")],
    &[("Sec-Fetch-Site", "none")],
    &[("Origin", "http://gateway.test")],
    &[("Origin", "http://GATEWAY.test")],
    &[("Sec-Fetch-Site", "same-origin"), ("Origin", "http://gateway.test")],
];

#[test]
fn login_that_another_site_causes_is_refused() {
    let site = LoginGateway::open();
    let form = encoded(&[("username", "alice"), ("password", PASSWORD)]);
    let json = json!({ "username": "alice", "password": PASSWORD }).to_string();
    for (kind, body) in [(FORM, form), (JSON, json)] {
        for fields in FOREIGN {
            let fields = [&[("Content-Type", kind)], fields].concat();
            let answer = site.post(&fields, &body);
            assert_eq!((answer.status, answer.field("set-cookie")), (403, None), "{fields:?}");
            match kind {
                FORM => assert!(answer.body.contains("<form"), "{answer:?}"),
                _ => assert_refused(&answer, 403, "csrf"),
            }
        }
        for fields in OWN {
            let fields = [&[("Content-Type", kind)], fields].concat();
            let answer = site.post(&fields, &body);
            assert!([200, 303].contains(&answer.status), "{fields:?}: {answer:?}");
        }
    }
    site.gateway.logged(|line| line["slug"] == "csrf" && line["status"] == 403);
}

/// A page could otherwise lock its visitors' accounts, from their own addresses.
#[test]
fn login_that_another_site_causes_is_not_an_attempt() {
    let site = LoginGateway::open_with("", "attempts: { per_account: 1/1h, per_address: 1/24h }");
    for _ in 0..3 {
        let foreign = [("Sec-Fetch-Site", "cross-site")];
        assert_refused(&guess(site.address(), "alice", WRONG, &foreign), 403, "csrf");
    }
    assert_eq!(guess(site.address(), "alice", PASSWORD, &[]).status, 200);
}

#[test]
fn login_from_an_origin_that_may_is_accepted() {
    let site = LoginGateway::open_with("sessions: { allowed_origins: [https://app.test] }", MANY);
    let from = |origin: &str| {
        let fields = [("Sec-Fetch-Site", "cross-site"), ("Origin", origin)];
        guess(site.address(), "alice", PASSWORD, &fields).status
    };
    assert_eq!(from("https://app.test"), 200);
    for origin in ["http://app.test", "https://app.test:8443", "https://app.test.evil.test", "null"]
    {
        assert_eq!(from(origin), 403, "{origin}");
    }
}

/// Browsers keep the cookie from other sites' forms. The answer must not take it away all the same.
#[test]
fn logout_that_another_site_causes_is_refused_without_the_cookie_too() {
    let site = LoginGateway::open();
    let ask = |fields: &[(&str, &str)]| {
        site.gateway.exchange(client::request("POST", "/auth/logout", fields, ""))
    };
    for fields in FOREIGN {
        let answer = ask(fields);
        assert_refused(&answer, 403, "csrf");
        assert_eq!(answer.field("clear-site-data"), None, "{answer:?}");
    }
    for fields in OWN {
        assert_eq!(ask(fields).status, 204, "{fields:?}");
    }
}

#[test]
fn session_is_ended_by_its_own_pages_only() {
    let site = LoginGateway::open();
    let id = Login::new(site.address(), "alice").id;
    let login = Login::new(site.address(), "alice");
    let end = format!("/auth/sessions/{id}");
    let own = format!("/auth/sessions/{}", login.id);
    let requests = [
        ("POST", "/auth/logout"),
        ("POST", "/auth/logout-everywhere"),
        ("DELETE", &end),
        ("DELETE", &own),
    ];
    for (method, path) in requests {
        let ask = |fields: &[(&str, &str)]| {
            let fields = [&[("Cookie", &*login.cookie)], fields].concat();
            site.gateway.exchange(client::request(method, path, &fields, ""))
        };
        for fields in FOREIGN {
            assert_refused(&ask(fields), 403, "csrf");
            // The token does not help whoever is known to come from elsewhere.
            let token = [fields, &[("X-CSRF-Token", &*login.csrf)]].concat();
            assert_refused(&ask(&token), 403, "csrf");
        }
        // Without anything that tells.
        assert_refused(&ask(&[]), 403, "csrf");
        assert_refused(&ask(&[("X-CSRF-Token", "x")]), 403, "csrf");
    }
    let listed = login.ask(site.address(), "/auth/sessions").json();
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(2), "{listed}");
    assert_eq!(login.send(site.address(), "DELETE", &end).status, 204);
    assert_eq!(login.send(site.address(), "POST", "/auth/logout").status, 204);
}
