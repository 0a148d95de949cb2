//! Reads the body of a request to the token endpoint or its kin: parameters, each at most once (RFC
//! 6749 §3.2).

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, header};
use zeroize::{Zeroize, Zeroizing};

use crate::oauth::refusal::{Error, TokenRefusal};
use crate::web::form;
use crate::web::message::BODY_BYTES_MAX;

/// How many resources may be named.
const RESOURCES_MAX: usize = 16;

/// A parameter that is known. What is not is ignored (RFC 6749 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Parameter {
    GrantType,
    RefreshToken,
    Scope,
    ClientId,
    ClientSecret,
    ClientAssertionType,
    ClientAssertion,
    Token,
    TokenTypeHint,
    /// RFC 8707 §2: the one that may be repeated.
    Resource,
    /// The same parameter under the name that other servers use.
    Audience,
}

impl Parameter {
    const ALL: [Self; 11] = [
        Self::GrantType,
        Self::RefreshToken,
        Self::Scope,
        Self::ClientId,
        Self::ClientSecret,
        Self::ClientAssertionType,
        Self::ClientAssertion,
        Self::Token,
        Self::TokenTypeHint,
        Self::Resource,
        Self::Audience,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::GrantType => "grant_type",
            Self::RefreshToken => "refresh_token",
            Self::Scope => "scope",
            Self::ClientId => "client_id",
            Self::ClientSecret => "client_secret",
            Self::ClientAssertionType => "client_assertion_type",
            Self::ClientAssertion => "client_assertion",
            Self::Token => "token",
            Self::TokenTypeHint => "token_type_hint",
            Self::Resource => "resource",
            Self::Audience => "audience",
        }
    }

    /// How long its value may be, in bytes.
    pub(super) const fn bytes_max(self) -> usize {
        match self {
            Self::GrantType | Self::ClientId | Self::ClientAssertionType | Self::TokenTypeHint => {
                128
            }
            Self::Resource | Self::Audience => 512,
            Self::ClientSecret => 1024,
            Self::Scope => 4 * 1024,
            Self::ClientAssertion => 8 * 1024,
            // A token that is too long is reported as an unknown token, not as a parameter that is
            // too long.
            Self::Token | Self::RefreshToken => BODY_BYTES_MAX,
        }
    }
}

/// The parameters of a request. A parameter without a value counts as absent (RFC 6749 §3.1).
#[derive(Default)]
pub(super) struct Parameters {
    single: HashMap<Parameter, Zeroizing<String>>,
    resources: Vec<Box<str>>,
}

impl Parameters {
    /// Reads a body, and wipes it.
    pub(super) fn parse(headers: &HeaderMap, body: Bytes) -> Result<Self, TokenRefusal> {
        let read = if is_form(headers) {
            Self::of_form(&body)
        } else {
            Err("Send application/x-www-form-urlencoded")
        };
        if let Ok(mut bytes) = body.try_into_mut() {
            bytes.as_mut().zeroize();
        }
        read.map_err(|description| TokenRefusal::request(Error::InvalidRequest, description))
    }

