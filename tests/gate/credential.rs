//! The credential: absent, malformed and wrong are three things.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{CompiledGate, GateAnswer, NOW, PERMITTED, good, standard, token};
use crate::harness::tokens::{AUDIENCE, bearer, pair};

#[test]
fn no_credential_is_absent() {
    assert_eq!(
        CompiledGate::standard("", "").decide("/orders/7", &[], NOW).slug,
        "credential_absent"
    );
}

#[test]
fn malformed_token_is_not_taken_for_an_absent_one() {
    let gate = CompiledGate::standard("", "");
    let good = good();
    for value in [
        "Bearer",
        "Bearer ",
        "Bearer null",
        &format!("Bearer {good} {good}"),
        &format!("Bearer {good},{good}"),
        &format!("Bearer \"{good}\""),
        &format!("Bearer {good};q=1"),
        &format!("Bearer token={good}"),
        &format!("Bearer {good}é"),
    ] {
        let said = gate.decide("/orders/7", &[value], NOW);
        assert_eq!(said.slug, "token_malformed", "{value}");
    }
}

#[test]
fn credential_of_another_scheme_is_absent_and_one_without_a_scheme_cannot_be_read() {
    let gate = CompiledGate::standard("", "");
    let good = good();
    for value in ["", "Basic YTpi", "DPoP a.b.c", "Bearera.b.c", &good] {
        let said = gate.decide("/orders/7", &[value], NOW);
        assert_eq!(said.slug, "credential_absent", "{value}");
    }
    for value in [&format!("Bearer\t{good}"), "\"Bearer\" a", "Bearer=a"] {
        let said = gate.decide("/orders/7", &[value], NOW);
        assert_eq!(said.slug, "credential_malformed", "{value}");
    }
}

#[test]
fn what_is_not_a_strict_compact_jws_is_malformed() {
    let gate = CompiledGate::standard("", "");
    let good = good();
    let (input, signature) = good.rsplit_once('.').expect("a signature");
    // The 64 bytes of an ES256 signature leave four bits of the last character unused.
    let last = signature.chars().last().expect("a character");
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).expect("base64url");
    let stray = &alphabet[at + 1..at + 2];
    let malformed = [
        ("one part", "a".to_owned()),
        ("two parts", input.to_owned()),
        ("four parts", format!("{good}.a")),
        ("five parts, a JWE", "a.b.c.d.e".to_owned()),
        ("empty parts", "..".to_owned()),
        ("a final dot", format!("{good}.")),
        ("padding", format!("{good}==")),
        ("the other alphabet", format!("{input}.{}", "+/".repeat(43))),
        ("stray bits", format!("{}{stray}", &good[..good.len() - 1])),
    ];
    gate.holds(malformed.map(|(name, token)| (name, token, "token_malformed")));
    gate.holds([("the same, untouched", good.clone(), PERMITTED)]);
}

#[test]
fn changed_signature_is_refused() {
    let gate = CompiledGate::standard("", "");
    let good = good();
    let (input, signature) = good.rsplit_once('.').expect("a signature");
    let bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let with = |bytes: &[u8]| format!("{input}.{}", URL_SAFE_NO_PAD.encode(bytes));
    for at in [0, 31, 32, 63] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_eq!(gate.slug(&with(&changed)), "token_signature", "byte {at}");
    }
    for changed in [&bytes[..63], &[bytes.as_slice(), &[0]].concat(), &[0; 64], &[]] {
        assert_eq!(gate.slug(&with(changed)), "token_signature", "{} bytes", changed.len());
    }
}

#[test]
fn token_is_read_up_to_its_longest_length_and_no_further() {
    let token = good();
    let limited = |bytes: usize| {
        let text = standard(AUDIENCE, "", "");
        let text = format!("limits: {{token_bytes: {bytes}B}}\n{text}");
        CompiledGate::compile(&text, &[("issuer.pem", &pair().public)])
    };
    assert_eq!(limited(token.len()).slug(&token), PERMITTED);
    assert_eq!(limited(token.len() - 1).slug(&token), "token_malformed");
}

#[test]
fn two_credentials_are_malformed_on_every_route() {
    let gate = CompiledGate::standard("", "");
    let good = bearer(&good());
    for path in ["/orders/7", "/public"] {
        let said = gate.decide(path, &[&good, &good], NOW);
        assert_eq!(said.slug, "credential_malformed", "{path}");
    }
}

#[test]
fn public_route_does_not_read_the_credential() {
    let gate = CompiledGate::standard("", "");
    let expired = bearer(&token(json!({"exp": 1, "iat": 0})));
    for value in [&bearer(&good()), &expired, "Basic YTpi", "Bearer", "Bearer a.b.c"] {
        let said = gate.decide("/public", &[value], NOW);
        assert_eq!(said, GateAnswer { slug: PERMITTED, cache: None, subject: None }, "{value}");
    }
}

#[test]
fn request_that_leads_nowhere_is_refused_before_its_credential_is_read() {
    let gate = CompiledGate::standard("", "");
    for (path, expected) in [
        ("/nowhere", "route_unknown"),
        ("/ordersx", "route_unknown"),
        ("/orders/..%2fpublic", "request_target"),
        ("/orders/%00", "request_target"),
        ("/orders/a;b", "request_target"),
        ("orders/7", "request_target"),
    ] {
        let said = gate.decide(path, &["Basic YTpi"], NOW);
        assert_eq!(said, GateAnswer { slug: expected, cache: None, subject: None }, "{path}");
    }
}
