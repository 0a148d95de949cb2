//! The cookie as a credential, and where its value never is.

use serde_json::json;

use crate::harness::client::{self, get};
use crate::harness::gateway::Gateway;
use crate::harness::login::{self, COOKIE, Login};
use crate::harness::outcome::accepted;
use crate::harness::redis::RedisServer;
use crate::harness::redis::monitor::Monitor;
use crate::harness::sessions::{SessionFleet, configuration, denied, made_up, told};
use crate::harness::tokens::{bearer, token};

#[test]
fn cookie_opens_a_route_and_nothing_else_does() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let address = site.gateway(1).address();
    assert_eq!(site.ask(1, &alice), accepted());
    let upstream = site.upstream.received().len();
    let ask = |fields: &[(&str, &str)]| told(&client::exchange(address, get("/home/x", fields)));
    assert_eq!(ask(&[]), denied("credential_absent"));
    let token = bearer(&token(json!({})));
    assert_eq!(ask(&[("Authorization", &token)]), denied("credential_absent"));
    assert_eq!(ask(&[("Cookie", &format!("{COOKIE}={}", alice.id))]), denied("session_unknown"));
    assert_eq!(
        ask(&[("Cookie", &format!("session={}", alice.secret()))]),
        denied("credential_absent")
    );
    assert_eq!(ask(&[("Cookie", &alice.cookie.to_lowercase())]), denied("credential_absent"));
    assert_eq!(ask(&[("X-Auth-Session", &alice.id)]), denied("credential_absent"));
    assert_eq!(ask(&[("Authorization", &bearer(alice.secret()))]), denied("credential_absent"));
    assert_eq!(site.upstream.received().len(), upstream, "something got through");
}

#[test]
fn malformed_and_repeated_cookies_are_refused_as_such() {
    let site = SessionFleet::embedded("");
    let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
    let address = site.gateway(1).address();
    let ask = |fields: &[(&str, &str)]| told(&client::exchange(address, get("/home/x", fields)));
    let malformed = denied("credential_malformed");
    let mut not_canonical = alice.cookie.clone();
    // The last of 43 characters has two bits that mean nothing; only zeros are ours.
    let last = not_canonical.pop().expect("a character");
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(last).expect("base64url");
    not_canonical.push(alphabet.as_bytes()[place + 1].into());
    for cookie in [
        format!("{COOKIE}="),
        COOKIE.to_owned(),
        format!("{}=", alice.cookie),
        format!("{}x", alice.cookie),
        alice.cookie[..alice.cookie.len() - 1].to_owned(),
        format!("{COOKIE}=\"{}\"", alice.secret()),
        format!("{COOKIE}={}", "+".repeat(43)),
        not_canonical,
        format!("{COOKIE}={}", "A".repeat(20_000)),
        // Tossed by a sibling domain: which one is meant cannot be told.
        format!("{}; {}", alice.cookie, bob.cookie),
        format!("{}; {}", alice.cookie, alice.cookie),
        format!("{}; {COOKIE}=", alice.cookie),
        format!("{COOKIE}=x; a=b; {}", alice.cookie),
    ] {
        assert_eq!(ask(&[("Cookie", &cookie)]), malformed, "{cookie}");
    }
    let two = [("Cookie", &*alice.cookie), ("Cookie", &*bob.cookie)];
    assert_eq!(ask(&two), malformed);
    assert_eq!(ask(&[two[0], two[0]]), malformed);
    // Others' cookies are no matter of ours.
    let crowd = format!("a=b; x{}; {}; session=1; =; ;", alice.cookie, alice.cookie);
    assert_eq!(ask(&[("Cookie", &crowd)]), accepted());
    assert_eq!(ask(&[("Cookie", "a=b"), ("Cookie", &alice.cookie)]), accepted());
}

