//! Who was cut off, and what happens when nobody can say.

use http::Method;
use portcullis::gate::revocation::{Entry, Scope};
use portcullis::gate::time::{Moment, SteadyTime, UnixTime};
use serde_json::json;

use super::{CompiledGate, NOW, PERMITTED, STEADY, bearer, good, token, token_with};
use crate::harness::tokens::ISSUER;

impl CompiledGate {
    pub(super) fn revoke(&self, scope: Scope, cut_off: i64) {
        let now = UnixTime::from_seconds(NOW);
        let cut_off = UnixTime::from_seconds(cut_off);
        self.revocations.apply(&Entry { scope, cut_off, expires: now.plus(86_400) }, now);
    }

    /// What a good token gets `later_ms` after the last contact.
    fn slug_later(&self, method: &Method, later_ms: u64) -> &'static str {
        let steady = SteadyTime::from_millis(STEADY.as_millis() + later_ms);
        let now = Moment { wall: UnixTime::from_seconds(NOW), steady, ..Moment::default() };
        self.decide_at(method, "/orders/7", &[&bearer(&good())], now).slug
    }
}

fn subject(name: &str) -> Scope {
    Scope::Subject { issuer: None, subject: name.into() }
}

#[test]
fn revoked_token_is_refused_also_when_it_was_seen_before() {
    let gate = CompiledGate::standard("", "");
    let token = token(json!({"jti": "t1"}));
    assert_eq!(gate.slug(&token), PERMITTED);
    gate.revoke(Scope::Token { issuer: ISSUER.into(), id: "t1".into() }, i64::MAX);
    assert_eq!(gate.slug(&token), "token_revoked");
    assert_eq!(gate.slug(&super::token(json!({"jti": "t2"}))), PERMITTED);
}

#[test]
fn subject_is_cut_off_until_it_logs_in_anew() {
    let gate = CompiledGate::standard("", "");
    gate.revoke(subject("alice"), NOW - 10);
    let issued = |at: i64| token(json!({"iat": at}));
    assert_eq!(gate.slug(&issued(NOW - 11)), "token_revoked");
    assert_eq!(gate.slug(&issued(NOW - 10)), "token_revoked", "the same second counts as before");
    assert_eq!(gate.slug(&issued(NOW - 9)), PERMITTED);
    assert_eq!(gate.slug(&token(json!({"sub": "bob", "iat": NOW - 11}))), PERMITTED);
}

#[test]
fn sessions_clients_and_issuers_are_found_in_the_claims() {
    for (scope, named, other) in [
        (Scope::Session("s1".into()), json!({"sid": "s1"}), json!({"sid": "s2"})),
        (Scope::Client("c1".into()), json!({"client_id": "c1"}), json!({"client_id": "c2"})),
        (Scope::Client("c1".into()), json!({"azp": "c1"}), json!({"azp": "c1", "client_id": "c2"})),
        (Scope::Issuer(ISSUER.into()), json!({}), json!({"iat": NOW + 1})),
    ] {
        let gate = CompiledGate::standard("", "");
        gate.revoke(scope.clone(), NOW);
        assert_eq!(gate.slug(&token(named)), "token_revoked", "{scope}");
        assert_eq!(gate.slug(&token(other)), PERMITTED, "{scope}");
    }
}

/// What could not be revoked is not accepted.
#[test]
fn session_and_client_that_nobody_could_name_are_refused() {
    let gate = CompiledGate::standard("", "");
    for claim in ["sid", "client_id", "azp"] {
        for value in [json!(7.5), json!(true), json!(["a"]), json!({})] {
            assert_eq!(gate.slug(&token(json!({ claim: value }))), "token_claims", "{claim}");
        }
        assert_eq!(gate.slug(&token(json!({ claim: 7 }))), PERMITTED, "{claim}");
    }
}

/// The header names no key, but a key made the signature.
#[test]
fn key_is_revoked_by_its_own_id_whatever_the_header_says() {
    let gate = super::with_two_keys();
    let unnamed = token_with(json!({}), json!({}));
    let named = token_with(json!({"kid": "one"}), json!({}));
    assert_eq!((gate.slug(&unnamed), gate.slug(&named)), (PERMITTED, PERMITTED));
    gate.revoke(Scope::Key { issuer: Some(ISSUER.into()), id: "one".into() }, i64::MAX);
    assert_eq!((gate.slug(&unnamed), gate.slug(&named)), ("token_revoked", "token_revoked"));
}

#[test]
fn revocation_outlives_a_reload() {
    let gate = CompiledGate::standard("", "");
    gate.revoke(subject("alice"), NOW);
    assert_eq!(gate.slug(&good()), "token_revoked");
    let text = super::standard(super::AUDIENCE, "clock_skew: 31s", "");
    assert_eq!(gate.reload(&text).slug(&good()), "token_revoked");
}

