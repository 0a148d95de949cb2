//! `clients`: which clients may ask for tokens.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// A client that may ask the gateway for tokens (RFC 6749 §2).
///
/// Exactly one of `secret_hash`, `public_key_file`, `jwks_file` and `public: true` says how the
/// client authenticates. A login that names no client belongs to the client `first-party`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    "x-since" = "0.1.0",
    "required" = ["id"],
    "oneOf" = [
        { "required": ["secret_hash"] },
        { "required": ["public_key_file", "algorithms"] },
        { "required": ["jwks_file", "algorithms"] },
        { "required": ["public"], "properties": { "public": { "const": true } } },
    ],
))]
pub(crate) struct Client {
    /// The `client_id`. `first-party` is taken, and so is the subject of any user.
    #[schemars(with = "text::ClientId", example = &"batch")]
    pub(crate) id: Option<String>,
    /// The hash of the client's secret, which `portcullis password hash` makes (argon2id). The
    /// client sends the secret with HTTP Basic or in the form.
    #[schemars(
        with = "text::PasswordHash",
        example = &"$argon2id$v=19$m=19456,t=2,p=1$…",
        extend("x-default" = "none")
    )]
    pub(crate) secret_hash: Option<String>,
    /// The client's public key, in PEM. The client signs an assertion for each request
    /// (`private_key_jwt`, RFC 7523). It needs `algorithms`.
    #[schemars(with = "text::Path", example = &"keys/reports.pem", extend("x-default" = "none"))]
    pub(crate) public_key_file: Option<String>,
    /// The client's public keys as a JWKS (RFC 7517), instead of `public_key_file`.
    #[schemars(with = "text::Path", example = &"keys/reports.json", extend("x-default" = "none"))]
    pub(crate) jwks_file: Option<String>,
    /// The algorithms with which the client may sign assertions. They are only allowed with
    /// `public_key_file` and `jwks_file`.
    #[schemars(with = "Vec<text::PublicKeyAlgorithm>", example = ["ES256"])]
    pub(crate) algorithms: Vec<String>,
    /// Whether the client keeps no secret: an app or a page that logs users in.
    #[schemars(example = true, extend("default" = false))]
    pub(crate) public: Option<bool>,
    /// All scopes that the client may have.
    #[schemars(with = "Vec<text::Scope>", example = ["orders:read"])]
    pub(crate) scopes: Vec<String>,
    /// The services for which the client may get tokens.
    #[schemars(
        with = "Vec<text::Audience>",
        example = ["orders-api"],
        extend("x-default" = "`tokens.access.audiences`")
    )]
    pub(crate) audiences: Vec<String>,
    /// How long the client's access tokens are valid. 1s to 24h.
    #[schemars(
        with = "text::Duration",
        example = &"5m",
        extend("x-default" = "`tokens.access.lifetime`")
    )]
    pub(crate) lifetime: Option<String>,
    /// Whether the client may introspect tokens (RFC 7662). A public client may not.
    #[schemars(example = true, extend("default" = false))]
    pub(crate) introspection: Option<bool>,
}
