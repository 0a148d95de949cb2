//! `routes`: which requests go where, and who may send them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml::Value;

use super::internal_token::InternalToken;
use super::text;

/// A route: which requests it serves, who may send them, and where they go.
///
/// The most specific route serves a request, whatever their order; two that claim the same requests
/// are an error. A request that none serves is 404 `route_unknown`. A route says either
/// `public: true` or `authenticate`. On a public route, `issuers`, `require` and `when_stale` are
/// an error.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    "x-since" = "0.1.0",
    "required" = ["name", "match", "upstream"],
    "if" = { "properties": { "public": { "const": true } }, "required": ["public"] },
    "then" = { "properties": {
        "authenticate": false, "issuers": false, "require": false, "when_stale": false,
    } },
    "else" = { "required": ["authenticate"] },
))]
pub(crate) struct Route {
    /// The name of the route, for metrics and logs. No two routes have the same.
    #[schemars(with = "text::Name", example = &"orders")]
    pub(crate) name: Option<String>,
    /// Which requests the route serves.
    #[serde(rename = "match")]
    pub(crate) matching: Match,
    /// The upstream to which requests go.
    #[schemars(with = "text::Name", example = &"orders")]
    pub(crate) upstream: Option<String>,
    /// Whether anyone may use the route, without a credential.
    #[schemars(example = true, extend("default" = false))]
    pub(crate) public: Option<bool>,
    /// The credentials that open the route, in the order in which a request is searched for them:
    /// `bearer` (a JWT), `session` (a cookie; needs `login`), `api_key` (needs `api_keys`). The
    /// next one counts only if the one before is absent.
    #[schemars(
        with = "Vec<text::Carrier>",
        length(min = 1),
        example = ["bearer", "session"],
        extend("uniqueItems" = true, "x-default" = "none: the route is `public`")
    )]
    pub(crate) authenticate: Option<Vec<String>>,
    /// The issuers whose bearer tokens open the route. `gateway` is the gateway itself. Without
    /// `bearer` this is an error.
    #[schemars(
        with = "Vec<text::Name>",
        length(min = 1),
        example = ["corporate"],
        extend("x-default" = "all issuers")
    )]
    pub(crate) issuers: Option<Vec<String>>,
    /// What the caller must have, in addition to a credential.
    pub(crate) require: Require,
    /// What a request with a credential gets while the revocation list is stale: `deny` (503),
    /// `allow`, `deny_writes`, or `{ allow_for: 30s }`. `revocation.when_stale` says what these do.
    #[schemars(
        with = "text::WhenStale",
        example = BTreeMap::from([("allow_for", "30s")]),
        extend("x-default" = "`revocation.when_stale`")
    )]
    pub(crate) when_stale: Option<Value>,
    /// What the upstream gets about the caller, in addition to the identity headers.
    pub(crate) forward: Forward,
    /// How much one request may send.
    pub(crate) limits: RouteLimits,
}

/// Which requests a route serves: those of all of `hosts`, `path` and `methods`.
///
/// An exact host precedes `*.` and a domain, a longer domain a shorter one, and any host comes
/// last. Within a host, literal segments precede `{name}`, and that precedes `{*name}`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["path"]))]
pub(crate) struct Match {
    /// The hosts. They are compared without port, case and one dot at the end. `*.example` is for
    /// any depth below `example`.
    #[schemars(
        with = "Vec<text::HostPattern>",
        example = ["api.example", "*.api.example"],
        extend("x-default" = "any host")
    )]
    pub(crate) hosts: Vec<String>,
    /// The path. `{name}` is one segment and `{*name}`, last, the rest: `/orders/{*rest}` is also
    /// for `/orders/` and `/orders`, unless another route names them. Paths are matched and
    /// forwarded as they are sent.
    #[schemars(with = "text::PathPattern", example = &"/orders/{*rest}")]
    pub(crate) path: Option<String>,
    /// The methods. GET includes HEAD. Another method is 405 `method_not_allowed`. TRACE and TRACK
    /// are 405 on every route.
    #[schemars(
        with = "Vec<text::Method>",
        example = ["GET", "POST"],
        extend("uniqueItems" = true, "x-default" = "any but TRACE and TRACK")
    )]
    pub(crate) methods: Vec<String>,
    /// Spellings of paths that are 400 `request_target` without it, because servers read them
    /// differently: `encoded_slash` (`%2f`), `semicolon` (`;`), `encoded_percent` (`%25`),
    /// `empty_segment` (`//`). Also spellings that could be meant for another route: `case`
    /// (`/Admin`), `trailing_slash` (`/admin/`), `trailing_dot` (`/admin.`); list those that this
    /// route's upstream distinguishes. It raises `portcullis_dangerous_options`.
    #[schemars(with = "Vec<text::DangerousPath>", example = ["encoded_slash"])]
    pub(crate) dangerous_path: Vec<String>,
}

/// What a caller must have, in addition to a credential.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct Require {
    /// Scopes, all of which the caller must have: in `scope` or `scp` of a token. Otherwise: 403
    /// `scope_missing`.
    #[schemars(with = "Vec<text::Scope>", example = ["orders:read"])]
    pub(crate) scopes: Vec<String>,
    /// Roles, one of which the caller must have. Otherwise: 403 `role_missing`.
    #[schemars(example = ["admin", "clerk"])]
    pub(crate) any_role: Vec<String>,
    /// Claims, by name or JSON pointer, each with its accepted values: the claim must equal one of
    /// them or, as an array, contain one. Otherwise: 403 `claim_mismatch`. A claim that is `null`
    /// counts as absent.
    #[schemars(
        with = "BTreeMap<String, text::ClaimValues>",
        example = BTreeMap::from([("tenant", ["acme", "globex"])])
    )]
    pub(crate) claims: BTreeMap<String, Value>,
}

/// What an upstream gets about the caller, in addition to the identity headers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct Forward {
    /// Whether the upstream gets the credential that opened the route: `strip` removes it, `keep`
    /// forwards it.
    #[schemars(with = "text::ForwardCredential", example = &"keep", extend("default" = "strip"))]
    pub(crate) credential: Option<String>,
    /// The internal token that the upstream gets. On a public route it is an error.
    #[schemars(extend("x-default" = "that of the upstream, if it has one"))]
    pub(crate) internal_token: Option<InternalToken>,
}

/// How much one request of a route may send.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct RouteLimits {
    /// How long the body of a request may be. A longer one is 413 `body_too_large`.
    #[schemars(with = "text::Size", example = &"10MiB", extend("x-default" = "no limit"))]
    pub(crate) body: Option<String>,
}
