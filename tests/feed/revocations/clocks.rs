//! Gateways whose clocks are wrong: what they share is dated by the store's.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client;
use crate::harness::eventually;
use crate::harness::fleet::{Verdict, ask, redis, revocation, revoke, revoke_on_all, roster};
use crate::harness::gateway::{Gateway, standard};
use crate::harness::people::{self, Browser};
use crate::harness::proxy::Proxy;
use crate::harness::redis::RedisServer;
use crate::harness::tokens::{now, token};
use crate::harness::upstream::Upstream;
use crate::harness::wrong_clock::WrongClock;

/// As far as a clock may be off without the gateway being taken out of service, in seconds.
const OFF_S: i64 = 240;

/// A port that nobody listens on.
const NOBODY: u16 = 1;

/// Two gateways on one store: one whose clock is right, and one whose clock is not.
struct TwoGateways {
    right: Gateway,
    wrong: Gateway,
    clock: WrongClock,
    _server: RedisServer,
    _upstream: Upstream,
}

impl TwoGateways {
    fn start(ahead_s: i64) -> Self {
        Self::start_with(ahead_s, "")
    }

    fn start_with(ahead_s: i64, lines: &str) -> Self {
        let server = RedisServer::start();
        let upstream = Upstream::start();
        let text = people::configuration(&upstream, &(redis(&server.settings()) + lines));
        let right = Gateway::start_in(people::directory(), &text);
        let clock = WrongClock::ahead(ahead_s);
        let wrong = start(&text, &clock);
        let two = Self { right, wrong, clock, _server: server, _upstream: upstream };
        eventually("both on the roster", || (roster(&two.right)?.len() == 2).then_some(()));
        two
    }

    /// Revokes somebody at the gateway whose clock is wrong; a second later all is new.
    fn revoke_at_the_wrong_one(&self, subject: &str) {
        revoke_on_all(&self.wrong, subject, 2);
        let begun = now();
        eventually("the next second", || (now() > begun + 1).then_some(()));
    }
}

fn start(text: &str, clock: &WrongClock) -> Gateway {
    let environment = clock.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let mut gateway = Gateway::spawn_with(people::directory(), text, &environment);
    gateway.wait_until_ready();
    gateway
}

fn listed(gateway: &Gateway, token_id: &str) -> Value {
    let found = client::exchange(
        gateway.admin(),
        client::get("/v1/revocations?limit=100", &[("Host", "localhost")]),
    );
    let listing = found.json();
    let entries = listing["revocations"].as_array().expect("a list").clone();
    entries.into_iter().find(|entry| entry["jti"] == token_id).expect("the entry")
}

#[test]
fn cut_off_by_a_gateway_that_is_ahead_hits_no_later_login() {
    let two = TwoGateways::start(OFF_S);
    let before = Browser::log_in(&two.right, "alice");
    two.revoke_at_the_wrong_one("alice");
    assert!(!before.is_in(&two.right) && !before.is_in(&two.wrong));
    for gateway in [&two.right, &two.wrong] {
        let after = Browser::log_in(gateway, "alice");
        assert!(after.is_in(&two.right) && after.is_in(&two.wrong));
    }
    let later = token(json!({ "sub": "alice", "iat": now() }));
    assert_eq!(
        (ask(&two.right, &later), ask(&two.wrong, &later)),
        (Verdict::Accepted, Verdict::Accepted)
    );
}

#[test]
fn login_at_a_gateway_that_is_ahead_is_cut_off_like_any_other() {
    let two = TwoGateways::start(OFF_S);
    let browser = Browser::log_in(&two.wrong, "alice");
    assert!(browser.is_in(&two.right) && browser.is_in(&two.wrong));
    revoke_on_all(&two.right, "alice", 2);
    assert!(!browser.is_in(&two.right) && !browser.is_in(&two.wrong));
}

/// A session rests for as long everywhere, whoever's clock says what.
#[test]
fn session_of_a_gateway_whose_clock_is_wrong_may_rest_for_as_long() {
    for off_s in [OFF_S, -OFF_S] {
        let two = TwoGateways::start_with(off_s, "sessions: { idle_timeout: 60s }\n");
        for gateway in [&two.right, &two.wrong] {
            let browser = Browser::log_in(gateway, "alice");
            // Used here, then there.
            for gateway in [&two.wrong, &two.right, &two.wrong] {
                assert!(browser.is_in(gateway), "{off_s}");
            }
        }
    }
}

#[test]
fn cut_off_by_a_gateway_that_is_behind_hits_what_was_issued_before_it() {
    let two = TwoGateways::start(-OFF_S);
    let issued = token(json!({ "sub": "alice", "iat": now() - 5 }));
    let browser = Browser::log_in(&two.right, "alice");
    assert_eq!(ask(&two.right, &issued), Verdict::Accepted);
    revoke_on_all(&two.wrong, "alice", 2);
    assert_eq!(ask(&two.right, &issued), Verdict::Revoked);
    assert!(!browser.is_in(&two.right) && !browser.is_in(&two.wrong));
}

/// Written down by a gateway that is away from the store, and delivered when its subject has logged in anew.
#[test]
fn cut_off_that_is_delivered_late_hits_no_later_login() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let upstream = Upstream::start();
    let section = "revocation: { max_staleness: 60s, accept_local: true }\n";
    let lines =
        |port| format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{port}' }} }}\n{section}");
    let away = people::start(&upstream, &lines(proxy.port()));
    let other = people::start(&upstream, &lines(server.port()));
    let before = Browser::log_in(&other, "alice");
    proxy.swap(NOBODY);
    proxy.links().iter().for_each(|link| link.cut());
    assert_eq!(revoke(&away, "alice").status, 202);
    let begun = now();
    eventually("another second", || (now() > begun + 1).then_some(()));
    let after = Browser::log_in(&other, "alice");
    proxy.swap(server.port());
    eventually("delivery", || (away.metric("portcullis_revocations_pending") == 0.0).then_some(()));
    eventually("it is in force", || (!before.is_in(&other)).then_some(()));
    assert!(after.is_in(&other) && after.is_in(&away));
}

