//! What clients send in the place of what only the gateway says, and identities that do not fit.

use serde_json::{Value, json};

use crate::harness::client::{self, Answer, get};
use crate::harness::issuing::{
    Granted, HOME, IssuingFleet, SECRET, api_key, ask, ask_with_key, assert_invalid_grant, log_in,
    post,
};
use crate::harness::login::{user, write_users};
use crate::harness::outcome::{accepted, denied, outcome};
use crate::harness::tokens::{bearer, payload, token};
use crate::harness::upstream::Received;

/// Spellings that some server takes for the same name.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned(), name.to_lowercase(), name.to_uppercase()];
    for separator in ["_", ".", "~", "+", "!"] {
        all.push(name.replace('-', separator));
        all.push(name.to_lowercase().replacen('-', separator, 1));
    }
    all
}

/// A gateway, and somebody with a token.
struct TokenHolder {
    site: IssuingFleet,
    alice: Granted,
}

impl TokenHolder {
    fn start() -> Self {
        let site = IssuingFleet::embedded("");
        let alice = Granted::log_in(site.at(1), "alice");
        Self { site, alice }
    }

    /// What reaches the upstream of a request with these fields that is let in.
    #[track_caller]
    fn forward(&self, path: &str, fields: &[(&str, &str)]) -> Received {
        let answer = client::exchange(self.site.at(1), get(path, fields));
        assert_eq!(answer.status, 200, "{answer:?}");
        self.site.upstream.last()
    }

    /// The same of somebody with a token.
    #[track_caller]
    fn forward_as(&self, path: &str, fields: &[(&str, &str)]) -> Received {
        let bearer = bearer(&self.alice.access);
        let fields = [&[("Authorization", &*bearer)], fields].concat();
        self.forward(path, &fields)
    }
}

fn mentions(received: &Received, text: &str) -> bool {
    received.head.to_ascii_lowercase().contains(text) || received.body.contains(text)
}

#[test]
fn internal_token_that_a_client_sends_is_stripped_in_every_spelling() {
    let holder = TokenHolder::start();
    for name in spellings("X-Internal-Token") {
        let fields = [(&*name, "mallory"), (&*name, "mallory")];
        let received = holder.forward("/public/x", &fields);
        assert!(!mentions(&received, "mallory"), "{name} in {}", received.head);
        for path in [HOME, "/bearers/x", "/kept/x", "/inside-bearer/x"] {
            let received = holder.forward_as(path, &fields);
            assert!(!mentions(&received, "mallory"), "{name} in {}", received.head);
        }
        let received = holder.forward_as("/inside/x", &fields);
        assert!(!mentions(&received, "mallory"), "{name} in {}", received.head);
        let [own] = received.values("x-internal-token")[..] else { panic!("{}", received.head) };
        assert_eq!(payload(own)["sub"], "u-17");
    }
}

/// RFC 9110 §7.6.1: what `Connection` names is deleted on the way, and must not be ours.
#[test]
fn internal_token_survives_a_client_that_names_it_in_connection() {
    let holder = TokenHolder::start();
    for connection in
        ["X-Internal-Token", "close, x-internal-token", "keep-alive, X-Internal-Token"]
    {
        let received = holder.forward_as("/inside/x", &[("Connection", connection)]);
        assert_eq!(received.values("x-internal-token").len(), 1, "{}", received.head);
    }
    for connection in ["Authorization", "close, authorization"] {
        let bearer = bearer(&holder.alice.access);
        let fields = [("Authorization", &*bearer), ("Connection", connection)];
        let answer = client::exchange(holder.site.at(1), get("/inside-bearer/x", &fields));
        // Refused, or told who it is; not let in as nobody.
        if answer.status == 200 {
            let received = holder.site.upstream.last();
            let [own] = received.values("authorization")[..] else { panic!("{}", received.head) };
            let own = own.strip_prefix("Bearer ").expect("a token");
            assert_eq!(payload(own)["sub"], "u-17");
        } else {
            assert!([400, 401].contains(&answer.status), "{answer:?}");
        }
    }
}

#[test]
fn internal_token_takes_the_place_of_what_the_client_sent() {
    let holder = TokenHolder::start();
    let received = holder.forward_as("/inside-bearer/x", &[]);
    let [own] = received.values("authorization")[..] else { panic!("{}", received.head) };
    assert!(!own.contains(&holder.alice.access), "{}", received.head);
    let answer = log_in(holder.site.at(1), "bob", json!({}), &[]);
    let cookie = answer.field("set-cookie").expect("a cookie").split(';').next().expect("a pair");
    let received = holder.forward("/inside-bearer/x", &[("Cookie", cookie)]);
    let [own] = received.values("authorization")[..] else { panic!("{}", received.head) };
    assert_eq!(payload(own.strip_prefix("Bearer ").expect("a token"))["sub"], "bob");
}