    fn of_form(body: &[u8]) -> Result<Self, &'static str> {
        let pairs = form::parse(body).map_err(|_| "The body is not a well-formed form")?;
        let mut parameters = Self::default();
        for (name, value) in pairs {
            let known = Parameter::ALL.into_iter().find(|known| known.as_str() == name);
            if let Some(parameter) = known {
                parameters.take(parameter, value)?;
            }
        }
        parameters.single.retain(|_, value| !value.is_empty());
        Ok(parameters)
    }

    fn take(&mut self, parameter: Parameter, value: Zeroizing<String>) -> Result<(), &'static str> {
        if value.len() > parameter.bytes_max() {
            return Err("A parameter is too long");
        }
        if value.chars().any(char::is_control) {
            return Err("A parameter holds control characters");
        }
        match parameter {
            Parameter::Resource | Parameter::Audience if value.is_empty() => Ok(()),
            Parameter::Resource | Parameter::Audience if self.resources.len() == RESOURCES_MAX => {
                Err("Too many resources are named")
            }
            Parameter::Resource | Parameter::Audience => {
                self.resources.push(value.as_str().into());
                Ok(())
            }
            Parameter::GrantType
            | Parameter::RefreshToken
            | Parameter::Scope
            | Parameter::ClientId
            | Parameter::ClientSecret
            | Parameter::ClientAssertionType
            | Parameter::ClientAssertion
            | Parameter::Token
            | Parameter::TokenTypeHint => match self.single.insert(parameter, value) {
                None => Ok(()),
                Some(_) => Err("A parameter is repeated"),
            },
        }
    }

    /// The value of a parameter, if it is there.
    pub(super) fn value(&self, parameter: Parameter) -> Option<&str> {
        self.single.get(&parameter).map(|value| value.as_str())
    }

    /// The value of a parameter that has to be there.
    pub(super) fn required(
        &self,
        parameter: Parameter,
        description: &'static str,
    ) -> Result<&str, TokenRefusal> {
        self.value(parameter)
            .ok_or_else(|| TokenRefusal::request(Error::InvalidRequest, description))
    }

    /// The requested audiences; empty if the request names none.
    pub(super) fn resources(&self) -> &[Box<str>] {
        &self.resources
    }

    /// The requested scopes, if the request names any.
    pub(super) fn scopes(&self) -> Option<Vec<&str>> {
        let text = self.value(Parameter::Scope)?;
        Some(text.split(' ').filter(|scope| !scope.is_empty()).collect())
    }
}

/// `application/x-www-form-urlencoded`, once, whatever its parameters.
fn is_form(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = kinds.next().filter(|_| kinds.next().is_none());
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use crate::oauth::parameters::*;

    fn parse(body: &str) -> Result<Parameters, TokenRefusal> {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        Parameters::parse(&headers, Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn values_are_found_and_what_is_unknown_is_ignored() {
        let read = parse("grant_type=refresh_token&x=1&x=2&scope=a++b&client_id=&token=%20")
            .unwrap_or_else(|refusal| panic!("{refusal:?}"));
        assert_eq!(read.value(Parameter::GrantType), Some("refresh_token"));
        assert_eq!(read.scopes(), Some(vec!["a", "b"]));
        // RFC 6749 §3.1: a parameter without a value counts as absent.
        assert_eq!(read.value(Parameter::ClientId), None);
        assert_eq!(read.value(Parameter::Token), Some(" "));
        assert!(read.resources().is_empty());
    }

    #[test]
    fn repetitions_are_refused_but_for_resources() {
        for known in Parameter::ALL {
            let name = known.as_str();
            let repeats = matches!(known, Parameter::Resource | Parameter::Audience);
            for body in [format!("{name}=a&{name}=a"), format!("{name}=a&{name}=")] {
                assert_eq!(parse(&body).is_ok(), repeats, "{body}");
            }
        }
        let read = parse("resource=a&audience=b&resource=&resource=a")
            .unwrap_or_else(|refusal| panic!("{refusal:?}"));
        let expected: [Box<str>; 3] = ["a".into(), "b".into(), "a".into()];
        assert_eq!(read.resources(), expected);
        let many = |count: usize| parse(&"resource=a&".repeat(count)).is_ok();
        assert!(many(RESOURCES_MAX) && !many(RESOURCES_MAX + 1));
    }

    #[test]
    fn values_are_bounded() {
        for known in Parameter::ALL {
            let body = |length| format!("{}={}", known.as_str(), "a".repeat(length));
            assert!(parse(&body(known.bytes_max())).is_ok(), "{known:?}");
            assert!(parse(&body(known.bytes_max() + 1)).is_err(), "{known:?}");
        }
    }

    #[test]
    fn controls_and_what_is_no_form_are_refused() {
        for body in ["scope=a%00", "client_id=a%0a", "token=%7f", "scope=%C2%85", "scope=%", "a=%"]
        {
            assert!(parse(body).is_err(), "{body}");
        }
        for kinds in [&[][..], &["application/json"], &["text/plain"], &["", ""]] {
            let fields = kinds.iter().map(|kind| (header::CONTENT_TYPE, kind.parse().expect("ok")));
            let headers: HeaderMap = fields.collect();
            assert!(Parameters::parse(&headers, Bytes::new()).is_err(), "{kinds:?}");
        }
    }
}
