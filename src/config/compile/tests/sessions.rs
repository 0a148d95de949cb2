//! Where the settings of sessions end up.

use super::*;

#[test]
fn everything_about_sessions_arrives_where_it_is_used() {
    let (directory, text) = whole();
    let settings = compile_in(directory.path(), &text).expect("compiles");
    let terms = &settings.sessions.terms;
    assert_eq!((terms.idle_max_s, terms.lifetime_max_s, terms.recheck_ms), (1800, 43_200, 5_000));
    assert_eq!((&*terms.cookie.name, terms.cookie.domain.as_deref()), ("sid", Some("api.test")));
    let origins: Vec<_> = terms.origins.0.iter().map(|origin| &**origin).collect();
    assert_eq!(origins, ["https://app.test", "http://localhost:3000"]);
    let asked: Vec<_> = terms.asked_claims.iter().map(|claim| &**claim).collect();
    assert_eq!(asked, ["/org/unit", "email", "tenant"]);
    let login = settings.login.as_ref().expect("people can log in");
    assert_eq!(settings.gate.own_base.as_deref(), Some("/auth"));
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
    let settings = compile(MINIMAL).expect("compiles");
    let terms = &settings.sessions.terms;
    assert_eq!((terms.idle_max_s, terms.lifetime_max_s, terms.recheck_ms), (1800, 43_200, 5_000));
    assert_eq!((&*terms.cookie.name, &terms.cookie.domain), ("__Host-session", &None));
    assert!(settings.login.is_none() && settings.gate.own_base.is_none());
    for shared in ["domain: api.test", "dangerous_insecure: true"] {
        let text = format!("{MINIMAL}sessions: {{ cookie: {{ {shared} }} }}\n");
        let settings = compile(&text).expect("compiles");
        let name = &settings.sessions.terms.cookie.name;
        assert_eq!(&**name, "session", "{shared}");
    }
}
