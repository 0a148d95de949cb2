//! What of sessions a reload takes over, and where their settings end up.

use super::*;

/// Whether the rules of sessions, and those in memory, were taken over.
fn kept_sessions(from: &str, to: &str) -> (bool, bool) {
    let (before, after) = recompiled(from, to);
    let (before, after) = (&before.gate.sessions, &after.gate.sessions);
    (Arc::ptr_eq(&before.rules, &after.rules), Arc::ptr_eq(&before.table, &after.table))
}

#[test]
fn sessions_that_are_not_concerned_are_taken_over() {
    for (from, to) in [
        ("path: /", "path: /elsewhere"),
        ("retries: 1", "retries: 2"),
        ("required_claims: [jti]", "required_claims: []"),
        ("base: /auth", "base: /account"),
        ("issuer: https://api.test", "issuer: https://gateway.test"),
        ("per_account: 10/15m", "per_account: 11/15m"),
        ("max_staleness: 5s", "max_staleness: 6s"),
        ("any_role: [admin, clerk]", "any_role: [admin]"),
    ] {
        assert_eq!(kept_sessions(from, to), (true, true), "{to}");
    }
}

/// What was built by the old rules must not be used with the new ones; it is built anew, from what
/// the store holds.
#[test]
fn rules_of_sessions_that_change_are_others_and_the_table_stays() {
    for (from, to) in [
        ("name: sid", "name: other"),
        ("domain: api.test", "domain: app.api.test"),
        ("same_site: strict", "same_site: lax"),
        ("dangerous_insecure: true", "dangerous_insecure: false"),
        ("idle_timeout: 30m", "idle_timeout: 29m"),
        ("absolute_timeout: 12h", "absolute_timeout: 13h"),
        ("recheck: 5s", "recheck: 6s"),
        ("allowed_origins: [https://app.test,", "allowed_origins: [https://b.test,"),
        // The headers for upstreams, and the claims that are kept, are part of what is built.
        ("X-Auth-Email", "X-Auth-Mail"),
        ("tenant: [acme, 7, true]", "team: [acme, 7, true]"),
    ] {
        assert_eq!(kept_sessions(from, to), (false, true), "{to}");
    }
}

/// The supervisor refuses such a reload: whoever fills the table has the old one.
#[test]
fn table_of_another_size_is_another() {
    let kept = kept_sessions("cache_size: 256MiB", "cache_size: 128MiB");
    assert_eq!(kept, (true, false));
}

#[test]
fn everything_about_sessions_arrives_where_it_is_used() {
    let (directory, text) = whole();
    let configuration = compile_in(directory.path(), &text, None).expect("compiles");
    let terms = configuration.gate.sessions.rules.terms();
    assert_eq!((terms.idle_max_s, terms.lifetime_max_s, terms.recheck_ms), (1800, 43_200, 5_000));
    assert_eq!((&*terms.cookie.name, terms.cookie.domain.as_deref()), ("sid", Some("api.test")));
    let origins: Vec<_> = terms.origins.0.iter().map(|origin| &**origin).collect();
    assert_eq!(origins, ["https://app.test", "http://localhost:3000"]);
    let asked: Vec<_> = terms.asked_claims.iter().map(|claim| &**claim).collect();
    assert_eq!(asked, ["/org/unit", "email", "tenant"]);
    let login = configuration.login.as_ref().expect("people can log in");
    assert_eq!(configuration.gate.own_base.as_deref(), Some("/auth"));
    assert_eq!((&*login.base, &*login.issuer), ("/auth", "https://api.test"));
    assert_eq!((login.per_account.attempts_max, login.per_account.span_s), (10, 900));
    assert_eq!((login.per_address.attempts_max, login.per_address.span_s), (100, 900));
    let successes = [login.successes_per_account, login.successes_per_address];
    assert_eq!(successes.map(|budget| (budget.attempts_max, budget.span_s)), [(5, 60), (50, 120)]);
    let alice = &login.method.users().expect("a password file").0["alice"].identity;
    assert_eq!(&*alice.subject, "u-17");
    assert_eq!(alice.claims["/org/id"], 7);
}

#[test]
fn defaults_of_sessions_are_those_of_the_reference() {
    let configuration = compile(MINIMAL).expect("compiles");
    let terms = configuration.gate.sessions.rules.terms();
    assert_eq!((terms.idle_max_s, terms.lifetime_max_s, terms.recheck_ms), (1800, 43_200, 5_000));
    assert_eq!((&*terms.cookie.name, &terms.cookie.domain), ("__Host-session", &None));
    assert!(configuration.login.is_none() && configuration.gate.own_base.is_none());
    for shared in ["domain: api.test", "dangerous_insecure: true"] {
        let text = format!("{MINIMAL}sessions: {{ cookie: {{ {shared} }} }}\n");
        let configuration = compile(&text).expect("compiles");
        let name = &configuration.gate.sessions.rules.terms().cookie.name;
        assert_eq!(&**name, "session", "{shared}");
    }
}
