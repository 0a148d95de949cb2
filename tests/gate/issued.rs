//! Tokens of the gateway itself, at its own gate.

use portcullis::gate::keys::{Algorithm as KeyAlgorithm, KeySet};
use portcullis::gate::revocation::Scope;

use super::*;

const OWN: &str = "https://gateway.test";

/// The default lifetime of access tokens.
const LIFETIME_S: i64 = 900;

/// A gateway that issues tokens, and whose keys nobody has read yet.
fn without_keys(sections: &str) -> CompiledGate {
    let text = format!(
        "tokens: {{issuer: '{OWN}', access: {{audiences: [{AUDIENCE}]}}}}\n{sections}\n{ONE_ROUTE}"
    );
    CompiledGate::compile(&text, &[])
}

/// The same with a key.
fn gatehouse(sections: &str) -> CompiledGate {
    let gate = without_keys(sections);
    let jwks = json!({"keys": [jwk(pair(), "own")]}).to_string();
    let (set, _) = KeySet::from_jwks(jwks.as_bytes(), &[KeyAlgorithm::ES256]).expect("a set");
    let own = gate.configuration.own_issuer().expect("it issues tokens");
    let (now, end) = (UnixTime::from_seconds(NOW), UnixTime::from_seconds(NOW + 100_000));
    own.keys().publish(set, now, end);
    gate
}

/// A token of an hour-old login, with some header parameters and claims replaced.
fn issued_with(header: Value, changes: Value) -> String {
    let good = json!({
        "iss": OWN, "aud": AUDIENCE, "sub": "alice", "client_id": "first-party", "jti": "j-1",
        "iat": NOW, "exp": NOW + LIFETIME_S, "auth_time": NOW - 3600, "sid": "s-1",
        "scope": "orders:read", "roles": ["clerk"],
    });
    let header = changed(json!({"alg": "ES256", "typ": "at+jwt", "kid": "own"}), header);
    raw(&header, &changed(good, changes))
}

fn issued(changes: Value) -> String {
    issued_with(json!({}), changes)
}

#[test]
fn token_of_the_gateway_is_permitted_on_a_route_that_names_no_issuer() {
    let gate = gatehouse("");
    let said = gate.decide("/orders/7", &[&bearer(&issued(json!({})))], NOW);
    assert_eq!((said.slug, said.subject.as_deref()), (PERMITTED, Some("alice")));
}

/// Nobody is told that a good token is not one, only because its keys are not there yet.
#[test]
fn token_cannot_be_judged_before_there_are_keys() {
    assert_eq!(without_keys("").slug(&issued(json!({}))), "keys_unavailable");
}

#[test]
fn only_what_is_an_access_token_of_ours_counts_as_one() {
    let gate = gatehouse("");
    let typed = |typ: Value| issued_with(json!({ "typ": typ }), json!({}));
    gate.holds([
        ("at+jwt", typed(json!("at+jwt")), PERMITTED),
        ("AT+JWT", typed(json!("AT+JWT")), PERMITTED),
        ("application/at+jwt", typed(json!("application/at+jwt")), PERMITTED),
        // RFC 9068 §2.1: an access token says that it is one.
        ("untyped", typed(Value::Null), "token_type"),
        ("JWT", typed(json!("JWT")), "token_type"),
        ("internal", typed(json!("internal+jwt")), "token_type"),
        ("another audience", issued(json!({"aud": "billing"})), "token_audience"),
        ("one of its audiences", issued(json!({"aud": ["billing", AUDIENCE]})), PERMITTED),
        ("no audience", issued(json!({"aud": null})), "token_claims"),
        ("no jti", issued(json!({"jti": null})), "token_claims"),
        ("no client", issued(json!({"client_id": null})), "token_claims"),
        // What a client without a login has.
        ("no login", issued(json!({"auth_time": null, "sid": null})), PERMITTED),
        ("odd login", issued(json!({"auth_time": "yesterday"})), "token_claims"),
        ("another issuer", issued(json!({"iss": format!("{OWN}/")})), "token_issuer"),
        ("HMAC", issued_with(json!({"alg": "HS256"}), json!({})), "token_algorithm"),
    ]);
}

#[test]
fn token_of_the_gateway_lives_as_long_as_it_may_make_it_live() {
    let gate = gatehouse("");
    let living = |seconds: i64| issued(json!({"exp": NOW + seconds}));
    assert_eq!(gate.slug(&living(LIFETIME_S)), PERMITTED);
    assert_eq!(gate.slug(&living(LIFETIME_S + 1)), "token_lifetime");
    // Or as some client's tokens do.
    let gate = gatehouse("clients: [{id: slow, public: true, lifetime: 1h}]");
    assert_eq!(gate.slug(&living(3600)), PERMITTED);
    assert_eq!(gate.slug(&living(3601)), "token_lifetime");
}