#[test]
fn entry_of_a_gateway_that_is_behind_lives_as_long_as_the_token_that_it_is_about() {
    let two = TwoGateways::start(-OFF_S);
    for (gateway, id) in [(&two.right, "by-the-right-one"), (&two.wrong, "by-the-wrong-one")] {
        let draft = json!({ "scope": "token", "issuer": "test", "jti": id });
        let answer = client::exchange(gateway.admin(), revocation(&draft));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let ends = |id| {
        let text = listed(&two.right, id)["expires_at"].as_str().expect("a date").to_owned();
        humantime::parse_rfc3339(&text).expect("a date")
    };
    let (right, wrong) = (ends("by-the-right-one"), ends("by-the-wrong-one"));
    let apart = wrong.duration_since(right).or(right.duration_since(wrong)).expect("one is first");
    assert!(apart.as_secs() < 20, "{apart:?}");
}

/// Logins are dated by the store's clock, so there is nothing ahead of it that a cut-off would have to reach.
#[test]
fn cut_off_reaches_no_further_than_the_clock_of_the_store_whoever_makes_it() {
    for off_s in [OFF_S, -OFF_S] {
        let two = TwoGateways::start(off_s);
        for draft in [
            json!({ "scope": "subject", "subject": "alice" }),
            json!({ "scope": "client", "client": "c" }),
            json!({ "scope": "issuer", "issuer": "test" }),
        ] {
            let before = now();
            let answer = client::exchange(two.wrong.admin(), revocation(&draft)).json();
            let until = answer["issued_until"].as_str().expect("a date");
            let until = humantime::parse_rfc3339(until).expect("a date");
            let until = until.duration_since(std::time::UNIX_EPOCH).expect("later").as_secs();
            // The answer of the store is taken for half-way: a second may have begun, or not yet.
            let is_within = (before - 1..=now() + 1).contains(&(until as i64));
            assert!(is_within, "{until} is not {before}: {off_s} {draft}");
        }
    }
}

#[test]
fn clock_that_is_off_is_measured_told_and_beyond_five_minutes_not_ready() {
    let two = TwoGateways::start(OFF_S);
    let measured = || two.wrong.metric("portcullis_clock_ahead_seconds");
    let is_about = |found: f64, wanted: i64| (found - wanted as f64).abs() < 5.0;
    assert!(is_about(measured(), OFF_S), "{}", measured());
    assert!(is_about(two.right.metric("portcullis_clock_ahead_seconds"), 0));
    let told =
        client::exchange(two.right.admin(), client::get("/v1/gateways", &[("Host", "localhost")]));
    let gateways = told.json()["gateways"].as_array().expect("a list").clone();
    let ahead: Vec<_> = gateways.iter().filter_map(|one| one["clock_ahead_ms"].as_f64()).collect();
    assert!(ahead.iter().any(|ms| is_about(ms / 1000.0, OFF_S)), "{ahead:?}");
    assert!(two.wrong.errors().iter().any(|line| line.contains("clock is not that of the store")));
    let readiness = || {
        let answer = client::exchange(two.wrong.admin(), client::get("/readyz", &[]));
        (answer.status, answer.body.clone())
    };
    assert_eq!(readiness(), (200, "ready\n".to_owned()));
    for off_s in [310, -310] {
        two.clock.set(off_s);
        assert_eq!(readiness(), (503, "clock\n".to_owned()), "{off_s}");
    }
    two.clock.set(0);
    assert_eq!(readiness(), (200, "ready\n".to_owned()));
    eventually("the measure", || is_about(measured(), 0).then_some(()));
}

#[test]
fn clock_that_is_set_back_in_small_steps_is_noticed_like_one_large_step() {
    let upstream = Upstream::start();
    let clock = WrongClock::ahead(0);
    let gateway = start(&standard(&upstream), &clock);
    let loads = || gateway.metric("portcullis_revocation_snapshots_total{cause=\"clock\"}");
    assert_eq!(loads(), 0.0);
    clock.set(-55);
    // One step is within what is tolerated. The log is read twice a second.
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(loads(), 0.0);
    clock.set(-110);
    eventually("a load", || (loads() >= 1.0).then_some(()));
}

/// Nothing is written before the store's clock was read, which comes a moment after the start.
#[test]
fn cut_off_by_a_gateway_that_has_just_started_is_dated_by_the_store() {
    let server = RedisServer::start();
    let upstream = Upstream::start();
    let proxy = Proxy::start(server.port());
    let text = |port: u16| {
        let store = format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{port}' }} }}\n");
        people::configuration(&upstream, &store)
    };
    let right = Gateway::start_in(people::directory(), &text(server.port()));
    let before = token(json!({ "sub": "alice", "iat": now() - 5 }));
    proxy.delay_new(Duration::from_millis(20));
    let clock = WrongClock::ahead(-OFF_S);
    let environment = clock.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let mut wrong = Gateway::spawn_with(people::directory(), &text(proxy.port()), &environment);
    wrong.wait_until_bound();
    assert_eq!(revoke(&wrong, "alice").status, 201);
    eventually("the cut-off", || (ask(&right, &before) == Verdict::Revoked).then_some(()));
}
