//! What must not be found where it does not belong: passwords, cookies, and who failed to log in.

use crate::harness::login::{self, Login, PASSWORD};
use crate::harness::password_login::{JSON, LoginGateway, WRONG, guess};
use crate::harness::{client, eventually};

const TYPED: &str = "Tr0ub4dor&3 typed by somebody";
const NAME: &str = "his-password-typed-as-a-name";

/// Every file below a directory, with its bytes.
fn files(directory: &std::path::Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => files(&path, found),
            false => {
                found.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()))
            }
        }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn logs_and_files_hold_no_password_no_cookie_and_no_name_that_failed() {
    let sections = "access_log: { query: true }";
    let site = LoginGateway::open_with(
        sections,
        "attempts: { per_account: 4/1h, per_address: 100000/1s }",
    );
    let address = site.address();
    let login = Login::new(address, "alice");
    let other = Login::read(&login::attempt(address, "bob", &[("Cookie", &login.cookie)]));
    for path in ["/pages/x", "/auth/session", "/auth/sessions", "/nowhere"] {
        other.ask(address, path);
        site.navigate(path, &[("Cookie", &other.cookie)]);
    }
    for _ in 0..3 {
        guess(address, NAME, TYPED, &[]);
        site.form(&[("username", NAME), ("password", TYPED)]);
    }
    guess(address, "alice", TYPED, &other.fields());
    site.form(&[("username", NAME), ("password", TYPED), ("return_to", "//evil.test")]);
    site.post(&[("Content-Type", "text/plain")], TYPED);
    site.post(&[("Content-Type", JSON)], &format!("{{\"password\":\"{TYPED}\",\"x\":\"{NAME}\"}}"));
    let planted = format!("__Host-session={}", "C".repeat(43));
    site.gateway.exchange(client::get("/pages/x", &[("Cookie", &planted)]));
    let twice = format!("{}; {}", other.cookie, other.cookie);
    site.gateway.exchange(client::get("/pages/x", &[("Cookie", &twice)]));
    other.send(address, "DELETE", &format!("/auth/sessions/{}", login.id));
    other.send(address, "POST", "/auth/logout-everywhere");
    // Whatever was to be written is written when this is.
    site.gateway.exchange(client::get("/public/last", &[]));
    site.gateway.logged(|line| line["path"] == "/public/last");
    eventually("a quiet moment", || (!site.gateway.output().is_empty()).then_some(()));

    let written = [site.gateway.output(), site.gateway.errors()].concat().join("\n");
    assert!(written.contains("/auth/login") && written.contains("listening on"), "{written}");
    let secrets = [
        TYPED,
        "Tr0ub4dor",
        NAME,
        PASSWORD,
        "correct+horse",
        login.secret(),
        other.secret(),
        &login.csrf,
        &other.csrf,
        &"C".repeat(43),
    ];
    for secret in secrets {
        assert!(!written.contains(secret), "{secret} is in\n{written}");
    }
    let mut found = Vec::new();
    files(site.gateway.directory(), &mut found);
    assert!(found.iter().any(|(path, _)| path.ends_with(".redb")), "there is a store");
    for (path, bytes) in found {
        for secret in secrets {
            assert!(!holds(&bytes, secret), "{secret} is in {path}");
        }
    }
}

#[test]
fn access_log_says_who_was_let_in_by_subject_and_session_alone() {
    let site = LoginGateway::open();
    let login = Login::new(site.address(), "alice");
    login.ask(site.address(), "/pages/x");
    let line = site.gateway.logged(|line| line["path"] == "/pages/x");
    assert_eq!((&line["carrier"], &line["subject"]), (&"session".into(), &"u-17".into()));
    let line = site.gateway.logged(|line| line["path"] == "/auth/login");
    assert_eq!((&line["route"], &line["status"]), (&"gateway:own".into(), &200.into()), "{line}");
    guess(site.address(), "alice", WRONG, &[]);
    let line = site.gateway.logged(|line| line["slug"] == "login_failed");
    assert_eq!((&line["status"], &line["outcome"]), (&401.into(), &"denied".into()), "{line}");
    assert!(line.get("subject").is_none_or(serde_json::Value::is_null), "{line}");
}
