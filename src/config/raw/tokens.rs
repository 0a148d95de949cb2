//! `tokens`: what the gateway itself issues.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// The tokens that the gateway itself issues: access tokens (RFC 9068), refresh tokens, and
/// internal tokens for upstreams. Routes name this issuer `gateway`; it needs no entry in
/// `issuers`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["issuer", "access"]))]
pub(crate) struct Tokens {
    /// `iss` of the tokens, and where clients find the metadata (RFC 8414). Gateways of one store
    /// share it.
    #[schemars(with = "text::IssuerUrl", example = &"https://gateway.example")]
    pub(crate) issuer: Option<String>,
    /// The keys that sign the tokens.
    pub(crate) signing: Signing,
    /// Access tokens, which open routes.
    pub(crate) access: Access,
    /// Refresh tokens, which are exchanged for the next pair.
    pub(crate) refresh: Refresh,
}

/// The keys that sign tokens: made by the gateway and kept in the store, or given as `key_files`.
///
/// All gateways of a store use the same. A new key is published before it signs; an old one stays
/// published until the last token that it signed has expired. With `key_files`, the fields about
/// rotation and encryption are an error.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    "x-since" = "0.1.0",
    "not" = { "anyOf": [
        { "required": ["encryption_key_file", "encryption_key"] },
        { "required": ["key_files", "rotate_every"] },
        { "required": ["key_files", "publish_before"] },
        { "required": ["key_files", "encryption_key_file"] },
        { "required": ["key_files", "encryption_key"] },
    ] },
))]
pub(crate) struct Signing {
    /// The algorithm of keys that are made from now on (RFC 7518, RFC 8037). With `key_files` the
    /// first key decides.
    #[schemars(with = "text::SigningAlgorithm", example = &"EdDSA", extend("default" = "ES256"))]
    pub(crate) algorithm: Option<String>,
    /// How long a key signs until the next one takes its place. At least 1m, and twice as long as
    /// `publish_before`.
    #[schemars(
        with = "text::Duration",
        example = &"30d",
        extend("x-default" = "until `portcullis keys rotate`")
    )]
    pub(crate) rotate_every: Option<String>,
    /// How long a new key is published before it signs, so that all verifiers of tokens know it by
    /// then. 5s to 7d.
    #[schemars(with = "text::Duration", example = &"30m", extend("default" = "1h"))]
    pub(crate) publish_before: Option<String>,
    /// Files with private keys, in PEM, that replace the keys from the store. The first signs; all
    /// are published. 16 at most.
    #[schemars(
        with = "Vec<text::Path>",
        length(max = 16),
        example = ["keys/new.pem", "keys/old.pem"]
    )]
    pub(crate) key_files: Vec<String>,
    /// A file with the secret that encrypts the signing keys in the store: 32 bytes or more, the
    /// same on every gateway. In Redis it is required. Another secret means new signing keys and
    /// ends every refresh token.
    #[schemars(
        with = "text::Path",
        example = &"secrets/kek",
        extend("x-default" = "none: keys lie in the embedded store in the clear")
    )]
    pub(crate) encryption_key_file: Option<String>,
    /// The secret itself, instead of `encryption_key_file`.
    #[schemars(with = "text::Secret", example = &"${NAME}", extend("x-default" = "none"))]
    pub(crate) encryption_key: Option<String>,
}

/// Access tokens: `at+jwt`, signed, for `audiences`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["audiences"]))]
pub(crate) struct Access {
    /// How long an access token is valid. 1s to 24h.
    #[schemars(with = "text::Duration", example = &"5m", extend("default" = "15m"))]
    pub(crate) lifetime: Option<String>,
    /// The services that access tokens are for: their `aud`, and the `aud` that the gateway accepts
    /// in its own tokens.
    #[schemars(with = "Vec<text::Audience>", length(min = 1), example = ["orders-api"])]
    pub(crate) audiences: Vec<String>,
    /// The claims of a login that its access tokens carry, in addition to roles and scopes. Names
    /// only; a claim that the gateway itself sets, such as `sub`, is an error.
    #[schemars(with = "Vec<text::ClaimName>", example = ["email"])]
    pub(crate) claims: Vec<String>,
}

/// Refresh tokens. Each is valid for one exchange, which replaces it with the next one. A token
/// that is used again later was stolen: its login ends, with its session and all of its tokens (400
/// `refresh_reused`).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct Refresh {
    /// How long a refresh token may go unused. Every exchange extends it. 1s to `absolute`.
    #[schemars(with = "text::Duration", example = &"1d", extend("default" = "7d"))]
    pub(crate) idle: Option<String>,
    /// How long the refresh tokens of a login last at most, however often they are exchanged. 1s to
    /// 30d.
    #[schemars(with = "text::Duration", example = &"14d", extend("default" = "30d"))]
    pub(crate) absolute: Option<String>,
    /// How long a refresh token that was used may be used again: it then leads to the newest token.
    /// This serves two tabs that refresh at once, and clients that lost the answer. As long as the
    /// token that it was exchanged for is unused, the time is ten times as long, up to two minutes.
    /// Any later use ends the login. `0s` allows no second use; 60s at most.
    #[schemars(with = "text::DurationOrZero", example = &"0s", extend("default" = "10s"))]
    pub(crate) rotation_grace: Option<String>,
}