#[test]
fn cookie_that_is_too_large_is_refused_with_the_head() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let address = site.gateway(1).address();
    let ask = |rest: usize| {
        let cookie = format!("{}; a={}", alice.cookie, "x".repeat(rest));
        client::exchange(address, get("/home/x", &[("Cookie", &cookie)])).status
    };
    assert_eq!(ask(31 * 1024), 200);
    assert_eq!(ask(32 * 1024), 431);
}

#[test]
fn mixed_routes_ask_in_their_order_and_only_an_absent_credential_tries_the_next() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let address = site.gateway(1).address();
    let good = bearer(&token(json!({ "sub": "by-token" })));
    let bad = bearer(&token(json!({ "aud": "other" })));
    let unknown = made_up();
    let ask = |path: &str, token: Option<&str>, cookie: Option<&str>| {
        let mut fields = vec![];
        fields.extend(token.map(|token| ("Authorization", token)));
        fields.extend(cookie.map(|cookie| ("Cookie", cookie)));
        let answer = client::exchange(address, get(path, &fields));
        match answer.status {
            200 => site.upstream.last().values("x-auth-subject").join(","),
            _ => told(&answer).1,
        }
    };
    let (good, bad) = (Some(&*good), Some(&*bad));
    let (cookie, unknown, malformed) =
        (Some(&*alice.cookie), Some(&*unknown), Some("__Host-session=x"));
    for (path, both) in [("/bearer-first", "by-token"), ("/session-first", "u-17")] {
        assert_eq!(ask(path, None, None), "credential_absent", "{path}");
        assert_eq!(ask(path, good, None), "by-token", "{path}");
        assert_eq!(ask(path, None, cookie), "u-17", "{path}");
        assert_eq!(ask(path, good, cookie), both, "{path}");
        assert_eq!(ask(path, bad, None), "token_audience", "{path}");
        assert_eq!(ask(path, None, unknown), "session_unknown", "{path}");
        assert_eq!(ask(path, None, malformed), "credential_malformed", "{path}");
    }
    assert_eq!(ask("/bearer-first", bad, cookie), "token_audience");
    assert_eq!(ask("/bearer-first", Some("Bearer null"), cookie), "token_malformed");
    // Another scheme is not a bearer token.
    assert_eq!(ask("/bearer-first", Some("Basic YTpi"), cookie), "u-17");
    assert_eq!(ask("/bearer-first", Some("Basic YTpi"), None), "credential_absent");
    assert_eq!(ask("/bearer-first", good, unknown), "by-token");
    assert_eq!(ask("/bearer-first", good, malformed), "by-token");
    assert_eq!(ask("/session-first", good, unknown), "session_unknown");
    assert_eq!(ask("/session-first", good, malformed), "credential_malformed");
    assert_eq!(ask("/session-first", bad, cookie), "u-17");
}

#[test]
fn requirements_of_a_route_hold_for_a_session() {
    let site = SessionFleet::embedded("");
    let (carol, bob) = (site.log_in("carol"), site.log_in("bob"));
    assert_eq!(site.ask_for(1, &bob, "/admins"), accepted());
    assert_eq!(site.ask_for(1, &carol, "/admins"), denied("role_missing"));
    assert_eq!(site.ask_for(1, &carol, "/tenants"), accepted());
}

