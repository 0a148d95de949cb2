//! `client_credentials`: tokens about the client itself (RFC 6749 §4.4).

use serde_json::json;

use crate::harness::client::Answer;
use crate::harness::fleet;
use crate::harness::oauth::{ISSUER, SECRET, TokenService, assert_error};
use crate::harness::tokens::{now, payload};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

#[track_caller]
fn access_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().expect("a token").to_owned()
}

#[test]
fn machine_gets_a_token_about_itself_and_nothing_to_come_back_with() {
    let service = TokenService::open();
    let answer = service.token_as("batch", &[GRANT]);
    let token = access_of(&answer);
    let told = answer.json();
    assert_eq!(told["expires_in"], 120);
    assert_eq!(told["scope"], "orders:read orders:list");
    assert_eq!(told["token_type"], "Bearer");
    assert!(told["refresh_token"].is_null() && answer.field("set-cookie").is_none());
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("pragma"), Some("no-cache"));
    let claims = payload(&token);
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["sub"], "batch");
    assert_eq!(claims["client_id"], "batch");
    assert_eq!(claims["aud"], json!(["orders-api", "billing"]));
    assert_eq!(claims["scope"], "orders:read orders:list");
    let (issued, expires) = (claims["iat"].as_i64().expect("iat"), claims["exp"].as_i64());
    assert!((now() - 5..=now()).contains(&issued));
    assert_eq!(expires, Some(issued + 120));
    assert!(claims["jti"].as_str().is_some_and(|id| id.len() >= 22), "128 bits and more");
    for absent in ["sid", "auth_time", "roles"] {
        assert!(claims[absent].is_null(), "{absent}");
    }
    assert_eq!(service.said(&token).0, 200);
    let issued = "portcullis_tokens_issued_total{grant=\"client_credentials\",kind=\"access\"}";
    assert_eq!(service.gateway.metric(issued), 1.0);
    assert_ne!(payload(&access_of(&service.token_as("batch", &[GRANT])))["jti"], claims["jti"]);
}

#[test]
fn scopes_are_some_of_the_clients_own() {
    let service = TokenService::open();
    let ask = |scope: &str| service.token_as("batch", &[GRANT, ("scope", scope)]);
    let told = ask("orders:list").json();
    assert_eq!(told["scope"], "orders:list");
    let token = told["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(payload(&token)["scope"], "orders:list");
    assert_error(&ask("orders:write"), 400, "invalid_scope");
    assert_error(&ask("orders:list orders:write"), 400, "invalid_scope");
    assert_error(&ask("Orders:list"), 400, "invalid_scope");
    // Without a value it is as good as not there.
    assert_eq!(ask("").json()["scope"], "orders:read orders:list");
    // A client without scopes gets a token without any.
    let told = service.token_as("other", &[GRANT]).json();
    assert!(told["scope"].is_null() && told["access_token"].is_string(), "{told}");
}

#[test]
fn audiences_are_some_of_the_clients_own() {
    let service = TokenService::open();
    let audience = |pairs: &[(&str, &str)]| {
        let answer = service.token_as("batch", &[&[GRANT], pairs].concat());
        payload(&access_of(&answer))["aud"].clone()
    };
    assert_eq!(audience(&[("resource", "orders-api")]), "orders-api");
    assert_eq!(audience(&[("audience", "billing")]), "billing");
    let both = [("resource", "billing"), ("resource", "orders-api")];
    assert_eq!(audience(&both), json!(["billing", "orders-api"]));
    for pairs in [&[("resource", "payroll")][..], &[("resource", "billing"), ("audience", "x")]] {
        let answer = service.token_as("batch", &[&[GRANT], pairs].concat());
        assert_error(&answer, 400, "invalid_target");
    }
    // For use elsewhere: here it is refused.
    let billing = access_of(&service.token_as("batch", &[GRANT, ("audience", "billing")]));
    let said = service.said(&billing);
    assert!([(200, String::new()), (401, "token_audience".to_owned())].contains(&said), "{said:?}");
}

#[test]
fn public_client_gets_no_tokens_of_its_own() {
    let service = TokenService::open();
    for client in ["mobile", "first-party"] {
        let answer = service.token(&[GRANT, ("client_id", client)]);
        assert_error(&answer, 400, "unauthorized_client");
    }
    // Who does not say who they are is not the application without a name.
    assert_error(&service.token(&[GRANT]), 401, "invalid_client");
}

/// A cut-off hits what was issued until then, and nothing later.
#[test]
fn machine_that_was_cut_off_gets_its_next_token() {
    let service = TokenService::open();
    let before = access_of(&service.token_as("batch", &[GRANT]));
    let draft = json!({ "scope": "client", "client": "batch", "reason": "a test" });
    assert_eq!(fleet::post(&service.gateway, &draft).status, 201);
    assert_eq!(service.said(&before), (401, "token_revoked".to_owned()));
    let after = access_of(&service.token_as("batch", &[GRANT]));
    assert_eq!(service.said(&after), (200, String::new()));
    // Cut off ahead of the time, it gets none until then.
    let ahead = json!({ "scope": "client", "client": "batch", "before": now() + 3600 });
    assert_eq!(fleet::post(&service.gateway, &ahead).status, 201);
    assert_error(&service.token_as("batch", &[GRANT]), 401, "invalid_client");
    let other = service.token_as("other", &[GRANT]);
    assert_eq!(service.said(&access_of(&other)).0, 200, "{SECRET} is good for others");
}