#[test]
fn list_that_is_too_old_is_answered_for_as_the_route_says() {
    let (get, post) = (Method::GET, Method::POST);
    type Answers<'a> = [(u64, &'a Method, &'a str); 4];
    let cases: [(&str, Answers<'_>); 5] = [
        (
            "",
            [
                (5000, &get, PERMITTED),
                (5001, &get, "revocation_stale"),
                (5000, &post, PERMITTED),
                (5001, &post, "revocation_stale"),
            ],
        ),
        (
            "when_stale: deny",
            [
                (5000, &get, PERMITTED),
                (5001, &get, "revocation_stale"),
                (5000, &post, PERMITTED),
                (5001, &post, "revocation_stale"),
            ],
        ),
        (
            "when_stale: allow",
            [
                (5001, &get, PERMITTED),
                (500_000_000, &get, PERMITTED),
                (5001, &post, PERMITTED),
                (500_000_000, &post, PERMITTED),
            ],
        ),
        (
            "when_stale: deny_writes",
            [
                (5001, &get, PERMITTED),
                (500_000_000, &get, PERMITTED),
                (5000, &post, PERMITTED),
                (5001, &post, "revocation_stale"),
            ],
        ),
        (
            "when_stale: { allow_for: 10s }",
            [
                (15_000, &get, PERMITTED),
                (15_001, &get, "revocation_stale"),
                (15_000, &post, PERMITTED),
                (15_001, &post, "revocation_stale"),
            ],
        ),
    ];
    for (rule, answers) in cases {
        let gate = CompiledGate::standard("", rule);
        for (later_ms, method, expected) in answers {
            assert_eq!(gate.slug_later(method, later_ms), expected, "{rule} {method} {later_ms}");
        }
    }
}

#[test]
fn whom_the_list_knows_is_refused_however_old_it_is() {
    let gate = CompiledGate::standard("", "when_stale: allow");
    gate.revoke(subject("alice"), NOW);
    assert_eq!(gate.slug_later(&Method::GET, 500_000_000), "token_revoked");
}

/// An invalid credential is invalid, whatever the list is.
#[test]
fn invalid_token_is_401_while_the_list_is_too_old() {
    let gate = CompiledGate::standard("", "");
    let steady = SteadyTime::from_millis(STEADY.as_millis() + 60_000);
    let now = Moment { wall: UnixTime::from_seconds(NOW), steady, ..Moment::default() };
    let expired = token(json!({"iat": NOW - 600, "exp": NOW - 60}));
    let said = gate.decide_at(&Method::GET, "/orders/7", &[&bearer(&expired)], now);
    assert_eq!(said.slug, "token_expired");
}

/// An empty list is not an old one: nobody may take it for leave to go on.
#[test]
fn nothing_that_authenticates_passes_before_the_list_was_loaded_whatever_the_route_says() {
    let answers = ["deny", "allow", "deny_writes", "{ allow_for: 36500d }"];
    for answer in answers {
        let text = super::standard(super::AUDIENCE, "", &format!("when_stale: {answer}"));
        let files = [("issuer.pem", super::pair().public.as_str())];
        let gate = CompiledGate::compile_unloaded(&text, &files);
        assert_eq!(gate.slug(&good()), "revocation_stale", "{answer}");
        assert_eq!(gate.slug(&token(json!({"aud": "billing"}))), "token_audience", "{answer}");
        assert_eq!(gate.decide("/public", &[], NOW).slug, PERMITTED, "{answer}");
        // Whom it knows already it refuses already.
        gate.revoke(subject("alice"), NOW);
        assert_eq!(gate.slug(&good()), "token_revoked", "{answer}");
        assert_eq!(gate.slug(&token(json!({"sub": "bob"}))), "revocation_stale", "{answer}");
        gate.revocations.contact(STEADY);
        assert_eq!(gate.slug(&token(json!({"sub": "bob"}))), PERMITTED, "{answer}");
    }
}

#[test]
fn reads_are_the_methods_that_are_safe_and_everything_else_is_a_write() {
    let gate = CompiledGate::standard("", "when_stale: deny_writes");
    let own = Method::from_bytes(b"FROBNICATE").expect("a method");
    for (method, expected) in [
        (Method::GET, PERMITTED),
        (Method::HEAD, PERMITTED),
        (Method::OPTIONS, PERMITTED),
        (Method::POST, "revocation_stale"),
        (Method::PUT, "revocation_stale"),
        (Method::PATCH, "revocation_stale"),
        (Method::DELETE, "revocation_stale"),
        (own, "revocation_stale"),
    ] {
        assert_eq!(gate.slug_later(&method, 5001), expected, "{method}");
    }
}

#[test]
fn route_that_says_nothing_does_what_the_section_says() {
    let section = "revocation: {max_staleness: 2s, when_stale: deny_writes}\n";
    let text = section.to_owned() + &super::standard(super::AUDIENCE, "", "");
    let gate = CompiledGate::compile(&text, &[("issuer.pem", &super::pair().public)]);
    for (method, later_ms, expected) in [
        (Method::GET, 2001, PERMITTED),
        (Method::POST, 2000, PERMITTED),
        (Method::POST, 2001, "revocation_stale"),
    ] {
        assert_eq!(gate.slug_later(&method, later_ms), expected, "{method} {later_ms}");
    }
}

/// The age is that of a clock that nobody can set.
#[test]
fn wall_clock_that_is_set_makes_the_list_neither_old_nor_young() {
    let gate = CompiledGate::standard("", "");
    let at = |wall: i64, later_ms: u64| {
        let steady = SteadyTime::from_millis(STEADY.as_millis() + later_ms);
        let now = Moment { wall: UnixTime::from_seconds(wall), steady, ..Moment::default() };
        let token = token(json!({"iat": wall, "exp": wall + 600}));
        gate.decide_at(&Method::GET, "/orders/7", &[&bearer(&token)], now).slug
    };
    assert_eq!(at(NOW + 500_000, 0), PERMITTED);
    assert_eq!(at(NOW - 500_000, 5001), "revocation_stale");
}
