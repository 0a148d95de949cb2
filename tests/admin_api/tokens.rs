//! Whole tokens: what is meant is the token, and not the way it is written.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

fn whole(token: &str) -> Value {
    json!({"scope": "token", "token": token})
}

/// The order of the curve P-256 (SEC 2 §2.4.2).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The same token with the other signature that everybody can make of its own: (r, n − s).
fn variant(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let mut borrow = 0_i16;
    for (digit, order) in bytes[32..].iter_mut().zip(ORDER).rev() {
        let difference = i16::from(order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = u8::try_from(difference.rem_euclid(256)).expect("a byte");
    }
    assert_eq!(borrow, 0, "s is below the order");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[test]
fn revoked_token_is_refused_and_the_others_of_its_subject_are_not() {
    let api = AdminApi::start();
    let (token, other) = (mint(json!({"jti": "t-1"})), mint(json!({})));
    assert!(api.accepts(&token) && api.accepts(&other));
    let answer = api.revoke(whole(&token));
    assert_eq!(
        (&answer["scope"], &answer["jti"], &answer["issuer"]),
        (&json!("token"), &json!("t-1"), &json!(ISSUER))
    );
    assert!(!api.accepts(&token) && api.accepts(&other));
}

#[test]
fn white_space_around_a_token_is_not_part_of_it() {
    let api = AdminApi::start();
    let token = mint(json!({}));
    api.revoke(whole(&format!(" {token}\n")));
    assert!(!api.accepts(&token));
}

/// Both signatures verify: a list of texts, or of their hashes, would let the other one in.
#[test]
fn either_signature_of_a_token_revokes_both() {
    for (number, revoked) in ["the own", "the other"].iter().enumerate() {
        let api = AdminApi::start();
        let own = mint(json!({}));
        let both = [variant(&own), own];
        assert_ne!(both[0], both[1]);
        for token in &both {
            assert!(api.accepts(token), "the signature holds");
        }
        api.revoke(whole(&both[number]));
        for token in &both {
            assert!(!api.accepts(token), "{revoked} was revoked");
        }
    }
}

#[test]
fn entry_of_a_token_stays_until_it_could_not_be_accepted_any_more() {
    const SKEW_S: i64 = 30;
    let api = AdminApi::start();
    let end = now() + 1234;
    let answer = api.revoke(whole(&mint(json!({"exp": end}))));
    assert_eq!(seconds(&answer["expires_at"]), end + SKEW_S);
}

#[test]
fn token_that_is_accepted_thanks_to_the_clock_skew_can_be_revoked() {
    let api = AdminApi::start();
    let token = mint(json!({"iat": now() - 100, "exp": now() - 2}));
    assert!(api.accepts(&token));
    api.revoke(whole(&token));
    assert!(!api.accepts(&token));
}

#[test]
fn token_that_is_not_valid_yet_can_be_revoked() {
    let api = AdminApi::start();
    api.revoke(whole(&mint(json!({"nbf": now() + 3600, "exp": now() + 7200}))));
    assert_eq!(api.total(), 1);
}

#[test]
fn token_that_would_not_be_accepted_anyway_is_refused_with_the_reason() {
    let api = AdminApi::start();
    let good = mint(json!({}));
    let forged = format!("{}A", &good[..good.len() - 1]);
    let forged = if forged == good { format!("{}Q", &good[..good.len() - 1]) } else { forged };
    let unknown_key = signed(&signing_key(pair(), Some("three")), "at+jwt", json!({}));
    for (token, told) in [
        (mint(json!({"iat": now() - 600, "exp": now() - 60})), "the token has expired"),
        (forged, "not acceptable anyway: token_signature"),
        (mint(json!({"iss": "https://other.test"})), "not acceptable anyway: token_issuer"),
        (mint(json!({"aud": "billing"})), "not acceptable anyway: token_audience"),
        (unknown_key, "cannot be verified here: token_key_unknown; revoke it by `jti`"),
        (String::new(), "not acceptable anyway: token_malformed"),
        ("nonsense".to_owned(), "not acceptable anyway: token_malformed"),
        (format!("Bearer {good}"), "not acceptable anyway: "),
        (format!("{good}.{good}"), "not acceptable anyway: "),
        ("x".repeat(20_000), "not acceptable anyway: token_malformed"),
    ] {
        let detail = api.refuse(&whole(&token));
        assert!(detail.contains(told), "{detail} of {token}");
        assert!(token.len() < 20 || !detail.contains(&token), "a token is not repeated: {detail}");
    }
    assert_eq!(api.total(), 0);
    assert!(api.accepts(&good));
}

#[test]
fn token_without_an_id_is_refused_and_its_subject_is_recommended() {
    let api = AdminApi::start();
    let token = mint(json!({"jti": null}));
    assert!(api.accepts(&token));
    let detail = api.refuse(&whole(&token));
    assert!(detail.contains("has no `jti`") && detail.contains("revoke its subject"), "{detail}");
    assert!(api.accepts(&token));
}

#[test]
fn token_stands_alone() {
    let api = AdminApi::start();
    let token = mint(json!({"jti": "t-1"}));
    for (name, value) in [("jti", json!("t-1")), ("issuer", json!("test"))] {
        let mut draft = whole(&token);
        draft[name] = value;
        let detail = api.refuse(&draft);
        assert!(detail.contains("`token` says all there is to say"), "{detail}");
    }
    assert_eq!(api.total(), 0);
}
