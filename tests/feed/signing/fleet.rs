//! Several gateways on one store have one ring.

use std::collections::BTreeSet;
use std::time::Instant;

use portcullis::gate::keys::Algorithm;
use portcullis::gate::time::UnixTime;
use portcullis::issuer::ring::{BeginsTo, FreshKey, Ring, Terms};
use serde_json::json;

use crate::harness::fleet::{self, configuration, redis};
use crate::harness::gateway::Gateway;
use crate::harness::redis::RedisServer;
use crate::harness::signing_keys::{
    RING, SECRET, SPREAD, directory, join, keys, now, rotate, rotated, sealed, signing, spawn,
    states, tokens,
};
use crate::harness::upstream::Upstream;
use crate::harness::wrong_clock::WrongClock;
use crate::harness::{self, eventually};

/// Waits until a gateway lists the same keys as another one.
#[track_caller]
fn agrees(gateway: &Gateway, with: &Gateway) {
    let begun = Instant::now();
    eventually("the same keys", || (keys(gateway) == keys(with)).then_some(()));
    assert!(begun.elapsed() < SPREAD, "it took {:?}", begun.elapsed());
}

#[test]
fn gateways_share_one_key() {
    let server = RedisServer::start();
    let one = join(&server, "gw-1", &sealed());
    let other = join(&server, "gw-2", &sealed());
    assert_eq!(keys(&one).len(), 1);
    assert_eq!(keys(&one), keys(&other));
}

#[test]
fn gateways_that_start_together_share_one_key() {
    let server = RedisServer::start();
    let mut gateways: Vec<_> =
        (1..=4).map(|number| spawn(&server, &format!("gw-{number}"), &sealed())).collect();
    gateways.iter_mut().for_each(Gateway::wait_until_ready);
    let signs: BTreeSet<_> = gateways.iter().map(signing).collect();
    assert_eq!(signs.len(), 1, "{signs:?}");
    assert_eq!(keys(&gateways[0]).len(), 1);
}

#[test]
fn rotation_reaches_every_gateway_though_nobody_asks() {
    let server = RedisServer::start();
    let one = join(&server, "gw-1", &sealed());
    let other = join(&server, "gw-2", &sealed());
    rotated(&one, &json!({}));
    let next = "portcullis_signing_keys{state=\"next\"}";
    let begun = Instant::now();
    eventually("the key elsewhere", || (other.metric(next) == 1.0).then_some(()));
    assert!(begun.elapsed() < SPREAD, "it took {:?}", begun.elapsed());
    let made = "portcullis_signing_key_rotations_total{cause=\"operator\"}";
    assert_eq!((one.metric(made), other.metric(made)), (1.0, 0.0));
}

#[test]
fn keys_that_are_rotated_everywhere_at_once_are_all_in_one_ring() {
    let server = RedisServer::start();
    let gateways: Vec<_> =
        (1..=3).map(|number| join(&server, &format!("gw-{number}"), &sealed())).collect();
    let first = signing(&gateways[0]).expect("a key");
    let made = std::thread::scope(|scope| {
        let threads: Vec<_> = gateways
            .iter()
            .map(|gateway| scope.spawn(|| [0; 3].map(|_| rotated(gateway, &now()))))
            .collect();
        let made = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        made.flatten().collect::<Vec<_>>()
    });
    let expected: BTreeSet<_> = made.into_iter().chain([first]).collect();
    assert_eq!(expected.len(), 10);
    for gateway in &gateways {
        let found: BTreeSet<_> = states(gateway).into_iter().map(|(id, _)| id).collect();
        assert_eq!(found, expected);
        agrees(gateway, &gateways[0]);
    }
}

#[test]
fn revoked_key_is_dropped_by_all() {
    let server = RedisServer::start();
    let one = join(&server, "gw-1", &sealed());
    let other = join(&server, "gw-2", &sealed());
    let stolen = signing(&one).expect("a key");
    let draft = json!({ "scope": "key", "key": stolen, "issuer": "gateway", "wait_ms": 5000 });
    let answer = fleet::post(&one, &draft);
    assert!(fleet::is_confirmed(&answer), "{answer:?}");
    for gateway in [&one, &other] {
        let new = eventually("another key", || {
            let states = states(gateway);
            (!states.iter().any(|(id, _)| *id == stolen)).then_some(states)
        });
        assert_eq!(new.len(), 1, "{new:?}");
        assert_eq!(new[0].1, "signing");
    }
    assert_eq!(keys(&one), keys(&other));
    let made = "portcullis_signing_key_rotations_total{cause=\"revoked\"}";
    assert_eq!(one.metric(made) + other.metric(made), 1.0);
}

