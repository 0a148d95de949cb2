//! Logging out: here, everywhere, and on another device.

use serde_json::json;

use crate::harness::client::{self, Answer};
use crate::harness::gateway::Gateway;
use crate::harness::login::{self, Login};
use crate::harness::password_login::{
    FORM, LoginGateway, MANY, NAVIGATION, WRONG, assert_refused, configuration, guess,
};

const CLEARED: &str = "__Host-session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";

/// Told that it is logged out, and made to forget.
#[track_caller]
fn assert_gone(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.field("set-cookie"), Some(CLEARED), "{answer:?}");
    assert_eq!(answer.field("clear-site-data"), Some("\"cache\""), "{answer:?}");
    assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer:?}");
}

#[test]
fn logout_ends_the_session_and_takes_the_cookie_back() {
    let site = LoginGateway::open();
    let (here, other) = (Login::new(site.address(), "alice"), Login::new(site.address(), "alice"));
    assert_gone(&here.send(site.address(), "POST", "/auth/logout"), 204);
    for path in ["/pages/x", "/auth/session", "/auth/sessions"] {
        assert_refused(&here.ask(site.address(), path), 401, "session_revoked");
    }
    assert_eq!(other.ask(site.address(), "/pages/x").status, 200);
    let count = "portcullis_sessions_ended_total{cause=\"logout\"}";
    assert_eq!(site.gateway.metric(count), 1.0);
}

/// From memory, and by a gateway that has nothing of it there.
#[test]
fn log_says_what_ended_a_session_that_is_gone() {
    let LoginGateway { mut gateway, upstream } = LoginGateway::open();
    let login = Login::new(gateway.address(), "alice");
    login.log_out(gateway.address());
    let reason = |gateway: &Gateway| {
        assert_refused(&login.ask(gateway.address(), "/pages/x"), 401, "session_revoked");
        let line = gateway.logged(|line| line["path"] == "/pages/x");
        line["reason"].as_str().unwrap_or_default().to_owned()
    };
    let told = reason(&gateway);
    assert!(told.contains("of the scope `session`"), "{told:?}");
    let directory = gateway.shared_directory();
    gateway.signal("KILL");
    gateway.wait();
    let text = configuration(&upstream, "", &format!("password_file: users.yaml\n  {MANY}"));
    let told = reason(&Gateway::start_in(directory, &text));
    assert!(told.contains("of the scope `session`") && told.contains("deleted"), "{told:?}");
}

#[test]
fn logout_of_whoever_is_logged_out_is_the_same() {
    let site = LoginGateway::open();
    let gone = Login::new(site.address(), "alice");
    gone.log_out(site.address());
    let unknown = format!("__Host-session={}", "A".repeat(43));
    for cookie in [&gone.cookie, &gone.cookie, &unknown, "other=x"] {
        let fields = [("Cookie", cookie)];
        assert_gone(
            &site.gateway.exchange(client::request("POST", "/auth/logout", &fields, "")),
            204,
        );
    }
    assert_gone(&site.gateway.exchange(client::request("POST", "/auth/logout", &[], "")), 204);
    assert_eq!(site.gateway.metric("portcullis_sessions_ended_total{cause=\"logout\"}"), 1.0);
}

#[test]
fn person_who_logs_out_is_led_to_the_login_page() {
    let site = LoginGateway::open();
    let logout = |login: &Login, path: &str| {
        let fields =
            [&NAVIGATION[..], &[("Cookie", &*login.cookie), ("Content-Type", FORM)]].concat();
        site.gateway.exchange(client::request("POST", path, &fields, ""))
    };
    for path in ["/auth/logout", "/auth/logout-everywhere"] {
        let login = Login::new(site.address(), "alice");
        let answer = logout(&login, path);
        assert_gone(&answer, 303);
        assert_eq!(answer.field("location"), Some("/auth/login"));
        assert_eq!(login.ask(site.address(), "/pages/x").status, 401);
    }
}

#[test]
fn logout_everywhere_ends_all_sessions_of_the_subject_and_no_others() {
    let site = LoginGateway::open();
    let address = site.address();
    let [first, second, third] = [(); 3].map(|()| Login::new(address, "alice"));
    let bob = Login::new(address, "bob");
    assert_gone(&second.send(address, "POST", "/auth/logout-everywhere"), 204);
    for login in [&first, &second, &third] {
        assert_refused(&login.ask(address, "/pages/x"), 401, "session_revoked");
    }
    assert_eq!(bob.ask(address, "/pages/x").status, 200);
    // At once, in the same second, she may come back.
    let again = Login::new(address, "alice");
    assert_eq!(again.ask(address, "/pages/x").status, 200);
    assert_refused(&first.ask(address, "/pages/x"), 401, "session_revoked");
    // It is nobody's to ask for who is not logged in.
    let answer = site.gateway.exchange(client::request("POST", "/auth/logout-everywhere", &[], ""));
    assert_refused(&answer, 401, "credential_absent");
}

