//! How long sessions live and rest, the cookie that carries them, and who else may send it.

use super::*;

fn sessions(fields: &str) -> String {
    with(&format!("sessions: {{ {fields} }}"))
}

fn cookie(fields: &str) -> String {
    sessions(&format!("cookie: {{ {fields} }}"))
}

/// Each value of a field has exactly this problem.
#[track_caller]
fn values_are_refused<const COUNT: usize>(
    text: impl Fn(&str) -> String,
    field: &str,
    values: [&str; COUNT],
    told: impl Fn(&str) -> String,
) {
    for value in values {
        let problem = format!("6: error: sessions.{field}: {}", told(value));
        each_is_refused([(text(value), problem.as_str())]);
    }
}

const NO_DURATION: &str =
    "is not a duration. Write a whole number and a unit: 250ms, 30s, 15m, 12h, 7d.";

#[test]
fn section_may_be_left_out_or_empty() {
    all_compile([BASE.to_owned(), with("sessions: {}"), cookie("")]);
}

// ---- times

#[test]
fn session_lives_for_a_second_to_thirty_days() {
    let place = |value: &str| sessions(&format!("idle_timeout: 1s, absolute_timeout: {value}"));
    all_compile(["1s", "1000ms", "12h", "30d", "720h", "2592000s"].map(place));
    let field = "absolute_timeout";
    values_are_refused(place, field, ["31d", "721h", "2592001s", "36500d"], |_| {
        "the time is longer than 30 days. Write 30d or less.".to_owned()
    });
    values_are_refused(place, field, ["0s", "12", "'-1s'", "for ever"], |value| match value {
        "12" => "found integer `12`. Write a string.".to_owned(),
        _ => format!("`{}` {NO_DURATION}", value.trim_matches('\'')),
    });
}

#[test]
fn session_rests_for_a_second_up_to_its_life() {
    let place = |value: &str| sessions(&format!("absolute_timeout: 2h, idle_timeout: {value}"));
    all_compile(["1s", "30m", "7200s", "2h"].map(place));
    values_are_refused(place, "idle_timeout", ["7201s", "3h", "30d"], |_| {
        "it is longer than `absolute_timeout`, which ends the session first. \
         Write no more than `absolute_timeout`."
            .to_owned()
    });
    values_are_refused(place, "idle_timeout", ["999ms", "1ms"], |_| {
        "the time is shorter than a second. Write 1s or more.".to_owned()
    });
    values_are_refused(place, "idle_timeout", ["0s", "never"], |value| {
        format!("`{value}` {NO_DURATION}")
    });
}

/// Whoever shortens one of the two is told of the other, which has a default.
#[test]
fn defaults_are_half_an_hour_and_twelve() {
    all_compile([sessions("absolute_timeout: 30m"), sessions("idle_timeout: 12h")]);
    let told = "6: error: sessions.idle_timeout: it is longer than `absolute_timeout`, which ends \
                the session first. Write no more than `absolute_timeout`.";
    each_is_refused([
        (sessions("absolute_timeout: 1799s"), told),
        (sessions("idle_timeout: 43201s"), told),
    ]);
}

#[test]
fn life_that_is_too_long_is_named_beside_a_rest_that_is_longer_still() {
    let problems = problems(sessions("absolute_timeout: 31d, idle_timeout: 32d"));
    let fields: Vec<_> = problems.iter().map(|problem| problem.split(": ").nth(2)).collect();
    let expected = [Some("sessions.absolute_timeout"), Some("sessions.idle_timeout")];
    assert_eq!(fields, expected, "{problems:#?}");
}

#[test]
fn session_is_believed_for_a_second_to_an_hour() {
    let place = |value: &str| sessions(&format!("recheck: {value}"));
    all_compile(["1s", "1000ms", "5s", "60m", "1h"].map(place));
    values_are_refused(place, "recheck", ["3601s", "61m", "2h"], |_| {
        "the time is longer than an hour. Write 1h or less.".to_owned()
    });
    values_are_refused(place, "recheck", ["999ms"], |_| {
        "the time is shorter than a second. Write 1s or more.".to_owned()
    });
    values_are_refused(place, "recheck", ["0s"], |value| format!("`{value}` {NO_DURATION}"));
}

