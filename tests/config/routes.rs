//! Routes: where they lead, who may use them, and whether they can be told apart.

use super::*;

fn route(fields: &str) -> String {
    with(&format!("  - {{ name: a, upstream: behind, {fields} }}"))
}

fn matching(matching: &str) -> String {
    route(&format!("public: true, match: {{ {matching} }}"))
}

#[test]
fn route_to_an_unknown_upstream_is_refused() {
    each_is_refused([(
        with("  - { name: a, match: { path: /a }, upstream: beyond, public: true }"),
        "6: error: routes[1].upstream: there is no upstream `beyond`. Write one of: behind.",
    )]);
}

#[test]
fn route_that_leads_nowhere_is_refused() {
    each_is_refused([(
        with("  - { name: a, match: { path: /a }, public: true }"),
        "6: error: routes[1].upstream: the field is missing. Write one of: behind.",
    )]);
}

#[test]
fn route_for_an_unknown_issuer_is_refused() {
    each_is_refused([(
        route("match: { path: /a }, authenticate: [bearer], issuers: [idp, other]"),
        "6: error: routes[1].issuers[1]: there is no issuer `other`. Write one of: idp.",
    )]);
}

#[test]
fn route_for_no_issuer_at_all_is_refused() {
    each_is_refused([
        (
            route("match: { path: /a }, authenticate: [bearer], issuers: []"),
            "6: error: routes[1].issuers: no issuer is accepted. Write one of: idp.",
        ),
        (
            replace_line(3, "issuers: []")
                + &route("match: { path: /a }, authenticate: [bearer]")[BASE.len()..],
            "6: error: routes[1].authenticate: bearer tokens need an issuer, and there is none. \
             Add one under `issuers`, or `tokens`.",
        ),
    ]);
}

#[test]
fn route_without_policy_is_refused() {
    for fields in ["match: { path: /a }", "match: { path: /a }, public: false"] {
        each_is_refused([(
            route(fields),
            "6: error: routes[1]: the route has no policy. Add `authenticate: [bearer]`, or \
             `public: true` if anybody may use it.",
        )]);
    }
}

#[test]
fn route_that_is_public_and_authenticates_is_refused() {
    each_is_refused([(
        route("match: { path: /a }, public: true, authenticate: [bearer]"),
        "6: error: routes[1].public: a route cannot have both `public` and `authenticate`. \
         Keep one of the two.",
    )]);
}

#[test]
fn public_route_that_requires_something_is_refused() {
    each_is_refused([
        (
            route("match: { path: /a }, public: true, require: { any_role: [clerk] }"),
            "6: error: routes[1].require: `require` has no effect on a public route. \
             Remove it, or `public`.",
        ),
        (
            route("match: { path: /a }, public: true, issuers: [idp]"),
            "6: error: routes[1].issuers: `issuers` has no effect on a public route. \
             Remove it, or `public`.",
        ),
    ]);
}

#[test]
fn route_that_takes_no_credential_or_one_twice_is_refused() {
    each_is_refused([
        (
            route("match: { path: /a }, authenticate: []"),
            "6: error: routes[1].authenticate: the list is empty, so no credential would be accepted. \
             Write [bearer], [session] or [api_key].",
        ),
        (
            route("match: { path: /a }, authenticate: [bearer, bearer]"),
            "6: error: routes[1].authenticate[1]: `bearer` is listed twice. Remove one.",
        ),
    ]);
}

#[test]
fn route_name_that_is_taken_or_none_is_refused() {
    let long = "a".repeat(65);
    each_is_refused([
        (
            with("  - { name: open, match: { path: /a }, upstream: behind, public: true }"),
            "6: error: routes[1].name: there already is a route `open`. \
             Give each a different name.",
        ),
        (
            with("  - { match: { path: /a }, upstream: behind, public: true }"),
            "6: error: routes[1].name: the field is missing. Give it a name, for metrics and logs.",
        ),
        (
            with(&format!(
                "  - {{ name: {long}, match: {{ path: /a }}, upstream: behind, public: true }}"
            )),
            &format!(
                "6: error: routes[1].name: `{long}` cannot be a name. \
                 Use up to 64 letters, digits, `-`, `_` and `.`."
            ),
        ),
    ]);
    all_compile([BASE.replace("name: open", &format!("name: {}", "a".repeat(64)))]);
}

