//! The last good copy on disk, for a start while the issuer is away.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::harness::set_mode;

/// A directory in which a gateway has run and fetched the issuer's keys.
fn used(issuer: &Issuer, more: &str) -> Arc<TempDir> {
    let gateway = gateway(issuer, more);
    let directory = gateway.shared_directory();
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
    directory
}

/// The only copy in the directory.
fn copy(directory: &TempDir) -> PathBuf {
    let copies = std::fs::read_dir(directory.path().join("data/jwks")).expect("copies");
    let copies: Vec<_> = copies.map(|copy| copy.expect("a copy").path()).collect();
    let [copy] = copies.as_slice() else { panic!("{copies:?}") };
    copy.clone()
}

/// Changes the copy, while no gateway runs.
fn change(directory: &TempDir, change: impl FnOnce(&mut Value)) {
    let file = copy(directory);
    let mut content: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("a copy")).expect("JSON");
    change(&mut content);
    std::fs::write(&file, content.to_string()).expect("a copy");
}

fn age(directory: &TempDir, seconds: i64) {
    change(directory, |copy| copy["fetched_at"] = json!(tokens::now() - seconds));
}

/// Starts a gateway in the directory while the issuer is away, and asks it.
fn cold_start(directory: Arc<TempDir>, issuer: &Issuer, more: &str) -> (u16, String) {
    issuer.jwks.serve(unavailable());
    let configuration = configuration(&Upstream::start(), &[issuer.yaml(more)]);
    let gateway = Gateway::start_in(directory, &configuration);
    ask(&gateway, &issuer.token())
}

#[test]
fn gateway_starts_with_the_keys_that_were_fetched_last() {
    let issuer = Issuer::start("idp");
    let directory = used(&issuer, "refresh: 1h");
    assert_eq!(cold_start(directory, &issuer, "refresh: 1h"), accepted());
}

#[test]
fn fetched_keys_go_before_the_copy() {
    let issuer = Issuer::start("idp");
    let directory = used(&issuer, "refresh: 1h");
    let second = IssuerKey::new("second");
    issuer.publish(&[&second]);
    let configuration = configuration(&Upstream::start(), &[issuer.yaml("refresh: 1h")]);
    let gateway = Gateway::start_in(directory, &configuration);
    assert_eq!(ask(&gateway, &issuer.token()), denied(401, "token_key_unknown"));
}

#[test]
fn copy_is_used_up_to_max_stale_and_not_beyond() {
    let issuer = Issuer::start("idp");
    let timing = "refresh: 10s, max_stale: 100s";
    let directory = used(&issuer, timing);
    age(&directory, 80);
    assert_eq!(cold_start(directory.clone(), &issuer, timing), accepted());
    age(&directory, 101);
    assert_eq!(cold_start(directory, &issuer, timing), denied(503, "keys_unavailable"));
}

#[test]
fn copy_does_not_grow_younger_by_being_used() {
    let issuer = Issuer::start("idp");
    let directory = used(&issuer, "refresh: 1h");
    age(&directory, 3000);
    issuer.jwks.serve(unavailable());
    let configuration = configuration(&Upstream::start(), &[issuer.yaml("refresh: 1h")]);
    let gateway = Gateway::start_in(directory, &configuration);
    let age = gateway.metric("portcullis_key_set_age_seconds{issuer=\"idp\"}");
    assert!((3000.0..3060.0).contains(&age), "{age}");
}

#[test]
fn copy_from_the_future_is_not_used() {
    let issuer = Issuer::start("idp");
    let directory = used(&issuer, "refresh: 1h");
    age(&directory, -3600);
    assert_eq!(cold_start(directory, &issuer, "refresh: 1h"), denied(503, "keys_unavailable"));
}

#[test]
fn copy_from_another_url_is_not_used() {
    let issuer = Issuer::start("idp");
    let directory = used(&issuer, "refresh: 1h");
    // The issuer has moved, and does not answer at its new place.
    let moved = Issuer::silent("idp");
    let configuration = configuration(&Upstream::start(), &[moved.yaml("refresh: 1h")]);
    let gateway = Gateway::start_in(directory, &configuration);
    assert_eq!(ask(&gateway, &issuer.token()), denied(503, "keys_unavailable"));
}

#[test]
fn copy_serves_only_the_algorithms_that_are_permitted_now() {
    let issuer = Issuer::start("idp");
    let directory = used(&issuer, "refresh: 1h");
    issuer.jwks.serve(unavailable());
    let keys = format!("jwks_url: '{}'", issuer.jwks.url());
    let issuers = [entry("idp", "RS256", &keys)];
    let gateway = Gateway::start_in(directory, &configuration(&Upstream::start(), &issuers));
    assert_eq!(ask(&gateway, &issuer.token()), denied(503, "keys_unavailable"));
}

/// What a crash, a full disk or a curious hand may leave behind.
const DAMAGED: [&str; 4] = ["", "{\"url\": \"http", "not even JSON", "[]"];

#[test]
fn damaged_copy_is_ignored() {
    let issuer = Issuer::start("idp");
    let directory = used(&issuer, "refresh: 1h");
    for damaged in DAMAGED {
        std::fs::write(copy(&directory), damaged).expect("a copy");
        let outcome = cold_start(directory.clone(), &issuer, "refresh: 1h");
        assert_eq!(outcome, denied(503, "keys_unavailable"), "{damaged}");
    }
}

