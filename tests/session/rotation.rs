//! Each login is another session, and no client chooses which.

use crate::harness::client::{self, Answer, get};
use crate::harness::login::{self, COOKIE, Login};
use crate::harness::outcome::accepted;
use crate::harness::redis::RedisServer;
use crate::harness::sessions::{SessionFleet, await_told, denied, made_up, told};

/// Who am I.
fn me(site: &SessionFleet, login: &Login) -> Answer {
    let answer = login.ask(site.gateway(1).address(), "/auth/session");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn family(site: &SessionFleet, login: &Login) -> String {
    me(site, login).json()["session"]["family"].as_str().expect("a family").to_owned()
}

#[test]
fn login_with_a_session_ends_it_and_begins_another_of_the_same_family() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    let address = site.gateway(1).address();
    let first = site.log_in("alice");
    let stranger = site.log_in("alice");
    site.assert_in(&first);
    let second = first.again(address, "alice");
    let third = second.again(site.gateway(2).address(), "alice");
    let ids =
        [&first, &second, &third, &stranger].map(|login| (&login.id, &login.cookie, &login.csrf));
    for (number, one) in ids.iter().enumerate() {
        for other in &ids[..number] {
            assert!(one.0 != other.0 && one.1 != other.1 && one.2 != other.2, "{ids:?}");
        }
    }
    for old in [&first, &second] {
        for number in [1, 2] {
            await_told(&site, number, old, &denied("session_revoked"));
        }
    }
    site.assert_in(&third);
    site.assert_in(&stranger);
    assert_eq!(family(&site, &third), first.id);
    assert_eq!(family(&site, &stranger), stranger.id, "another browser is another family");
    let answer = third.ask(address, "/auth/sessions");
    assert_eq!(answer.json()["sessions"].as_array().map(Vec::len), Some(2), "{answer:?}");
}

#[test]
fn login_as_somebody_else_ends_the_session_and_begins_a_family() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let bob = alice.again(site.gateway(1).address(), "bob");
    assert_eq!(site.ask(1, &alice), denied("session_revoked"));
    assert_eq!(site.ask(1, &bob), accepted());
    assert_eq!(family(&site, &bob), bob.id);
}

#[test]
fn login_that_fails_leaves_the_session() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let address = site.gateway(1).address();
    let cookie = [("Cookie", &*alice.cookie)];
    let answer = client::exchange(address, login::request("alice", "wrong", &cookie));
    assert_eq!(told(&answer), denied("login_failed"));
    assert_eq!(site.ask(1, &alice), accepted());
}

#[test]
fn value_that_an_attacker_chose_never_becomes_a_session() {
    let site = SessionFleet::embedded("");
    let address = site.gateway(1).address();
    let planted = made_up();
    let ask =
        |cookie: &str| told(&client::exchange(address, get("/home/x", &[("Cookie", cookie)])));
    assert_eq!(ask(&planted), denied("session_unknown"));
    let alice = Login::read(&login::attempt(address, "alice", &[("Cookie", &planted)]));
    assert_ne!(alice.cookie, planted);
    assert_eq!(ask(&planted), denied("session_unknown"));
    assert_eq!(site.ask(1, &alice), accepted());
    assert_eq!(family(&site, &alice), alice.id, "nothing of it stays");
    // An attacker's own session, planted into a browser: the login ends it.
    let attacker = site.log_in("bob");
    let victim = Login::read(&login::attempt(address, "alice", &[("Cookie", &attacker.cookie)]));
    assert_eq!(site.ask(1, &attacker), denied("session_revoked"));
    assert_eq!(site.ask(1, &victim), accepted());
    assert_eq!(site.ask(1, &alice), accepted());
}

#[test]
fn login_with_cookies_that_cannot_be_told_apart_begins_a_session_and_ends_none() {
    let site = SessionFleet::embedded("");
    let address = site.gateway(1).address();
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    let both = format!("{}; {}", alice.cookie, bob.cookie);
    for cookie in [both, format!("{COOKIE}=x"), format!("{COOKIE}=")] {
        let again = Login::read(&login::attempt(address, "alice", &[("Cookie", &cookie)]));
        assert_eq!(site.ask(1, &again), accepted());
    }
    assert_eq!(site.ask(1, &alice), accepted());
    assert_eq!(site.ask(1, &bob), accepted());
}

#[test]
fn cookie_is_for_this_host_and_for_no_script() {
    let site = SessionFleet::embedded("");
    let answer = login::attempt(site.gateway(1).address(), "alice", &[]);
    let set = answer.field("set-cookie").expect("a cookie").to_owned();
    let attributes: Vec<_> = set.split("; ").skip(1).collect();
    assert_eq!(attributes, ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]);
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let value = set.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair").1;
    assert!(!answer.body.contains(value), "{answer:?}");
    assert_ne!(answer.json()["session"]["id"], value);
}

#[test]
fn subject_may_have_a_hundred_sessions_and_the_oldest_makes_room() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "", 2);
    let bob = site.log_in("bob");
    let first = site.log_in("dave");
    // Logins are told apart by their second.
    std::thread::sleep(std::time::Duration::from_millis(1001));
    let logins: Vec<_> = (1..100).map(|_| site.log_in("dave")).collect();
    site.assert_in(&first);
    let last = site.log_in("dave");
    for number in [1, 2] {
        await_told(&site, number, &first, &denied("session_revoked"));
    }
    site.assert_in(&last);
    site.assert_in(&logins[0]);
    site.assert_in(&bob);
}
