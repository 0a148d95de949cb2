//! What is planned but not there yet is refused, never ignored: who writes `cors` must not
//! believe that it is in force.

use super::*;

#[track_caller]
fn unknown_fields(cases: &[(String, &str)]) {
    for (text, field) in cases {
        let problems = problems(text);
        let name = field.rsplit('.').next().unwrap_or(field);
        let told = format!(" error: {field}: there is no field `{name}` here. Known are: ");
        assert!(problems.iter().any(|problem| problem.contains(&told)), "{problems:#?}");
    }
}

#[test]
fn sections_that_are_not_there_yet_are_refused() {
    unknown_fields(&[(with("openid: { issuer: https://idp.test }"), "openid")]);
}

#[test]
fn sections_that_have_come_are_no_longer_refused() {
    all_compile([
        with("sessions: { idle_timeout: 30m }"),
        with("login: { base: /auth, password_file: users.yaml }"),
        with("tokens: { issuer: https://gateway.test, access: { audiences: [a] } }\nclients: []"),
        with("api_keys: {}"),
    ]);
}

#[test]
fn ways_to_log_in_that_are_not_there_yet_are_refused() {
    let login = |more: &str| with(&format!("login: {{ password_file: users.yaml, {more} }}"));
    unknown_fields(&[
        (login("openid: { issuer: https://idp.test, client_id: a }"), "login.openid"),
        (login("providers: []"), "login.providers"),
        (login("deliver: tokens"), "login.deliver"),
        (login("attempts: { per_network: 10/1m }"), "login.attempts.per_network"),
    ]);
    unknown_fields(&[
        (with("sessions: { store: redis }"), "sessions.store"),
        (with("sessions: { cookie: { path: / } }"), "sessions.cookie.path"),
        (with("sessions: { cookie: { secure: false } }"), "sessions.cookie.secure"),
    ]);
}

#[test]
fn fields_of_routes_that_are_not_there_yet_are_refused() {
    let route = |more: &str| {
        with(&format!(
            "  - {{ name: a, match: {{ path: /a }}, upstream: behind, public: true, {more} }}"
        ))
    };
    unknown_fields(&[
        (route("cors: { origins: [https://app.test] }"), "routes[1].cors"),
        (route("limits: { requests: { per: subject } }"), "routes[1].limits.requests"),
    ]);
}

#[test]
fn fields_of_upstreams_that_are_not_there_yet_are_refused() {
    let upstream = |more: &str| with_upstream(&format!("peers: ['127.0.0.1:1'], {more}"));
    unknown_fields(&[
        (upstream("http2: true"), "upstreams.behind.http2"),
        (upstream("health: { path: /healthz }"), "upstreams.behind.health"),
    ]);
}

#[test]
fn client_certificates_are_refused() {
    let tls = "{ certificates: [], client_certificates: { mode: required } }";
    let text = replace_line(1, &format!("listeners: [{{ address: '127.0.0.1:0', tls: {tls} }}]"));
    unknown_fields(&[(text, "listeners[0].tls.client_certificates")]);
}

#[test]
fn second_certificate_is_refused() {
    let tls = "{ certificates: [{ certificate_file: a }, { certificate_file: b }] }";
    let text = replace_line(1, &format!("listeners: [{{ address: '127.0.0.1:0', tls: {tls} }}]"));
    let problems = problems(text);
    let told = "1: error: listeners[0].tls.certificates[1]: more than one certificate is not \
                supported yet. Keep one; it may name several hosts.";
    assert!(problems.contains(&told.to_owned()), "{problems:#?}");
}

#[test]
fn carriers_and_balances_that_are_not_there_yet_are_refused() {
    each_is_refused([
        (
            with(
                "  - { name: a, match: { path: /a }, upstream: behind, authenticate: [bearer, mtls] }",
            ),
            "6: error: routes[1].authenticate[1]: `mtls` is not known. \
             Write one of: bearer, session, api_key.",
        ),
        (
            with_upstream("peers: ['127.0.0.1:1'], balance: consistent_hash"),
            "2: error: upstreams.behind.balance: `consistent_hash` is not known. \
             Write one of: round_robin.",
        ),
    ]);
}
