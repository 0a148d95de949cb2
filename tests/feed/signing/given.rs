//! Keys that the configuration gives.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::harness::fleet::configuration;
use crate::harness::gateway::Gateway;
use crate::harness::program::run;
use crate::harness::signing_keys::{directory, keys, now, rotate, states, tokens};
use crate::harness::upstream::Upstream;

fn generate(directory: &Path, algorithm: &str, file: &str) {
    let arguments = ["keys", "generate", "--algorithm", algorithm, "--private-key", file];
    let ran = run(directory, &arguments);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
}

fn start(directory: Arc<TempDir>) -> Gateway {
    let lines = tokens("key_files: [new.pem, old.pem]");
    Gateway::start_in(directory, &configuration(&Upstream::start(), "alone", &lines))
}

#[test]
fn first_signs_and_all_are_published() {
    let directory = directory();
    generate(directory.path(), "EdDSA", "new.pem");
    generate(directory.path(), "RS256", "old.pem");
    let gateway = start(directory);
    let keys = keys(&gateway);
    let facts: Vec<_> = keys.iter().map(|key| (&key["algorithm"], &key["state"])).collect();
    let [new, old, signs, next] = ["EdDSA", "RS256", "signing", "next"].map(|text| json!(text));
    assert_eq!(facts, [(&new, &signs), (&old, &next)]);
    assert!(keys.iter().all(|key| key["created_at"].is_null() && key["signs_from"].is_null()));
}

#[test]
fn given_keys_are_not_rotated_by_the_gateway() {
    let directory = directory();
    for file in ["new.pem", "old.pem"] {
        generate(directory.path(), "ES256", file);
    }
    let gateway = start(directory);
    let answer = rotate(&gateway, &now());
    assert_eq!((answer.status, answer.slug().as_str()), (400, "bad_request"), "{answer:?}");
}

#[test]
fn reload_takes_the_new_files() {
    let directory = directory();
    generate(directory.path(), "ES256", "new.pem");
    generate(directory.path(), "ES256", "old.pem");
    let gateway = start(directory.clone());
    let before = states(&gateway);
    let file = |name| directory.path().join(name);
    std::fs::rename(file("new.pem"), file("old.pem")).expect("it is moved");
    generate(directory.path(), "ES256", "new.pem");
    gateway.signal("HUP");
    let after = crate::harness::eventually("the new key", || {
        let after = states(&gateway);
        (after != before).then_some(after)
    });
    assert_eq!(after[1].0, before[0].0);
    assert_ne!(after[0].0, before[1].0);
}
