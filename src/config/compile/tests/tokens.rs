//! What of tokens a reload takes over, and where their settings end up.

use super::*;
use crate::config::tokens::{
    ClientAuthentication, FIRST_PARTY_CLIENT, Introspection, OWN_ISSUER, SigningKeys, Tokens,
};
use crate::gate::internal::{InternalToken, TokenHeader};
use crate::gate::issuer::{DatedBy, Issuer, Untyped};
use crate::gate::keys::Algorithm;
use crate::gate::revocation::Scope;

const DAY_S: i64 = 24 * 3600;

/// The whole configuration with some text replaced.
fn changed(from: &str, to: &str) -> Configuration {
    let (directory, text) = whole();
    assert!(text.contains(from), "{from}");
    compile_in(directory.path(), &text.replace(from, to), None).expect("compiles")
}

fn tokens(configuration: &Configuration) -> &Tokens {
    configuration.tokens.as_ref().expect("it issues tokens")
}

fn own(configuration: &Configuration) -> &Arc<Issuer> {
    &tokens(configuration).gate_issuer
}

/// The internal token of a route.
fn internal<'c>(configuration: &'c Configuration, name: &str) -> Option<&'c Arc<InternalToken>> {
    let mut routes = configuration.gate.routes.routes().iter();
    routes.find(|route| &*route.name == name).expect("the route").internal_token.as_ref()
}

fn texts(list: &[Box<str>]) -> Vec<&str> {
    list.iter().map(|text| &**text).collect()
}

#[test]
fn everything_about_tokens_arrives_where_it_is_used() {
    let (directory, text) = whole();
    let configuration = compile_in(directory.path(), &text, None).expect("compiles");
    let tokens = tokens(&configuration);
    assert_eq!((&*tokens.issuer, &*tokens.origin), ("https://api.test", "https://api.test"));
    let signing = &tokens.signing;
    assert_eq!(signing.algorithm, Algorithm::ES256);
    assert!(matches!(signing.keys, SigningKeys::Kept(Some(_))), "{signing:?}");
    assert_eq!(signing.publish_before, Duration::from_hours(1));
    assert_eq!(signing.rotate_every, Some(Duration::from_hours(30 * 24)));
    assert_eq!(tokens.access.lifetime_s, 900);
    assert_eq!(texts(&tokens.access.audiences), ["orders-api", "billing-api"]);
    assert_eq!(texts(&tokens.access.claims), ["email"]);
    let refresh = &tokens.refresh;
    assert_eq!((refresh.idle_s, refresh.absolute_s), (7 * DAY_S, 30 * DAY_S));
    assert_eq!(refresh.grace_ms, 10_000);
    assert_eq!((tokens.per_address.attempts_max, tokens.per_address.span_s), (100, 900));
    // Longer than access tokens: those of a client.
    assert_eq!(tokens.signed_lifetime_max_s, 1200);
    let keys = configuration.api_keys.as_ref().expect("there are API keys");
    assert_eq!((keys.header.as_str(), &*keys.issuer), ("x-api-key", "https://api.test"));
    assert_eq!(keys.lifetime_max_s, 90 * DAY_S);
    assert_eq!(configuration.gate.api_key_header, Some(keys.header.clone()));
    let terms = configuration.gate.sessions.rules.terms();
    assert_eq!((terms.outlived_s, terms.api_key_lifetime_max_s), (30 * DAY_S, 90 * DAY_S));
    assert_eq!((terms.identity_bytes_max, configuration.limits.identity_bytes_max), (8192, 8192));
}

