//! Gateways that sign, and their keys as the admin API lists, makes and changes them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::client::{self, Answer};
use crate::harness::fleet::{configuration, redis};
use crate::harness::gateway::{self, Gateway};
use crate::harness::redis::RedisServer;
use crate::harness::upstream::Upstream;

pub(crate) const ISSUER: &str = "https://gateway.test";

/// The key with which rings are sealed.
pub(crate) const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// Where the ring is in Redis.
pub(crate) const RING: &str = "portcullis:{revocations}:keyring";

/// How soon every gateway has what another wrote.
pub(crate) const SPREAD: Duration = Duration::from_secs(2);

/// The `tokens` section with these settings of `signing`.
pub(crate) fn tokens(signing: &str) -> String {
    format!(
        "tokens:\n  issuer: {ISSUER}\n  access: {{ audiences: [orders-api] }}\n  \
         signing: {{ {signing} }}\n"
    )
}

/// The same, for a ring that is sealed.
pub(crate) fn sealed() -> String {
    tokens("publish_before: 1h, encryption_key_file: kek")
}

/// A directory with a key that seals.
pub(crate) fn directory() -> Arc<TempDir> {
    let directory = gateway::directory();
    std::fs::write(directory.path().join("kek"), SECRET).expect("a file");
    directory
}

/// Starts a gateway on a Redis server.
pub(crate) fn join(server: &RedisServer, name: &str, tokens: &str) -> Gateway {
    let mut gateway = spawn(server, name, tokens);
    gateway.wait_until_ready();
    gateway
}

/// The same, and does not wait until it is ready.
pub(crate) fn spawn(server: &RedisServer, name: &str, tokens: &str) -> Gateway {
    let lines = format!("{}{tokens}", redis(&server.settings()));
    let text = configuration(&Upstream::start(), name, &lines);
    let mut gateway = Gateway::spawn_in(directory(), &text);
    gateway.wait_until_bound();
    gateway
}

/// Starts a gateway on a store of its own.
pub(crate) fn alone(tokens: &str) -> Gateway {
    Gateway::start_in(directory(), &configuration(&Upstream::start(), "alone", tokens))
}

pub(crate) fn get(gateway: &Gateway, path: &str) -> Answer {
    client::exchange(gateway.admin(), client::get(path, &[("Host", "localhost")]))
}

/// The keys as the admin API lists them.
#[track_caller]
pub(crate) fn keys(gateway: &Gateway) -> Vec<Value> {
    let answer = get(gateway, "/v1/keys");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["keys"].as_array().expect("a list").clone()
}

/// The ids and states of the keys.
#[track_caller]
pub(crate) fn states(gateway: &Gateway) -> Vec<(String, String)> {
    let text = |key: &Value, name: &str| key[name].as_str().expect("text").to_owned();
    keys(gateway).iter().map(|key| (text(key, "id"), text(key, "state"))).collect()
}

/// The key that signs.
pub(crate) fn signing(gateway: &Gateway) -> Option<String> {
    let signs = |(_, state): &(String, String)| state == "signing";
    states(gateway).into_iter().find(signs).map(|(id, _)| id)
}

/// Asks for another key.
pub(crate) fn rotate(gateway: &Gateway, wanted: &Value) -> Answer {
    let fields = [("Host", "localhost"), ("Content-Type", "application/json")];
    let request = client::request("POST", "/v1/keys/rotate", &fields, &wanted.to_string());
    client::exchange(gateway.admin(), request)
}

/// Makes another key; its id.
#[track_caller]
pub(crate) fn rotated(gateway: &Gateway, wanted: &Value) -> String {
    let answer = rotate(gateway, wanted);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().expect("an id").to_owned()
}

pub(crate) fn now() -> Value {
    json!({ "now": true })
}
