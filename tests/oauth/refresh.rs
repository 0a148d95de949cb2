//! Refresh tokens: each is good once, and the next one comes with the answer.

use serde_json::json;

use crate::harness::login::Login;
use crate::harness::oauth::{Desk, Pair, SECRET, STRICT, assert_error, basic};
use crate::harness::tokens::payload;
use crate::harness::{client, eventually, fleet};

const GRANT: (&str, &str) = ("grant_type", "refresh_token");

fn count(desk: &Desk, result: &str) -> f64 {
    let series = "portcullis_refreshes_total{method=\"body\",result=\"RESULT\"}";
    desk.gateway.metric(&series.replace("RESULT", result))
}

/// Whether the store has this session, as operators see it.
fn is_listed(desk: &Desk, subject: &str, session: &str) -> bool {
    let told = fleet::admin(&desk.gateway, &format!("/v1/sessions?subject={subject}"));
    let told = told.expect("the store answers");
    told["sessions"].as_array().expect("a list").iter().any(|one| one["id"] == session)
}

#[test]
fn exchange_gives_the_next_pair_of_the_same_login() {
    let desk = Desk::open();
    let first = desk.tokens_of("alice");
    let next = Pair::of(&desk.refresh(&first.refresh));
    assert_ne!(first.refresh, next.refresh);
    let (before, after) = (payload(&first.access), payload(&next.access));
    for same in ["iss", "aud", "sub", "client_id", "sid", "auth_time", "scope", "roles", "email"] {
        assert!(before[same] == after[same] && !after[same].is_null(), "{same}: {after}");
    }
    assert_ne!(before["jti"], after["jti"]);
    for token in [&first.access, &next.access] {
        assert_eq!(desk.said(token), (200, String::new()));
    }
    let third = Pair::of(&desk.refresh(&next.refresh));
    assert_eq!(third.session(), first.session());
    assert_eq!(count(&desk, "ok"), 2.0);
    let issued = "portcullis_tokens_issued_total{grant=\"refresh_token\",kind=\"refresh\"}";
    assert_eq!(desk.gateway.metric(issued), 2.0);
}

#[test]
fn replay_within_the_grace_gives_the_same_successor() {
    let desk = Desk::open();
    let first = desk.tokens_of("alice");
    let next = Pair::of(&desk.refresh(&first.refresh));
    let again = Pair::of(&desk.refresh(&first.refresh));
    assert_eq!(next.refresh, again.refresh);
    assert_ne!(next.access, again.access, "an access token of its own");
    assert_eq!(desk.said(&again.access), (200, String::new()));
    assert_eq!((count(&desk, "ok"), count(&desk, "replayed")), (1.0, 1.0));
    Pair::of(&desk.refresh(&next.refresh));
}

#[test]
fn reuse_ends_all_that_came_of_the_login() {
    let desk = Desk::open_with(STRICT, "");
    let bystander = desk.tokens_of("bob");
    let first = desk.tokens_of("alice");
    let second = Pair::of(&desk.refresh(&first.refresh));
    let third = Pair::of(&desk.refresh(&second.refresh));
    assert!(is_listed(&desk, "u-17", &first.session()));
    let answer = desk.refresh(&first.refresh);
    assert_error(&answer, 400, "invalid_grant");
    for access in [&first.access, &second.access, &third.access] {
        assert_eq!(desk.said(access), (401, "token_revoked".to_owned()));
    }
    for refresh in [&third.refresh, &second.refresh, &first.refresh] {
        assert_error(&desk.refresh(refresh), 400, "invalid_grant");
    }
    assert!(!is_listed(&desk, "u-17", &first.session()));
    desk.gateway.logged(|line| line["slug"] == "refresh_reused" && line["status"] == 400);
    let audited = desk.gateway.logged(|line| line["audit"] == "refresh_reused");
    assert_eq!(audited["target"], format!("session {}", first.session()));
    assert_eq!((&audited["result"], &audited["actor"]), (&json!("ok"), &json!("gateway")));
    assert_eq!(audited["client"], "127.0.0.1");
    let ended = "portcullis_sessions_ended_total{cause=\"refresh_reused\"}";
    assert_eq!(desk.gateway.metric(ended), 1.0);
    // With the login its family is gone, and the list says why.
    assert_eq!((count(&desk, "reuse_detected"), count(&desk, "revoked")), (1.0, 3.0));
    // Nobody else is hit, and alice can come back.
    assert_eq!(desk.said(&bystander.access).0, 200);
    Pair::of(&desk.refresh(&bystander.refresh));
    assert_eq!(desk.said(&desk.tokens_of("alice").access).0, 200);
}

