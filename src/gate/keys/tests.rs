mod cell;

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

/// Every algorithm that there is.
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

/// Whether `set` verifies `token`, and refuses it when any one byte of what was signed or of the
/// signature is another.
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

/// A key that can be used, to stand beside one that cannot.
fn usable() -> Value {
    p256(json!({}))
}

#[test]
fn public_signature_keys_of_the_three_kinds_are_taken() {
    for jwk in [
        rsa(json!({})),
        p256(json!({})),
        ed25519(json!({})),
        rsa(json!({"use": "sig", "alg": "RS256", "kid": "a", "x5t": "b", "extra": [1]})),
    ] {
        let (set, unusable) = read(std::slice::from_ref(&jwk)).expect("a usable set");
        assert_eq!((set.len(), unusable.len()), (1, 0), "{jwk}");
    }
}

#[test]
fn keys_that_are_not_for_us_are_left_out_and_the_others_kept() {
    let octets = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![1; bytes]);
    let xy = json!({"x": octets(66), "y": octets(66)});
    for (what, jwk) in [
        ("a secret", json!({"kty": "oct", "k": octets(64), "alg": "HS256"})),
        ("a secret for any algorithm", json!({"kty": "oct", "k": octets(64)})),
        ("for encryption", rsa(json!({"use": "enc"}))),
        ("not for verification", rsa(json!({"key_ops": ["encrypt"]}))),
        ("for something else", rsa(json!({"use": "tls"}))),
        ("for an algorithm that is not permitted", rsa(json!({"alg": "RS512"}))),
        ("for an encryption algorithm", rsa(json!({"alg": "RSA-OAEP"}))),
        ("for an algorithm of another kind", rsa(json!({"alg": "ES256"}))),
        ("for an unknown algorithm", rsa(json!({"alg": "RS257"}))),
        ("for HMAC, though public", rsa(json!({"alg": "HS256"}))),
        ("an unknown kind", json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"})),
        ("no kind", rsa(json!({"kty": null}))),
        ("P-521", p256(changed(json!({"crv": "P-521"}), xy))),
        ("secp256k1", p256(json!({"crv": "secp256k1"}))),
        ("Ed448", ed25519(json!({"crv": "Ed448", "x": octets(57)}))),
        ("X25519", ed25519(json!({"crv": "X25519"}))),
        ("Ed25519 as EC", p256(json!({"crv": "Ed25519"}))),
        ("P-256 as OKP", ed25519(json!({"crv": "P-256"}))),
        ("a point that is not on the curve", p256(json!({"x": octets(32)}))),
        ("a point that is too short", p256(json!({"x": octets(31)}))),
        ("a point that is too long", p256(json!({"x": octets(33)}))),
        ("a point of the other curve", p256(json!({"crv": "P-384"}))),
        ("an Ed25519 key that is too short", ed25519(json!({"x": octets(31)}))),
        ("no modulus", rsa(json!({"n": null}))),
        ("an empty modulus", rsa(json!({"n": ""}))),
        ("a modulus of zeros", rsa(json!({"n": URL_SAFE_NO_PAD.encode([0; 256])}))),
        ("the other base64", rsa(json!({"n": STANDARD.encode([255; 257])}))),
        ("an id that is no text", rsa(json!({"kid": 7}))),
        ("no object", json!("key")),
    ] {
        let (set, unusable) = read(&[jwk.clone(), usable()]).expect("a usable set");
        assert_eq!((set.len(), unusable.len()), (1, 1), "{what}");
        if !jwk.is_object() {
            assert!(matches!(read(&[jwk]), Err(JwksError::NoKeys)), "{what}, alone");
            continue;
        }
        let (set, unusable) = read(&[jwk]).expect("an empty set");
        assert_eq!((set.len(), unusable.len()), (0, 1), "{what}, alone");
    }
}

#[test]
fn rsa_keys_are_taken_from_2048_bits_on() {
    let modulus = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] >>= bytes.len() * 8 - bits;
        bytes
    };
    let jwk = |n: &[u8]| rsa(json!({"n": URL_SAFE_NO_PAD.encode(n)}));
    let error = |n: &[u8]| Key::from_jwk(jwk(n), ANY).err();
    assert!(error(&modulus(RSA_BITS_MIN)).is_none());
    for bits in [RSA_BITS_MIN - 1, 1024, 512] {
        let padded = [vec![0; 256], modulus(bits)].concat();
        for n in [modulus(bits), padded] {
            let error = error(&n).expect("it is refused");
            assert!(matches!(error, KeyError::Weak(found) if found == bits), "{bits}: {error}");
        }
    }
}

/// PKCS#1 (RFC 8017 appendix A.1.1) in PEM.
fn rsa_pem(modulus: &[u8]) -> String {
    let element = |tag: u8, contents: &[u8]| {
        let length = contents.len() as u16;
        [&[tag, 0x82], length.to_be_bytes().as_slice(), contents].concat()
    };
    // A leading zero keeps the number positive.
    let number = element(2, &[&[0], modulus].concat());
    let der = element(0x30, &[number.as_slice(), &[2, 3, 1, 0, 1]].concat());
    let label = "RSA PUBLIC KEY";
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

#[test]
fn rsa_keys_in_pem_are_taken_from_2048_bits_on() {
    let read = |modulus: &[u8]| Key::from_pem(rsa_pem(modulus).as_bytes(), &[Algorithm::RS256]);
    let mut modulus = vec![0xff; 256];
    assert!(read(&modulus).is_ok());
    modulus[0] = 0x7f;
    assert!(read(&modulus).is_err(), "2047 bits");
    assert!(read(&[0xff; 128]).is_err(), "1024 bits");
}

#[test]
fn set_holds_so_many_keys_and_no_more() {
    let set = |keys: usize| read(&vec![usable(); keys]);
    assert_eq!(set(KEYS_MAX).expect("a usable set").0.len(), KEYS_MAX);
    assert!(matches!(set(KEYS_MAX + 1), Err(JwksError::TooMany)));
}

#[test]
fn text_that_is_no_jwks_is_refused() {
    for text in ["", "null", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]"#, r#"{"key":[]}"#] {
        let read = KeySet::from_jwks(text.as_bytes(), ANY);
        assert!(matches!(read, Err(JwksError::Json(_))), "{text}");
    }
}

