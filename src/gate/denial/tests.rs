use std::collections::HashSet;

use super::*;

#[test]
fn slugs_are_listed_once_and_named_apart() {
    let names: HashSet<_> = Slug::ALL.iter().map(|slug| slug.as_str()).collect();
    assert_eq!(names.len(), Slug::ALL.len());
}

#[test]
fn every_401_carries_a_challenge() {
    for slug in Slug::ALL {
        let has = Denial::new(slug).challenge("r").is_some();
        assert!(slug.status() != 401 || has, "{slug:?} (RFC 9110 §15.5.2)");
    }
}

#[test]
fn could_not_decide_is_never_a_401() {
    for slug in Slug::ALL {
        assert!(slug.outcome() != Outcome::Unavailable || slug.status() >= 500, "{slug:?}");
    }
    assert_eq!(*Denial::new(Slug::KeysUnavailable).detail(), Detail::RetryAfter(RETRY_AFTER_S));
}

#[test]
fn missing_scope_names_the_scopes() {
    let denial = Denial::with(Slug::ScopeMissing, Detail::Scopes("a b".into()));
    assert_eq!(
        denial.challenge("shop").as_deref(),
        Some(r#"Bearer realm="shop", error="insufficient_scope", scope="a b""#)
    );
}

#[test]
fn reason_is_kept_up_to_the_limit_and_cut_beyond() {
    let kept = |text: String| Denial::new(Slug::TokenClaims).because(text).reason().len();
    assert_eq!(kept("a".repeat(REASON_BYTES_MAX)), REASON_BYTES_MAX);
    assert_eq!(kept("a".repeat(REASON_BYTES_MAX + 1)), REASON_BYTES_MAX);
    assert_eq!(kept(format!("a{}", "\u{e9}".repeat(REASON_BYTES_MAX))), REASON_BYTES_MAX - 1);
    assert_eq!(Denial::new(Slug::TokenClaims).reason(), "");
}

#[test]
fn reason_is_one_line_whatever_stands_in_it() {
    let denial = Denial::new(Slug::TokenClaims).because("a\nb\u{1b}[2J".to_owned());
    assert_eq!(denial.reason(), "a\\nb\\u{1b}[2J");
    let long = Denial::new(Slug::TokenClaims).because("\n".repeat(REASON_BYTES_MAX));
    assert_eq!(long.reason().len(), REASON_BYTES_MAX, "cut after it was spelt out");
}
