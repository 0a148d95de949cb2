//! The token that tells upstreams who the caller is: one for all carriers, made seldom, given to
//! nobody who was cut off.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::client::{self, Connection, get};
use crate::harness::eventually;
use crate::harness::issuing::{
    Granted, IssuingFleet, OWN, admin, api_key, ask, ask_with_key, await_told, log_in,
};
use crate::harness::outcome::{accepted, denied, outcome};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::{ISSUER, bearer, header, now, payload, token};
use crate::harness::upstream::Behaviour;

/// The internal token that the upstream got last.
#[track_caller]
fn last(site: &IssuingFleet) -> String {
    let received = site.upstream.last();
    let [token] = received.values("x-internal-token")[..] else { panic!("{}", received.head) };
    token.to_owned()
}

/// The one that it gets of a request with these fields.
#[track_caller]
fn inside(site: &IssuingFleet, fields: &[(&str, &str)]) -> String {
    let answer = client::exchange(site.at(1), get("/inside/x", fields));
    assert_eq!(answer.status, 200, "{answer:?}");
    last(site)
}

fn names(claims: &Value) -> BTreeSet<String> {
    claims.as_object().expect("an object").keys().cloned().collect()
}

fn session_cookie(site: &IssuingFleet, name: &str) -> String {
    let answer = log_in(site.at(1), name, json!({}), &[]);
    let set = answer.field("set-cookie").expect("a cookie");
    set.split(';').next().expect("a pair").to_owned()
}

#[test]
fn internal_token_has_the_same_shape_whatever_the_caller_came_with() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let cookie = session_cookie(&site, "alice");
    let claims = json!({ "email": "somebody@example.test" });
    let (key, _) = api_key(
        site.gateway(1),
        json!({ "subject": "u-17", "roles": ["clerk"], "scopes": ["orders:read"], "claims": claims }),
    );
    let foreign = token(json!({ "email": "somebody@example.test" }));
    let told = [
        inside(&site, &[("Authorization", &bearer(&alice.access))]),
        inside(&site, &[("Cookie", &cookie)]),
        inside(&site, &[("X-Api-Key", &key)]),
        inside(&site, &[("Authorization", &bearer(&foreign))]),
    ];
    let keys = client::exchange(site.at(1), get("/.well-known/jwks.json", &[])).json();
    let kid = &keys["keys"][0]["kid"];
    for token in &told {
        let (header, claims) = (header(token), payload(token));
        assert_eq!((&header["typ"], &header["kid"]), (&json!("internal+jwt"), kid));
        assert_eq!(header["alg"], "ES256");
        for name in ["iss", "aud", "sub", "idp", "iat", "exp", "jti", "scope", "roles", "email"] {
            assert!(claims.get(name).is_some(), "{name}: {claims}");
        }
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(OWN), &json!("orders")));
        assert_eq!(
            (&claims["scope"], &claims["roles"]),
            (&json!("orders:read"), &json!(["clerk"]))
        );
        assert_eq!(claims["email"], "somebody@example.test");
        let date = |name: &str| claims[name].as_i64().expect("a date");
        assert!((date("iat") - now()).abs() <= 5 && date("exp") - date("iat") == 8, "{claims}");
        let more = ["iss", "aud", "sub", "idp", "iat", "exp", "jti", "scope", "roles", "email"];
        let known: BTreeSet<_> =
            more.into_iter().chain(["sid", "client_id"]).map(str::to_owned).collect();
        assert!(names(&claims).is_subset(&known), "{claims}");
    }
    let told = told.map(|token| payload(&token));
    assert_eq!(told.each_ref().map(|claims| &claims["sub"]), ["u-17", "u-17", "u-17", "alice"]);
    // Who vouches: for logins and keys it is us.
    let idp = told.each_ref().map(|claims| claims["idp"].as_str().expect("a text"));
    assert_eq!(idp, [OWN, OWN, OWN, ISSUER]);
}

