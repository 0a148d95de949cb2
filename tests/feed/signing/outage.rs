//! Stores that are away, and rings that cannot be read.

use crate::harness::eventually;
use crate::harness::fleet::{configuration, redis};
use crate::harness::gateway::Gateway;
use crate::harness::redis::{Data, RedisOptions, RedisServer};
use crate::harness::signing_keys::{
    RING, directory, get, join, keys, now, rotate, rotated, sealed, signing, spawn, states,
};
use crate::harness::upstream::Upstream;

fn told(gateway: &Gateway, what: &str) {
    eventually(what, || gateway.errors().iter().any(|line| line.contains(what)).then_some(()));
}

#[test]
fn gateway_that_never_had_keys_is_not_ready() {
    let mut server = RedisServer::start();
    server.kill();
    let mut gateway = spawn(&server, "gw-1", &sealed());
    told(&gateway, "there are no signing keys");
    assert!(!gateway.is_ready());
    assert_eq!(get(&gateway, "/v1/keys").status, 503);
    server.restart(Data::Kept);
    gateway.wait_until_ready();
    assert!(signing(&gateway).is_some());
}

#[test]
fn store_that_goes_away_later_leaves_the_keys() {
    let mut server =
        RedisServer::start_with(RedisOptions { durable: true, ..RedisOptions::default() });
    let gateway = join(&server, "gw-1", &sealed());
    let before = states(&gateway);
    server.kill();
    told(&gateway, "the signing keys are not kept current");
    assert_eq!(states(&gateway), before);
    assert!(gateway.is_ready());
    let answer = rotate(&gateway, &now());
    assert_eq!((answer.status, answer.slug().as_str()), (503, "keys_unavailable"), "{answer:?}");
    assert!(answer.field("retry-after").is_some());
    server.restart(Data::Kept);
    told(&gateway, "the signing keys are kept current again");
    assert_eq!(states(&gateway), before);
    let lines = gateway.errors();
    let lines = lines.iter().filter(|line| line.contains("signing keys are not kept"));
    assert_eq!(lines.count(), 1, "it is told once");
}

#[test]
fn server_without_its_data_is_given_the_keys_again() {
    let mut server = RedisServer::start();
    let gateway = join(&server, "gw-1", &sealed());
    rotated(&gateway, &now());
    let before = states(&gateway);
    server.restart(Data::Lost);
    eventually("a ring", || server.cli(&["get", RING]).contains("sealed").then_some(()));
    let other = join(&server, "gw-2", &sealed());
    eventually("the keys", || (states(&other) == before).then_some(()));
    assert_eq!(states(&gateway), before);
}

#[test]
fn ring_that_is_sealed_otherwise_is_told_and_left_alone() {
    let server = RedisServer::start();
    let before = keys(&join(&server, "gw-1", &sealed()));
    let document = server.cli(&["get", RING]);
    let directory = directory();
    std::fs::write(directory.path().join("kek"), b"another key, of thirty-two bytes").expect("it");
    let lines = format!("{}{}", redis(&server.settings()), sealed());
    let text = configuration(&Upstream::start(), "gw-2", &lines);
    let mut gateway = Gateway::spawn_in(directory, &text);
    gateway.wait_until_bound();
    let why = "sealed with another encryption key";
    told(&gateway, why);
    assert!(!gateway.is_ready());
    let answer = get(&gateway, "/v1/keys");
    assert_eq!(answer.status, 503);
    let detail = answer.json()["detail"].as_str().expect("text").to_owned();
    assert!(detail.contains(why), "{detail}");
    assert_eq!(rotate(&gateway, &now()).status, 503);
    assert_eq!(server.cli(&["get", RING]), document);
    assert_eq!(keys(&join(&server, "gw-1", &sealed())), before);
}

#[test]
fn ring_of_a_later_version_is_told_and_left_alone() {
    let server = RedisServer::start();
    let later = r#"{"version":2,"anything":[]}"#;
    server.cli(&["set", RING, later]);
    let gateway = spawn(&server, "gw-1", &sealed());
    told(&gateway, "version 2");
    assert!(!gateway.is_ready());
    assert_eq!(rotate(&gateway, &now()).status, 503);
    assert_eq!(server.cli(&["get", RING]).trim(), later);
}
