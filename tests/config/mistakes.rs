//! One file with every kind of mistake, and what is told about it.

use super::*;

#[test]
fn every_mistake_is_named_in_one_run_with_its_line_and_remedy() {
    let directory = directory();
    put(directory.path(), "short.key", "five!");
    put(directory.path(), "large.key", vec![b'k'; (1 << 20) + 1]);
    let ran = examine_in(directory.path(), include_str!("mistakes.yaml"), &[]);
    let expected: Vec<_> = include_str!("mistakes.txt").lines().collect();
    let problems = problems_of(&ran);
    for (found, expected) in problems.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

/// Nothing that is wrong is hidden by something else that is wrong: each of these has two mistakes.
#[track_caller]
fn both_are_named(text: &str, fields: [&str; 2]) {
    let problems = problems(text);
    for field in fields {
        assert!(problems.iter().any(|problem| problem.contains(field)), "{field}: {problems:#?}");
    }
}

#[test]
fn ambiguous_routes_are_named_beside_another_mistake() {
    let text = with(
        "  - { name: by-id, match: { path: '/v/{id}' }, upstream: behind, public: true }\n  \
         - { name: by-name, match: { path: '/v/{name}' }, upstream: behind, public: true }\n  \
         - { name: lost, match: { path: /w }, upstream: nowhere, public: true }",
    );
    both_are_named(&text, [" routes[2].match: ", " routes[3].upstream: "]);
}

#[test]
fn bad_path_pattern_is_named_beside_another_mistake() {
    let text = with(
        "  - { name: bad, match: { path: '/{*rest}/a' }, upstream: behind, public: true }\n  \
         - { name: lost, match: { path: /w }, upstream: nowhere, public: true }",
    );
    both_are_named(&text, [" routes[1].match.path: ", " routes[2].upstream: "]);
}

#[test]
fn bad_keys_are_named_beside_bad_algorithms() {
    let text = with_issuer("algorithms: [none], keys: { public_key_file: missing.pem }");
    both_are_named(&text, [" issuers[0].algorithms[0]: ", " issuers[0].keys.public_key_file: "]);
}

#[test]
fn everything_that_an_issuer_lacks_is_named() {
    let problems = problems(replace_line(3, "issuers: [{}]"));
    let fields: Vec<_> = problems.iter().map(|problem| problem.split(": ").nth(2)).collect();
    let lacking = ["algorithms", "audiences", "issuer", "keys", "name"];
    let lacking = lacking.map(|field| format!("issuers[0].{field}"));
    assert_eq!(fields, lacking.each_ref().map(|field| Some(field.as_str())), "{problems:#?}");
}

#[test]
fn bad_url_is_named_beside_a_bad_authority() {
    let text = with_issuer(
        "algorithms: [ES256], keys: { jwks_url: http://idp.test/keys, ca_file: missing.pem }",
    );
    both_are_named(&text, [" issuers[0].keys.jwks_url: ", " issuers[0].keys.ca_file: "]);
}

#[test]
fn bad_server_name_is_named_beside_a_bad_authority() {
    let text = with_upstream(
        "peers: ['127.0.0.1:1'], tls: { server_name: 'not a host', ca_file: missing.pem }",
    );
    both_are_named(
        &text,
        [" upstreams.behind.tls.server_name: ", " upstreams.behind.tls.ca_file: "],
    );
}

#[test]
fn repeated_listener_is_named_beside_its_broken_tls() {
    let text = replace_line(
        1,
        "listeners: [{ address: '127.0.0.1:8443', tls: {} }, { address: '127.0.0.1:8443' }]",
    );
    both_are_named(&text, [" listeners[0].tls.certificates: ", " listeners[1].address: "]);
}

#[test]
fn value_of_the_wrong_type_is_not_called_missing_as_well() {
    let policy = "  - { name: a, match: { path: /a }, upstream: behind, public: 'true' }";
    let keys = "algorithms: [ES256], keys: { jwks_url: 5 }";
    each_is_refused([
        (with(policy), "6: error: routes[1].public: found string \"true\". Write a boolean."),
        (
            with_issuer(keys),
            "3: error: issuers[0].keys.jwks_url: found integer `5`. Write a string.",
        ),
    ]);
}

#[test]
fn variable_that_is_not_set_is_the_only_thing_told_of_its_value() {
    let text = with_issuer("algorithms: [HS256], keys: { secret: '${PORTCULLIS_TEST_UNSET}' }");
    each_is_refused([(
        text,
        "3: error: issuers[0].keys.secret: the environment variable `PORTCULLIS_TEST_UNSET` is \
         not set. Set it, or write `$${…}` for the characters themselves.",
    )]);
}

#[test]
fn more_mistakes_than_are_told_do_not_make_others_up() {
    let unknown: String = (0..150).map(|number| format!("unknown-{number}: 1\n")).collect();
    let problems = problems(with(&unknown));
    assert!(problems.len() >= 100, "{problems:#?}");
    // There is a listener, and there is a route.
    let made_up: Vec<_> = problems.iter().filter(|problem| !problem.contains("unknown-")).collect();
    assert!(made_up.is_empty(), "{made_up:#?}");
}

#[test]
fn thousands_of_mistakes_are_told_within_seconds() {
    let routes: String = (0..3000)
        .map(|number| {
            format!("  - {{ name: r{number}, match: {{ path: /{number} }}, upstream: x, public: true }}\n")
        })
        .collect();
    let begun = std::time::Instant::now();
    let problems = problems(with(&routes));
    let took = begun.elapsed();
    // Nobody reads all of them; but it must not look as if there were only a few.
    assert!(problems.len() >= 100, "{problems:#?}");
    assert!(took.as_secs() < 15, "it took {took:?}");
}
