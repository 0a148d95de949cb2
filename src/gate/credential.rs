//! Find the one credential of a request. Absent, malformed and present are three things.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Where a credential travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// `Authorization: Bearer …` (RFC 6750 §2.1).
    Bearer,
}

impl Carrier {
    /// The label value in metrics and the access log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
        }
    }
}

/// What a client presents, unverified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// A token in the `Authorization` header.
    Bearer(&'a str),
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bearer(_) => f.write_str("Bearer([redacted])"),
        }
    }
}

/// There is something that is meant to be a credential, but it cannot be read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More than one `Authorization` header.
    #[error("more than one Authorization header")]
    Repeated,
    /// Not the Bearer scheme.
    #[error("the Authorization scheme is not Bearer")]
    Scheme,
    /// The Bearer scheme, but no token68 after it (RFC 9110 §11.2).
    #[error("no token after Bearer")]
    Token,
}

/// Finds the bearer token of a request.
///
/// # Errors
///
/// [`Malformed`] if there is an `Authorization` header that does not carry exactly one token.
pub fn find_bearer(headers: &HeaderMap) -> Result<Option<Credential<'_>>, Malformed> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Malformed::Repeated);
    }
    let value = value.to_str().map_err(|_| Malformed::Scheme)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Malformed::Scheme);
    }
    let token = token.trim_matches(' ');
    if token.is_empty() || !token.bytes().all(is_token68) {
        return Err(Malformed::Token);
    }
    Ok(Some(Credential::Bearer(token)))
}

/// Whether the request carries more than one `Authorization` header, which no route accepts.
pub fn is_repeated(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().nth(1).is_some()
}

fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn find(values: &[&str]) -> Result<Option<String>, Malformed> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"));
        }
        find_bearer(&headers).map(|found| found.map(|Credential::Bearer(token)| token.to_owned()))
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
    fn malformed_is_refused() {
        for value in ["", "Basic YTpi", "Bearera.b.c", "DPoP a.b.c", "Bearer\ta.b.c", "a.b.c"] {
            assert_eq!(find(&[value]), Err(Malformed::Scheme), "{value}");
        }
        for value in ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer \"a\"", "Bearer a;b"]
        {
            assert_eq!(find(&[value]), Err(Malformed::Token), "{value}");
        }
    }

    #[test]
    fn two_are_refused_even_when_equal() {
        assert_eq!(find(&["Bearer a", "Bearer a"]), Err(Malformed::Repeated));
    }

    proptest::proptest! {
        #[test]
        fn what_is_found_holds_only_token68(value in "[ -~\\t]{0,64}") {
            if let Ok(Some(token)) = find(&[&value]) {
                proptest::prop_assert!(!token.is_empty() && token.bytes().all(is_token68));
            }
        }
    }
}
