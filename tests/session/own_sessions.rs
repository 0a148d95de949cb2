//! `GET session` and `GET sessions`: what somebody may know of themselves, and of nobody else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::client;
use crate::harness::login::{self, Login};
use crate::harness::password_login::{LoginGateway, MANY, assert_refused};
use crate::harness::tokens::seconds;

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn session_tells_who_somebody_is_and_until_when() {
    let site =
        LoginGateway::open_with("sessions: { idle_timeout: 10m, absolute_timeout: 2h }", MANY);
    let login = Login::new(site.address(), "alice");
    let answer = login.ask(site.address(), "/auth/session");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("set-cookie"), None);
    assert!(!answer.body.contains(login.secret()), "{answer:?}");
    let told = answer.json();
    let members =
        ["subject", "issuer", "method", "roles", "scopes", "claims", "session", "csrf_token"];
    assert_eq!(names(&told), BTreeSet::from(members), "{told}");
    assert_eq!(told["subject"], "u-17");
    assert_eq!(told["issuer"], "gateway");
    assert_eq!(told["method"], "password");
    assert_eq!(told["roles"], json!(["clerk"]));
    assert_eq!(told["scopes"], json!(["orders:read"]));
    assert_eq!(told["claims"], json!({ "email": "somebody@example.test", "tenant": "acme" }));
    assert_eq!(told["csrf_token"], json!(login.csrf));
    let session = &told["session"];
    let members = ["id", "created_at", "last_seen_at", "expires_at", "idle_expires_at", "family"];
    assert_eq!(names(session), BTreeSet::from(members), "{told}");
    assert_eq!(session["id"], json!(login.id));
    let created = seconds(&session["created_at"]);
    assert_eq!(seconds(&session["expires_at"]) - created, 2 * 3600);
    assert!((600..605).contains(&(seconds(&session["idle_expires_at"]) - created)), "{told}");
    assert!((0..5).contains(&(seconds(&session["last_seen_at"]) - created)), "{told}");
}

#[test]
fn list_names_ones_own_sessions_and_which_is_this() {
    let site = LoginGateway::open_with("trusted_proxies: [127.0.0.0/8]", MANY);
    let address = site.address();
    let device = [("User-Agent", "Device <b>/1"), ("X-Forwarded-For", "2001:db8::7")];
    let here = Login::read(&login::attempt(address, "alice", &device));
    let other = Login::new(address, "alice");
    let gone = Login::new(address, "alice");
    gone.log_out(address);
    Login::new(address, "bob");
    let answer = here.ask(address, "/auth/sessions");
    assert_eq!(answer.field("content-type"), Some("application/json"), "{answer:?}");
    for secret in [&here, &other, &gone] {
        assert!(!answer.body.contains(secret.secret()) && !answer.body.contains(&secret.csrf));
    }
    let told = answer.json();
    let sessions = told["sessions"].as_array().expect("sessions");
    let ids: BTreeSet<_> = sessions.iter().map(|one| one["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, BTreeSet::from([&*here.id, &*other.id]), "{told}");
    for session in sessions {
        let is_here = session["id"] == here.id.as_str();
        assert_eq!(session["current"], json!(is_here));
        assert_eq!(session["method"], "password");
        let (agent, from) =
            if is_here { ("Device <b>/1", "2001:db8::7") } else { ("", "127.0.0.1") };
        assert_eq!((&session["user_agent"], &session["address"]), (&json!(agent), &json!(from)));
        for time in ["created_at", "last_seen_at", "expires_at", "idle_expires_at"] {
            seconds(&session[time]);
        }
    }
}

#[test]
fn nobody_is_told_anything_without_a_session() {
    let site = LoginGateway::open();
    let unknown = format!("__Host-session={}", "A".repeat(43));
    for path in ["/auth/session", "/auth/sessions"] {
        let ask = |fields: &[(&str, &str)]| site.gateway.exchange(client::get(path, fields));
        assert_refused(&ask(&[]), 401, "credential_absent");
        assert_refused(&ask(&[("Cookie", &unknown)]), 401, "session_unknown");
        assert_refused(&ask(&[("Cookie", "__Host-session=x")]), 400, "credential_malformed");
        // A token is no session.
        let bearer = crate::harness::tokens::bearer(&crate::harness::tokens::token(json!({})));
        assert_refused(&ask(&[("Authorization", &bearer)]), 401, "credential_absent");
    }
}
