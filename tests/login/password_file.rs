//! The password file: who is let in, who is not, and what neither tells.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, ParamsBuilder, Version};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::client::{self, Answer};
use crate::harness::fleet::{redis, revocation};
use crate::harness::login::{COOKIE, Login, PASSWORD, everybody, hash, user, write_users};
use crate::harness::password_login::{LoginGateway, MANY, WRONG, assert_refused, cookie_of, guess};
use crate::harness::redis::RedisServer;
use crate::harness::{eventually, gateway};

/// A directory with this password file.
fn directory_of(users: &Value) -> Arc<TempDir> {
    let directory = gateway::directory();
    write_users(directory.path(), users);
    directory
}

/// A hash that was made with these parameters.
fn hash_with(password: &str, version: Version, params: Params, salt: &[u8]) -> String {
    let argon2 = Argon2::new(Algorithm::Argon2id, version, params);
    let salt = SaltString::encode_b64(salt).expect("a salt");
    argon2.hash_password(password.as_bytes(), &salt).expect("a hash").to_string()
}

#[test]
fn right_password_in_json_gives_a_cookie_and_says_who_it_is() {
    let site = LoginGateway::open();
    let body = json!({ "username": "alice", "password": PASSWORD, "deliver": "session" });
    let answer = site.json(&body);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let set = answer.field("set-cookie").expect("a cookie");
    let (name, rest) = set.split_once('=').expect("a value");
    let (value, attributes) = rest.split_once("; ").expect("attributes");
    assert_eq!((name, value.len()), (COOKIE, 43));
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
    let told = answer.json();
    let names: BTreeSet<_> = told.as_object().expect("an object").keys().cloned().collect();
    let expected = ["csrf_token", "return_to", "session", "subject"].map(str::to_owned);
    assert_eq!(names, expected.into());
    assert_eq!((&told["subject"], &told["return_to"]), (&json!("u-17"), &json!("/")));
    assert!(!answer.body.contains(value), "the secret is for the cookie alone");

    let login = Login::read(&answer);
    assert_eq!(login.ask(site.address(), "/pages/x").status, 200);
    let received = site.upstream.last();
    assert_eq!(received.values("x-auth-subject"), ["u-17"]);
    assert_eq!(received.values("x-auth-roles"), ["clerk"]);
    assert_eq!(received.values("x-auth-scopes"), ["orders:read"]);
    assert_eq!(received.values("x-auth-email"), ["somebody@example.test"]);
    assert_eq!(received.values("x-auth-session"), [&login.id]);
    assert_eq!(received.values("cookie"), [""; 0]);
    let count = "portcullis_logins_total{method=\"password\",result=\"ok\"}";
    assert_eq!(site.gateway.metric(count), 1.0);
}

#[test]
fn right_password_in_a_form_gives_a_cookie_and_leads_on() {
    let site = LoginGateway::open();
    let there = "/pages/a%20b?c=d&e=%2F";
    let pairs = [("username", "alice"), ("password", PASSWORD), ("return_to", there)];
    let answer = site.form(&pairs);
    assert_eq!((answer.status, answer.field("location")), (303, Some(there)), "{answer:?}");
    assert_eq!(answer.body, "");
    let cookie = cookie_of(&answer);
    assert_eq!(site.navigate(there, &[("Cookie", &cookie)]).status, 200);
    assert_eq!(site.upstream.last().line(), format!("GET {there} HTTP/1.1"));
    let answer = site.form(&pairs[..2]);
    assert_eq!((answer.status, answer.field("location")), (303, Some("/")), "{answer:?}");
}

/// All of an answer but what is another each time.
fn gist(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let body = match answer.field("content-type") {
        Some("application/problem+json") => {
            let mut told = answer.json();
            told["request_id"] = Value::Null;
            told.to_string()
        }
        _ => answer.body.clone(),
    };
    let fields = answer.fields.iter();
    let fields = fields.filter(|(name, _)| !["date", "x-request-id"].contains(&&**name));
    (answer.status, fields.cloned().collect(), body)
}

#[test]
fn wrong_password_and_unknown_name_get_the_same_answer() {
    let site = LoginGateway::open();
    let wrong = guess(site.address(), "alice", WRONG, &[]);
    assert_refused(&wrong, 401, "login_failed");
    // As long as the name that is known.
    let unknown = guess(site.address(), "nobod", WRONG, &[]);
    assert_eq!(gist(&wrong), gist(&unknown));
    // Subjects are not names.
    let subject = guess(site.address(), "u-17", PASSWORD, &[]);
    assert_eq!(gist(&wrong), gist(&subject));

    let form = |name: &str| {
        let answer = site.form(&[("username", name), ("password", WRONG)]);
        assert_eq!((answer.status, answer.field("set-cookie")), (401, None), "{answer:?}");
        assert!(!answer.body.contains(WRONG), "{answer:?}");
        let (status, fields, body) = gist(&answer);
        (status, fields, body.replace(name, "NAME"))
    };
    assert_eq!(form("alice"), form("nobod"));
    let count = "portcullis_logins_total{method=\"password\",result=\"refused\"}";
    assert_eq!(site.gateway.metric(count), 5.0);
}

