//! `identity_headers`: the headers that tell upstreams who the caller is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// The headers that tell upstreams who the caller is.
///
/// They are removed from every request, on public routes too and in every spelling, then set.
/// Anything that is not visible ASCII is percent-encoded, `%` itself included. Each header has a
/// name of its own that has no other meaning in HTTP or for the gateway.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct IdentityHeaders {
    /// The header with the subject.
    #[schemars(
        with = "text::HeaderName",
        example = &"X-User",
        extend("default" = "X-Auth-Subject")
    )]
    pub(crate) subject: Option<String>,
    /// The header with the issuer that vouches for the subject.
    #[schemars(
        with = "text::HeaderName",
        example = &"X-User-Issuer",
        extend("default" = "X-Auth-Issuer")
    )]
    pub(crate) issuer: Option<String>,
    /// The header with the scopes, separated by spaces.
    #[schemars(
        with = "text::HeaderName",
        example = &"X-User-Scopes",
        extend("default" = "X-Auth-Scopes")
    )]
    pub(crate) scopes: Option<String>,
    /// The header with the roles, separated by commas. A comma within a role is percent-encoded.
    #[schemars(
        with = "text::HeaderName",
        example = &"X-User-Roles",
        extend("default" = "X-Auth-Roles")
    )]
    pub(crate) roles: Option<String>,
    /// The header with the id of the session, which is not its cookie.
    #[schemars(
        with = "text::HeaderName",
        example = &"X-User-Session",
        extend("default" = "X-Auth-Session")
    )]
    pub(crate) session: Option<String>,
    /// Headers with further claims: for each claim, by name or JSON pointer, its header. Claims
    /// that are objects are not forwarded.
    #[schemars(
        with = "BTreeMap<String, text::HeaderName>",
        example = BTreeMap::from([("email", "X-Auth-Email"), ("/org/id", "X-Auth-Org")])
    )]
    pub(crate) claims: BTreeMap<String, String>,
}
