//! What logins mean for routes: where they may be, and what they take.

use super::*;

#[test]
fn route_below_the_base_is_refused() {
    let at = |path: &str, base: &str| {
        with(&format!(
            "  - {{ name: a, match: {{ path: '{path}' }}, upstream: behind, public: true }}\n\
             login: {{ password_file: users.yaml, base: {base} }}"
        ))
    };
    let told = "6: error: routes[1].match.path: the gateway answers this path itself, so no \
                request would reach the route. Choose another path, or another `login.base`.";
    for (path, base) in [
        ("/auth", "/auth"),
        ("/auth/", "/auth"),
        ("/auth/login", "/auth"),
        ("/auth/{id}", "/auth"),
        ("/auth/{*rest}", "/auth"),
        ("/my/account/orders", "/my/account"),
    ] {
        each_is_refused([(at(path, base), told)]);
    }
    all_compile(
        [
            ("/authx", "/auth"),
            ("/a/auth", "/auth"),
            ("/{*rest}", "/auth"),
            ("/{a}/login", "/auth"),
            ("/my", "/my/account"),
            ("/my/{a}", "/my/account"),
            ("/auth/login", "/account"),
        ]
        .map(|(path, base)| at(path, base)),
    );
}

#[test]
fn route_for_sessions_needs_somebody_who_can_log_in() {
    let told = "nobody can log in, so there are no sessions. Add `login`, or remove this.";
    let alone = format!("6: error: routes[1].authenticate[0]: {told}");
    let beside = format!("6: error: routes[1].authenticate[1]: {told}");
    each_is_refused([
        (with(&route("authenticate: [session]")), alone.as_str()),
        (with(&route("authenticate: [bearer, session]")), beside.as_str()),
        (with(&(route("authenticate: [session]") + "sessions: {}")), alone.as_str()),
    ]);
    let login = "login: { password_file: users.yaml }";
    all_compile(
        ["[session]", "[bearer, session]", "[session, bearer]"]
            .map(|carriers| with(&(route(&format!("authenticate: {carriers}")) + login))),
    );
    // That there is a section was seen; what is wrong with it is told, and nothing else.
    let text = with(
        &(route("authenticate: [session]") + "login: { base: / , password_file: users.yaml }"),
    );
    let problems = problems(text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(problems[0].contains(" login.base: "), "{problems:#?}");
}

#[test]
fn carrier_is_listed_once() {
    let login = "login: { password_file: users.yaml }";
    let text = with(&(route("authenticate: [session, bearer, session]") + login));
    let told = "6: error: routes[1].authenticate[2]: `session` is listed twice. Remove one.";
    each_is_refused([(text, told)]);
}

/// Sessions are the gateway's own.
#[test]
fn issuers_mean_nothing_where_only_sessions_are_taken() {
    let login = "login: { password_file: users.yaml }";
    let text = |carriers: &str| {
        with(&(route(&format!("authenticate: {carriers}, issuers: [idp]")) + login))
    };
    let told = "6: error: routes[1].issuers: `issuers` has no effect where no bearer token is \
                accepted. Remove it, or accept `bearer`.";
    each_is_refused([(text("[session]"), told)]);
    all_compile(["[bearer]", "[bearer, session]", "[session, bearer]"].map(text));
}

/// A slip in the carrier is one mistake, and not also one in `issuers`.
#[test]
fn carrier_that_is_not_known_does_not_make_issuers_meaningless() {
    let text = with(&route("authenticate: [Bearer], issuers: [idp]"));
    let told = "6: error: routes[1].authenticate[0]: `Bearer` is not known. \
                Write one of: bearer, session, api_key.";
    each_is_refused([(text, told)]);
}

#[test]
fn configuration_for_sessions_alone_needs_no_issuer() {
    let without_issuers = |route: &str| {
        format!(
            "listeners: [{{ address: '127.0.0.1:0' }}]\n\
             upstreams: {{ behind: {{ peers: ['127.0.0.1:9001'] }} }}\n\
             login: {{ password_file: users.yaml }}\nroutes:\n{route}"
        )
    };
    all_compile([without_issuers(&route("authenticate: [session]"))]);
    let told = "5: error: routes[0].authenticate: bearer tokens need an issuer, and there is none. \
                Add one under `issuers`, or `tokens`.";
    each_is_refused(
        ["[bearer]", "[session, bearer]"]
            .map(|carriers| (without_issuers(&route(&format!("authenticate: {carriers}"))), told)),
    );
}

/// `portcullis check` tells who passes.
#[test]
fn table_tells_what_a_route_takes() {
    let login = "login: { password_file: users.yaml }";
    let text = with(&(route("authenticate: [session]") + login));
    let ran = examine(&text);
    let row = ran.stdout.lines().find(|line| line.starts_with("a ")).expect("the route");
    assert!(row.contains("session") && !row.contains("bearer"), "{row}");
}
