//! Paths that servers could read differently are refused. Others pass unchanged.

use super::*;

fn refused(target: &str) -> TargetError {
    CanonicalPath::parse(target).expect_err(target)
}

fn ambiguities(target: &str) -> Vec<Ambiguity> {
    CanonicalPath::parse(target).expect(target).ambiguities().iter().collect()
}

#[test]
fn ordinary_paths_pass_untouched() {
    for target in ["/", "/a", "/a/", "/a/b.c/...", "/caf%C3%A9", "/a:b@c", "/a%20b?x=%2f..%00#"] {
        let target = target.trim_end_matches('#');
        let path = CanonicalPath::parse(target).expect(target);
        assert_eq!(path.as_str(), target.split('?').next().expect("a path"));
        assert!(path.ambiguities().is_empty(), "{target}");
    }
}

#[test]
fn dot_segments_are_refused_in_every_spelling() {
    for target in [
        "/.",
        "/..",
        "/a/../b",
        "/a/./b",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "/..;/b",
        "/..;x=1/b",
        "/a%2f..%2fb",
        "/a/..%2fb",
        "/%2e",
        "/a/..",
    ] {
        assert_eq!(refused(target), TargetError::DotSegment, "{target}");
    }
}

#[test]
fn hidden_and_forbidden_characters_are_refused() {
    for target in [
        "/a%c0%af",
        "/a%E0%80%AF",
        "/a%f0%80%80%af",
        "/a%00",
        "/a%0d%0a",
        "/a%5cb",
        "/a%7f",
        "/a%",
        "/a%2",
        "/a%zz",
    ] {
        assert_eq!(refused(target), TargetError::Escape, "{target}");
    }
    for target in [
        "/a#b",
        "/a\\b",
        "/a\"b",
        "/a<b",
        "/a>b",
        "/a`b",
        "/a b",
        "/a\u{e9}",
        "/a\x01",
        "/a?b#c",
        "/a?b c",
        "/a?b\u{e9}",
        "/a?b\x7f",
    ] {
        assert_eq!(refused(target), TargetError::Character, "{target}");
    }
    for target in ["", "*", "a", "http://a/", "?a"] {
        assert_eq!(refused(target), TargetError::Form, "{target}");
    }
}

#[test]
fn ambiguities_are_listed() {
    assert_eq!(ambiguities("/a%2Fb"), [Ambiguity::EncodedSlash]);
    assert_eq!(ambiguities("/a;x=1"), [Ambiguity::Semicolon]);
    assert_eq!(ambiguities("/a%3bx"), [Ambiguity::Semicolon]);
    assert_eq!(ambiguities("/a%252f"), [Ambiguity::EncodedPercent]);
    assert_eq!(ambiguities("//a"), [Ambiguity::EmptySegment]);
    assert_eq!(ambiguities("/a//b"), [Ambiguity::EmptySegment]);
}

#[test]
fn length_is_accepted_up_to_the_limit_and_refused_beyond() {
    let target = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    assert!(CanonicalPath::parse(&target(TARGET_BYTES_MAX)).is_ok());
    assert_eq!(refused(&target(TARGET_BYTES_MAX + 1)), TargetError::Oversized);
}

#[test]
fn query_holds_what_browsers_send_as_it_is() {
    let path = CanonicalPath::parse("/a?b=\\`\"<>{|}^'?/../;%").expect("parses");
    assert_eq!((path.as_str(), path.foldings()), ("/a", Ambiguities::default()));
}

#[test]
fn foldings_are_seen_and_plain_paths_have_none() {
    let foldings = |target: &str| {
        let path = CanonicalPath::parse(target).expect(target);
        path.foldings().iter().map(Ambiguity::name).collect::<Vec<_>>()
    };
    for plain in ["/", "/a", "/a.b/.c/d-e_f~1", "/a%20b", "/a:b", "/v1/caf%c3%a9?A=B./"] {
        assert_eq!(foldings(plain), [""; 0], "{plain}");
    }
    assert_eq!(foldings("/aB"), ["case"]);
    assert_eq!(foldings("/a/"), ["trailing_slash"]);
    assert_eq!(foldings("/%4a"), ["case"]);
    assert_eq!(foldings("/a%2f"), ["trailing_slash"]);
    for ending in ["/a.", "/a./b", "/a..", "/a%2e", "/a%20/b", "/a::$data", "/a%3a%3a%24data"] {
        assert_eq!(foldings(ending), ["trailing_slash", "trailing_dot"], "{ending}");
    }
}

#[test]
fn decoding_shows_what_a_decoding_upstream_sees() {
    let path = CanonicalPath::parse("/%61dmin/%C3%A9").expect("parses");
    assert_eq!(path.decoded().expect("has escapes"), "/admin/é");
    assert!(CanonicalPath::parse("/admin").expect("parses").decoded().is_none());
}

proptest::proptest! {
    #[test]
    fn whatever_passes_holds_no_dot_segment_after_decoding(target in "/[a.%2eEfF/;c5]{0,24}") {
        if let Ok(path) = CanonicalPath::parse(&target) {
            let decoded = path.decoded().unwrap_or(path.as_str());
            for segment in decoded.split('/') {
                let bare = segment.split(';').next().unwrap_or("");
                proptest::prop_assert!(bare != "." && bare != "..", "{target}");
            }
            proptest::prop_assert!(!decoded.contains('\\'));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(target in ".{0,200}") {
        let _ = CanonicalPath::parse(&target);
    }

    #[test]
    fn path_without_foldings_changes_by_none(target in "/[a-dA.$:/%24eE\u{212a} ]{0,24}") {
        if let Ok(path) = CanonicalPath::parse(&target) {
            for text in [Some(path.as_str()), path.decoded()].into_iter().flatten() {
                for by in Ambiguities::FOLDINGS.subsets() {
                    if by.within(Ambiguities::FOLDINGS.without(path.foldings())) {
                        proptest::prop_assert_eq!(&fold(text, by), text);
                    }
                }
            }
        }
    }
}