#[test]
fn own_issuer_accepts_what_the_gateway_issues_and_nothing_else() {
    let (directory, text) = whole();
    let configuration = compile_in(directory.path(), &text, None).expect("compiles");
    let rules = own(&configuration).rules();
    assert_eq!((&*rules.name, &*rules.issuer), (OWN_ISSUER, "https://api.test"));
    assert_eq!(texts(&rules.audiences), ["orders-api", "billing-api"]);
    assert_eq!(rules.algorithms, [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256]);
    assert_eq!((rules.clock_skew_s, rules.clock_ahead_s), (30, 300));
    assert_eq!((rules.dated_by, rules.untyped), (DatedBy::Login, Untyped::Refused));
    assert_eq!(rules.lifetime_max_s, 1200);
    assert_eq!(texts(&rules.token_types), ["at+jwt"]);
    assert_eq!(texts(&rules.required_claims), ["jti", "client_id"]);
    assert_eq!(&*rules.roles_pointer, "/roles");
    assert_eq!(texts(&rules.asked_claims), ["/org/unit", "email", "tenant"]);
    assert_eq!(rules.identity_bytes_max, 8192);
    // It is one of them, and nobody fetches its keys.
    let known = configuration.gate.issuers.named("https://api.test").expect("it is known");
    assert!(Arc::ptr_eq(known, own(&configuration)));
    assert!(configuration.key_feeds.iter().all(|feed| &*feed.issuer != OWN_ISSUER));
    assert!(known.keys().current().is_none() && !known.keys().is_fixed());
}

#[test]
fn clients_are_those_of_both_lists_and_the_first_party() {
    let (directory, text) = whole();
    let configuration = compile_in(directory.path(), &text, None).expect("compiles");
    let clients = &tokens(&configuration).clients;
    let ids: Vec<_> = clients.0.keys().map(|id| &**id).collect();
    assert_eq!(ids, ["batch", "devices", FIRST_PARTY_CLIENT, "kiosk", "mobile", "reports"]);
    let batch = clients.named("batch").expect("a client");
    assert!(matches!(batch.authentication, ClientAuthentication::Secret(_)));
    assert_eq!(texts(&batch.scopes), ["orders:read", "orders:write"]);
    assert_eq!((texts(&batch.audiences), batch.lifetime_s), (vec!["orders-api"], 1200));
    assert_eq!(batch.introspection, Introspection::Refused);
    let devices = clients.named("devices").expect("a client");
    assert!(matches!(devices.authentication, ClientAuthentication::PrivateKey(_)));
    assert_eq!(devices.introspection, Introspection::Permitted);
    for id in [FIRST_PARTY_CLIENT, "kiosk", "mobile"] {
        let client = clients.named(id).expect("a client");
        assert!(client.authentication.is_public() && client.scopes.is_empty(), "{id}");
        assert_eq!(texts(&client.audiences), ["orders-api", "billing-api"], "{id}");
        assert_eq!(client.lifetime_s, 900, "{id}");
    }
}

#[test]
fn internal_tokens_are_those_of_the_route_or_else_of_its_upstream() {
    let (directory, text) = whole();
    let configuration = compile_in(directory.path(), &text, None).expect("compiles");
    let orders = internal(&configuration, "orders").expect("its own").terms();
    assert_eq!((&*orders.audience, orders.lifetime_s), ("orders", 90));
    assert!(
        matches!(&orders.header, TokenHeader::Own(name) if name.as_str() == "X-Internal-Token")
    );
    assert_eq!((texts(&orders.claims), orders.bytes_max), (vec!["email", "/org/unit"], 8192));
    let any = internal(&configuration, "any").expect("that of its upstream").terms();
    assert_eq!((&*any.audience, any.lifetime_s), ("pages", 60));
    assert_eq!((&any.header, any.claims.is_empty()), (&TokenHeader::Authorization, true));
    // There is nobody of whom it could tell.
    assert!(internal(&configuration, "pages").is_none());
    // Nobody else may send what carries one, on whatever route.
    for name in ["X-Internal-Token", "x_internal_token", "X-Auth-Subject"] {
        assert!(configuration.gate.owned.contains(name), "{name}");
    }
    assert!(!configuration.gate.owned.contains("Authorization"));
}

#[test]
fn routes_share_an_internal_token_that_is_the_same() {
    let (directory, text) = whole();
    let more = "  - { name: more, match: { path: /more }, upstream: orders, \
                authenticate: [bearer], forward: { internal_token: { audience: pages } } }\n";
    let configuration = compile_in(directory.path(), &(text + more), None).expect("compiles");
    let of = |name: &str| internal(&configuration, name).expect("one");
    assert!(Arc::ptr_eq(of("more"), of("any")));
    assert_ne!(of("more").id(), of("orders").id());
}

