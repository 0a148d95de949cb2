//! Keys of a set that are left out, and why.

use std::fmt;

use super::key::KeyError;

/// How much of an id and of an error is shown, in characters: both come from outside.
const EXCERPT_CHARACTERS_MAX: usize = 128;

/// A key of a published set that cannot be used.
#[derive(Debug)]
pub struct UnusableKey {
    pub(super) id: Option<Box<str>>,
    /// Its place in the set, from 0.
    pub(super) index: usize,
    pub(super) error: KeyError,
}

impl UnusableKey {
    /// Whether it is not meant for signatures: many issuers publish keys for encryption in the same
    /// set.
    pub fn is_for_another_use(&self) -> bool {
        matches!(self.error, KeyError::Purpose("use" | "key_ops"))
    }
}

/// The key and the reason why it cannot be used, on one line.
impl fmt::Display for UnusableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, index, error } = self;
        match id {
            Some(id) => write!(f, "key `{}`: ", excerpt(id))?,
            None => write!(f, "key {} of the set, which has no `kid`: ", index + 1)?,
        }
        f.write_str(&excerpt(&error.to_string()))
    }
}

fn excerpt(text: &str) -> String {
    let visible = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    let mut excerpt: String = text.chars().take(EXCERPT_CHARACTERS_MAX).map(visible).collect();
    if text.chars().nth(EXCERPT_CHARACTERS_MAX).is_some() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_told_by_its_id_or_its_place_on_one_line_of_bounded_length() {
        let key = |id: Option<&str>| {
            let id = id.map(Into::into);
            UnusableKey { id, index: 2, error: KeyError::Weak(1024) }.to_string()
        };
        let why = "the RSA key has 1024 bits, at least 2048 are required";
        assert_eq!(key(Some("k-1")), format!("key `k-1`: {why}"));
        assert_eq!(key(None), format!("key 3 of the set, which has no `kid`: {why}"));
        assert_eq!(key(Some("a\nb\u{1b}[m")), format!("key `a\\nb\\u{{1b}}[m`: {why}"));
        let longest = "x".repeat(EXCERPT_CHARACTERS_MAX);
        assert_eq!(key(Some(&longest)), format!("key `{longest}`: {why}"));
        assert_eq!(key(Some(&format!("{longest}y"))), format!("key `{longest}…`: {why}"));
    }
}
