//! Answers that are not the issuer's keys, or not all of them usable.

use super::*;

fn raw(status: u16, fields: &str, body: &str) -> JwksReply {
    JwksReply::Raw { status, fields: fields.to_owned(), body: body.to_owned() }
}

/// After this answer the keys are what they were before, and a fetch was counted as failed.
#[track_caller]
fn keeps_the_keys(answers: &[JwksReply]) {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 200ms");
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
    for answer in answers {
        issuer.jwks.serve(answer.clone());
        // One fetch may still be answered as before.
        await_failure(&gateway, "idp");
        await_failure(&gateway, "idp");
        assert_eq!(ask(&gateway, &issuer.token()), accepted(), "{answer:?}");
    }
}

#[test]
fn keys_outlive_answers_that_are_errors() {
    let body = "{\"keys\": []}";
    keeps_the_keys(&[
        raw(500, "", body),
        raw(429, "Retry-After: 60\r\n", body),
        raw(404, "", body),
    ]);
}

#[test]
fn keys_outlive_answers_that_are_no_key_sets() {
    keeps_the_keys(&[
        raw(200, "Content-Type: text/html\r\n", "<html><body>Please log in</body></html>"),
        raw(200, "", ""),
        raw(200, "", "{}"),
        raw(200, "", "{\"keys\": {}}"),
        raw(200, "", "{\"keys\": []"),
        raw(200, "", "{\"keys\": null}"),
        raw(200, "", "[]"),
    ]);
}

#[test]
fn redirects_are_not_followed() {
    let issuer = Issuer::start("idp");
    let elsewhere = Issuer::start("elsewhere");
    let gateway = gateway(&issuer, "refresh: 1h");
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}\r\n", elsewhere.jwks.url());
        issuer.jwks.serve(raw(status, &location, ""));
        let token = issuer.forged(&format!("absent-{status}"));
        // The budget covers four fetches; what it does not cover is not asked anywhere.
        assert_eq!(ask(&gateway, &token), denied(503, "keys_unavailable"), "{status}");
    }
    assert_eq!(elsewhere.jwks.requests(), 0);
}

/// A key set of exactly this many bytes.
fn padded(pair: &IssuerKey, bytes: usize) -> JwksReply {
    let set = json!({"keys": [pair.jwk]}).to_string();
    let padding = " ".repeat(bytes - set.len());
    raw(200, "", &(set + &padding))
}

#[test]
fn set_of_512_kib_is_read_and_one_byte_more_is_not() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let (fits, exceeds) = (IssuerKey::new("fits"), IssuerKey::new("exceeds"));
    issuer.jwks.serve(padded(&exceeds, 512 * 1024 + 1));
    assert_eq!(ask(&gateway, &issuer.token_by(&exceeds)), denied(503, "keys_unavailable"));
    issuer.jwks.serve(padded(&fits, 512 * 1024));
    assert_eq!(ask(&gateway, &issuer.token_by(&fits)), accepted());
}

#[test]
fn set_of_a_hundred_keys_is_read_and_one_key_more_is_not() {
    let issuer = Issuer::start("idp");
    let gateway = gateway(&issuer, "refresh: 1h");
    let last = IssuerKey::new("last");
    let set = |keys: usize| {
        let mut set: Vec<_> = (1..keys)
            .map(|number| {
                let mut jwk = issuer.first.jwk.clone();
                jwk["kid"] = json!(format!("other-{number}"));
                jwk
            })
            .collect();
        set.push(last.jwk.clone());
        JwksReply::Keys(set)
    };
    issuer.jwks.serve(set(101));
    assert_eq!(ask(&gateway, &issuer.token_by(&last)), denied(503, "keys_unavailable"));
    issuer.jwks.serve(set(100));
    assert_eq!(ask(&gateway, &issuer.token_by(&last)), accepted());
}

#[test]
fn keys_that_cannot_be_used_do_not_spoil_those_that_can() {
    let issuer = Issuer::silent("idp");
    let unusable =
        [json!({"kty": "unheard-of", "kid": "x"}), json!({"kty": "EC", "crv": "P-521"}), json!(7)];
    let mut keys = unusable.to_vec();
    keys.push(issuer.first.jwk.clone());
    issuer.jwks.serve(JwksReply::Keys(keys));
    let gateway = gateway(&issuer, "refresh: 1h");
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
}

#[test]
fn symmetric_key_from_a_url_is_never_used() {
    let issuer = Issuer::silent("idp");
    let secret = [b'k'; 32];
    let published = tokens::forged("", "", &secret);
    let published = published.rsplit('.').next().expect("base64url");
    let oct = json!({"kty": "oct", "alg": "HS256", "use": "sig", "kid": "oct", "k": published});
    issuer.jwks.serve(JwksReply::Keys(vec![issuer.first.jwk.clone(), oct]));
    let gateway = gateway(&issuer, "refresh: 1h");
    assert_eq!(ask(&gateway, &issuer.token()), accepted());
    let signing = SigningKey::from_file(&secret, Some("oct".to_owned())).expect("a key");
    assert_eq!(ask(&gateway, &token_of("idp", &signing)), denied(401, "token_algorithm"));
}
