//! What a login delivers: a cookie, tokens, or both; and where a browser keeps them.

use serde_json::{Value, json};

use crate::harness::client::{self, Answer};
use crate::harness::login::{self, Login, PASSWORD};
use crate::harness::oauth::{self, TokenPair, TokenService, assert_error, cookies};
use crate::harness::tokens::{now, payload};
use crate::harness::upstream::{Behaviour, Upstream};

/// What the page's own script says.
const BROWSER: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

const GRANT: (&str, &str) = ("grant_type", "refresh_token");

fn count(service: &TokenService, method: &str, result: &str) -> f64 {
    let series = format!("portcullis_refreshes_total{{method=\"{method}\",result=\"{result}\"}}");
    service.gateway.metric(&series)
}

/// The refresh cookie that an answer sets, as a browser sends it back.
#[track_caller]
fn refresh_cookie(answer: &Answer) -> String {
    let all = cookies(answer);
    let mut set = all.iter().filter(|set| set.starts_with("__Host-refresh="));
    let one = set.next().unwrap_or_else(|| panic!("no refresh cookie: {answer:?}"));
    assert!(set.next().is_none(), "{answer:?}");
    one.split(';').next().expect("a pair").to_owned()
}

/// Exchanges the refresh token of a browser.
fn refresh(service: &TokenService, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    service.post("/auth/token", &[&[("Cookie", cookie)], fields].concat(), &[GRANT])
}

#[test]
fn login_for_tokens_answers_as_rfc6749_and_sets_no_cookie() {
    let service = TokenService::open();
    let before = now();
    let answer = service.log_in("alice", &[], json!({ "deliver": "tokens" }));
    let pair = TokenPair::of(&answer);
    assert!(cookies(&answer).is_empty(), "{answer:?}");
    let told = answer.json();
    let members: Vec<_> = told.as_object().expect("an object").keys().collect();
    let expected = ["access_token", "expires_in", "refresh_token", "scope", "token_type"];
    assert_eq!(members, expected);
    assert_eq!((&told["expires_in"], &told["scope"]), (&json!(300), &json!("orders:read")));
    let claims = payload(&pair.access);
    assert_eq!(claims["sub"], "u-17");
    assert_eq!(claims["client_id"], "first-party");
    assert_eq!(claims["aud"], "orders-api");
    assert_eq!(claims["roles"], json!(["clerk"]));
    assert_eq!(claims["email"], "somebody@example.test");
    assert!(claims["tenant"].is_null(), "not among access.claims");
    assert!((before..=now()).contains(&claims["auth_time"].as_i64().expect("a time")));
    assert_eq!(claims["auth_time"], claims["iat"]);
    assert_eq!(service.said(&pair.access), (200, String::new()));
    let kinds = ["access", "refresh"];
    for kind in kinds {
        let series = format!("portcullis_tokens_issued_total{{grant=\"login\",kind=\"{kind}\"}}");
        assert_eq!(service.gateway.metric(&series), 1.0);
    }
    // The same by a form.
    let pairs = [("username", "alice"), ("password", PASSWORD), ("deliver", "tokens")];
    let answer = service.post("/auth/login", &[], &pairs);
    TokenPair::of(&answer);
}

#[test]
fn login_for_both_gives_a_session_and_tokens_of_one_login() {
    let service = TokenService::open();
    let answer = service.log_in("alice", &[], json!({ "deliver": "both", "return_to": "/x" }));
    let pair = TokenPair::of(&answer);
    let login = Login::read(&answer);
    assert_eq!(login.id, pair.session());
    assert_eq!(answer.json()["return_to"], "/x");
    assert_eq!(answer.json()["subject"], "u-17");
    assert_eq!(login.ask(service.gateway.address(), "/pages").status, 200);
    assert_eq!(service.said(&pair.access).0, 200);
    let next = TokenPair::of(&service.refresh(&pair.refresh));
    // Logging out ends the tokens, too.
    login.log_out(service.gateway.address());
    for access in [&pair.access, &next.access] {
        assert_eq!(service.said(access), (401, "token_revoked".to_owned()));
    }
    assert_error(&service.refresh(&next.refresh), 400, "invalid_grant");
}