#[test]
fn api_key_reaches_no_upstream_in_any_spelling() {
    let holder = TokenHolder::start();
    let (key, _) = api_key(holder.site.gateway(1), json!({ "subject": "importer" }));
    let lower = key.to_ascii_lowercase();
    for name in spellings("X-Api-Key") {
        let received = holder.forward("/public/x", &[(&*name, &*key)]);
        assert!(!mentions(&received, &lower), "{name} in {}", received.head);
        for path in ["/bearers/x", "/inside/x", "/kept/x", HOME] {
            let received = holder.forward_as(path, &[(&*name, &*key)]);
            assert!(!mentions(&received, &lower), "{name}, {path}: {}", received.head);
        }
    }
    let received = holder.forward(HOME, &[("X-Api-Key", &*key)]);
    assert!(!mentions(&received, &lower), "{}", received.head);
    // But where it is to be kept, it is.
    let received = holder.forward("/kept/x", &[("X-Api-Key", &*key)]);
    assert_eq!(received.values("x-api-key"), [&*key]);
    // And not what else is sent under its name.
    let fields = [("X-Api-Key", &*key), ("X_Api_Key", "mallory"), ("X.Api.Key", "mallory")];
    let received = holder.forward("/kept/x", &fields);
    assert!(!mentions(&received, "mallory"), "{}", received.head);
}

#[test]
fn api_key_in_the_wrong_place_is_none() {
    let holder = TokenHolder::start();
    let at = holder.site.at(1);
    let (key, _) = api_key(holder.site.gateway(1), json!({ "subject": "importer" }));
    let (other, _) = api_key(holder.site.gateway(1), json!({ "subject": "other" }));
    let send = |fields: &[(&str, &str)]| outcome(&client::exchange(at, get(HOME, fields)));
    for two in [[&key, &key], [&key, &other]] {
        let fields = two.map(|key| ("X-Api-Key", key.as_str()));
        assert_eq!(send(&fields), denied(400, "credential_malformed"));
    }
    for joined in [format!("{key},{key}"), format!("{key}, {other}"), format!("{key} ;")] {
        assert_eq!(send(&[("X-Api-Key", &joined)]), denied(400, "credential_malformed"));
    }
    let bearer = bearer(&key);
    assert_eq!(send(&[("Authorization", &bearer)]), denied(401, "token_malformed"));
    for scheme in ["ApiKey", "Basic", "Key"] {
        let value = format!("{scheme} {key}");
        assert_eq!(send(&[("Authorization", &value)]), denied(401, "credential_absent"));
    }
    for name in ["__Host-session", "X-Api-Key", "api_key", "__Host-refresh"] {
        let cookie = format!("{name}={key}");
        assert_eq!(send(&[("Cookie", &cookie)]).0 / 100, 4, "{name}");
    }
    for path in [format!("/home/x?api_key={key}"), format!("/home/x?X-Api-Key={key}")] {
        let answer = client::exchange(at, get(&path, &[]));
        assert_eq!(outcome(&answer), denied(401, "credential_absent"));
    }
    for name in ["X_Api_Key", "X.Api.Key", "Api-Key", "X-Api-Keys"] {
        assert_eq!(send(&[(name, &key)]), denied(401, "credential_absent"), "{name}");
    }
    // Each letter counts.
    for wrong in [&key[1..], &key[..key.len() - 1], &key.to_uppercase(), &format!("{key}=")] {
        assert_eq!(ask_with_key(at, HOME, wrong), denied(400, "credential_malformed"), "{wrong}");
    }
    assert_eq!(ask_with_key(at, HOME, &key), accepted());
}

/// The first carrier that is there decides, and a bad one is not made up for by another.
#[test]
fn bad_credential_is_not_made_up_for_by_a_good_one() {
    let holder = TokenHolder::start();
    let at = holder.site.at(1);
    let (key, _) = api_key(holder.site.gateway(1), json!({ "subject": "importer" }));
    let bad = bearer(&format!("{}x", holder.alice.access));
    let fields = [("Authorization", &*bad), ("X-Api-Key", &*key)];
    assert_eq!(client::exchange(at, get(HOME, &fields)).status / 100, 4);
    let session = "__Host-session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let fields = [("Cookie", session), ("X-Api-Key", &*key)];
    assert_eq!(client::exchange(at, get(HOME, &fields)).status, 401);
    let good = bearer(&holder.alice.access);
    let received = holder.forward(HOME, &[("Authorization", &good), ("X-Api-Key", &key)]);
    assert_eq!(received.values("x-auth-subject"), ["u-17"]);
    // A route that takes bearers only looks at no key.
    let fields = [("X-Api-Key", &*key)];
    assert_eq!(
        outcome(&client::exchange(at, get("/bearers/x", &fields))),
        denied(401, "credential_absent")
    );
}

// ---- claims of a login

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

// ---- token bloat

/// How long the headers are that say who this is: names, values and four bytes for each.
fn identity_bytes(received: &Received) -> usize {
    let lines = received.head.split("\r\n").skip(1);
    let own = lines.filter(|line| line.to_ascii_lowercase().starts_with("x-auth-"));
    own.map(|line| line.len() + 2).sum()
}