#[test]
fn replay_after_the_grace_is_reuse() {
    let desk = Desk::open_with("idle: 1h, absolute: 2h, rotation_grace: 1s", "");
    let first = desk.tokens_of("alice");
    let next = Pair::of(&desk.refresh(&first.refresh));
    let next = Pair::of(&desk.refresh(&next.refresh));
    eventually("the end of the grace", || {
        let again = desk.refresh(&first.refresh);
        // Until then it leads to the newest.
        assert!(again.status == 400 || Pair::of(&again).refresh == next.refresh);
        (again.status == 400).then_some(())
    });
    desk.gateway.logged(|line| line["slug"] == "refresh_reused");
    assert_eq!(desk.said(&next.access), (401, "token_revoked".to_owned()));
    assert_error(&desk.refresh(&next.refresh), 400, "invalid_grant");
}

#[test]
fn family_that_rested_or_lived_for_too_long_has_ended() {
    for refresh in
        ["idle: 2s, absolute: 2h, rotation_grace: 0s", "idle: 2s, absolute: 2s, rotation_grace: 0s"]
    {
        let desk = Desk::open_with(refresh, "");
        let waiting = desk.tokens_of("alice");
        // Once it is over for a cookie-less login of the same age, it is for this one.
        let id = waiting.session();
        eventually("its end", || (!is_listed(&desk, "u-17", &id)).then_some(()));
        assert_error(&desk.refresh(&waiting.refresh), 400, "invalid_grant");
        let (expired, revoked) = (count(&desk, "expired"), count(&desk, "revoked"));
        assert_eq!(expired + revoked, 1.0, "not for reuse");
    }
}

#[test]
fn access_token_does_not_outlive_its_login() {
    let desk = Desk::open_with("idle: 1m, absolute: 1m, rotation_grace: 0s", "");
    let answer = desk.log_in("alice", &[], json!({ "deliver": "tokens" }));
    let claims = payload(&Pair::of(&answer).access);
    let lives = claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat");
    assert_eq!((lives, &answer.json()["expires_in"]), (60, &json!(60)), "not five minutes");
}

#[test]
fn another_client_gets_nothing_and_ends_nothing() {
    let desk = Desk::open();
    let more = json!({ "deliver": "tokens", "client_id": "desktop" });
    let granted = Pair::of(&desk.log_in("alice", &[], more));
    assert_eq!(payload(&granted.access)["client_id"], "desktop");
    let pairs = [GRANT, ("refresh_token", &*granted.refresh)];
    // Who names none is the application without a name.
    assert_error(&desk.token(&pairs), 400, "invalid_grant");
    let named = [&pairs[..], &[("client_id", "mobile")]].concat();
    assert_error(&desk.token(&named), 400, "invalid_grant");
    assert_error(&desk.token_as("batch", &pairs), 400, "invalid_grant");
    assert_eq!(count(&desk, "wrong_client"), 3.0);
    let audited = desk.gateway.logged(|line| line["audit"] == "refresh_by_wrong_client");
    assert_eq!(audited["target"], format!("session {}", granted.session()));
    // One that does not show who it is is not looked at.
    let wrong = [("Authorization", &*basic("batch", "wrong"))];
    assert_error(&desk.post("/auth/token", &wrong, &pairs), 401, "invalid_client");
    assert_eq!(count(&desk, "client_refused"), 1.0);
    assert_eq!(desk.said(&granted.access).0, 200);
    let named = [&pairs[..], &[("client_id", "desktop")]].concat();
    Pair::of(&desk.token(&named));
}

#[test]
fn what_no_family_made_is_refused_without_effect() {
    let desk = Desk::open();
    let granted = desk.tokens_of("alice");
    let mut torn = granted.refresh.clone();
    let at = torn.len() / 2 + 8;
    let other = if torn.as_bytes()[at] == b'A' { "B" } else { "A" };
    torn.replace_range(at..=at, other);
    let long = "a".repeat(8000);
    for token in [&*torn, "rt_", "x", &granted.access, &granted.session(), SECRET, &long] {
        assert_error(&desk.refresh(token), 400, "invalid_grant");
    }
    assert_eq!((count(&desk, "unknown"), count(&desk, "malformed")), (1.0, 6.0));
    assert_eq!(desk.said(&granted.access).0, 200);
    Pair::of(&desk.refresh(&granted.refresh));
    desk.gateway.logged(|line| line["slug"] == "grant_invalid");
}