/// The cookie lives as long as one without tokens; the tokens live on.
#[test]
fn tokens_may_outlive_the_cookie_of_their_login() {
    let sessions = "sessions: { idle_timeout: 2s, absolute_timeout: 2s }\n";
    let service = TokenService::open_with(crate::harness::oauth::LONG, sessions);
    let answer = service.log_in("alice", &[], json!({ "deliver": "both" }));
    let (pair, login) = (TokenPair::of(&answer), Login::read(&answer));
    let address = service.gateway.address();
    crate::harness::eventually("the end of the cookie", || {
        let answer = login.ask(address, "/pages");
        (answer.status == 401 && answer.slug() == "session_expired").then_some(())
    });
    let next = TokenPair::of(&service.refresh(&pair.refresh));
    assert_eq!(service.said(&next.access).0, 200);
    // And the login is among those that one sees, and can end.
    let other = Login::new(address, "alice");
    let listed = other.ask(address, "/auth/sessions").json();
    let listed = listed["sessions"].as_array().expect("a list").clone();
    assert!(listed.iter().any(|one| one["id"] == pair.session()), "{listed:?}");
}

#[test]
fn login_for_tokens_leaves_the_session_of_the_browser_alone() {
    let service = TokenService::open();
    let address = service.gateway.address();
    let login = Login::new(address, "alice");
    let fields = [("Cookie", &*login.cookie)];
    service.log_in("alice", &fields, json!({ "deliver": "tokens" }));
    assert_eq!(login.ask(address, "/pages").status, 200);
    // One for both takes its place.
    let answer = service.log_in("alice", &fields, json!({ "deliver": "both" }));
    assert_eq!(answer.status, 200);
    assert_eq!(login.ask(address, "/pages").slug(), "session_revoked");
}

#[test]
fn login_says_for_which_client_and_scope_its_tokens_are() {
    let service = TokenService::open();
    let ask = |more: Value| service.log_in("alice", &[], more);
    let mobile = json!({ "deliver": "tokens", "client_id": "mobile", "scope": "orders:read" });
    let claims = payload(&TokenPair::of(&ask(mobile)).access);
    assert_eq!((&claims["client_id"], &claims["scope"]), (&json!("mobile"), &json!("orders:read")));
    // Confidential, or unknown: whoever asks is not that client.
    for client in ["batch", "reports", "nobody"] {
        let answer = ask(json!({ "deliver": "tokens", "client_id": client }));
        assert_eq!((answer.status, &*answer.slug()), (400, "request_body"), "{answer:?}");
        assert!(answer.json()["detail"].as_str().expect("words").contains("client_id"));
    }
    for more in [
        json!({ "deliver": "everything" }),
        json!({ "client_id": "mobile" }),
        json!({ "deliver": "session", "scope": "orders:read" }),
        json!({ "deliver": "tokens", "scope": "a".repeat(4097) }),
        json!({ "deliver": ["tokens"] }),
    ] {
        let answer = ask(more.clone());
        assert_eq!((answer.status, &*answer.slug()), (400, "request_body"), "{more}");
    }
    // More than she has, or the client may have.
    for more in [
        json!({ "deliver": "tokens", "scope": "orders:write" }),
        json!({ "deliver": "both", "scope": "orders:read orders:write" }),
    ] {
        let answer = ask(more);
        assert_eq!((answer.status, &*answer.slug()), (400, "token_request"), "{answer:?}");
        assert!(cookies(&answer).is_empty());
    }
    // dave has no scopes, and gets a token without any.
    let answer = service.log_in("dave", &[], json!({ "deliver": "tokens" }));
    let claims = payload(&TokenPair::of(&answer).access);
    assert!(claims["scope"].is_null() && claims["roles"].is_null(), "{claims}");
}

