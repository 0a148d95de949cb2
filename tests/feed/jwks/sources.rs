//! Every place that keys may come from, side by side.

use portcullis::issuer::key_pairs::KeyPairPem;

use super::*;
use crate::harness::certificates::Authority;
use crate::harness::gateway::directory;

/// Writes a file that the configuration names.
fn put(directory: &tempfile::TempDir, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(directory.path().join(name), bytes).expect("a file");
}

/// Starts a gateway with one issuer, `idp`, that keeps a key in a file.
fn with_file(algorithm: &str, source: &str, bytes: impl AsRef<[u8]>) -> Gateway {
    let directory = directory();
    put(&directory, "key", bytes);
    let issuers = [entry("idp", algorithm, &format!("{source}: key"))];
    Gateway::start_in(directory, &configuration(&Upstream::start(), &issuers))
}

fn pair(kind: KeyKind) -> (KeyPairPem, SigningKey) {
    let pair = generate(kind).expect("a key pair");
    let signing = tokens::signing_key(&pair, None);
    (pair, signing)
}

fn secret(text: &str) -> SigningKey {
    SigningKey::from_file(text.as_bytes(), None).expect("a key")
}

const SECRET: &str = "thirty-two-bytes-of-pure-entropy";

#[test]
fn rsa_key_from_a_pem_file_verifies() {
    let (pair, signing) = pair(KeyKind::Rsa);
    let gateway = with_file("RS256", "public_key_file", &pair.public);
    assert_eq!(ask(&gateway, &token_of("idp", &signing)), accepted());
}

#[test]
fn p384_key_from_a_pem_file_verifies() {
    let (pair, signing) = pair(KeyKind::P384);
    let gateway = with_file("ES384", "public_key_file", &pair.public);
    assert_eq!(ask(&gateway, &token_of("idp", &signing)), accepted());
}

#[test]
fn ed25519_key_from_a_pem_file_verifies() {
    let (pair, signing) = pair(KeyKind::Ed25519);
    let gateway = with_file("EdDSA", "public_key_file", &pair.public);
    assert_eq!(ask(&gateway, &token_of("idp", &signing)), accepted());
}

#[test]
fn key_of_a_certificate_verifies() {
    let certificate = Authority::new().issue("idp.test");
    let gateway = with_file("ES256", "public_key_file", &certificate.chain);
    let signing = SigningKey::from_file(certificate.key.as_bytes(), None).expect("a key");
    assert_eq!(ask(&gateway, &token_of("idp", &signing)), accepted());
}

#[test]
fn secret_from_a_file_verifies() {
    let gateway = with_file("HS256", "secret_file", SECRET);
    assert_eq!(ask(&gateway, &token_of("idp", &secret(SECRET))), accepted());
}

#[test]
fn white_space_around_a_secret_is_not_part_of_it() {
    let gateway = with_file("HS256", "secret_file", format!("\n {SECRET}\r\n\n"));
    assert_eq!(ask(&gateway, &token_of("idp", &secret(SECRET))), accepted());
}

#[test]
fn another_secret_does_not_verify() {
    let gateway = with_file("HS256", "secret_file", SECRET);
    let other = secret(&SECRET.to_uppercase());
    assert_eq!(ask(&gateway, &token_of("idp", &other)), denied(401, "token_signature"));
}

#[test]
fn secret_from_the_environment_verifies() {
    let issuers = [entry("idp", "HS256", "secret: '${IDP_SECRET}'")];
    let configuration = configuration(&Upstream::start(), &issuers);
    let environment = [("IDP_SECRET", SECRET)];
    let mut gateway = Gateway::spawn_with(directory(), &configuration, &environment);
    gateway.wait_until_ready();
    assert_eq!(ask(&gateway, &token_of("idp", &secret(SECRET))), accepted());
}

#[test]
fn key_set_from_a_file_verifies() {
    let pair = IssuerKey::new("first");
    let gateway = with_file("ES256", "jwks_file", json!({"keys": [pair.jwk]}).to_string());
    assert_eq!(ask(&gateway, &token_of("idp", &pair.signing)), accepted());
}

