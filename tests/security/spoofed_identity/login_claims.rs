//! Claims of a login: they take the place of nothing that the gateway says.

use super::*;

/// A user whose claims would be somebody else's.
fn with_claims(claims: Value) -> (IssuingFleet, Granted) {
    let site = IssuingFleet::embedded(TELLING);
    let mut users = crate::harness::login::everybody();
    users["mallory"] = user(json!({ "claims": claims }));
    write_users(site.gateway(1).directory(), &users);
    let answer = crate::harness::eventually("a user who is known", || {
        let answer = log_in(site.at(1), "mallory", json!({ "deliver": "tokens" }), &[]);
        (answer.status == 200).then_some(answer)
    });
    let granted = Granted::read(&answer);
    (site, granted)
}

/// Claims that are the login's to tell.
const TELLING: &str = "
tokens:
  issuer: https://gateway.test
  access: { audiences: [orders-api], claims: [email, tenant, name] }
";

#[test]
fn claims_of_a_login_take_the_place_of_no_registered_claim() {
    let (site, granted) = with_claims(json!({
        "iss": "https://evil.test", "sub": "root", "aud": ["everything"], "exp": 4_000_000_000_u64,
        "iat": 0, "nbf": 4_000_000_000_u64, "jti": "mine", "scope": "admin:all", "scp": "admin",
        "roles": ["admin"], "sid": "other", "client_id": "batch", "azp": "batch",
        "auth_time": 4_000_000_000_u64, "idp": "https://evil.test", "cnf": {}, "act": {},
        "email": "m@example.test", "kid": "x", "alg": "none", "typ": "JWT",
    }));
    let claims = granted.claims();
    let told: Vec<_> = claims.as_object().expect("an object").keys().cloned().collect();
    let expected = [
        "aud",
        "auth_time",
        "client_id",
        "email",
        "exp",
        "iat",
        "iss",
        "jti",
        "roles",
        "scope",
        "sid",
        "sub",
    ];
    assert_eq!(told, expected);
    for (name, value) in [
        ("iss", json!("https://gateway.test")),
        ("sub", json!("mallory")),
        ("aud", json!("orders-api")),
        ("scope", json!("orders:read")),
        ("roles", json!(["clerk"])),
        ("client_id", json!("first-party")),
        ("email", json!("m@example.test")),
    ] {
        let is_one = claims[name] == value || claims[name] == json!([value]);
        assert!(is_one, "{name}: {claims}");
    }
    let now = crate::harness::tokens::now();
    let date = |name: &str| claims[name].as_i64().expect("a date");
    assert!((date("iat") - now).abs() < 10 && (date("auth_time") - now).abs() < 10, "{claims}");
    assert_eq!(date("exp") - date("iat"), 900);
    assert_eq!(ask(site.at(1), "/inside/x", &granted.access), accepted());
    let received = site.upstream.last();
    let inside = payload(received.values("x-internal-token")[0]);
    for (name, value) in [
        ("iss", json!("https://gateway.test")),
        ("sub", json!("mallory")),
        ("aud", json!("orders")),
        ("scope", json!("orders:read")),
        ("roles", json!(["clerk"])),
        ("email", json!("m@example.test")),
        ("sid", claims["sid"].clone()),
    ] {
        assert_eq!(inside[name], value, "{inside}");
    }
    assert!(inside["exp"].as_i64().expect("a date") <= now + 10, "{inside}");
    assert_eq!(received.values("x-auth-subject"), ["mallory"]);
}

#[test]
fn claims_of_a_login_are_told_as_text_and_never_as_headers() {
    let (site, granted) = with_claims(json!({
        "email": "a@b\r\nX-Auth-Roles: admin\r\n\r\nGET /admin HTTP/1.1",
        "tenant": "acm\u{e9}\u{2028}\u{202e}\u{0}%0d%0a",
        "name": "\"\\\u{1f600}</script>{{7*7}}",
    }));
    let claims = granted.claims();
    assert_eq!(claims["email"], "a@b\r\nX-Auth-Roles: admin\r\n\r\nGET /admin HTTP/1.1");
    assert_eq!(claims["name"], "\"\\\u{1f600}</script>{{7*7}}");
    for path in [HOME, "/inside/x", "/inside-bearer/x"] {
        assert_eq!(ask(site.at(1), path, &granted.access), accepted());
        let received = site.upstream.last();
        assert_eq!(received.values("x-auth-roles"), ["clerk"], "{}", received.head);
        assert_eq!(received.values("x-auth-subject"), ["mallory"]);
        let lines = received.head.split("\r\n").count();
        assert_eq!(lines, received.names().len() + 1, "{}", received.head);
        for name in ["x-auth-email", "x-auth-tenant"] {
            let [value] = received.values(name)[..] else { panic!("{}", received.head) };
            assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{value}");
            assert!(!value.contains("%0d%0a") || value.contains("%25"), "{value}");
        }
    }
    assert_eq!(site.upstream.received().len(), 3, "and no other request");
}

/// Upstreams know people and machines by `sub` alone: a person must not be called like a machine.
#[test]
fn nobody_becomes_a_user_whose_subject_is_a_clients_id() {
    let site = IssuingFleet::embedded("");
    let gateway = site.gateway(1);
    let with = |name: &str, subject: &str| {
        let mut users = crate::harness::login::everybody();
        users[name] = user(json!({ "subject": subject }));
        write_users(gateway.directory(), &users);
    };
    with("mallory", "batch");
    crate::harness::eventually("a reload that is refused", || {
        gateway.errors().iter().any(|line| line.contains("not reloaded")).then_some(())
    });
    let answer = log_in(site.at(1), "mallory", json!({ "deliver": "tokens" }), &[]);
    assert_eq!(outcome(&answer), denied(401, "login_failed"));
    // The client of those who name none is in no configuration.
    with("eve", "first-party");
    crate::harness::eventually("a reload", || {
        let generation = gateway.metric("portcullis_config_generation");
        (gateway.errors().iter().filter(|line| line.contains("not reloaded")).count() > 1
            || generation > 1.0)
            .then_some(())
    });
    for deliver in ["session", "tokens", "both"] {
        let answer = log_in(site.at(1), "eve", json!({ "deliver": deliver }), &[]);
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.field("set-cookie"), None, "{answer:?}");
    }
    let pairs =
        [("grant_type", "client_credentials"), ("client_id", "batch"), ("client_secret", SECRET)];
    let machine = Granted::read_access(&post(site.at(1), "/auth/token", &pairs));
    let claims = payload(&machine);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("batch"), &json!("batch")));
    for absent in ["sid", "auth_time", "roles", "email"] {
        assert!(claims.get(absent).is_none(), "RFC 9068 §2.2.3: {claims}");
    }
    assert_eq!(ask(site.at(1), "/bearers/x", &machine), accepted());
    for path in ["/auth/session", "/auth/sessions"] {
        let (status, _) = ask(site.at(1), path, &machine);
        assert_eq!(status / 100, 4, "{path}");
    }
}

/// The refresh token of a person is nothing to a machine that shows its secret.
#[test]
fn machine_exchanges_nobodys_refresh_token() {
    let site = IssuingFleet::embedded("");
    let alice = Granted::log_in(site.at(1), "alice");
    let pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*alice.refresh),
        ("client_id", "batch"),
        ("client_secret", SECRET),
    ];
    assert_invalid_grant(&post(site.at(1), "/auth/token", &pairs));
    alice.next(site.at(1));
}
