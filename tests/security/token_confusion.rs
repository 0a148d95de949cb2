//! Tokens that are not what they say: made up, mixed up, signed by the wrong key, sent in the wrong
//! place.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::gate::session::{SessionId, TagKeyCell};
use portcullis::issuer::key_pairs::{KeyKind, SigningKey, generate};
use portcullis::issuer::refresh::{RefreshToken, family_key};
use serde_json::{Value, json};

use crate::harness::client::{self, get};
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, OWN, api_key, ask, ask_with_key, assert_invalid_grant, error,
    log_in, post, refresh,
};
use crate::harness::outcome::{accepted, denied, outcome};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::{forged, header, pair, payload, signing_key};

/// The keys that the gateway publishes.
pub(super) fn published(site: &IssuingFleet) -> Vec<Value> {
    let answer = client::exchange(site.at(1), get("/.well-known/jwks.json", &[]));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["keys"].as_array().expect("keys").clone()
}

/// The same claims, signed by this key, with this header's `kid`.
pub(super) fn resigned(key: &SigningKey, typ: &str, claims: &Value) -> String {
    key.sign(typ, claims.as_object().expect("an object")).expect("a token")
}

/// A refresh token of this family that its key did not make.
pub(super) fn made_up(family: &str) -> String {
    let id = SessionId::parse(family).expect("an id");
    let key = family_key().expect("randomness");
    RefreshToken::generate(id, 7, &key, &TagKeyCell::default())
        .expect("a token")
        .expose()
        .to_string()
}

// ---- refresh tokens

/// Anybody who sees an access token knows its family, and must not be able to end it.
#[test]
fn refresh_token_that_is_made_up_ends_no_family() {
    let server = RedisServer::start();
    for site in [IssuingFleet::on(&server, "", 2), IssuingFleet::embedded("")] {
        let alice = Granted::log_in(site.at(1), "alice");
        let bob = Granted::log_in(site.at(1), "bob");
        let (mut torn, mut grafted) = (alice.refresh.clone(), bob.refresh.clone());
        // One letter in the middle, which is part of the random bits.
        let middle = torn.len() / 2 + 8;
        let other = if torn.as_bytes()[middle] == b'A' { "B" } else { "A" };
        torn.replace_range(middle..=middle, other);
        // The family of one, the rest of another. 3 letters of prefix, 43 of the family; the last
        // of them shares bits with what follows, which makes it a tag that is wrong, or a family.
        grafted.replace_range(3..45, &alice.refresh[3..45]);
        let mut made_up: Vec<String> = (0..20).map(|_| made_up(&alice.session())).collect();
        made_up.extend([torn, grafted]);
        for token in &made_up {
            for gateway in site.all() {
                assert_invalid_grant(&refresh(gateway.address(), token));
                let answer = post(gateway.address(), "/auth/revoke", &[("token", token)]);
                assert_eq!(answer.status, 200, "RFC 7009 §2.2: {answer:?}");
            }
        }
        for granted in [&alice, &bob] {
            assert_eq!(ask(site.at(1), HOME, &granted.access), accepted());
            let next = granted.next(site.at(1));
            assert_eq!(ask(site.at(1), HOME, &next.access), accepted());
        }
        assert!(crate::harness::issuing::audit(site.gateway(1)).is_empty(), "nothing was reused");
    }
}

/// Digests, and the key by which a family knows its tokens: a backup holds all of it.
#[test]
fn who_reads_the_store_can_make_no_refresh_token_of_it() {
    let server = RedisServer::start();
    let given = "
tokens:
  issuer: https://gateway.test
  signing: { key_files: [own.pem] }
  access: { audiences: [orders-api] }
";
    for lines in [crate::harness::issuing::tokens("10s").as_str(), given] {
        server.flush();
        let directory = crate::harness::issuing::directory();
        let key = generate(KeyKind::P256).expect("a pair");
        std::fs::write(directory.path().join("own.pem"), &*key.private).expect("a file");
        let lines = crate::harness::fleet::redis(&server.settings()) + lines;
        let site = IssuingFleet::alone_in(directory, &lines);
        let alice = Granted::log_in(site.at(1), "alice").next(site.at(1));
        let family = server.cli(&["--scan", "--pattern", "*famil*"]).trim().to_owned();
        let record: Value =
            serde_json::from_str(&server.cli(&["hget", &family, "record"])).expect("JSON");
        let key: [u8; 32] = serde_json::from_value(record["key"].clone()).expect("a key");
        let id = SessionId::parse(&alice.session()).expect("an id");
        let tags = TagKeyCell::default();
        for place in [2, 3, 1000, u64::from(u32::MAX), u64::MAX - 1, u64::MAX, 0, 1] {
            let made_up = RefreshToken::generate(id, place, &key, &tags).expect("a token");
            assert_invalid_grant(&refresh(site.at(1), &made_up.expose()));
        }
        if lines.contains("encryption_key_file") {
            // And ends nothing with it.
            let next = alice.next(site.at(1));
            assert_eq!(ask(site.at(1), HOME, &next.access), accepted());
        }
    }
}