/// A minute is the shortest span there is: the last key was made almost a minute ago.
#[test]
fn schedule_brings_the_next_key_and_then_lets_it_sign() {
    let server = RedisServer::start();
    let terms = Terms {
        algorithm: Algorithm::ES256,
        reach_s: 900,
        publish_before_s: 5,
        rotate_every_s: None,
    };
    let mut ring = Ring::default();
    let key = FreshKey::generate(Algorithm::ES256).expect("a key");
    let begun = UnixTime::from_seconds(harness::tokens::now() - 53);
    ring.rotate(&key, BeginsTo::SignNow, &terms, begun).expect("room");
    let seal = Ring::seal(SECRET).expect("a seal");
    let document = ring.encode(Some(&seal)).expect("a document");
    let text = std::str::from_utf8(&document).expect("text");
    assert_eq!(server.cli(&["set", RING, text]).trim(), "OK");

    let settings = "rotate_every: 1m, publish_before: 5s, encryption_key_file: kek";
    let one = join(&server, "gw-1", &tokens(settings));
    let other = join(&server, "gw-2", &tokens(settings));
    let first = key.id().to_owned();
    let next = eventually("the next key", || {
        let states = states(&one);
        assert_eq!(signing(&one), Some(first.clone()), "it is published first");
        states.into_iter().find(|(_, state)| state == "next").map(|(id, _)| id)
    });
    for gateway in [&one, &other] {
        eventually("its turn", || (signing(gateway) == Some(next.clone())).then_some(()));
        let first = (first.clone(), "retired".to_owned());
        assert_eq!(states(gateway), [first, (next.clone(), "signing".to_owned())]);
    }
    let made = "portcullis_signing_key_rotations_total{cause=\"schedule\"}";
    assert_eq!(one.metric(made) + other.metric(made), 1.0, "one gateway has made it");
}

/// Where the store can be read and its clock cannot, nobody makes a key that all would be dated by.
#[test]
fn first_key_is_not_made_before_the_clock_of_the_store_was_read() {
    let server = RedisServer::start();
    server.cli(&["acl", "setuser", "default", "-time"]);
    let clock = WrongClock::ahead(365 * 86_400);
    let environment = clock.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let lines = format!("{}{}", redis(&server.settings()), sealed());
    let text = configuration(&Upstream::start(), "ahead", &lines);
    let mut ahead = Gateway::spawn_with(directory(), &text, &environment);
    ahead.wait_until_bound();
    eventually("keys, or word of them", || {
        let lines = ahead.errors();
        let is_told = |line: &String| {
            line.contains("a new signing key") || line.contains("there are no signing keys")
        };
        lines.iter().any(is_told).then_some(())
    });
    assert_eq!(server.cli(&["exists", RING]).trim(), "0");
    let answer = rotate(&ahead, &now());
    assert_eq!((answer.status, answer.slug().as_str()), (503, "keys_unavailable"), "{answer:?}");
    server.cli(&["acl", "setuser", "default", "+time"]);
    ahead.wait_until_ready();
    let right = join(&server, "right", &sealed());
    assert_dated(&right, 1);
}

/// A gateway lists so many keys, none of them made in the future.
#[track_caller]
fn assert_dated(gateway: &Gateway, count: usize) {
    let listed = keys(gateway);
    assert_eq!(listed.len(), count);
    for key in listed {
        let created = key["created_at"].as_str().expect("a date");
        let created = humantime::parse_rfc3339(created).expect("a date");
        let ahead = created.duration_since(portcullis::clock::wall()).unwrap_or_default();
        assert!(ahead.as_secs() < 60, "{key}");
    }
}

/// A key that is dated a year ahead would be the newest for a year: no other is due before that.
#[test]
fn gateway_that_is_a_year_ahead_dates_its_keys_like_the_others() {
    let server = RedisServer::start();
    let clock = WrongClock::ahead(365 * 86_400);
    let environment = clock.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let lines = format!("{}{}", redis(&server.settings()), sealed());
    let text = configuration(&Upstream::start(), "ahead", &lines);
    let mut ahead = Gateway::spawn_with(directory(), &text, &environment);
    ahead.wait_until_ready();
    rotated(&ahead, &json!({ "now": true }));
    let right = join(&server, "right", &sealed());
    assert_dated(&right, 2);
}