#[test]
fn cache_has_a_size() {
    let place = |value: &str| sessions(&format!("cache_size: {value}"));
    all_compile(["1B", "64KiB", "256MiB", "4GiB"].map(place));
    values_are_refused(place, "cache_size", ["0B", "256MB", "1.5GiB", "large"], |value| {
        format!(
            "`{value}` is not a size. Write a whole number and a unit: 512B, 64KiB, 1MiB, 1GiB."
        )
    });
}

// ---- the cookie

#[test]
fn cookie_has_a_name_that_can_be_one() {
    let place = |name: &str| cookie(&format!("name: '{name}'"));
    let longest = format!("__Host-{}", "n".repeat(57));
    all_compile(
        ["__Host-sid", "__host-sid", "__HOST-a.b_c-d", "__Host-!#$%&*+^`|~", &longest].map(place),
    );
    let too_long = format!("{longest}n");
    for name in ["", "a b", "a;b", "a=b", "a,b", "\"a\"", "(a)", "sid\u{e9}", "a\tb", &too_long] {
        let problem = format!(
            "6: error: sessions.cookie.name: `{name}` cannot be the name of a cookie. \
             Use letters, digits, `-` and `_`."
        );
        each_is_refused([(place(name), problem.as_str())]);
    }
}

#[test]
fn name_of_the_refresh_cookie_is_taken() {
    for name in ["__Host-refresh", "__host-Refresh"] {
        let problem = format!(
            "6: error: sessions.cookie.name: `{name}` is the cookie of refresh tokens. \
             Choose another name."
        );
        each_is_refused([(cookie(&format!("name: {name}")), problem.as_str())]);
    }
    all_compile([cookie("name: __Host-refreshed")]);
}

/// Anybody who has another host of the domain could log somebody in as themselves.
#[test]
fn cookie_that_others_can_plant_is_a_warning() {
    for name in ["sid", "__Secure-sid", "__Hostile", "Host-sid"] {
        assert_eq!(
            warnings(cookie(&format!("name: {name}"))),
            [
                "6: warning: sessions.cookie.name: without `__Host-`, another host of the domain can \
              set this cookie. Begin the name with `__Host-`."
            ],
            "{name}"
        );
    }
    // Where hosts are meant to share it there is nothing to warn of.
    all_compile(
        ["sid", "__Secure-sid"].map(|name| cookie(&format!("name: {name}, domain: app.test"))),
    );
}

/// RFC 6265bis §4.1.3: browsers drop such a cookie without a word, and nobody can log in.
#[test]
fn name_that_browsers_would_refuse_is_refused() {
    for (name, others) in [
        ("__Host-sid", "domain: app.test"),
        ("__HOST-sid", "domain: app.test"),
        ("__Host-sid", "dangerous_insecure: true"),
        ("__host-sid", "dangerous_insecure: true"),
        ("__Host-sid", "domain: app.test, dangerous_insecure: true"),
        ("__Secure-sid", "dangerous_insecure: true"),
        ("__secure-sid", "domain: app.test, dangerous_insecure: true"),
    ] {
        let problem = format!(
            "6: error: sessions.cookie.name: browsers refuse a cookie named `{name}` with these \
             settings. Leave the prefix out, or `domain` and dangerous_insecure."
        );
        let text = cookie(&format!("name: {name}, {others}"));
        each_is_refused([(text, problem.as_str())]);
    }
    all_compile([
        cookie("name: __Host-sid, dangerous_insecure: false"),
        cookie("dangerous_insecure: true"),
        cookie("domain: app.test"),
        cookie("domain: app.test, dangerous_insecure: true, name: sid"),
    ]);
}

