//! What the token endpoint tells strangers, and takes from clients: nothing that is not theirs, in no other form.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis::issuer::key_pairs::{KeyKind, generate};
use serde_json::json;

use super::token_confusion::{made_up, published, resigned};
use crate::harness::client::{self, Connection, get, request};
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, SECRET, api_key, ask, ask_with_key, assert_invalid_grant, error,
    form, log_in, post, refresh,
};
use crate::harness::outcome::{accepted, denied};
use crate::harness::redis::RedisServer;
use crate::harness::tokens::{bearer, signing_key};

#[test]
fn introspection_tells_strangers_nothing() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let basic = |id: &str, secret: &str| {
        format!("Basic {}", STANDARD.encode(format!("{id}:{}", secret.replace(' ', "+"))))
    };
    let ask = |authorization: Option<&str>, pairs: &[(&str, &str)]| {
        let fields: Vec<_> =
            authorization.map(|value| ("Authorization", value)).into_iter().collect();
        client::exchange(site.at(1), form("/auth/introspect", &fields, pairs))
    };
    fn pairs(token: &str) -> [(&str, &str); 1] {
        [("token", token)]
    }
    // Nobody, a client without secret, one that may not, one with a wrong secret, one with a token.
    let nobody = ask(None, &pairs(&alice.access));
    assert_eq!(error(&nobody), (401, "invalid_client".to_owned()));
    let public = ask(None, &[("token", &*alice.access), ("client_id", "app")]);
    let (status, _) = error(&public);
    assert!([400, 401, 403].contains(&status), "{public:?}");
    let (status, said) = error(&ask(Some(&basic("batch", SECRET)), &pairs(&alice.access)));
    assert!([400, 403].contains(&status), "{status} {said}");
    let wrong = ask(Some(&basic("service", "wrong")), &pairs(&alice.access));
    assert_eq!(error(&wrong), (401, "invalid_client".to_owned()));
    let (status, said) = error(&ask(Some(&bearer(&alice.access)), &pairs(&alice.access)));
    assert!([400, 401].contains(&status), "{status} {said}");
    // An unknown client is told the same as one with a wrong secret.
    let unknown = ask(Some(&basic("nobody", "wrong")), &pairs(&alice.access));
    assert_eq!((unknown.status, &unknown.body), (wrong.status, &wrong.body));
    // Who may ask is told of what is good, and of everything else the same.
    let service = basic("service", SECRET);
    let good = ask(Some(&service), &pairs(&alice.access));
    assert_eq!((good.status, &good.json()["active"]), (200, &json!(true)), "{good:?}");
    assert_eq!(good.json()["sub"], "u-17");
    let thief = generate(KeyKind::P256).expect("a pair");
    let strangers = [
        resigned(&signing_key(&thief, None), "at+jwt", &alice.claims()),
        made_up(&alice.session()),
        "x".to_owned(),
        "a.b.c".to_owned(),
        crate::harness::tokens::token(json!({ "iss": "https://evil.test" })),
    ];
    for stranger in strangers {
        let answer = ask(Some(&service), &pairs(&stranger));
        assert_eq!((answer.status, answer.json()), (200, json!({ "active": false })), "{stranger}");
    }
}

/// RFC 7009 §2.1: a token is revoked by the client to which it was given.
#[test]
fn client_revokes_what_was_given_to_it_and_nothing_else() {
    let site = IssuingFleet::embedded("");
    let answer =
        log_in(site.at(1), "alice", json!({ "deliver": "tokens", "client_id": "app" }), &[]);
    let granted = Granted::read(&answer);
    for token in [&granted.refresh, &granted.access] {
        for client in ["other", "nobody"] {
            let answer =
                post(site.at(1), "/auth/revoke", &[("token", token), ("client_id", client)]);
            assert!([200, 400, 401].contains(&answer.status), "{answer:?}");
            assert_eq!(ask(site.at(1), HOME, &granted.access), accepted(), "by {client}");
        }
        // Without a client it is that of those who name none.
        let answer = post(site.at(1), "/auth/revoke", &[("token", token)]);
        assert!([200, 400, 401].contains(&answer.status), "{answer:?}");
        assert_eq!(ask(site.at(1), HOME, &granted.access), accepted());
    }
    for client in [Some("other"), Some("nobody"), None] {
        let mut pairs = vec![("grant_type", "refresh_token"), ("refresh_token", &*granted.refresh)];
        pairs.extend(client.map(|id| ("client_id", id)));
        let (status, said) = error(&post(site.at(1), "/auth/token", &pairs));
        assert!([400, 401].contains(&status), "{client:?}: {said}");
    }
    let pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*granted.refresh),
        ("client_id", "app"),
    ];
    let next = Granted::read(&post(site.at(1), "/auth/token", &pairs));
    let answer =
        post(site.at(1), "/auth/revoke", &[("token", &*next.refresh), ("client_id", "app")]);
    assert_eq!(answer.status, 200, "{answer:?}");
    for granted in [&granted, &next] {
        assert_eq!(ask(site.at(1), HOME, &granted.access), denied(401, "token_revoked"));
    }
}