#[test]
fn browser_keeps_its_refresh_token_where_no_script_can_read_it() {
    let service = TokenService::open();
    for by in [BROWSER, ("Origin", "http://gateway.test")] {
        let answer = service.log_in("alice", &[by], json!({ "deliver": "tokens" }));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.json()["refresh_token"].is_null() && !answer.body.contains("rt_"));
        let set = cookies(&answer);
        assert_eq!(set.len(), 1, "{set:?}");
        let value = set[0].split(['=', ';']).nth(1).expect("a value");
        let rest = "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=3600";
        assert_eq!(set[0], format!("__Host-refresh={value}; {rest}"));
        assert!(value.starts_with("rt_"));
    }
    let answer = service.log_in("alice", &[BROWSER], json!({ "deliver": "both" }));
    let names: Vec<_> = cookies(&answer).iter().filter_map(|set| set.split('=').next()).collect();
    assert_eq!(names, ["__Host-refresh", login::COOKIE]);
}

#[test]
fn browser_exchanges_its_cookie() {
    let service = TokenService::open_with("idle: 1h, absolute: 2h, rotation_grace: 2s", "");
    let answer = service.log_in("alice", &[BROWSER], json!({ "deliver": "tokens" }));
    let first = refresh_cookie(&answer);
    let answer = refresh(&service, &first, &[BROWSER]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["refresh_token"].is_null() && !answer.body.contains("rt_"));
    let access = answer.json()["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(service.said(&access).0, 200);
    let next = refresh_cookie(&answer);
    assert_ne!(first, next);
    // Two tabs at once hold the same cookie afterwards.
    assert_eq!(refresh_cookie(&refresh(&service, &first, &[BROWSER])), next);
    let third = refresh_cookie(&refresh(&service, &next, &[BROWSER]));
    assert_eq!(
        (count(&service, "cookie", "ok"), count(&service, "cookie", "replayed")),
        (2.0, 1.0)
    );
    // Stolen: it is taken back.
    let answer = crate::harness::eventually("the end of the grace", || {
        let answer = refresh(&service, &first, &[BROWSER]);
        (answer.status != 200).then_some(answer)
    });
    assert_error(&answer, 400, "invalid_grant");
    assert_eq!(cookies(&answer).len(), 1);
    assert!(cookies(&answer)[0].starts_with("__Host-refresh=; Path=/;"));
    assert!(cookies(&answer)[0].ends_with("Max-Age=0"));
    assert_error(&refresh(&service, &third, &[BROWSER]), 400, "invalid_grant");
}

#[test]
fn other_sites_cannot_have_a_cookie_exchanged() {
    let service = TokenService::open();
    let answer = service.log_in("alice", &[BROWSER], json!({ "deliver": "tokens" }));
    let cookie = refresh_cookie(&answer);
    for foreign in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://evil.test"),
        ("Origin", "null"),
    ] {
        let answer = refresh(&service, &cookie, &[foreign]);
        assert_error(&answer, 403, "access_denied");
        assert!(cookies(&answer).is_empty(), "{answer:?}");
    }
    service.gateway.logged(|line| line["slug"] == "csrf");
    assert_eq!(count(&service, "cookie", "forged"), 4.0);
    assert_eq!(refresh(&service, &cookie, &[BROWSER]).status, 200, "nothing was used up");
}

#[test]
fn refresh_token_comes_from_one_place() {
    let service = TokenService::open();
    let answer = service.log_in("alice", &[BROWSER], json!({ "deliver": "tokens" }));
    let cookie = refresh_cookie(&answer);
    let token = cookie.split_once('=').expect("a value").1;
    let pairs = [GRANT, ("refresh_token", token)];
    let answer = service.post("/auth/token", &[("Cookie", &cookie)], &pairs);
    assert_error(&answer, 400, "invalid_request");
    let twice = format!("{cookie}; {cookie}");
    assert_error(&refresh(&service, &twice, &[]), 400, "invalid_request");
    assert_error(&refresh(&service, "__Host-refresh=x", &[]), 400, "invalid_grant");
    assert_error(&refresh(&service, "refresh=x", &[]), 400, "invalid_request");
    assert_eq!(refresh(&service, &cookie, &[]).status, 200);
}

