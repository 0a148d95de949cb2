//! The cache, and what is asked in spite of it.

use jsonwebtoken::Algorithm;
use portcullis::gate::keys::KeySet;
use portcullis::gate::time::UnixTime;
use portcullis::gate::verifier::CacheResult;
use portcullis::issuer::key_pairs::KeyPairPem;
use serde_json::json;

use super::{
    CompiledGate, NOW, ONE_ROUTE, PERMITTED, SKEW_S, good, private, standard, stranger, token,
    token_of, token_with, with_two_issuers,
};
use crate::harness::jwks::jwk;
use crate::harness::tokens::{AUDIENCE, ISSUER, pair};

#[test]
fn same_token_again_is_a_hit() {
    let gate = CompiledGate::standard("", "");
    let (one, other) = (token(json!({})), token(json!({})));
    assert_eq!(gate.known("/orders/7", &one, NOW), (PERMITTED, CacheResult::Miss));
    assert_eq!(gate.known("/orders/8", &one, NOW), (PERMITTED, CacheResult::Hit));
    assert_eq!(gate.known("/orders/7", &other, NOW), (PERMITTED, CacheResult::Miss));
}

#[test]
fn refused_token_is_not_remembered() {
    let gate = CompiledGate::standard("", "");
    let refused = token(json!({"aud": "billing"}));
    for _ in 0..2 {
        assert_eq!(gate.known("/orders/7", &refused, NOW), ("token_audience", CacheResult::Miss));
    }
}

#[test]
fn expiry_is_asked_on_a_hit_too() {
    let gate = CompiledGate::standard("", "");
    let token = token(json!({"exp": NOW + 60}));
    assert_eq!(gate.known("/orders/7", &token, NOW), (PERMITTED, CacheResult::Miss));
    let last = NOW + 60 + SKEW_S - 1;
    assert_eq!(gate.known("/orders/7", &token, last), (PERMITTED, CacheResult::Hit));
    assert_eq!(gate.known("/orders/7", &token, last + 1), ("token_expired", CacheResult::Hit));
}

#[test]
fn requirement_is_asked_on_a_hit_too() {
    let gate = CompiledGate::standard("", "require: {scopes: [orders:write]}");
    let token = good();
    assert_eq!(gate.known("/orders/7", &token, NOW), ("scope_missing", CacheResult::Miss));
    assert_eq!(gate.known("/orders/7", &token, NOW), ("scope_missing", CacheResult::Hit));
}

#[test]
fn token_known_from_one_route_is_refused_where_its_issuer_is_not_accepted() {
    let gate = with_two_issuers();
    let token = token_of("one", &private());
    assert_eq!(gate.known("/one", &token, NOW), (PERMITTED, CacheResult::Miss));
    assert_eq!(gate.known("/two", &token, NOW), ("token_issuer", CacheResult::Hit));
    assert_eq!(gate.known("/both", &token, NOW), (PERMITTED, CacheResult::Hit));
}

/// An issuer whose keys are fetched; nothing here fetches, tests publish.
fn with_fetched_keys() -> CompiledGate {
    let text = format!(
        "issuers: [{{name: test, issuer: '{ISSUER}', audiences: [{AUDIENCE}], algorithms: [ES256], \
         keys: {{jwks_url: 'http://127.0.0.1:1/jwks.json'}}}}]\n{ONE_ROUTE}"
    );
    CompiledGate::compile(&text, &[])
}

impl CompiledGate {
    fn publish(&self, pair: &KeyPairPem, id: &str, usable_until: i64) {
        let jwks = json!({"keys": [jwk(pair, id)]}).to_string();
        let (set, _) =
            KeySet::from_jwks(jwks.as_bytes(), &[Algorithm::ES256]).expect("a usable set");
        let until = UnixTime::from_seconds(usable_until);
        self.configuration.key_feeds[0].cell.publish(set, UnixTime::from_seconds(NOW), until);
    }
}

#[test]
fn changed_keys_have_known_tokens_verified_anew() {
    let gate = with_fetched_keys();
    let token = token_with(json!({"kid": "one"}), json!({}));
    gate.publish(pair(), "one", NOW + 3600);
    assert_eq!(gate.known("/orders/7", &token, NOW), (PERMITTED, CacheResult::Miss));
    gate.publish(stranger(), "two", NOW + 3600);
    assert_eq!(gate.known("/orders/7", &token, NOW), ("token_key_unknown", CacheResult::Miss));
    gate.publish(stranger(), "one", NOW + 3600);
    assert_eq!(gate.known("/orders/7", &token, NOW), ("token_signature", CacheResult::Miss));
    gate.publish(pair(), "one", NOW + 3600);
    assert_eq!(gate.known("/orders/7", &token, NOW), (PERMITTED, CacheResult::Miss));
}

#[test]
fn refresh_that_brings_nothing_new_leaves_known_tokens_known() {
    let gate = with_fetched_keys();
    let token = token_with(json!({"kid": "one"}), json!({}));
    gate.publish(pair(), "one", NOW + 3600);
    assert_eq!(gate.known("/orders/7", &token, NOW), (PERMITTED, CacheResult::Miss));
    gate.publish(pair(), "one", NOW + 7200);
    assert_eq!(gate.known("/orders/7", &token, NOW), (PERMITTED, CacheResult::Hit));
}

/// "Could not decide" is not "no": 503, never 401.
#[test]
fn keys_that_never_came_or_grew_too_old_leave_the_answer_open() {
    let gate = with_fetched_keys();
    let token = token(json!({"exp": NOW + 7200}));
    assert_eq!(gate.slug(&token), "keys_unavailable", "no keys yet");
    gate.publish(pair(), "one", NOW + 3600);
    assert_eq!(gate.known("/orders/7", &token, NOW + 3599), (PERMITTED, CacheResult::Miss));
    assert_eq!(
        gate.known("/orders/7", &token, NOW + 3600),
        ("keys_unavailable", CacheResult::Hit),
        "a known token hangs on keys that can be believed too"
    );
}

#[test]
fn reload_that_changes_nothing_leaves_known_tokens_known() {
    let gate = CompiledGate::standard("", "");
    let token = good();
    assert_eq!(gate.known("/orders/7", &token, NOW), (PERMITTED, CacheResult::Miss));
    let gate = gate.reload(&standard(AUDIENCE, "", "limits: {body: 1KiB}"));
    assert_eq!(gate.known("/orders/7", &token, NOW), (PERMITTED, CacheResult::Hit));
}

#[test]
fn reload_that_changes_an_issuer_has_its_tokens_verified_anew() {
    let gate = CompiledGate::standard("", "");
    let token = good();
    assert_eq!(gate.known("/orders/7", &token, NOW), (PERMITTED, CacheResult::Miss));
    let gate = gate.reload(&standard("billing", "", ""));
    assert_eq!(gate.known("/orders/7", &token, NOW), ("token_audience", CacheResult::Miss));
}
