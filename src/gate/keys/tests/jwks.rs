//! Which keys of a key set are accepted.

use super::*;

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

/// Java's `BigInteger` writes the sign, and some libraries omit required leading zeros.
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
