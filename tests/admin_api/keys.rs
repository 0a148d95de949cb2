//! `/v1/keys`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client;
use crate::harness::fleet::configuration;
use crate::harness::gateway::Gateway;
use crate::harness::signing_keys::{
    alone, directory, get, keys, now, rotate, rotated, signing, states, tokens,
};
use crate::harness::upstream::Upstream;

#[test]
fn new_key_is_published_and_signs_when_it_is_said() {
    let gateway = alone(&tokens("publish_before: 10m"));
    let answer = rotate(&gateway, &json!({ "reason": "spring", "actor": "ops" }));
    assert_eq!(answer.status, 201, "{answer:?}");
    let told = answer.json();
    let keys = keys(&gateway);
    assert_eq!((&keys[1]["id"], &keys[1]["state"]), (&told["id"], &json!("next")));
    assert_eq!(keys[1]["signs_from"], told["signs_from"]);
    let time = |value: &Value| {
        humantime::parse_rfc3339(value.as_str().expect("a time")).expect("RFC 3339")
    };
    let published = time(&keys[1]["signs_from"]).duration_since(time(&keys[1]["created_at"]));
    assert_eq!(published.expect("later"), Duration::from_secs(600));
    assert!(time(&keys[0]["retires_at"]) > time(&keys[1]["signs_from"]));
    // At once, if that is wanted.
    let at_once = rotated(&gateway, &now());
    assert_eq!(signing(&gateway), Some(at_once));
    assert_eq!(states(&gateway)[0].1, "retired");
}

#[test]
fn rotation_stands_in_the_audit_log_with_what_came_of_it() {
    let lines = format!("audit_log: {{ file: audit.jsonl }}\n{}", tokens(""));
    let gateway = alone(&lines);
    let id = rotated(&gateway, &json!({ "reason": "spring", "actor": "ops" }));
    let text = std::fs::read_to_string(gateway.directory().join("audit.jsonl")).expect("a log");
    let line: Value = serde_json::from_str(text.trim_end()).expect("one line");
    assert_eq!(
        line,
        json!({
            "audit": "rotate_keys",
            "time": line["time"],
            "actor": "ops",
            "client": "127.0.0.1",
            "target": format!("key {id}"),
            "reason": "spring",
            "result": "ok",
            "durable": true,
        })
    );
}

#[test]
fn too_many_keys_are_refused_and_that_is_written_down() {
    let lines = format!("audit_log: {{ file: audit.jsonl }}\n{}", tokens(""));
    let gateway = alone(&lines);
    for _ in 1..16 {
        rotated(&gateway, &now());
    }
    let answer = rotate(&gateway, &now());
    assert_eq!((answer.status, answer.slug().as_str()), (409, "too_many_keys"), "{answer:?}");
    assert_eq!(keys(&gateway).len(), 16);
    let text = std::fs::read_to_string(gateway.directory().join("audit.jsonl")).expect("a log");
    let line: Value =
        serde_json::from_str(text.lines().last().expect("a line")).expect("a JSON line");
    assert_eq!((&line["result"], &line["durable"]), (&json!("too_many_keys"), &json!(false)));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let gateway = alone(&tokens(""));
    for wanted in [
        json!({ "now": "yes" }),
        json!({ "soon": true }),
        json!({ "actor": "a".repeat(129) }),
        json!({ "reason": "a".repeat(513) }),
        json!(7),
    ] {
        let answer = rotate(&gateway, &wanted);
        assert_eq!((answer.status, answer.slug().as_str()), (400, "bad_request"), "{wanted}");
    }
    assert_eq!(keys(&gateway).len(), 1);
    // The last that are accepted.
    rotated(&gateway, &json!({ "actor": "a".repeat(128), "reason": "a".repeat(512) }));
}

#[test]
fn gateway_that_issues_nothing_has_nothing_to_rotate() {
    let answer = rotate(&alone(""), &now());
    assert_eq!((answer.status, answer.slug().as_str()), (400, "bad_request"), "{answer:?}");
    let detail = answer.json()["detail"].as_str().expect("text").to_owned();
    assert!(detail.contains("`tokens`"), "{detail}");
}

#[test]
fn keys_are_for_whoever_holds_the_admin_token() {
    let text = configuration(&Upstream::start(), "alone", &tokens(""));
    let open = "admin: { address: '127.0.0.1:0'";
    let guarded = text.replace(open, &format!("{open}, token: an-admin-token-of-some-length"));
    assert_ne!(guarded, text);
    let gateway = Gateway::start_in(directory(), &guarded);
    assert_eq!(get(&gateway, "/v1/keys").status, 401);
    assert_eq!(rotate(&gateway, &now()).status, 401);
    let token = ("Authorization", "Bearer an-admin-token-of-some-length");
    let answer =
        client::exchange(gateway.admin(), client::get("/v1/keys", &[token, ("Host", "localhost")]));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["keys"].as_array().expect("keys").len(), 1);
}

#[test]
fn other_methods_are_405() {
    let gateway = alone(&tokens(""));
    for (method, path, allowed) in [
        ("POST", "/v1/keys", "GET,HEAD"),
        ("DELETE", "/v1/keys", "GET,HEAD"),
        ("GET", "/v1/keys/rotate", "POST"),
    ] {
        let request = client::request(method, path, &[("Host", "localhost")], "");
        let answer = client::exchange(gateway.admin(), request);
        assert_eq!((answer.status, answer.field("allow")), (405, Some(allowed)), "{method} {path}");
    }
    assert_eq!(keys(&gateway).len(), 1);
}
