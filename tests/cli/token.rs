//! `portcullis token`.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::program::{Ran, run};
use crate::harness::tokens;

/// A part of a token, as JSON.
pub(super) fn decoded(part: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let pair = tokens::pair();
    std::fs::write(directory.path().join("key.pem"), pair.private.as_bytes()).expect("a file");
    std::fs::write(directory.path().join("public.pem"), &pair.public).expect("a file");
    directory
}

/// Mints with the least that is needed, and more; a later option stands beside an earlier one.
fn mint_in(directory: &Path, key: &str, more: &[&str]) -> Ran {
    let least = ["token", "--key", key, "--issuer", "https://i.test", "--subject", "alice"];
    run(directory, &[least.as_slice(), more].concat())
}

/// Header and claims of the one token that is minted.
#[track_caller]
fn minted(more: &[&str]) -> (Value, Value) {
    let more = [["--audience", "a"].as_slice(), more].concat();
    let ran = mint_in(directory().path(), "key.pem", &more);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let token = ran.stdout.strip_suffix('\n').expect("a line");
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    (decoded(parts[0]), decoded(parts[1]))
}

#[test]
fn token_carries_what_every_token_must() {
    let (header, claims) = minted(&[]);
    assert_eq!(header, json!({"typ": "at+jwt", "alg": "ES256"}));
    let now = tokens::now();
    let issued_at = claims["iat"].as_i64().expect("iat");
    assert!((now - 60..=now).contains(&issued_at), "{issued_at} is not about {now}");
    let jti = claims["jti"].as_str().expect("jti").to_owned();
    assert_eq!(jti.len(), 32, "{jti}");
    assert_eq!(
        claims,
        json!({
            "iss": "https://i.test", "aud": "a", "sub": "alice",
            "iat": issued_at, "exp": issued_at + 900, "jti": jti,
        })
    );
}

#[test]
fn several_audiences_are_a_list() {
    let (_, claims) = minted(&["--audience", "b"]);
    assert_eq!(claims["aud"], json!(["a", "b"]));
}

#[test]
fn scopes_are_one_text_and_roles_a_list() {
    let (_, claims) =
        minted(&["--scope", "r", "--scope", "w", "--role", "clerk", "--role", "boss"]);
    assert_eq!(claims["scope"], "r w");
    assert_eq!(claims["roles"], json!(["clerk", "boss"]));
}

#[test]
fn claims_are_json_or_else_text() {
    let claims = [
        ("number=7", "number", json!(7)),
        ("truth=true", "truth", json!(true)),
        ("list=[1, \"a\"]", "list", json!([1, "a"])),
        ("object={\"a\": {\"b\": null}}", "object", json!({"a": {"b": null}})),
        ("quoted=\"7\"", "quoted", json!("7")),
        ("text=seven", "text", json!("seven")),
        ("equals=a=b", "equals", json!("a=b")),
        ("empty=", "empty", json!("")),
    ];
    let options: Vec<_> = claims.iter().flat_map(|(option, ..)| ["--claim", option]).collect();
    let (_, minted) = minted(&options);
    for (_, name, value) in claims {
        assert_eq!(minted[name], value, "{name}");
    }
}

#[test]
fn key_id_and_type_stand_in_the_header() {
    let (header, _) = minted(&["--kid", "2026-01", "--type", "JWT"]);
    assert_eq!(header, json!({"typ": "JWT", "alg": "ES256", "kid": "2026-01"}));
}

#[test]
fn lifetime_is_what_it_is_told() {
    for (lifetime, seconds) in [("30s", 30), ("2h", 7200), ("7d", 604_800)] {
        let (_, claims) = minted(&["--lifetime", lifetime]);
        let [issued_at, expires] =
            ["iat", "exp"].map(|name| claims[name].as_i64().expect("a time"));
        assert_eq!(expires - issued_at, seconds, "{lifetime}");
    }
}

#[test]
fn each_of_many_tokens_has_an_id_of_its_own() {
    let ran = mint_in(directory().path(), "key.pem", &["--audience", "a", "--count", "50"]);
    assert_eq!(ran.code, 0);
    let ids: std::collections::BTreeSet<_> = ran
        .stdout
        .lines()
        .map(|token| decoded(token.split('.').nth(1).expect("claims"))["jti"].to_string())
        .collect();
    assert_eq!((ran.stdout.lines().count(), ids.len()), (50, 50));
}

