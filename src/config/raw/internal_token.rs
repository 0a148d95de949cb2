//! `forward.internal_token`, of a route or of an upstream.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// A short-lived token, signed by the gateway, that tells an upstream who the caller is, in the
/// same format for every kind of credential (`typ` is `internal+jwt`). It needs `tokens`. The
/// identity headers are sent in addition.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["audience"]))]
pub(crate) struct InternalToken {
    /// `aud` of the token: the name by which the upstream knows itself.
    #[schemars(with = "text::InternalAudience", example = &"orders")]
    pub(crate) audience: Option<String>,
    /// The header that carries the token: `Authorization`, as a bearer token, or one of its own.
    #[schemars(
        with = "text::HeaderName",
        example = &"X-Internal-Token",
        extend("default" = "Authorization")
    )]
    pub(crate) header: Option<String>,
    /// How long a token is valid. It is reused until a quarter of its lifetime is left. 4s to 1h.
    #[schemars(with = "text::Duration", example = &"5m", extend("default" = "60s"))]
    pub(crate) lifetime: Option<String>,
    /// Further claims of the caller that go into the token, by name or JSON pointer. A claim that
    /// the gateway itself sets, such as `sub`, is an error.
    #[schemars(with = "Vec<text::Claim>", example = ["email", "tenant"])]
    pub(crate) claims: Vec<String>,
}