#[test]
fn upstream_is_told_who_it_is_and_no_client_can_say_so_itself() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    let fields = [
        ("Cookie", &*alice.cookie),
        ("X-Auth-Session", "forged"),
        ("x_auth_session", "forged"),
        ("X-AUTH.SESSION", "forged"),
        ("X-Auth-Subject", "forged"),
        ("X-Auth-Roles", "forged"),
    ];
    let answer = site.gateway(1).exchange(get("/home/x", &fields));
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = site.upstream.last();
    assert_eq!(received.values("x-auth-session"), [&*alice.id]);
    assert_eq!(received.values("x-auth-subject"), ["u-17"]);
    assert_eq!(received.values("x-auth-issuer"), ["gateway"]);
    assert_eq!(received.values("x-auth-roles"), ["clerk"]);
    assert_eq!(received.values("x-auth-scopes"), ["orders:read"]);
    assert_eq!(received.values("x-auth-email"), ["somebody@example.test"]);
    assert_eq!(received.values("x-auth-tenant"), ["acme"]);
    assert_eq!(received.values("cookie"), [""; 0]);
    assert!(!received.head.contains("forged"), "{}", received.head);
    // Neither on a public route, nor with a token without a session.
    site.gateway(1).exchange(get("/public/x", &fields));
    assert!(
        !site.upstream.last().head.to_lowercase().contains("session"),
        "{:?}",
        site.upstream.last()
    );
    let token = bearer(&token(json!({})));
    let fields = [("Authorization", &*token), ("X-Auth-Session", "forged")];
    assert_eq!(site.gateway(1).exchange(get("/whoami", &fields)).status, 200);
    assert_eq!(site.upstream.last().values("x-auth-session"), [""; 0]);
}

#[test]
fn access_log_knows_who_it_was_and_by_what() {
    let site = SessionFleet::embedded("");
    let alice = site.log_in("alice");
    site.ask(1, &alice);
    let line = site.gateway(1).logged(|line| line["path"] == "/home/x");
    assert_eq!((&line["carrier"], &line["subject"]), (&json!("session"), &json!("u-17")), "{line}");
    assert_eq!(
        (&line["issuer"], &line["outcome"]),
        (&json!("gateway"), &json!("permitted")),
        "{line}"
    );
}

/// All that a session goes through in its life, so that its secret could have been left anywhere.
fn live(site: &SessionFleet) -> Vec<Login> {
    let address = site.gateway(1).address();
    let (alice, bob, carol) = (site.log_in("alice"), site.log_in("bob"), site.log_in("carol"));
    for login in [&alice, &bob, &carol] {
        for path in
            ["/home/x", "/public/x", "/bearer-first", "/whoami", "/nowhere", "/auth/session"]
        {
            login.ask(address, path);
        }
        // Refused, and for various reasons.
        let cookie = format!("{}; {}", login.cookie, login.cookie);
        client::exchange(address, get("/home/x", &[("Cookie", &cookie)]));
        client::exchange(
            address,
            client::request("POST", "/home/x", &[("Cookie", &login.cookie)], ""),
        );
        client::exchange(address, get("/whoami", &[("Authorization", &bearer(login.secret()))]));
        let html = [("Cookie", &*login.cookie), ("Accept", "text/html")];
        client::exchange(address, get("/auth/sessions", &html));
        client::exchange(address, get("/admins", &html));
        client::exchange(
            address,
            format!("GET /home/x HTTP/1.1\r\nCookie: {}\r\n\r\n", login.cookie),
        );
    }
    let again = bob.again(address, "bob");
    alice.log_out(address);
    let path = format!("/auth/sessions/{}", again.id);
    assert_eq!(again.send(address, "DELETE", &path).status, 204);
    assert_eq!(carol.send(address, "POST", "/auth/logout-everywhere").status, 204);
    for login in [&alice, &bob, &carol, &again] {
        login.ask(address, "/home/x");
    }
    vec![alice, bob, carol, again]
}

/// Asserts that no secret is in what the gateway wrote and sent, nor the CSRF token.
fn assert_nowhere(logins: &[Login], what: &str, text: &str) {
    assert!(!text.is_empty(), "{what}: nothing to look at");
    let passwords = [login::PASSWORD, login::common_hash()];
    for secret in logins.iter().flat_map(|login| [login.secret(), &login.csrf]).chain(passwords) {
        assert!(!text.contains(secret), "{what} holds {secret}: {text}");
    }
}

