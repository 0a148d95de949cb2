//! The claims that no token may lack, and how they are compared.

use portcullis::gate::json::JSON_DEPTH_MAX;
use serde_json::{Value, json};

use super::{
    CompiledGate, NOW, PERMITTED, claims, private, raw, stranger_private, token, token_of,
    with_two_issuers,
};
use crate::harness::tokens::{AUDIENCE, ISSUER, bearer};

#[test]
fn issuer_is_compared_byte_for_byte() {
    let with = |iss: Value| token(json!({ "iss": iss }));
    CompiledGate::standard("", "").holds([
        ("another", with(json!("https://other.test")), "token_issuer"),
        ("with a slash", with(json!(format!("{ISSUER}/"))), "token_issuer"),
        ("in another case", with(json!(ISSUER.to_uppercase())), "token_issuer"),
        ("with a space", with(json!(format!(" {ISSUER}"))), "token_issuer"),
        ("the beginning", with(json!(&ISSUER[..ISSUER.len() - 1])), "token_issuer"),
        ("its name in the configuration", with(json!("test")), "token_issuer"),
        ("empty", with(json!("")), "token_issuer"),
        ("missing", with(json!(null)), "token_claims"),
        ("a list", with(json!([ISSUER])), "token_claims"),
        ("a number", with(json!(7)), "token_claims"),
    ]);
}

#[test]
fn audience_is_one_of_ours_as_text_or_in_a_list() {
    let with = |aud: Value| token(json!({ "aud": aud }));
    CompiledGate::standard("", "").holds([
        ("the first", with(json!(AUDIENCE)), PERMITTED),
        ("the second", with(json!("orders-v2")), PERMITTED),
        ("in a list", with(json!(["billing", "orders-v2"])), PERMITTED),
        ("another", with(json!("billing")), "token_audience"),
        ("others", with(json!(["billing", "orders"])), "token_audience"),
        ("in another case", with(json!(AUDIENCE.to_uppercase())), "token_audience"),
        ("with more", with(json!(format!("{AUDIENCE} billing"))), "token_audience"),
        ("empty", with(json!("")), "token_audience"),
        ("nobody", with(json!([])), "token_audience"),
        ("missing", with(json!(null)), "token_claims"),
        ("a number", with(json!(7)), "token_claims"),
        ("an object", with(json!({ AUDIENCE: true })), "token_claims"),
        ("a list with a number", with(json!([AUDIENCE, 7])), "token_claims"),
    ]);
}

#[test]
fn route_accepts_its_issuers_only() {
    let gate = with_two_issuers();
    let one = token_of("one", &private());
    let two = token_of("two", &stranger_private());
    for (path, token, expected) in [
        ("/one", &one, PERMITTED),
        ("/one", &two, "token_issuer"),
        ("/two", &one, "token_issuer"),
        ("/two", &two, PERMITTED),
        ("/both", &one, PERMITTED),
        ("/both", &two, PERMITTED),
    ] {
        assert_eq!(gate.decide(path, &[&bearer(token)], NOW).slug, expected, "{path}");
    }
}

#[test]
fn issuer_cannot_sign_in_the_name_of_another() {
    let gate = with_two_issuers();
    let token = token_of("one", &stranger_private());
    assert_eq!(gate.decide("/both", &[&bearer(&token)], NOW).slug, "token_signature");
}

#[test]
fn claims_that_no_token_may_lack_are_required() {
    let gate = CompiledGate::standard("", "");
    for name in ["iss", "aud", "exp", "sub"] {
        assert_eq!(gate.slug(&token(json!({ name: null }))), "token_claims", "{name}");
    }
    for sub in [json!(""), json!(7), json!(["alice"])] {
        assert_eq!(gate.slug(&token(json!({ "sub": sub }))), "token_claims");
    }
}

#[test]
fn claims_that_the_issuer_requires_are_required() {
    let gate = CompiledGate::standard("required_claims: [jti, tenant]", "");
    gate.holds([
        ("both", token(json!({"tenant": "acme"})), PERMITTED),
        ("one", token(json!({})), "token_claims"),
        ("the other", token(json!({"tenant": "acme", "jti": null})), "token_claims"),
    ]);
}

