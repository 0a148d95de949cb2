//! `portcullis revoke`, and `--wait`.

use serde_json::{Value, json};

use super::revocations::{run, start};
use crate::harness::fleet::{self, Fleet, Verdict, ask, await_silence, redis, token_of};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::program::{bad_input, done, failed, operate, run_fed};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::{ISSUER, now, token};
use crate::harness::upstream::Upstream;

#[test]
fn every_scope_has_its_argument_and_what_was_revoked_is_printed() {
    let (_upstream, gateway) = start();
    let whole = token(json!({"jti": "t-2"}));
    for (number, (arguments, told)) in [
        (vec!["--jti", "t-1", "--issuer", "test"], "token t-1"),
        (vec!["--token", &whole], "token t-2"),
        (vec!["--session", "s-1"], "session s-1"),
        (vec!["--subject", "alice"], "subject alice"),
        (vec!["--subject", "alice", "--issuer", ISSUER], "subject alice"),
        (vec!["--client", "c-1"], "client c-1"),
        (vec!["--key", "k-1"], "key k-1"),
        (vec!["--key", "k-1", "--issuer", "test"], "key k-1"),
        (vec!["--issuer-all", "test"], &*format!("issuer {ISSUER}")),
        (vec!["--everything"], "everything"),
    ]
    .into_iter()
    .enumerate()
    {
        let arguments = [vec!["revoke"], arguments].concat();
        let printed = done(run(&gateway, &arguments));
        assert_eq!(printed, format!("revoked {told} (position {})\n", number + 1));
    }
}

#[test]
fn next_request_after_the_command_is_refused() {
    let (_upstream, gateway) = start();
    let token = token_of("alice");
    assert_eq!(ask(&gateway, &token), Verdict::Accepted);
    done(run(&gateway, &["revoke", "--subject", "alice"]));
    assert_eq!(ask(&gateway, &token), Verdict::Revoked);
}

#[test]
fn token_is_read_from_standard_input() {
    let (_upstream, gateway) = start();
    let (token, other) = (token(json!({"jti": "t-1"})), token(json!({})));
    let admin = gateway.admin_arguments();
    let admin: Vec<_> = admin.iter().map(String::as_str).collect();
    let arguments = [&["revoke", "--token", "-"], admin.as_slice()].concat();
    let ran = run_fed(&std::env::temp_dir(), &arguments, &format!("{token}\n"));
    assert_eq!(done(ran), "revoked token t-1 (position 1)\n");
    assert_eq!(
        (ask(&gateway, &token), ask(&gateway, &other)),
        (Verdict::Revoked, Verdict::Accepted)
    );
    let told = bad_input(run_fed(&std::env::temp_dir(), &arguments, ""));
    assert!(told.contains("token_malformed"), "{told}");
}

#[test]
fn json_is_the_answer_of_the_api() {
    let (_upstream, gateway) = start();
    let arguments = ["revoke", "--subject", "alice", "--reason", "a drill", "--json", "--wait"];
    let printed = done(run(&gateway, &arguments));
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let told: Value = serde_json::from_str(&printed).expect("JSON");
    for (name, value) in [
        ("scope", json!("subject")),
        ("subject", json!("alice")),
        ("reason", json!("a drill")),
        ("actor", json!("ops")),
        ("position", json!(1)),
        ("durable", json!(true)),
        ("confirmed", json!(1)),
        ("gateways", json!(1)),
    ] {
        assert_eq!(told[name], value, "{name} of {told}");
    }
}

#[test]
fn actor_is_the_user_unless_it_is_named() {
    let (_upstream, gateway) = start();
    let actor = |printed: String| {
        let told: Value = serde_json::from_str(&printed).expect("JSON");
        told["actor"].clone()
    };
    let everything = ["revoke", "--everything", "--json"];
    assert_eq!(actor(done(run(&gateway, &everything))), "ops");
    let named = [&everything[..], &["--actor", "alert-17"]].concat();
    assert_eq!(actor(done(run(&gateway, &named))), "alert-17");
    let nobody = operate(&gateway, &std::env::temp_dir(), &everything, &[]);
    assert_eq!(actor(done(nobody)), "admin");
}

