//! Metrics of sessions and logins: each moves as it should, and only then.

use std::collections::BTreeSet;

use portcullis::gate::session::SessionSecret;
use portcullis::store::session_end::SessionEnd;
use serde_json::json;

use crate::harness::client::{Answer, get, request};
use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::people::{self, Browser, HOME, PASSWORD};
use crate::harness::redis::RedisServer;
use crate::harness::upstream::Upstream;
use crate::harness::{client, fleet};

const HITS: &str = "portcullis_session_cache_hits_total";
const MISSES: &str = "portcullis_session_cache_misses_total";
const ENTRIES: &str = "portcullis_session_cache_entries";
const CREATED: &str = "portcullis_sessions_created_total{method=\"password\"}";
const ENDED: &str = "portcullis_sessions_ended_total";

fn ended(cause: &str) -> String {
    format!("{ENDED}{{cause=\"{cause}\"}}")
}

fn logins(result: &str) -> String {
    format!("portcullis_logins_total{{method=\"password\",result=\"{result}\"}}")
}

fn start() -> Gateway {
    people::start(&Upstream::start(), "")
}

/// A cookie that leads nowhere.
fn unknown() -> String {
    let bits = std::array::from_fn(|_| fastrand::u8(..));
    format!("__Host-session={}", SessionSecret::from_random(bits).expose())
}

/// Hits and misses so far.
fn cache(gateway: &Gateway) -> (f64, f64) {
    (gateway.metric(HITS), gateway.metric(MISSES))
}

/// Logs in with these words, whatever comes of it.
fn attempt(gateway: &Gateway, name: &str, password: &str) -> Answer {
    let body = json!({ "username": name, "password": password }).to_string();
    let fields = [("Content-Type", "application/json")];
    gateway.exchange(request("POST", "/auth/login", &fields, &body))
}

/// Asks one of the gateway's own endpoints as somebody who is logged in.
fn own(gateway: &Gateway, browser: &Browser, method: &str, path: &str) -> Answer {
    let fields = [("Cookie", browser.cookie.as_str()), ("Sec-Fetch-Site", "same-origin")];
    gateway.exchange(request(method, path, &fields, ""))
}

// ---- the cache

#[test]
fn session_of_a_login_is_in_memory_from_the_beginning() {
    let gateway = start();
    assert_eq!(cache(&gateway), (0.0, 0.0));
    let alice = Browser::log_in(&gateway, "alice");
    for _ in 0..3 {
        assert!(alice.is_in(&gateway));
    }
    assert_eq!(cache(&gateway), (3.0, 0.0));
}

#[test]
fn session_that_has_to_be_read_is_one_miss_and_then_a_hit() {
    let upstream = Upstream::start();
    let mut gateway = people::start(&upstream, "");
    let alice = Browser::log_in(&gateway, "alice");
    gateway.signal("TERM");
    gateway.wait();
    let directory = gateway.shared_directory();
    let again = Gateway::start_in(directory, &people::configuration(&upstream, ""));
    assert_eq!(cache(&again), (0.0, 0.0));
    assert!(alice.is_in(&again));
    assert_eq!(cache(&again), (0.0, 1.0));
    assert!(alice.is_in(&again));
    assert_eq!(cache(&again), (1.0, 1.0));
}

#[test]
fn session_that_there_is_not_is_a_miss_each_time() {
    let gateway = start();
    let cookie = unknown();
    for _ in 0..2 {
        let answer = gateway.exchange(get(HOME, &[("Cookie", &cookie)]));
        assert_eq!(answer.slug(), "session_unknown");
    }
    assert_eq!(cache(&gateway), (0.0, 2.0));
}

/// What never was looked for was not found either.
#[test]
fn request_without_a_session_to_look_for_is_neither_hit_nor_miss() {
    let gateway = start();
    let alice = Browser::log_in(&gateway, "alice");
    let cookie = alice.cookie.as_str();
    for (fields, path) in [
        (vec![], HOME),
        (vec![("Cookie", "a=b")], HOME),
        (vec![("Cookie", "__Host-session=x")], HOME),
        (vec![("Cookie", cookie), ("Cookie", cookie)], HOME),
        (vec![("Cookie", cookie)], "/public/a"),
        (vec![("Cookie", cookie)], "/orders/7"),
        (vec![("Cookie", cookie)], "/nowhere"),
    ] {
        gateway.exchange(get(path, &fields));
    }
    assert_eq!(cache(&gateway), (0.0, 0.0));
}

/// The number is kept up to date in the background.
#[test]
fn sessions_in_memory_are_counted() {
    let gateway = start();
    assert_eq!(gateway.metric(ENTRIES), 0.0);
    for (number, name) in ["alice", "bob", "alice"].iter().enumerate() {
        Browser::log_in(&gateway, name);
        let count = (number + 1) as f64;
        eventually("the entries", || (gateway.metric(ENTRIES) == count).then_some(()));
    }
    // One that there is not takes no room.
    gateway.exchange(get(HOME, &[("Cookie", &unknown())]));
    assert_eq!(gateway.metric(ENTRIES), 3.0);
}