// ---- the wire

#[test]
fn token_endpoint_takes_forms_by_post_and_nothing_else() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let body = format!("grant_type=refresh_token&refresh_token={}", alice.refresh);
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    let query = format!("/auth/token?{body}");
    for method in ["GET", "HEAD", "PUT", "PATCH", "OPTIONS", "TRACE"] {
        let mut connection = Connection::open(site.at(1));
        connection.send(request(method, &query, &[], ""));
        let answer = connection.head_answer();
        assert!([400, 405].contains(&answer.status), "{method}: {answer:?}");
    }
    // Parameters belong into the body (RFC 6749 §3.2).
    let answer = client::exchange(site.at(1), request("POST", &query, &[kind], ""));
    assert_eq!(error(&answer).0, 400, "{answer:?}");
    let json = json!({ "grant_type": "refresh_token", "refresh_token": alice.refresh }).to_string();
    for (kind, body) in [
        ("application/json", json.as_str()),
        ("text/plain", body.as_str()),
        ("multipart/form-data; boundary=x", body.as_str()),
    ] {
        let fields = [("Content-Type", kind)];
        let answer = client::exchange(site.at(1), request("POST", "/auth/token", &fields, body));
        assert!([400, 415].contains(&answer.status), "{kind}: {answer:?}");
    }
    for kinds in [&[][..], &[kind, kind], &[kind, ("Content-Type", "application/json")]] {
        let answer = client::exchange(site.at(1), request("POST", "/auth/token", kinds, &body));
        assert!([400, 415].contains(&answer.status), "{kinds:?}: {answer:?}");
    }
    // At the limit, and one more.
    let padded = |length: usize| format!("{body}&x={}", "a".repeat(length - body.len() - 3));
    let answer = client::exchange(
        site.at(1),
        request("POST", "/auth/token", &[kind], &padded(16 * 1024 + 1)),
    );
    assert_eq!(answer.status, 413, "{answer:?}");
    let chunked = |pieces: &[&str], end: &str| {
        let mut text =
            request("POST", "/auth/token", &[kind, ("Transfer-Encoding", "chunked")], "");
        for piece in pieces {
            text.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
        }
        text + end
    };
    let long = padded(16 * 1024 + 1);
    let (one, other) = long.split_at(9000);
    let answer = client::exchange(site.at(1), chunked(&[one, other], "0\r\n\r\n"));
    assert_eq!(answer.status, 413, "{answer:?}");
    // None of it was an exchange.
    assert_eq!(crate::harness::issuing::refreshes(site.gateway(1), "ok"), 0.0);
    let (one, other) = body.split_at(7);
    let answer = client::exchange(site.at(1), chunked(&[one, other], "0\r\n\r\n"));
    let next = Granted::read(&answer);
    let body = format!("grant_type=refresh_token&refresh_token={}", next.refresh);
    let padded = format!("{body}&x={}", "a".repeat(16 * 1024 - body.len() - 3));
    let answer = client::exchange(site.at(1), request("POST", "/auth/token", &[kind], &padded));
    Granted::read(&answer);
}

/// Whatever comes after a request that was refused is a request of its own, or nothing.
#[test]
fn refused_token_requests_do_not_spoil_the_connection() {
    let site = IssuingFleet::embedded("");
    let mut connection = Connection::open(site.at(1));
    for _ in 0..3 {
        let answer = connection.exchange(form("/auth/token", &[], &[("grant_type", "password")]));
        assert_eq!(error(&answer), (400, "unsupported_grant_type".to_owned()), "{answer:?}");
        let answer = connection.exchange(crate::harness::issuing::refreshing("rt_x"));
        assert_invalid_grant(&answer);
        assert_eq!(connection.exchange(get("/public/x", &[])).status, 200);
    }
}

