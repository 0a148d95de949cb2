//! What is no usable token, and what is no token at all: a client must be able to tell "get another token"
//! (401) from "write the request anew" (400).

use serde_json::{Value, json};

use crate::harness::client::{Answer, get};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::people::{self, Browser};
use crate::harness::tokens::{bearer, token};
use crate::harness::upstream::Upstream;

const REALM: &str = "Bearer realm=\"portcullis\"";
const INVALID_TOKEN: &str = "Bearer realm=\"portcullis\", error=\"invalid_token\"";
const INVALID_REQUEST: &str = "Bearer realm=\"portcullis\", error=\"invalid_request\"";

/// Status, slug and challenge of a refusal.
fn told(answer: &Answer) -> (u16, String, Option<&str>) {
    (answer.status, answer.slug(), answer.field("www-authenticate"))
}

/// Asks with these header lines, and gives the answer with its line of the access log.
fn ask(gateway: &Gateway, path: &str, fields: &[(&str, &str)]) -> (Answer, Value) {
    let id = format!("r-{}", fastrand::u32(..));
    let fields = [fields, &[("X-Request-Id", &id)]].concat();
    let answer = gateway.exchange(get(path, &fields));
    (answer, gateway.logged(|line| line["request_id"] == *id))
}

#[test]
fn text_that_is_no_usable_token_is_401_and_the_log_says_why() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let good = token(json!({}));
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let cut_in_two = format!("{header}.{payload}");
    for (value, reason) in [
        ("Bearer", "there is no token after Bearer"),
        ("Bearer null", "the token has 1 part"),
        ("Bearer undefined", "the token has 1 part"),
        ("Bearer 8xLOxBtZp8dQ2bnkqHXMXA", "the token has 1 part; a signed token has 3"),
        (&bearer(&cut_in_two), "the token has 2 parts"),
        (&bearer(&good[..good.len() / 4]), "the token has "),
        (
            &bearer(&format!("{good}.{payload}.{signature}")),
            "the token has 5 parts: it is encrypted",
        ),
        (&bearer(&format!("{good}.{payload}")), "the token has 4 parts"),
        (&bearer(&good[..good.len() - 1]), "the token's signature is not base64url"),
        (
            &bearer(&format!("{header}.{payload}A.{signature}")),
            "the token's payload is not base64url",
        ),
        (&bearer(&format!("A.{payload}.{signature}")), "the token's header is not base64url"),
        (
            &bearer(&format!("AAAA.{payload}.{signature}")),
            "the token's header is not one strict JSON",
        ),
        (&format!("Bearer {good} {good}"), "what follows Bearer is not one token"),
        (&format!("Bearer \"{good}\""), "what follows Bearer is not one token"),
        (&format!("Bearer {good},"), "what follows Bearer is not one token"),
    ] {
        let (answer, line) = ask(&gateway, "/whoami", &[("Authorization", value)]);
        let expected = (401, "token_malformed".to_owned(), Some(INVALID_TOKEN));
        assert_eq!(told(&answer), expected, "{value}");
        let logged = line["reason"].as_str().unwrap_or_default();
        assert!(logged.starts_with(reason), "{logged} of {value}");
        assert_eq!(line["carrier"], "bearer", "{value}");
        assert!(answer.json()["detail"].is_string(), "{answer:?}");
    }
    assert!(upstream.received().is_empty());
    assert_eq!(gateway.get_as("/whoami", &good).status, 200);
}

#[test]
fn token_that_is_too_long_says_so_with_both_numbers() {
    let upstream = Upstream::start();
    let (fits, exceeds) = (token(json!({"pad": "aaa"})), token(json!({"pad": "aaaaaa"})));
    let allowed = fits.len();
    let limits = format!("limits: {{ token_bytes: {allowed}B }}\n{}", standard(&upstream));
    let gateway = Gateway::start(&limits);
    assert_eq!(gateway.get_as("/whoami", &fits).status, 200);
    let (answer, line) = ask(&gateway, "/whoami", &[("Authorization", &bearer(&exceeds))]);
    assert_eq!(told(&answer), (401, "token_malformed".to_owned(), Some(INVALID_TOKEN)));
    let reason = format!(
        "the token has {} bytes; the limit is {allowed} (limits.token_bytes)",
        exceeds.len()
    );
    assert_eq!(line["reason"], *reason);
    assert_eq!(answer.json()["detail"], *reason);
}

#[test]
fn two_credentials_and_a_field_that_cannot_be_read_stay_400() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let good = token(json!({}));
    let (whole, tabbed) = (bearer(&good), format!("Bearer\t{good}"));
    for (fields, reason) in [
        (
            vec![("Authorization", &*whole), ("Authorization", &*whole)],
            "more than one Authorization",
        ),
        (vec![("Authorization", "Basic YTpi"), ("Authorization", &*whole)], "more than one"),
        (vec![("Authorization", &*tabbed)], "the Authorization field cannot be read"),
        (vec![("Authorization", "\"Bearer\" x")], "the Authorization field cannot be read"),
    ] {
        let (answer, line) = ask(&gateway, "/whoami", &fields);
        let expected = (400, "credential_malformed".to_owned(), Some(INVALID_REQUEST));
        assert_eq!(told(&answer), expected, "{fields:?}");
        let logged = line["reason"].as_str().unwrap_or_default();
        assert!(logged.starts_with(reason), "{logged} of {fields:?}");
    }
    assert!(upstream.received().is_empty());
}

/// Routes that take a cookie after the bearer token; one passes the credential on.
const MIXED: &str = "
  - { name: mixed, match: { path: /mixed }, upstream: behind, authenticate: [bearer, session] }
  - name: kept
    match: { path: /kept }
    upstream: behind
    authenticate: [bearer, session]
    forward: { credential: keep }
";

#[test]
fn credential_of_another_scheme_counts_as_absent_and_goes_no_further() {
    let upstream = Upstream::start();
    let text = people::configuration(&upstream, "") + MIXED;
    let gateway = Gateway::start_in(people::directory(), &text);
    let alice = Browser::log_in(&gateway, "alice");
    let good = token(json!({}));
    for other in ["Basic YWxpY2U6c2VjcmV0", "DPoP a.b.c", "Negotiate", "", &good] {
        let (answer, line) = ask(&gateway, "/mixed", &[("Authorization", other)]);
        let expected = (401, "credential_absent".to_owned(), Some(REALM));
        assert_eq!(told(&answer), expected, "{other}");
        assert_eq!(line["carrier"], "none", "{other}");
        let logged = line["reason"].as_str().unwrap_or_default();
        assert!(logged.starts_with("the Authorization field has no Bearer"), "{logged}");
        // The next carrier is tried, and what was not used is not passed on.
        for path in ["/mixed", "/kept"] {
            let fields = [("Authorization", other), ("Cookie", &*alice.cookie)];
            let (answer, line) = ask(&gateway, path, &fields);
            assert_eq!((answer.status, &line["carrier"]), (200, &json!("session")), "{other}");
            let values = upstream.last().values("authorization").len();
            assert_eq!(values, 0, "{other} reached the upstream of {path}");
        }
    }
    // What is meant for a bearer token is not made up for by a cookie.
    let fields = [("Authorization", "Bearer null"), ("Cookie", &*alice.cookie)];
    assert_eq!(ask(&gateway, "/mixed", &fields).0.slug(), "token_malformed");
    let fields = [("Authorization", &*bearer(&good)), ("Cookie", &*alice.cookie)];
    assert_eq!(ask(&gateway, "/kept", &fields).1["carrier"], "bearer");
    assert_eq!(upstream.last().values("authorization"), [bearer(&good)]);
}