#[test]
fn decisions_by_session_are_timed_apart() {
    let gateway = start();
    let alice = Browser::log_in(&gateway, "alice");
    assert!(alice.is_in(&gateway));
    gateway.exchange(get(HOME, &[("Cookie", &unknown())]));
    // A decision is counted when its request is over, which is after the answer.
    let exposition = eventually("both to be counted", || {
        let exposition = gateway.exposition();
        let timed = |cache| {
            let labels = [("carrier", "session"), ("cache", cache)];
            exposition.sum("portcullis_decision_seconds_count", &labels)
        };
        (timed("hit") + timed("miss") >= 2.0).then_some(exposition)
    });
    for (cache, count) in [("hit", 1.0), ("miss", 1.0)] {
        let labels = [("carrier", "session"), ("cache", cache)];
        let timed = exposition.sum("portcullis_decision_seconds_count", &labels);
        assert_eq!(timed, count, "{cache}");
    }
    let labels = [("route", "home"), ("carrier", "session"), ("outcome", "permitted")];
    assert_eq!(exposition.sum("portcullis_decisions_total", &labels), 1.0);
}

/// They are no route's, and are counted by one name whatever is asked for.
#[test]
fn own_endpoints_are_counted_under_one_name() {
    let gateway = start();
    let alice = Browser::log_in(&gateway, "alice");
    own(&gateway, &alice, "GET", "/auth/session");
    own(&gateway, &alice, "GET", "/auth/no/such/thing");
    gateway.exchange(get("/auth/login", &[]));
    let route = ("route", "gateway:own");
    let answered = |exposition: &crate::harness::exposition::Exposition, class: &str| {
        exposition.sum("portcullis_requests_total", &[route, ("status_class", class)])
    };
    eventually("four answers", || {
        let exposition = gateway.exposition();
        (answered(&exposition, "2xx") == 3.0 && answered(&exposition, "4xx") == 1.0).then_some(())
    });
    let exposition = gateway.exposition();
    assert_eq!(exposition.sum("portcullis_decisions_total", &[route]), 4.0);
    let routes = exposition.values("portcullis_decisions_total", "route");
    let expected = ["", "public", "orders", "whoami", "home", "gateway:own"];
    assert_eq!(routes, BTreeSet::from(expected));
}

// ---- logins

#[test]
fn sessions_are_counted_by_the_way_to_log_in_when_they_begin() {
    let gateway = start();
    assert_eq!(gateway.metric(CREATED), 0.0);
    for (number, name) in ["alice", "bob", "alice"].iter().enumerate() {
        Browser::log_in(&gateway, name);
        assert_eq!(gateway.metric(CREATED), (number + 1) as f64);
    }
    assert_eq!(attempt(&gateway, "alice", "wrong").status, 401);
    assert_eq!(gateway.metric(CREATED), 3.0);
    let methods = gateway.exposition();
    let methods = methods.values("portcullis_sessions_created_total", "method");
    assert_eq!(methods, BTreeSet::from(["password"]));
}

