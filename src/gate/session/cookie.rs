//! The session cookie: found, set, cleared, and kept from upstreams (RFC 6265bis).

use http::HeaderMap;
use http::header::COOKIE;

use super::id::SessionSecret;
use crate::gate::denial::{Denial, Slug};

/// The name of the cookie that carries a refresh token. With `__Host-` only this very host can set
/// it (RFC 6265bis §4.1.3.2), so a sibling domain cannot plant one. The prefix requires `Path=/`,
/// so browsers send the cookie with every request to this host. It is kept from upstreams.
pub const REFRESH_COOKIE: &str = "__Host-refresh";

/// The cookie that carries a session's secret, compiled from `sessions.cookie`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieRules {
    /// Its name. With `__Host-` only this very host can set it.
    pub name: Box<str>,
    /// The domain whose hosts all get it. If there is none, only the host that set it does.
    pub domain: Option<Box<str>>,
    /// When a browser sends it with requests from other sites.
    pub same_site: SameSite,
    /// Over which connections it is sent.
    pub set_by: SetBy,
}

/// When a browser sends a cookie with requests that other sites cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// With navigations.
    Lax,
    /// Always. Our own CSRF defence is then the only one.
    None,
}

/// Over which connections a cookie is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// HTTPS (and this machine).
    Secure,
    /// Anything: `dangerous_insecure`.
    Anything,
}

/// A cookie of this name is present, but ambiguous: there are two (a sibling domain can plant one),
/// or its value has a form that we never issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session cookie is repeated or malformed")]
pub struct Ambiguous;

impl From<Ambiguous> for Denial {
    fn from(ambiguous: Ambiguous) -> Self {
        Self::new(Slug::CredentialMalformed).because(ambiguous.to_string())
    }
}

impl CookieRules {
    /// Finds the cookie in a request's headers. HTTP/2 may have several `Cookie` fields.
    ///
    /// # Errors
    ///
    /// [`Ambiguous`].
    pub fn find(&self, headers: &HeaderMap) -> Result<Option<SessionSecret>, Ambiguous> {
        match cookie_value(headers, &self.name)? {
            None => Ok(None),
            Some(value) => SessionSecret::parse(value).map(Some).ok_or(Ambiguous),
        }
    }

    /// The `Set-Cookie` that gives a browser its session. The cookie ends with the browser session,
    /// or when the server ends it.
    pub fn set(&self, secret: &SessionSecret) -> String {
        self.cookie(&secret.expose(), "")
    }

    /// The `Set-Cookie` that clears it.
    pub fn clear(&self) -> String {
        self.cookie("", "; Max-Age=0")
    }

    fn cookie(&self, value: &str, more: &str) -> String {
        let Self { name, domain, same_site, set_by } = self;
        let same_site = match same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        };
        let secure = match set_by {
            SetBy::Secure => "; Secure",
            SetBy::Anything => "",
        };
        let domain = domain.as_ref().map(|domain| format!("; Domain={domain}")).unwrap_or_default();
        format!("{name}={value}; Path=/{domain}{secure}; HttpOnly; SameSite={same_site}{more}")
    }

    /// A `Cookie` field without ours: `None` if the field does not hold it, empty if it holds
    /// nothing else.
    pub fn strip(&self, field: &[u8]) -> Option<Vec<u8>> {
        without_cookie(field, &self.name)
    }

    /// Whether a `Set-Cookie` field would set or clear ours.
    pub fn is_set_by(&self, field: &[u8]) -> bool {
        sets_cookie(field, &self.name)
    }
}

/// A `Cookie` field without the cookie of this name: `None` if the field does not hold it, empty if
/// it holds nothing else.
pub fn without_cookie(field: &[u8], name: &str) -> Option<Vec<u8>> {
    if !pairs(field).any(|pair| is_named(pair, name)) {
        return None;
    }
    let mut kept = Vec::with_capacity(field.len());
    for pair in pairs(field).filter(|pair| !is_named(pair, name)) {
        if !kept.is_empty() {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(pair);
    }
    Some(kept)
}

/// The value of the cookie of this name. HTTP/2 may have several `Cookie` fields.
///
/// # Errors
///
/// [`Ambiguous`] if there are two.
pub fn cookie_value<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h [u8]>, Ambiguous> {
    let fields = headers.get_all(COOKIE).iter();
    let pairs = fields.flat_map(|field| pairs(field.as_bytes()));
    let mut found = pairs.filter(|pair| is_named(pair, name));
    // `name` alone, without `=`, cannot be a value of ours either.
    let value = found.next().map(|pair| pair.get(name.len() + 1..).unwrap_or_default());
    if found.next().is_some() { Err(Ambiguous) } else { Ok(value) }
}

/// Whether a `Set-Cookie` field would set or clear the cookie of this name.
pub fn sets_cookie(field: &[u8], name: &str) -> bool {
    pairs(field).next().is_some_and(|pair| is_named(sent_as(pair), name))
}

/// What a browser sends back for this pair. For a cookie with an empty name that is the value
/// alone, which servers read as a name and a value (RFC 6265bis §5.6 and §5.8.3).
fn sent_as(pair: &[u8]) -> &[u8] {
    let is_name = |byte: &u8| *byte != b'=' && !byte.is_ascii_whitespace();
    &pair[pair.iter().position(is_name).unwrap_or(pair.len())..]
}

/// Servers disagree about white space around names: any name that could be read as ours counts.
fn is_named(pair: &[u8], name: &str) -> bool {
    let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
    pair[..end].trim_ascii() == name.as_bytes()
}

/// The pairs of a field, without the white space around them.
fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    // Searched by words, not by bytes: other cookies can be long.
    let ends = memchr::memchr_iter(b';', field).chain([field.len()]);
    let mut begin = 0;
    ends.map(move |end| {
        let pair = &field[begin..end];
        begin = end + 1;
        pair.trim_ascii()
    })
}