#[test]
fn empty_set_is_a_set() {
    let (set, unusable) = KeySet::from_jwks(br#"{"keys":[]}"#, ANY).expect("a set");
    assert!(set.is_empty() && unusable.is_empty());
    assert_eq!(named(&set, Some("a")), KeyMatch::Unknown);
    assert_eq!(named(&set, None), KeyMatch::Unknown);
}

/// Java's `BigInteger` writes the sign, and some libraries leave zeros out that belong there.
#[test]
fn integers_are_the_same_with_and_without_leading_zeros() {
    let padded = |jwk: &Value, names: &[&str], zeros: usize| {
        let mut padded = jwk.clone();
        for name in names {
            let text = jwk[name].as_str().expect("a text");
            let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
            padded[name] = json!(URL_SAFE_NO_PAD.encode([vec![0; zeros], bytes].concat()));
        }
        padded
    };
    let signed = |jwk: Value, vector: &Vector| {
        let (set, unusable) = read(&[jwk]).expect("a set");
        assert!(unusable.is_empty(), "{unusable:?}");
        let token = Token::parse(vector.token, 4096).expect(vector.source);
        let matched = set.verify(None, vector.algorithm, token.signing_input(), token.signature());
        matched == KeyMatch::Verified(None)
    };
    let [of_rsa, of_ec, ..] = &PUBLIC_KEY_VECTORS;
    for zeros in [1, 2, 256] {
        let long = padded(&of_rsa.jwk(), &["n", "e"], zeros);
        assert!(signed(long.clone(), of_rsa), "{zeros}");
        let short = read(&[of_rsa.jwk()]).expect("a set").0;
        assert!(read(&[long]).expect("a set").0.same_keys(&short), "{zeros}");
        let long = padded(&of_ec.jwk(), &["x", "y"], zeros);
        assert!(signed(long, of_ec), "{zeros}");
    }
}

// ---- the key that a token names

/// What `set` says to a token of A.3, whose key is the second of the vectors.
fn named<'k>(set: &'k KeySet, id: Option<&str>) -> KeyMatch<'k> {
    let vector = &PUBLIC_KEY_VECTORS[1];
    let token = Token::parse(vector.token, 4096).expect(vector.source);
    set.verify(id, vector.algorithm, token.signing_input(), token.signature())
}

#[test]
fn key_with_an_id_answers_to_it_and_to_no_other() {
    let (set, _) = read(&[p256(json!({"kid": "a"})), fresh(json!({"kid": "b"}))]).expect("a set");
    assert_eq!(named(&set, Some("a")), KeyMatch::Verified(Some("a")));
    assert_eq!(
        named(&set, None),
        KeyMatch::Verified(Some("a")),
        "a token may leave the choice to us"
    );
    assert_eq!(named(&set, Some("b")), KeyMatch::Signature);
    for id in ["A", "", "a ", "ab"] {
        assert_eq!(named(&set, Some(id)), KeyMatch::Unknown, "{id:?}");
    }
}

#[test]
fn key_without_an_id_answers_to_all() {
    let (set, _) = read(&[p256(json!({}))]).expect("a set");
    assert_eq!(named(&set, Some("any")), KeyMatch::Verified(None));
    assert_eq!(named(&set, None), KeyMatch::Verified(None));
}

#[test]
fn keys_that_share_an_id_are_told_apart_by_algorithm() {
    let keys = [rsa(json!({"kid": "a"})), ed25519(json!({"kid": "a"})), p256(json!({"kid": "a"}))];
    let (set, _) = read(&keys).expect("a set");
    assert_eq!(named(&set, Some("a")), KeyMatch::Verified(Some("a")));
}

#[test]
fn key_of_another_kind_is_known_but_of_no_use() {
    let (set, _) = read(&[rsa(json!({"kid": "a"}))]).expect("a set");
    assert_eq!(named(&set, Some("a")), KeyMatch::Algorithm);
    assert_eq!(named(&set, Some("b")), KeyMatch::Unknown);
}

#[test]
fn token_that_names_no_key_has_so_many_tried_and_no_more() {
    let set = |others: usize| {
        let mut keys = vec![fresh(json!({})); others];
        keys.push(p256(json!({})));
        read(&keys).expect("a set").0
    };
    assert_eq!(named(&set(CANDIDATES_MAX - 1), None), KeyMatch::Verified(None));
    assert_eq!(named(&set(CANDIDATES_MAX), None), KeyMatch::Untried);
    let others = read(&vec![fresh(json!({})); CANDIDATES_MAX]).expect("a set").0;
    assert_eq!(named(&others, None), KeyMatch::Signature, "all were tried");
}

#[test]
fn keys_of_another_kind_do_not_count_as_tried() {
    let mut keys = vec![rsa(json!({})); CANDIDATES_MAX];
    keys.push(p256(json!({})));
    assert_eq!(named(&read(&keys).expect("a set").0, None), KeyMatch::Verified(None));
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
