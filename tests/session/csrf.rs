//! Requests that another site's page may have caused.

use serde_json::json;

use crate::harness::client::{self, request};
use crate::harness::login::Login;
use crate::harness::outcome::accepted;
use crate::harness::sessions::{SessionFleet, denied, told};
use crate::harness::tokens::{bearer, token};

/// The host that these clients ask for.
const OWN: &str = "http://gateway.test";

/// What is said to a request with the cookie and these fields.
fn ask(
    site: &SessionFleet,
    method: &str,
    path: &str,
    login: &Login,
    fields: &[(&str, &str)],
) -> (u16, String) {
    let fields = [&[("Cookie", &*login.cookie)], fields].concat();
    told(&client::exchange(site.gateway(1).address(), request(method, path, &fields, "")))
}

#[test]
fn unsafe_methods_need_a_sign_of_their_own_page() {
    let site = SessionFleet::embedded("sessions: { allowed_origins: ['https://app.example'] }\n");
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    let csrf = &*alice.csrf;
    let good: [&[(&str, &str)]; 8] = [
        &[("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", OWN)],
        &[("Origin", "https://app.example")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://app.example")],
        &[("Sec-Fetch-Site", "same-site"), ("Origin", "https://app.example")],
        &[("X-CSRF-Token", csrf)],
        &[("Sec-Fetch-Site", "same-origin"), ("Origin", OWN), ("X-CSRF-Token", "nonsense")],
    ];
    let shortened = &csrf[..csrf.len() - 1];
    let bad: [&[(&str, &str)]; 17] = [
        &[],
        &[("X-CSRF-Token", "")],
        &[("X-CSRF-Token", shortened)],
        &[("X-CSRF-Token", &bob.csrf)],
        &[("X-CSRF-Token", &alice.id)],
        &[("X-CSRF-Token", alice.secret())],
        &[("X-CSRF-Token", csrf), ("X-CSRF-Token", csrf)],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "Same-Origin")],
        &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "same-origin")],
        &[("Origin", "null")],
        &[("Origin", "https://gateway.test")],
        &[("Origin", "http://gateway.test:8080")],
        &[("Origin", "http://app.example")],
        // A valid token does not make up for a foreign page.
        &[("Origin", "https://evil.example"), ("X-CSRF-Token", csrf)],
        &[("Sec-Fetch-Site", "cross-site"), ("X-CSRF-Token", csrf)],
    ];
    let seen = site.upstream.received().len();
    for method in ["POST", "PUT", "PATCH", "DELETE", "ANYTHING"] {
        for fields in bad {
            assert_eq!(ask(&site, method, "/home/x", &alice, fields), denied("csrf"), "{fields:?}");
        }
    }
    assert_eq!(site.upstream.received().len(), seen, "something got through");
    for method in ["POST", "DELETE"] {
        for fields in good {
            assert_eq!(ask(&site, method, "/home/x", &alice, fields), accepted(), "{fields:?}");
        }
    }
    // Reading is never refused.
    for method in ["GET", "OPTIONS"] {
        for fields in bad {
            assert_eq!(ask(&site, method, "/home/x", &alice, fields), accepted(), "{fields:?}");
        }
    }
}

#[test]
fn token_is_told_to_who_has_the_cookie_and_belongs_to_the_session() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let answer = alice.ask(site.gateway(1).address(), "/auth/session");
    assert_eq!(answer.json()["csrf_token"], alice.csrf);
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let again = alice.again(site.gateway(1).address(), "alice");
    assert_ne!(again.csrf, alice.csrf);
    let old = [("X-CSRF-Token", &*alice.csrf)];
    assert_eq!(ask(&site, "POST", "/home/x", &again, &old), denied("csrf"));
}

#[test]
fn bearer_is_exempt_on_the_same_route() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let token = bearer(&token(json!({})));
    let evil = [("Authorization", &*token), ("Origin", "https://evil.example")];
    let address = site.gateway(1).address();
    for path in ["/bearer-first", "/session-first"] {
        let answer = client::exchange(address, request("POST", path, &evil, ""));
        assert_eq!(told(&answer), accepted(), "{path}");
    }
    assert_eq!(ask(&site, "POST", "/bearer-first", &alice, &evil), accepted());
    // Where the session decides, the token does not help.
    assert_eq!(ask(&site, "POST", "/session-first", &alice, &evil), denied("csrf"));
    assert_eq!(ask(&site, "POST", "/bearer-first", &alice, &evil[1..]), denied("csrf"));
}

#[test]
fn upgrades_need_it_although_they_are_read_with_get() {
    let site = SessionFleet::embedded("sessions: { allowed_origins: ['https://app.example'] }\n");
    site.upstream.behave(crate::harness::upstream::Behaviour::Upgrade);
    let alice = site.log_in("alice");
    let upgrade = |more: &[(&str, &str)]| {
        let fields = [
            &[
                ("Cookie", &*alice.cookie),
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ],
            more,
        ]
        .concat();
        let answer = client::exchange(site.gateway(1).address(), client::get("/home/x", &fields));
        if answer.status == 101 { "switched".to_owned() } else { told(&answer).1 }
    };
    assert_eq!(upgrade(&[]), "csrf");
    assert_eq!(upgrade(&[("Origin", "https://evil.example")]), "csrf");
    assert_eq!(upgrade(&[("Origin", "null"), ("X-CSRF-Token", &alice.csrf)]), "csrf");
    assert_eq!(upgrade(&[("Sec-Fetch-Site", "cross-site")]), "csrf");
    assert!(site.upstream.received().is_empty());
    assert_eq!(upgrade(&[("Origin", OWN)]), "switched");
    assert_eq!(
        upgrade(&[("Origin", "https://app.example"), ("Sec-Fetch-Site", "cross-site")]),
        "switched"
    );
    assert_eq!(upgrade(&[("X-CSRF-Token", &alice.csrf)]), "switched");
}

#[test]
fn login_and_logout_are_protected_alike() {
    let site = SessionFleet::embedded("");
    let address = site.gateway(1).address();
    let evil = [("Origin", "https://evil.example")];
    assert_eq!(told(&crate::harness::login::attempt(address, "bob", &evil)), denied("csrf"));
    let alice = site.log_in("alice");
    for (method, path) in [
        ("POST", "/auth/logout".to_owned()),
        ("POST", "/auth/logout-everywhere".to_owned()),
        ("DELETE", format!("/auth/sessions/{}", alice.id)),
    ] {
        assert_eq!(ask(&site, method, &path, &alice, &evil), denied("csrf"), "{path}");
        assert_eq!(ask(&site, method, &path, &alice, &[]), denied("csrf"), "{path}");
    }
    assert_eq!(site.ask(1, &alice), accepted());
}

#[test]
fn origin_is_told_by_a_trusted_proxy_and_by_nobody_else() {
    let https = [("Origin", "https://gateway.test"), ("X-Forwarded-Proto", "https")];
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    assert_eq!(ask(&site, "POST", "/home/x", &alice, &https), denied("csrf"));
    assert_eq!(ask(&site, "POST", "/home/x", &alice, &[("Origin", OWN)]), accepted());
    let site = SessionFleet::embedded("trusted_proxies: [127.0.0.0/8]\n");
    let alice = site.log_in("alice");
    assert_eq!(ask(&site, "POST", "/home/x", &alice, &https), accepted());
    let http = [("Origin", OWN), ("X-Forwarded-Proto", "https")];
    assert_eq!(ask(&site, "POST", "/home/x", &alice, &http), denied("csrf"));
}
