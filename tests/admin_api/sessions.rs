//! `/v1/sessions`: where somebody is logged in, and the end of that.

mod end;
mod gateways;

use super::*;
use crate::harness::client::{get, request};
use crate::harness::fleet::redis;
use crate::harness::people::{self, Browser, USER_AGENT, ZOE};
use crate::harness::redis::RedisServer;
use crate::harness::{eventually, gateway};

const TOKEN: &str = "an-admin-token-of-some-length";

/// An id that no session has.
const NOBODYS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn start() -> (Upstream, Gateway) {
    start_with("")
}

fn start_with(lines: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = people::start(&upstream, lines);
    (upstream, gateway)
}

fn ask(gateway: &Gateway, method: &str, path: &str) -> Answer {
    client::exchange(gateway.admin(), request(method, path, &[("Host", "localhost")], ""))
}

/// The sessions that are told of somebody.
#[track_caller]
fn sessions(gateway: &Gateway, query: &str) -> Vec<Value> {
    let answer = ask(gateway, "GET", &format!("/v1/sessions?{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["sessions"].as_array().expect("a list").clone()
}

fn ids(sessions: &[Value]) -> Vec<&str> {
    let mut ids: Vec<_> =
        sessions.iter().map(|session| session["id"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

#[track_caller]
fn end(gateway: &Gateway, path: &str) -> Value {
    let answer = ask(gateway, "DELETE", path);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[track_caller]
fn refusal(gateway: &Gateway, method: &str, path: &str) -> String {
    refused(&ask(gateway, method, path))
}

fn total(gateway: &Gateway) -> Value {
    fleet::admin(gateway, "/v1/revocations").expect("the list")["total"].clone()
}

/// The lines of the audit log that tell of ends.
fn audited(gateway: &Gateway) -> Vec<Value> {
    let lines = gateway.log().into_iter();
    let ends = ["end_session", "end_sessions"];
    lines.filter(|line| ends.iter().any(|end| line["audit"] == *end)).collect()
}

fn ended(gateway: &Gateway) -> f64 {
    gateway.metric("portcullis_sessions_ended_total{cause=\"operator\"}")
}

// ---- the list

#[test]
fn sessions_of_a_subject_are_listed_with_what_the_login_established() {
    let (_upstream, gateway) = start();
    let begun = now();
    let browsers = [Browser::log_in(&gateway, "alice"), Browser::log_in(&gateway, "alice")];
    Browser::log_in(&gateway, "bob");
    let listed = sessions(&gateway, "subject=alice");
    let mut expected = browsers.map(|browser| browser.id);
    expected.sort_unstable();
    assert_eq!(ids(&listed), expected);
    for session in &listed {
        let date = |name: &str| seconds(&session[name]);
        let created = date("created_at");
        assert!((begun..=now()).contains(&created), "{session}");
        assert!((created..=now()).contains(&date("last_seen_at")), "{session}");
        assert_eq!(date("expires_at") - created, 12 * 3600, "{session}");
        assert_eq!(date("idle_expires_at") - date("last_seen_at"), 30 * 60, "{session}");
        for (name, value) in [
            ("method", json!("password")),
            ("roles", json!(["clerk"])),
            ("scopes", json!(["orders:read"])),
            ("user_agent", json!(USER_AGENT)),
            ("address", json!("127.0.0.1")),
        ] {
            assert_eq!(session[name], value, "{name} of {session}");
        }
        assert_eq!(session.as_object().expect("an object").len(), 11, "{session}");
    }
}

#[test]
fn answer_says_whose_sessions_these_are() {
    let (_upstream, gateway) = start();
    for query in ["subject=nobody", "subject=nobody&issuer=gateway"] {
        let answer = ask(&gateway, "GET", &format!("/v1/sessions?{query}"));
        let expected = json!({ "subject": "nobody", "issuer": "gateway", "sessions": [] });
        assert_eq!(answer.json(), expected, "{query}");
    }
}

#[test]
fn latest_login_is_listed_first() {
    let (_upstream, gateway) = start();
    let first = Browser::log_in(&gateway, "alice");
    let then = now();
    eventually("another second", || (now() > then).then_some(()));
    let second = Browser::log_in(&gateway, "alice");
    let listed = sessions(&gateway, "subject=alice");
    let listed: Vec<_> = listed.iter().map(|session| session["id"].clone()).collect();
    assert_eq!(listed, [second.id, first.id]);
}

#[test]
fn only_sessions_of_the_issuer_that_is_named_are_listed() {
    let (_upstream, gateway) = start();
    let browser = Browser::log_in(&gateway, "alice");
    assert_eq!(ids(&sessions(&gateway, "subject=alice&issuer=gateway")), [browser.id]);
    assert!(sessions(&gateway, "subject=alice&issuer=test").is_empty());
}

#[test]
fn name_that_means_something_in_a_url_is_a_name() {
    let (_upstream, gateway) = start();
    let browser = Browser::log_in(&gateway, ZOE);
    let query = "subject=zo%C3%AB%20%26%20co%2F%2B1";
    assert_eq!(ids(&sessions(&gateway, query)), [browser.id.as_str()]);
    assert_eq!(end(&gateway, &format!("/v1/sessions?{query}"))["subject"], ZOE);
    assert!(!browser.is_in(&gateway));
}

#[test]
fn session_that_was_cut_off_in_another_way_is_not_listed() {
    let (_upstream, gateway) = start();
    for draft in [
        |_: &Browser| json!({ "scope": "subject", "subject": "alice" }),
        |_: &Browser| json!({ "scope": "issuer", "issuer": "gateway" }),
        |browser: &Browser| json!({ "scope": "session", "session": browser.id }),
    ] {
        // What is cut off by time is cut off for the rest of the second.
        let browser = eventually("a session", || {
            let browser = Browser::log_in(&gateway, "alice");
            browser.is_in(&gateway).then_some(browser)
        });
        assert!(ids(&sessions(&gateway, "subject=alice")).contains(&&*browser.id));
        let draft = draft(&browser);
        assert_eq!(fleet::post(&gateway, &draft).status, 201, "{draft}");
        assert!(!ids(&sessions(&gateway, "subject=alice")).contains(&&*browser.id), "{draft}");
    }
}

// ---- what makes no sense

#[test]
fn query_that_makes_no_sense_is_bad_request() {
    let (_upstream, gateway) = start();
    let (reason, subject) = ("r".repeat(513), "s".repeat(1025));
    let one = format!("/{NOBODYS}");
    for (method, rest, told) in [
        ("GET", "", "`subject` is missing"),
        ("DELETE", "", "`subject` is missing"),
        ("GET", "?subject=", "`subject` is empty"),
        ("DELETE", "?subject=", "`subject` is empty"),
        ("GET", &format!("?subject={subject}"), "`subject` is longer than 1024 bytes"),
        ("GET", "?subject=a&issuer=x", "there is no issuer `x`; known are: gateway, test"),
        ("DELETE", "?subject=a&issuer=x", "there is no issuer `x`; known are: gateway, test"),
        ("GET", "?subject=a&reason=x", "unknown field `reason`"),
        ("DELETE", "?subject=a&surplus=x", "unknown field `surplus`"),
        ("DELETE", "?subject=a&wait_ms=long", "invalid digit"),
        ("DELETE", &format!("?subject=a&reason={reason}"), "`reason` is longer than 512 bytes"),
        ("DELETE", &format!("{one}?reason={reason}"), "`reason` is longer than 512 bytes"),
        ("DELETE", &format!("{one}?subject=a"), "unknown field `subject`"),
    ] {
        let detail = refusal(&gateway, method, &format!("/v1/sessions{rest}"));
        assert!(detail.contains(told), "{method} {rest}: {detail}");
    }
    assert_eq!(total(&gateway), 0);
}

#[test]
fn where_nobody_can_log_in_that_is_told() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for method in ["GET", "DELETE"] {
        let told = refusal(&gateway, method, "/v1/sessions?subject=alice");
        assert_eq!(told, "nobody can log in: the configuration has no `login`");
    }
    let answer = ask(&gateway, "DELETE", &format!("/v1/sessions/{NOBODYS}"));
    assert_eq!(answer.status, 404, "{answer:?}");
}

// ---- who may

#[test]
fn whoever_does_not_present_the_token_learns_and_changes_nothing() {
    let upstream = Upstream::start();
    let open = "admin: { address: '127.0.0.1:0'";
    let text = people::configuration(&upstream, "");
    let text = text.replace(open, &format!("{open}, token: {TOKEN}"));
    let gateway = Gateway::start_in(people::directory(), &text);
    let browser = Browser::log_in(&gateway, "alice");
    let asked = [
        ("GET", "/v1/sessions?subject=alice".to_owned(), 200),
        ("DELETE", format!("/v1/sessions/{}", browser.id), 200),
        ("DELETE", "/v1/sessions?subject=alice".to_owned(), 200),
    ];
    let bearer = format!("Bearer {TOKEN}");
    let local = ("Host", "localhost");
    for fields in [vec![local], vec![local, ("Authorization", "Bearer wrong")]] {
        for (method, path, _) in &asked {
            let answer = client::exchange(gateway.admin(), request(method, path, &fields, ""));
            assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
        }
    }
    assert!(browser.is_in(&gateway));
    for (method, path, status) in &asked {
        let fields = [local, ("Authorization", &*bearer)];
        let answer = client::exchange(gateway.admin(), request(method, path, &fields, ""));
        assert_eq!(answer.status, *status, "{method} {path}: {answer:?}");
    }
}

#[test]
fn page_in_a_browser_on_this_machine_is_refused() {
    let (_upstream, gateway) = start();
    let browser = Browser::log_in(&gateway, "alice");
    let local = ("Host", "localhost");
    for fields in [
        vec![("Host", "evil.example")],
        vec![local, ("Origin", "https://evil.example")],
        vec![local, ("Sec-Fetch-Site", "cross-site")],
    ] {
        for (method, path) in [
            ("GET", "/v1/sessions?subject=alice".to_owned()),
            ("DELETE", format!("/v1/sessions/{}", browser.id)),
            ("DELETE", "/v1/sessions?subject=alice".to_owned()),
        ] {
            let answer = client::exchange(gateway.admin(), request(method, &path, &fields, ""));
            assert_eq!(answer.status, 421, "{method} {path} {fields:?}: {answer:?}");
        }
    }
    assert!(browser.is_in(&gateway));
}

// ---- the audit log

#[test]
fn ends_are_lines_of_the_audit_log() {
    let (_upstream, gateway) = start();
    let browser = Browser::log_in(&gateway, "alice");
    end(&gateway, &format!("/v1/sessions/{}?reason=lost&actor=ops", browser.id));
    end(&gateway, "/v1/sessions?subject=alice");
    let lines = eventually("both lines", || {
        let lines = audited(&gateway);
        (lines.len() == 2).then_some(lines)
    });
    let line = |audit: &str, target: String, number: usize, actor: &str, reason: &str| {
        json!({
            "audit": audit, "time": lines[number]["time"], "actor": actor, "client": "127.0.0.1",
            "target": target, "reason": reason, "result": "ok", "position": number + 1,
            "durable": true,
        })
    };
    let one = format!("session {}", browser.id);
    assert_eq!(lines[0], line("end_session", one, 0, "ops", "lost"));
    assert_eq!(lines[1], line("end_sessions", "subject alice of gateway".into(), 1, "admin", ""));
}

// ---- several gateways, and a store that is away

/// Whoever hangs up has asked nevertheless.
#[test]
fn end_of_a_client_that_leaves_is_made_whole_and_logged() {
    let (_upstream, gateway) = start();
    let browser = Browser::log_in(&gateway, "alice");
    let path = format!("/v1/sessions/{}?wait_ms=5000", browser.id);
    let mut connection = client::Connection::open(gateway.admin());
    connection.send_request(request("DELETE", &path, &[("Host", "localhost")], ""));
    eventually("the end", || (!browser.is_in(&gateway)).then_some(()));
    drop(connection);
    eventually("the line", || (audited(&gateway).len() == 1).then_some(()));
}

#[test]
fn other_methods_are_not_for_sessions() {
    let gateway = Gateway::start(&gateway::standard(&Upstream::start()));
    let one = format!("/v1/sessions/{NOBODYS}");
    for (method, path) in [("POST", "/v1/sessions"), ("PUT", &*one), ("POST", &*one)] {
        assert_eq!(ask(&gateway, method, path).status, 405, "{method} {path}");
    }
    let answer = client::exchange(gateway.admin(), get(&one, &[("Host", "localhost")]));
    assert_eq!(answer.status, 405, "{answer:?}");
}
