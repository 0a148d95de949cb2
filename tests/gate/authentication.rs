//! Who is let in, and who is not.

use portcullis::gate::token::TOKEN_BYTES_DEFAULT;
use serde_json::json;

use crate::harness::client::{Connection, get, request};
use crate::harness::eventually;
use crate::harness::gateway::{self, Gateway, standard};
use crate::harness::jwks::{JwksEndpoint, JwksReply};
use crate::harness::tokens::{AUDIENCE, bearer, now, signed, signing_key, token};
use crate::harness::upstream::Upstream;

#[test]
fn good_token_reaches_the_upstream() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let answer = gateway.get_as("/orders/7", &token(json!({})));
    assert_eq!((answer.status, answer.body.as_str()), (200, "from behind!"));
    assert_eq!(upstream.last().values("x-auth-subject"), ["alice"]);
}

#[test]
fn absent_credential_is_denied_and_the_connection_stays_open() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let mut connection = Connection::open(gateway.address());
    let answer = connection.exchange(get("/orders/7", &[]));
    assert_eq!((answer.status, answer.slug().as_str()), (401, "credential_absent"));
    assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"portcullis\""));
    let token = bearer(&token(json!({})));
    let answer = connection.exchange(get("/orders/7", &[("Authorization", &token)]));
    assert_eq!(answer.status, 200);
}

#[test]
fn nothing_that_is_denied_reaches_the_upstream() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    for authorization in [
        None,
        Some("Basic YWxpY2U6c2VjcmV0".to_owned()),
        Some(bearer("a.b.c")),
        Some(bearer(&token(json!({"aud": "billing"})))),
        Some(bearer(&token(json!({"exp": now() - 3600, "iat": now() - 7200})))),
        Some(bearer(&token(json!({"scope": "orders:write"})))),
        Some(bearer(&token(json!({"roles": ["guest"]})))),
    ] {
        let fields: Vec<_> =
            authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
        let answer = gateway.exchange(request("POST", "/orders/7", &fields, "an order"));
        assert!((400..500).contains(&answer.status), "{authorization:?}: {answer:?}");
    }
    assert!(upstream.received().is_empty(), "{:?}", upstream.received());
}

#[test]
fn scheme_has_no_case_and_spaces_around_the_token_are_tolerated() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let token = token(json!({}));
    for scheme in ["Bearer", "bearer", "BEARER", "Bearer  "] {
        let value = format!("{scheme} {token}");
        let answer = gateway.exchange(get("/orders/7", &[("authorization", &value)]));
        assert_eq!(answer.status, 200, "{scheme}");
    }
}

#[test]
fn two_credentials_are_refused_in_whatever_order() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let good = bearer(&token(json!({})));
    for values in [[good.as_str(), good.as_str()], [&good, "Basic YTpi"], ["Basic YTpi", &good]] {
        let fields = values.map(|value| ("Authorization", value));
        let answer = gateway.exchange(get("/orders/7", &fields));
        assert_eq!((answer.status, answer.slug().as_str()), (400, "credential_malformed"));
    }
    assert!(upstream.received().is_empty());
}

/// RFC 6750 §2.2 and §2.3 know other places; both end up in logs and histories (RFC 9700 §4.3.2).
#[test]
fn token_is_read_from_the_authorization_header_and_from_nowhere_else() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let token = token(json!({}));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("access_token={token}");
    let header = |name: &str, value: &str| get("/orders/7", &[(name, value)]);
    for (place, bytes) in [
        ("the query", get(&format!("/orders/7?access_token={token}"), &[])),
        ("the body", request("POST", "/orders/7", &form, &body)),
        ("a cookie", header("Cookie", &format!("access_token={token}"))),
        ("Proxy-Authorization", header("Proxy-Authorization", &bearer(&token))),
        ("X-Authorization", header("X-Authorization", &bearer(&token))),
        ("X-Access-Token", header("X-Access-Token", &token)),
        ("Sec-WebSocket-Protocol", header("Sec-WebSocket-Protocol", &format!("bearer, {token}"))),
    ] {
        assert_eq!(gateway.exchange(bytes).slug(), "credential_absent", "{place}");
    }
}

#[test]
fn token_is_read_up_to_its_default_limit() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let padded = |bytes: usize| token(json!({ "padding": "a".repeat(bytes) }));
    // Three bytes of a claim are four of the token, so this comes as close as one likes.
    let room = (TOKEN_BYTES_DEFAULT - padded(0).len()) * 3 / 4 - 3;
    let (fits, exceeds) = (padded(room), padded(room + 8));
    assert!(fits.len() <= TOKEN_BYTES_DEFAULT && exceeds.len() > TOKEN_BYTES_DEFAULT);
    assert_eq!(gateway.get_as("/orders/7", &fits).status, 200);
    assert_eq!(gateway.get_as("/orders/7", &exceeds).slug(), "token_malformed");
}

