//! Resource servers that ask what a token is good for (RFC 7662).

use serde_json::{Value, json};

use crate::harness::client::{self, Answer};
use crate::harness::oauth::{
    self, ISSUER, LONG, SECRET, STRICT, TokenPair, TokenService, assert_error, basic,
};
use crate::harness::tokens::{self, payload, token};
use crate::harness::{eventually, fleet};

fn ask(service: &TokenService, token: &str) -> Answer {
    let authorization = basic("watcher", SECRET);
    service.post("/auth/introspect", &[("Authorization", &authorization)], &[("token", token)])
}

#[track_caller]
fn told(service: &TokenService, token: &str) -> Value {
    let answer = ask(service, token);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    answer.json()
}

fn inactive() -> Value {
    json!({ "active": false })
}

#[test]
fn access_token_is_described_as_it_is() {
    let service = TokenService::open();
    let pair = service.tokens_of("alice");
    let claims = payload(&pair.access);
    let expected = json!({
        "active": true, "iss": ISSUER, "sub": "u-17", "aud": "orders-api", "scope": "orders:read",
        "client_id": "first-party", "token_type": "Bearer", "sid": pair.session(),
        "iat": claims["iat"], "exp": claims["exp"], "jti": claims["jti"],
    });
    assert_eq!(told(&service, &pair.access), expected);
    let grant = [("grant_type", "client_credentials")];
    let machine = service.token_as("batch", &grant).json()["access_token"].clone();
    let machine = told(&service, machine.as_str().expect("a token"));
    assert_eq!(machine["aud"], json!(["orders-api", "billing"]));
    assert_eq!((&machine["sub"], &machine["sid"]), (&json!("batch"), &Value::Null));
    // Of every issuer that is accepted here.
    let begins = tokens::now() - 60;
    let foreign = told(&service, &token(json!({ "nbf": begins })));
    assert_eq!((&foreign["active"], &foreign["iss"]), (&json!(true), &json!(tokens::ISSUER)));
    assert_eq!(foreign["nbf"], begins);
}

#[test]
fn refresh_token_is_active_while_it_is_the_current_one() {
    // Whoever comes again ends the login at once.
    let service = TokenService::open_with(STRICT, "");
    let first = service.tokens_of("alice");
    let described = told(&service, &first.refresh);
    for (name, value) in [
        ("active", json!(true)),
        ("iss", json!(ISSUER)),
        ("sub", json!("u-17")),
        ("client_id", json!("first-party")),
        ("scope", json!("orders:read")),
        ("sid", json!(first.session())),
        ("token_type", json!("refresh_token")),
    ] {
        assert_eq!(described[name], value, "{name}");
    }
    let lives = described["exp"].as_i64().expect("exp") - described["iat"].as_i64().expect("iat");
    assert_eq!(lives, 3600, "unless it is used");
    let next = TokenPair::of(&service.refresh(&first.refresh));
    assert_eq!(told(&service, &first.refresh), inactive());
    assert_eq!(told(&service, &next.refresh)["active"], true);
    // That it was asked about has not used it up, nor ended anything.
    let third = TokenPair::of(&service.refresh(&next.refresh));
    service.refresh(&first.refresh);
    assert_eq!(told(&service, &third.refresh), inactive());
    assert_eq!(told(&service, &third.access), inactive());
}

#[test]
fn api_key_is_described_and_a_session_is_nobodys_business() {
    let service =
        TokenService::open_with(LONG, "api_keys: { header: X-Api-Key, max_lifetime: 90d }\n");
    let body = json!({ "subject": "importer", "scopes": ["orders:read"] }).to_string();
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    let request = client::request("POST", "/v1/api-keys", &fields, &body);
    let made = client::exchange(service.gateway.admin(), request);
    assert_eq!(made.status, 201, "{made:?}");
    let key = made.json()["key"].as_str().expect("a key").to_owned();
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let described = told(&service, &key);
    assert_eq!((&described["active"], &described["sub"]), (&json!(true), &json!("importer")));
    assert_eq!(described["scope"], "orders:read");
    assert_eq!(described["token_type"], "api_key");
    assert!(described["sid"].is_null(), "{described}");
    let answer = service.log_in("alice", &[], json!({}));
    let cookie = answer.field("set-cookie").expect("a cookie");
    let secret = cookie.split(['=', ';']).nth(1).expect("a value");
    assert_eq!(told(&service, secret), inactive());
    let path = format!("/v1/api-keys/{id}");
    let request = client::request("DELETE", &path, &[("Host", "localhost")], "");
    assert_eq!(client::exchange(service.gateway.admin(), request).status, 200);
    assert_eq!(told(&service, &key), inactive());
}

#[test]
fn of_what_is_not_good_nothing_is_told() {
    let service = TokenService::open();
    let pair = service.tokens_of("alice");
    for other in [
        "x",
        "rt_",
        "a.b.c",
        &token(json!({ "exp": tokens::now() - 60, "iat": tokens::now() - 120 })),
        &token(json!({ "aud": "other" })),
        &token(json!({ "iss": "https://other.test" })),
        &"a".repeat(10_000),
    ] {
        assert_eq!(told(&service, other), inactive(), "{other}");
    }
    let draft = json!({ "scope": "session", "session": pair.session() });
    assert_eq!(fleet::post(&service.gateway, &draft).status, 201);
    assert_eq!(told(&service, &pair.access), inactive());
    assert_eq!(told(&service, &pair.refresh), inactive());
}

#[test]
fn only_clients_that_may_are_told() {
    let service = TokenService::open();
    let pair = service.tokens_of("alice");
    let pairs = [("token", &*pair.access)];
    assert_error(&service.post("/auth/introspect", &[], &pairs), 401, "invalid_client");
    let named = [pairs[0], ("client_id", "mobile")];
    assert_error(&service.post("/auth/introspect", &[], &named), 400, "unauthorized_client");
    let authorization = basic("batch", SECRET);
    let fields = [("Authorization", &*authorization)];
    let answer = service.post("/auth/introspect", &fields, &pairs);
    assert_error(&answer, 400, "unauthorized_client");
    let authorization = basic("watcher", "wrong");
    let fields = [("Authorization", &*authorization)];
    assert_error(&service.post("/auth/introspect", &fields, &pairs), 401, "invalid_client");
}

/// What nobody can look up now may be good.
#[test]
fn key_that_cannot_be_had_is_an_outage_and_not_a_bad_token() {
    let upstream = crate::harness::upstream::Upstream::start();
    let text = oauth::configuration(&upstream, LONG, "");
    let unreachable = "issuers:
  - name: unreachable
    issuer: https://unreachable.test
    audiences: [orders-api]
    algorithms: [ES256]
    keys: { jwks_url: 'http://127.0.0.1:1/jwks.json' }
";
    let text = text.replacen("issuers:\n", unreachable, 1);
    let service = TokenService::of(upstream, &text);
    let foreign = token(json!({ "iss": "https://unreachable.test" }));
    assert_error(&ask(&service, &foreign), 503, "temporarily_unavailable");
    eventually("the log", || {
        service.gateway.log().iter().find(|line| line["slug"] == "keys_unavailable").cloned()
    });
}
