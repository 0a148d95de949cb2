//! What a reload takes over, and how the parts of a configuration depend on each other.

mod reach;
mod sessions;
mod tokens;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::config::compile::tests::compile_in;
use crate::config::compile::tests::whole::whole;

/// Compiles the whole configuration, then the same with a change.
fn recompiled(from: &str, to: &str) -> (Running, Running) {
    let (directory, text) = whole();
    recompiled_in(directory.path(), &text, from, to)
}

fn recompiled_in(directory: &Path, text: &str, from: &str, to: &str) -> (Running, Running) {
    let before = compiled(directory, text, None);
    assert!(text.contains(from), "{from}");
    let after = compiled(directory, &text.replace(from, to), Some(&before));
    (before, after)
}

fn compiled(directory: &Path, text: &str, previous: Option<&Running>) -> Running {
    let settings = compile_in(directory, text).unwrap_or_else(|problems| panic!("{problems}"));
    Running::new(settings, previous).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The names of the issuers that were taken over unchanged.
fn kept_issuers((before, after): &(Running, Running)) -> Vec<String> {
    let kept = after.issuers().filter(|issuer| before.gate.issuers.with_id(issuer.id()).is_some());
    kept.map(|issuer| issuer.rules().name.to_string()).collect()
}

/// The names of the issuers whose fetched keys were taken over.
fn kept_keys((before, after): &(Running, Running)) -> Vec<String> {
    let known = |cell| before.key_feeds.iter().any(|feed| Arc::ptr_eq(&feed.cell, cell));
    let kept = after.key_feeds.iter().filter(|feed| known(&feed.cell));
    kept.map(|feed| feed.issuer.to_string()).collect()
}

#[test]
fn issuers_that_did_not_change_are_taken_over() {
    let compiled = recompiled("path: /", "path: /elsewhere");
    assert_eq!(kept_issuers(&compiled), ["fetched", "set", "pem", "shared", "gateway"]);
    assert_eq!(kept_keys(&compiled), ["fetched"]);
}

#[test]
fn issuer_whose_rules_change_is_another_but_keeps_its_fetched_keys() {
    let compiled = recompiled("required_claims: [jti]", "required_claims: []");
    assert_eq!(kept_issuers(&compiled), ["set", "pem", "shared", "gateway"]);
    assert_eq!(kept_keys(&compiled), ["fetched"]);
}

#[test]
fn issuer_whose_keys_come_from_elsewhere_is_another() {
    let compiled = recompiled("fetched.test/keys", "fetched.test/others");
    assert_eq!(kept_issuers(&compiled), ["set", "pem", "shared", "gateway"]);
    assert_eq!(kept_keys(&compiled), [""; 0]);
}

#[test]
fn issuer_whose_key_changes_is_another() {
    let compiled = recompiled("idp.pem", "other.pem");
    assert_eq!(kept_issuers(&compiled), ["fetched", "set", "shared", "gateway"]);
}

#[test]
fn identity_headers_that_change_make_all_issuers_others() {
    // What was rendered for a token before the change must not be sent after it.
    let compiled = recompiled("X-Auth-Email", "X-Auth-Mail");
    assert_eq!(kept_issuers(&compiled), [""; 0]);
    assert_eq!(kept_keys(&compiled), ["fetched"]);
}

#[test]
fn upstreams_that_did_not_change_keep_their_addresses() {
    let (before, after) = recompiled("retries: 1", "retries: 2");
    let kept: Vec<_> = after
        .upstreams
        .iter()
        .filter(|upstream| before.upstreams.iter().any(|known| Arc::ptr_eq(known, upstream)))
        .map(|upstream| &*upstream.settings().name)
        .collect();
    assert_eq!(kept, ["pages"]);
}

#[test]
fn listener_whose_certificate_is_the_same_keeps_the_tls_sessions_that_it_knows() {
    let (directory, text) = whole();
    let before = compiled(directory.path(), &text, None);
    let same = compiled(directory.path(), &text, Some(&before));
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["site.test".to_owned()]).expect("a certificate");
    std::fs::write(directory.path().join("site.pem"), cert.pem()).expect("a file");
    let key = signing_key.serialize_pem();
    std::fs::write(directory.path().join("site.key"), key).expect("a file");
    let renewed = compiled(directory.path(), &text, Some(&same));
    let tls = |running: &Running| match &*running.listener_tls {
        [None, Some(tls)] => Arc::as_ptr(tls),
        other => panic!("{other:?}"),
    };
    assert_eq!(tls(&before), tls(&same));
    assert_ne!(tls(&same), tls(&renewed));
}

#[test]
fn verified_tokens_are_kept_unless_their_bounds_change() {
    let verifier = |(before, after): &(Running, Running)| {
        Arc::ptr_eq(&before.gate.verifier, &after.gate.verifier)
    };
    assert!(verifier(&recompiled("path: /", "path: /elsewhere")));
    assert!(!verifier(&recompiled("token_bytes: 8KiB", "token_bytes: 9KiB")));
    assert!(!verifier(&recompiled("size: 64MiB", "size: 65MiB")));
}
