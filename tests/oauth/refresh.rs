//! Refresh tokens: each is good once, and the next one comes with the answer.

use serde_json::json;

use crate::harness::login::Login;
use crate::harness::oauth::{SECRET, STRICT, TokenPair, TokenService, assert_error, basic};
use crate::harness::tokens::payload;
use crate::harness::{client, eventually, fleet};

const GRANT: (&str, &str) = ("grant_type", "refresh_token");

fn count(service: &TokenService, result: &str) -> f64 {
    let series = "portcullis_refreshes_total{method=\"body\",result=\"RESULT\"}";
    service.gateway.metric(&series.replace("RESULT", result))
}

/// Whether the store has this session, as operators see it.
fn is_listed(service: &TokenService, subject: &str, session: &str) -> bool {
    let told = fleet::admin(&service.gateway, &format!("/v1/sessions?subject={subject}"));
    let told = told.expect("the store answers");
    told["sessions"].as_array().expect("a list").iter().any(|one| one["id"] == session)
}

#[test]
fn exchange_gives_the_next_pair_of_the_same_login() {
    let service = TokenService::open();
    let first = service.tokens_of("alice");
    let next = TokenPair::of(&service.refresh(&first.refresh));
    assert_ne!(first.refresh, next.refresh);
    let (before, after) = (payload(&first.access), payload(&next.access));
    for same in ["iss", "aud", "sub", "client_id", "sid", "auth_time", "scope", "roles", "email"] {
        assert!(before[same] == after[same] && !after[same].is_null(), "{same}: {after}");
    }
    assert_ne!(before["jti"], after["jti"]);
    for token in [&first.access, &next.access] {
        assert_eq!(service.said(token), (200, String::new()));
    }
    let third = TokenPair::of(&service.refresh(&next.refresh));
    assert_eq!(third.session(), first.session());
    assert_eq!(count(&service, "ok"), 2.0);
    let issued = "portcullis_tokens_issued_total{grant=\"refresh_token\",kind=\"refresh\"}";
    assert_eq!(service.gateway.metric(issued), 2.0);
}

#[test]
fn replay_within_the_grace_gives_the_same_successor() {
    let service = TokenService::open();
    let first = service.tokens_of("alice");
    let next = TokenPair::of(&service.refresh(&first.refresh));
    let again = TokenPair::of(&service.refresh(&first.refresh));
    assert_eq!(next.refresh, again.refresh);
    assert_ne!(next.access, again.access, "an access token of its own");
    assert_eq!(service.said(&again.access), (200, String::new()));
    assert_eq!((count(&service, "ok"), count(&service, "replayed")), (1.0, 1.0));
    TokenPair::of(&service.refresh(&next.refresh));
}

#[test]
fn reuse_ends_all_that_came_of_the_login() {
    let service = TokenService::open_with(STRICT, "");
    let bystander = service.tokens_of("bob");
    let first = service.tokens_of("alice");
    let second = TokenPair::of(&service.refresh(&first.refresh));
    let third = TokenPair::of(&service.refresh(&second.refresh));
    assert!(is_listed(&service, "u-17", &first.session()));
    let answer = service.refresh(&first.refresh);
    assert_error(&answer, 400, "invalid_grant");
    for access in [&first.access, &second.access, &third.access] {
        assert_eq!(service.said(access), (401, "token_revoked".to_owned()));
    }
    for refresh in [&third.refresh, &second.refresh, &first.refresh] {
        assert_error(&service.refresh(refresh), 400, "invalid_grant");
    }
    assert!(!is_listed(&service, "u-17", &first.session()));
    service.gateway.logged(|line| line["slug"] == "refresh_reused" && line["status"] == 400);
    let audited = service.gateway.logged(|line| line["audit"] == "refresh_reused");
    assert_eq!(audited["target"], format!("session {}", first.session()));
    assert_eq!((&audited["result"], &audited["actor"]), (&json!("ok"), &json!("gateway")));
    assert_eq!(audited["client"], "127.0.0.1");
    let ended = "portcullis_sessions_ended_total{cause=\"refresh_reused\"}";
    assert_eq!(service.gateway.metric(ended), 1.0);
    // With the login its family is gone, and the list says why.
    assert_eq!((count(&service, "reuse_detected"), count(&service, "revoked")), (1.0, 3.0));
    // Nobody else is hit, and alice can come back.
    assert_eq!(service.said(&bystander.access).0, 200);
    TokenPair::of(&service.refresh(&bystander.refresh));
    assert_eq!(service.said(&service.tokens_of("alice").access).0, 200);
}

