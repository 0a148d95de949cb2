//! How people log in, where they go then, and what that means for routes.

mod routes;

use super::*;

/// The section with these fields beside a way to log in.
fn login(fields: &str) -> String {
    with(&format!("login: {{ password_file: users.yaml, {fields} }}"))
}

/// Fields of a hand-off that compiles.
const HAND_OFF: [&str; 3] = ["upstream: behind", "path: /verify", "subject: /user/id"];

/// The section with a hand-off of these fields.
fn hand_off(fields: &str) -> String {
    with(&format!("login: {{ handoff: {{ {fields} }} }}"))
}

/// The usual hand-off, and more.
fn hand_off_and(more: &str) -> String {
    hand_off(&format!("{}, {more}", HAND_OFF.join(", ")))
}

fn route(fields: &str) -> String {
    format!("  - {{ name: a, match: {{ path: /a }}, upstream: behind, {fields} }}\n")
}

// ---- where

#[test]
fn base_is_a_plain_path() {
    let place = |base: &str| login(&format!("base: '{base}'"));
    all_compile(["/auth", "/a", "/my/account", "/~me", "/A-b_c/2"].map(place));
    for base in [
        "",
        "/",
        "auth",
        "/auth/",
        "//auth",
        "/my//account",
        "/a.b",
        "/..",
        "/./a",
        "/a b",
        "/%61",
        "/auth?a",
        "/auth#a",
        "/auth;a",
        "/{a}",
        "/{*rest}",
        "/*",
        "\\auth",
        "/\u{e9}",
        "https://app.test/auth",
    ] {
        let problem = format!(
            "6: error: login.base: `{base}` cannot be the path below which the gateway's pages are. \
             Write a path such as /auth, without a slash at its end."
        );
        each_is_refused([(place(base), problem.as_str())]);
    }
}

#[test]
fn issuer_is_up_to_255_bytes_of_anything() {
    let place = |issuer: &str| login(&format!("issuer: '{issuer}'"));
    let longest = "i".repeat(255);
    all_compile(["gateway", "https://gateway.test", "a b", &longest].map(place));
    let told =
        "6: error: login.issuer: the issuer must have 1 to 255 bytes. Write a name or a URL.";
    each_is_refused(["", &"i".repeat(256)].map(|issuer| (place(issuer), told)));
}

// ---- how

#[test]
fn there_is_one_way_to_log_in() {
    let hand_off = HAND_OFF.join(", ");
    all_compile([
        with("login: { password_file: users.yaml }"),
        with(&format!("login: {{ handoff: {{ {hand_off} }} }}")),
        // Nobody can.
        BASE.to_owned(),
    ]);
    let none = "6: error: login: no login method is given. \
                Add `password_file: users.yaml`, or `handoff`.";
    let both = "6: error: login.handoff: both `password_file` and `handoff` are given. \
                Keep `password_file` or `handoff`.";
    each_is_refused([
        (with("login: {}"), none),
        (with("login: { base: /auth }"), none),
        (login(&format!("handoff: {{ {hand_off} }}")), both),
    ]);
}

#[test]
fn way_to_log_in_that_cannot_be_read_is_not_called_missing_as_well() {
    each_is_refused([
        (
            with("login: { password_file: 7 }"),
            "6: error: login.password_file: found integer `7`. Write a string.",
        ),
        (
            with("login: { handoff: behind }"),
            "6: error: login.handoff: found string \"behind\". Write a mapping with named fields.",
        ),
    ]);
}

#[test]
fn hand_off_needs_an_upstream_a_path_and_a_subject() {
    all_compile([hand_off(&HAND_OFF.join(", "))]);
    let without = |position: usize| {
        let mut fields = HAND_OFF.to_vec();
        fields.remove(position);
        hand_off(&fields.join(", "))
    };
    let missing = |field: &str, remedy: &str| {
        format!("6: error: login.handoff.{field}: the field is missing. {remedy}.")
    };
    for (position, problem) in [
        missing("upstream", "Write one of: behind"),
        missing("path", "Write a path such as /verify"),
        missing("subject", "Write its JSON pointer, such as /user/id"),
    ]
    .iter()
    .enumerate()
    {
        each_is_refused([(without(position), problem.as_str())]);
    }
    let problems = problems(with("login: { handoff: {} }"));
    let fields: Vec<_> = problems.iter().map(|problem| problem.split(": ").nth(2)).collect();
    let expected = ["path", "subject", "upstream"].map(|field| format!("login.handoff.{field}"));
    assert_eq!(fields, expected.each_ref().map(|field| Some(field.as_str())), "{problems:#?}");
}

#[test]
fn hand_off_goes_to_an_upstream_that_there_is() {
    let told = "6: error: login.handoff.upstream: there is no upstream `beside`. \
                Write one of: behind.";
    each_is_refused([(hand_off("upstream: beside, path: /verify, subject: /id"), told)]);
}

/// An upstream that is wrong is told once, where it is.
#[test]
fn hand_off_to_a_broken_upstream_is_not_called_unknown() {
    let broken = with_upstream("peers: []");
    let text = format!("{broken}login: {{ handoff: {{ {} }} }}\n", HAND_OFF.join(", "));
    let problems = problems(text);
    assert!(problems.iter().all(|problem| problem.starts_with("2: ")), "{problems:#?}");
}