#[test]
fn cut_off_is_passed_on_in_both_of_its_forms() {
    let (_upstream, gateway) = start();
    let then = now() - 100;
    let (seconds, date) = (then.to_string(), "2026-01-31T12:00:00+02:00");
    let printed = done(run(&gateway, &["revoke", "--everything", "--json", "--before", &seconds]));
    let told: Value = serde_json::from_str(&printed).expect("JSON");
    let date_told = told["issued_until"].as_str().expect("a date").to_owned();
    let printed =
        done(run(&gateway, &["revoke", "--everything", "--json", "--before", &date_told]));
    let again: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(again["issued_until"], told["issued_until"]);
    for (before, told) in [
        (
            "yesterday",
            "portcullis: `before`: `yesterday` is not a time; write 2026-01-31T12:00:00Z",
        ),
        (date, "is not a time"),
        ("0", "everything that was issued until then has expired already"),
    ] {
        let printed = bad_input(run(&gateway, &["revoke", "--everything", "--before", before]));
        assert!(printed.contains(told), "{printed}");
    }
    // As people write what they calculated wrongly; it is the value, and not another option.
    let printed = bad_input(run(&gateway, &["revoke", "--everything", "--before=-1"]));
    assert!(printed.contains("before 1970"), "{printed}");
}

#[test]
fn arguments_that_exclude_each_other_are_bad_input() {
    let (_upstream, gateway) = start();
    for arguments in [
        vec![],
        vec!["--subject", "alice", "--client", "c-1"],
        vec!["--subject", "alice", "--everything"],
        vec!["--token", "x", "--jti", "y", "--issuer", "test"],
        vec!["--jti", "t-1"],
        vec!["--issuer", "test"],
        vec!["--issuer-all", "test", "--issuer", "test"],
        vec!["--token", "x", "--issuer", "test"],
        vec!["--session", "s", "--issuer", "test"],
        vec!["--client", "c", "--issuer", "test"],
        vec!["--everything", "--issuer", "test"],
        vec!["--session", "s", "--before", "0"],
        vec!["--jti", "t", "--issuer", "test", "--before", "0"],
        vec!["--token", "x", "--before", "0"],
        vec!["--everything", "surplus"],
    ] {
        let arguments = [vec!["revoke"], arguments].concat();
        let told = bad_input(run(&gateway, &arguments));
        assert!(told.contains("Usage: portcullis revoke"), "{arguments:?}: {told}");
    }
    assert_eq!(fleet::admin(&gateway, "/v1/revocations").expect("the list")["total"], 0);
}

#[test]
fn what_the_gateway_does_not_understand_is_bad_input_in_its_words() {
    let (_upstream, gateway) = start();
    for (arguments, told) in [
        (["--issuer-all", "tset"], "portcullis: there is no issuer `tset`; known are: test\n"),
        (["--subject", ""], "portcullis: `subject` is empty\n"),
        (
            ["--token", "nonsense"],
            "portcullis: the token is not acceptable anyway: token_malformed \
             (the token has 1 part; a signed token has 3)\n",
        ),
    ] {
        let arguments = [&["revoke"], &arguments[..]].concat();
        assert_eq!(bad_input(run(&gateway, &arguments)), told);
    }
}

#[test]
fn list_that_is_full_is_a_failure_that_says_so() {
    let upstream = Upstream::start();
    let text = format!("revocation: {{ max_entries: 1 }}\n{}", standard(&upstream));
    let gateway = Gateway::start(&text);
    done(run(&gateway, &["revoke", "--subject", "alice"]));
    let told = failed(run(&gateway, &["revoke", "--subject", "bob"]));
    assert!(told.starts_with("portcullis: there are as many live revocations as "), "{told}");
}