fn assert_nowhere_outside(site: &SessionFleet, logins: &[Login]) {
    let gateway = site.gateway(1);
    let heads: Vec<_> =
        site.upstream.received().into_iter().map(|one| one.head + &one.body).collect();
    assert_nowhere(logins, "the upstream", &heads.join("\n"));
    gateway.logged(|line| line["path"] == "/home/x");
    assert_nowhere(logins, "the access log", &gateway.output().join("\n"));
    assert_nowhere(logins, "the log", &gateway.errors().join("\n"));
    assert_nowhere(logins, "the metrics", &gateway.metrics());
    let audit = std::fs::read_to_string(gateway.directory().join("audit.jsonl"));
    assert_nowhere(logins, "the audit log", &audit.unwrap_or_else(|_| "nothing".to_owned()));
    let file = std::fs::read(gateway.directory().join("data/portcullis.redb"));
    if let Ok(bytes) = file {
        assert_nowhere(logins, "the store", &String::from_utf8_lossy(&bytes));
        for login in logins {
            let bits = decoded(login.secret());
            assert!(!bytes.windows(32).any(|window| window == bits), "the bits are in the store");
        }
    }
}

fn decoded(secret: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(secret).expect("base64url")
}

#[test]
fn secret_is_in_no_log_no_metric_no_request_and_not_in_the_file() {
    let site = SessionFleet::embedded("audit_log: { file: audit.jsonl }\n");
    let logins = live(&site);
    let host = [("Host", "localhost")];
    let bob = client::exchange(site.gateway(1).admin(), get("/v1/sessions?subject=bob", &host));
    assert_eq!(bob.status, 200, "{bob:?}");
    assert_nowhere(&logins, "the admin API", &bob.body);
    assert_nowhere_outside(&site, &logins);
}

#[test]
fn secret_is_in_no_key_no_value_and_no_command_of_redis() {
    let server = RedisServer::start();
    let site = SessionFleet::on(&server, "audit_log: { file: audit.jsonl }\n", 1);
    let monitor = Monitor::start(&server);
    let mut logins = live(&site);
    assert_nowhere_outside(&site, &logins);
    logins.push(site.log_in("dave"));
    let commands = monitor.commands().join("\n");
    assert!(commands.contains(&logins[0].id), "the monitor saw nothing");
    assert_nowhere(&logins, "a command", &commands);
    let keys = server.cli(&["--scan"]);
    assert!(keys.contains(&logins[4].id), "{keys}");
    assert_nowhere(&logins, "a key", &keys);
    for key in keys.lines() {
        let value = match server.cli(&["type", key]).trim() {
            "string" => server.cli(&["get", key]),
            "zset" => server.cli(&["zrange", key, "0", "-1", "withscores"]),
            "hash" => server.cli(&["hgetall", key]),
            "stream" => server.cli(&["xrange", key, "-", "+"]),
            "set" => server.cli(&["smembers", key]),
            // It has expired since.
            "none" => continue,
            other => panic!("{key} is a {other}"),
        };
        assert_nowhere(&logins, key, &value);
    }
}

#[test]
fn sessions_survive_any_end_of_the_gateway() {
    let server = RedisServer::start_durable();
    let mut sites = [SessionFleet::embedded(""), SessionFleet::on(&server, "", 1)];
    for site in &mut sites {
        let (alice, bob) = (site.log_in("alice"), site.log_in("bob"));
        bob.log_out(site.gateway(1).address());
        for signal in ["KILL", "TERM", "KILL"] {
            site.restart(1, signal);
            assert_eq!(site.ask(1, &alice), accepted());
            assert_eq!(site.ask(1, &bob), denied("session_revoked"));
        }
    }
}

#[test]
fn session_that_is_answered_was_written_down_before() {
    // Killed as soon as the login is answered.
    let text = configuration(&crate::harness::upstream::Upstream::start(), "");
    let directory = login::directory();
    let mut alice = None;
    for _ in 0..3 {
        let gateway = Gateway::start_in(directory.clone(), &text);
        if let Some(login) = &alice {
            let login: &Login = login;
            assert_eq!(login.ask(gateway.address(), "/auth/session").status, 200);
        }
        alice = Some(Login::new(gateway.address(), "alice"));
        gateway.signal("KILL");
    }
}
