//! Parses `application/x-www-form-urlencoded` strictly: malformed text is refused, not repaired.
//! Two passwords that differ stay different.

use zeroize::Zeroizing;

/// A name and its value. Values may be passwords: they are wiped when dropped.
pub(crate) type Pair = (String, Zeroizing<String>);

/// A text that is not in this form: a `%` without two hexadecimal digits, or no UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed form")]
pub(crate) struct Malformed;

/// The pairs of a text, in order.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Pair>, Malformed> {
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs.map(pair).collect()
}

fn pair(text: &[u8]) -> Result<Pair, Malformed> {
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    let (name, value) = (&text[..end], text.get(end + 1..).unwrap_or_default());
    let mut name = decode(name)?;
    Ok((std::mem::take(&mut *name), decode(value)?))
}

/// Decodes a name or a value.
pub(crate) fn decode(text: &[u8]) -> Result<Zeroizing<String>, Malformed> {
    // The vector never grows, so no copy stays behind.
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let (byte, width) = match byte {
            b'+' => (b' ', 1),
            b'%' => (escape(text, at).ok_or(Malformed)?, 3),
            other => (*other, 1),
        };
        decoded.push(byte);
        at += width;
    }
    match String::from_utf8(std::mem::take(&mut *decoded)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(Malformed)
        }
    }
}

fn escape(text: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded;

    use crate::web::form::*;

    fn read(text: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
        let pairs = parse(text)?;
        Ok(pairs.into_iter().map(|(name, value)| (name, value.to_string())).collect())
    }

    #[test]
    fn escapes_are_decoded_and_nothing_else() {
        let pairs = read(b"a=b+c&&d=%C3%A9%00%26&e&f==").expect("reads");
        let expected = [("a", "b c"), ("d", "\u{e9}\0&"), ("e", ""), ("f", "=")];
        assert!(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).eq(expected), "{pairs:?}");
    }

    #[test]
    fn malformed_escapes_and_texts_are_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%+1", "%=a", "a=%ff", "a=%c0%af"] {
            assert_eq!(read(text.as_bytes()), Err(Malformed), "{text}");
        }
        assert_eq!(read(b"a=\xff"), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_browsers_write_is_read(pairs in proptest::collection::vec((".+", ".*"), 0..5)) {
            let mut text = form_urlencoded::Serializer::new(String::new());
            text.extend_pairs(&pairs);
            prop_assert_eq!(read(text.finish().as_bytes()), Ok(pairs));
        }

        #[test]
        fn what_is_read_is_what_others_read(text in "[a=&%+0-9A-F\u{e9}]{0,40}") {
            if let Ok(pairs) = read(text.as_bytes()) {
                let theirs: Vec<_> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
                prop_assert_eq!(pairs, theirs);
            }
        }

        #[test]
        fn noise_never_panics(text in any::<Vec<u8>>()) {
            let _ = parse(&text);
        }
    }
}
