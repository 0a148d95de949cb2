//! The audit log: who did what, when and why, and what came of it.

mod completeness;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::{self, get, request};
use crate::harness::eventually;
use crate::harness::fleet::{self, redis};
use crate::harness::gateway::{AdminListener, Gateway, PROGRAM, directory, standard, with_key_id};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::{ISSUER, bearer, token};
use crate::harness::upstream::Upstream;

/// The lines of the audit log that a gateway writes on standard output.
fn printed(gateway: &Gateway) -> Vec<Value> {
    let lines = gateway.log().into_iter();
    lines.filter(|line| line.get("audit").is_some()).collect()
}

/// The lines of an audit log in a file.
fn lines(file: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

/// A gateway that writes its audit log into this file, and the file.
fn writing_to(file: &str, sections: &str) -> (Gateway, PathBuf) {
    let upstream = Upstream::start();
    let standard = with_key_id(&standard(&upstream));
    let text = format!("audit_log: {{ file: {file} }}\n{sections}\n{standard}");
    let gateway = Gateway::start(&text);
    let file = gateway.directory().join(file);
    (gateway, file)
}

fn revoke(gateway: &Gateway, subject: &str) {
    let answer = fleet::revoke(gateway, subject);
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[test]
fn change_is_one_line_on_standard_output_before_it_is_answered() {
    let gateway = Gateway::standard(&Upstream::start());
    let draft = json!({
        "scope": "subject", "subject": "alice", "issuer": "test",
        "actor": "ops", "reason": "left the company",
    });
    let answer = fleet::post(&gateway, &draft);
    assert_eq!(answer.status, 201, "{answer:?}");
    let line = eventually("the line", || printed(&gateway).pop());
    let time = line["time"].as_str().expect("a time");
    humantime::parse_rfc3339(time).expect("RFC 3339");
    assert_eq!(
        line,
        json!({
            "audit": "revoke",
            "time": time,
            "actor": "ops",
            "client": "127.0.0.1",
            "target": format!("subject alice of {ISSUER}"),
            "reason": "left the company",
            "result": "ok",
            "position": answer.json()["position"],
            "durable": true,
        })
    );
}

#[test]
fn target_says_whom_every_scope_is_about() {
    let (gateway, file) = writing_to("audit.jsonl", "");
    let whole = token(json!({"jti": "t-2"}));
    let cases = [
        (
            json!({"scope": "token", "jti": "t-1", "issuer": "test"}),
            format!("token t-1 of {ISSUER}"),
        ),
        (json!({"scope": "token", "token": whole}), format!("token t-2 of {ISSUER}")),
        (json!({"scope": "session", "session": "s-1"}), "session s-1".to_owned()),
        (json!({"scope": "subject", "subject": "alice"}), "subject alice".to_owned()),
        (json!({"scope": "client", "client": "c-1"}), "client c-1".to_owned()),
        (json!({"scope": "key", "key": "k-1"}), "key k-1".to_owned()),
        (json!({"scope": "issuer", "issuer": "test"}), format!("issuer {ISSUER}")),
        (json!({"scope": "everything"}), "everything".to_owned()),
    ];
    for (draft, _) in &cases {
        assert_eq!(fleet::post(&gateway, draft).status, 201, "{draft}");
    }
    let lines = lines(&file);
    let found: Vec<_> = lines.iter().map(|line| (&line["target"], &line["position"])).collect();
    let expected: Vec<_> = cases
        .iter()
        .zip(1..)
        .map(|((_, target), position)| (json!(target), json!(position)))
        .collect();
    assert_eq!(found, expected.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>());
    let text = std::fs::read_to_string(&file).expect("the log");
    assert!(!text.contains(&whole), "a token is never written");
}

// ---- the file

#[test]
fn file_is_made_with_its_directories_for_the_gateway_alone_and_appended_to() {
    let (gateway, file) = writing_to("logs/deep/audit.jsonl", "");
    for subject in ["alice", "bob"] {
        revoke(&gateway, subject);
    }
    let targets: Vec<_> = lines(&file).iter().map(|line| line["target"].clone()).collect();
    assert_eq!(targets, ["subject alice", "subject bob"]);
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    assert!(printed(&gateway).is_empty(), "it is written once");
}

#[test]
fn what_stands_in_the_file_stays() {
    let (gateway, file) = writing_to("audit.jsonl", "");
    std::fs::write(&file, "{\"audit\":\"before\"}\n").expect("a file");
    revoke(&gateway, "alice");
    let found: Vec<_> = lines(&file).iter().map(|line| line["audit"].clone()).collect();
    assert_eq!(found, ["before", "revoke"]);
}

#[test]
fn file_that_was_moved_away_is_begun_anew() {
    let (gateway, file) = writing_to("audit.jsonl", "");
    revoke(&gateway, "alice");
    let moved = file.with_extension("1");
    std::fs::rename(&file, &moved).expect("it can be moved");
    revoke(&gateway, "bob");
    let target = |file: &PathBuf| -> Vec<_> {
        lines(file).iter().map(|line| line["target"].clone()).collect()
    };
    assert_eq!(
        (target(&moved), target(&file)),
        (vec![json!("subject alice")], vec![json!("subject bob")])
    );
}

#[test]
fn file_that_cannot_be_written_is_told_and_the_change_stands() {
    let (gateway, file) = writing_to("audit.jsonl", "");
    std::fs::create_dir(&file).expect("a directory in its place");
    let token = fleet::token_of("alice");
    let answer = fleet::revoke(&gateway, "alice");
    assert_eq!((answer.status, answer.slug().as_str()), (500, "audit_log"), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["durable"], true, "{problem}");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("the change was made, but the audit log cannot be written: "));
    assert_eq!(fleet::ask(&gateway, &token), fleet::Verdict::Revoked);
}

#[test]
fn file_that_a_reload_names_takes_the_next_change() {
    let (gateway, file) = writing_to("audit.jsonl", "");
    revoke(&gateway, "alice");
    let text = std::fs::read_to_string(gateway.file()).expect("the configuration");
    std::fs::write(gateway.file(), text.replace("audit.jsonl", "other.jsonl")).expect("a file");
    gateway.signal("HUP");
    let generation = || gateway.metric("portcullis_config_generation");
    eventually("the reload", || (generation() >= 2.0).then_some(()));
    revoke(&gateway, "bob");
    assert_eq!(lines(&file).len(), 1);
    assert_eq!(lines(&gateway.directory().join("other.jsonl")).len(), 1);
}

// ---- what comes of a change

#[test]
fn change_that_is_refused_for_want_of_room_is_logged() {
    let (gateway, file) = writing_to("audit.jsonl", "revocation: { max_entries: 1 }");
    revoke(&gateway, "alice");
    assert_eq!(fleet::revoke(&gateway, "bob").status, 507);
    let line = lines(&file).pop().expect("a line");
    assert_eq!(
        (&line["result"], &line["durable"], line.get("position")),
        (&json!("revocation_list_full"), &json!(false), None)
    );
    assert_eq!(line["target"], "subject bob");
}

#[test]
fn change_that_the_store_cannot_take_is_logged() {
    let mut server = RedisServer::start();
    for (accept_local, status, result) in [("false", 503, "store_unavailable"), ("true", 202, "ok")]
    {
        server.restart(crate::harness::redis::Data::Kept);
        let sections =
            format!("{}revocation: {{ accept_local: {accept_local} }}", redis(&server.settings()));
        let (gateway, file) = writing_to("audit.jsonl", &sections);
        server.kill();
        let answer = fleet::revoke(&gateway, "alice");
        assert_eq!(answer.status, status, "{answer:?}");
        let lines = lines(&file);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!((&line["result"], &line["durable"]), (&json!(result), &json!(false)), "{line}");
        assert!(line.get("position").is_none(), "{line}");
    }
}

#[test]
fn what_makes_no_sense_and_who_may_not_is_no_change() {
    let section = "admin: { address: '127.0.0.1:0', token: secret-of-the-admin }";
    let text = standard(&Upstream::start()).replace("admin: { address: '127.0.0.1:0' }", section);
    let gateway = Gateway::start(&format!("audit_log: {{ file: audit.jsonl }}\n{text}"));
    let post = |token: &str, body: &str| {
        let authorization = bearer(token);
        let json = ("Content-Type", "application/json");
        let fields = [("Authorization", &*authorization), ("Host", "localhost"), json];
        client::exchange(gateway.admin(), request("POST", "/v1/revocations", &fields, body)).status
    };
    assert_eq!(post("wrong", r#"{"scope":"everything"}"#), 401);
    assert_eq!(post("secret-of-the-admin", r#"{"scope":"nobody"}"#), 400);
    let file = gateway.directory().join("audit.jsonl");
    assert!(!file.exists());
    assert_eq!(post("secret-of-the-admin", r#"{"scope":"everything"}"#), 201);
    assert_eq!(lines(&file).len(), 1);
    let text = std::fs::read_to_string(&file).expect("the log");
    assert!(!text.contains("secret-of-the-admin"), "{text}");
}

// ---- nobody writes lines of their own

#[test]
fn line_cannot_be_forged_whatever_is_said() {
    let forged =
        "x\n{\"audit\":\"revoke\",\"actor\":\"somebody else\"}\r\u{0}\u{1b}[2J\u{2028}\"\\";
    for file in [None, Some("audit.jsonl")] {
        let upstream = Upstream::start();
        let section = file.map(|file| format!("audit_log: {{ file: {file} }}\n"));
        let text = section.unwrap_or_default() + &standard(&upstream);
        let gateway = Gateway::start(&text);
        let draft = json!({
            "scope": "subject", "subject": forged, "actor": forged, "reason": forged,
        });
        assert_eq!(fleet::post(&gateway, &draft).status, 201);
        let found = match file {
            None => {
                eventually("the line", || Some(printed(&gateway)).filter(|all| !all.is_empty()))
            }
            Some(file) => lines(&gateway.directory().join(file)),
        };
        let [line] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&line["actor"], &line["reason"]), (&json!(forged), &json!(forged)));
        assert_eq!(line["target"], format!("subject {forged}"));
    }
}

#[test]
fn lines_of_the_audit_log_and_the_access_log_do_not_mix() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    const EACH: usize = 100;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    gateway.exchange(get("/public/x", &[]));
                }
            });
        }
        for number in 0..EACH / 4 {
            let reason = "r".repeat(500);
            let draft =
                json!({"scope": "session", "session": format!("{number}"), "reason": reason});
            assert_eq!(fleet::post(&gateway, &draft).status, 201);
        }
    });
    // Each is one JSON object, or this would fail.
    eventually("all lines", || (gateway.log().len() == 2 * EACH + EACH / 4).then_some(()));
    assert_eq!(printed(&gateway).len(), EACH / 4);
}

#[test]
fn token_that_is_revoked_is_written_nowhere() {
    let upstream = Upstream::start();
    let text = format!("audit_log: {{ file: audit.jsonl }}\n{}", standard(&upstream));
    let environment = [("PORTCULLIS_LOG", "debug")];
    let mut gateway = Gateway::spawn_with(directory(), &text, &environment);
    gateway.wait_until_ready();
    let (good, expired) = (token(json!({})), token(json!({"iat": 1, "exp": 2})));
    for (token, status) in [(&good, 201), (&expired, 400)] {
        let answer = fleet::post(&gateway, &json!({"scope": "token", "token": token}));
        assert_eq!(answer.status, status);
        assert!(!answer.body.contains(token.as_str()), "{answer:?}");
    }
    gateway.get_as("/whoami", &good);
    gateway.logged(|line| line["slug"] == "token_revoked");
    gateway.signal("TERM");
    gateway.wait();
    let audit = std::fs::read_to_string(gateway.directory().join("audit.jsonl")).expect("the log");
    let written = gateway.output().join("\n") + &gateway.errors().join("\n") + &audit;
    for part in good.split('.').chain(expired.split('.')).filter(|part| part.len() > 40) {
        assert!(!written.contains(part), "{part} is in\n{written}");
    }
}
