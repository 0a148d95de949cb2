//! `portcullis sessions`: who is logged in, and the end of that.

use serde_json::{Value, json};

use crate::harness::fleet::{self, await_silence, redis};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::people::{self, Browser, USER_AGENT, ZOE};
use crate::harness::program::{Ran, bad_input, cells, done, failed, operate};
use crate::harness::redis::RedisServer;
use crate::harness::upstream::Upstream;
use crate::harness::{client, eventually};

/// An id that no session has.
const NOBODYS: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn start() -> (Upstream, Gateway) {
    let upstream = Upstream::start();
    let gateway = people::start(&upstream, "");
    (upstream, gateway)
}

/// Runs `portcullis sessions` against a gateway.
fn sessions(gateway: &Gateway, arguments: &[&str]) -> Ran {
    let arguments = [&["sessions"], arguments].concat();
    operate(gateway, &std::env::temp_dir(), &arguments, &[("USER", "ops")])
}

fn json(printed: &str) -> Value {
    assert_eq!(printed.lines().count(), 1, "{printed}");
    serde_json::from_str(printed).expect("JSON")
}

// ---- list

#[test]
fn table_lists_where_somebody_is_logged_in() {
    let (_upstream, gateway) = start();
    let browser = Browser::log_in(&gateway, "alice");
    Browser::log_in(&gateway, "bob");
    let table = done(sessions(&gateway, &["list", "--subject", "alice"]));
    let told = json(&done(sessions(&gateway, &["list", "--subject", "alice", "--json"])));
    let text = |name: &str| told["sessions"][0][name].as_str().expect("text");
    let rows: Vec<_> = table.lines().map(cells).collect();
    let user_agent = format!("{}…", &USER_AGENT[..40]);
    assert_eq!(
        rows,
        [
            ["ID", "LOGGED IN", "LAST SEEN", "ENDS", "ADDRESS", "USER AGENT"],
            [
                &browser.id,
                text("created_at"),
                text("last_seen_at"),
                text("expires_at"),
                "127.0.0.1",
                &user_agent,
            ],
        ]
    );
}

#[test]
fn json_is_the_answer_of_the_api() {
    let (_upstream, gateway) = start();
    Browser::log_in(&gateway, ZOE);
    let printed = done(sessions(&gateway, &["list", "--subject", ZOE, "--json"]));
    let query = "subject=zo%C3%AB%20%26%20co%2F%2B1&issuer=gateway";
    let expected = fleet::admin(&gateway, &format!("/v1/sessions?{query}")).expect("sessions");
    assert_eq!((json(&printed), &expected["subject"]), (expected.clone(), &json!(ZOE)));
    assert_eq!(expected["sessions"].as_array().map(Vec::len), Some(1), "{expected}");
}

#[test]
fn nobody_who_is_logged_in_is_no_sessions() {
    let (_upstream, gateway) = start();
    assert_eq!(done(sessions(&gateway, &["list", "--subject", "alice"])), "no sessions\n");
    Browser::log_in(&gateway, "alice");
    let of_another = ["list", "--subject", "alice", "--issuer", "test"];
    assert_eq!(done(sessions(&gateway, &of_another)), "no sessions\n");
}

// ---- end

#[test]
fn one_session_is_ended_by_its_id() {
    let (_upstream, gateway) = start();
    let [gone, other] = [(); 2].map(|()| Browser::log_in(&gateway, "alice"));
    let printed = done(sessions(&gateway, &["end", &gone.id]));
    assert_eq!(printed, format!("ended session {} (position 1)\n", gone.id));
    assert!(!gone.is_in(&gateway) && other.is_in(&gateway));
}