#[test]
fn damaged_copy_is_warned_of() {
    let issuer = Issuer::start("idp");
    let directory = used(&issuer, "refresh: 1h");
    std::fs::write(copy(&directory), "{\"url\": \"http").expect("a copy");
    let configuration = configuration(&Upstream::start(), &[issuer.yaml("refresh: 1h")]);
    // The issuer answers: whatever is warned of is the copy.
    let gateway = Gateway::start_in(directory, &configuration);
    let told = |line: &String| line.contains("WARN") && line.contains("idp");
    assert!(gateway.errors().iter().any(told), "{:#?}", gateway.errors());
}

#[test]
fn copy_whose_keys_are_of_no_use_is_warned_of() {
    let issuer = Issuer::start("idp");
    let directory = used(&issuer, "refresh: 1h");
    change(&directory, |copy| copy["jwks"] = json!("{\"keys\": []}"));
    let configuration = configuration(&Upstream::start(), &[issuer.yaml("refresh: 1h")]);
    let gateway = Gateway::start_in(directory, &configuration);
    let told = |line: &String| line.contains("WARN") && line.contains("idp");
    assert!(gateway.errors().iter().any(told), "{:#?}", gateway.errors());
}

#[test]
fn damaged_copy_is_replaced_by_the_next_fetch() {
    let issuer = Issuer::start("idp");
    let directory = used(&issuer, "refresh: 1h");
    std::fs::write(copy(&directory), "not even JSON").expect("a copy");
    let configuration = configuration(&Upstream::start(), &[issuer.yaml("refresh: 1h")]);
    drop(Gateway::start_in(directory.clone(), &configuration));
    assert_eq!(cold_start(directory, &issuer, "refresh: 1h"), accepted());
}

#[test]
fn gateway_that_cannot_keep_a_copy_works_without_and_says_so() {
    let issuer = Issuer::start("idp");
    let directory = crate::harness::gateway::directory();
    // A file where the directory should be: not even root can write below it.
    std::fs::create_dir(directory.path().join("data")).expect("a directory");
    std::fs::write(directory.path().join("data/jwks"), "in the way").expect("a file");
    let configuration = configuration(&Upstream::start(), &[issuer.yaml("refresh: 1h")]);
    let gateway = Gateway::start_in(directory, &configuration);
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
    let told = |line: &String| line.contains("WARN") && line.contains("idp");
    assert!(gateway.errors().iter().any(told), "{:#?}", gateway.errors());
}

/// A gateway that has fetched the issuer's first key, and then a set without it while the disk took no
/// new file, and refused to remove one: these are the modes of the directory and of the copy.
fn withdrawing(issuer: &Issuer, timing: &str, file_mode: u32) -> (Gateway, Arc<TempDir>, String) {
    let configuration = configuration(&Upstream::start(), &[issuer.yaml(timing)]);
    let directory = crate::harness::gateway::directory();
    let gateway = Gateway::start_bound_by_modes(directory.clone(), &configuration);
    let token = issuer.token();
    assert_eq!(ask(&gateway, &token), accepted());
    set_mode(&copy(&directory), file_mode);
    set_mode(&directory.path().join("data/jwks"), 0o500);
    let second = IssuerKey::new("second");
    issuer.publish(&[&second]);
    // An unknown key is asked for.
    let newer = issuer.token_by(&second);
    eventually("the second key", || (ask(&gateway, &newer) == accepted()).then_some(()));
    assert_eq!(ask(&gateway, &token), denied(401, "token_key_unknown"));
    (gateway, directory, configuration)
}

#[test]
fn withdrawn_key_stays_so_after_a_start_though_its_copy_could_not_be_removed() {
    // The copy can be emptied; it cannot.
    for file_mode in [0o600, 0o400] {
        let issuer = Issuer::start("idp");
        let (gateway, directory, configuration) = withdrawing(&issuer, "refresh: 1h", file_mode);
        let file = copy(&directory).display().to_string();
        let is_told = |line: &String| line.contains("ERROR") && line.contains(&file);
        if file_mode == 0o400 {
            let told = || gateway.errors().iter().any(is_told).then_some(());
            eventually("a line that names the copy", told);
        } else {
            assert!(std::fs::read(&file).expect("the copy").is_empty());
        }
        drop(gateway);
        issuer.jwks.serve(unavailable());
        let gateway = Gateway::start_bound_by_modes(directory.clone(), &configuration);
        let outcome = ask(&gateway, &issuer.token());
        assert_eq!(outcome, denied(503, "keys_unavailable"), "{file_mode:o}");
        drop(gateway);
        set_mode(&directory.path().join("data/jwks"), 0o700);
    }
}

#[test]
fn copy_of_a_withdrawn_key_is_replaced_as_soon_as_the_disk_takes_it() {
    let issuer = Issuer::start("idp");
    let (gateway, directory, _) = withdrawing(&issuer, "refresh: 1h", 0o400);
    let file = copy(&directory);
    let kept = || std::fs::read_to_string(&file).expect("a copy");
    assert!(!kept().contains("second"), "{}", kept());
    set_mode(&directory.path().join("data/jwks"), 0o700);
    eventually("the new copy", || kept().contains("second").then_some(()));
    assert_eq!(ask(&gateway, &issuer.token()), denied(401, "token_key_unknown"));
}