#[test]
fn internal_token_verifies_by_the_published_keys() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let token = inside(&site, &[("Authorization", &bearer(&alice.access))]);
    let keys = client::exchange(site.at(1), get("/.well-known/jwks.json", &[])).json();
    let member = |name: &str| {
        URL_SAFE_NO_PAD.decode(keys["keys"][0][name].as_str().expect("a text")).expect("base64url")
    };
    let point = [&[4][..], &member("x"), &member("y")].concat();
    for token in [&token, &alice.access] {
        let (input, signature) = token.rsplit_once('.').expect("a signature");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
        key.verify(input.as_bytes(), &signature).expect("it is ours");
    }
}

/// It lives for 8 seconds: it is the same one for 6, and then another.
#[test]
fn internal_token_is_used_until_a_quarter_of_its_life_is_left() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let fields = [("Authorization", &*bearer(&alice.access))];
    let first = inside(&site, &fields);
    let begun = Instant::now();
    let (claims, mut seen) = (payload(&first), 1);
    let next = eventually("another one", || {
        let token = inside(&site, &fields);
        let left = payload(&token)["exp"].as_i64().expect("a date") - now();
        assert!(left >= 1, "an upstream gets none that is about to end: {left}");
        if token == first {
            seen += 1;
            return None;
        }
        Some(token)
    });
    let took = begun.elapsed();
    // Dates are whole seconds, so it may have been up to one second old at once.
    assert!(took > Duration::from_millis(4900), "{took:?}");
    assert!(took < Duration::from_millis(6500), "{took:?}");
    assert!(seen > 10, "{seen}");
    let later = payload(&next);
    assert_ne!(claims["jti"], later["jti"]);
    assert!(later["iat"].as_i64() >= claims["exp"].as_i64().map(|exp| exp - 3), "{later}");
}

/// Who else asks at the same time gets their own, and another audience another.
#[test]
fn internal_token_is_of_one_principal_and_one_audience() {
    let site = IssuingFleet::embedded("");
    let (alice, bob) = (Granted::log_in(site.at(1), "alice"), Granted::log_in(site.at(1), "bob"));
    let again = Granted::log_in(site.at(1), "alice");
    let threads = [&alice, &bob, &again].map(|granted| granted.access.clone());
    let subjects = ["u-17", "bob", "u-17"];
    for _ in 0..5 {
        for (access, subject) in threads.iter().zip(subjects) {
            let token = inside(&site, &[("Authorization", &bearer(access))]);
            let claims = payload(&token);
            assert_eq!(claims["sub"], subject);
            assert_eq!(claims["sid"], payload(access)["sid"], "of this login");
            assert_eq!(ask(site.at(1), "/inside-bearer/x", access), accepted());
            let received = site.upstream.last();
            assert!(received.values("x-internal-token").is_empty(), "{}", received.head);
            let other = received.values("authorization")[0].to_owned();
            let claims = payload(other.strip_prefix("Bearer ").expect("a token"));
            assert_eq!((&claims["aud"], &claims["sub"]), (&json!("orders-api"), &json!(subject)));
        }
    }
    let ids: BTreeSet<_> = site
        .upstream
        .received()
        .iter()
        .flat_map(|received| {
            received.values("x-internal-token").into_iter().map(str::to_owned).collect::<Vec<_>>()
        })
        .map(|token| payload(&token)["jti"].to_string())
        .collect();
    assert!((3..=6).contains(&ids.len()), "one for each login, or a second one: {ids:?}");
}

#[test]
fn internal_token_outlives_no_credential() {
    let site = IssuingFleet::embedded("");
    let text = token(json!({ "exp": now() + 3, "iat": now() - 10 }));
    let told = inside(&site, &[("Authorization", &bearer(&text))]);
    let claims = payload(&told);
    // Until the credential could last be used, with the skew of its issuer.
    assert!(claims["exp"].as_i64() <= Some(now() + 3 + 60), "{claims}");
    assert!(claims["exp"].as_i64() <= claims["iat"].as_i64().map(|iat| iat + 8), "{claims}");
}

