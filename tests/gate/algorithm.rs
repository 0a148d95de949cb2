//! The algorithm: the key decides it, the token may only agree (RFC 8725 §3.1 and §3.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey};
use portcullis::issuer::key_pairs::{KeyKind, KeyPairPem, generate};
use serde_json::json;

use super::{CompiledGate, ONE_ROUTE, PERMITTED, claims, raw, sign, token_with};
use crate::harness::tokens::{AUDIENCE, ISSUER, forged, pair};

#[test]
fn algorithm_none_is_refused_in_every_spelling() {
    let gate = CompiledGate::standard("", "");
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({ "alg": name }).to_string();
        assert_eq!(gate.slug(&forged(&header, &claims(json!({})), b"")), "token_algorithm");
        // A signature that would verify does not help.
        assert_eq!(gate.slug(&raw(&header, &claims(json!({})))), "token_algorithm", "{name}");
    }
}

#[test]
fn algorithm_that_is_unknown_or_not_permitted_is_refused() {
    let gate = CompiledGate::standard("", "");
    for name in ["es256", "ES256 ", "ES256K", "ES512", "ES384", "RS256", "HS256", "EdDSA", "dir"] {
        let token = token_with(json!({ "alg": name }), json!({}));
        assert_eq!(gate.slug(&token), "token_algorithm", "{name}");
    }
}

#[test]
fn header_without_one_algorithm_is_malformed() {
    let gate = CompiledGate::standard("", "");
    for header in
        ["{}", r#"{"alg":null}"#, r#"{"alg":256}"#, r#"{"alg":["ES256"]}"#, "[]", "\"ES256\"", ""]
    {
        assert_eq!(gate.slug(&raw(header, &claims(json!({})))), "token_malformed", "{header}");
    }
}

/// The classic key confusion: a public key is public, so it must never serve as an HMAC secret.
#[test]
fn public_key_is_never_taken_for_an_hmac_secret() {
    let gate = CompiledGate::standard("", "");
    let pem = pair().public.as_bytes();
    let base64: String = pair().public.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(base64).expect("PEM");
    for secret in [pem, pem.trim_ascii(), &der, &der[der.len() - 65..]] {
        for (name, algorithm) in
            [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)]
        {
            let header = json!({ "alg": name }).to_string();
            let key = EncodingKey::from_secret(secret);
            let token = sign(&key, algorithm, &header, &claims(json!({})));
            assert_eq!(gate.slug(&token), "token_algorithm", "{name}");
            // Nor does the lie about the algorithm help.
            let token = sign(&key, algorithm, r#"{"alg":"ES256"}"#, &claims(json!({})));
            assert_eq!(gate.slug(&token), "token_signature", "{name}");
        }
    }
}

struct Signer {
    name: &'static str,
    algorithm: Algorithm,
    private: EncodingKey,
    /// How an issuer is told of the key, and the file with it.
    keys: &'static str,
    file: (&'static str, String),
}

impl Signer {
    fn token(&self, named: &str) -> String {
        let header = json!({"alg": named, "typ": "JWT"}).to_string();
        sign(&self.private, self.algorithm, &header, &claims(json!({})))
    }

    /// A gate whose issuer signs with this algorithm and this key only.
    fn gate(&self) -> CompiledGate {
        let (file, contents) = &self.file;
        let text = format!(
            "issuers: [{{name: test, issuer: '{ISSUER}', audiences: [{AUDIENCE}], algorithms: \
             [{}], keys: {{{}: {file}}}}}]\n{ONE_ROUTE}",
            self.name, self.keys
        );
        CompiledGate::compile(&text, &[(file, contents)])
    }
}

/// A signer for each algorithm; those of one family share a key, as an issuer's would.
fn signers() -> Vec<Signer> {
    let secret = "0123456789abcdef".repeat(4);
    let pair = |kind| generate(kind).expect("a key pair");
    let [rsa, p256, p384, ed] =
        [KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::Ed25519].map(pair);
    let row = |name: &'static str, algorithm: Algorithm| {
        let pem = |pair: &KeyPairPem, parse: fn(&[u8]) -> _| {
            (parse(pair.private.as_bytes()), ("key.pem", pair.public.clone()))
        };
        let (private, file) = match name {
            "ES256" => pem(&p256, EncodingKey::from_ec_pem),
            "ES384" => pem(&p384, EncodingKey::from_ec_pem),
            "EdDSA" => pem(&ed, EncodingKey::from_ed_pem),
            name if name.starts_with("HS") => {
                (Ok(EncodingKey::from_secret(secret.as_bytes())), ("secret.key", secret.clone()))
            }
            _ => pem(&rsa, EncodingKey::from_rsa_pem),
        };
        let keys = if file.0 == "key.pem" { "public_key_file" } else { "secret_file" };
        Signer { name, algorithm, private: private.expect("a private key"), keys, file }
    };
    vec![
        row("HS256", Algorithm::HS256),
        row("HS384", Algorithm::HS384),
        row("HS512", Algorithm::HS512),
        row("RS256", Algorithm::RS256),
        row("RS384", Algorithm::RS384),
        row("RS512", Algorithm::RS512),
        row("PS256", Algorithm::PS256),
        row("PS384", Algorithm::PS384),
        row("PS512", Algorithm::PS512),
        row("ES256", Algorithm::ES256),
        row("ES384", Algorithm::ES384),
        row("EdDSA", Algorithm::EdDSA),
    ]
}

#[test]
fn each_algorithm_is_accepted_with_its_own_key_and_no_other_algorithm_is() {
    let signers = signers();
    for accepted in &signers {
        let gate = accepted.gate();
        for signer in &signers {
            let what = format!("{} where {} is permitted", signer.name, accepted.name);
            let expected = if signer.name == accepted.name { PERMITTED } else { "token_algorithm" };
            assert_eq!(gate.slug(&signer.token(signer.name)), expected, "{what}");
            // Signed with one algorithm, said to be the other: the signature tells. HMACs of one
            // secret and signatures of one RSA key are among these.
            let expected = if signer.name == accepted.name { PERMITTED } else { "token_signature" };
            assert_eq!(gate.slug(&signer.token(accepted.name)), expected, "{what}, in disguise");
        }
    }
}

#[test]
fn each_algorithm_is_refused_with_another_key_of_its_kind() {
    let (own, others) = (signers(), signers());
    for (own, other) in own.iter().zip(&others).filter(|(own, _)| !own.name.starts_with("HS")) {
        assert_eq!(own.gate().slug(&other.token(own.name)), "token_signature", "{}", own.name);
    }
}

#[test]
fn hmac_is_refused_with_another_secret() {
    for signer in signers().iter().filter(|signer| signer.name.starts_with("HS")) {
        let gate = signer.gate();
        let other = EncodingKey::from_secret("0123456789abcdeF".repeat(4).as_bytes());
        let header = json!({ "alg": signer.name }).to_string();
        let token = sign(&other, signer.algorithm, &header, &claims(json!({})));
        assert_eq!(gate.slug(&token), "token_signature", "{}", signer.name);
    }
}