#[test]
fn refresh_token_of_a_family_that_there_is_not_is_refused() {
    let site = IssuingFleet::embedded("");
    let nobody = SessionId::from_bytes([7; 32]).to_string();
    for token in [
        made_up(&nobody).as_str(),
        "rt_",
        "x",
        "rt_AAAA",
        "../../etc/passwd",
        "%00",
        "null",
        "\u{fffd}",
    ] {
        assert_invalid_grant(&refresh(site.at(1), token));
    }
}

#[test]
fn no_token_passes_for_another_kind() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let (key, id) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    let answer = log_in(site.at(1), "bob", json!({}), &[]);
    let cookie = answer.field("set-cookie").expect("a cookie").split(';').next().expect("a pair");
    let secret = cookie.split_once('=').expect("a value").1;
    // As a refresh token.
    for other in [&*key, secret, &*id, &*alice.session()] {
        assert_invalid_grant(&refresh(site.at(1), other));
    }
    // Longer than any refresh token, and perhaps than any parameter.
    let (status, said) = error(&refresh(site.at(1), &alice.access));
    assert_eq!(status, 400);
    assert!(["invalid_grant", "invalid_request"].contains(&&*said), "{said}");
    // As a bearer token.
    for other in [&*alice.refresh, &*key, secret, &*id] {
        let (status, slug) = ask(site.at(1), HOME, other);
        assert_eq!((status, &*slug), (401, "token_malformed"), "{other}");
    }
    // As an API key.
    for other in [&*alice.refresh, &*alice.access, secret, &*id, &*alice.session(), ""] {
        let (status, slug) = ask_with_key(site.at(1), HOME, other);
        assert_eq!((status, &*slug), (400, "credential_malformed"), "{other}");
    }
    // As a session.
    for other in [&*alice.refresh, &*key, &*id, &*alice.session()] {
        let fields = [("Cookie", &*format!("__Host-session={other}"))];
        let (status, slug) = outcome(&client::exchange(site.at(1), get(HOME, &fields)));
        assert_eq!(status, if slug == "credential_malformed" { 400 } else { 401 }, "{slug}");
        assert!(["session_unknown", "credential_malformed"].contains(&&*slug), "{other}: {slug}");
    }
    // None of this has used anything up.
    alice.next(site.at(1));
    assert_eq!(ask_with_key(site.at(1), HOME, &key), accepted());
}

/// Sessions are known by the SHA-256 of their secret, API keys by that of the whole key: what
/// operators see in lists is neither.
#[test]
fn ids_that_lists_show_are_no_secrets() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let (_, id) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    for id in [alice.session(), id] {
        let bits = URL_SAFE_NO_PAD.decode(&id).expect("base64url");
        let bits: [u8; 32] = bits.try_into().expect("256 bits");
        let key = portcullis::gate::session::ApiKey::from_random(&bits);
        assert_eq!(ask_with_key(site.at(1), HOME, key.expose()), denied(401, "api_key_unknown"));
        let fields = [("Cookie", &*format!("__Host-session={id}"))];
        let answer = client::exchange(site.at(1), get(HOME, &fields));
        assert_eq!(outcome(&answer), denied(401, "session_unknown"));
    }
}

/// The session behind tokens has a secret too, which nobody was given.
#[test]
fn login_for_tokens_alone_sets_no_session_cookie() {
    let site = IssuingFleet::embedded("");
    let answer = log_in(site.at(1), "alice", json!({ "deliver": "tokens" }), &[]);
    assert_eq!(answer.field("set-cookie"), None, "{answer:?}");
    let answer = log_in(
        site.at(1),
        "alice",
        json!({ "deliver": "tokens" }),
        &[("Origin", "http://gateway.test")],
    );
    let set: Vec<_> = answer.fields.iter().filter(|(name, _)| name == "set-cookie").collect();
    assert_eq!(set.len(), 1, "{set:?}");
    assert!(set[0].1.starts_with("__Host-refresh="), "{set:?}");
}

// ---- bearer tokens

#[test]
fn internal_token_opens_no_route() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    for path in ["/inside/x", "/inside-bearer/x"] {
        assert_eq!(ask(site.at(1), path, &alice.access), accepted());
    }
    let received = site.upstream.received();
    let own = received[0].values("x-internal-token")[0].to_owned();
    let standard = received[1].values("authorization")[0].strip_prefix("Bearer ").expect("a token");
    // The second even names an audience that the gateway accepts.
    for token in [own.as_str(), standard] {
        let (status, slug) = ask(site.at(1), "/bearers/x", token);
        assert_eq!((status, &*slug), (401, "token_type"), "{:?}", payload(token));
        let answer = post(site.at(1), "/auth/revoke", &[("token", token)]);
        assert_eq!(answer.status, 200, "RFC 7009 §2.2: {answer:?}");
        assert_eq!(ask(site.at(1), HOME, &alice.access), accepted(), "nothing was revoked");
    }
    assert_eq!(header(standard)["typ"], "internal+jwt");
}