#[test]
fn secret_makes_tokens_of_hs256() {
    let directory = directory();
    std::fs::write(directory.path().join("secret"), "thirty-two-bytes-of-pure-entropy\n")
        .expect("a file");
    let ran = mint_in(directory.path(), "secret", &["--audience", "a"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let header = decoded(ran.stdout.split('.').next().expect("a header"));
    assert_eq!(header["alg"], "HS256");
}

#[test]
fn lifetime_that_is_none_is_bad_input() {
    for lifetime in ["", "15", "-1m", "0s", "1h30m", "forever"] {
        let option = format!("--lifetime={lifetime}");
        let ran = mint_in(directory().path(), "key.pem", &["--audience", "a", &option]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{lifetime}");
        let told = format!("`{lifetime}` is not a duration: write 15m, 1h …\n");
        assert_eq!(ran.stderr, told);
    }
}

#[test]
fn claim_without_a_value_is_bad_input() {
    let ran = mint_in(directory().path(), "key.pem", &["--audience", "a", "--claim", "tenant"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert_eq!(ran.stderr, "`tenant` is not a claim: write NAME=VALUE\n");
}

#[test]
fn claim_without_a_name_is_bad_input() {
    let ran = mint_in(directory().path(), "key.pem", &["--audience", "a", "--claim", "=acme"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("`=acme` is not a claim"), "{}", ran.stderr);
}

#[test]
fn option_that_is_missing_is_bad_input() {
    let whole = ["--key", "key.pem", "--issuer", "i", "--audience", "a", "--subject", "s"];
    for missing in [0, 2, 4, 6] {
        let mut arguments = vec!["token"];
        arguments.extend_from_slice(&whole[..missing]);
        arguments.extend_from_slice(&whole[missing + 2..]);
        let ran = run(directory().path(), &arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.contains(whole[missing]), "{}", ran.stderr);
    }
}

#[test]
fn count_that_is_no_number_is_bad_input() {
    for count in ["-1", "many", "4294967296"] {
        let option = format!("--count={count}");
        let ran = mint_in(directory().path(), "key.pem", &["--audience", "a", &option]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{count}");
    }
}

/// Minting with this key fails, and the message begins like this.
#[track_caller]
fn cannot_mint(directory: &Path, key: &str, told: &str) {
    let ran = mint_in(directory, key, &["--audience", "a"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{key}");
    assert!(ran.stderr.starts_with(&format!("portcullis: {told}")), "{key}: {}", ran.stderr);
}

#[test]
fn key_that_cannot_be_read_fails() {
    cannot_mint(directory().path(), "missing", "cannot read missing: ");
    cannot_mint(directory().path(), ".", "cannot read .: ");
}

#[test]
fn key_that_is_not_private_fails() {
    cannot_mint(directory().path(), "public.pem", "public.pem: not a private key in PEM ");
}

#[test]
fn damaged_key_fails() {
    let directory = directory();
    let key = std::fs::read_to_string(directory.path().join("key.pem")).expect("a key");
    for damaged in [key.replace("PRIVATE KEY", "SECRET KEY"), key[..80].to_owned()] {
        std::fs::write(directory.path().join("damaged.pem"), damaged).expect("a file");
        cannot_mint(directory.path(), "damaged.pem", "damaged.pem: not a private key in PEM ");
    }
}

#[test]
fn empty_key_fails() {
    let directory = directory();
    for empty in ["", " \n"] {
        std::fs::write(directory.path().join("empty"), empty).expect("a file");
        cannot_mint(directory.path(), "empty", "empty: ");
    }
}

#[test]
fn nothing_of_the_key_is_printed() {
    let directory = directory();
    std::fs::write(directory.path().join("secret"), "hunter2-hunter2").expect("a file");
    let private = tokens::pair().private.lines().nth(1).expect("base64").to_owned();
    for (key, secret) in [("secret", "hunter2"), ("key.pem", private.as_str())] {
        for more in [&["--audience", "a"][..], &["--audience", "a", "--lifetime", "x"], &[]] {
            let ran = mint_in(directory.path(), key, more);
            assert!(!format!("{ran:?}").contains(secret), "{ran:?}");
        }
    }
}
