//! The canonical path: the policy is matched on the same text that the upstream gets.
//!
//! Nothing is rewritten. A path that two servers could read differently is refused, so the text
//! that was matched can be forwarded byte for byte. Sources: RFC 3986 §3.3 and §6.2, and the path
//! confusion advisories of other gateways (`..;`, `%2f`, `%5c`, double encoding, `//`).

mod ambiguity;
mod fold;

pub use ambiguity::{Ambiguities, Ambiguity};
pub use fold::fold;

/// Why a request target is always refused, whatever the route allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not in origin form (RFC 9112 §3.2.1).
    #[error("the target does not start with a slash")]
    Form,
    /// Longer than [`TARGET_BYTES_MAX`].
    #[error("the target is too long")]
    Oversized,
    /// A character that a target may not hold: `#`, a space, a control, not ASCII; in the path also
    /// `\`, `"`, `<`, `>` and the backtick.
    #[error("the target holds a character that must be encoded")]
    Character,
    /// `%` without two hexadecimal digits, or escapes that hide a control character, `\`, or
    /// anything in an overlong form (RFC 3629 §3), which some decoders accept as the short one.
    #[error("the target holds a malformed escape, or an escape of a forbidden character")]
    Escape,
    /// `.` or `..` as a segment, in any spelling.
    #[error("the path holds a dot segment")]
    DotSegment,
}

/// The longest target that is read, path and query together, in bytes.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;

/// A path that every server reads alike, except for the [`Ambiguities`] it lists.
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

    /// The ambiguities in it that a route has to allow.
    pub fn ambiguities(&self) -> Ambiguities {
        self.ambiguities
    }

    /// The foldings that may change it. If there are none, all upstreams read the path alike.
    pub fn foldings(&self) -> Ambiguities {
        self.foldings
    }

    /// The path with its escapes decoded, if it has any: how a decoding upstream sees it.
    pub fn decoded(&self) -> Option<&str> {
        self.decoded.as_deref()
    }
}

const FORBIDDEN: u8 = 1;
const ESCAPE: u8 = 2;
const UPPER_CASE: u8 = 4;
const DOLLAR: u8 = 8;

/// The class of each byte, so that one pass without branches finds everything that is rare.
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

/// Whether a query may hold the byte. Includes what browsers send unencoded, such as `\` and the
/// backtick. Every server cuts off the query at the first `?` before it looks into either part.
fn is_query(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// Walks the path once, decoding as it goes. Finds dot segments in every spelling, and collects the
/// ambiguities. Also returns whether a segment ends in a dot that is not escaped.
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

/// What the dot-segment rule has to know of the current segment: how it starts, up to a path
/// parameter (`..;x` is `..` to servers that cut off parameters).
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
    // Other bytes that are not UTF-8 cannot be part of a route's literal text. Their replacement
    // only has to differ from it.
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
mod tests;
