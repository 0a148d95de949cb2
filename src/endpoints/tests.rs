mod exchange;
mod faulty_stores;
mod fixture;
mod tokens;

use crate::gate::session::{Session, SessionSecret};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::clock;
use crate::endpoints::table::*;
use crate::gate::revocation::{Entry, Scope};
use crate::gate::session::SessionRecord;
use crate::session::revocation::of_changed_users;
use crate::store::record::Record;
use crate::store::session_end::SessionEnd;
use exchange::{Ask, id_of};
use fixture::{Fixture, PASSWORD, compile, hash};

fn scope_of(subject: &str) -> Scope {
    Scope::Subject { issuer: Some("gateway".into()), subject: subject.into() }
}

/// Dated by a clock that is ahead, the session would outlive revocations.
#[tokio::test]
async fn nobody_is_logged_in_before_the_clock_of_a_shared_store_was_read() {
    let fixture = Fixture::of_a_fleet().await;
    let told = fixture.ask(&Ask::login("alice", PASSWORD)).await;
    assert_eq!((told.status, told.slug, told.cookie), (503, Some("store_unavailable"), None));
}

#[tokio::test]
async fn json_login_answers_with_a_session_that_is_there() {
    let fixture = Fixture::new().await;
    let told = fixture.ask(&Ask::login("alice", PASSWORD)).await;
    assert_eq!((told.status, told.slug), (200, None), "{}", told.body);
    let secret = told.cookie.clone().expect("a cookie");
    let id = id_of(&secret);
    let body = told.json();
    assert_eq!(body["subject"], "a1");
    assert_eq!(body["session"]["id"], id.to_string());
    assert_eq!(body["return_to"], "/");
    let token = SessionSecret::parse(secret.as_bytes()).expect("a secret").csrf_token();
    assert_eq!(body["csrf_token"], token);
    assert!(told.field("set-cookie").expect("set").contains("; Secure; HttpOnly; SameSite=Lax"));
    assert_eq!(told.field("cache-control").as_deref(), Some("no-store"));
    let stored = fixture.sessions.stored(id).await.expect("read").expect("there").record;
    assert_eq!((&*stored.subject, &*stored.issuer), ("a1", "gateway"));
    let login = stored.login().expect("it is a login's");
    assert_eq!((&*stored.method, &*login.family), ("password", &*id.to_string()));
    assert_eq!((&*login.address, &*login.user_agent), ("192.0.2.7", "test/1"));
    assert_eq!(stored.ends.since(stored.created), 12 * 3600);
    assert_eq!(fixture.login_metrics.logins.with_label_values(&["password", "ok"]).get(), 1);
    assert_eq!(fixture.sessions.metrics().created("password").get(), 1);
}

#[tokio::test]
async fn form_login_leads_to_where_it_was_asked_to() {
    let fixture = Fixture::new().await;
    let form = "username=alice&password=correct+horse";
    let told = fixture.ask(&Ask::form(&format!("{form}&return_to=%2Fa%3Fb%3Dc"))).await;
    assert_eq!((told.status, told.field("location").as_deref()), (303, Some("/a?b=c")));
    assert!(
        fixture.sessions.stored(id_of(&told.cookie.expect("set"))).await.expect("read").is_some()
    );
    let told = fixture.ask(&Ask::form(&format!("{form}&return_to=https://app.example/x"))).await;
    assert_eq!(told.field("location").as_deref(), Some("https://app.example/x"));
    let told = fixture.ask(&Ask::form(form)).await;
    assert_eq!(told.field("location").as_deref(), Some("/"));
    let told = fixture.ask(&Ask::form(&format!("{form}&return_to=//evil.example"))).await;
    assert_eq!((told.status, told.slug, told.cookie), (400, Some("request_body"), None));
}

