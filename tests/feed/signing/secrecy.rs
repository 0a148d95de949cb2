//! Private keys are nowhere but in memory, and in a store that nobody else can read.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use portcullis::issuer::seal::Seal;
use serde_json::{Value, json};

use crate::harness::fleet::configuration;
use crate::harness::gateway::Gateway;
use crate::harness::redis::RedisServer;
use crate::harness::signing_keys::{
    RING, SECRET, directory, get, join, now, rotated, sealed, tokens,
};
use crate::harness::upstream::Upstream;

/// The private keys of a ring, in PKCS#8.
fn private_keys(ring: &Value) -> Vec<Vec<u8>> {
    let keys = ring["keys"].as_array().expect("keys").iter();
    let pkcs8 = |key: &Value| STANDARD.decode(key["pkcs8"].as_str().expect("text"));
    keys.map(|key| pkcs8(key).expect("base64")).collect()
}

/// Fails if `bytes` hold a private key, or a good part of it, in any of the usual forms.
#[track_caller]
fn holds_none(bytes: &[u8], keys: &[Vec<u8>], place: &str) {
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(!holds(b"BEGIN PRIVATE") && !holds(b"pkcs8"), "{place}");
    for key in keys {
        // Past what every key of its kind begins with.
        let private = &key[36..60];
        assert!(!holds(private), "{place}");
        let hex: String = private.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!holds(hex.as_bytes()), "{place}, in hexadecimal");
        let numbers = format!("{private:?}");
        assert!(!holds(numbers.trim_matches(['[', ']']).as_bytes()), "{place}, in numbers");
        for shift in 0..3 {
            let text = STANDARD_NO_PAD.encode(&key[36 + shift..60]);
            let url = URL_SAFE_NO_PAD.encode(&key[36 + shift..60]);
            for text in [&text[..28], &url[..28]] {
                assert!(!holds(text.as_bytes()), "{place}, in base64");
            }
        }
    }
}

#[test]
fn redis_never_holds_a_private_key() {
    let server = RedisServer::start();
    let gateway = join(&server, "gw-1", &sealed());
    rotated(&gateway, &now());
    rotated(&gateway, &json!({}));

    let document = server.cli(&["get", RING]);
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let sealed = STANDARD.decode(document["sealed"].as_str().expect("text")).expect("base64");
    let seal = Seal::new(SECRET, b"portcullis signing keys").expect("a seal");
    let open = seal.open(&sealed, b"portcullis signing keys").expect("it opens");
    let private = private_keys(&serde_json::from_slice(&open).expect("JSON"));
    assert_eq!(private.len(), 3);

    server.cli(&["config", "set", "rdbcompression", "no"]);
    assert_eq!(server.cli(&["save"]).trim(), "OK");
    let place = server.cli(&["config", "get", "dir"]);
    let place = place.lines().nth(1).expect("a directory");
    let dump = std::fs::read(std::path::Path::new(place).join("dump.rdb")).expect("a dump");
    assert!(dump.windows(6).any(|window| window == b"sealed"), "it is all there");
    holds_none(&dump, &private, "Redis");
}

#[test]
fn private_keys_are_neither_logged_nor_told() {
    let directory = directory();
    let lines = format!("audit_log: {{ file: audit.jsonl }}\n{}", tokens(""));
    let text = configuration(&Upstream::start(), "alone", &lines);
    let environment = [("PORTCULLIS_LOG", "trace")];
    let mut gateway = Gateway::spawn_with(directory.clone(), &text, &environment);
    gateway.wait_until_ready();
    rotated(&gateway, &now());
    rotated(&gateway, &json!({ "reason": "spring" }));
    let mut told = String::new();
    for path in ["/v1/keys", "/v1/config", "/v1/gateways", "/v1/revocations", "/metrics"] {
        told.push_str(&get(&gateway, path).body);
    }
    told.push_str(&std::fs::read_to_string(gateway.directory().join("audit.jsonl")).expect("it"));
    told.push_str(&gateway.errors().join("\n"));
    told.push_str(&gateway.output().join("\n"));
    assert!(told.contains("DEBUG"), "it is told in full");
    gateway.signal("TERM");
    gateway.wait();

    // The ring is in the clear in a file that is the gateway's own.
    let file = std::fs::read(directory.path().join("data/portcullis.redb")).expect("a store");
    let start = b"{\"version\":1,\"keys\":[";
    let rings: Vec<_> = (0..file.len()).filter(|at| file[*at..].starts_with(start)).collect();
    let read = |at: usize| {
        let mut values = serde_json::Deserializer::from_slice(&file[at..]).into_iter::<Value>();
        values.next()?.ok()
    };
    let rings: Vec<_> = rings.into_iter().filter_map(read).collect();
    let private: Vec<_> = rings.iter().flat_map(private_keys).collect();
    assert!(private.len() >= 3, "{}", private.len());
    holds_none(told.as_bytes(), &private, "what was told");
}
