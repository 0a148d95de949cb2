//! What is the gateway's own: no route gets it, however it is spelt, and who may ask for it.

use http::header::COOKIE;

use super::*;

/// Routes that would take anything, with everything allowed that can be.
const ANYTHING: &str = "\
- {name: anything, match: {path: '/{*rest}', dangerous_path: [encoded_slash, semicolon, encoded_percent, empty_segment]}, upstream: behind, public: true}
";

/// The route that a path comes to, or the slug, and whether it is the gateway's own.
fn found(gate: &CompiledGate, target: &str) -> (String, bool) {
    let verdict = gate.verdict(&GateRequest::get(target));
    let found = match (outcome(&verdict), verdict.findings.route) {
        (Ok(_), Some(route)) => route.name.to_string(),
        _ => slug_of(&verdict).to_owned(),
    };
    (found, is_builtin(&verdict))
}

#[test]
fn path_below_the_base_is_ours_and_no_route_gets_it() {
    let gate = with(&[], ANYTHING);
    for target in [
        "/auth",
        "/auth/",
        "/auth?a=b",
        "/auth/login",
        "/auth/login?return_to=/a",
        "/auth/sessions/x",
        "/auth/nothing/there",
        "/auth/caf%C3%A9",
    ] {
        assert_eq!(found(&gate, target), (BUILTIN.to_owned(), true), "{target}");
    }
}

#[test]
fn path_beside_the_base_is_routed() {
    let gate = with(&[], ANYTHING);
    for target in
        ["/authx", "/auth.html", "/Auth", "/AUTH/login", "/x/auth", "/aut", "/auth-/login"]
    {
        assert_eq!(found(&gate, target), ("anything".to_owned(), false), "{target}");
    }
}

/// Whoever decodes, merges slashes or cuts parameters off would take these for ours, and a route
/// that allows such paths does not decide on that.
#[test]
fn path_that_only_some_take_for_ours_is_refused_whatever_a_route_allows() {
    let gate = with(&[], ANYTHING);
    for target in [
        "/%61uth",
        "/%61uth/login",
        "/a%75th/login",
        "/%41uth/../auth",
        "/auth%2flogin",
        "/auth%2Flogin",
        "/%2fauth/login",
        "/x%2f..%2fauth",
        "//auth",
        "//auth/login",
        "///auth//login",
        "/auth//login",
        "/auth;x",
        "/auth;x/login",
        "/auth;/login",
        "/auth%3bx/login",
        "/auth/login;x",
        "/;x/auth",
        "/;/auth/login",
        "/auth/..",
        "/auth/../a",
        "/auth/../auth/login",
        "/auth/./login",
        "/./auth/login",
        "/x/../auth/login",
        "/x/..;/auth/login",
        "/auth/%2e%2e/a",
        "/auth%00",
        "/auth\\login",
    ] {
        assert_eq!(found(&gate, target), ("request_target".to_owned(), false), "{target}");
    }
}

/// The routes of these paths would take them if they were not so much like ours.
#[test]
fn odd_path_elsewhere_is_routed_where_a_route_allows_it() {
    let gate = with(&[], ANYTHING);
    for target in ["//a", "/a;x", "/a%2fb", "/authx;y", "//authx/login", "/a/auth;x"] {
        assert_eq!(found(&gate, target), ("anything".to_owned(), false), "{target}");
    }
}

#[test]
fn base_is_where_the_configuration_puts_it_and_nowhere_if_nobody_can_log_in() {
    let elsewhere = text("", ANYTHING).replace(
        "login: {password_file: users.yaml}",
        "login: {password_file: users.yaml, base: /my/account}",
    );
    let gate = CompiledGate::compile(&elsewhere, &files());
    assert_eq!(found(&gate, "/my/account/login"), (BUILTIN.to_owned(), true));
    for target in ["/my//account", "/my;x/account", "/%6dy/account/login"] {
        assert_eq!(found(&gate, target), ("request_target".to_owned(), false), "{target}");
    }
    for target in ["/auth/login", "/my", "/my/accounts"] {
        assert_eq!(found(&gate, target), ("anything".to_owned(), false), "{target}");
    }
    let nobody = "routes:\n".to_owned() + ANYTHING;
    let gate = CompiledGate::compile(&nobody, &[]);
    assert_eq!(found(&gate, "/auth/login"), ("anything".to_owned(), false));
}

/// It is there on every host, also on those that no route is for.
#[test]
fn base_is_ours_whatever_the_method() {
    let gate = with(&[], ANYTHING);
    for method in [Method::POST, Method::DELETE, Method::OPTIONS, Method::CONNECT] {
        let verdict = gate.verdict(&GateRequest::get("/auth/login").by(method.clone()));
        assert!(is_builtin(&verdict) && outcome(&verdict).is_err(), "{method}");
    }
}

// ---- who may ask for what is their own

#[test]
fn own_endpoints_know_who_asks_by_the_cookie_alone() {
    let gate = gatehouse().with_alice();
    let verdict = gate.own_verdict(&GateRequest::logged_in("/auth/session"));
    let who = outcome(&verdict).map(|authorized| authorized.principal().subject().as_str());
    assert_eq!(who, Ok("alice"));
    let token = (http::header::AUTHORIZATION, bearer(&good()));
    let verdict = gate.own_verdict(&GateRequest::get("/auth/session").with(token));
    assert_eq!(slug_of(&verdict), "credential_absent");
    let broken = GateRequest::get("/auth/session").with((COOKIE, format!("{NAME}=x")));
    assert_eq!(slug_of(&gate.own_verdict(&broken)), "credential_malformed");
}

/// Another site could log people out, or end their sessions elsewhere.
#[test]
fn own_endpoints_are_not_for_other_sites_to_write_to() {
    let gate = gatehouse().with_alice();
    let site = |value: &str| (HeaderName::from_static("sec-fetch-site"), value.to_owned());
    for method in [Method::POST, Method::DELETE] {
        let asked = GateRequest::logged_in("/auth/logout").by(method);
        let said = |asked: &GateRequest<'_>| slug_of(&gate.own_verdict(asked));
        assert_eq!(said(&asked.clone().with(site("cross-site"))), "csrf");
        assert_eq!(said(&asked.clone()), "csrf");
        assert_eq!(said(&asked.with(site("same-origin"))), PERMITTED);
    }
}

#[test]
fn own_endpoints_are_as_strict_about_revocation_as_the_section_says() {
    let stale = |section: &str| {
        let gate = with(&[section, "sessions: {recheck: 1h}"], "").with_alice();
        slug_of(&gate.own_verdict(&GateRequest::logged_in("/auth/session").at(later(6))))
    };
    assert_eq!(stale(""), "revocation_stale");
    assert_eq!(stale("revocation: {when_stale: allow}"), PERMITTED);
    assert_eq!(stale("revocation: {max_staleness: 6s}"), PERMITTED);
}