/// The CPU time that a process has used, in hundredths of a second.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let fields: Vec<_> = after_name.split_whitespace().collect();
    [11, 12].iter().map(|at: &usize| fields[*at].parse::<u64>().expect("ticks")).sum()
}

#[test]
fn unknown_name_costs_as_much_work_as_a_known_one() {
    let params = Params::new(48 * 1024, 3, 1, None).expect("parameters");
    let hash = hash_with(PASSWORD, Version::V0x13, params, &[7; 16]);
    let site =
        LoginGateway::open_in(directory_of(&json!({ "alice": { "password": hash } })), "", MANY);
    let cost = |name: &str| {
        let before = ticks(site.gateway.pid());
        for _ in 0..5 {
            assert_refused(&guess(site.address(), name, WRONG, &[]), 401, "login_failed");
        }
        ticks(site.gateway.pid()) - before
    };
    cost("alice");
    let (known, unknown) = (cost("alice"), cost("mallory"));
    assert!(known >= 10, "{known} ticks are nothing to compare");
    let ratio = unknown as f64 / known as f64;
    assert!((0.5..2.0).contains(&ratio), "{unknown} ticks for an unknown name, {known} otherwise");
}

#[test]
fn passwords_are_taken_as_they_were_typed() {
    let long = "p".repeat(1024);
    let passwords = [
        "a\0b",
        "\0",
        " ",
        "  spaces  ",
        "\u{1f512}\u{1f511}",
        "caf\u{e9}",
        "cafe\u{301}",
        "+%2B&=",
        "\u{feff}x",
        "line\r\nbreak",
        &long,
    ];
    let names: Vec<_> = (0..passwords.len()).map(|number| format!("user{number}")).collect();
    let users = names.iter().zip(passwords);
    let users = users.map(|(name, password)| (name.clone(), json!({ "password": hash(password) })));
    let site = LoginGateway::open_in(directory_of(&Value::Object(users.collect())), "", MANY);
    for (name, password) in names.iter().zip(passwords) {
        let answer = site.json(&json!({ "username": name, "password": password }));
        assert_eq!(answer.status, 200, "{password:?}: {answer:?}");
        let answer = site.form(&[("username", name), ("password", password)]);
        assert_eq!(answer.status, 303, "{password:?}: {answer:?}");
    }
    // What some would take for the same.
    let others =
        ["a", "", "", "spaces", "\u{1f512}", "cafe\u{301}", "caf\u{e9}", "%2B", "x", "line\nbreak"];
    for (name, password) in names.iter().zip(others) {
        let answer = site.json(&json!({ "username": name, "password": password }));
        match password {
            "" => assert_refused(&answer, 400, "request_body"),
            _ => assert_refused(&answer, 401, "login_failed"),
        }
    }
    let longer = site.json(&json!({ "username": "user10", "password": long + "p" }));
    assert_refused(&longer, 400, "request_body");
}

#[test]
fn names_are_taken_as_they_were_typed() {
    let longest = "n".repeat(256);
    let users = json!({
        "alice": user(json!({})),
        "zo\u{eb} & co/+1": user(json!({})),
        (longest.clone()): user(json!({})),
    });
    let site = LoginGateway::open_in(directory_of(&users), "", MANY);
    for name in ["alice", "zo\u{eb} & co/+1", &longest] {
        let answer = site.form(&[("username", name), ("password", PASSWORD)]);
        assert_eq!(answer.status, 303, "{name}: {answer:?}");
    }
    for name in [
        "Alice",
        " alice",
        "alice ",
        "alice\0",
        "\u{430}lice",
        "al\u{200b}ice",
        "zoe\u{308} & co/+1",
    ] {
        assert_refused(&guess(site.address(), name, PASSWORD, &[]), 401, "login_failed");
    }
    for name in ["", &(longest + "n")] {
        assert_refused(&guess(site.address(), name, PASSWORD, &[]), 400, "request_body");
    }
}