#[test]
fn whoever_is_cut_off_gets_no_internal_token() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 2);
    let alice = Granted::log_in(site.at(1), "alice");
    let cookie = session_cookie(&site, "alice");
    let (key, _) = api_key(site.gateway(1), json!({ "subject": "u-17" }));
    let fields = [("Authorization", bearer(&alice.access)), ("Cookie", cookie), ("X-Api-Key", key)];
    for number in [1, 2] {
        for (name, value) in &fields {
            let request = get("/inside/x", &[(name, value)]);
            assert_eq!(client::exchange(site.at(number), request).status, 200);
        }
    }
    let draft = json!({ "scope": "subject", "subject": "u-17", "issuer": OWN, "wait_ms": 5000 });
    let answer = admin(site.gateway(2), "POST", "/v1/revocations", &draft);
    assert_eq!(answer.status, 201, "{answer:?}");
    let before = site.upstream.received().len();
    for number in [1, 2] {
        for ((name, value), slug) in
            fields.iter().zip(["token_revoked", "session_revoked", "api_key_revoked"])
        {
            let answer = client::exchange(site.at(number), get("/inside/x", &[(name, value)]));
            assert_eq!(outcome(&answer), denied(401, slug), "at {number}");
        }
    }
    assert_eq!(site.upstream.received().len(), before, "nothing reached the upstream");
}

#[test]
fn internal_token_goes_with_an_upgrade() {
    let site = IssuingFleet::embedded("");
    site.upstream.behave(Behaviour::Upgrade);
    let alice = Granted::log_in(site.at(1), "alice");
    let (key, _) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    let bearer = bearer(&alice.access);
    for (credential, subject) in
        [(("Authorization", &*bearer), "u-17"), (("X-Api-Key", &*key), "importer")]
    {
        let fields = [
            credential,
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ("X-Internal-Token", "mallory"),
        ];
        let mut connection = Connection::open(site.at(1));
        assert_eq!(connection.exchange(get("/inside/socket", &fields)).status, 101);
        assert_eq!(payload(&last(&site))["sub"], subject);
        assert!(!site.upstream.last().head.contains("mallory"));
    }
}

#[test]
fn internal_token_is_not_for_those_of_whom_nothing_is_asked() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    for path in ["/public/x", "/home/x", "/bearers/x"] {
        let fields = [("Authorization", &*bearer(&alice.access))];
        assert_eq!(client::exchange(site.at(1), get(path, &fields)).status, 200);
        let received = site.upstream.last();
        assert!(received.values("x-internal-token").is_empty(), "{}", received.head);
        assert!(!received.head.contains("internal"), "{}", received.head);
    }
}

/// No key, no token, and no request without one.
#[test]
fn request_that_wants_an_internal_token_waits_for_the_keys() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let keys = client::exchange(site.at(1), get("/.well-known/jwks.json", &[])).json();
    let kid = keys["keys"][0]["kid"].as_str().expect("a text").to_owned();
    assert_eq!(ask(site.at(1), "/inside/x", &alice.access), accepted());
    let before = last(&site);
    // The key that signed it is cut off: another one signs from then on.
    let draft = json!({ "scope": "key", "key": kid, "issuer": OWN, "wait_ms": 5000 });
    let answer = admin(site.gateway(1), "POST", "/v1/revocations", &draft);
    assert_eq!(answer.status, 201, "{answer:?}");
    await_told(site.at(1), "/inside/x", &alice.access, &denied(401, "token_revoked"));
    let (key, _) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    let after = eventually("another key", || {
        let told = ask_with_key(site.at(1), "/inside/x", &key);
        if told != accepted() {
            assert_eq!(told, denied(503, "keys_unavailable"));
            return None;
        }
        Some(last(&site))
    });
    assert_ne!(header(&before)["kid"], header(&after)["kid"]);
}
