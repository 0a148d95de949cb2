//! The cookie in which browsers keep a refresh token: out of reach of scripts, and sent to the token
//! endpoint only.

use http::HeaderMap;

use crate::config::Configuration;
use crate::gate::session::{Ambiguous, SetBy, cookie_value, sets_cookie};
use crate::issuer::refresh::RefreshToken;

/// The `__Host-` prefix would want `Path=/`.
const NAME_SECURE: &str = "__Secure-refresh";
const NAME_INSECURE: &str = "refresh";

/// The cookie that carries a refresh token, of this very host and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshCookie {
    path: String,
    set_by: SetBy,
}

impl RefreshCookie {
    /// The cookie of a configuration.
    pub fn of(configuration: &Configuration) -> Self {
        let base = configuration.gate.own_base.as_deref().unwrap_or_default();
        let set_by = configuration.gate.sessions.rules.terms().cookie.set_by;
        Self { path: format!("{base}/token"), set_by }
    }

    fn name(&self) -> &'static str {
        match self.set_by {
            SetBy::Secure => NAME_SECURE,
            SetBy::Anything => NAME_INSECURE,
        }
    }

    /// What the cookie of a request holds, if there is one.
    ///
    /// # Errors
    ///
    /// [`Ambiguous`] if there are two: a sibling domain can plant one.
    pub(super) fn find<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h [u8]>, Ambiguous> {
        cookie_value(headers, self.name())
    }

    /// Whether a `Set-Cookie` field would set, or take away, ours.
    pub fn is_set_by(&self, field: &[u8]) -> bool {
        sets_cookie(field, self.name())
    }

    /// The `Set-Cookie` that gives a browser a refresh token, for so many seconds.
    pub(in crate::login) fn set(&self, token: &RefreshToken, max_age_s: i64) -> String {
        self.cookie(&token.expose(), max_age_s)
    }

    /// The `Set-Cookie` that takes it back.
    pub(in crate::login) fn clear(&self) -> String {
        self.cookie("", 0)
    }

    fn cookie(&self, value: &str, max_age_s: i64) -> String {
        let (name, path) = (self.name(), &self.path);
        let secure = match self.set_by {
            SetBy::Secure => "; Secure",
            SetBy::Anything => "",
        };
        format!(
            "{name}={value}; Path={path}{secure}; HttpOnly; SameSite=Strict; Max-Age={max_age_s}"
        )
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;
    use crate::gate::session::SessionId;

    const COOKIE: fn(SetBy) -> RefreshCookie =
        |set_by| RefreshCookie { path: "/auth/token".to_owned(), set_by };

    #[test]
    fn cookie_is_for_the_token_endpoint_of_this_host_alone() {
        let token =
            RefreshToken::generate(SessionId::from_bytes([1; 32]), 0, &[2; 32]).expect("one");
        let value = token.expose();
        assert_eq!(
            COOKIE(SetBy::Secure).set(&token, 60),
            format!(
                "__Secure-refresh={}; Path=/auth/token; Secure; HttpOnly; SameSite=Strict; \
                 Max-Age=60",
                value.as_str()
            )
        );
        assert_eq!(
            COOKIE(SetBy::Anything).clear(),
            "refresh=; Path=/auth/token; HttpOnly; SameSite=Strict; Max-Age=0"
        );
    }

    #[test]
    fn cookie_is_found_once_or_not_at_all() {
        let find = |fields: &[&'static str]| {
            let headers =
                fields.iter().map(|field| (header::COOKIE, http::HeaderValue::from_static(field)));
            let headers: HeaderMap = headers.collect();
            let cookie = COOKIE(SetBy::Secure);
            cookie.find(&headers).map(|found| found.map(<[u8]>::to_vec))
        };
        assert_eq!(find(&["a=b; __Secure-refresh=x", "refresh=y"]), Ok(Some(b"x".to_vec())));
        assert_eq!(find(&["refresh=y"]), Ok(None));
        assert_eq!(find(&["__Secure-refresh=x; __Secure-refresh=x"]), Err(Ambiguous));
        assert_eq!(find(&["__Secure-refresh=x", "__Secure-refresh=y"]), Err(Ambiguous));
    }
}