#[test]
fn less_can_be_asked_for_and_not_more() {
    let desk = Desk::open();
    let granted = desk.tokens_of("alice");
    let ask =
        |token: &str, more: (&str, &str)| desk.token(&[GRANT, ("refresh_token", token), more]);
    assert_error(&ask(&granted.refresh, ("scope", "orders:write")), 400, "invalid_scope");
    assert_error(&ask(&granted.refresh, ("resource", "billing")), 400, "invalid_target");
    let next = Pair::of(&ask(&granted.refresh, ("resource", "orders-api")));
    assert_eq!(payload(&next.access)["scope"], "orders:read");
    // Scopes that a login was not given cannot be had later, either.
    let more = json!({ "deliver": "tokens", "scope": "" });
    let scopeless = Pair::of(&desk.log_in("alice", &[], more));
    assert!(payload(&scopeless.access)["scope"].is_null());
    assert_error(&ask(&scopeless.refresh, ("scope", "orders:read")), 400, "invalid_scope");
}

#[test]
fn whoever_is_cut_off_gets_no_more_tokens() {
    let desk = Desk::open();
    let drafts: [fn(&Pair) -> serde_json::Value; 4] = [
        |pair| json!({ "scope": "session", "session": pair.session() }),
        |_| json!({ "scope": "subject", "subject": "u-17" }),
        |_| json!({ "scope": "subject", "subject": "u-17", "issuer": "gateway" }),
        |_| json!({ "scope": "client", "client": "first-party" }),
    ];
    for (number, draft) in drafts.into_iter().enumerate() {
        let granted = desk.tokens_of("alice");
        let answer = fleet::post(&desk.gateway, &draft(&granted));
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(desk.said(&granted.access), (401, "token_revoked".to_owned()), "{number}");
        assert_error(&desk.refresh(&granted.refresh), 400, "invalid_grant");
        // Of whom it was nobody knows any more, once the session and the family are gone.
        let refused = count(&desk, "revoked") + count(&desk, "unknown");
        assert_eq!(refused, (number + 1) as f64);
    }
}

/// Every way to end a session ends the tokens of its login.
#[test]
fn end_of_the_session_is_the_end_of_its_tokens() {
    let desk = Desk::open();
    let address = desk.gateway.address();
    let ends: [fn(&Desk, &Pair, &Login); 4] = [
        |desk, pair, login| {
            let path = format!("/auth/sessions/{}", pair.session());
            assert_eq!(login.send(desk.gateway.address(), "DELETE", &path).status, 204);
        },
        |desk, _, login| {
            let answer = login.send(desk.gateway.address(), "POST", "/auth/logout-everywhere");
            assert_eq!(answer.status, 204, "{answer:?}");
        },
        |desk, pair, _| {
            let path = format!("/v1/sessions/{}", pair.session());
            let fields = [("Host", "localhost")];
            let request = client::request("DELETE", &path, &fields, "");
            assert_eq!(client::exchange(desk.gateway.admin(), request).status, 200);
        },
        |desk, _, _| {
            let request = client::request(
                "DELETE",
                "/v1/sessions?subject=u-17",
                &[("Host", "localhost")],
                "",
            );
            assert_eq!(client::exchange(desk.gateway.admin(), request).status, 200);
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let login = Login::new(address, "alice");
        let granted = desk.tokens_of("alice");
        let listed = login.ask(address, "/auth/sessions").json();
        let listed = listed["sessions"].as_array().expect("a list").iter();
        let ids: Vec<_> = listed.map(|one| one["id"].clone()).collect();
        assert!(ids.contains(&json!(granted.session())), "{number}: {ids:?}");
        end(&desk, &granted, &login);
        assert_eq!(desk.said(&granted.access), (401, "token_revoked".to_owned()), "{number}");
        assert_error(&desk.refresh(&granted.refresh), 400, "invalid_grant");
    }
}