#[tokio::test]
async fn failed_login_is_told_in_the_manner_in_which_it_was_tried() {
    let fixture = Fixture::new().await;
    let told = fixture.ask(&Ask::login("alice", "wrong")).await;
    assert_eq!((told.status, told.slug), (401, Some("login_failed")));
    let form = "username=%3Calice%3E&password=wrong&return_to=/a";
    let told = fixture.ask(&Ask::form(form)).await;
    assert_eq!((told.status, told.slug, &told.cookie), (401, Some("login_failed"), &None));
    assert!(told.field("www-authenticate").expect("RFC 9110").starts_with("Bearer realm="));
    for part in ["role=\"alert\"", "value=\"&lt;alice&gt;\"", "value=\"/a\""] {
        assert!(told.body.contains(part), "{part}: {}", told.body);
    }
    assert!(!told.body.contains("wrong\""), "{}", told.body);
    assert_eq!(fixture.login_metrics.logins.with_label_values(&["password", "refused"]).get(), 2);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_in_detail() {
    let fixture = Fixture::new().await;
    let ask = Ask { body: "{}".to_owned(), ..Ask::login("", "") };
    let told = fixture.ask(&ask).await;
    assert_eq!((told.status, told.slug), (400, Some("request_body")));
    let body = told.json();
    assert_eq!((&body["slug"], &body["status"]), (&json!("request_body"), &json!(400)));
    assert_eq!(body["detail"], "`username` is missing");
    let told = fixture.ask(&Ask { fields: Vec::new(), ..ask }).await;
    assert!(told.json()["detail"].as_str().is_some_and(|text| text.contains("application/json")));
    let told = fixture.ask(&Ask::form("username=a")).await;
    assert!(told.status == 400 && told.body.contains("`password` is missing"), "{}", told.body);
    assert_eq!(fixture.login_metrics.logins.with_label_values(&["password", "malformed"]).get(), 3);
}

#[tokio::test]
async fn login_that_another_site_caused_is_refused_and_not_counted() {
    let fixture = Fixture::with("password_file: users.yaml, attempts: {per_account: 1/15m}").await;
    let foreign = Ask {
        fields: vec![
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", "https://evil.example"),
        ],
        ..Ask::form("username=alice&password=wrong")
    };
    for _ in 0..3 {
        let told = fixture.ask(&foreign).await;
        assert_eq!((told.status, told.slug, told.cookie), (403, Some("csrf"), None));
    }
    fixture.log_in("alice").await;
}

#[tokio::test]
async fn attempts_are_bounded_for_each_account_and_forgotten_by_a_success() {
    let fixture = Fixture::with("password_file: users.yaml, attempts: {per_account: 2/4s}").await;
    let wrong = Ask::login("alice", "wrong");
    // Attempts are dated in whole seconds, and all of these have to be in the same one.
    tokio::time::sleep(crate::session::next_second::until_next_second()).await;
    let told = fixture.ask(&wrong).await;
    assert_eq!(told.slug, Some("login_failed"));
    let early = fixture.ask(&Ask::login("alice", PASSWORD)).await;
    assert_eq!((early.status, early.slug, early.retry_after), (429, Some("rate_limited"), Some(1)));
    let form = fixture.ask(&Ask::form("username=alice&password=x")).await;
    assert_eq!((form.status, form.retry_after), (429, Some(1)));
    assert!(form.body.contains("try again in a second"), "{}", form.body);
    fixture.log_in("bob").await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    fixture.log_in("alice").await;
    let told = fixture.ask(&wrong).await;
    assert_eq!(told.slug, Some("login_failed"), "the first one again");
    assert_eq!(fixture.login_metrics.logins.with_label_values(&["password", "limited"]).get(), 2);
}

#[tokio::test]
async fn login_takes_the_place_of_the_session_that_the_browser_had() {
    let fixture = Fixture::new().await;
    let first = fixture.log_in("alice").await;
    let again = Ask { cookie: Some(first.clone()), ..Ask::login("alice", PASSWORD) };
    let second = fixture.ask(&again).await.cookie.expect("a cookie");
    assert_ne!(first, second);
    assert!(fixture.is_revoked(id_of(&first)) && !fixture.is_revoked(id_of(&second)));
    assert!(fixture.sessions.stored(id_of(&first)).await.expect("read").is_none());
    let family = async |cookie: &str| {
        let stored = fixture.sessions.stored(id_of(cookie)).await.expect("read");
        stored.expect("there").record.login().expect("a login").family.to_string()
    };
    assert_eq!(family(&second).await, id_of(&first).to_string());
    let other = Ask { cookie: Some(second.clone()), ..Ask::login("bob", PASSWORD) };
    let third = fixture.ask(&other).await.cookie.expect("a cookie");
    assert!(fixture.is_revoked(id_of(&second)), "whosever it was");
    assert_eq!(family(&third).await, id_of(&third).to_string());
    assert_eq!(fixture.sessions.metrics().ended(SessionEnd::Replaced).get(), 2);
}

#[tokio::test]
async fn nothing_is_told_to_be_ended_that_is_not_written_down() {
    let fixture = Fixture::new().await;
    let cookie = fixture.log_in("alice").await;
    let id = id_of(&cookie);
    fixture.break_log(true);
    let again = Ask { cookie: Some(cookie.clone()), ..Ask::login("alice", PASSWORD) };
    let ends = [
        again.clone(),
        Ask::of(LoginEndpoint::Logout, Some(&cookie)),
        Ask::of(LoginEndpoint::LogoutEverywhere, Some(&cookie)),
        Ask::of(LoginEndpoint::EndSession(id), Some(&cookie)),
    ];
    for ask in &ends {
        let told = fixture.ask(ask).await;
        let expected = (503, Some("store_unavailable"), None);
        assert_eq!((told.status, told.slug, told.cookie), expected, "{:?}", ask.endpoint);
    }
    assert!(fixture.sessions.stored(id).await.expect("read").is_some());
    fixture.break_log(false);
    assert_eq!(fixture.ask(&again).await.status, 200);
}

#[tokio::test]
async fn logout_is_the_same_for_who_is_logged_out_already() {
    let fixture = Fixture::new().await;
    let cookie = fixture.log_in("alice").await;
    let logout = Ask::of(LoginEndpoint::Logout, Some(&cookie));
    for _ in 0..2 {
        let told = fixture.ask(&logout).await;
        assert_eq!((told.status, told.cookie.as_deref()), (204, Some("")));
        assert!(told.field("set-cookie").expect("cleared").ends_with("; Max-Age=0"));
        assert_eq!(told.field("clear-site-data").as_deref(), Some("\"cache\""));
    }
    assert!(fixture.is_revoked(id_of(&cookie)));
    assert_eq!(fixture.sessions.metrics().ended(SessionEnd::Logout).get(), 1);
    let person = Ask { fields: vec![("accept", "text/html")], ..logout };
    let told = fixture.ask(&person).await;
    assert_eq!((told.status, told.field("location").as_deref()), (303, Some("/auth/login")));
}

#[tokio::test]
async fn who_logs_out_everywhere_is_out_and_can_log_in_at_once() {
    let fixture = Fixture::new().await;
    let (first, second) = (fixture.log_in("alice").await, fixture.log_in("alice").await);
    let bob = fixture.log_in("bob").await;
    let told = fixture.ask(&Ask::of(LoginEndpoint::LogoutEverywhere, Some(&first))).await;
    assert_eq!((told.status, told.cookie.as_deref()), (204, Some("")));
    assert!(fixture.in_force.load().gate.revocations.names(&scope_of("a1")));
    for cookie in [&first, &second] {
        assert!(fixture.sessions.stored(id_of(cookie)).await.expect("read").is_none());
    }
    assert!(fixture.sessions.stored(id_of(&bob)).await.expect("read").is_some());
    let begun = Instant::now();
    let cookie = fixture.log_in("alice").await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    let gate = &fixture.in_force.load().gate;
    let stored = fixture.sessions.stored(id_of(&cookie)).await.expect("read").expect("there");
    let session = Session::compile(id_of(&cookie), &stored, &gate.sessions.rules, clock::steady());
    assert!(!session.authentic().is_revoked(&gate.revocations, clock::moment()));
}

/// A session dated slightly in the future needs an entry of its own.
#[tokio::test]
async fn logout_everywhere_that_is_half_done_can_be_asked_for_again() {
    let fixture = Fixture::new().await;
    let (cookie, ahead) = (fixture.log_in("alice").await, fixture.log_in("alice").await);
    let stored = fixture.sessions.stored(id_of(&ahead)).await.expect("read").expect("there");
    fixture.sessions.end(id_of(&ahead)).await.expect("written");
    let created = clock::now().plus(100);
    let record = SessionRecord { created, ..stored.record };
    fixture.sessions.begin(id_of(&ahead), record, None).await.expect("written");
    let everywhere = Ask::of(LoginEndpoint::LogoutEverywhere, Some(&cookie));
    fixture.left.store(1, Ordering::Relaxed);
    let told = fixture.ask(&everywhere).await;
    assert_eq!((told.status, told.slug), (503, Some("store_unavailable")));
    assert!(fixture.sessions.stored(id_of(&cookie)).await.expect("read").is_some(), "who asks");
    fixture.break_log(false);
    assert_eq!(fixture.ask(&everywhere).await.status, 204);
    for cookie in [&cookie, &ahead] {
        assert!(fixture.sessions.stored(id_of(cookie)).await.expect("read").is_none());
    }
}

#[tokio::test]
async fn who_is_cut_off_for_longer_cannot_log_in() {
    let fixture = Fixture::new().await;
    let ahead = Some(clock::now().plus(3600));
    let entry = Entry::compile(scope_of("a1"), ahead, None, [3600], clock::now());
    let (actor, reason) = ("admin".into(), "test".into());
    let record = Record {
        entry,
        written_us: 0,
        actor,
        reason,
        mark: 1,
        owner: None,
        is_for_nobody: false,
        lifts: [].into(),
    };
    fixture.revocations.append(record).await.expect("appended");
    let told = fixture.ask(&Ask::login("alice", PASSWORD)).await;
    assert_eq!((told.status, told.slug, told.cookie), (401, Some("session_revoked"), None));
    fixture.log_in("bob").await;
}

#[tokio::test]
async fn one_sees_and_ends_ones_own_sessions_only() {
    let fixture = Fixture::new().await;
    let (here, there) = (fixture.log_in("alice").await, fixture.log_in("alice").await);
    let bob = fixture.log_in("bob").await;
    let told = fixture.ask(&Ask::of(LoginEndpoint::Session, Some(&here))).await.json();
    assert_eq!((&told["subject"], &told["issuer"]), (&json!("a1"), &json!("gateway")));
    assert_eq!((&told["roles"], &told["claims"]), (&json!(["clerk"]), &json!({"email": "a@b.c"})));
    assert_eq!(told["session"]["family"], id_of(&here).to_string());
    let created = told["session"]["created_at"].as_str().expect("a time");
    assert!(created.len() == 20 && created.ends_with('Z'), "{created}");
    let sessions = async || {
        let told = fixture.ask(&Ask::of(LoginEndpoint::Sessions, Some(&here))).await.json();
        told["sessions"].as_array().expect("a list").clone()
    };
    let listed = sessions().await;
    assert_eq!(listed.len(), 2);
    for session in &listed {
        assert_eq!(session["current"], session["id"] == id_of(&here).to_string());
        assert_eq!(session["user_agent"], "test/1");
    }
    let end = |cookie: &str| Ask::of(LoginEndpoint::EndSession(id_of(cookie)), Some(&here));
    let told = fixture.ask(&end(&bob)).await;
    assert_eq!((told.status, told.slug), (404, Some("route_unknown")));
    assert!(!fixture.is_revoked(id_of(&bob)));
    let told = fixture.ask(&end(&there)).await;
    assert_eq!((told.status, told.cookie), (204, None));
    assert!(fixture.is_revoked(id_of(&there)) && sessions().await.len() == 1);
    let told = fixture.ask(&end(&there)).await;
    assert_eq!(told.status, 404, "it is gone");
    let told = fixture.ask(&end(&here)).await;
    assert_eq!((told.status, told.cookie.as_deref()), (204, Some("")), "it was this one");
    assert_eq!(fixture.sessions.metrics().ended(SessionEnd::Device).get(), 2);
}

#[tokio::test]
async fn attempt_that_nobody_could_decide_is_given_back() {
    let login = "handoff: {upstream: identity, path: /v, subject: /id}, \
                 attempts: {per_account: 1/15m, per_address: 1/15m}";
    let fixture = Fixture::with(login).await;
    for _ in 0..3 {
        let told = fixture.ask(&Ask::login("alice", PASSWORD)).await;
        assert_eq!((told.status, told.slug), (502, Some("upstream_unavailable")));
    }
    let told = fixture.ask(&Ask::form("username=alice&password=x")).await;
    assert!(told.status == 502 && told.body.contains("at the moment"), "{}", told.body);
    assert_eq!(
        fixture.login_metrics.logins.with_label_values(&["handoff", "unavailable"]).get(),
        4
    );
}

#[tokio::test]
async fn page_keeps_a_place_to_go_to_that_is_accepted_and_drops_others() {
    let fixture = Fixture::new().await;
    for (target, kept) in [
        ("/auth/login", "/"),
        ("/auth/login?return_to=%2Fa%3Fb", "/a?b"),
        ("/auth/login?x=y&return_to=https://app.example/z", "https://app.example/z"),
        ("/auth/login?return_to=//evil.example", "/"),
        ("/auth/login?return_to=/a&return_to=/b", "/"),
        ("/auth/login?return_to=%zz", "/"),
    ] {
        let told = fixture.ask(&Ask { target, ..Ask::of(LoginEndpoint::LoginPage, None) }).await;
        let field = format!("name=\"return_to\" value=\"{kept}\"");
        assert!(told.status == 200 && told.body.contains(&field), "{target}: {}", told.body);
    }
}

#[tokio::test]
async fn changed_and_removed_users_are_cut_off_and_nobody_else() {
    let fixture = Fixture::new().await;
    let old = fixture.in_force.load_full();
    let changed = |users: &str, login: &str| {
        std::fs::write(fixture.directory.path().join("users.yaml"), users).expect("written");
        let records = of_changed_users(&old, &compile(&fixture.directory, login, Some(&old)));
        let now = clock::now();
        assert!(records.iter().all(|record| !record.entry.is_spent(now.plus(12 * 3600))));
        assert!(records.iter().all(|record| &*record.reason == "user_changed"));
        records.into_iter().map(|record| record.entry.scope).collect::<Vec<_>>()
    };
    let file = "password_file: users.yaml";
    let alice = format!(
        "alice: {{password: '{}', subject: a1, roles: [clerk], claims: {{email: a@b.c}}}}\n",
        hash()
    );
    let bob = |role: &str| format!("bob: {{password: '{}', roles: [{role}]}}\n", hash());
    assert_eq!(changed(&format!("{alice}{}", bob("")), file), []);
    assert_eq!(changed(&format!("{alice}{}", bob("admin")), file), [scope_of("bob")]);
    assert_eq!(changed(&alice, file), [scope_of("bob")]);
    let handoff = "handoff: {upstream: identity, path: /v, subject: /id}";
    assert_eq!(changed(&alice, handoff), [scope_of("a1"), scope_of("bob")]);
}