#[test]
fn key_that_a_key_set_in_a_file_does_not_hold_is_unknown() {
    let (inside, outside) = (IssuerKey::new("inside"), IssuerKey::new("outside"));
    let gateway = with_file("ES256", "jwks_file", json!({"keys": [inside.jwk]}).to_string());
    let outcome = ask(&gateway, &token_of("idp", &outside.signing));
    assert_eq!(outcome, denied(401, "token_key_unknown"));
}

#[test]
fn key_set_in_a_file_is_read_again_when_it_changes() {
    let (first, second) = (IssuerKey::new("first"), IssuerKey::new("second"));
    let gateway = with_file("ES256", "jwks_file", json!({"keys": [first.jwk]}).to_string());
    let old = token_of("idp", &first.signing);
    assert_eq!(ask(&gateway, &old), accepted());
    // Nobody sends a signal: the file is watched.
    let file = gateway.directory().join("key");
    std::fs::write(file, json!({"keys": [second.jwk]}).to_string()).expect("a file");
    let new = token_of("idp", &second.signing);
    eventually("the new key", || (ask(&gateway, &new) == accepted()).then_some(()));
    assert_eq!(ask(&gateway, &old), denied(401, "token_key_unknown"));
}

#[test]
fn key_set_that_is_damaged_while_running_changes_nothing() {
    let pair = IssuerKey::new("first");
    let gateway = with_file("ES256", "jwks_file", json!({"keys": [pair.jwk]}).to_string());
    std::fs::write(gateway.directory().join("key"), "{").expect("a file");
    eventually("the failed reload", || {
        let failed = gateway.metric("portcullis_config_reloads_total{result=\"failed\"}");
        (failed >= 1.0).then_some(())
    });
    assert_eq!(ask(&gateway, &token_of("idp", &pair.signing)), accepted());
}

#[test]
fn secret_that_changes_makes_verified_tokens_invalid() {
    let gateway = with_file("HS256", "secret_file", SECRET);
    let old = token_of("idp", &secret(SECRET));
    assert_eq!(ask(&gateway, &old), accepted());
    let changed = SECRET.to_uppercase();
    std::fs::write(gateway.directory().join("key"), &changed).expect("a file");
    let new = token_of("idp", &secret(&changed));
    eventually("the new secret", || (ask(&gateway, &new) == accepted()).then_some(()));
    assert_eq!(ask(&gateway, &old), denied(401, "token_signature"));
}

#[test]
fn each_issuer_verifies_with_its_own_keys_and_no_others() {
    let fetched = Issuer::start("fetched");
    let filed = IssuerKey::new("first");
    let (rsa, rsa_signing) = pair(KeyKind::Rsa);
    let (p256, p256_signing) = pair(KeyKind::P256);
    let directory = directory();
    put(&directory, "set.json", json!({"keys": [filed.jwk]}).to_string());
    put(&directory, "rsa.pem", &rsa.public);
    put(&directory, "p256.pem", &p256.public);
    put(&directory, "secret", SECRET);
    let issuers = [
        fetched.yaml("refresh: 1h"),
        entry("filed", "ES256", "jwks_file: set.json"),
        entry("rsa", "RS256", "public_key_file: rsa.pem"),
        entry("p256", "ES256", "public_key_file: p256.pem"),
        entry("shared", "HS256", "secret_file: secret"),
    ];
    let gateway = Gateway::start_in(directory, &configuration(&Upstream::start(), &issuers));
    let keys = [
        ("fetched", &fetched.first.signing),
        ("filed", &filed.signing),
        ("rsa", &rsa_signing),
        ("p256", &p256_signing),
        ("shared", &secret(SECRET)),
    ];
    for (issuer, _) in keys {
        for (owner, key) in keys {
            let (status, slug) = ask(&gateway, &token_of(issuer, key));
            let expected = if issuer == owner { 200 } else { 401 };
            assert_eq!(status, expected, "{issuer} by the key of {owner}: {slug}");
        }
    }
}
