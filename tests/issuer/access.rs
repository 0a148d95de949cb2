//! What is signed, and by whom it is verified.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::client;
use crate::harness::gateway::Gateway;
use crate::harness::login::{PASSWORD, common_hash};
use crate::harness::redis::RedisServer;
use crate::harness::signing_keys::{alone, join, now, rotated, sealed, signing, tokens};

/// A client that gets tokens for the route `whoami`.
fn batch() -> String {
    let hash = common_hash();
    format!("clients: [{{ id: batch, secret_hash: '{hash}', audiences: [orders-api] }}]\n")
}

fn with_clients(tokens: &str) -> String {
    format!("{tokens}{}", batch())
}

/// Gets a token (RFC 6749 §4.4).
#[track_caller]
fn issue(gateway: &Gateway) -> String {
    let secret = PASSWORD.replace(' ', "+");
    let body = format!("grant_type=client_credentials&client_id=batch&client_secret={secret}");
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let answer = gateway.exchange(client::request("POST", "/auth/token", &[kind], &body));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().expect("a token").to_owned()
}

/// The `kid` in its header.
fn key_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header"));
    let header: Value = serde_json::from_slice(&header.expect("base64")).expect("JSON");
    header["kid"].as_str().expect("an id").to_owned()
}

fn published(gateway: &Gateway) -> Vec<String> {
    let answer = gateway.exchange(client::get("/.well-known/jwks.json", &[]));
    assert_eq!(answer.status, 200, "{answer:?}");
    let jwks = answer.json();
    let keys = jwks["keys"].as_array().expect("keys").iter();
    keys.map(|key| {
        assert!(key["d"].is_null(), "a private key");
        key["kid"].as_str().expect("an id").to_owned()
    })
    .collect()
}

#[test]
fn token_of_a_new_key_is_accepted_everywhere_at_once() {
    let server = RedisServer::start();
    let tokens = with_clients(&sealed());
    let one = join(&server, "gw-1", &tokens);
    let other = join(&server, "gw-2", &tokens);
    let old = issue(&one);
    for _ in 0..3 {
        let new = rotated(&one, &now());
        let token = issue(&one);
        assert_eq!(key_of(&token), new);
        // It was not told of the key.
        assert_eq!(other.get_as("/whoami", &token).status, 200);
        assert_eq!(one.get_as("/whoami", &token).status, 200);
    }
    for gateway in [&one, &other] {
        assert_eq!(gateway.get_as("/whoami", &old).status, 200, "it is still good");
        assert_eq!(published(gateway).len(), 4);
    }
}

#[test]
fn key_signs_when_its_turn_comes_though_the_store_is_away() {
    let mut server = RedisServer::start();
    let gateway = join(
        &server,
        "gw-1",
        &with_clients(&tokens("publish_before: 5s, encryption_key_file: kek")),
    );
    let first = key_of(&issue(&gateway));
    let next = rotated(&gateway, &json!({}));
    assert_eq!(published(&gateway), [first.clone(), next.clone()]);
    assert_eq!(key_of(&issue(&gateway)), first);
    server.kill();
    crate::harness::eventually("its turn", || (signing(&gateway)? == next).then_some(()));
}

#[test]
fn token_of_a_revoked_key_is_refused_and_the_next_one_is_not() {
    let gateway = alone(&with_clients(&tokens("")));
    let stolen = issue(&gateway);
    assert_eq!(gateway.get_as("/whoami", &stolen).status, 200);
    let draft = json!({ "scope": "key", "key": key_of(&stolen), "wait_ms": 5000 });
    assert_eq!(crate::harness::fleet::post(&gateway, &draft).status, 201);
    assert_eq!(gateway.get_as("/whoami", &stolen).status, 401);
    let new = crate::harness::eventually("another key", || {
        let id = signing(&gateway)?;
        (id != key_of(&stolen)).then_some(id)
    });
    let token = issue(&gateway);
    assert_eq!(key_of(&token), new);
    assert_eq!(gateway.get_as("/whoami", &token).status, 200);
    assert_eq!(published(&gateway), [new]);
    assert_eq!(gateway.get_as("/whoami", &stolen).status, 401, "its key is not there any more");
}

#[test]
fn token_of_a_key_that_nobody_has_is_refused_and_not_when_nobody_can_say() {
    let mut server = RedisServer::start();
    let tokens = with_clients(&sealed());
    let stranger = alone(&tokens);
    let token = issue(&stranger);
    let gateway = join(&server, "gw-1", &tokens);
    let answer = gateway.get_as("/whoami", &token);
    assert_eq!((answer.status, answer.slug().as_str()), (401, "token_key_unknown"), "{answer:?}");
    server.kill();
    rotated(&stranger, &now());
    let other = issue(&stranger);
    let answer = crate::harness::eventually("word of it", || {
        let answer = gateway.get_as("/whoami", &other);
        (answer.slug() == "keys_unavailable").then_some(answer)
    });
    assert_eq!(answer.status, 503, "{answer:?}");
}
