//! Folding makes one text of spellings that some upstreams read as the same path.
//!
//! Express and IIS ignore case, Express and older Spring a trailing slash, Windows trailing dots
//! and spaces in a name. Folded text is never forwarded. It is only looked up among the routes.

use std::borrow::Cow;

use super::ambiguity::{Ambiguities, Ambiguity};

/// Suffixes of a name that Windows reads as the contents of the file or directory itself.
const STREAMS: [&str; 3] = ["::$data", "::$index_allocation", ":$i30:$index_allocation"];

/// A path as read by upstreams that ignore the differences in `by`, of [`Ambiguities::FOLDINGS`].
/// They read two paths as the same if both fold to the same text.
pub fn fold(path: &str, by: Ambiguities) -> Cow<'_, str> {
    let mut folded = Cow::Borrowed(path);
    if by.contains(Ambiguity::TrailingDot) && has_endings(path) {
        folded = without_endings(path).into();
    }
    if by.contains(Ambiguity::TrailingSlash) {
        folded = match folded {
            Cow::Borrowed(path) => without_trailing_slash(path).into(),
            Cow::Owned(path) => without_trailing_slash(&path).to_owned().into(),
        };
    }
    if by.contains(Ambiguity::Case) && has_case(&folded) {
        folded = folded.chars().map(lower).collect::<String>().into();
    }
    folded
}

/// The foldings that may change a decoded path.
pub(super) fn foldings(decoded: &str) -> Ambiguities {
    let mut found = Ambiguities::default();
    if has_case(decoded) {
        found = found.with(Ambiguity::Case);
    }
    if without_trailing_slash(decoded) != decoded {
        found = found.with(Ambiguity::TrailingSlash);
    }
    if has_endings(decoded) {
        // The rest may end in a slash.
        found = found.with(Ambiguity::TrailingDot).with(Ambiguity::TrailingSlash);
    }
    found
}

/// Whether Windows reads a segment of a decoded path as a dot segment. It ignores what follows the
/// dots: `.. ` and `..::$DATA` lead to the parent.
pub(super) fn hides_dot_segment(decoded: &str) -> bool {
    let is_hidden = |segment: &str| {
        let is_plain = segment.bytes().all(|byte| byte == b'.');
        !is_plain && segment.contains('.') && without_ending(segment).is_empty()
    };
    // A path parameter (`;`), which some servers cut off, may follow.
    decoded.split('/').any(|segment| is_hidden(segment.split(';').next().unwrap_or_default()))
}

fn without_trailing_slash(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" if path.starts_with('/') => "/",
        rest => rest,
    }
}

fn has_endings(path: &str) -> bool {
    path.split('/').any(|segment| without_ending(segment) != segment)
}

/// A segment that is nothing but dots and spaces is the directory itself.
fn without_endings(path: &str) -> String {
    let mut kept = String::with_capacity(path.len());
    for segment in path.split('/').skip(1) {
        let name = without_ending(segment);
        if !name.is_empty() || segment.is_empty() {
            kept.push('/');
            kept.push_str(name);
        }
    }
    if kept.is_empty() { "/".to_owned() } else { kept }
}

fn without_ending(segment: &str) -> &str {
    let mut name = segment;
    loop {
        let bare = name.trim_end_matches(['.', ' ']);
        let stream = STREAMS.iter().find_map(|stream| {
            let (rest, end) = bare.split_at_checked(bare.len().checked_sub(stream.len())?)?;
            end.eq_ignore_ascii_case(stream).then_some(rest)
        });
        match stream {
            Some(rest) => name = rest,
            None => return bare,
        }
    }
}

fn has_case(path: &str) -> bool {
    match path.is_ascii() {
        true => path.bytes().any(|byte| byte.is_ascii_uppercase()),
        false => path.chars().any(|letter| lower(letter) != letter),
    }
}

/// Patterns are ASCII. Of other letters only those matter that some servers read as an ASCII one:
/// the simple foldings of Unicode (long s, Kelvin sign), and the Turkish i with and without its
/// dot, which Java's `equalsIgnoreCase` treats as equal.
fn lower(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Ambiguities = Ambiguities::FOLDINGS.without(SLASH).without(DOT);
    const SLASH: Ambiguities = NONE.with(Ambiguity::TrailingSlash);
    const DOT: Ambiguities = NONE.with(Ambiguity::TrailingDot);
    const NONE: Ambiguities = Ambiguities::FOLDINGS.without(Ambiguities::FOLDINGS);

    #[test]
    fn each_folding_changes_what_it_is_for_and_nothing_else() {
        for (path, by, folded) in [
            ("/Admin/X", CASE, "/admin/x"),
            ("/\u{212a}i\u{17f}\u{131}\u{130}", CASE, "/kisii"),
            ("/\u{c9}", CASE, "/\u{c9}"),
            ("/Admin/.", NONE, "/Admin/."),
            ("/a/", SLASH, "/a"),
            ("/a///", SLASH, "/a"),
            ("/", SLASH, "/"),
            ("//", SLASH, "/"),
            ("/A./", SLASH, "/A."),
            ("/a.", DOT, "/a"),
            ("/a. ./b /", DOT, "/a/b/"),
            ("/a/...", DOT, "/a"),
            ("/.../ ", DOT, "/"),
            ("/a//b", DOT, "/a//b"),
            ("/.a/b.c", DOT, "/.a/b.c"),
            ("/A::$DATA/b", DOT, "/A/b"),
            ("/a.::$data. ", DOT, "/a"),
            ("/a:$I30:$INDEX_ALLOCATION", DOT, "/a"),
            ("/a:$DATA", DOT, "/a:$DATA"),
            ("/Admin./", Ambiguities::FOLDINGS, "/admin"),
        ] {
            assert_eq!(fold(path, by), folded, "{path}");
        }
    }

    #[test]
    fn dots_with_what_windows_ignores_behind_them_are_dot_segments() {
        for path in
            ["/x/.. /y", "/.. ", "/a/. /b", "/a/.. .", "/..::$DATA/a", "/. ./", "/ ../a", "/.. ;a"]
        {
            assert!(hides_dot_segment(path), "{path}");
        }
        for path in ["/", "/...", "/a. ", "/ /a", "/.a /b", "/a::$DATA", "/a;../b", "/..a"] {
            assert!(!hides_dot_segment(path), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn folding_twice_changes_nothing(path in "/[aA./ :$]{0,16}") {
            for by in Ambiguities::FOLDINGS.subsets() {
                let once = fold(&path, by).into_owned();
                proptest::prop_assert_eq!(&fold(&once, by), &once);
            }
        }
    }
}
