//! `sessions`: how long sessions live, and their cookie.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// Sessions of users who log in. The browser holds a random secret, and the store holds the rest.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct Sessions {
    /// The cookie in which a browser carries its session.
    pub(crate) cookie: Cookie,
    /// How long a session lasts without a request. Every request to a route extends it; requests to
    /// endpoints below `login.base` do not. 1s to `absolute_timeout`.
    #[schemars(with = "text::Duration", example = &"15m", extend("default" = "30m"))]
    pub(crate) idle_timeout: Option<String>,
    /// How long a session lasts at most, however much it is used. 1s to 30d.
    #[schemars(with = "text::Duration", example = &"8h", extend("default" = "12h"))]
    pub(crate) absolute_timeout: Option<String>,
    /// How long a gateway uses a session in its memory without hearing from the store. Redis
    /// notifies gateways of every change at once. The bound counts where it cannot (an ACL user
    /// without `client|tracking`), and while the store is away. 1s to 1h.
    #[schemars(with = "text::Duration", example = &"10s", extend("default" = "5s"))]
    pub(crate) recheck: Option<String>,
    /// Other sites whose pages may send unsafe requests and open WebSockets with the cookie. From
    /// any other site these are 403 `csrf`.
    #[schemars(with = "Vec<text::Origin>", example = ["https://app.example"])]
    pub(crate) allowed_origins: Vec<String>,
    /// How much memory the sessions take that a gateway holds. Beyond it, sessions leave the
    /// memory, and are read from the store again. It cannot change while the gateway runs.
    #[schemars(with = "text::Size", example = &"64MiB", extend("default" = "256MiB"))]
    pub(crate) cache_size: Option<String>,
}

/// The session cookie. It is always `HttpOnly`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct Cookie {
    /// The name of the cookie. With `__Host-`, no other host of the domain can set it; browsers
    /// refuse this prefix together with `domain` or `dangerous_insecure`.
    #[schemars(
        with = "text::CookieName",
        example = &"__Host-sid",
        extend("x-default" = "`__Host-session`; `session` with `domain` or `dangerous_insecure`")
    )]
    pub(crate) name: Option<String>,
    /// The domain on all hosts of which the session is valid.
    #[schemars(
        with = "text::Domain",
        example = &"example.com",
        extend("x-default" = "the host that set the cookie, and no other")
    )]
    pub(crate) domain: Option<String>,
    /// With which requests from other sites browsers send the cookie (`SameSite`, RFC 6265bis):
    /// `strict` with none, `lax` when a page is opened, `none` with all. `none` needs HTTPS.
    #[schemars(with = "text::SameSite", example = &"strict", extend("default" = "lax"))]
    pub(crate) same_site: Option<String>,
    /// Whether the cookie is set without `Secure`, so that browsers on other machines accept it
    /// over plain HTTP. Anyone on the network path can read and set it. It raises
    /// `portcullis_dangerous_options`.
    #[schemars(example = true, extend("default" = false))]
    pub(crate) dangerous_insecure: Option<bool>,
}