/// Where the gateway publishes its keys no upstream is asked, in whatever spelling.
#[test]
fn published_keys_are_the_gateways_own_in_every_spelling() {
    let site = IssuingFleet::with_routes(
        "  - { name: all, match: { path: '/{*rest}', dangerous_path: [empty_segment, semicolon, \
         encoded_slash, encoded_percent] }, upstream: behind, public: true }\n",
    );
    let own = published(&site);
    assert_eq!(own.len(), 1, "{own:?}");
    for path in [
        "//.well-known/jwks.json",
        "/.well-known//jwks.json",
        "/%2ewell-known/jwks.json",
        "/%2Ewell-known/jwks.json",
        "/.well%2dknown/jwks.json",
        "/.well-known/jwks%2ejson",
        "/.well-known%2fjwks.json",
        "/.well-known/jwks.json;x",
        "/.well-known;x/jwks.json",
        "/.well-known/./jwks.json",
        "/x/../.well-known/jwks.json",
        "/.well-known/jwks.json?x",
    ] {
        let answer = client::exchange(site.at(1), get(path, &[]));
        let is_own = answer.status == 200 && answer.body.contains("\"keys\"");
        let is_refused = answer.status == 400 && answer.slug() == "request_target";
        let is_unknown = answer.status == 404;
        assert!(is_own || is_refused || is_unknown, "{path}: {answer:?}");
    }
    assert!(site.upstream.received().is_empty(), "{:?}", site.upstream.received());
    let answer = client::exchange(site.at(1), get("/.well-known/other", &[]));
    assert_eq!(answer.status, 200, "what is not ours is the route's");
}

/// The gateway's private keys are nowhere to be had.
#[test]
fn published_keys_hold_nothing_private() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 1);
    for key in published(&site) {
        let members: Vec<_> = key.as_object().expect("an object").keys().cloned().collect();
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert!(!members.iter().any(|member| member == private), "{members:?}");
        }
    }
    // Neither in the store: what is there is sealed.
    for key in server.cli(&["--scan"]).lines() {
        let kind = server.cli(&["type", key]);
        let value = match kind.trim() {
            "string" => server.cli(&["get", key]),
            "hash" => server.cli(&["hgetall", key]),
            _ => continue,
        };
        for clear in ["PRIVATE KEY", "\"d\":", "MIGHAgEA", "MC4CAQAw"] {
            assert!(!value.contains(clear), "{key}: {value}");
        }
    }
}

/// Nothing that was given away is in the store, nor in logs.
#[test]
fn tokens_are_neither_stored_nor_logged() {
    let server = RedisServer::start();
    let site = IssuingFleet::on(&server, "", 1);
    let first = Granted::log_in(site.at(1), "alice");
    let second = first.next(site.at(1));
    let (key, _) = api_key(site.gateway(1), json!({ "subject": "importer" }));
    ask_with_key(site.at(1), HOME, &key);
    ask(site.at(1), "/inside/x", &second.access);
    refresh(site.at(1), "rt_wrong");
    let internal = site.upstream.last().values("x-internal-token")[0].to_owned();
    let mut everything = String::new();
    for name in server.cli(&["--scan"]).lines() {
        everything.push_str(&server.cli(&["dump", name]));
        for command in [["get", name], ["hgetall", name], ["xrange", name]] {
            everything.push_str(&server.cli(&command));
        }
    }
    everything.push_str(&site.gateway(1).errors().join("\n"));
    everything.push_str(&site.gateway(1).output().join("\n"));
    everything.push_str(&site.gateway(1).metrics());
    for secret in [&first.refresh, &second.refresh, &first.access, &second.access, &key, &internal]
    {
        for part in [&secret[3..], secret.rsplit('.').next().expect("a part")] {
            assert!(!everything.contains(part), "{part}");
        }
        // Not the bits either.
        if let Ok(bits) = URL_SAFE_NO_PAD.decode(&secret[3..]) {
            let hex: String = bits[32..].iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!everything.contains(&hex), "{hex}");
        }
    }
}
