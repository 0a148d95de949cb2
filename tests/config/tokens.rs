//! What the gateway itself issues: as whom, with which keys, for how long.

mod signing;

use super::*;

/// Fields without which there are no tokens.
const ISSUER: &str = "issuer: https://gateway.test";
const ACCESS: &str = "access: { audiences: [a] }";

/// The section with these fields beside what it needs.
fn issuing(fields: &str) -> String {
    with(&format!("tokens: {{ {ISSUER}, {ACCESS}, {fields} }}"))
}

fn issued_by(issuer: &str) -> String {
    with(&format!("tokens: {{ issuer: '{issuer}', {ACCESS} }}"))
}

fn signing(fields: &str) -> String {
    issuing(&format!("signing: {{ {fields} }}"))
}

fn access(fields: &str) -> String {
    with(&format!("tokens: {{ {ISSUER}, access: {{ audiences: [a], {fields} }} }}"))
}

fn refresh(fields: &str) -> String {
    issuing(&format!("refresh: {{ {fields} }}"))
}

/// A route that accepts what these issuers issue.
fn accepting(issuers: &str) -> String {
    format!(
        "  - {{ name: a, match: {{ path: /a }}, upstream: behind, authenticate: [bearer], \
         issuers: [{issuers}] }}\n"
    )
}

// ---- as whom

#[test]
fn tokens_need_an_issuer_and_an_audience() {
    all_compile([issuing("")]);
    let issuer = "6: error: tokens.issuer: the field is missing. Write https://host or \
                  https://host/path, in lower case and without default port; http:// is for \
                  loopback addresses only.";
    let audience = "6: error: tokens.access.audiences: there is no audience. \
                    List the services that access tokens are for.";
    each_is_refused([
        (with(&format!("tokens: {{ {ACCESS} }}")), issuer),
        (with(&format!("tokens: {{ {ISSUER} }}")), audience),
        (with(&format!("tokens: {{ {ISSUER}, access: {{ audiences: [] }} }}")), audience),
        (
            with(&format!("tokens: {{ {ISSUER}, access: {{ audiences: [a, ''] }} }}")),
            "6: error: tokens.access.audiences[1]: the audience is empty. \
             Write the name of a service.",
        ),
        (
            with(&format!("tokens: {{ {ISSUER}, access: {{ audiences: [7] }} }}")),
            "6: error: tokens.access.audiences[0]: found integer `7`. Write a string.",
        ),
    ]);
}

#[test]
fn issuer_of_tokens_is_a_url_that_can_be_written_in_one_way_only() {
    let longest = format!("https://gateway.test/{}", "i".repeat(255 - 21));
    all_compile(
        [
            "https://gateway.test",
            "https://gateway.test:8443",
            "https://gateway.test/tenants/a-1",
            "https://192.0.2.7",
            "https://[2001:db8::1]:8443",
            "http://localhost:8080",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            &longest,
        ]
        .map(issued_by),
    );
    let told = |issuer: &str| {
        format!(
            "6: error: tokens.issuer: `{issuer}` cannot be an issuer. Write https://host or \
             https://host/path, in lower case and without default port; http:// is for loopback \
             addresses only."
        )
    };
    for issuer in [
        "",
        "gateway",
        "gateway.test",
        "https://",
        "https:///a",
        "ftp://gateway.test",
        "HTTPS://gateway.test",
        "https://Gateway.test",
        "https://gateway.test.",
        "https://gateway.test:443",
        "https://gateway.test:0",
        "https://us@gateway.test",
        "https://gateway.test?a=b",
        "https://gateway.test/a?b",
        "https://gateway.test#a",
        "https://gateway.test/a#b",
        "https://gateway.test//a",
        "https://gateway.test/./a",
        "https://gateway.test/a/..",
        "https://gateway.test/%61",
        "https://gateway.test/a b",
        "https://gateway.test/a;b",
        &format!("{longest}i"),
    ] {
        each_is_refused([(issued_by(issuer), told(issuer).as_str())]);
    }
    // Whoever knows a password could use it.
    let told = told("https://us:…@gateway.test");
    each_is_refused([(issued_by("https://us:hidden@gateway.test"), told.as_str())]);
}

#[test]
fn issuer_of_tokens_has_no_slash_at_its_end() {
    for issuer in ["https://gateway.test", "https://gateway.test/a", "http://localhost:8080"] {
        let told = format!(
            "6: error: tokens.issuer: it ends with a slash. Issuers are compared byte for byte. \
             Write `{issuer}`."
        );
        each_is_refused([(issued_by(&format!("{issuer}/")), told.as_str())]);
    }
}