/// What was made by them stays in use.
#[test]
fn internal_tokens_that_did_not_change_are_taken_over() {
    let kept = |from: &str, to: &str| {
        let (before, after) = recompiled(from, to);
        let kept = |name| {
            let (before, after) = (internal(&before, name), internal(&after, name));
            before.expect("one").id() == after.expect("one").id()
        };
        (kept("orders"), kept("any"))
    };
    assert_eq!(kept("path: /", "path: /elsewhere"), (true, true));
    assert_eq!(kept("lifetime: 15m", "lifetime: 16m"), (true, true));
    assert_eq!(kept("lifetime: 90s", "lifetime: 91s"), (false, true));
    assert_eq!(kept("audience: pages", "audience: papers"), (true, false));
    assert_eq!(kept("identity_bytes: 8KiB", "identity_bytes: 9KiB"), (false, false));
    // Whoever signed would be another.
    let another = ("issuer: https://api.test", "issuer: https://gateway.test");
    assert_eq!(kept(another.0, another.1), (false, false));
}

#[test]
fn own_issuer_whose_rules_change_is_another_but_keeps_its_keys() {
    for (from, to, same) in [
        ("path: /", "path: /elsewhere", true),
        ("idle: 7d", "idle: 8d", true),
        // Shorter than those of a client, which count.
        ("lifetime: 15m", "lifetime: 16m", true),
        ("lifetime: 20m", "lifetime: 21m", false),
        ("billing-api]", "invoices-api]", false),
        ("issuer: https://api.test", "issuer: https://gateway.test", false),
        ("X-Auth-Email", "X-Auth-Mail", false),
        ("identity_bytes: 8KiB", "identity_bytes: 9KiB", false),
    ] {
        let (directory, text) = whole();
        // What of that is said by a file.
        std::fs::write(directory.path().join("clients.yaml"), "[]").expect("a file");
        let text = text
            .replace("clients: [{ id: mobile, public: true }]", &format!("clients:\n{CLIENTS}"));
        let before = compile_in(directory.path(), &text, None).expect("compiles");
        assert!(text.contains(from), "{from}");
        let after = compile_in(directory.path(), &text.replace(from, to), Some(&before));
        let after = after.expect("compiles");
        assert_eq!(Arc::ptr_eq(own(&before), own(&after)), same, "{to}");
        assert!(Arc::ptr_eq(own(&before).keys(), own(&after).keys()), "{to}");
    }
}

#[test]
fn signing_keys_that_are_given_sign_with_what_the_first_is_for() {
    let configuration = changed(KEPT_KEYS, GIVEN_KEYS);
    let signing = &tokens(&configuration).signing;
    assert_eq!((signing.algorithm, signing.rotate_every), (Algorithm::ES256, None));
    match &signing.keys {
        SigningKeys::Given(keys) => assert_eq!(keys.len(), 1),
        SigningKeys::Kept(_) => panic!("{signing:?}"),
    }
    assert!(!format!("{configuration:?}").contains("PRIVATE KEY"));
}

#[test]
fn longest_life_of_what_is_signed_is_that_of_an_internal_token_too() {
    let configuration = changed("lifetime: 90s", "lifetime: 1h");
    assert_eq!(tokens(&configuration).signed_lifetime_max_s, 3600);
    assert_eq!(own(&configuration).rules().lifetime_max_s, 1200);
}

/// Where the gateway answers itself: the base, and other paths.
fn own_places(more: &str) -> (Option<String>, Vec<String>) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("users.yaml"), USERS).expect("a file");
    let configuration = compile_in(directory.path(), &format!("{MINIMAL}{more}\n"), None);
    let gate = configuration.expect("compiles").gate;
    let paths = gate.own_paths.iter().map(|path| path.to_string()).collect();
    (gate.own_base.map(|base| base.to_string()), paths)
}

