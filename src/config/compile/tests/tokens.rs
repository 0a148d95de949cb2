//! Where the settings of tokens end up.

use super::*;
use crate::config::KeySource;
use crate::config::tokens::{
    ClientAuthentication, FIRST_PARTY_CLIENT, Introspection, OWN_ISSUER, SigningKeys, Tokens,
};
use crate::gate::internal::{InternalTokenTerms, TokenHeader};
use crate::gate::issuer::{DatedBy, IssuerRules, Untyped};
use crate::gate::keys::Algorithm;

const DAY_S: i64 = 24 * 3600;

/// The whole configuration with some text replaced.
fn changed(from: &str, to: &str) -> Settings {
    let (directory, text) = whole();
    assert!(text.contains(from), "{from}");
    compile_in(directory.path(), &text.replace(from, to)).expect("compiles")
}

fn tokens(settings: &Settings) -> &Tokens {
    settings.tokens.as_ref().expect("it issues tokens")
}

/// The gateway itself as an issuer: the last one.
fn own(settings: &Settings) -> &IssuerRules {
    let own = settings.issuers.last().expect("an issuer");
    assert!(matches!(own.keys, KeySource::Own));
    &own.rules
}

/// The internal token of a route.
fn internal<'s>(settings: &'s Settings, name: &str) -> Option<&'s InternalTokenTerms> {
    settings.internal_tokens.get(internal_place(settings, name)?)
}

/// The position of that token.
fn internal_place(settings: &Settings, name: &str) -> Option<usize> {
    let mut routes = settings.gate.routes.routes().iter();
    routes.find(|route| &*route.name == name).expect("the route").internal_token
}

fn texts(list: &[Box<str>]) -> Vec<&str> {
    list.iter().map(|text| &**text).collect()
}

#[test]
fn everything_about_tokens_arrives_where_it_is_used() {
    let (directory, text) = whole();
    let settings = compile_in(directory.path(), &text).expect("compiles");
    let tokens = tokens(&settings);
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
    let keys = settings.api_keys.as_ref().expect("there are API keys");
    assert_eq!((keys.header.as_str(), &*keys.issuer), ("x-api-key", "https://api.test"));
    assert_eq!(keys.lifetime_max_s, 90 * DAY_S);
    assert_eq!(settings.gate.api_key_header, Some(keys.header.clone()));
    let terms = &settings.sessions.terms;
    assert_eq!((terms.outlived_s, terms.api_key_lifetime_max_s), (30 * DAY_S, 90 * DAY_S));
    assert_eq!((terms.identity_bytes_max, settings.limits.identity_bytes_max), (8192, 8192));
}

#[test]
fn own_issuer_accepts_what_the_gateway_issues_and_nothing_else() {
    let (directory, text) = whole();
    let settings = compile_in(directory.path(), &text).expect("compiles");
    let rules = own(&settings);
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
}

#[test]
fn clients_are_those_of_both_lists_and_the_first_party() {
    let (directory, text) = whole();
    let settings = compile_in(directory.path(), &text).expect("compiles");
    let clients = &tokens(&settings).clients;
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
    let settings = compile_in(directory.path(), &text).expect("compiles");
    let orders = internal(&settings, "orders").expect("its own");
    assert_eq!((&*orders.audience, orders.lifetime_s), ("orders", 90));
    assert!(
        matches!(&orders.header, TokenHeader::Own(name) if name.as_str() == "X-Internal-Token")
    );
    assert_eq!((texts(&orders.claims), orders.bytes_max), (vec!["email", "/org/unit"], 8192));
    let any = internal(&settings, "any").expect("that of its upstream");
    assert_eq!((&*any.audience, any.lifetime_s), ("pages", 60));
    assert_eq!((&any.header, any.claims.is_empty()), (&TokenHeader::Authorization, true));
    // A public route has no caller to name.
    assert!(internal(&settings, "pages").is_none());
    // No client may send a header that carries one, on whatever route.
    for name in ["X-Internal-Token", "x_internal_token", "X-Auth-Subject"] {
        assert!(settings.gate.owned.contains(name), "{name}");
    }
    assert!(!settings.gate.owned.contains("Authorization"));
}

#[test]
fn routes_share_an_internal_token_that_is_the_same() {
    let (directory, text) = whole();
    let more = "  - { name: more, match: { path: /more }, upstream: orders, \
                authenticate: [bearer], forward: { internal_token: { audience: pages } } }\n";
    let settings = compile_in(directory.path(), &(text + more)).expect("compiles");
    let of = |name: &str| internal_place(&settings, name).expect("one");
    assert_eq!(of("more"), of("any"));
    assert_ne!(of("more"), of("orders"));
}

#[test]
fn signing_keys_that_are_given_sign_with_what_the_first_is_for() {
    let settings = changed(KEPT_KEYS, GIVEN_KEYS);
    let signing = &tokens(&settings).signing;
    assert_eq!((signing.algorithm, signing.rotate_every), (Algorithm::ES256, None));
    match &signing.keys {
        SigningKeys::Given(keys) => assert_eq!(keys.len(), 1),
        SigningKeys::Kept(_) => panic!("{signing:?}"),
    }
    assert!(!format!("{settings:?}").contains("PRIVATE KEY"));
}

#[test]
fn longest_life_of_what_is_signed_is_that_of_an_internal_token_too() {
    let settings = changed("lifetime: 90s", "lifetime: 1h");
    assert_eq!(tokens(&settings).signed_lifetime_max_s, 3600);
    assert_eq!(own(&settings).lifetime_max_s, 1200);
}

/// The paths that the gateway answers itself: the base, and other paths.
fn own_places(more: &str) -> (Option<String>, Vec<String>) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("users.yaml"), USERS).expect("a file");
    let settings = compile_in(directory.path(), &format!("{MINIMAL}{more}\n"));
    let gate = settings.expect("compiles").gate;
    let paths = gate.own_paths.iter().map(|path| path.to_string()).collect();
    (gate.own_base.as_ref().map(|base| base.to_string()), paths)
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

/// The issuer of API keys, whatever other sections there are.
#[test]
fn api_keys_are_vouched_for_by_whoever_vouches_for_logins() {
    let issuer = |more: &str| {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("users.yaml"), USERS).expect("a file");
        let text = format!("{MINIMAL}api_keys: {{}}\n{more}\n");
        let compiled = compile_in(directory.path(), &text).expect("compiles");
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