#[test]
fn replay_after_the_grace_is_reuse() {
    let service = TokenService::open_with("idle: 1h, absolute: 2h, rotation_grace: 1s", "");
    let first = service.tokens_of("alice");
    let next = TokenPair::of(&service.refresh(&first.refresh));
    let next = TokenPair::of(&service.refresh(&next.refresh));
    eventually("the end of the grace", || {
        let again = service.refresh(&first.refresh);
        // Until then it leads to the newest.
        assert!(again.status == 400 || TokenPair::of(&again).refresh == next.refresh);
        (again.status == 400).then_some(())
    });
    service.gateway.logged(|line| line["slug"] == "refresh_reused");
    assert_eq!(service.said(&next.access), (401, "token_revoked".to_owned()));
    assert_error(&service.refresh(&next.refresh), 400, "invalid_grant");
}

#[test]
fn family_that_rested_or_lived_for_too_long_has_ended() {
    for refresh in
        ["idle: 2s, absolute: 2h, rotation_grace: 0s", "idle: 2s, absolute: 2s, rotation_grace: 0s"]
    {
        let service = TokenService::open_with(refresh, "");
        let waiting = service.tokens_of("alice");
        // Once it is over for a cookie-less login of the same age, it is for this one.
        let id = waiting.session();
        eventually("its end", || (!is_listed(&service, "u-17", &id)).then_some(()));
        assert_error(&service.refresh(&waiting.refresh), 400, "invalid_grant");
        let (expired, revoked) = (count(&service, "expired"), count(&service, "revoked"));
        assert_eq!(expired + revoked, 1.0, "not for reuse");
    }
}

#[test]
fn access_token_does_not_outlive_its_login() {
    let service = TokenService::open_with("idle: 1m, absolute: 1m, rotation_grace: 0s", "");
    let answer = service.log_in("alice", &[], json!({ "deliver": "tokens" }));
    let claims = payload(&TokenPair::of(&answer).access);
    let lives = claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat");
    assert_eq!((lives, &answer.json()["expires_in"]), (60, &json!(60)), "not five minutes");
}

#[test]
fn another_client_gets_nothing_and_ends_nothing() {
    let service = TokenService::open();
    let more = json!({ "deliver": "tokens", "client_id": "desktop" });
    let granted = TokenPair::of(&service.log_in("alice", &[], more));
    assert_eq!(payload(&granted.access)["client_id"], "desktop");
    let pairs = [GRANT, ("refresh_token", &*granted.refresh)];
    // Who names none is the application without a name.
    assert_error(&service.token(&pairs), 400, "invalid_grant");
    let named = [&pairs[..], &[("client_id", "mobile")]].concat();
    assert_error(&service.token(&named), 400, "invalid_grant");
    assert_error(&service.token_as("batch", &pairs), 400, "invalid_grant");
    assert_eq!(count(&service, "wrong_client"), 3.0);
    let audited = service.gateway.logged(|line| line["audit"] == "refresh_by_wrong_client");
    assert_eq!(audited["target"], format!("session {}", granted.session()));
    // One that does not show who it is is not looked at.
    let wrong = [("Authorization", &*basic("batch", "wrong"))];
    assert_error(&service.post("/auth/token", &wrong, &pairs), 401, "invalid_client");
    assert_eq!(count(&service, "client_refused"), 1.0);
    assert_eq!(service.said(&granted.access).0, 200);
    let named = [&pairs[..], &[("client_id", "desktop")]].concat();
    TokenPair::of(&service.token(&named));
}

#[test]
fn what_no_family_made_is_refused_without_effect() {
    let service = TokenService::open();
    let granted = service.tokens_of("alice");
    let mut torn = granted.refresh.clone();
    let at = torn.len() / 2 + 8;
    let other = if torn.as_bytes()[at] == b'A' { "B" } else { "A" };
    torn.replace_range(at..=at, other);
    let long = "a".repeat(8000);
    for token in [&*torn, "rt_", "x", &granted.access, &granted.session(), SECRET, &long] {
        assert_error(&service.refresh(token), 400, "invalid_grant");
    }
    assert_eq!((count(&service, "unknown"), count(&service, "malformed")), (1.0, 6.0));
    assert_eq!(service.said(&granted.access).0, 200);
    TokenPair::of(&service.refresh(&granted.refresh));
    service.gateway.logged(|line| line["slug"] == "grant_invalid");
}