#[test]
fn hand_off_has_a_path_as_it_is_sent() {
    let place = |path: &str| hand_off(&format!("upstream: behind, path: '{path}', subject: /id"));
    all_compile(["/", "/verify", "/v1/users:verify", "/verify?realm=a", "/a%20b"].map(place));
    for (path, fact) in [
        ("", "the target does not start with a slash"),
        ("verify", "the target does not start with a slash"),
        ("http://identity.test/verify", "the target does not start with a slash"),
        ("/a b", "the target holds a character that must be encoded"),
        ("/a#b", "the target holds a character that must be encoded"),
        ("/\u{e9}", "the target holds a character that must be encoded"),
        ("/a%zz", "the target holds a malformed escape, or an escape of a forbidden character"),
        ("/a/../b", "the path holds a dot segment"),
    ] {
        let problem = format!("6: error: login.handoff.path: {fact}. Write a path as it is sent.");
        each_is_refused([(place(path), problem.as_str())]);
    }
}

#[test]
fn parts_of_the_answer_are_found_by_json_pointers() {
    all_compile(
        [
            "roles: /user/roles, scopes: /scopes, claims: { email: /user/email, org: /orgs/0/id }",
            "roles: /a~1b/c~0d",
            "claims: {}",
        ]
        .map(hand_off_and),
    );
    let told = |field: &str, pointer: &str| {
        format!(
            "6: error: login.handoff.{field}: `{pointer}` is not a JSON pointer. \
             Write its place in the answer, such as /user/id."
        )
    };
    for pointer in ["", "user", "user/id", "$.user.id", "#/user/id", " /user/id"] {
        for field in ["roles", "scopes"] {
            let text = hand_off_and(&format!("{field}: '{pointer}'"));
            each_is_refused([(text, told(field, pointer).as_str())]);
        }
        let text = hand_off_and(&format!("claims: {{ email: '{pointer}', org: /org }}"));
        each_is_refused([(text, told("claims.email", pointer).as_str())]);
        let text = hand_off(&format!("upstream: behind, path: /verify, subject: '{pointer}'"));
        each_is_refused([(text, told("subject", pointer).as_str())]);
    }
}

#[test]
fn identity_service_has_up_to_a_minute() {
    let place = |value: &str| hand_off_and(&format!("timeout: {value}"));
    all_compile(["1ms", "3s", "60s", "1m"].map(place));
    for (value, told) in [
        ("61s", "the time is longer than a minute. Write 60s or less."),
        ("60001ms", "the time is longer than a minute. Write 60s or less."),
        (
            "0s",
            "`0s` is not a duration. Write a whole number and a unit: 250ms, 30s, 15m, 12h, 7d.",
        ),
    ] {
        let problem = format!("6: error: login.handoff.timeout: {told}");
        each_is_refused([(place(value), problem.as_str())]);
    }
}

#[test]
fn refusal_of_the_identity_service_is_told_in_two_ways() {
    let place = |value: &str| hand_off_and(&format!("on_failure: {value}"));
    all_compile(["own", "pass_through"].map(place));
    let told = "6: error: login.handoff.on_failure: `pass` is not known. \
                Write one of: own, pass_through.";
    each_is_refused([(place("pass"), told)]);
}

// ---- and then

#[test]
fn one_returns_to_an_origin_or_to_a_whole_url() {
    let place = |text: &str| login(&format!("return_to: ['{text}']"));
    all_compile(
        [
            "https://app.test",
            "http://localhost:3000",
            "https://app.test:8443/callback",
            "https://app.test/",
            "https://app.test/callback?from=gateway",
            "https://[::1]:8443/a",
        ]
        .map(place),
    );
    for text in [
        "",
        "/",
        "/home",
        "//app.test",
        "app.test",
        "https://",
        "https:///path",
        "*",
        "https://*.app.test",
        "https://app.test/*#",
        "https://app.test?a=b",
        "https://app.test#a",
        "https://app.test/a#b",
        "https://app.test:443",
        "https://app.test:443/callback",
        "https://app.test:",
        "https://App.test/callback",
        "HTTPS://app.test/callback",
        "https://app.test.",
        "https://me@app.test",
        "https://me:secret@app.test/callback",
        "https://app.test@evil.test",
        "https://app.test\\@evil.test",
        "https://app.test\\",
        "https://app.test /",
        "https://app.test/a b",
        "https://app.test/../a",
        "https://app.test/%2e%2e/a",
        "https://app.test/\u{e9}",
        "javascript:alert(1)",
        "javascript://app.test/%0aalert(1)",
        "data:text/html,a",
        "ftp://app.test",
    ] {
        let problem = format!(
            "6: error: login.return_to[0]: `{text}` is neither an origin nor a URL. \
             Write https://app.example for all of its pages, or the whole URL of one."
        );
        each_is_refused([(place(text), problem.as_str())]);
    }
    all_compile([login("return_to: []")]);
}

#[test]
fn attempts_are_a_number_in_a_time() {
    for field in ["per_account", "per_address", "successes_per_account", "successes_per_address"] {
        let place = |value: &str| login(&format!("attempts: {{ {field}: {value} }}"));
        all_compile(
            ["1/1s", "10/15m", "100/1h", "1000000/24h", "10/1d", "10/86400s", "10 / 15m"]
                .map(place),
        );
        for value in [
            "0/15m",
            "1000001/15m",
            "-1/15m",
            "99999999999/15m",
            "ten/15m",
            "10",
            "10/",
            "/15m",
            "10/15",
            "10/0s",
            "10/999ms",
            "10/86401s",
            "10/25h",
            "10/2d",
            "10/15m/1h",
            "10 per 15m",
            "1.5/15m",
            "10:15m",
        ] {
            let problem = format!(
                "6: error: login.attempts.{field}: `{value}` is not a number of attempts and a \
                 time. Write a number and a time of up to a day, such as 10/15m."
            );
            each_is_refused([(place(&format!("'{value}'")), problem.as_str())]);
        }
    }
}