#[test]
fn all_sessions_of_a_subject_are_ended() {
    let (_upstream, gateway) = start();
    let alice = [(); 2].map(|()| Browser::log_in(&gateway, "alice"));
    let (bob, zoe) = (Browser::log_in(&gateway, "bob"), Browser::log_in(&gateway, ZOE));
    let printed = done(sessions(&gateway, &["end", "--subject", "alice"]));
    assert_eq!(printed, "ended 2 sessions of alice (position 1)\n");
    assert!(alice.iter().all(|browser| !browser.is_in(&gateway)) && bob.is_in(&gateway));
    let printed = done(sessions(&gateway, &["end", "--subject", ZOE, "--issuer", "gateway"]));
    assert_eq!(printed, format!("ended 1 session of {ZOE} (position 2)\n"));
    assert!(!zoe.is_in(&gateway));
    let printed = done(sessions(&gateway, &["end", "--subject", "carol"]));
    assert_eq!(printed, "ended 0 sessions of carol (position 3)\n");
}

/// One id in 64 looks like an option.
#[test]
fn id_that_begins_with_a_hyphen_is_an_id() {
    let (_upstream, gateway) = start();
    let id = format!("-{}", &NOBODYS[1..]);
    let told = failed(sessions(&gateway, &["end", &id]));
    assert!(told.starts_with("portcullis: there is no session with this id"), "{told}");
    let told = failed(sessions(&gateway, &["end", "--wait", "1s", &id, "--json"]));
    assert!(told.starts_with("portcullis: there is no session with this id"), "{told}");
    let revoke = ["revoke", "--session", &id];
    let printed = done(operate(&gateway, &std::env::temp_dir(), &revoke, &[]));
    assert_eq!(printed, format!("revoked session {id} (position 1)\n"));
}

#[test]
fn who_waits_is_told_how_many_have_confirmed() {
    let (_upstream, gateway) = start();
    let one = Browser::log_in(&gateway, "alice");
    for (arguments, told) in [
        (vec!["end", &one.id, "--wait"], format!("ended session {} (position 1)", one.id)),
        (
            vec!["end", "--subject", "alice", "--wait", "2s"],
            "ended 0 sessions of alice (position 2)".to_owned(),
        ),
    ] {
        let printed = done(sessions(&gateway, &arguments));
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!((lines.len(), lines[0]), (2, &*told), "{printed}");
        let took = lines[1].strip_prefix("confirmed on 1 of 1 gateways in ");
        assert!(took.is_some_and(|took| took.ends_with(" ms")), "{printed}");
    }
}

#[test]
fn answer_is_printed_as_json_with_actor_and_reason() {
    let (_upstream, gateway) = start();
    let browser = Browser::log_in(&gateway, "alice");
    let arguments = ["end", &browser.id, "--reason", "lost & found", "--wait", "--json"];
    let told = json(&done(sessions(&gateway, &arguments)));
    for (name, value) in [
        ("session", json!(browser.id)),
        ("subject", json!("alice")),
        ("reason", json!("lost & found")),
        ("actor", json!("ops")),
        ("confirmed", json!(1)),
        ("gateways", json!(1)),
    ] {
        assert_eq!(told[name], value, "{name} of {told}");
    }
    let arguments = ["end", "--subject", "alice", "--actor", "alert-17", "--json"];
    let told = json(&done(sessions(&gateway, &arguments)));
    assert_eq!((&told["actor"], &told["ended"]), (&json!("alert-17"), &json!(0)), "{told}");
}

