//! `admin`: where operators connect.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// The listener for operators: `/metrics`, `/livez`, `/readyz` and, with a token, `/v1`.
///
/// A token is required unless the address is a loopback address: write `token_file` or `token`, not
/// both. Without either, the gateway makes a token at its first start and keeps it in `admin.token`
/// of the data directory (mode 0600); then `/metrics` is open. A token that the configuration gives
/// protects `/metrics`, too.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "not" = { "required": ["token_file", "token"] }))]
pub(crate) struct Admin {
    /// The IP address and port of the admin listener. It cannot change while the gateway runs.
    #[schemars(
        with = "text::Address",
        example = &"0.0.0.0:9901",
        extend("default" = "127.0.0.1:9901")
    )]
    pub(crate) address: Option<String>,
    /// A file with the bearer token that operators send. White space around it is removed.
    #[schemars(
        with = "text::Path",
        example = &"secrets/admin.token",
        extend("x-default" = "`admin.token` in `data_directory`, made at the first start")
    )]
    pub(crate) token_file: Option<String>,
    /// The bearer token itself, instead of `token_file`.
    #[schemars(with = "text::Secret", example = &"${NAME}", extend("x-default" = "none"))]
    pub(crate) token: Option<String>,
}
