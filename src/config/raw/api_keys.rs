//! `api_keys`: which header carries them, and how long they live.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// API keys, which `portcullis api-keys create` makes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct ApiKeys {
    /// The header in which clients send their key. It must have no other meaning in HTTP or for the
    /// gateway.
    #[schemars(with = "text::HeaderName", example = &"X-Key", extend("default" = "X-Api-Key"))]
    pub(crate) header: Option<String>,
    /// How long an API key may be valid. 1d to 400d. Revocations of subjects are remembered for as
    /// long.
    #[schemars(with = "text::Duration", example = &"30d", extend("default" = "90d"))]
    pub(crate) max_lifetime: Option<String>,
}
