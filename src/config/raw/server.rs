//! `server` and `token_cache`: the process, and how much it remembers.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// The process.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct Server {
    /// The name by which operators and other gateways know this one.
    #[schemars(
        with = "text::Name",
        example = &"gateway-1",
        extend("x-default" = "the name of the host, else `gateway`")
    )]
    pub(crate) name: Option<String>,
    /// How many threads serve requests. It cannot change while the gateway runs.
    #[schemars(
        range(min = 1, max = 1024),
        example = 4,
        extend("x-default" = "one for each CPU", "x-unit" = "threads")
    )]
    pub(crate) threads: Option<usize>,
    /// How long requests in flight may take to finish after SIGTERM or SIGINT. Then the process
    /// ends; a second signal ends it at once.
    #[schemars(with = "text::Duration", example = &"1m", extend("default" = "30s"))]
    pub(crate) shutdown_grace: Option<String>,
    /// Which code serves plain HTTP/1.1 requests: `fast`, the gateway's own, or `pingora`, the
    /// general proxy that serves everything else. It helps to investigate a fault; both behave
    /// alike.
    #[schemars(
        with = "text::Lane",
        example = &"pingora",
        extend("default" = "fast", "x-since" = "0.1.0")
    )]
    pub(crate) lane: Option<String>,
}

/// The cache of verified tokens.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct TokenCache {
    /// How much memory the cache of verified tokens takes. Beyond it, tokens leave the cache, and
    /// their signatures are verified again.
    #[schemars(with = "text::Size", example = &"256MiB", extend("default" = "64MiB"))]
    pub(crate) size: Option<String>,
}