#[test]
fn issuer_of_tokens_is_reached_in_the_clear_on_this_machine_only() {
    let told = "6: error: tokens.issuer: others could replace the keys, which are fetched there \
                without TLS. Write https://host or https://host/path, in lower case and without \
                default port; http:// is for loopback addresses only.";
    each_is_refused(
        ["http://gateway.test", "http://127.0.0.2:8080", "http://localhost.test", "http://[::2]"]
            .map(|issuer| (issued_by(issuer), told)),
    );
}

#[test]
fn gateway_is_an_issuer_that_routes_may_name_and_accept_unless_they_say_otherwise() {
    let tokens = format!("tokens: {{ {ISSUER}, {ACCESS} }}");
    all_compile([with(&(accepting("gateway, idp") + &tokens))]);
    let ran = examine(with(&(accepting("gateway") + &tokens)));
    assert!(ran.stdout.contains("bearer from gateway\n"), "{ran:?}");
    // And alone it is enough.
    let alone = replace_line(3, "").replace("public: true", "authenticate: [bearer]");
    let ran = examine(format!("{alone}{tokens}\n"));
    assert!(ran.code == 0 && ran.stdout.contains("bearer from gateway\n"), "{ran:?}");
    let told = "6: error: routes[1].issuers[0]: there is no issuer `gateway`. Write one of: idp.";
    each_is_refused([(with(&accepting("gateway")), told)]);
}

/// That there is a section was seen; what is wrong with it is told, and nothing else.
#[test]
fn gateway_whose_tokens_are_wrong_is_an_issuer_all_the_same() {
    for section in ["tokens: yes", "tokens: { access: { audiences: [a] } }"] {
        let problems = problems(with(&(accepting("gateway") + section)));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with("7: error: tokens"), "{problems:#?}");
    }
}

#[test]
fn no_other_issuer_can_be_taken_for_the_gateway() {
    let other = |name: &str, issuer: &str| {
        let text = BASE.replace("name: idp", &format!("name: {name}"));
        text.replace("https://idp.test", issuer)
    };
    let tokens = format!("tokens: {{ {ISSUER}, {ACCESS} }}\n");
    let name = "3: error: issuers[0].name: `gateway` is the issuer of the gateway's own tokens. \
                Choose another name.";
    let issuer = "3: error: issuers[0].issuer: the gateway itself is this issuer. \
                  Remove the entry: its own tokens are accepted without.";
    each_is_refused([
        (other("gateway", "https://idp.test") + &tokens, name),
        (other("idp", "https://gateway.test") + &tokens, issuer),
    ]);
    // Without tokens these are names like any other.
    all_compile([
        other("gateway", "https://idp.test"),
        other("idp", "https://gateway.test"),
        other("gateways", "https://gateway.test:8443") + &tokens,
    ]);
}

#[test]
fn logins_have_the_issuer_of_the_tokens() {
    let login =
        |issuer: &str| issuing("") + &format!("login: {{ password_file: users.yaml, {issuer} }}\n");
    all_compile([login(""), login("issuer: https://gateway.test")]);
    let told = "7: error: login.issuer: a logout would not revoke the tokens, which have another \
                issuer. Remove it, or write `https://gateway.test`.";
    each_is_refused([
        (login("issuer: gateway"), told),
        (login("issuer: https://gateway.test/"), told),
    ]);
}

#[test]
fn route_cannot_be_where_keys_and_metadata_are() {
    let at = |path: &str| {
        format!("  - {{ name: a, match: {{ path: '{path}' }}, upstream: behind, public: true }}\n")
    };
    let tokens = "tokens: { issuer: https://gateway.test/t, access: { audiences: [a] } }";
    let told = "6: error: routes[1].match.path: the gateway answers this path itself, so no \
                request would reach the route. Choose another path";
    for path in [
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/t",
    ] {
        each_is_refused([(with(&(at(path) + tokens)), format!("{told}.").as_str())]);
        all_compile([with(&at(path))]);
    }
    // Without a login, too.
    for path in ["/auth", "/auth/token", "/auth/{*rest}"] {
        let told = format!("{told}, or another `login.base`.");
        each_is_refused([(with(&(at(path) + tokens)), told.as_str())]);
    }
    all_compile(
        [
            "/.well-known/{name}",
            "/.well-known/security.txt",
            "/.well-known/oauth-authorization-server/other",
            "/.well-known/oauth-authorization-server/t/more",
            "/.well-known/jwks.json/more",
            "/authors",
        ]
        .map(|path| with(&(at(path) + tokens))),
    );
}