#[test]
fn logins_are_counted_by_what_came_of_them() {
    let gateway = start();
    let all = || {
        ["ok", "refused", "limited", "malformed", "unavailable"]
            .map(|result| gateway.metric(&logins(result)))
    };
    assert_eq!(attempt(&gateway, "alice", PASSWORD).status, 200);
    assert_eq!(all(), [1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(attempt(&gateway, "alice", "wrong").slug(), "login_failed");
    assert_eq!(attempt(&gateway, "mallory", PASSWORD).slug(), "login_failed");
    assert_eq!(all(), [1.0, 2.0, 0.0, 0.0, 0.0]);
    let json = [("Content-Type", "application/json")];
    for body in ["{", "[]", "{\"username\": \"alice\"}"] {
        let answer = gateway.exchange(request("POST", "/auth/login", &json, body));
        assert_eq!(answer.slug(), "request_body");
    }
    assert_eq!(all(), [1.0, 2.0, 0.0, 3.0, 0.0]);
    // Looking at the page is no attempt.
    assert_eq!(gateway.exchange(get("/auth/login", &[])).status, 200);
    assert_eq!(all(), [1.0, 2.0, 0.0, 3.0, 0.0]);
}

#[test]
fn login_that_comes_too_soon_is_counted_apart() {
    let upstream = Upstream::start();
    let usual = "per_account: 10000/1s";
    let text = people::configuration(&upstream, "");
    assert!(text.contains(usual), "{text}");
    let text = text.replace(usual, "per_account: 1/1d");
    let gateway = Gateway::start_in(people::directory(), &text);
    assert_eq!(attempt(&gateway, "alice", "wrong").slug(), "login_failed");
    for _ in 0..2 {
        assert_eq!(attempt(&gateway, "alice", PASSWORD).slug(), "rate_limited");
    }
    let counted = ["ok", "refused", "limited"].map(|result| gateway.metric(&logins(result)));
    assert_eq!(counted, [0.0, 1.0, 2.0]);
    assert_eq!(gateway.metric(CREATED), 0.0);
}

#[test]
fn login_that_nobody_can_decide_on_is_counted_apart() {
    let mut server = RedisServer::start();
    let gateway = people::start(&Upstream::start(), &fleet::redis(&server.settings()));
    assert_eq!(attempt(&gateway, "alice", PASSWORD).status, 200);
    server.kill();
    assert_eq!(attempt(&gateway, "alice", PASSWORD).slug(), "store_unavailable");
    let counted = ["ok", "refused", "unavailable"].map(|result| gateway.metric(&logins(result)));
    assert_eq!(counted, [1.0, 0.0, 1.0]);
    assert_eq!(gateway.metric(CREATED), 1.0);
}

// ---- ends

#[test]
fn every_cause_of_an_end_is_there_from_the_beginning() {
    let gateway = start();
    let exposition = gateway.exposition();
    let all: BTreeSet<_> = SessionEnd::ALL.iter().map(|cause| cause.as_str()).collect();
    assert_eq!(exposition.values(ENDED, "cause"), all);
    assert_eq!(exposition.sum(ENDED, &[]), 0.0);
}

/// Does something that ends sessions, which must count so much under this cause and nothing else.
#[track_caller]
fn counts(gateway: &Gateway, cause: &str, count: f64, end: impl FnOnce()) {
    let (before, all) = (gateway.metric(&ended(cause)), gateway.exposition().sum(ENDED, &[]));
    end();
    let what = format!("{cause} to be counted");
    eventually(&what, || (gateway.metric(&ended(cause)) == before + count).then_some(()));
    assert_eq!(gateway.exposition().sum(ENDED, &[]), all + count, "{cause}");
}

#[test]
fn logouts_are_counted_by_how_far_they_reach() {
    let gateway = start();
    let first = Browser::log_in(&gateway, "alice");
    let second = Browser::log_in(&gateway, "alice");
    let third = Browser::log_in(&gateway, "alice");
    counts(&gateway, "logout", 1.0, || {
        assert_eq!(own(&gateway, &first, "POST", "/auth/logout").status, 204);
    });
    // Who is logged out already has no session that could end.
    counts(&gateway, "logout", 0.0, || {
        own(&gateway, &first, "POST", "/auth/logout");
    });
    counts(&gateway, "device", 1.0, || {
        let path = format!("/auth/sessions/{}", second.id);
        assert_eq!(own(&gateway, &third, "DELETE", &path).status, 204);
    });
    // Once, however many there are.
    Browser::log_in(&gateway, "alice");
    counts(&gateway, "logout_everywhere", 1.0, || {
        assert_eq!(own(&gateway, &third, "POST", "/auth/logout-everywhere").status, 204);
    });
    assert!(!third.is_in(&gateway));
}

#[test]
fn session_in_whose_place_another_begins_is_counted_as_replaced() {
    let gateway = start();
    let alice = Browser::log_in(&gateway, "alice");
    counts(&gateway, "replaced", 1.0, || {
        let body = json!({ "username": "bob", "password": PASSWORD }).to_string();
        let fields = [
            ("Content-Type", "application/json"),
            ("Cookie", alice.cookie.as_str()),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        let answer = gateway.exchange(request("POST", "/auth/login", &fields, &body));
        assert_eq!(answer.status, 200, "{answer:?}");
    });
    assert!(!alice.is_in(&gateway));
}

#[test]
fn session_that_makes_room_for_another_is_counted_as_displaced() {
    let gateway = start();
    let first = Browser::log_in(&gateway, "alice");
    // A subject may have a hundred.
    counts(&gateway, "displaced", 0.0, || {
        for _ in 1..100 {
            Browser::log_in(&gateway, "alice");
        }
    });
    assert!(first.is_in(&gateway));
    counts(&gateway, "displaced", 1.0, || {
        Browser::log_in(&gateway, "alice");
    });
}

#[test]
fn sessions_that_an_operator_ends_are_counted_as_his() {
    let gateway = start();
    let alice = Browser::log_in(&gateway, "alice");
    counts(&gateway, "operator", 1.0, || {
        let path = format!("/v1/sessions/{}", alice.id);
        let bytes = request("DELETE", &path, &[("Host", "localhost")], "");
        assert_eq!(client::exchange(gateway.admin(), bytes).status, 200);
    });
    assert!(!alice.is_in(&gateway));
}

#[test]
fn user_who_changed_is_counted_once() {
    let gateway = start();
    let browsers = [Browser::log_in(&gateway, "alice"), Browser::log_in(&gateway, "alice")];
    let bob = Browser::log_in(&gateway, "bob");
    counts(&gateway, "user_changed", 1.0, || {
        let file = gateway.directory().join("users.yaml");
        let users = std::fs::read_to_string(&file).expect("the users");
        let mut users: serde_json::Value = serde_json::from_str(&users).expect("JSON");
        users["alice"]["roles"] = json!(["admin"]);
        std::fs::write(&file, users.to_string()).expect("it is written");
        gateway.signal("HUP");
    });
    for alice in browsers {
        eventually("the end of alice's sessions", || (!alice.is_in(&gateway)).then_some(()));
    }
    assert!(bob.is_in(&gateway));
}