#[test]
fn less_can_be_asked_for_and_not_more() {
    let service = TokenService::open();
    let granted = service.tokens_of("alice");
    let ask =
        |token: &str, more: (&str, &str)| service.token(&[GRANT, ("refresh_token", token), more]);
    assert_error(&ask(&granted.refresh, ("scope", "orders:write")), 400, "invalid_scope");
    assert_error(&ask(&granted.refresh, ("resource", "billing")), 400, "invalid_target");
    let next = TokenPair::of(&ask(&granted.refresh, ("resource", "orders-api")));
    assert_eq!(payload(&next.access)["scope"], "orders:read");
    // Scopes that a login was not given cannot be had later, either.
    let more = json!({ "deliver": "tokens", "scope": "" });
    let scopeless = TokenPair::of(&service.log_in("alice", &[], more));
    assert!(payload(&scopeless.access)["scope"].is_null());
    assert_error(&ask(&scopeless.refresh, ("scope", "orders:read")), 400, "invalid_scope");
}

#[test]
fn whoever_is_cut_off_gets_no_more_tokens() {
    let service = TokenService::open();
    let drafts: [fn(&TokenPair) -> serde_json::Value; 4] = [
        |pair| json!({ "scope": "session", "session": pair.session() }),
        |_| json!({ "scope": "subject", "subject": "u-17" }),
        |_| json!({ "scope": "subject", "subject": "u-17", "issuer": "gateway" }),
        |_| json!({ "scope": "client", "client": "first-party" }),
    ];
    for (number, draft) in drafts.into_iter().enumerate() {
        let granted = service.tokens_of("alice");
        let answer = fleet::post(&service.gateway, &draft(&granted));
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(service.said(&granted.access), (401, "token_revoked".to_owned()), "{number}");
        assert_error(&service.refresh(&granted.refresh), 400, "invalid_grant");
        // Of whom it was nobody knows any more, once the session and the family are gone.
        let refused = count(&service, "revoked") + count(&service, "unknown");
        assert_eq!(refused, (number + 1) as f64);
    }
}

/// Every way to end a session ends the tokens of its login.
#[test]
fn end_of_the_session_is_the_end_of_its_tokens() {
    let service = TokenService::open();
    let address = service.gateway.address();
    let ends: [fn(&TokenService, &TokenPair, &Login); 4] = [
        |service, pair, login| {
            let path = format!("/auth/sessions/{}", pair.session());
            assert_eq!(login.send(service.gateway.address(), "DELETE", &path).status, 204);
        },
        |service, _, login| {
            let answer = login.send(service.gateway.address(), "POST", "/auth/logout-everywhere");
            assert_eq!(answer.status, 204, "{answer:?}");
        },
        |service, pair, _| {
            let path = format!("/v1/sessions/{}", pair.session());
            let fields = [("Host", "localhost")];
            let request = client::request("DELETE", &path, &fields, "");
            assert_eq!(client::exchange(service.gateway.admin(), request).status, 200);
        },
        |service, _, _| {
            let request = client::request(
                "DELETE",
                "/v1/sessions?subject=u-17",
                &[("Host", "localhost")],
                "",
            );
            assert_eq!(client::exchange(service.gateway.admin(), request).status, 200);
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let login = Login::new(address, "alice");
        let granted = service.tokens_of("alice");
        let listed = login.ask(address, "/auth/sessions").json();
        let listed = listed["sessions"].as_array().expect("a list").iter();
        let ids: Vec<_> = listed.map(|one| one["id"].clone()).collect();
        assert!(ids.contains(&json!(granted.session())), "{number}: {ids:?}");
        end(&service, &granted, &login);
        assert_eq!(service.said(&granted.access), (401, "token_revoked".to_owned()), "{number}");
        assert_error(&service.refresh(&granted.refresh), 400, "invalid_grant");
    }
}
