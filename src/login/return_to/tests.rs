use proptest::prelude::*;
use url::Url;

use super::*;
use crate::config::login::{LoginMethod, Users};
use crate::store::attempts::AttemptBudget;

fn login() -> Login {
    let budget = AttemptBudget { attempts_max: 10, span_s: 900 };
    Login {
        base: "/auth".into(),
        issuer: "gateway".into(),
        method: LoginMethod::PasswordFile(Users::default()),
        return_to: vec![
            "https://app.example".into(),
            "http://app.example:8080".into(),
            "https://one.example/page?x=1".into(),
        ],
        per_account: budget,
        per_address: budget,
        successes_per_account: budget,
        successes_per_address: budget,
    }
}

fn is_accepted(text: &str) -> bool {
    ReturnTo::parse(text, &login()).is_some()
}

#[test]
fn own_paths_and_listed_places_are_accepted() {
    for text in [
        "/",
        "/a/b?c=d&e=%2f%2f",
        "/a//b",
        "/a%2fb",
        "/authority",
        "/?next=https://evil.example",
        "/@evil.example",
        "https://app.example",
        "https://app.example/",
        "https://app.example/a?b=c",
        "http://app.example:8080/a",
        "https://one.example/page?x=1",
    ] {
        assert!(is_accepted(text), "{text}");
    }
}

#[test]
fn anything_that_could_lead_elsewhere_is_refused() {
    for text in [
        "",
        "a",
        "?a",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/a\\b",
        "/%2fevil.example",
        "/%2Fevil.example",
        "/%5cevil.example",
        "/%252fevil.example",
        "/%09/evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " /a",
        "/a b",
        "/./evil",
        "/..//evil.example",
        "/a#b",
        "/\u{e9}",
        "/auth",
        "/auth/login",
        "/%61uth/login",
        "javascript:alert(1)",
        "data:text/html,x",
        "https:evil.example",
        "https:/evil.example",
        "https://evil.example",
        "https://app.example.evil.example/",
        "https://app.example@evil.example/",
        "https://app.example:pw@evil.example/",
        "https://app.example:8443/",
        "https://app.example?x",
        "https://app.example\\@evil.example",
        "https://user@app.example/",
        "http://app.example/",
        "HTTPS://app.example/",
        "https://one.example/page?x=12",
        "https://one.example/page",
        "https://one.example/",
    ] {
        assert!(!is_accepted(text), "{text}");
    }
}

#[test]
fn length_is_accepted_up_to_the_limit_and_refused_beyond() {
    let path = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    assert!(is_accepted(&path(BYTES_MAX)));
    assert!(!is_accepted(&path(BYTES_MAX + 1)));
}

/// Texts of the pieces with which hosts are smuggled.
fn crafted() -> impl Strategy<Value = String> {
    let pieces = [
        "/",
        "\\",
        "//",
        "%2f",
        "%5c",
        "%252f",
        "%09",
        "\t",
        "\n",
        "\r",
        ".",
        "..",
        "%2e",
        "@",
        ":",
        "?",
        "#",
        ";",
        "https:",
        "http:",
        "app.example",
        "https://app.example",
        "evil.example",
        "443",
        "8080",
        "a",
        " ",
        "%00",
        "\u{ff0f}",
        "[::1]",
    ];
    let piece = proptest::sample::select(pieces.to_vec());
    proptest::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

fn leads_where_it_may(text: &str) -> bool {
    let page = Url::parse("https://gateway.example/auth/login").expect("a URL");
    let Some(accepted) = ReturnTo::parse(text, &login()) else { return true };
    let Ok(led) = page.join(accepted.as_str()) else { return false };
    let origin = led.origin().ascii_serialization();
    let own = origin == "https://gateway.example" && accepted.as_str().starts_with('/');
    let is_anonymous = led.username().is_empty() && led.password().is_none();
    is_anonymous && (own || login().return_to.iter().any(|listed| origin_of(listed) == origin))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn whatever_is_accepted_leads_a_browser_where_it_may(text in crafted()) {
        prop_assert!(leads_where_it_may(&text), "{}", text);
        let below = format!("/{text}");
        prop_assert!(leads_where_it_may(&below), "{}", below);
    }

    #[test]
    fn whatever_is_accepted_still_does_once_it_was_decoded(text in crafted()) {
        let text = format!("/{text}");
        if ReturnTo::parse(&text, &login()).is_some() {
            let (path, _) = text.split_once('?').unwrap_or((&text, ""));
            let decoded = CanonicalPath::parse(path).expect("parses");
            let decoded = decoded.decoded().unwrap_or(path).to_owned();
            let page = Url::parse("https://gateway.example/auth/login").expect("a URL");
            let led = page.join(&decoded).expect("a URL");
            prop_assert_eq!(led.host_str(), Some("gateway.example"), "{}", text);
        }
    }
}
