//! What the endpoints about tokens answer.

use serde::Serialize;
use utoipa::ToSchema;

/// Why there is no token (RFC 6749 §5.2).
#[derive(Serialize, ToSchema)]
pub struct OAuthError {
    /// The word for OAuth clients.
    pub error: OAuthErrorCode,
    /// What was wrong.
    pub error_description: String,
    /// The word of the gateway, as in its logs and metrics.
    pub slug: String,
}

/// The errors of RFC 6749 §4.1.2.1 and §5.2, and of RFC 8707 §2.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OAuthErrorCode {
    /// The request lacks something, repeats something, or cannot be read.
    InvalidRequest,
    /// The client did not prove who it is.
    InvalidClient,
    /// The refresh token is not good, or belongs to another client.
    InvalidGrant,
    /// The client may not do this.
    UnauthorizedClient,
    /// There is no such grant here.
    UnsupportedGrantType,
    /// The client or user may not have this scope.
    InvalidScope,
    /// The client may not ask for this audience.
    InvalidTarget,
    /// The request may come from another site.
    AccessDenied,
    /// Nothing could be decided. Asking again later may help.
    TemporarilyUnavailable,
    /// A defect of the gateway.
    ServerError,
}

/// How a token is presented.
#[derive(Serialize, ToSchema)]
pub enum BearerType {
    /// After `Bearer`, in `Authorization` (RFC 6750 §2.1).
    Bearer,
}

/// Tokens (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
pub struct IssuedTokens {
    /// The access token (RFC 9068).
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: BearerType,
    /// How long the access token is good, in seconds.
    pub expires_in: i64,
    /// The scopes of the access token, separated by spaces; absent: it has none.
    #[schema(nullable = false)]
    pub scope: Option<String>,
    /// The refresh token. Absent: a cookie holds it, or the grant gives none.
    #[schema(nullable = false)]
    pub refresh_token: Option<String>,
}

/// The token is revoked (RFC 7009 §2.2).
#[derive(Serialize, ToSchema)]
pub struct RevokedToken {}

/// What a token is good for (RFC 7662 §2.2). One that is not good now has `active` only.
#[derive(Serialize, ToSchema)]
pub struct Introspection {
    /// Whether it is good now.
    pub active: bool,
    /// The issuer (`iss`).
    #[schema(nullable = false)]
    pub iss: Option<String>,
    /// The user, client or machine (`sub`).
    #[schema(nullable = false)]
    pub sub: Option<String>,
    /// For whom it is: one audience, or several.
    #[schema(nullable = false)]
    pub aud: Option<Audience>,
    /// When it expires, in seconds since 1970.
    #[schema(nullable = false)]
    pub exp: Option<i64>,
    /// From when on it is good, in seconds since 1970.
    #[schema(nullable = false)]
    pub nbf: Option<i64>,
    /// When it was issued, in seconds since 1970.
    #[schema(nullable = false)]
    pub iat: Option<i64>,
    /// Its id.
    #[schema(nullable = false)]
    pub jti: Option<String>,
    /// The session that it belongs to.
    #[schema(nullable = false)]
    pub sid: Option<String>,
    /// The client that it was issued to.
    #[schema(nullable = false)]
    pub client_id: Option<String>,
    /// Its scopes, separated by spaces.
    #[schema(nullable = false)]
    pub scope: Option<String>,
    /// What it is.
    #[schema(nullable = false)]
    pub token_type: Option<IntrospectedType>,
}

/// For whom a token is.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Audience {
    /// One audience.
    One(String),
    /// Several audiences.
    Several(Vec<String>),
}

/// What a token is.
#[derive(Serialize, ToSchema)]
pub enum IntrospectedType {
    /// An access token.
    Bearer,
    /// A refresh token.
    #[serde(rename = "refresh_token")]
    RefreshToken,
    /// An API key.
    #[serde(rename = "api_key")]
    ApiKey,
}

/// The public signing keys (RFC 7517 §5).
#[derive(Serialize, ToSchema)]
pub struct KeySet {
    /// Those that sign, those that will, and those that have signed what is still good.
    pub keys: Vec<PublicKey>,
}

/// A public key. Which of the members it has beside the first four depends on `kty`.
#[derive(Serialize, ToSchema)]
pub struct PublicKey {
    /// `EC`, `OKP` or `RSA`.
    pub kty: String,
    /// Its id, which tokens name in their header.
    pub kid: String,
    /// Its algorithm.
    pub alg: String,
    /// Always `sig`.
    pub r#use: String,
    /// The curve of an `EC` or `OKP` key.
    #[schema(nullable = false)]
    pub crv: Option<String>,
    /// Of an `EC` or `OKP` key.
    #[schema(nullable = false)]
    pub x: Option<String>,
    /// Of an `EC` key.
    #[schema(nullable = false)]
    pub y: Option<String>,
    /// The modulus of an `RSA` key.
    #[schema(nullable = false)]
    pub n: Option<String>,
    /// The exponent of an `RSA` key.
    #[schema(nullable = false)]
    pub e: Option<String>,
}

/// Where and how clients ask for tokens (RFC 8414 §2).
#[derive(Serialize, ToSchema)]
pub struct ServerMetadata {
    /// `tokens.issuer`.
    #[schema(format = "uri")]
    pub issuer: String,
    /// Where the public keys are.
    #[schema(format = "uri")]
    pub jwks_uri: String,
    /// Empty: there is no authorization endpoint.
    pub response_types_supported: Vec<String>,
    /// `refresh_token` and `client_credentials`.
    pub grant_types_supported: Vec<String>,
    /// The token endpoint.
    #[schema(format = "uri")]
    pub token_endpoint: String,
    /// How clients authenticate there.
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// How they may sign assertions.
    pub token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Where tokens are revoked.
    #[schema(format = "uri")]
    pub revocation_endpoint: String,
    /// How clients authenticate there.
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
    /// How they may sign assertions.
    pub revocation_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// Where clients ask about tokens.
    #[schema(format = "uri")]
    pub introspection_endpoint: String,
    /// How clients authenticate there.
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// How they may sign assertions.
    pub introspection_endpoint_auth_signing_alg_values_supported: Vec<String>,
}