/// A name from a token must not draw on the operator's terminal.
#[test]
fn control_characters_in_names_are_spelt_out() {
    let (_upstream, gateway) = start();
    let name = "alice\u{1b}[2J\nrevoked everything (position 9)\u{202e}";
    let shown = "alice\\u{1b}[2J\\nrevoked everything (position 9)\\u{202e}";
    let printed = done(run(&gateway, &["revoke", "--subject", name, "--reason", name]));
    assert_eq!(printed, format!("revoked subject {shown} (position 1)\n"));
    let listed = done(run(&gateway, &["revocations", "list"]));
    assert_eq!(listed.matches(shown).count(), 2, "{listed}");
    assert!(!listed.contains(['\u{1b}', '\u{202e}']), "{listed}");
    // One line for the header, one for the revocation, an empty one and the count.
    assert_eq!(listed.lines().count(), 4, "{listed}");
}

// ---- --wait

#[test]
fn who_waits_is_told_how_many_have_confirmed_and_how_fast() {
    let (_upstream, gateway) = start();
    for (number, wait) in
        [vec!["--wait"], vec!["--wait", "2s"], vec!["--wait=7d"]].iter().enumerate()
    {
        let arguments = [vec!["revoke", "--subject", "alice"], wait.clone()].concat();
        let printed = done(run(&gateway, &arguments));
        let lines: Vec<_> = printed.lines().collect();
        let first = format!("revoked subject alice (position {})", number + 1);
        assert_eq!((lines.len(), lines[0]), (2, first.as_str()), "{printed}");
        let took = lines[1].strip_prefix("confirmed on 1 of 1 gateways in ").expect("confirmation");
        let took: f64 =
            took.strip_suffix(" ms").and_then(|took| took.parse().ok()).expect("a time");
        assert!((0.0..20_000.0).contains(&took), "{printed}");
    }
}

#[test]
fn wait_that_is_no_duration_is_bad_input_and_nothing_is_revoked() {
    let (_upstream, gateway) = start();
    for wait in ["nonsense", "2", "0s", "-1s", "2 s", ""] {
        let option = format!("--wait={wait}");
        let told = bad_input(run(&gateway, &["revoke", "--everything", &option]));
        let expected = format!("`{wait}` is not a duration: write 500ms, 2s …\n");
        assert_eq!(told, expected);
    }
    assert_eq!(fleet::admin(&gateway, "/v1/revocations").expect("the list")["total"], 0);
}

#[test]
fn gateway_that_does_not_confirm_is_named_and_the_command_fails() {
    let server = RedisServer::start();
    let fleet = Fleet::start(&redis(&server.settings()), 2);
    let (first, second) = (fleet.gateway(1), fleet.gateway(2));
    let confirmed = done(run(first, &["revoke", "--subject", "alice", "--wait", "10s"]));
    assert!(confirmed.contains("\nconfirmed on 2 of 2 gateways in "), "{confirmed}");
    second.stand_still();
    await_silence(first, "gw-2");
    let begun = std::time::Instant::now();
    let ran = run(first, &["revoke", "--subject", "bob", "--wait", "300ms"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(begun.elapsed() >= std::time::Duration::from_millis(300), "it did not wait");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("revoked subject bob (position "), "{ran:?}");
    assert!(lines[1].starts_with("confirmed on 1 of 2 gateways in "), "{ran:?}");
    let told = ran.stderr.strip_prefix("portcullis: not confirmed by gw-2 (");
    let told = told.unwrap_or_else(|| panic!("{ran:?}"));
    assert!(told.contains(", silent for ") && told.ends_with("s)\n"), "{ran:?}");
    // As JSON it is the same, for programs.
    let ran = run(first, &["revoke", "--subject", "carol", "--wait", "300ms", "--json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((ran.code, &answer["missing"][0]["name"]), (1, &json!("gw-2")));
    second.signal("CONT");
    done(run(first, &["revoke", "--subject", "dave", "--wait", "15s"]));
    assert_eq!(ask(second, &token_of("bob")), Verdict::Revoked);
}
