//! What the endpoints are asked: bodies and queries.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// Where the login page leads.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReturnTo {
    /// Where to go after the login: a path of this host, or what `login.return_to` lists. Any other
    /// value is ignored.
    pub return_to: Option<String>,
}

/// What a request with the session cookie that changes something has, if it comes from no browser.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct CsrfToken {
    /// The `csrf_token` of the session. Required without `Sec-Fetch-Site` and `Origin`, which browsers
    /// send.
    #[param(rename = "X-CSRF-Token")]
    pub csrf_token: Option<String>,
}

/// What a login delivers.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// The session cookie.
    Session,
    /// An access token and a refresh token, and no session cookie.
    Tokens,
    /// All of these.
    Both,
}

/// A login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// Name of the user; 256 bytes at most.
    #[schema(min_length = 1, max_length = 256)]
    pub username: String,
    /// Their password; 1,024 bytes at most.
    #[schema(min_length = 1, max_length = 1024)]
    pub password: String,
    /// Where to go after the login: a path of this host, or what `login.return_to` lists. Default: `/`.
    #[schema(nullable = false, max_length = 2048)]
    pub return_to: Option<String>,
    /// What to deliver. `tokens` and `both` require the section `tokens`. Default: `session`.
    #[schema(nullable = false)]
    pub deliver: Option<Delivery>,
    /// With tokens: a client with `public: true`. Default: `first-party`.
    #[schema(nullable = false)]
    pub client_id: Option<String>,
    /// With tokens: their scopes, separated by spaces. Default: all that user and client may have.
    #[schema(nullable = false, max_length = 4096)]
    pub scope: Option<String>,
}

/// What a client exchanges for a token.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// A refresh token (RFC 6749 §6).
    RefreshToken,
    /// The client's own credentials (RFC 6749 §4.4).
    ClientCredentials,
}

/// How a client's assertion is read.
#[derive(Deserialize, ToSchema)]
pub enum AssertionType {
    /// A JWT (RFC 7523 §2.2).
    #[serde(rename = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")]
    Jwt,
}

/// A request for a token (RFC 6749). Other parameters are ignored.
#[derive(Deserialize, ToSchema)]
pub struct TokenRequest {
    /// What is exchanged for the token.
    pub grant_type: GrantType,
    /// With `refresh_token`: the token. Absent: the refresh cookie holds it.
    #[schema(nullable = false)]
    pub refresh_token: Option<String>,
    /// The scopes, separated by spaces. Default: all that may be had.
    #[schema(nullable = false, max_length = 4096)]
    pub scope: Option<String>,
    /// For whom the access token is (RFC 8707 §2); may be repeated, 16 times together with `audience`.
    /// Default: every audience of the client.
    #[schema(nullable = false)]
    pub resource: Option<Vec<String>>,
    /// The same as `resource`.
    #[schema(nullable = false)]
    pub audience: Option<Vec<String>>,
    /// The client, if it does not authenticate by Basic. With a refresh token, the default is
    /// `first-party`.
    #[schema(nullable = false, max_length = 128)]
    pub client_id: Option<String>,
    /// Its secret.
    #[schema(nullable = false, max_length = 1024)]
    pub client_secret: Option<String>,
    /// How `client_assertion` is read.
    #[schema(nullable = false)]
    pub client_assertion_type: Option<AssertionType>,
    /// A JWT that the client signed (RFC 7523 §2.2).
    #[schema(nullable = false, max_length = 8192)]
    pub client_assertion: Option<String>,
}

/// A token that is to be revoked (RFC 7009 §2.1), or that the client asks about (RFC 7662 §2.1). Other
/// parameters are ignored.
#[derive(Deserialize, ToSchema)]
pub struct PresentedToken {
    /// The token.
    #[schema(min_length = 1)]
    pub token: String,
    /// What it is. The gateway sees that from the token, and ignores this.
    #[schema(nullable = false, max_length = 128)]
    pub token_type_hint: Option<String>,
    /// The client, if it does not authenticate by Basic.
    #[schema(nullable = false, max_length = 128)]
    pub client_id: Option<String>,
    /// Its secret.
    #[schema(nullable = false, max_length = 1024)]
    pub client_secret: Option<String>,
    /// How `client_assertion` is read.
    #[schema(nullable = false)]
    pub client_assertion_type: Option<AssertionType>,
    /// A JWT that the client signed (RFC 7523 §2.2).
    #[schema(nullable = false, max_length = 8192)]
    pub client_assertion: Option<String>,
}
