//! The key and the type: what a token says of itself proves nothing.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::{
    CompiledGate, PERMITTED, changed, claims, raw, sign, stranger, stranger_private, token_with,
    with_two_keys,
};
use crate::harness::jwks::jwk;

/// RFC 8725 §3.10: `jwk`, `jku`, `x5u` and `x5c` are the sender's word about themselves.
#[test]
fn key_that_comes_with_the_token_is_never_honoured() {
    let gate = CompiledGate::standard("", "");
    let own = jwk(stranger(), "mine");
    for parameters in [
        json!({ "jwk": own }),
        json!({"jwk": own, "kid": "mine"}),
        json!({"jku": "http://127.0.0.1:1/jwks.json"}),
        json!({"x5u": "http://127.0.0.1:1/chain.pem"}),
        json!({"x5c": ["MIIB"]}),
        json!({"jwk": own, "jku": "http://127.0.0.1:1/", "x5c": ["MIIB"], "x5u": "http://a/"}),
    ] {
        let header = changed(json!({"alg": "ES256", "typ": "JWT"}), parameters.clone());
        let token = sign(&stranger_private(), Algorithm::ES256, &header, &claims(json!({})));
        assert_eq!(gate.slug(&token), "token_signature", "{parameters}");
        // They are not read at all, so beside a good signature they do no harm.
        assert_eq!(gate.slug(&raw(&header, &claims(json!({})))), PERMITTED, "{parameters}");
    }
}

#[test]
fn key_id_selects_the_key_and_no_other_is_tried() {
    let with = |id: Value| token_with(json!({ "kid": id }), json!({}));
    with_two_keys().holds([
        ("its own key", with(json!("one")), PERMITTED),
        ("no key named", with(json!(null)), PERMITTED),
        ("the other key", with(json!("two")), "token_signature"),
        ("no such key", with(json!("three")), "token_key_unknown"),
        ("ids have case", with(json!("One")), "token_key_unknown"),
        ("an empty id", with(json!("")), "token_key_unknown"),
        ("an id that is no text", with(json!(1)), "token_malformed"),
        ("several ids", with(json!(["one"])), "token_malformed"),
    ]);
}

#[test]
fn key_without_an_id_serves_whatever_id_a_token_names() {
    let gate = CompiledGate::standard("", "");
    assert_eq!(gate.slug(&token_with(json!({"kid": "any"}), json!({}))), PERMITTED);
}

/// RFC 7515 §4.1.11: whoever does not understand an extension must refuse, and none is understood.
#[test]
fn critical_extension_is_refused_whatever_it_is() {
    let gate = CompiledGate::standard("", "");
    for critical in [r#"["exp"]"#, r#"["b64"]"#, "[]", "null", "false", "\"\""] {
        let header =
            format!(r#"{{"alg":"ES256","typ":"JWT","exp":1,"b64":true,"crit":{critical}}}"#);
        assert_eq!(gate.slug(&raw(&header, &claims(json!({})))), "token_critical", "{critical}");
    }
}

#[test]
fn untyped_and_access_token_types_are_accepted_by_default_and_no_other() {
    let with = |typ: &str| token_with(json!({ "typ": typ }), json!({}));
    let accepted = ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"];
    let refused =
        ["id_token+jwt", "dpop+jwt", "logout+jwt", "JOSE", "text/jwt", "application/", ""];
    let gate = CompiledGate::standard("", "");
    gate.holds([("absent", token_with(json!({"typ": null}), json!({})), PERMITTED)]);
    gate.holds(accepted.map(|typ| (typ, with(typ), PERMITTED)));
    gate.holds(refused.map(|typ| (typ, with(typ), "token_type")));
}

#[test]
fn listed_types_are_accepted_and_then_a_token_must_be_typed() {
    let with = |typ: Value| token_with(json!({ "typ": typ }), json!({}));
    CompiledGate::standard("token_types: [at+jwt, application/Service+JWT]", "").holds([
        ("listed", with(json!("at+jwt")), PERMITTED),
        ("listed, in another case", with(json!("AT+JWT")), PERMITTED),
        ("listed, in full", with(json!("application/at+jwt")), PERMITTED),
        ("listed in full", with(json!("service+jwt")), PERMITTED),
        ("the default type", with(json!("JWT")), "token_type"),
        ("absent", with(json!(null)), "token_type"),
        ("no text", with(json!(7)), "token_malformed"),
    ]);
}