#[test]
fn claims_of_the_wrong_type_are_refused() {
    let gate = CompiledGate::standard("", "");
    for changes in [
        json!({"nbf": "soon"}),
        json!({"iat": "now"}),
        json!({"jti": [7]}),
        json!({"jti": 7.5}),
        json!({"azp": true}),
    ] {
        assert_eq!(gate.slug(&token(changes.clone())), "token_claims", "{changes}");
    }
    assert_eq!(gate.slug(&token(json!({"jti": 7}))), PERMITTED);
}

#[test]
fn scopes_and_roles_of_the_wrong_type_are_refused_where_a_route_asks_for_them() {
    let (asks, does_not) = (
        "require: {scopes: [orders:read], any_role: [clerk]}",
        "require: {claims: {aud: [orders-api]}}",
    );
    for changes in [
        json!({"scope": 7}),
        json!({"scope": null, "scp": [7]}),
        json!({"roles": {"clerk": true}}),
        json!({"roles": ["clerk", 7]}),
    ] {
        let token = token(changes.clone());
        assert_eq!(CompiledGate::standard("", asks).slug(&token), "token_claims", "{changes}");
        assert_eq!(CompiledGate::standard("", does_not).slug(&token), PERMITTED, "{changes}");
    }
}

#[test]
fn payload_that_is_not_one_object_is_refused() {
    let gate = CompiledGate::standard("", "");
    let good = claims(json!({}));
    let twice = format!("{good}{good}");
    for payload in ["", "[]", "\"alice\"", "null", "{", &good[1..], &twice] {
        assert_eq!(gate.slug(&raw(r#"{"alg":"ES256"}"#, payload)), "token_claims", "{payload}");
    }
    // Baseline: the same text once and whole is fine.
    assert_eq!(gate.slug(&raw(r#"{"alg":"ES256"}"#, &good)), PERMITTED);
}

/// RFC 7519 §4: two parsers that disagree about which of two equal names counts are a bypass.
#[test]
fn repeated_members_are_refused_at_every_depth() {
    let gate = CompiledGate::standard("", "");
    let good = claims(json!({}));
    let payload = |first: &str| raw(r#"{"alg":"ES256"}"#, &format!("{{{first},{}", &good[1..]));
    let header = |text: &str| raw(text, &good);
    gate.holds([
        ("nothing repeated", payload(r#""a":{"b":1,"c":1}"#), PERMITTED),
        ("a claim", payload(r#""sub":"mallory""#), "token_claims"),
        ("an equal claim", payload(r#""sub":"alice""#), "token_claims"),
        ("a claim in escapes", payload(r#""s\u0075b":"mallory""#), "token_claims"),
        ("a nested member", payload(r#""a":{"b":1,"b":2}"#), "token_claims"),
        ("a member in a list", payload(r#""a":[{"b":1,"b":2}]"#), "token_claims"),
        ("alg", header(r#"{"alg":"ES256","alg":"none"}"#), "token_malformed"),
        ("an equal alg", header(r#"{"alg":"ES256","alg":"ES256"}"#), "token_malformed"),
        ("kid", header(r#"{"alg":"ES256","kid":"a","kid":"b"}"#), "token_malformed"),
        ("in a jwk", header(r#"{"alg":"ES256","jwk":{"x":1,"x":2}}"#), "token_malformed"),
    ]);
}

#[test]
fn nesting_is_accepted_up_to_the_limit_and_refused_beyond() {
    let gate = CompiledGate::standard("", "");
    let good = claims(json!({}));
    // The outermost object is a level too.
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    let payload = |levels| {
        raw(r#"{"alg":"ES256"}"#, &format!("{{\"deep\":{},{}", nested(levels), &good[1..]))
    };
    let header = |levels| {
        raw(&format!(r#"{{"alg":"ES256","deep":{}}}"#, nested(levels)), &claims(json!({})))
    };
    gate.holds([
        ("payload at the limit", payload(JSON_DEPTH_MAX), PERMITTED),
        ("payload beyond", payload(JSON_DEPTH_MAX + 1), "token_claims"),
        ("payload far beyond", payload(1500), "token_claims"),
        ("header at the limit", header(JSON_DEPTH_MAX), PERMITTED),
        ("header beyond", header(JSON_DEPTH_MAX + 1), "token_malformed"),
    ]);
}
