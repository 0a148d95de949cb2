//! Issuers that tests control: key pairs, and tokens with any claims.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::issuer::key_pairs::{KeyKind, KeyPairPem, SigningKey, generate};
use serde_json::{Map, Value, json};

/// `iss` and `aud` of the tokens that the standard configuration accepts.
pub(crate) const ISSUER: &str = "https://issuer.test";
pub(crate) const AUDIENCE: &str = "orders-api";

/// The key pair of the standard issuer (ES256), the same for all tests of one run.
pub(crate) fn pair() -> &'static KeyPairPem {
    static PAIR: OnceLock<KeyPairPem> = OnceLock::new();
    PAIR.get_or_init(|| generate(KeyKind::P256).expect("a key pair"))
}

/// The key that signs for the standard issuer.
pub(crate) fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| signing_key(pair(), None))
}

/// A signing key from a pair.
pub(crate) fn signing_key(pair: &KeyPairPem, id: Option<&str>) -> SigningKey {
    SigningKey::from_file(pair.private.as_bytes(), id.map(str::to_owned)).expect("a signing key")
}

/// Now, in seconds.
pub(crate) fn now() -> i64 {
    portcullis::clock::now().as_seconds()
}

/// The claims of a good token.
pub(crate) fn claims() -> Map<String, Value> {
    let Value::Object(claims) = json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": now(),
        "exp": now() + 600,
        "jti": format!("{:032x}", fastrand::u128(..)),
        "scope": "orders:read",
        "roles": ["clerk"],
    }) else {
        unreachable!("an object")
    };
    claims
}

/// A good token with some claims replaced; `null` removes one.
pub(crate) fn token(changes: Value) -> String {
    signed(key(), "at+jwt", changes)
}

/// The same, by another key or of another type.
pub(crate) fn signed(key: &SigningKey, typ: &str, changes: Value) -> String {
    let mut claims = claims();
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    for (name, value) in changes {
        if value.is_null() {
            claims.remove(&name);
        } else {
            claims.insert(name, value);
        }
    }
    key.sign(typ, &claims).expect("a token")
}

/// Bytes as base64url.
pub(crate) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of base64url.
pub(crate) fn unencoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// A token of exactly these parts, signed by nobody.
pub(crate) fn forged(header: &str, payload: &str, signature: &[u8]) -> String {
    format!("{}.{}.{}", encoded(header.as_bytes()), encoded(payload.as_bytes()), encoded(signature))
}

/// `Bearer …`, for the `Authorization` header.
pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Seconds since 1970 of a time that is told.
#[track_caller]
pub(crate) fn seconds(time: &Value) -> i64 {
    let text = time.as_str().unwrap_or_else(|| panic!("{time} is no time"));
    let time = humantime::parse_rfc3339(text).expect("RFC 3339");
    let since = time.duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("seconds")
}

/// The payload of a token, as it is.
#[track_caller]
pub(crate) fn payload(token: &str) -> Value {
    part(token, 1)
}

/// The header of a token, as it is.
#[track_caller]
pub(crate) fn header(token: &str) -> Value {
    part(token, 0)
}

#[track_caller]
fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}
