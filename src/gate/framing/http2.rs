//! Refuses HTTP/2 requests that are malformed in a way that their frames do not show.

use http::{HeaderMap, HeaderName};

/// The first field whose value starts or ends with a space or a tab, which makes a message
/// malformed (RFC 9113 §8.2.1). HTTP/1 has no such values: there the white space belongs to the
/// line. An upstream would read another value than the one that was checked.
pub fn padded_field(fields: &HeaderMap) -> Option<&HeaderName> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_padded = |value: &[u8]| is_space(value.first()) || is_space(value.last());
    fields.iter().find(|(_, value)| is_padded(value.as_bytes())).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn value_may_hold_white_space_and_neither_start_nor_end_with_it() {
        let padded = |text: &'static str| {
            let fields = [("a", "b"), ("x", text)].map(|(name, text)| {
                (HeaderName::from_static(name), HeaderValue::from_static(text))
            });
            padded_field(&HeaderMap::from_iter(fields)).map(HeaderName::as_str).map(str::to_owned)
        };
        for text in ["", "a", "a b", "a\tb"] {
            assert_eq!(padded(text), None, "{text:?}");
        }
        for text in [" ", "\t", " a", "a ", "\ta", "a\t"] {
            assert_eq!(padded(text).as_deref(), Some("x"), "{text:?}");
        }
    }
}
