//! `issuers`: which issuers' tokens are accepted.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// An issuer whose bearer tokens (JWT) are accepted. A token must have `iss`, `aud`, `exp` and
/// `sub`, whatever is written here.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    "x-since" = "0.1.0",
    "required" = ["name", "issuer", "audiences", "algorithms", "keys"],
))]
pub(crate) struct Issuer {
    /// The name of the issuer for routes, metrics and logs. `gateway` is the gateway itself.
    #[schemars(with = "text::Name", example = &"corporate")]
    pub(crate) name: Option<String>,
    /// `iss` of its tokens, byte for byte.
    #[schemars(with = "String", example = &"https://idp.example")]
    pub(crate) issuer: Option<String>,
    /// Names of this service. `aud` of a token must contain one of them.
    #[schemars(length(min = 1), example = ["orders-api"])]
    pub(crate) audiences: Vec<String>,
    /// The algorithms with which tokens may be signed. The key decides which of them; a token may
    /// only agree. `none` is never accepted.
    #[schemars(with = "Vec<text::Algorithm>", length(min = 1), example = ["RS256", "ES256"])]
    pub(crate) algorithms: Vec<String>,
    /// Where the keys that verify the tokens come from.
    pub(crate) keys: Option<Keys>,
    /// How far the issuer's clock may be from this machine's when `exp`, `nbf` and `iat` are
    /// judged.
    #[schemars(with = "text::Duration", example = &"10s", extend("default" = "30s"))]
    pub(crate) clock_skew: Option<String>,
    /// How long a token may be valid: `exp` − `iat`. A longer one is 401 `token_lifetime`. A token
    /// without `iat` counts as issued in 1970. At least 1s.
    #[schemars(with = "text::Duration", example = &"1h", extend("default" = "24h"))]
    pub(crate) max_lifetime: Option<String>,
    /// The values of `typ` that are accepted, in any case. If there is a list, a token without
    /// `typ` is refused.
    #[schemars(example = ["at+jwt"], extend("x-default" = "`JWT`, `at+jwt`, or no `typ`"))]
    pub(crate) token_types: Option<Vec<String>>,
    /// Claims that a token must have, in addition to `iss`, `aud`, `exp` and `sub`.
    #[schemars(example = ["jti"])]
    pub(crate) required_claims: Vec<String>,
    /// Where in a token the roles are.
    #[schemars(
        with = "text::JsonPointer",
        example = &"/realm_access/roles",
        extend("default" = "/roles")
    )]
    pub(crate) roles: Option<String>,
    /// Which claims have which meaning, where providers differ.
    pub(crate) claims: IssuerClaims,
}

/// Which claims of a token have which meaning.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct IssuerClaims {
    /// The claims that name the client, by name or JSON pointer. The first that a token has counts.
    /// With `[]`, tokens name no client, and none can be revoked by client.
    #[schemars(
        with = "Vec<text::Claim>",
        example = ["azp"],
        extend("default" = ["client_id", "azp", "cid", "appid"])
    )]
    pub(crate) client: Option<Vec<String>>,
}

/// Where the keys of an issuer come from: exactly one of `jwks_url`, `jwks_file`,
/// `public_key_file`, and `secret_file` or `secret`.
///
/// `refresh`, `max_stale`, `timeout` and `ca_file` only go with `jwks_url`. Key sets are fetched
/// directly: proxies that the environment names are not used.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    "x-since" = "0.1.0",
    "oneOf" = [
        { "required": ["jwks_url"] },
        { "required": ["jwks_file"] },
        { "required": ["public_key_file"] },
        { "required": ["secret_file"] },
        { "required": ["secret"] },
    ],
    "dependentRequired" = {
        "refresh": ["jwks_url"], "max_stale": ["jwks_url"], "timeout": ["jwks_url"],
        "ca_file": ["jwks_url"],
    },
))]
pub(crate) struct Keys {
    /// The URL of the issuer's key set (JWKS, RFC 7517). Keys that the set lacks are withdrawn.
    #[schemars(
        with = "text::HttpsUrl",
        example = &"https://idp.example/jwks.json",
        extend("x-default" = "none")
    )]
    pub(crate) jwks_url: Option<String>,
    /// How often the key set is fetched.
    #[schemars(with = "text::Duration", example = &"1m", extend("default" = "10m"))]
    pub(crate) refresh: Option<String>,
    /// How old the last good copy of the key set may be. With an older one, tokens are 503
    /// `keys_unavailable`. At least 1s, and no less than `refresh`.
    #[schemars(with = "text::Duration", example = &"2h", extend("default" = "24h"))]
    pub(crate) max_stale: Option<String>,
    /// How long one fetch of the key set may take.
    #[schemars(with = "text::Duration", example = &"5s", extend("default" = "3s"))]
    pub(crate) timeout: Option<String>,
    /// The authorities that may vouch for the server of `jwks_url`, in PEM, instead of the
    /// system's.
    #[schemars(
        with = "text::Path",
        example = &"tls/idp-ca.pem",
        extend("x-default" = "the system's authorities")
    )]
    pub(crate) ca_file: Option<String>,
    /// A file with a key set (JWKS, RFC 7517). A key that is removed from it becomes invalid at
    /// once.
    #[schemars(with = "text::Path", example = &"keys/jwks.json", extend("x-default" = "none"))]
    pub(crate) jwks_file: Option<String>,
    /// A file with one public key, in PEM. Such a key cannot be revoked by its id: it has none.
    #[schemars(with = "text::Path", example = &"keys/idp.pem", extend("x-default" = "none"))]
    pub(crate) public_key_file: Option<String>,
    /// A file with the secret of HS256, HS384 or HS512. White space around it is removed.
    #[schemars(with = "text::Path", example = &"secrets/hs256.key", extend("x-default" = "none"))]
    pub(crate) secret_file: Option<String>,
    /// The secret itself, instead of `secret_file`.
    #[schemars(with = "text::Secret", example = &"${NAME}", extend("x-default" = "none"))]
    pub(crate) secret: Option<String>,
}