#[test]
fn hashes_may_differ_in_all_their_parameters() {
    let params = |memory: u32, passes: u32, lanes: u32| {
        Params::new(memory, passes, lanes, None).expect("parameters")
    };
    let long = ParamsBuilder::new().m_cost(7 * 1024).t_cost(1).output_len(64).build();
    let hashes = [
        hash_with("zero", Version::V0x13, params(7 * 1024, 1, 1), &[1; 8]),
        hash_with("one", Version::V0x13, params(19 * 1024, 2, 1), &[2; 16]),
        hash_with("two", Version::V0x13, params(8 * 1024, 3, 4), &[3; 32]),
        hash_with("three", Version::V0x10, params(7 * 1024, 1, 1), &[4; 16]),
        hash_with("four", Version::V0x13, long.expect("parameters"), &[5; 16]),
    ];
    let names = ["zero", "one", "two", "three", "four"];
    let users = names.iter().zip(&hashes);
    let users = users.map(|(name, hash)| ((*name).to_owned(), json!({ "password": hash })));
    let site = LoginGateway::open_in(directory_of(&Value::Object(users.collect())), "", MANY);
    for name in names {
        // Everybody's password is their own name.
        for password in names {
            let answer = guess(site.address(), name, password, &[]);
            assert_eq!(answer.status, if name == password { 200 } else { 401 }, "{answer:?}");
        }
    }
}

#[test]
fn users_file_is_read_again_and_only_those_who_changed_are_logged_out() {
    let site = LoginGateway::open();
    let address = site.address();
    let logins = ["alice", "bob", "carol"].map(|name| Login::new(address, name));
    let [alice, bob, carol] = &logins;
    let mut users = everybody();
    users["alice"] = user(json!({ "subject": "u-17", "password": hash("another") }));
    users.as_object_mut().expect("an object").remove("bob");
    users["erin"] = user(json!({}));
    write_users(site.gateway.directory(), &users);
    eventually("the new password", || {
        (guess(address, "alice", "another", &[]).status == 200).then_some(())
    });
    assert_refused(&guess(address, "alice", PASSWORD, &[]), 401, "login_failed");
    assert_refused(&guess(address, "bob", PASSWORD, &[]), 401, "login_failed");
    Login::new(address, "erin");
    for gone in [alice, bob] {
        assert_refused(&gone.ask(address, "/pages/x"), 401, "session_revoked");
    }
    assert_eq!(carol.ask(address, "/pages/x").status, 200);

    let file = site.gateway.directory().join("users.yaml");
    std::fs::write(file, "carol: { password: plain }").expect("a file");
    let failed = "portcullis_config_reloads_total{result=\"failed\"}";
    eventually("a refused file", || (site.gateway.metric(failed) == 1.0).then_some(()));
    assert_eq!(carol.ask(address, "/pages/x").status, 200);
    Login::new(address, "carol");
}

#[test]
fn change_that_the_store_takes_late_ends_no_login_with_the_new_password() {
    const ENTRIES_MAX: usize = 20;
    let server = RedisServer::start();
    let sections =
        redis(&server.settings()) + &format!("revocation: {{ max_entries: {ENTRIES_MAX} }}\n");
    let site = LoginGateway::open_with(&sections, MANY);
    let address = site.address();
    let before = Login::new(address, "alice");
    // There is room for nothing.
    for number in 0..ENTRIES_MAX {
        let draft = json!({ "scope": "token", "issuer": "test", "jti": number.to_string() });
        let revoked = client::exchange(site.gateway.admin(), revocation(&draft));
        assert_eq!(revoked.status, 201, "{revoked:?}");
    }
    let mut users = everybody();
    users["alice"] = user(json!({ "subject": "u-17", "password": hash("another") }));
    write_users(site.gateway.directory(), &users);
    let is_told = |part: &str| site.gateway.errors().iter().any(|line| line.contains(part));
    eventually("a change that finds no room", || {
        is_told("of a changed user are not ended yet").then_some(())
    });
    // Cut-offs count in seconds: in a later one than the change.
    std::thread::sleep(Duration::from_millis(1100));
    let answer = guess(address, "alice", "another", &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    let after = Login::read(&answer);
    assert_eq!(before.ask(address, "/pages/x").status, 200, "the change is in force already");
    // In a later second than the login.
    std::thread::sleep(Duration::from_millis(1100));
    server.cli(&["zremrangebyrank", "portcullis:{revocations}:live", "0", "9"]);
    eventually("the change in the store", || {
        is_told("the password file changed: sessions are ended").then_some(())
    });
    assert_refused(&before.ask(address, "/pages/x"), 401, "session_revoked");
    assert_eq!(after.ask(address, "/pages/x").status, 200);
}
