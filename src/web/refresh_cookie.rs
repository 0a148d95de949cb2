//! The cookie that holds a browser's refresh token. Scripts cannot read it, only this host can set
//! it, and it is kept from upstreams.

use http::HeaderMap;

use crate::gate::session::{Ambiguous, REFRESH_COOKIE, SetBy, cookie_value, sets_cookie};
use crate::issuer::refresh::RefreshToken;
use crate::runtime::Running;

/// Over plain HTTP browsers refuse a prefix.
const NAME_INSECURE: &str = "refresh";

/// Its former name, under which sibling hosts could set it. Its token is not exchanged.
const NAME_OLD: &str = "__Secure-refresh";

/// The cookie that carries a refresh token. It belongs to this host only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshCookie {
    /// The path of the token endpoint.
    endpoint: String,
    set_by: SetBy,
}

impl RefreshCookie {
    /// The cookie of a configuration.
    pub fn of(configuration: &Running) -> Self {
        let base = configuration.gate.settings.own_base.as_deref().unwrap_or_default();
        let set_by = configuration.gate.sessions.rules.terms().cookie.set_by;
        Self { endpoint: format!("{base}/token"), set_by }
    }

    fn name(&self) -> &'static str {
        match self.set_by {
            SetBy::Secure => REFRESH_COOKIE,
            SetBy::Anything => NAME_INSECURE,
        }
    }

    /// The value of the cookie in a request, if there is one.
    ///
    /// # Errors
    ///
    /// [`Ambiguous`] if there are two.
    pub(crate) fn find<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h [u8]>, Ambiguous> {
        cookie_value(headers, self.name())
    }

    /// The value of the cookie under its former name, if there is exactly one. A sibling host may
    /// have set it: it is accepted for a logout, and for nothing else.
    pub(crate) fn find_old<'h>(&self, headers: &'h HeaderMap) -> Option<&'h [u8]> {
        match self.set_by {
            SetBy::Secure => cookie_value(headers, NAME_OLD).ok().flatten(),
            SetBy::Anything => None,
        }
    }

    /// Whether a `Set-Cookie` field would set or clear ours.
    pub fn is_set_by(&self, field: &[u8]) -> bool {
        sets_cookie(field, self.name())
            || self.set_by == SetBy::Secure && sets_cookie(field, NAME_OLD)
    }

    /// The `Set-Cookie` that gives a browser a refresh token, for this many seconds.
    pub(crate) fn set(&self, token: &RefreshToken, max_age_s: i64) -> String {
        self.cookie(self.name(), self.path(), &token.expose(), max_age_s)
    }

    /// The `Set-Cookie` that clears it.
    pub(crate) fn clear(&self) -> String {
        self.cookie(self.name(), self.path(), "", 0)
    }

    /// The `Set-Cookie` that clears the cookie under its former name.
    pub(crate) fn clear_old(&self) -> String {
        self.cookie(NAME_OLD, &self.endpoint, "", 0)
    }

    fn path(&self) -> &str {
        match self.set_by {
            SetBy::Secure => "/",
            SetBy::Anything => &self.endpoint,
        }
    }

    fn cookie(&self, name: &str, path: &str, value: &str, max_age_s: i64) -> String {
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

    use crate::gate::session::{SessionId, TagKeyCell};
    use crate::web::refresh_cookie::*;

    const COOKIE: fn(SetBy) -> RefreshCookie =
        |set_by| RefreshCookie { endpoint: "/auth/token".to_owned(), set_by };

    #[test]
    fn cookie_is_of_this_host_alone() {
        let (id, tags) = (SessionId::from_bytes([1; 32]), TagKeyCell::default());
        let token = RefreshToken::generate(id, 0, &[2; 32], &tags).expect("one");
        let value = token.expose();
        assert_eq!(
            COOKIE(SetBy::Secure).set(&token, 60),
            format!(
                "__Host-refresh={}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=60",
                value.as_str()
            )
        );
        assert_eq!(
            COOKIE(SetBy::Secure).clear_old(),
            "__Secure-refresh=; Path=/auth/token; Secure; HttpOnly; SameSite=Strict; Max-Age=0"
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
        assert_eq!(find(&["a=b; __Host-refresh=x", "refresh=y"]), Ok(Some(b"x".to_vec())));
        assert_eq!(find(&["refresh=y", "__Secure-refresh=x"]), Ok(None));
        assert_eq!(find(&["__Host-refresh=x; __Host-refresh=x"]), Err(Ambiguous));
        assert_eq!(find(&["__Host-refresh=x", "__Host-refresh=y"]), Err(Ambiguous));
    }
}
