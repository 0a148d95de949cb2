mod cell;
mod jwks;
mod named;

use aws_lc_rs::encoding::{AsBigEndian, EcPublicKeyUncompressedBin};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;
use crate::gate::token::Token;

/// A published example: a token, and the key that signed it as a JWK.
struct Vector {
    source: &'static str,
    algorithm: Algorithm,
    token: &'static str,
    jwk: &'static str,
}

/// All supported algorithms.
const ALL: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

const RFC7515_A1_SECRET: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

const RFC7515_A1: &str = concat!(
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.",
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
);

const PUBLIC_KEY_VECTORS: [Vector; 3] = [
    Vector {
        source: "RFC 7515 appendix A.2",
        algorithm: Algorithm::RS256,
        token: concat!(
            "eyJhbGciOiJSUzI1NiJ9.",
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5",
            "jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb",
            "1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO",
            "YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        ),
        jwk: concat!(
            r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHm"#,
            "fHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGz",
            "jb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxv",
            "b3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW",
            r#"yuXpoQ"}"#
        ),
    },
    Vector {
        source: "RFC 7515 appendix A.3",
        algorithm: Algorithm::ES256,
        token: concat!(
            "eyJhbGciOiJFUzI1NiJ9.",
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        ),
        jwk: concat!(
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#,
            r#""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#
        ),
    },
    Vector {
        source: "RFC 8037 appendix A.4",
        algorithm: Algorithm::EdDSA,
        token: concat!(
            "eyJhbGciOiJFZERTQSJ9.",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        ),
        jwk: concat!(
            r#"{"kty":"OKP","crv":"Ed25519","#,
            r#""x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
        ),
    },
];

impl Vector {
    fn jwk(&self) -> Value {
        serde_json::from_str(self.jwk).expect("JSON")
    }

    /// The set as an issuer would publish it.
    fn set(&self) -> KeySet {
        let jwks = json!({"keys": [self.jwk()]}).to_string();
        KeySet::from_jwks(jwks.as_bytes(), &[self.algorithm]).expect("a usable set").0
    }
}

/// Whether `set` verifies `token`, and refuses it once any byte of the signed content or of the
/// signature is changed.
fn assert_verifies_exactly(set: &KeySet, algorithm: Algorithm, token: &str, source: &str) {
    let token = Token::parse(token, 4096).expect(source);
    let verify = |message: &[u8], signature: &[u8]| set.verify(None, algorithm, message, signature);
    let (message, signature) = (token.signing_input(), token.signature());
    assert_eq!(verify(message, signature), KeyMatch::Verified(None), "{source}");
    for at in 0..message.len() {
        let mut changed = message.to_vec();
        changed[at] ^= 1;
        assert_eq!(verify(&changed, signature), KeyMatch::Signature, "{source}: message byte {at}");
    }
    for at in 0..signature.len() {
        let mut changed = signature.to_vec();
        changed[at] ^= 1;
        assert_eq!(verify(message, &changed), KeyMatch::Signature, "{source}: signature byte {at}");
    }
    let shorter = &signature[..signature.len() - 1];
    assert_eq!(verify(message, shorter), KeyMatch::Signature, "{source}: a signature cut short");
}

#[test]
fn published_public_key_vectors_verify_and_nothing_close_to_them_does() {
    for vector in PUBLIC_KEY_VECTORS {
        assert_verifies_exactly(&vector.set(), vector.algorithm, vector.token, vector.source);
    }
}

#[test]
fn published_hmac_vector_verifies_and_nothing_close_to_it_does() {
    let secret = URL_SAFE_NO_PAD.decode(RFC7515_A1_SECRET).expect("base64url");
    let set = KeySet::new(vec![Key::from_secret(&secret, &[Algorithm::HS256]).expect("a key")]);
    assert_verifies_exactly(&set, Algorithm::HS256, RFC7515_A1, "RFC 7515 appendix A.1");
}

#[test]
fn key_serves_its_own_algorithm_only() {
    for vector in PUBLIC_KEY_VECTORS {
        let token = Token::parse(vector.token, 4096).expect(vector.source);
        let set = vector.set();
        for other in ALL {
            let expected = if other == vector.algorithm {
                KeyMatch::Verified(None)
            } else {
                KeyMatch::Algorithm
            };
            let found = set.verify(None, other, token.signing_input(), token.signature());
            assert_eq!(found, expected, "{} as {other:?}", vector.source);
        }
    }
}

// ---- reading a JWKS

/// The RSA key of RFC 7515 with some members replaced; `null` removes one.
fn rsa(changes: Value) -> Value {
    changed(PUBLIC_KEY_VECTORS[0].jwk(), changes)
}

/// The P-256 key of RFC 7515 with some members replaced; `null` removes one.
fn p256(changes: Value) -> Value {
    changed(PUBLIC_KEY_VECTORS[1].jwk(), changes)
}

/// The Ed25519 key of RFC 8037 with some members replaced.
fn ed25519(changes: Value) -> Value {
    changed(PUBLIC_KEY_VECTORS[2].jwk(), changes)
}

fn changed(mut jwk: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    let members = jwk.as_object_mut().expect("a JWK is an object");
    members.extend(changes);
    members.retain(|_, value| !value.is_null());
    jwk
}

/// A new P-256 key.
fn fresh(changes: Value) -> Value {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair");
    let point: EcPublicKeyUncompressedBin<'_> = pair.public_key().as_be_bytes().expect("a point");
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (x, y) = (encode(&point.as_ref()[1..33]), encode(&point.as_ref()[33..]));
    p256(changed(json!({"x": x, "y": y}), changes))
}

const ANY: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

fn read(keys: &[Value]) -> Result<(KeySet, Vec<UnusableKey>), JwksError> {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes(), ANY)
}

