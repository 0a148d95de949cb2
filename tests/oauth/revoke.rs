//! Clients that are done with a token (RFC 7009).

use serde_json::json;

use crate::harness::client::Answer;
use crate::harness::fleet;
use crate::harness::oauth::{SECRET, TokenPair, TokenService, assert_error, basic};
use crate::harness::tokens::token;

#[track_caller]
fn assert_done(answer: &Answer) {
    assert_eq!((answer.status, &*answer.body), (200, "{}"), "{answer:?}");
    assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer:?}");
}

#[test]
fn refresh_token_is_revoked_with_all_that_came_of_its_login() {
    let service = TokenService::open();
    let first = service.tokens_of("alice");
    let next = TokenPair::of(&service.refresh(&first.refresh));
    // One that was exchanged is as good as the current one for this.
    for (pair, revoked) in [(&first, &next.refresh), (&service.tokens_of("bob"), &first.refresh)] {
        assert_done(&service.post("/auth/revoke", &[], &[("token", revoked)]));
        let _ = pair;
    }
    for access in [&first.access, &next.access] {
        assert_eq!(service.said(access), (401, "token_revoked".to_owned()));
    }
    assert_error(&service.refresh(&next.refresh), 400, "invalid_grant");
    let ended = "portcullis_sessions_ended_total{cause=\"client\"}";
    assert_eq!(service.gateway.metric(ended), 1.0, "once");
    let told = fleet::admin(&service.gateway, "/v1/revocations").expect("the store answers");
    let entry = &told["revocations"][0];
    assert_eq!(
        (&entry["actor"], &entry["session"]),
        (&json!("client first-party"), &json!(first.session()))
    );
    let told = fleet::admin(&service.gateway, "/v1/sessions?subject=u-17").expect("answers");
    assert_eq!(told["sessions"], json!([]));
}

#[test]
fn access_token_is_revoked_alone() {
    let service = TokenService::open();
    let first = service.tokens_of("alice");
    let hint = [("token", &*first.access), ("token_type_hint", "refresh_token")];
    assert_done(&service.post("/auth/revoke", &[], &hint));
    assert_eq!(service.said(&first.access), (401, "token_revoked".to_owned()));
    let next = TokenPair::of(&service.refresh(&first.refresh));
    assert_eq!(service.said(&next.access), (200, String::new()));
    // A machine its own.
    let grant = [("grant_type", "client_credentials")];
    let machine = service.token_as("batch", &grant).json()["access_token"].clone();
    let machine = machine.as_str().expect("a token");
    let authorization = basic("batch", SECRET);
    let fields = [("Authorization", &*authorization)];
    assert_done(&service.post("/auth/revoke", &fields, &[("token", machine)]));
    assert_eq!(service.said(machine), (401, "token_revoked".to_owned()));
    // Once more is the same.
    assert_done(&service.post("/auth/revoke", &fields, &[("token", machine)]));
}

#[test]
fn token_of_another_client_is_not_revoked() {
    let service = TokenService::open();
    let pair = service.tokens_of("alice");
    let authorization = basic("batch", SECRET);
    for token in [&pair.refresh, &pair.access] {
        let named = [("token", &**token), ("client_id", "mobile")];
        assert_error(&service.post("/auth/revoke", &[], &named), 400, "unauthorized_client");
        let fields = [("Authorization", &*authorization)];
        let answer = service.post("/auth/revoke", &fields, &[("token", token)]);
        assert_error(&answer, 400, "unauthorized_client");
        let wrong = basic("batch", "wrong");
        let fields = [("Authorization", &*wrong)];
        let answer = service.post("/auth/revoke", &fields, &[("token", token)]);
        assert_error(&answer, 401, "invalid_client");
    }
    assert_eq!(service.said(&pair.access).0, 200);
    TokenPair::of(&service.refresh(&pair.refresh));
}

#[test]
fn what_is_not_known_was_revoked_already() {
    let service = TokenService::open();
    let pair = service.tokens_of("alice");
    let mut torn = pair.refresh.clone();
    let at = torn.len() / 2 + 8;
    let other = if torn.as_bytes()[at] == b'A' { "B" } else { "A" };
    torn.replace_range(at..=at, other);
    let foreign = token(json!({ "sub": "foreign" }));
    let long = "a".repeat(10_000);
    for unknown in ["x", "rt_", "a.b.c", &torn, &foreign, &long] {
        assert_done(&service.post("/auth/revoke", &[], &[("token", unknown)]));
    }
    // Another issuer's token is not ours to revoke.
    assert_eq!(service.said(&foreign).0, 200);
    TokenPair::of(&service.refresh(&pair.refresh));
}
