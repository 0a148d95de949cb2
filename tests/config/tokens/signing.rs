//! With which keys the gateway signs: made or given, sealed, and how often they change.

use std::sync::LazyLock;

use portcullis::issuer::key_pairs::KeyPairPem;

use super::super::*;
use super::{issuing, signing};

#[test]
fn keys_are_for_one_of_three_algorithms() {
    all_compile(["ES256", "EdDSA", "RS256"].map(|name| signing(&format!("algorithm: {name}"))));
    for name in ["ES384", "RS512", "PS256", "HS256", "none", "es256"] {
        let told = format!(
            "6: error: tokens.signing.algorithm: `{name}` is not known. \
             Write one of: ES256, EdDSA, RS256."
        );
        each_is_refused([(signing(&format!("algorithm: {name}")), told.as_str())]);
    }
}

#[test]
fn keys_are_published_from_seconds_to_days_before_they_sign() {
    let place = |time: &str| signing(&format!("publish_before: {time}"));
    all_compile(["5s", "1h", "7d"].map(place));
    let told = "6: error: tokens.signing.publish_before: the time is out of range. Write 5s to 7d.";
    each_is_refused(["4999ms", "169h"].map(|time| (place(time), told)));
}

#[test]
fn keys_change_at_most_twice_as_often_as_they_are_published() {
    let place = |often: &str, before: &str| {
        signing(&format!("rotate_every: {often}, publish_before: {before}"))
    };
    all_compile([
        place("2h", "1h"),
        place("1m", "30s"),
        place("1m", "5s"),
        signing("rotate_every: 2h"),
        signing("rotate_every: 3650d"),
    ]);
    let often = "6: error: tokens.signing.rotate_every: a key would be replaced soon after it \
                 starts to sign. Write at least twice as long as `publish_before` (by \
                 default 1h).";
    let short = "6: error: tokens.signing.rotate_every: the time is shorter than a minute. \
                 Write 1m or more.";
    each_is_refused([
        (place("119m", "1h"), often),
        (place("1m", "31s"), often),
        (signing("rotate_every: 119m"), often),
        (place("59s", "5s"), short),
    ]);
}

/// Private keys of three kinds that can be given, and one that cannot.
static PAIRS: LazyLock<[(&str, KeyPairPem); 4]> = LazyLock::new(|| {
    let kinds = [
        ("p256.pem", KeyKind::P256),
        ("ed25519.pem", KeyKind::Ed25519),
        ("rsa.pem", KeyKind::Rsa),
        ("p384.pem", KeyKind::P384),
    ];
    kinds.map(|(name, kind)| (name, generate(kind).expect("a key pair")))
});

/// What is said of given keys, with all of them in the directory, and something that is none.
fn examine_given(fields: &str) -> Ran {
    let directory = directory();
    for (name, pair) in &*PAIRS {
        put(directory.path(), name, &*pair.private);
    }
    put(directory.path(), "public.pem", &PAIRS[0].1.public);
    put(directory.path(), "broken.pem", PAIRS[0].1.private.replace("MIG", "MIH"));
    put(directory.path(), "text.pem", "no key");
    examine_in(directory.path(), signing(fields), &[])
}

#[test]
fn keys_that_are_given_are_private_keys_for_one_of_three_algorithms() {
    for fields in [
        "key_files: [p256.pem]",
        "key_files: [ed25519.pem, p256.pem, rsa.pem]",
        "key_files: [p256.pem], algorithm: ES256",
        "key_files: [rsa.pem, p256.pem], algorithm: RS256",
    ] {
        let ran = examine_given(fields);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{fields}");
    }
    let remedy = "Make one with `portcullis keys generate`.";
    for (file, fact) in [
        ("p384.pem", "`p384.pem` holds no key for ES256, EdDSA or RS256."),
        ("broken.pem", "`broken.pem` holds no key for ES256, EdDSA or RS256."),
        ("public.pem", "the file holds no private key in PEM (PKCS#8): "),
        ("text.pem", "the file holds no private key in PEM (PKCS#8): "),
    ] {
        let told = problems_of(&examine_given(&format!("key_files: [p256.pem, {file}]")));
        let start = format!("6: error: tokens.signing.key_files[1]: {fact}");
        assert!(told.len() == 1 && told[0].starts_with(&start), "{told:#?}");
        assert!(told[0].ends_with(remedy), "{told:#?}");
    }
    let told = problems_of(&examine_given("key_files: [p256.pem, rsa.pem, p256.pem]"));
    let twice = "6: error: tokens.signing.key_files[2]: `p256.pem` is listed twice. Remove one.";
    assert_eq!(told, [twice]);
    let told = problems_of(&examine_given("key_files: [missing.pem]"));
    assert!(
        told[0].contains("tokens.signing.key_files[0]: `missing.pem` cannot be read: "),
        "{told:#?}"
    );
}