#[test]
fn identity_fits_to_the_byte_or_is_refused_whole() {
    let site = IssuingFleet::embedded("limits: { identity_bytes: 1KiB }\n");
    let send = |email: &str| -> Answer {
        let text = token(json!({ "email": email }));
        client::exchange(site.at(1), get("/bearers/x", &[("Authorization", &bearer(&text))]))
    };
    assert_eq!(send("a").status, 200);
    let room = 1024 - identity_bytes(&site.upstream.last()) + 1;
    let answer = send(&"a".repeat(room));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(identity_bytes(&site.upstream.last()), 1024);
    let before = site.upstream.received().len();
    for more in [1, 2, 100, 3000] {
        let answer = send(&"a".repeat(room + more));
        assert_eq!(outcome(&answer), denied(431, "identity_too_large"), "{more}");
    }
    assert_eq!(site.upstream.received().len(), before, "nothing reached the upstream");
    // Escaped it is longer: what counts is what is sent.
    let answer = send(&"\u{e9}".repeat(room / 6));
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = send(&"\u{e9}".repeat(room / 6 + 1));
    assert_eq!(outcome(&answer), denied(431, "identity_too_large"));
    let line = site.gateway(1).logged(|line| line["slug"] == "identity_too_large");
    assert_eq!((&line["status"], &line["outcome"]), (&json!(431), &json!("denied")), "{line}");
    // A public route tells nobody who it is.
    assert_eq!(client::exchange(site.at(1), get("/public/x", &[])).status, 200);
}

#[test]
fn huge_lists_of_roles_and_scopes_are_refused_and_never_cut() {
    let site = IssuingFleet::embedded("");
    let many =
        |count: usize| -> Vec<String> { (0..count).map(|n| format!("role-{n:04}")).collect() };
    for claims in [
        json!({ "roles": many(900) }),
        json!({ "scope": many(900).join(" ") }),
        json!({ "roles": ["x".repeat(8 * 1024)] }),
    ] {
        let text = token(claims);
        for path in [HOME, "/inside/x", "/patient/x"] {
            let answer =
                client::exchange(site.at(1), get(path, &[("Authorization", &bearer(&text))]));
            // A token too long to be read is refused before.
            let is_refused = outcome(&answer) == denied(431, "identity_too_large")
                || outcome(&answer) == denied(401, "token_malformed");
            assert!(is_refused, "{answer:?}");
        }
    }
    assert!(site.upstream.received().is_empty());
    let text = token(json!({ "roles": many(100) }));
    assert_eq!(ask(site.at(1), HOME, &text), accepted());
    let received = site.upstream.last();
    assert_eq!(received.values("x-auth-roles")[0].split(',').count(), 100);
}

/// The same limit for whatever brings an identity, and for the token that says it.
#[test]
fn identities_of_logins_and_keys_are_limited_too() {
    let site = IssuingFleet::embedded("limits: { identity_bytes: 1KiB }\n");
    let roles: Vec<String> = (0..80).map(|n| format!("role-number-{n:04}")).collect();
    let (key, _) =
        api_key(site.gateway(1), json!({ "subject": "importer", "roles": roles.clone() }));
    assert_eq!(ask_with_key(site.at(1), HOME, &key), denied(431, "identity_too_large"));
    let mut users = crate::harness::login::everybody();
    users["mallory"] = user(json!({ "roles": roles }));
    write_users(site.gateway(1).directory(), &users);
    let answer = crate::harness::eventually("a user who is known", || {
        let answer = log_in(site.at(1), "mallory", json!({}), &[]);
        (answer.status != 401).then_some(answer)
    });
    if let Some(set) = answer.field("set-cookie") {
        let cookie = set.split(';').next().expect("a pair");
        let answer = client::exchange(site.at(1), get(HOME, &[("Cookie", cookie)]));
        assert_eq!(outcome(&answer), denied(431, "identity_too_large"));
    }
    let answer = log_in(site.at(1), "mallory", json!({ "deliver": "tokens" }), &[]);
    if answer.status == 200 {
        let granted = Granted::read(&answer);
        let refused = denied(431, "identity_too_large");
        assert_eq!(ask(site.at(1), HOME, &granted.access), refused);
    }
    assert!(site.upstream.received().is_empty());
}

/// An internal token is longer than the headers that say the same.
#[test]
fn internal_token_that_does_not_fit_is_refused_and_nothing_is_forwarded() {
    let site = IssuingFleet::embedded("limits: { identity_bytes: 1KiB }\n");
    let email = "a".repeat(600);
    let text = token(json!({ "email": email }));
    assert_eq!(ask(site.at(1), HOME, &text), accepted(), "the headers fit");
    let before = site.upstream.received().len();
    for _ in 0..3 {
        assert_eq!(ask(site.at(1), "/inside/x", &text), denied(431, "identity_too_large"));
    }
    assert_eq!(site.upstream.received().len(), before);
    // Without that claim it fits.
    assert_eq!(ask(site.at(1), "/inside-bearer/x", &text), accepted());
}