// ---- for how long

#[test]
fn access_tokens_live_from_a_second_to_a_day() {
    let place = |time: &str| access(&format!("lifetime: {time}"));
    all_compile(["1s", "15m", "24h"].map(place));
    let long =
        "6: error: tokens.access.lifetime: the time is longer than a day. Write 24h or less.";
    let short =
        "6: error: tokens.access.lifetime: the time is shorter than a second. Write 1s or more.";
    each_is_refused([
        (place("1441m"), long),
        (place("999ms"), short),
        (place("15"), "6: error: tokens.access.lifetime: found integer `15`. Write a string."),
    ]);
}

#[test]
fn claims_of_access_tokens_are_names_that_the_gateway_leaves_to_logins() {
    let place = |claims: &str| access(&format!("claims: [{claims}]"));
    all_compile([place(""), place("email, tenant, 'https://gateway.test/level'")]);
    for name in [
        "iss",
        "aud",
        "sub",
        "exp",
        "iat",
        "nbf",
        "jti",
        "client_id",
        "azp",
        "sid",
        "auth_time",
        "scope",
        "scp",
        "roles",
        "idp",
        "act",
        "cnf",
    ] {
        let told = format!(
            "6: error: tokens.access.claims[1]: `{name}` is a claim that the gateway sets itself. Remove it."
        );
        each_is_refused([(place(&format!("email, {name}")), told.as_str())]);
    }
    each_is_refused([
        (
            place("email, tenant, email"),
            "6: error: tokens.access.claims[2]: there already is a claim `email`. Remove one.",
        ),
        (
            place("''"),
            "6: error: tokens.access.claims[0]: the name of the claim is empty. \
             Write a name such as email.",
        ),
        (
            place("/org/id"),
            "6: error: tokens.access.claims[0]: `/org/id` is a JSON pointer, not the name of a claim. \
             Write a name such as email.",
        ),
    ]);
}

#[test]
fn refresh_tokens_live_for_30_days_at_most() {
    all_compile([refresh("absolute: 30d"), refresh("absolute: 7d"), refresh("idle: 30d")]);
    all_compile([refresh("idle: 1s, absolute: 1s")]);
    let long =
        "6: error: tokens.refresh.absolute: the time is longer than 30 days. Write 30d or less.";
    let idle = "6: error: tokens.refresh.idle: it is longer than `absolute`, which ends the \
                refresh token first. Write no more than `absolute`.";
    each_is_refused([
        (refresh("absolute: 721h"), long),
        (refresh("idle: 721h"), idle),
        (refresh("absolute: 167h"), idle),
        (refresh("idle: 2h, absolute: 1h"), idle),
    ]);
}

#[test]
fn refresh_token_that_was_used_is_good_for_a_minute_at_most() {
    let place = |time: &str| refresh(&format!("rotation_grace: {time}"));
    all_compile(["0s", "1ms", "10s", "60s"].map(place));
    let told = "6: error: tokens.refresh.rotation_grace: a stolen refresh token works for as \
                long. Write 60s or less.";
    each_is_refused([(place("60001ms"), told)]);
    each_is_refused([(
        place("0m"),
        "6: error: tokens.refresh.rotation_grace: `0m` is not a duration. \
         Write a whole number and a unit: 250ms, 30s, 15m, 12h, 7d.",
    )]);
}

#[test]
fn every_part_of_the_section_is_told_of_at_once() {
    let text = with(
        "tokens:\n  issuer: http://gateway.test\n  signing: { algorithm: none, publish_before: 1s }\n  \
         access: { lifetime: 25h }\n  refresh: { absolute: 31d, rotation_grace: 2m }",
    );
    let problems = problems(text);
    let place = |told: &'_ str| {
        let (line, rest) = told.split_once(" error: ").expect("an error");
        format!("{line} {}", rest.split(": ").next().unwrap_or_default())
    };
    let places: Vec<_> = problems.iter().map(|told| place(told)).collect();
    let expected = [
        "7: tokens.issuer",
        "8: tokens.signing.algorithm",
        "8: tokens.signing.publish_before",
        "9: tokens.access.audiences",
        "9: tokens.access.lifetime",
        "10: tokens.refresh.absolute",
        "10: tokens.refresh.rotation_grace",
    ];
    assert_eq!(places, expected, "{problems:#?}");
}