#[test]
fn algorithm_is_that_of_the_first_key_that_is_given() {
    let told = problems_of(&examine_given("key_files: [rsa.pem, p256.pem], algorithm: ES256"));
    let expected = "6: error: tokens.signing.algorithm: the first of `key_files` is a key for RS256. \
                    Remove the field: the key decides.";
    assert_eq!(told, [expected]);
}

#[test]
fn what_is_for_keys_that_are_made_means_nothing_for_keys_that_are_given() {
    for (field, value) in [
        ("rotate_every", "30d"),
        ("publish_before", "1h"),
        ("encryption_key_file", "users.yaml"),
        ("encryption_key", "'${KEK}'"),
    ] {
        let directory = directory();
        put(directory.path(), "p256.pem", &*PAIRS[0].1.private);
        let text = signing(&format!("key_files: [p256.pem], {field}: {value}"));
        let told = problems_of(&examine_in(directory.path(), text, &[("KEK", "k")]));
        let expected = format!(
            "6: error: tokens.signing.{field}: `{field}` has no effect with `key_files`. \
             Remove it, or `key_files`."
        );
        assert_eq!(told, [expected]);
    }
}

const REDIS: &str = "store: { redis: { url: 'redis://127.0.0.1:6379' } }\n";

/// What is said of an encryption key, with this store.
fn examine_kek(key: &str, store: &str) -> Ran {
    let directory = directory();
    put(directory.path(), "kek", format!("{key}\n"));
    let text = signing("encryption_key_file: kek") + store;
    examine_in(directory.path(), text, &[])
}

#[test]
fn private_keys_are_not_kept_in_redis_in_the_clear() {
    let told = "6: error: tokens.signing: the private keys would be stored in Redis without encryption. Make a \
                key with `openssl rand -base64 32 > secrets/kek`, and write \
                `encryption_key_file: secrets/kek`.";
    each_is_refused([(issuing("") + REDIS, told)]);
    all_compile([issuing("")]);
    let key = "k".repeat(32);
    for store in ["", REDIS] {
        let ran = examine_kek(&key, store);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{store}");
    }
    // Keys that are given are not kept there.
    let directory = directory();
    put(directory.path(), "p256.pem", &*PAIRS[0].1.private);
    let ran = examine_in(directory.path(), signing("key_files: [p256.pem]") + REDIS, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn encryption_key_has_at_least_32_bytes() {
    let told = problems_of(&examine_kek(&"k".repeat(31), REDIS));
    let expected = "6: error: tokens.signing.encryption_key_file: the key has 31 bytes, at least 32 \
                    are required. Make one with `openssl rand -base64 32`.";
    assert_eq!(told, [expected]);
    let of = |value: &str| {
        let text = signing("encryption_key: '${KEK}'");
        examine_in(directory().path(), text, &[("KEK", value)])
    };
    assert_eq!(warnings_of(&of(&"k".repeat(32))), [""; 0]);
    let expected = "6: error: tokens.signing.encryption_key: the key has 31 bytes, at least 32 are \
                    required. Make one with `openssl rand -base64 32`.";
    assert_eq!(problems_of(&of(&"k".repeat(31))), [expected]);
}

#[test]
fn encryption_key_in_the_file_itself_is_a_warning_and_is_never_told() {
    let key = "very-secret-and-very-long-and-more";
    let told = warnings(signing(&format!("encryption_key: {key}")));
    let expected = "6: warning: tokens.signing.encryption_key: a secret is written in the file. \
                    Use `encryption_key_file`, or `${NAME}` for the environment.";
    assert_eq!(told, [expected]);
    let told = problems(signing("encryption_key: 4711471147114711"));
    assert!(!format!("{told:?}").contains("4711"), "{told:#?}");
}
