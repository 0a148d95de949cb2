//! The first key, and that it stays.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::harness::fleet::configuration;
use crate::harness::gateway::Gateway;
use crate::harness::signing_keys::{alone, directory, get, keys, signing, states, tokens};
use crate::harness::upstream::Upstream;

#[test]
fn first_start_makes_a_key_that_signs() {
    let gateway = alone(&tokens(""));
    let [key] = &keys(&gateway)[..] else { panic!("one key") };
    assert_eq!((&key["algorithm"], &key["state"]), (&json!("ES256"), &json!("signing")));
    assert_eq!(key["created_at"], key["signs_from"]);
    assert_eq!(key["retires_at"], Value::Null);
    // RFC 7638: a SHA-256, in base64url.
    assert_eq!(key["id"].as_str().expect("an id").len(), 43);
    assert_eq!(gateway.metric("portcullis_signing_keys{state=\"signing\"}"), 1.0);
    let made = gateway.metric("portcullis_signing_key_rotations_total{cause=\"first\"}");
    assert_eq!(made, 1.0);
}

#[test]
fn key_is_of_the_algorithm_that_is_wanted() {
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let gateway = alone(&tokens(&format!("algorithm: {algorithm}")));
        assert_eq!(keys(&gateway)[0]["algorithm"], algorithm);
    }
}

#[test]
fn file_is_for_the_gateway_alone() {
    let gateway = alone(&tokens(""));
    let file = gateway.directory().join("data/portcullis.redb");
    let mode = std::fs::metadata(file).expect("the store").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
}

#[test]
fn key_is_the_same_after_a_restart() {
    for settings in ["", "encryption_key_file: kek"] {
        let text = configuration(&Upstream::start(), "alone", &tokens(settings));
        let directory = directory();
        let before = {
            let gateway = Gateway::start_in(directory.clone(), &text);
            // It is killed.
            states(&gateway)
        };
        let gateway = Gateway::start_in(directory, &text);
        assert_eq!(states(&gateway), before, "{settings}");
    }
}

#[test]
fn ring_in_the_clear_is_sealed_when_there_is_a_key_for_that() {
    let directory = directory();
    let text = |settings| configuration(&Upstream::start(), "alone", &tokens(settings));
    let before = signing(&Gateway::start_in(directory.clone(), &text("")));
    let sealed = Gateway::start_in(directory.clone(), &text("encryption_key_file: kek"));
    assert_eq!(signing(&sealed), before);
    drop(sealed);
    // It was sealed in the store, not in memory alone.
    let mut open = Gateway::spawn_in(directory, &text(""));
    open.wait_until_bound();
    crate::harness::eventually("word of it", || {
        open.errors().iter().any(|line| line.contains("are sealed")).then_some(())
    });
}

#[test]
fn gateway_that_issues_nothing_makes_no_key() {
    let gateway = alone("");
    assert_eq!(get(&gateway, "/v1/keys").status, 400);
    assert_eq!(gateway.metric("portcullis_signing_keys{state=\"signing\"}"), 0.0);
}

#[test]
fn reload_publishes_the_key_of_another_algorithm_first() {
    let gateway = alone(&tokens(""));
    let before = signing(&gateway);
    let text = std::fs::read_to_string(gateway.file()).expect("the configuration");
    let changed = text.replace(&tokens(""), &tokens("algorithm: EdDSA"));
    assert_ne!(changed, text);
    std::fs::write(gateway.file(), changed).expect("a file");
    gateway.signal("HUP");
    let next = crate::harness::eventually("the next key", || keys(&gateway).get(1).cloned());
    assert_eq!((&next["algorithm"], &next["state"]), (&json!("EdDSA"), &json!("next")));
    assert_eq!(signing(&gateway), before);
}
