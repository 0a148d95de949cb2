//! Time: the last accepted and the first refused second.

use serde_json::json;

use super::{CompiledGate, NOW, PERMITTED, SKEW_S, claims, raw, token};

#[test]
fn token_is_refused_from_its_expiry_and_the_skew_on() {
    for (issuer, skew) in [("", SKEW_S), ("clock_skew: 2m", 120), ("clock_skew: 1ms", 0)] {
        let gate = CompiledGate::standard(issuer, "");
        let token = token(json!({"exp": NOW + 60}));
        assert_eq!(gate.slug_at(&token, NOW + 60 + skew - 1), PERMITTED, "{skew}");
        assert_eq!(gate.slug_at(&token, NOW + 60 + skew), "token_expired", "{skew}");
    }
}

#[test]
fn token_from_the_future_is_refused_beyond_the_skew() {
    let gate = CompiledGate::standard("", "");
    for name in ["nbf", "iat"] {
        let from = |start: i64| token(json!({ name: start }));
        assert_eq!(gate.slug(&from(NOW + SKEW_S)), PERMITTED, "{name}");
        assert_eq!(gate.slug(&from(NOW + SKEW_S + 1)), "token_not_yet_valid", "{name}");
    }
}

#[test]
fn token_that_was_too_early_is_permitted_once_its_time_has_come() {
    let gate = CompiledGate::standard("", "");
    let token = token(json!({"nbf": NOW + 100}));
    assert_eq!(gate.slug_at(&token, NOW + 100 - SKEW_S - 1), "token_not_yet_valid");
    assert_eq!(gate.slug_at(&token, NOW + 100 - SKEW_S), PERMITTED);
}

#[test]
fn token_that_lives_longer_than_its_issuer_may_make_it_live_is_refused() {
    let gate = CompiledGate::standard("max_lifetime: 1h", "");
    let living = |seconds: i64| token(json!({"iat": NOW, "exp": NOW + seconds}));
    assert_eq!(gate.slug(&living(3600)), PERMITTED);
    assert_eq!(gate.slug(&living(3601)), "token_lifetime");
}

#[test]
fn longest_lifetime_is_a_day_unless_the_issuer_says_otherwise() {
    let gate = CompiledGate::standard("", "");
    let day = 24 * 3600;
    assert_eq!(gate.slug(&token(json!({"exp": NOW + day}))), PERMITTED);
    assert_eq!(gate.slug(&token(json!({"exp": NOW + day + 1}))), "token_lifetime");
}

/// It could be older than any cut-off, so it counts as issued at time zero.
#[test]
fn token_without_an_issue_time_lives_too_long() {
    let gate = CompiledGate::standard("", "");
    assert_eq!(gate.slug(&token(json!({"iat": null}))), "token_lifetime");
}

#[test]
fn dates_are_numbers_within_what_a_clock_shows() {
    let gate = CompiledGate::standard("", "");
    let exact = claims(json!({"exp": null}));
    for (text, expected) in [
        ("1800000600", PERMITTED),
        ("1800000600.5", PERMITTED),
        ("1.8000006e9", PERMITTED),
        ("\"1800000600\"", "token_claims"),
        ("null", "token_claims"),
        ("-1", "token_claims"),
        ("1e18", "token_claims"),
        ("9223372036854775807", "token_claims"),
        ("[1800000600]", "token_claims"),
        ("true", "token_claims"),
    ] {
        let payload = format!("{{\"exp\":{text},{}", &exact[1..]);
        assert_eq!(gate.slug(&raw(r#"{"alg":"ES256"}"#, &payload)), expected, "{text}");
    }
}