/// Two more routes; the first is called `one`.
fn two(one: &str, other: &str) -> String {
    with(&format!(
        "  - {{ name: one, match: {{ {one} }}, upstream: behind, public: true }}\n  \
         - {{ name: other, match: {{ {other} }}, upstream: behind, public: true }}"
    ))
}

const AMBIGUOUS: &str = "7: error: routes[2].match: route `one` matches the same requests. \
                         Give them different hosts, paths or methods.";

#[test]
fn routes_that_claim_the_same_requests_are_refused() {
    each_is_refused([
        (two("path: /v", "path: /v"), AMBIGUOUS),
        (
            two("path: '/v/{id}', methods: [GET]", "path: '/v/{name}', methods: [GET, POST]"),
            AMBIGUOUS,
        ),
        (two("path: '/v/{*rest}'", "path: '/v/{*tail}'"), AMBIGUOUS),
        (two("path: '/{a}/v/{b}'", "path: '/{x}/v/{y}'"), AMBIGUOUS),
        (two("path: /v, hosts: [a.test, b.test]", "path: /v, hosts: [b.test, c.test]"), AMBIGUOUS),
        (two("path: /v, hosts: [a.test]", "path: /v, hosts: [A.TEST.]"), AMBIGUOUS),
        (two("path: /v, hosts: ['*.test']", "path: /v, hosts: ['*.test']"), AMBIGUOUS),
    ]);
}

#[test]
fn routes_that_differ_in_host_path_or_method_are_not_ambiguous() {
    all_compile([
        two("path: '/v/{id}', methods: [GET]", "path: '/v/{name}', methods: [POST]"),
        two("path: '/v/{id}', methods: [GET]", "path: '/v/{id}'"),
        two("path: '/v/{id}'", "path: /v/a"),
        two("path: /v", "path: /v/"),
        two("path: /v", "path: /V"),
        two("path: /v, hosts: [a.test]", "path: /v, hosts: [b.test]"),
        two("path: /v, hosts: [a.test]", "path: /v, hosts: ['*.test']"),
        two("path: /v, hosts: [a.test]", "path: /v"),
    ]);
}

#[test]
fn segment_and_rest_at_the_same_place_are_not_ambiguous() {
    // A segment goes before the rest: `/orders/7` is for the one, `/orders/7/items` for the other.
    all_compile([
        two("path: '/v/{id}'", "path: '/v/{*rest}'"),
        two("path: '/v/{*rest}'", "path: '/v/{id}'"),
        two("path: '/v/{id}/items'", "path: '/v/{*rest}'"),
        two("path: '/{name}'", "path: '/{*rest}'"),
    ]);
}

#[test]
fn route_that_claims_its_own_requests_twice_is_refused() {
    each_is_refused([
        (
            matching("path: /a, hosts: [a.test, A.test]"),
            "6: error: routes[1].match.hosts[1]: `A.test` is listed twice. Remove one.",
        ),
        (
            matching("path: /a, methods: [GET, GET]"),
            "6: error: routes[1].match.methods[1]: `GET` is listed twice. Remove one.",
        ),
    ]);
}

#[test]
fn methods_in_lower_case_are_refused() {
    for method in ["get", "Post", "dELETE"] {
        let upper = method.to_uppercase();
        let problem = format!(
            "6: error: routes[1].match.methods[0]: `{method}` is not a method. Write {upper}."
        );
        let text = matching(&format!("path: /a, methods: [{method}]"));
        each_is_refused([(text, problem.as_str())]);
    }
}