#[test]
fn access_token_for_another_audience_is_refused() {
    let site = IssuingFleet::embedded("");
    let answer =
        log_in(site.at(1), "alice", json!({ "deliver": "tokens", "client_id": "other" }), &[]);
    let granted = Granted::read(&answer);
    let pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*granted.refresh),
        ("client_id", "other"),
        ("audience", "other-api"),
    ];
    let answer = post(site.at(1), "/auth/token", &pairs);
    if answer.status == 200 {
        let granted = Granted::read(&answer);
        if granted.claims()["aud"] == "other-api" {
            let (status, slug) = ask(site.at(1), "/bearers/x", &granted.access);
            assert_eq!((status, &*slug), (401, "token_audience"));
        }
    }
}

#[test]
fn own_issuer_believes_its_own_keys_only() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let (claims, kid) = (alice.claims(), header(&alice.access)["kid"].clone());
    assert_eq!(claims["iss"], OWN);
    let kid = kid.as_str().expect("a key id");
    let (own, body) = (&published(&site)[0], claims.to_string());
    assert_eq!(own["kid"], kid);
    let refused = |token: &str, slugs: &[&str]| {
        let (status, slug) = ask(site.at(1), "/bearers/x", token);
        assert_eq!(status, 401, "{slug}: {token}");
        assert!(slugs.contains(&&*slug), "{slug}: {token}");
    };
    // No signature at all.
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let head = json!({ "alg": algorithm, "typ": "at+jwt", "kid": kid }).to_string();
        for signature in [&b""[..], b"x"] {
            let token = forged(&head, &body, signature);
            let (status, slug) = ask(site.at(1), "/bearers/x", &token);
            assert_eq!((status, &*slug), (401, "token_algorithm"), "{token}");
        }
    }
    // The public key as a secret, in all its spellings.
    let text = |name: &str| own[name].as_str().expect("a text").to_owned();
    let point = [
        &[4][..],
        &URL_SAFE_NO_PAD.decode(text("x")).expect("x"),
        &URL_SAFE_NO_PAD.decode(text("y")).expect("y"),
    ]
    .concat();
    let secrets = [own.to_string().into_bytes(), point, text("x").into_bytes(), kid.into()];
    for secret in secrets {
        for algorithm in ["HS256", "HS384", "HS512"] {
            let head = json!({ "alg": algorithm, "typ": "at+jwt", "kid": kid }).to_string();
            let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
            let input = format!("{}.{}", encode(&head), encode(&body));
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
            let tag = aws_lc_rs::hmac::sign(&key, input.as_bytes());
            let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag));
            refused(&token, &["token_algorithm"]);
        }
    }
    // Somebody else's key under the name of ours, without a name, with odd names.
    let thief = generate(KeyKind::P256).expect("a pair");
    for id in [Some(kid), None, Some(""), Some("../kek"), Some("' OR 1=1"), Some("first-party")] {
        refused(
            &resigned(&signing_key(&thief, id), "at+jwt", &claims),
            &["token_signature", "token_key_unknown"],
        );
    }
    // The key of another issuer that is trusted for its own tokens.
    refused(
        &resigned(&signing_key(pair(), Some(kid)), "at+jwt", &claims),
        &["token_signature", "token_key_unknown"],
    );
    // A key in the header (RFC 7515 §4.1.3), or where to get one.
    let thief = generate(KeyKind::Ed25519).expect("a pair");
    refused(
        &resigned(&signing_key(&thief, Some(kid)), "at+jwt", &claims),
        &["token_algorithm", "token_signature", "token_key_unknown"],
    );
    for member in ["jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"] {
        let mut head = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid });
        head[member] = own.clone();
        let token = forged(&head.to_string(), &body, &[0; 64]);
        let (status, slug) = ask(site.at(1), "/bearers/x", &token);
        assert!([400, 401].contains(&status), "{member}: {status} {slug}");
    }
    // The signature of one over the claims of another, and a signature of zeros.
    let bob = Granted::log_in(site.at(1), "bob");
    let parts: Vec<_> = alice.access.split('.').collect();
    let others: Vec<_> = bob.access.split('.').collect();
    refused(&[parts[0], others[1], parts[2]].join("."), &["token_signature"]);
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    refused(&[parts[0], parts[1], &zeros].join("."), &["token_signature"]);
    assert_eq!(ask(site.at(1), "/bearers/x", &alice.access), accepted());
}

/// The issuer of one's logins vouches for nobody else's tokens.
#[test]
fn another_issuers_key_signs_nothing_in_our_name_and_ours_nothing_in_its() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let mut claims = alice.claims();
    claims["iss"] = json!(crate::harness::tokens::ISSUER);
    let parts: Vec<_> = alice.access.split('.').collect();
    let body = URL_SAFE_NO_PAD.encode(claims.to_string());
    let (status, slug) = ask(site.at(1), "/bearers/x", &[parts[0], &body, parts[2]].join("."));
    assert_eq!(status, 401, "{slug}");
    for iss in ["https://gateway.test/", "https://GATEWAY.test", "gateway", "https://evil.test"] {
        claims["iss"] = json!(iss);
        let token = resigned(&signing_key(pair(), None), "at+jwt", &claims);
        assert_eq!(ask(site.at(1), "/bearers/x", &token), denied(401, "token_issuer"), "{iss}");
    }
}
