//! Find the one credential of a request. Absent, malformed and present are three things.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

use super::denial::{Denial, Slug};
use super::session::api_key::ApiKey;
use super::session::id::SessionSecret;

/// Where a credential travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// `Authorization: Bearer …` (RFC 6750 §2.1).
    Bearer,
    /// The session cookie.
    Session,
    /// The header for API keys.
    ApiKey,
}

impl Carrier {
    /// The label value in metrics and the access log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Session => "session",
            Self::ApiKey => "api_key",
        }
    }
}

/// What a client presents, unverified.
pub enum Credential<'a> {
    /// A token in the `Authorization` header.
    Bearer(&'a str),
    /// The secret of a session.
    Session(SessionSecret),
    /// An API key.
    ApiKey(ApiKey),
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bearer(_) => f.write_str("Bearer([redacted])"),
            Self::Session(_) => f.write_str("Session([redacted])"),
            Self::ApiKey(_) => f.write_str("ApiKey([redacted])"),
        }
    }
}

/// There is something that is meant to be a credential, but it cannot be read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedCredential {
    /// More than one `Authorization` header.
    #[error("more than one Authorization field")]
    Repeated,
    /// No scheme can be told (RFC 9110 §11.4).
    #[error("the Authorization field cannot be read")]
    Unreadable,
    /// The Bearer scheme, and nothing after it.
    #[error("there is no token after Bearer")]
    NoToken,
    /// The Bearer scheme, but not one token68 after it (RFC 9110 §11.2).
    #[error("not one token stands after Bearer")]
    Token,
    /// Not exactly one API key, copied whole.
    #[error("the field for API keys is repeated, or does not hold one whole key")]
    ApiKey,
}

impl From<MalformedCredential> for Denial {
    fn from(malformed: MalformedCredential) -> Self {
        let slug = match malformed {
            MalformedCredential::Repeated
            | MalformedCredential::Unreadable
            | MalformedCredential::ApiKey => Slug::CredentialMalformed,
            MalformedCredential::NoToken | MalformedCredential::Token => Slug::TokenMalformed,
        };
        Self::new(slug).explained_because(malformed.to_string())
    }
}

/// Finds the bearer token of a request. A credential of another scheme is not one.
///
/// # Errors
///
/// [`MalformedCredential`] if there is more than one `Authorization` header, or one that cannot be read, or the
/// Bearer scheme without exactly one token.
pub fn find_bearer(headers: &HeaderMap) -> Result<Option<&str>, MalformedCredential> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(MalformedCredential::Repeated);
    }
    let value = value.as_bytes();
    let end = memchr::memchr(b' ', value).unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        // An empty field says nothing.
        return if scheme.iter().all(is_tchar) {
            Ok(None)
        } else {
            Err(MalformedCredential::Unreadable)
        };
    }
    let token = trim_spaces(rest);
    // Every byte is looked at, with no branch: tokens are long, and nearly all are good.
    let is_good = token.iter().fold(true, |good, byte| good & TOKEN68[usize::from(*byte)]);
    match std::str::from_utf8(token) {
        Ok("") => Err(MalformedCredential::NoToken),
        Ok(token) if is_good => Ok(Some(token)),
        Ok(_) | Err(_) => Err(MalformedCredential::Token),
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

/// Finds the API key of a request.
///
/// # Errors
///
/// [`MalformedCredential::ApiKey`] if the header is there, but not once with a key.
pub fn find_api_key(
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<Option<ApiKey>, MalformedCredential> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = ApiKey::parse(trim_spaces(value.as_bytes())).filter(|_| values.next().is_none());
    key.map(Some).ok_or(MalformedCredential::ApiKey)
}

fn trim_spaces(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().take_while(|byte| **byte == b' ').count();
    let spaces = bytes[start..].iter().rev().take_while(|byte| **byte == b' ').count();
    &bytes[start..bytes.len() - spaces]
}

/// Whether the request carries more than one `Authorization` header, which no route accepts.
pub fn is_repeated(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().nth(1).is_some()
}

/// Which bytes a token68 may hold (RFC 9110 §11.2).
const TOKEN68: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let is_mark = matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
        table[byte as usize] = byte.is_ascii_alphanumeric() || is_mark;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn find(values: &[&str]) -> Result<Option<String>, MalformedCredential> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect("a header value"));
        }
        find_bearer(&headers).map(|found| found.map(str::to_owned))
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