#[test]
fn cookie_is_taken_back_by_a_logout_and_by_nothing_else() {
    let site = LoginGateway::open();
    let address = site.address();
    let login = Login::new(address, "alice");
    let old = Login::new(address, "alice");
    old.log_out(address);
    let end = format!("/auth/sessions/{}", login.id);
    for cookie in [&login.cookie, &old.cookie] {
        let ask = |method: &str, path: &str, more: &[(&str, &str)]| {
            let fields = [&[("Cookie", cookie.as_str())], more].concat();
            site.gateway.exchange(client::request(method, path, &fields, ""))
        };
        let cross = [("Sec-Fetch-Site", "cross-site")];
        let answers = [
            ask("GET", "/pages/x", &[]),
            ask("GET", "/pages/x", &NAVIGATION),
            ask("GET", "/whoami", &[]),
            ask("GET", "/nowhere", &[]),
            ask("POST", "/pages/x", &cross),
            ask("GET", "/auth/login", &[]),
            ask("GET", "/auth/session", &[]),
            ask("POST", "/auth/logout-everywhere", &cross),
            ask("DELETE", &end, &cross),
            guess(address, "alice", WRONG, &[("Cookie", cookie)]),
            guess(address, "", WRONG, &[("Cookie", cookie)]),
        ];
        for answer in answers {
            assert_eq!(answer.field("set-cookie"), None, "{answer:?}");
            assert_eq!(answer.field("clear-site-data"), None, "{answer:?}");
        }
    }
    assert_eq!(login.ask(address, "/pages/x").status, 200);
}

#[test]
fn login_takes_the_place_of_the_session_that_the_browser_had() {
    let site = LoginGateway::open();
    let address = site.address();
    let alice = Login::new(address, "alice");
    // One that fails does not.
    assert_refused(&guess(address, "bob", WRONG, &alice.fields()), 401, "login_failed");
    assert_eq!(alice.ask(address, "/pages/x").status, 200);
    let bob = alice.again(address, "bob");
    assert_ne!(alice.cookie, bob.cookie);
    assert_refused(&alice.ask(address, "/pages/x"), 401, "session_revoked");
    assert_eq!(bob.ask(address, "/auth/session").json()["subject"], "bob");
    // Whatever was planted does not become a session, and does not keep anybody out.
    for planted in [format!("__Host-session={}", "B".repeat(43)), "__Host-session=x".to_owned()] {
        let answer = login::attempt(address, "carol", &[("Cookie", &planted)]);
        let carol = Login::read(&answer);
        assert!(!planted.contains(carol.secret()));
        assert_eq!(carol.ask(address, "/auth/session").json()["subject"], "carol");
    }
}

#[test]
fn one_of_ones_own_sessions_can_be_ended_and_nobody_elses() {
    let site = LoginGateway::open();
    let address = site.address();
    let (here, other) = (Login::new(address, "alice"), Login::new(address, "alice"));
    let bob = Login::new(address, "bob");
    let end = |who: &Login, id: &str| who.send(address, "DELETE", &format!("/auth/sessions/{id}"));

    // Whether there is such a session is nobody's business but its user's.
    let (others, nobodys) = (end(&here, &bob.id), end(&here, &"A".repeat(43)));
    for answer in [&others, &nobodys] {
        assert_eq!((answer.status, answer.field("set-cookie")), (404, None), "{answer:?}");
        assert_eq!(answer.slug(), nobodys.slug());
    }
    assert_eq!(bob.ask(address, "/pages/x").status, 200);

    let answer = end(&here, &other.id);
    assert_eq!((answer.status, answer.field("set-cookie")), (204, None), "{answer:?}");
    assert_refused(&other.ask(address, "/pages/x"), 401, "session_revoked");
    assert_eq!(here.ask(address, "/pages/x").status, 200);
    // It is gone, and a secret is no id.
    assert_eq!(end(&here, &other.id).status, 404);
    assert_eq!(end(&here, here.secret()).status, 404);

    let answer = end(&here, &here.id);
    assert_eq!((answer.status, answer.field("set-cookie")), (204, Some(CLEARED)), "{answer:?}");
    assert_refused(&here.ask(address, "/pages/x"), 401, "session_revoked");
    let listed = bob.ask(address, "/auth/sessions").json();
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["sessions"][0]["id"], json!(bob.id));
}
