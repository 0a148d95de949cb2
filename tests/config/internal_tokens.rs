//! Tokens for upstreams, API keys, and how much upstreams are told.

use super::*;

const TOKENS: &str = "tokens: { issuer: https://gateway.test, access: { audiences: [a] } }";

/// A route that authenticates, on line 6, with these fields; tokens, and more sections.
fn route(fields: &str, sections: &str) -> String {
    with(&format!(
        "  - {{ name: a, match: {{ path: /a }}, upstream: behind, {fields} }}\n{TOKENS}\n{sections}"
    ))
}

/// The same with an internal token of these fields.
fn telling(fields: &str) -> String {
    telling_beside("", fields)
}

fn telling_beside(sections: &str, fields: &str) -> String {
    let forward = format!("forward: {{ internal_token: {{ {fields} }} }}");
    route(&format!("authenticate: [bearer], {forward}"), sections)
}

/// The upstream wants an internal token of these fields; line 6 is a route with others.
fn upstream_telling(fields: &str, route: &str) -> String {
    let upstream = format!(
        "upstreams: {{ behind: {{ peers: ['127.0.0.1:9001'], \
         forward: {{ internal_token: {{ {fields} }} }} }} }}"
    );
    let base = replace_line(2, &upstream);
    let route = format!("  - {{ name: a, match: {{ path: /a }}, upstream: behind, {route} }}");
    format!("{base}{route}\n{TOKENS}\n")
}

const FIELD: &str = "6: error: routes[1].forward.internal_token";

#[test]
fn internal_token_needs_an_audience() {
    all_compile(
        ["orders", "https://orders.test/a?b", "urn:orders"]
            .map(|audience| telling(&format!("audience: '{audience}'"))),
    );
    let missing = format!(
        "{FIELD}.audience: the field is missing. Write the `aud` that the upstream expects."
    );
    each_is_refused([(telling("lifetime: 60s"), missing.as_str())]);
    for (audience, shown) in [("", ""), ("a b", "a b"), ("zo\u{eb}", "zo\u{eb}")] {
        let told = format!(
            "{FIELD}.audience: `{shown}` cannot be an audience. Use visible ASCII, without spaces."
        );
        each_is_refused([(telling(&format!("audience: '{audience}'")), told.as_str())]);
    }
}

#[test]
fn internal_token_needs_tokens() {
    let told = "the gateway issues no tokens. \
                Add `tokens: { issuer: https://gateway.example, … }`, or remove this.";
    let without = |text: String| text.replace(&format!("{TOKENS}\n"), "");
    each_is_refused([
        (without(telling("audience: orders")), format!("{FIELD}: {told}").as_str()),
        (
            without(upstream_telling("audience: orders", "public: true")),
            format!("2: error: upstreams.behind.forward.internal_token: {told}").as_str(),
        ),
    ]);
    // What is wrong with the tokens is told, and nothing else.
    let broken = telling("audience: orders").replace(TOKENS, "tokens: { access: 7 }");
    let problems = problems(broken);
    assert!(problems.iter().all(|told| told.contains(" tokens.")), "{problems:#?}");
}

#[test]
fn internal_token_lives_from_four_seconds_to_an_hour() {
    let place = |time: &str| telling(&format!("audience: a, lifetime: {time}"));
    all_compile(["4s", "60s", "1h"].map(place));
    let told = format!("{FIELD}.lifetime: the lifetime is out of range. Write 4s to 1h.");
    each_is_refused(["3999ms", "61m"].map(|time| (place(time), told.as_str())));
}