/// A usable key, to be published with one that is not.
fn usable() -> Value {
    p256(json!({}))
}

// ---- secrets

#[test]
fn secret_is_as_long_as_the_hash_or_longer() {
    for (algorithm, bytes) in
        [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)]
    {
        assert!(Key::from_secret(&vec![7; bytes], &[algorithm]).is_ok(), "{algorithm:?}");
        let error = Key::from_secret(&vec![7; bytes - 1], &[algorithm]).expect_err("too short");
        let KeyError::ShortSecret { have, need, .. } = error else { panic!("{error}") };
        assert_eq!((have, need), (bytes - 1, bytes), "{algorithm:?}");
    }
}

#[test]
fn secret_is_long_enough_for_every_algorithm_that_it_is_to_serve() {
    let both = [Algorithm::HS256, Algorithm::HS512];
    assert!(Key::from_secret(&[7; 63], &both).is_err());
    assert_eq!(Key::from_secret(&[7; 64], &both).expect("a key").algorithms().count(), 2);
}

#[test]
fn secret_serves_no_public_key_algorithm() {
    let error = Key::from_secret(&[7; 64], &[Algorithm::RS256]).expect_err("nothing fits");
    assert!(matches!(error, KeyError::NoAlgorithm(_)), "{error}");
}

#[test]
fn key_is_not_shown_when_it_is_printed() {
    let secret = "correct horse battery staple, and then some";
    let key = Key::from_secret(secret.as_bytes(), &[Algorithm::HS256]).expect("a key");
    let shown = format!("{key:?}");
    assert!(shown.contains("HS256") && !shown.contains("horse"), "{shown}");
    // Nor as a list of bytes.
    assert!(!shown.contains("99, 111, 114"), "{shown}");
}

/// The result for a token of A.3, whose key is the second of the vectors.
fn named<'k>(set: &'k KeySet, id: Option<&str>) -> KeyMatch<'k> {
    let vector = &PUBLIC_KEY_VECTORS[1];
    let token = Token::parse(vector.token, 4096).expect(vector.source);
    set.verify(id, vector.algorithm, token.signing_input(), token.signature())
}
