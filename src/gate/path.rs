//! The canonical path: what the policy is matched on is what the upstream gets.
//!
//! Nothing is rewritten. A path that two servers could read differently is refused, so the text
//! that was matched can be forwarded byte for byte. Sources: RFC 3986 §3.3 and §6.2, and the path
//! confusion advisories of other gateways (`..;`, `%2f`, `%5c`, double encoding, `//`).

mod ambiguity;
mod fold;

pub use ambiguity::{Ambiguities, Ambiguity};
pub use fold::fold;

/// Why a request target is refused outright, whatever a route allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not in origin form (RFC 9112 §3.2.1).
    #[error("the target does not start with a slash")]
    Form,
    /// Longer than [`TARGET_BYTES_MAX`].
    #[error("the target is too long")]
    Oversized,
    /// A character that may not stand in a target: `#`, a space, a control, not ASCII; in the path
    /// also `\`, `"`, `<`, `>` and the backtick.
    #[error("the target holds a character that must be encoded")]
    Character,
    /// `%` without two hexadecimal digits, or escapes that hide a control character, `\`, or
    /// anything in an overlong form (RFC 3629 §3), which some decoders take for the short one.
    #[error("the target holds an escape that is malformed or hides what it must not")]
    Escape,
    /// `.` or `..` as a segment, in any spelling.
    #[error("the path holds a dot segment")]
    DotSegment,
}

/// The longest target that is read, path and query together, in bytes.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;

/// A path that every server reads alike, but for the [`Ambiguities`] it lists.
#[derive(Debug)]
pub struct CanonicalPath<'a> {
    path: &'a str,
    decoded: Option<String>,
    ambiguities: Ambiguities,
    foldings: Ambiguities,
}

impl<'a> CanonicalPath<'a> {
    /// Splits an origin-form target at the first `?` and takes its path.
    ///
    /// # Errors
    ///
    /// [`TargetError`] if the target, path or query, must be refused.
    pub fn parse(target: &'a str) -> Result<Self, TargetError> {
        if target.len() > TARGET_BYTES_MAX {
            return Err(TargetError::Oversized);
        }
        if !target.starts_with('/') {
            return Err(TargetError::Form);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let seen = path.bytes().fold(0, |seen, byte| seen | CLASSES[usize::from(byte)]);
        if seen & FORBIDDEN != 0 || !query.bytes().all(is_query) {
            return Err(TargetError::Character);
        }
        let (ambiguities, ends_in_dot) = survey(path.as_bytes())?;
        let mut foldings = Ambiguities::default();
        if seen & UPPER_CASE != 0 {
            foldings = foldings.with(Ambiguity::Case);
        }
        if path.len() > 1 && path.ends_with('/') {
            foldings = foldings.with(Ambiguity::TrailingSlash);
        }
        if ends_in_dot || seen & DOLLAR != 0 {
            foldings = foldings.with(Ambiguity::TrailingDot).with(Ambiguity::TrailingSlash);
        }
        if seen & DOLLAR != 0 && fold::hides_dot_segment(path) {
            return Err(TargetError::DotSegment);
        }
        let mut decoded = None;
        if seen & ESCAPE != 0 {
            let text = decode(path)?;
            // Windows ignores the space.
            if fold::hides_dot_segment(&text) {
                return Err(TargetError::DotSegment);
            }
            foldings = foldings.union(fold::foldings(&text));
            decoded = Some(text);
        }
        Ok(Self { path, decoded, ambiguities, foldings })
    }

    /// The path as it was sent and will be forwarded.
    pub fn as_str(&self) -> &'a str {
        self.path
    }

    /// What in it needs a route's consent.
    pub fn ambiguities(&self) -> Ambiguities {
        self.ambiguities
    }

    /// By which foldings it may change: a path that has none is the same to every upstream.
    pub fn foldings(&self) -> Ambiguities {
        self.foldings
    }

    /// The path with its escapes decoded, if it has any: how an upstream that decodes sees it.
    pub fn decoded(&self) -> Option<&str> {
        self.decoded.as_deref()
    }
}

const FORBIDDEN: u8 = 1;
const ESCAPE: u8 = 2;
const UPPER_CASE: u8 = 4;
const DOLLAR: u8 = 8;