#[test]
fn logging_out_takes_the_refresh_cookie_back() {
    let service = TokenService::open();
    let answer = service.log_in("alice", &[BROWSER], json!({ "deliver": "both" }));
    let refresh_token = refresh_cookie(&answer);
    let sets = cookies(&answer);
    let session = sets.iter().find(|set| set.starts_with(login::COOKIE)).expect("a cookie");
    let session = session.split(';').next().expect("a pair");
    let fields = [("Cookie", session), BROWSER];
    let answer = service.gateway.exchange(client::request("POST", "/auth/logout", &fields, ""));
    assert_eq!(answer.status, 204, "{answer:?}");
    let names: Vec<_> = cookies(&answer).iter().map(|set| set.split(';').next()).collect();
    assert_eq!(names, [Some("__Host-session="), Some("__Host-refresh=")]);
    assert_error(&refresh(&service, &refresh_token, &[BROWSER]), 400, "invalid_grant");
}

/// `DELETE token`: the script that asks for it cannot read the cookie.
#[test]
fn browser_without_a_session_logs_out_by_its_refresh_cookie() {
    let service = TokenService::open();
    let leave = |cookie: &str, by: (&str, &str)| {
        let fields = [("Cookie", cookie), by];
        service.gateway.exchange(client::request("DELETE", "/auth/token", &fields, ""))
    };
    let answer = service.log_in("alice", &[BROWSER], json!({ "deliver": "tokens" }));
    let cookie = refresh_cookie(&answer);
    let access = answer.json()["access_token"].as_str().expect("a token").to_owned();
    let foreign = leave(&cookie, ("Sec-Fetch-Site", "cross-site"));
    assert_error(&foreign, 403, "access_denied");
    assert!(cookies(&foreign).is_empty(), "{foreign:?}");
    assert_eq!(service.said(&access).0, 200, "another site's page logs nobody out");
    // Twice: who is logged out already is told the same.
    for _ in 0..2 {
        let answer = leave(&cookie, BROWSER);
        assert_eq!(answer.status, 204, "{answer:?}");
        assert!(refresh_cookie(&answer).ends_with('='), "{answer:?}");
    }
    assert_eq!(service.said(&access), (401, "token_revoked".to_owned()));
    assert_error(&refresh(&service, &cookie, &[BROWSER]), 400, "invalid_grant");
    assert_eq!(leave("__Host-refresh=x", BROWSER).status, 204);
}

#[test]
fn cookie_goes_over_anything_where_that_is_permitted() {
    let sessions = "sessions: { cookie: { dangerous_insecure: true } }\n";
    let service = TokenService::open_with(crate::harness::oauth::LONG, sessions);
    let answer = service.log_in("alice", &[BROWSER], json!({ "deliver": "tokens" }));
    let set = cookies(&answer)[0].to_owned();
    assert!(set.starts_with("refresh=rt_") && !set.contains("Secure"), "{set}");
    let cookie = set.split(';').next().expect("a pair");
    assert_eq!(refresh(&service, cookie, &[BROWSER]).status, 200);
}

/// Nobody else may choose with whose tokens a browser goes on.
#[test]
fn upstream_cannot_set_the_refresh_cookie() {
    let planted = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=1\r\n\
                   Set-Cookie: __Host-refresh=rt_x; Path=/; Secure\r\n\
                   Set-Cookie: __Host-refreshed=2\r\n\r\n";
    let upstream = Upstream::start_with(Behaviour::Bytes(planted.to_owned()));
    let text = oauth::configuration(&upstream, oauth::LONG, "");
    let service = TokenService::of(upstream, &text);
    let answer = service.gateway.exchange(client::get("/public/x", &[]));
    assert_eq!(cookies(&answer), ["a=1", "__Host-refreshed=2"]);
}

/// A token that this gateway would refuse to read is not issued.
#[test]
fn token_that_would_be_too_long_is_not_issued() {
    let service = TokenService::open();
    let directory = service.gateway.directory();
    let mut users = login::everybody();
    users["bob"]["claims"]["email"] = json!("a".repeat(8 * 1024));
    login::write_users(directory, &users);
    let answer = crate::harness::eventually("the new user", || {
        let answer = service.log_in("bob", &[], json!({ "deliver": "tokens" }));
        (answer.status == 431).then_some(answer)
    });
    assert_eq!((answer.status, &*answer.slug()), (431, "identity_too_large"), "{answer:?}");
    assert_eq!(service.log_in("alice", &[], json!({ "deliver": "tokens" })).status, 200);
}