#[test]
fn tampered_token_is_refused_although_the_original_is_known() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let original = token(json!({}));
    assert_eq!(gateway.get_as("/orders/7", &original).status, 200);
    let other = token(json!({"sub": "mallory"}));
    let [header, _, signature] = original.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let payload = other.split('.').nth(1).expect("a payload");
    let answer = gateway.get_as("/orders/7", &format!("{header}.{payload}.{signature}"));
    assert_eq!(answer.slug(), "token_signature");
}

#[test]
fn token_that_expires_while_it_is_known_is_refused() {
    let upstream = Upstream::start();
    let standard = standard(&upstream);
    let gateway = Gateway::start(&standard.replace(
        "keys: { public_key_file: issuer.pem }",
        "keys: { public_key_file: issuer.pem }\n    clock_skew: 1ms",
    ));
    let token = token(json!({"exp": now() + 3}));
    assert_eq!(gateway.get_as("/orders/7", &token).status, 200);
    let refusal = eventually("the expiry", || {
        let answer = gateway.get_as("/orders/7", &token);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(refusal.slug(), "token_expired");
}

#[test]
fn stale_credential_does_not_lock_anybody_out_of_a_public_route() {
    let upstream = Upstream::start();
    let gateway = Gateway::standard(&upstream);
    let expired = bearer(&token(json!({"exp": now() - 3600, "iat": now() - 7200})));
    for value in [&expired, "Basic YWxpY2U6c2VjcmV0", "Bearer", "garbage"] {
        let answer = gateway.exchange(get("/public/a", &[("Authorization", value)]));
        assert_eq!(answer.status, 200, "{value}");
    }
}

#[test]
fn configured_realm_stands_in_the_challenge() {
    let upstream = Upstream::start();
    let gateway = Gateway::start(&format!("realm: the shop\n{}", standard(&upstream)));
    let answer = gateway.exchange(get("/orders/7", &[]));
    assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"the shop\""));
    let answer = gateway.get_as("/orders/7", &token(json!({"aud": "billing"})));
    let expected = "Bearer realm=\"the shop\", error=\"invalid_token\"";
    assert_eq!(answer.field("www-authenticate"), Some(expected));
}

#[test]
fn token_signed_with_a_shared_secret_is_accepted_where_the_issuer_has_one() {
    let upstream = Upstream::start();
    let directory = gateway::directory();
    let secret = "0123456789abcdef0123456789abcdef";
    std::fs::write(directory.path().join("hs256.key"), format!("{secret}\n")).expect("a file");
    let standard = standard(&upstream)
        .replace("algorithms: [ES256]", "algorithms: [HS256]")
        .replace("public_key_file: issuer.pem", "secret_file: hs256.key");
    let gateway = Gateway::start_in(directory, &standard);
    let key = portcullis::issuer::key_pairs::SigningKey::from_file(secret.as_bytes(), None);
    let good = signed(&key.expect("a key"), "at+jwt", json!({}));
    assert_eq!(gateway.get_as("/orders/7", &good).status, 200);
    assert_eq!(gateway.get_as("/orders/7", &token(json!({}))).slug(), "token_algorithm");
}

/// An issuer that cannot be asked has said neither yes nor no.
#[test]
fn outage_of_an_issuer_is_never_told_as_a_bad_token() {
    let upstream = Upstream::start();
    let down =
        JwksReply::Raw { status: 429, fields: "Retry-After: 60\r\n".into(), body: "".into() };
    let jwks = JwksEndpoint::start(down);
    let standard = standard(&upstream);
    let keys = format!("jwks_url: '{}'", jwks.url());
    let gateway = Gateway::start(&standard.replace("public_key_file: issuer.pem", &keys));
    let answer = gateway.get_as("/orders/7", &token(json!({})));
    assert_eq!((answer.status, answer.slug().as_str()), (503, "keys_unavailable"));
    assert!(answer.field("retry-after").is_some() && answer.field("www-authenticate").is_none());
}

#[test]
fn token_of_one_issuer_is_not_good_for_the_other() {
    let upstream = Upstream::start();
    let other =
        portcullis::issuer::key_pairs::generate(portcullis::issuer::key_pairs::KeyKind::Rsa);
    let other = other.expect("a key pair");
    let directory = gateway::directory();
    std::fs::write(directory.path().join("other.pem"), &other.public).expect("a file");
    let issuer = format!(
        "issuers:\n  - {{ name: other, issuer: 'https://other.test', audiences: [{AUDIENCE}], \
         algorithms: [RS256], keys: {{ public_key_file: other.pem }} }}"
    );
    let standard = standard(&upstream)
        .replace("issuers:", &issuer)
        .replace("match: { path: /whoami }", "match: { path: /whoami }\n    issuers: [other]");
    let gateway = Gateway::start_in(directory, &standard);
    let of_other =
        signed(&signing_key(&other, None), "at+jwt", json!({"iss": "https://other.test"}));
    let of_test = token(json!({}));
    assert_eq!(gateway.get_as("/orders/7", &of_other).status, 200);
    assert_eq!(gateway.get_as("/orders/7", &of_test).status, 200);
    assert_eq!(gateway.get_as("/whoami", &of_other).status, 200);
    // Known from the other route, and refused here all the same.
    assert_eq!(gateway.get_as("/whoami", &of_test).slug(), "token_issuer");
}