#[test]
fn gateway_that_does_not_confirm_is_named_and_the_command_fails() {
    let server = RedisServer::start();
    let upstream = Upstream::start();
    let [first, second] = ["gw-1", "gw-2"].map(|name| {
        let text = people::configuration(&upstream, &redis(&server.settings()));
        let text = text.replace("server: { threads", &format!("server: {{ name: {name}, threads"));
        Gateway::start_in(people::directory(), &text)
    });
    eventually("the roster", || (fleet::roster(&first)?.len() == 2).then_some(()));
    let [one, two] = [(); 2].map(|()| Browser::log_in(&first, "alice"));
    assert!(one.is_in(&second) && two.is_in(&second));
    let printed = done(sessions(&first, &["end", &one.id, "--wait", "10s"]));
    assert!(printed.contains("\nconfirmed on 2 of 2 gateways in "), "{printed}");
    assert!(!one.is_in(&second));
    second.signal("STOP");
    await_silence(&first, "gw-2");
    let ran = sessions(&first, &["end", "--subject", "alice", "--wait", "300ms"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.starts_with("ended 1 session of alice (position 2)\n"), "{ran:?}");
    assert!(ran.stderr.starts_with("portcullis: not confirmed by gw-2 ("), "{ran:?}");
    second.signal("CONT");
    eventually("the end there", || (!two.is_in(&second)).then_some(()));
}

// ---- what makes no sense

#[test]
fn arguments_that_exclude_or_lack_each_other_are_bad_input() {
    let (_upstream, gateway) = start();
    for arguments in [
        vec![],
        vec!["list"],
        vec!["list", NOBODYS],
        vec!["end"],
        vec!["end", NOBODYS, "--subject", "alice"],
        vec!["end", NOBODYS, "--issuer", "gateway"],
        vec!["end", "--issuer", "gateway"],
        vec!["end", "--wait", NOBODYS],
        vec!["end", NOBODYS, NOBODYS],
    ] {
        let told = bad_input(sessions(&gateway, &arguments));
        assert!(told.contains("Usage: portcullis sessions"), "{arguments:?}: {told}");
    }
    assert_eq!(fleet::admin(&gateway, "/v1/revocations").expect("the list")["total"], 0);
}

#[test]
fn what_is_not_understood_is_bad_input_and_no_secret_is_repeated() {
    let (_upstream, gateway) = start();
    let session = format!("__Host-session={NOBODYS}");
    for (arguments, told) in [
        (vec!["end", &session], "portcullis: this is not the id of a session; "),
        (vec!["end", ""], "portcullis: this is not the id of a session; "),
        (vec!["end", ".."], "portcullis: this is not the id of a session; "),
        (vec!["end", "--sbject"], "portcullis: this is not the id of a session; "),
        (vec!["end", NOBODYS, "--wait", "2"], "`2` is not a duration: write 500ms, 2s …\n"),
        (vec!["end", "--subject", ""], "portcullis: `subject` is empty\n"),
        (vec!["list", "--subject", ""], "portcullis: `subject` is empty\n"),
        (
            vec!["list", "--subject", "alice", "--issuer", "tset"],
            "portcullis: there is no issuer `tset`; known are: gateway, test\n",
        ),
    ] {
        let printed = bad_input(sessions(&gateway, &arguments));
        assert!(printed.starts_with(told), "{arguments:?}: {printed}");
        assert!(!printed.contains(NOBODYS), "{printed}");
    }
}

#[test]
fn where_nobody_can_log_in_that_is_bad_input() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&standard(&upstream));
    let told = bad_input(sessions(&gateway, &["list", "--subject", "alice"]));
    assert_eq!(told, "portcullis: nobody can log in: the configuration has no `login`\n");
}

/// What a browser says it is must not draw on the operator's terminal.
#[test]
fn control_characters_of_a_user_agent_are_spelt_out() {
    let (_upstream, gateway) = start();
    let body = json!({ "username": "alice", "password": people::PASSWORD }).to_string();
    let fields = [
        ("Content-Type", "application/json"),
        ("Sec-Fetch-Site", "same-origin"),
        ("User-Agent", "evil\u{9b}2J\u{202e}\ttabs"),
    ];
    let answer = gateway.exchange(client::request("POST", "/auth/login", &fields, &body));
    assert_eq!(answer.status, 200, "{answer:?}");
    let printed = done(sessions(&gateway, &["list", "--subject", "alice"]));
    assert_eq!(printed.lines().count(), 2, "{printed}");
    assert!(!printed.contains(['\u{9b}', '\u{202e}', '\t']), "{printed}");
}
