//! Bearer tokens (RFC 6750 §2.1).

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::malformed::MalformedCredential;
use super::terms::{CarrierTerms, Voucher, trim_spaces};
use crate::gate::denial::Slug;

/// Tokens are verified by signature, so the store does not have to know them.
pub(super) const TERMS: CarrierTerms = CarrierTerms {
    name: "bearer",
    vouched_by: Voucher::Issuer,
    unknown: Slug::Internal,
    expired: Slug::TokenExpired,
    revoked: Slug::TokenRevoked,
};

/// What was sent in place of a token. Its bytes were not checked.
#[derive(Clone, Copy)]
pub struct SentToken<'a>(&'a [u8]);

impl<'a> SentToken<'a> {
    /// The bytes, to look them up among the tokens that were verified before.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The token.
    ///
    /// # Errors
    ///
    /// [`MalformedCredential::Token`] if it is not one token68 (RFC 9110 §11.2).
    pub fn read(self) -> Result<&'a str, MalformedCredential> {
        // Every byte is checked, with no branch: tokens are long, and nearly all are valid.
        let is_good = self.0.iter().fold(true, |good, byte| good & is_token68(*byte));
        match std::str::from_utf8(self.0) {
            Ok(token) if is_good => Ok(token),
            Ok(_) | Err(_) => Err(MalformedCredential::Token),
        }
    }
}

/// Finds the bearer token of a request. A credential of another scheme is not one.
///
/// # Errors
///
/// [`MalformedCredential`] if there is more than one `Authorization` header, or one that cannot be
/// read, or the Bearer scheme with nothing after it.
pub fn find(headers: &HeaderMap) -> Result<Option<SentToken<'_>>, MalformedCredential> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(MalformedCredential::Repeated);
    }
    let value = value.as_bytes();
    let end = memchr::memchr(b' ', value).unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        // An empty field counts as absent.
        return if scheme.iter().all(is_tchar) {
            Ok(None)
        } else {
            Err(MalformedCredential::Unreadable)
        };
    }
    match trim_spaces(rest) {
        b"" => Err(MalformedCredential::NoToken),
        token => Ok(Some(SentToken(token))),
    }
}

/// Whether a byte may stand in the name of a scheme (RFC 9110 §5.6.2).
const fn is_tchar(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether the request carries more than one `Authorization` header, which no route accepts.
pub fn is_repeated(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().nth(1).is_some()
}

/// Whether a token68 may hold the byte (RFC 9110 §11.2). It uses neither a table nor a branch, so
/// that the compiler can vectorize it.
const fn is_token68(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // `-`, `.`, `/` and the digits are contiguous in ASCII.
    let is_digit_or_mark = byte.wrapping_sub(b'-') < 13;
    let is_mark = (byte == b'_') | (byte == b'~') | (byte == b'+') | (byte == b'=');
    is_letter | is_digit_or_mark | is_mark
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn find(values: &[&str]) -> Result<Option<String>, MalformedCredential> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"));
        }
        let found = super::find(&headers)?;
        found.map(|sent| sent.read().map(str::to_owned)).transpose()
    }

    #[test]
    fn token68_holds_letters_digits_and_seven_marks() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            assert_eq!(is_token68(byte), expected, "{byte:#x}");
        }
    }

    #[test]
    fn absent_is_not_malformed() {
        assert_eq!(find(&[]), Ok(None));
    }

    #[test]
    fn scheme_is_case_insensitive_and_spaces_are_tolerated() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c  "] {
            assert_eq!(find(&[value]), Ok(Some("a.b.c".into())), "{value}");
        }
    }

    #[test]
    fn other_schemes_are_absent() {
        for value in
            ["", "Basic YTpi", "Bearera.b.c", "DPoP a.b.c", "a.b.c", "Negotiate", "Beare x"]
        {
            assert_eq!(find(&[value]), Ok(None), "{value}");
        }
    }

    #[test]
    fn malformed_is_refused() {
        for value in ["Bearer\ta.b.c", "\"Bearer\" a", "Bearer,a", "a=b", "B\u{e9}arer a"] {
            assert_eq!(find(&[value]), Err(MalformedCredential::Unreadable), "{value}");
        }
        for value in ["Bearer", "Bearer ", "bearer   "] {
            assert_eq!(find(&[value]), Err(MalformedCredential::NoToken), "{value}");
        }
        for value in ["Bearer a b", "Bearer a,b", "Bearer \"a\"", "Bearer a;b", "Bearer \u{e9}"] {
            assert_eq!(find(&[value]), Err(MalformedCredential::Token), "{value}");
        }
    }

    #[test]
    fn two_are_refused_even_when_equal() {
        assert_eq!(find(&["Bearer a", "Bearer a"]), Err(MalformedCredential::Repeated));
    }

    proptest::proptest! {
        #[test]
        fn what_is_found_holds_only_token68(value in "[ -~\\t]{0,64}") {
            let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            if let Ok(Some(token)) = find(&[&value]) {
                let good = !token.is_empty() && token.bytes().all(is_good);
                proptest::prop_assert!(good, "{}", token);
            }
        }
    }
}