#[test]
fn own_places_are_those_that_login_and_tokens_need() {
    let tokens =
        |issuer: &str| format!("tokens: {{ issuer: '{issuer}', access: {{ audiences: [a] }} }}");
    let jwks = "/.well-known/jwks.json".to_owned();
    let metadata = "/.well-known/oauth-authorization-server".to_owned();
    let base = |base: &str| Some(base.to_owned());
    assert_eq!(own_places(""), (None, Vec::new()));
    assert_eq!(own_places("api_keys: {}"), (None, Vec::new()));
    let login = "login: { password_file: users.yaml, base: /account }";
    assert_eq!(own_places(login), (base("/account"), Vec::new()));
    let both = vec![jwks.clone(), metadata.clone()];
    assert_eq!(own_places(&tokens("https://a.test")), (base("/auth"), both.clone()));
    let text = format!("{login}\n{}", tokens("https://a.test"));
    assert_eq!(own_places(&text), (base("/account"), both));
    // RFC 8414 §3.1.
    let below = format!("{metadata}/tenants/one");
    let three = vec![jwks, metadata, below];
    assert_eq!(own_places(&tokens("https://a.test/tenants/one")), (base("/auth"), three));
}

/// What `API keys` are issued by, whatever else there is.
#[test]
fn api_keys_are_vouched_for_by_whoever_vouches_for_logins() {
    let issuer = |more: &str| {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("users.yaml"), USERS).expect("a file");
        let text = format!("{MINIMAL}api_keys: {{}}\n{more}\n");
        let compiled = compile_in(directory.path(), &text, None).expect("compiles");
        compiled.api_keys.expect("there are API keys").issuer.to_string()
    };
    let tokens = "tokens: { issuer: https://a.test, access: { audiences: [a] } }";
    let login = "login: { password_file: users.yaml, issuer: us }";
    assert_eq!(issuer(""), "gateway");
    assert_eq!(issuer(tokens), "https://a.test");
    assert_eq!(issuer(login), "us");
    let login = "login: { password_file: users.yaml }";
    assert_eq!(issuer(&format!("{tokens}\n{login}")), "https://a.test");
}

/// An access token lives for minutes, and what it came of for weeks.
#[test]
fn login_is_remembered_as_cut_off_for_as_long_as_its_refresh_tokens_live() {
    let (directory, text) = whole();
    let text = text.replace("max_lifetime: 90d", "max_lifetime: 1d");
    let reach = |text: &str, scope: &Scope| {
        let configuration = compile_in(directory.path(), text, None).expect("compiles");
        configuration.reaches_s(scope).into_iter().max().unwrap_or(0)
    };
    let (own, other) = ("https://api.test", "https://pem.test");
    let subject = |issuer: Option<&str>| Scope::Subject {
        issuer: issuer.map(Into::into),
        subject: "a".into(),
    };
    let key = |issuer: &str| Scope::Key { issuer: Some(issuer.into()), id: "k".into() };
    let begun = 30 * DAY_S + 600;
    for scope in [
        subject(Some(own)),
        subject(None),
        Scope::Issuer(own.into()),
        Scope::Session("s".into()),
        Scope::Client("c".into()),
        Scope::Everything,
        key(own),
    ] {
        assert_eq!(reach(&text, &scope), begun, "{scope}");
        let shorter = text.replace("absolute: 30d", "absolute: 8d");
        assert!(reach(&shorter, &scope) < begun, "{scope}");
    }
    // What others issue is theirs.
    for scope in [subject(Some(other)), Scope::Issuer(other.into()), key(other)] {
        assert_eq!(reach(&text, &scope), DAY_S + 60, "{scope}");
    }
}

#[test]
fn api_key_is_remembered_as_cut_off_for_as_long_as_it_lives() {
    let text = format!("{MINIMAL}api_keys: {{ max_lifetime: 400d }}\n");
    let configuration = compile(&text).expect("compiles");
    let scope = Scope::Subject { issuer: Some("gateway".into()), subject: "a".into() };
    assert_eq!(configuration.reaches_s(&scope), [400 * DAY_S + 600]);
    let none = compile(MINIMAL).expect("compiles");
    assert_eq!(none.reaches_s(&scope), [0; 0]);
}