#[test]
fn internal_token_travels_in_authorization_or_in_a_header_of_its_own() {
    let place = |header: &str| telling(&format!("audience: a, header: '{header}'"));
    all_compile(["Authorization", "authorization", "X-Internal-Token", "X-Api-Key"].map(place));
    let reserved = |name: &str| {
        format!(
            "{FIELD}.header: `{name}` is a header that HTTP or the gateway uses itself. \
             Choose a name such as X-Internal-Token."
        )
    };
    for name in ["Cookie", "x_forwarded_for", "Host", "Proxy-Authorization", "X-Request-Id"] {
        each_is_refused([(place(name), reserved(name).as_str())]);
    }
    let identity = |name: &str| {
        format!(
            "{FIELD}.header: `{name}` already carries a part of the identity. \
             Choose another name."
        )
    };
    for name in ["X-Auth-Subject", "x_auth_roles"] {
        each_is_refused([(place(name), identity(name).as_str())]);
    }
    let told = format!(
        "{FIELD}.header: `a b` is not a header name. Write a name such as X-Internal-Token."
    );
    each_is_refused([(place("a b"), told.as_str())]);
    for name in ["X-Api-Key", "x_api_key"] {
        let told = format!("{FIELD}.header: `{name}` carries API keys. Choose another name.");
        let text = telling_beside("api_keys: {}", &format!("audience: a, header: {name}"));
        each_is_refused([(text, told.as_str())]);
    }
}

/// None of them may pass for what the gateway says, nor two for each other.
#[test]
fn claims_of_an_internal_token_have_names_of_their_own() {
    let place = |claims: &str| telling(&format!("audience: a, claims: [{claims}]"));
    all_compile([place(""), place("email, /org/id, /org/name")]);
    for (claims, name) in [("sub", "sub"), ("/profile/roles", "roles"), ("/idp", "idp")] {
        let told = format!(
            "{FIELD}.claims[1]: `{name}` is a claim that the gateway sets itself. Remove it."
        );
        each_is_refused([(place(&format!("email, {claims}")), told.as_str())]);
    }
    let told = format!("{FIELD}.claims[1]: there already is a claim `id`. Remove one.");
    each_is_refused([(place("/org/id, /team/id"), told.as_str())]);
    let told =
        format!("{FIELD}.claims[0]: the name of the claim is empty. Write a name such as email.");
    each_is_refused(["''", "/", "/org/"].map(|claims| (place(claims), told.as_str())));
}

#[test]
fn public_route_has_nobody_of_whom_to_tell() {
    let told = format!(
        "{FIELD}: a public route has no caller to tell the upstream about. \
         Remove it, or `public`."
    );
    let forward = "public: true, forward: { internal_token: { audience: a } }";
    each_is_refused([(route(forward, ""), told.as_str())]);
    // What the upstream wants of its routes is not for that one.
    all_compile([upstream_telling("audience: a", "public: true")]);
}

#[test]
fn token_of_the_client_and_internal_token_do_not_fit_into_one_header() {
    let place = |carriers: &str, token: &str| {
        let forward = format!("forward: {{ credential: keep, internal_token: {{ {token} }} }}");
        let login = "login: { password_file: users.yaml }";
        route(&format!("authenticate: [{carriers}], {forward}"), login)
    };
    let told = "6: error: routes[1].forward.credential: the internal token would replace the \
                client's token, which `keep` forwards. Remove it, or give the internal token a `header` of its own.";
    each_is_refused([
        (place("bearer", "audience: a"), told),
        (place("session, bearer", "audience: a, header: authorization"), told),
        (
            upstream_telling(
                "audience: a",
                "authenticate: [bearer], forward: { credential: keep }",
            ),
            told,
        ),
    ]);
    all_compile([
        place("session", "audience: a"),
        place("bearer", "audience: a, header: X-Internal-Token"),
        upstream_telling("audience: a", "authenticate: [bearer]"),
    ]);
}

#[test]
fn table_tells_for_whom_internal_tokens_are() {
    let told = |text: String| {
        let ran = examine(text);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let row = ran.stdout.lines().find(|line| line.starts_with("a ")).map(str::to_owned);
        row.expect("the route")
    };
    let own = told(telling("audience: orders"));
    assert!(own.ends_with(", internal token for orders"), "{own}");
    let inherited = told(upstream_telling("audience: pages", "authenticate: [bearer]"));
    assert!(inherited.ends_with(", internal token for pages"), "{inherited}");
    let none = told(route("authenticate: [bearer]", ""));
    assert!(none.ends_with("bearer from idp or gateway"), "{none}");
}

