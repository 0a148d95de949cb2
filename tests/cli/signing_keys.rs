//! `portcullis keys list` and `portcullis keys rotate`.

use serde_json::{Value, json};

use crate::harness::client;
use crate::harness::fleet::configuration;
use crate::harness::gateway::Gateway;
use crate::harness::program::{Ran, cells, done, operate};
use crate::harness::upstream::Upstream;

const TOKENS: &str = "audit_log: { file: audit.jsonl }\n\
    tokens:\n  issuer: https://gateway.test\n  access: { audiences: [orders-api] }\n";

fn start(lines: &str) -> Gateway {
    Gateway::start(&configuration(&Upstream::start(), "alone", lines))
}

/// Runs `portcullis keys` against a gateway.
fn keys(gateway: &Gateway, arguments: &[&str]) -> Ran {
    let arguments = [&["keys"], arguments].concat();
    operate(gateway, &std::env::temp_dir(), &arguments, &[("USER", "ops")])
}

fn listed(gateway: &Gateway) -> Value {
    let answer =
        client::exchange(gateway.admin(), client::get("/v1/keys", &[("Host", "localhost")]));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn table_lists_which_key_does_what() {
    let gateway = start(TOKENS);
    done(keys(&gateway, &["rotate"]));
    let table = done(keys(&gateway, &["list"]));
    let told = listed(&gateway);
    let text =
        |place: usize, name: &str| told["keys"][place][name].as_str().unwrap_or("-").to_owned();
    let names = ["id", "algorithm", "state", "created_at", "signs_from", "retires_at"];
    let rows: Vec<_> = table.lines().map(cells).collect();
    let header = ["ID", "ALGORITHM", "STATE", "CREATED", "SIGNS FROM", "DROPPED AT"];
    assert_eq!(rows[0], header);
    assert_eq!(rows.len(), 3);
    for (place, row) in rows[1..].iter().enumerate() {
        assert_eq!(*row, names.map(|name| text(place, name)));
    }
    assert_eq!((rows[1][2], rows[2][2]), ("signing", "next"));
}

#[test]
fn list_as_json_is_what_the_gateway_tells() {
    let gateway = start(TOKENS);
    let printed = done(keys(&gateway, &["list", "--json"]));
    assert_eq!(printed.lines().count(), 1);
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(printed, listed(&gateway));
}

#[test]
fn rotation_says_which_key_signs_and_from_when_on() {
    let gateway = start(TOKENS);
    let told = done(keys(&gateway, &["rotate"]));
    let key = &listed(&gateway)["keys"][1];
    let text = |name: &str| key[name].as_str().expect("text");
    let (id, from) = (text("id"), text("signs_from"));
    assert_eq!(told, format!("key {id} is published, and signs from {from} on\n"));
    assert_eq!(key["state"], "next");
}

#[test]
fn key_can_be_told_to_sign_now() {
    let gateway = start(TOKENS);
    let told = done(keys(&gateway, &["rotate", "--now", "--json"]));
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let key = &listed(&gateway)["keys"][1];
    assert_eq!((&key["id"], &key["state"]), (&told["id"], &json!("signing")));
}

#[test]
fn who_rotates_and_why_stands_in_the_audit_log() {
    let gateway = start(TOKENS);
    done(keys(&gateway, &["rotate", "--reason", "spring"]));
    done(keys(&gateway, &["rotate", "--actor", "carol"]));
    let log = std::fs::read_to_string(gateway.directory().join("audit.jsonl")).expect("a log");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let found: Vec<_> = lines.iter().map(|line| (&line["actor"], &line["reason"])).collect();
    let [ops, spring, carol, none] = ["ops", "spring", "carol", ""].map(|text| json!(text));
    assert_eq!(found, [(&ops, &spring), (&carol, &none)]);
}

#[test]
fn gateway_that_issues_nothing_makes_no_sense() {
    let gateway = start("");
    for arguments in [["list"], ["rotate"]] {
        let ran = keys(&gateway, &arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        let expected =
            "portcullis: the gateway issues no tokens: the configuration has no `tokens`\n";
        assert_eq!(ran.stderr, expected);
    }
}

#[test]
fn ring_that_is_full_and_gateway_that_is_away_are_failures() {
    let mut gateway = start(TOKENS);
    for _ in 1..16 {
        done(keys(&gateway, &["rotate"]));
    }
    let ran = keys(&gateway, &["rotate"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.starts_with("portcullis: there are 16 signing keys"), "{ran:?}");
    gateway.signal("KILL");
    gateway.wait();
    for arguments in [["list"], ["rotate"]] {
        let ran = keys(&gateway, &arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
        assert!(ran.stderr.starts_with("portcullis: no gateway answers at "), "{ran:?}");
    }
}