#[test]
fn what_cannot_be_a_method_is_refused_with_a_remedy_that_is_one() {
    for method in ["''", "'G T'", "'GET,POST'", "'GET\\n'"] {
        let problems = problems(matching(&format!("path: /a, methods: [{method}]")));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with("6: error: routes[1].match.methods[0]: "), "{problems:#?}");
        let (_, remedy) = problems[0].rsplit_once(". Write ").expect("a remedy");
        let suggested = remedy.trim_end_matches('.');
        assert!(!suggested.is_empty(), "{problems:#?}");
        assert!(!suggested.eq_ignore_ascii_case(method.trim_matches('\'')), "{problems:#?}");
    }
}

#[test]
fn methods_that_are_never_forwarded_are_refused() {
    for method in ["TRACE", "TRACK", "CONNECT", "trace", "Track"] {
        let problem = format!(
            "6: error: routes[1].match.methods[1]: `{method}` is never forwarded, whatever a route \
             says. Remove it."
        );
        let text = matching(&format!("path: /a, methods: [GET, {method}]"));
        each_is_refused([(text, problem.as_str())]);
    }
    all_compile([matching("path: /a, methods: [GET, TRACES]")]);
}

#[test]
fn methods_of_ones_own_are_known() {
    all_compile([matching("path: /a, methods: [PURGE, M-SEARCH]")]);
}

#[test]
fn what_is_not_a_host_is_refused() {
    for host in [
        "a:80",
        "https://a.test",
        "a/b",
        "a b",
        "*",
        "*.*.test",
        "a.*.test",
        "*.",
        "",
        "u@a",
        "[::1",
    ] {
        let problem = format!(
            "6: error: routes[1].match.hosts[0]: `{host}` is not a host. \
             Write api.example or *.example, without port."
        );
        each_is_refused([(matching(&format!("path: /a, hosts: ['{host}']")), problem.as_str())]);
    }
}

#[test]
fn hosts_names_and_addresses_are_accepted() {
    let hosts = "a, a.test, A.TEST, '*.test', '*.b.test', 10.0.0.1, '[::1]', xn--bcher-kva.test";
    // A.TEST is a.test again.
    let hosts = hosts.replace("A.TEST, ", "");
    all_compile([matching(&format!("path: /a, hosts: [{hosts}]"))]);
}

#[test]
fn what_is_not_a_path_pattern_is_refused() {
    for (path, fact) in [
        ("a", "it must start with a slash"),
        ("''", "it must start with a slash"),
        ("'*'", "it must start with a slash"),
        ("'/{*rest}/a'", "`{*name}` must be the last segment"),
        ("'/{}'", "a parameter is `{name}` or `{*name}`"),
        ("'/{*}'", "a parameter is `{name}` or `{*name}`"),
        ("'/{a-b}'", "a parameter is `{name}` or `{*name}`"),
        ("'/a{b}'", "a parameter must be a whole segment"),
        ("'/{a'", "a parameter must be a whole segment"),
        ("'/a/../b'", "a dot segment never matches"),
        ("'/./a'", "a dot segment never matches"),
        ("'/a//b'", "it holds an empty segment"),
        ("'//a'", "it holds an empty segment"),
        ("'/a?b=c'", "it holds a character that a path must encode"),
        ("'/a#b'", "it holds a character that a path must encode"),
        ("'/a b'", "it holds a character that a path must encode"),
        ("'/%61'", "it holds a character that a path must encode"),
        ("'/é'", "it holds a character that a path must encode"),
        ("'/a;b'", "it holds a character that a path must encode"),
    ] {
        let problem = format!(
            "6: error: routes[1].match.path: the path is not a pattern: {fact}. \
             Write literal segments, `{{name}}` and, last, `{{*name}}`."
        );
        each_is_refused([(matching(&format!("path: {path}")), problem.as_str())]);
    }
}

#[test]
fn path_patterns_of_every_kind_are_accepted() {
    let paths = ["/", "/a", "/a/", "'/{a}'", "'/{*a}'", "'/a/{b}/c/{*d}'", "'/~a.b-c_d/$!*:@'"];
    all_compile(paths.map(|path| matching(&format!("path: {path}"))));
}