#[test]
fn fields_of_internal_tokens_are_known() {
    let problem = |place: &str| {
        format!(
            "{place}.internal_token.colour: there is no field `colour` here. \
             Known are: `audience`, `header`, `lifetime`, `claims`."
        )
    };
    each_is_refused([
        (telling("audience: a, colour: red"), problem("6: error: routes[1].forward").as_str()),
        (
            upstream_telling("audience: a, colour: red", "public: true"),
            problem("2: error: upstreams.behind.forward").as_str(),
        ),
    ]);
}

// ---- API keys

#[test]
fn route_for_api_keys_needs_some() {
    let text = |carriers: &str, more: &str| {
        with(&format!(
            "  - {{ name: a, match: {{ path: /a }}, upstream: behind, \
             authenticate: [{carriers}] }}\n{more}"
        ))
    };
    let told = "there are no API keys. Add `api_keys: {}`, or remove this.";
    each_is_refused([
        (text("api_key", ""), format!("6: error: routes[1].authenticate[0]: {told}").as_str()),
        (
            text("bearer, api_key", ""),
            format!("6: error: routes[1].authenticate[1]: {told}").as_str(),
        ),
    ]);
    all_compile([text("api_key", "api_keys: {}"), text("bearer, api_key", "api_keys: {}")]);
    let problems = problems(text("api_key", "api_keys: { max_lifetime: 23h }"));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let ran = examine(text("api_key, bearer", "api_keys: {}"));
    assert!(ran.stdout.contains("api_key or bearer from idp\n"), "{ran:?}");
    let ran = examine(text("api_key", "api_keys: {}"));
    assert!(ran.stdout.contains("api_key\n"), "{ran:?}");
}

/// An API key is the gateway's own, like a session.
#[test]
fn issuers_mean_nothing_where_only_api_keys_are_taken() {
    let text = |carriers: &str| {
        with(&format!(
            "  - {{ name: a, match: {{ path: /a }}, upstream: behind, \
             authenticate: [{carriers}], issuers: [idp] }}\napi_keys: {{}}"
        ))
    };
    let told = "6: error: routes[1].issuers: `issuers` has no effect where no bearer token is \
                accepted. Remove it, or accept `bearer`.";
    each_is_refused([(text("api_key"), told)]);
    all_compile([text("api_key, bearer")]);
}

#[test]
fn api_keys_live_from_a_day_to_400() {
    let place = |time: &str| with(&format!("api_keys: {{ max_lifetime: {time} }}"));
    all_compile(["1d", "90d", "400d"].map(place));
    let told = "6: error: api_keys.max_lifetime: the lifetime is out of range. \
                Write 1d to 400d.";
    each_is_refused(["23h", "401d"].map(|time| (place(time), told)));
}

#[test]
fn api_keys_travel_in_a_header_of_their_own() {
    let place = |name: &str| with(&format!("api_keys: {{ header: '{name}' }}"));
    all_compile(["X-Api-Key", "apikey", "X-Service-Token"].map(place));
    for name in ["Authorization", "Cookie", "X_Request_Id", "Host"] {
        let told = format!(
            "6: error: api_keys.header: `{name}` is a header that HTTP or the gateway uses \
             itself. Choose a name such as X-Api-Key."
        );
        each_is_refused([(place(name), told.as_str())]);
    }
    each_is_refused([
        (
            place("x.auth.subject"),
            "6: error: api_keys.header: `x.auth.subject` already carries a part of the identity. \
             Choose another name.",
        ),
        (
            place(""),
            "6: error: api_keys.header: `` is not a header name. Write a name such as X-Api-Key.",
        ),
    ]);
}

// ---- how much

#[test]
fn identity_has_from_256_bytes_to_64_kib() {
    let place = |size: &str| with(&format!("limits: {{ identity_bytes: {size} }}"));
    all_compile(["256B", "8KiB", "64KiB"].map(place));
    each_is_refused([
        (
            place("255B"),
            "6: error: limits.identity_bytes: no identity would fit. Write 256B or more.",
        ),
        (
            place("65537B"),
            "6: error: limits.identity_bytes: the size is out of range. Write at most 64KiB.",
        ),
    ]);
}