#[test]
fn domain_is_one_that_hosts_can_share() {
    let place = |domain: &str| cookie(&format!("domain: '{domain}'"));
    all_compile(["app.test", "a.b.app.test", "xn--bcher-kva.example", "10.example"].map(place));
    values_are_refused(
        |domain| place(domain),
        "cookie.domain",
        [
            "",
            ".",
            "localhost",
            "test",
            ".app.test",
            "app.test.",
            "app..test",
            "App.test",
            "app.test:443",
            "https://app.test",
            "*.app.test",
            "me@app.test",
            "app.test/",
            "app .test",
            "app.test; Secure",
            "10.0.0.1",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "b\u{fc}cher.example",
        ],
        |domain| format!("`{domain}` is not a domain. Write a domain such as example.com."),
    );
}

#[test]
fn cookie_is_kept_from_other_sites_or_not() {
    let place = |value: &str| cookie(&format!("same_site: {value}"));
    all_compile(["strict", "lax", "none"].map(place));
    values_are_refused(place, "cookie.same_site", ["Lax", "None", "''", "off"], |value| {
        format!("`{}` is not known. Write one of: strict, lax, none.", value.trim_matches('\''))
    });
}

/// Browsers refuse `SameSite=None` without `Secure`.
#[test]
fn cookie_for_all_sites_travels_over_https_only() {
    let told = "6: error: sessions.cookie.same_site: browsers accept `SameSite=None` over HTTPS only. \
                Write lax, or remove dangerous_insecure.";
    each_is_refused([(cookie("same_site: none, dangerous_insecure: true"), told)]);
    all_compile([
        cookie("same_site: none, dangerous_insecure: false"),
        cookie("same_site: lax, dangerous_insecure: true"),
        cookie("same_site: strict, dangerous_insecure: true"),
    ]);
}

// ---- origins

#[test]
fn origin_is_written_as_browsers_write_it() {
    let place = |origin: &str| sessions(&format!("allowed_origins: ['{origin}']"));
    all_compile(
        [
            "https://app.test",
            "http://app.test",
            "http://localhost:3000",
            "https://app.test:8443",
            "https://app.test:80",
            "http://app.test:443",
            "https://app.test:65535",
            "https://10.0.0.1",
            "https://[::1]",
            "https://[::1]:8443",
            "https://xn--bcher-kva.example",
        ]
        .map(place),
    );
    values_are_refused(
        |origin| place(origin),
        "allowed_origins[0]",
        [
            "",
            "*",
            "null",
            "app.test",
            "//app.test",
            "https://",
            "HTTPS://app.test",
            "https://App.test",
            "https://app.test/",
            "https://app.test/path",
            "https://app.test?a",
            "https://app.test#a",
            "https://app.test.",
            "https://app.test.:8443",
            "https://app.test:443",
            "http://app.test:80",
            "https://app.test:",
            "https://app.test:0",
            "https://app.test:08443",
            "https://app.test:65536",
            "https://app.test:8443:8443",
            "https://[::1]:443",
            "https://[::1",
            "https://me@app.test",
            "https://*.app.test",
            "https://app.test https://b.test",
            "wss://app.test",
            "file://app.test",
            "https:/app.test",
            "https:app.test",
        ],
        |origin| {
            format!(
                "`{origin}` is not an origin. Write https://app.example, in lower case, without \
                 path and default port."
            )
        },
    );
}

#[test]
fn each_origin_is_named_by_its_place() {
    let text = sessions("allowed_origins: [app.test, https://app.test, 'https://b.test/']");
    let problems = problems(text);
    let fields: Vec<_> = problems.iter().map(|problem| problem.split(": ").nth(2)).collect();
    let expected = [0, 2].map(|index| format!("sessions.allowed_origins[{index}]"));
    assert_eq!(fields, expected.each_ref().map(|field| Some(field.as_str())), "{problems:#?}");
    all_compile([sessions("allowed_origins: []")]);
}