/// What a byte of a path is, so that one pass without branches sees all that is rare.
const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'#' | b'\\' | b'"' | b'<' | b'>' | b'`' => FORBIDDEN,
            b'%' => ESCAPE,
            b'$' => DOLLAR,
            b'A'..=b'Z' => UPPER_CASE,
            graphic if graphic.is_ascii_graphic() => 0,
            _ => FORBIDDEN,
        };
        byte += 1;
    }
    table
};

/// What may stand in a query: also what browsers send there as it is, such as `\` and the backtick.
/// Every server cuts the query off at the first `?` before it looks into either part.
fn is_query(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// Walks the path once, decoding as it goes: finds dot segments behind every spelling, and
/// collects the ambiguities. Also tells whether a segment ends in a dot that is not escaped.
fn survey(path: &[u8]) -> Result<(Ambiguities, bool), TargetError> {
    let mut found = Ambiguities::default();
    let mut segment = ReadSegment::default();
    let mut ends_in_dot = path.ends_with(b".");
    let mut i = 1; // past the leading slash
    while i < path.len() {
        let (byte, width) = match path[i] {
            b'%' => (unescape(path, i)?, 3),
            byte => (byte, 1),
        };
        match (byte, width) {
            (b'/', 1) => {
                if segment.is_empty() {
                    found = found.with(Ambiguity::EmptySegment);
                }
                ends_in_dot |= path[i - 1] == b'.';
                segment.end()?;
            }
            (b'/', _) => {
                found = found.with(Ambiguity::EncodedSlash);
                segment.end()?;
            }
            (b'%', _) => {
                found = found.with(Ambiguity::EncodedPercent);
                segment.push(byte);
            }
            (b';', _) => {
                found = found.with(Ambiguity::Semicolon);
                segment.push(byte);
            }
            (0..=0x1f | 0x7f | b'\\', _) => return Err(TargetError::Escape),
            (byte, _) => segment.push(byte),
        }
        i += width;
    }
    segment.end()?;
    Ok((found, ends_in_dot))
}

fn unescape(path: &[u8], at: usize) -> Result<u8, TargetError> {
    let digit = |offset: usize| {
        path.get(at + offset)
            .and_then(|byte| (*byte as char).to_digit(16))
            .ok_or(TargetError::Escape)
    };
    Ok((digit(1)? * 16 + digit(2)?) as u8)
}

/// What the dot-segment rule needs to know of the segment being read: how it starts, up to a
/// path parameter (`..;x` is `..` to the servers that cut parameters off).
#[derive(Default)]
struct ReadSegment {
    dots: usize,
    others: usize,
    parameter: bool,
}

impl ReadSegment {
    fn push(&mut self, byte: u8) {
        match byte {
            b';' => self.parameter = true,
            _ if self.parameter => {}
            b'.' => self.dots += 1,
            _ => self.others += 1,
        }
    }

    fn is_empty(&self) -> bool {
        self.dots + self.others == 0 && !self.parameter
    }

    fn end(&mut self) -> Result<(), TargetError> {
        let ended = std::mem::take(self);
        if ended.others == 0 && matches!(ended.dots, 1 | 2) {
            return Err(TargetError::DotSegment);
        }
        Ok(())
    }
}

fn decode(path: &str) -> Result<String, TargetError> {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'%' => {
                decoded.push(unescape(bytes, i)?);
                i += 3;
            }
            byte => {
                decoded.push(byte);
                i += 1;
            }
        }
    }
    if is_overlong(&decoded) {
        return Err(TargetError::Escape);
    }
    // Other bytes that are not UTF-8 cannot be part of a route's literal text; what stands in for
    // them only has to differ from it.
    Ok(match String::from_utf8(decoded) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

fn is_overlong(bytes: &[u8]) -> bool {
    let next = bytes.iter().skip(1).chain([&0]);
    bytes
        .iter()
        .zip(next)
        .any(|pair| matches!(pair, (0xc0 | 0xc1, _) | (0xe0, 0x80..=0x9f) | (0xf0, 0x80..=0x8f)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(target: &str) -> TargetError {
        CanonicalPath::parse(target).expect_err(target)
    }

    fn ambiguities(target: &str) -> Vec<Ambiguity> {
        CanonicalPath::parse(target).expect(target).ambiguities().iter().collect()
    }

    #[test]
    fn ordinary_paths_pass_untouched() {
        for target in ["/", "/a", "/a/", "/a/b.c/...", "/caf%C3%A9", "/a:b@c", "/a%20b?x=%2f..%00#"]
        {
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
}
