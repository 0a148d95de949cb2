//! Identities that are too large are refused whole, and never cut.

use super::*;

/// How long the headers are that say who this is: names, values and four bytes for each.
fn identity_bytes(received: &Received) -> usize {
    let lines = received.head.split("\r\n").skip(1);
    let own = lines.filter(|line| line.to_ascii_lowercase().starts_with("x-auth-"));
    own.map(|line| line.len() + 2).sum()
}

#[test]
fn identity_fits_to_the_byte_or_is_refused_whole() {
    let site = IssuingFleet::embedded("limits: { identity_bytes: 1KiB }\n");
    let send = |email: &str| -> Answer {
        let text = token(json!({ "email": email }));
        client::exchange(site.at(1), get("/bearers/x", &[("Authorization", &bearer(&text))]))
    };
    assert_eq!(send("a").status, 200);
    let room = 1024 - identity_bytes(&site.upstream.last()) + 1;
    let answer = send(&"a".repeat(room));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(identity_bytes(&site.upstream.last()), 1024);
    let before = site.upstream.received().len();
    for more in [1, 2, 100, 3000] {
        let answer = send(&"a".repeat(room + more));
        assert_eq!(outcome(&answer), denied(431, "identity_too_large"), "{more}");
    }
    assert_eq!(site.upstream.received().len(), before, "nothing reached the upstream");
    // Escaped it is longer: what counts is what is sent.
    let answer = send(&"\u{e9}".repeat(room / 6));
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = send(&"\u{e9}".repeat(room / 6 + 1));
    assert_eq!(outcome(&answer), denied(431, "identity_too_large"));
    let line = site.gateway(1).logged(|line| line["slug"] == "identity_too_large");
    assert_eq!((&line["status"], &line["outcome"]), (&json!(431), &json!("denied")), "{line}");
    // A public route tells nobody who it is.
    assert_eq!(client::exchange(site.at(1), get("/public/x", &[])).status, 200);
}

#[test]
fn huge_lists_of_roles_and_scopes_are_refused_and_never_cut() {
    let site = IssuingFleet::embedded("");
    let many =
        |count: usize| -> Vec<String> { (0..count).map(|n| format!("role-{n:04}")).collect() };
    for claims in [
        json!({ "roles": many(900) }),
        json!({ "scope": many(900).join(" ") }),
        json!({ "roles": ["x".repeat(8 * 1024)] }),
    ] {
        let text = token(claims);
        for path in [HOME, "/inside/x", "/patient/x"] {
            let answer =
                client::exchange(site.at(1), get(path, &[("Authorization", &bearer(&text))]));
            // A token too long to be read is refused before.
            let is_refused = outcome(&answer) == denied(431, "identity_too_large")
                || outcome(&answer) == denied(401, "token_malformed");
            assert!(is_refused, "{answer:?}");
        }
    }
    assert!(site.upstream.received().is_empty());
    let text = token(json!({ "roles": many(100) }));
    assert_eq!(ask(site.at(1), HOME, &text), accepted());
    let received = site.upstream.last();
    assert_eq!(received.values("x-auth-roles")[0].split(',').count(), 100);
}

/// The same limit for whatever brings an identity, and for the token that says it.
#[test]
fn identities_of_logins_and_keys_are_limited_too() {
    let site = IssuingFleet::embedded("limits: { identity_bytes: 1KiB }\n");
    let roles: Vec<String> = (0..80).map(|n| format!("role-number-{n:04}")).collect();
    let (key, _) =
        api_key(site.gateway(1), json!({ "subject": "importer", "roles": roles.clone() }));
    assert_eq!(ask_with_key(site.at(1), HOME, &key), denied(431, "identity_too_large"));
    let mut users = crate::harness::login::everybody();
    users["mallory"] = user(json!({ "roles": roles }));
    write_users(site.gateway(1).directory(), &users);
    let answer = crate::harness::eventually("a user who is known", || {
        let answer = log_in(site.at(1), "mallory", json!({}), &[]);
        (answer.status != 401).then_some(answer)
    });
    if let Some(set) = answer.field("set-cookie") {
        let cookie = set.split(';').next().expect("a pair");
        let answer = client::exchange(site.at(1), get(HOME, &[("Cookie", cookie)]));
        assert_eq!(outcome(&answer), denied(431, "identity_too_large"));
    }
    let answer = log_in(site.at(1), "mallory", json!({ "deliver": "tokens" }), &[]);
    if answer.status == 200 {
        let granted = Granted::read(&answer);
        let refused = denied(431, "identity_too_large");
        assert_eq!(ask(site.at(1), HOME, &granted.access), refused);
    }
    assert!(site.upstream.received().is_empty());
}

/// An internal token is longer than the headers that say the same.
#[test]
fn internal_token_that_does_not_fit_is_refused_and_nothing_is_forwarded() {
    let site = IssuingFleet::embedded("limits: { identity_bytes: 1KiB }\n");
    let email = "a".repeat(600);
    let text = token(json!({ "email": email }));
    assert_eq!(ask(site.at(1), HOME, &text), accepted(), "the headers fit");
    let before = site.upstream.received().len();
    for _ in 0..3 {
        assert_eq!(ask(site.at(1), "/inside/x", &text), denied(431, "identity_too_large"));
    }
    assert_eq!(site.upstream.received().len(), before);
    // Without that claim it fits.
    assert_eq!(ask(site.at(1), "/inside-bearer/x", &text), accepted());
}
