//! A refresh cookie that a sibling host planted: a browser must not go on with an attacker's login.

use serde_json::json;

use crate::harness::client::{self, Answer};
use crate::harness::oauth::{self, TokenService, assert_error, cookies};
use crate::harness::tokens::{bearer, payload};
use crate::harness::upstream::{Behaviour, Upstream};

/// What the page's own script says.
const BROWSER: (&str, &str) = ("Sec-Fetch-Site", "same-origin");

const GRANT: (&str, &str) = ("grant_type", "refresh_token");

/// The name that it once had, under which other hosts could set it.
const OLD: &str = "__Secure-refresh";

/// The only cookie that a login for tokens sets, whole.
fn set_by_login(service: &TokenService, name: &str) -> String {
    let answer = service.log_in(name, &[BROWSER], json!({ "deliver": "tokens" }));
    let set = cookies(&answer);
    assert_eq!(set.len(), 1, "{answer:?}");
    set[0].to_owned()
}

fn value(set: &str) -> &str {
    set.split(['=', ';']).nth(1).expect("a value")
}

fn exchange(service: &TokenService, cookie: &str) -> Answer {
    service.post("/auth/token", &[("Cookie", cookie), BROWSER], &[GRANT])
}

/// RFC 6265bis §4.1.3.2: browsers take it from nobody but this host, over HTTPS.
#[test]
fn browser_takes_the_cookie_from_this_host_alone() {
    let service = TokenService::open();
    let set = set_by_login(&service, "alice");
    assert!(set.starts_with("__Host-refresh=rt_"), "{set}");
    assert!(set.contains("; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age="), "{set}");
    assert!(!set.contains("Domain"), "{set}");
    let answer = exchange(&service, set.split(';').next().expect("a pair"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(cookies(&answer)[0].starts_with("__Host-refresh=rt_"), "{answer:?}");
}

#[test]
fn cookie_that_others_could_have_planted_is_not_exchanged() {
    let service = TokenService::open();
    let mallory = set_by_login(&service, "bob");
    for name in [OLD, "refresh", "__Host-Refresh", "__host-refresh"] {
        let answer = exchange(&service, &format!("{name}={}", value(&mallory)));
        assert_error(&answer, 400, "invalid_request");
    }
    // Beside the browser's own it does no harm.
    let alice = set_by_login(&service, "alice");
    let both = format!("{OLD}={}; __Host-refresh={}", value(&mallory), value(&alice));
    let answer = exchange(&service, &both);
    assert_eq!(answer.status, 200, "{answer:?}");
    let access = answer.json()["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(payload(&access)["sub"], "u-17");
    // Nothing was used up.
    assert_eq!(exchange(&service, &format!("__Host-refresh={}", value(&mallory))).status, 200);
}

/// Who still has one of before logs in again, and takes nothing along.
#[test]
fn cookie_of_the_old_name_is_taken_back_and_ends_with_a_logout() {
    let service = TokenService::open();
    let answer = service.log_in("alice", &[BROWSER], json!({ "deliver": "tokens" }));
    let access = answer.json()["access_token"].as_str().expect("a token").to_owned();
    let old = format!("{OLD}={}", value(cookies(&answer)[0]));
    let answer = exchange(&service, &old);
    assert_error(&answer, 400, "invalid_request");
    let back = format!("{OLD}=; Path=/auth/token; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    assert_eq!(cookies(&answer), [&*back]);
    let fields = [("Cookie", &*old), BROWSER];
    let answer = service.gateway.exchange(client::request("DELETE", "/auth/token", &fields, ""));
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(cookies(&answer).contains(&&*back), "{answer:?}");
    assert_eq!(service.said(&access), (401, "token_revoked".to_owned()));
}

/// It goes with every request to this host, and must go no further.
#[test]
fn upstreams_neither_see_nor_set_the_cookie() {
    let planting = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\
                    Set-Cookie: __Host-refresh=rt_x; Path=/; Secure\r\nSet-Cookie: a=1\r\n\
                    Set-Cookie: __Secure-refresh=rt_x; Path=/auth/token; Secure\r\n\
                    Set-Cookie: __Host-refresh=; Path=/; Secure; Max-Age=0\r\n\
                    Set-Cookie: __Host-refreshed=2\r\n\r\n";
    let upstream = Upstream::start_with(Behaviour::Bytes(planting.to_owned()));
    let kept = "  - name: kept
    match: { path: '/kept/{*rest}' }
    upstream: behind
    authenticate: [bearer]
    forward: { credential: keep }
  - name: open
    match: { path: '/open/{*rest}' }
    upstream: behind
    public: true
    forward: { credential: keep }
";
    let text = oauth::configuration(&upstream, oauth::LONG, "") + kept;
    let service = TokenService::of(upstream, &text);
    let bearer = bearer(&service.tokens_of("alice").access);
    for path in ["/public/x", "/whoami", "/kept/x", "/open/x"] {
        let ask = |cookie: &str| {
            let fields = [("Authorization", &*bearer), ("Cookie", cookie)];
            let answer = service.gateway.exchange(client::get(path, &fields));
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(cookies(&answer), ["a=1", "__Host-refreshed=2"], "{path}");
            let received = service.upstream().last();
            received.values("cookie").iter().map(|value| (*value).to_owned()).collect::<Vec<_>>()
        };
        let seen = ask("a=1; __Host-refresh=rt_secret; b=2;__Host-refresh = rt_secret");
        assert_eq!(seen, ["a=1; b=2"], "{path}");
        assert_eq!(ask("__Host-refresh=rt_secret"), [""; 0], "{path}");
        assert_eq!(ask("a=1; __Host-refreshed=2"), ["a=1; __Host-refreshed=2"], "{path}");
    }
}