#[test]
fn star_that_is_a_whole_segment_is_literal_and_warned_of() {
    for path in ["/orders/*", "/**", "/*/lines"] {
        let ran = examine(matching(&format!("path: '{path}'")));
        let warning = "6: warning: routes[1].match.path: `*` stands for itself here, so other paths \
                       do not match. Write `{*rest}` for all that follows, or `{name}` for one \
                       segment.\n";
        assert_eq!((ran.code, ran.stderr), (0, format!("gateway.yaml:{warning}")), "{path}");
    }
}

#[test]
fn ambiguity_that_is_none_cannot_be_allowed() {
    let problem = "6: error: routes[1].match.dangerous_path[1]: `dot_segments` is not known. \
                   Write one of: encoded_slash, semicolon, encoded_percent, empty_segment, case, \
                   trailing_slash, trailing_dot.";
    let text = matching("path: /a, dangerous_path: [semicolon, dot_segments]");
    each_is_refused([(text, problem)]);
}

#[test]
fn paths_that_are_refused_beside_a_stricter_route_are_warned_of() {
    let beside = |one: &str, other: &str| {
        two(one, other).replace(
            &format!("{{ {other} }}, upstream: behind, public: true"),
            &format!("{{ {other} }}, upstream: behind, authenticate: [bearer]"),
        )
    };
    for (one, other, refused, ignored, name) in [
        ("path: /v", "path: /v/", "/v", "a slash at the end", "trailing_slash"),
        ("path: /v", "path: /V", "/v", "case", "case"),
        (
            "path: '/v/{*rest}'",
            "path: '/v/{id}'",
            "/v/{id}/",
            "a slash at the end",
            "trailing_slash",
        ),
    ] {
        let ran = examine(beside(one, other));
        let path = other.trim_start_matches("path: ").trim_matches('\'');
        let problem = format!(
            "gateway.yaml:6: warning: routes[1].match.path: `{refused}` is refused: to upstreams \
             that ignore {ignored} it is `{path}`, which is route `other`, and this route is public. \
             If its upstream tells them apart, write `dangerous_path: [{name}]` here.\n"
        );
        assert_eq!((ran.code, ran.stderr), (0, problem), "{one} {other}");
        let allowed = beside(&format!("{one}, dangerous_path: [{name}]"), other);
        all_compile([allowed]);
    }
    all_compile([beside("path: /v", "path: '/v/{*rest}'"), beside("path: /a", "path: /b")]);
}

#[test]
fn scope_that_could_not_stand_in_a_challenge_is_refused() {
    for scope in ["''", "'a b'", "'a\"b'", "'a\\b'", "'é'"] {
        let fields = "match: { path: /a }, authenticate: [bearer]";
        let problems = problems(route(&format!("{fields}, require: {{ scopes: [{scope}] }}")));
        let told = "is not a scope. Use visible ASCII without space, `\"` and `\\`.";
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(
            problems[0].starts_with("6: error: routes[1].require.scopes[0]: "),
            "{problems:#?}"
        );
        assert!(problems[0].ends_with(told), "{problems:#?}");
    }
}

#[test]
fn claim_that_cannot_be_compared_is_refused() {
    for accepted in ["[]", "~", "{ a: b }", "[[a]]", "[a, ~]"] {
        let fields = "match: { path: /a }, authenticate: [bearer]";
        let text = route(&format!("{fields}, require: {{ claims: {{ tenant: {accepted} }} }}"));
        let problem = "6: error: routes[1].require.claims.tenant: claims can only be compared with strings, numbers and booleans. List strings, numbers or booleans.";
        each_is_refused([(text, problem)]);
    }
}

#[test]
fn credential_is_stripped_or_kept_and_nothing_else() {
    let fields = "match: { path: /a }, authenticate: [bearer]";
    let problem =
        "6: error: routes[1].forward.credential: `drop` is not known. Write one of: strip, keep.";
    each_is_refused([(route(&format!("{fields}, forward: {{ credential: drop }}")), problem)]);
    all_compile(
        ["strip", "keep"]
            .map(|what| route(&format!("{fields}, forward: {{ credential: {what} }}"))),
    );
}