/// Our gateways' clocks may be apart as far as we say, whatever may be said of other issuers'.
#[test]
fn token_of_another_gateway_may_be_issued_five_minutes_ahead() {
    let gate = gatehouse("");
    let from = |iat: i64| issued(json!({"iat": iat, "exp": iat + LIFETIME_S}));
    assert_eq!(gate.slug(&from(NOW + 300)), PERMITTED);
    assert_eq!(gate.slug(&from(NOW + 301)), "token_not_yet_valid");
    let not_before = |nbf: i64| issued(json!({ "nbf": nbf }));
    assert_eq!(gate.slug(&not_before(NOW + 300)), PERMITTED);
    assert_eq!(gate.slug(&not_before(NOW + 301)), "token_not_yet_valid");
}

/// But that makes none live longer.
#[test]
fn token_of_the_gateway_is_refused_from_its_expiry_and_the_skew_on() {
    let gate = gatehouse("");
    let token = issued(json!({}));
    let end = NOW + LIFETIME_S + SKEW_S;
    assert_eq!(gate.slug_at(&token, end - 1), PERMITTED);
    assert_eq!(gate.slug_at(&token, end), "token_expired");
}

/// Else a refresh just before, or by a gateway that did not know, would bring somebody back.
#[test]
fn token_is_as_old_as_the_login_of_which_it_came() {
    let gate = gatehouse("");
    let scope = Scope::Subject { issuer: Some(OWN.into()), subject: "alice".into() };
    gate.revoke(scope, NOW - 100);
    let of_login = |at: i64| issued(json!({ "auth_time": at }));
    assert_eq!(gate.slug(&of_login(NOW - 3600)), "token_revoked");
    assert_eq!(gate.slug(&of_login(NOW - 100)), "token_revoked");
    assert_eq!(gate.slug(&of_login(NOW - 99)), PERMITTED);
    // Without a login it is as old as it says.
    let of_client = |iat: i64| issued(json!({"auth_time": null, "iat": iat, "exp": NOW + 60}));
    assert_eq!(gate.slug(&of_client(NOW - 100)), "token_revoked");
    assert_eq!(gate.slug(&of_client(NOW - 99)), PERMITTED);
}

/// What `auth_time` says of others' logins is theirs: they issue when they want.
#[test]
fn token_of_another_issuer_is_as_old_as_it_says() {
    let gate = CompiledGate::standard("", "");
    gate.revoke(Scope::Subject { issuer: None, subject: "alice".into() }, NOW - 100);
    assert_eq!(gate.slug(&token(json!({"auth_time": NOW - 3600}))), PERMITTED);
    assert_eq!(gate.slug(&token(json!({"auth_time": "yesterday"}))), PERMITTED);
}

#[test]
fn session_and_client_that_are_cut_off_are_so_with_their_tokens() {
    for scope in [Scope::Session("s-1".into()), Scope::Client("first-party".into())] {
        let gate = gatehouse("");
        assert_eq!(gate.slug(&issued(json!({}))), PERMITTED);
        gate.revoke(scope.clone(), NOW);
        assert_eq!(gate.slug(&issued(json!({}))), "token_revoked", "{scope}");
    }
}

/// The keys are the same, whatever else is.
#[test]
fn token_outlives_a_reload() {
    let gate = gatehouse("");
    let token = issued(json!({}));
    assert_eq!(gate.slug(&token), PERMITTED);
    let text = format!(
        "tokens: {{issuer: '{OWN}', access: {{audiences: [{AUDIENCE}, more]}}}}\n{ONE_ROUTE}"
    );
    assert_eq!(gate.reload(&text).slug(&token), PERMITTED);
}

/// A path that is the gateway's own is no route's, and one beside it is.
#[test]
fn keys_and_metadata_are_where_the_gateway_answers_itself() {
    let route =
        "routes: [{name: anything, match: {path: '/{*rest}'}, upstream: behind, public: true}]";
    let tokens =
        format!("tokens: {{issuer: '{OWN}/t', access: {{audiences: [{AUDIENCE}]}}}}\n{route}");
    let gate = CompiledGate::compile(&tokens, &[]);
    let own = [
        "/.well-known/jwks.json",
        "/.well-known/jwks.json?a=b",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/t",
        "/auth/token",
    ];
    let others = [
        "/.well-known/jwks.json/",
        "/.well-known/jwks",
        "/.well-known/oauth-authorization-server/",
        "/.well-known/oauth-authorization-server/other",
        "/.well-known/openid-configuration",
        "/jwks.json",
    ];
    for (paths, expected) in [(&own[..], (BUILTIN, true)), (&others, (PERMITTED, false))] {
        for path in paths {
            let verdict = gate.verdict(&GateRequest::get(path));
            assert_eq!((slug_of(&verdict), is_builtin(&verdict)), expected, "{path}");
        }
    }
    // Without tokens nothing is there.
    let gate = CompiledGate::compile(route, &[]);
    for path in own {
        assert_eq!(slug_of(&gate.verdict(&GateRequest::get(path))), PERMITTED, "{path}");
    }
}
