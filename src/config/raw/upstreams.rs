//! `upstreams`: the services behind the gateway.

use schemars::JsonSchema;
use serde::Deserialize;

use super::internal_token::InternalToken;
use super::text;

/// A service behind the gateway, under the name that routes use for it. The gateway speaks HTTP/1.1
/// to it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["peers"]))]
pub(crate) struct Upstream {
    /// The servers of the service. Names are resolved in the background.
    #[schemars(
        with = "Vec<text::Peer>",
        length(min = 1),
        example = ["10.0.0.7:9001", "orders.internal:9002"]
    )]
    pub(crate) peers: Vec<String>,
    /// How a peer is chosen for a request: `round_robin`, one after the other.
    #[schemars(with = "text::Balance", extend("default" = "round_robin"))]
    pub(crate) balance: Option<String>,
    /// TLS to the peers. Their certificates are always verified.
    #[schemars(extend("x-default" = "no TLS"))]
    pub(crate) tls: Option<UpstreamTls>,
    /// How long the gateway waits for the peers.
    pub(crate) timeouts: Timeouts,
    /// How often a request is tried on another peer when no connection could be made.
    #[schemars(range(min = 0, max = 5), example = 2, extend("default" = 1, "x-unit" = "times"))]
    pub(crate) retries: Option<usize>,
    /// How many requests the service gets at once.
    pub(crate) limits: UpstreamLimits,
    /// What the service gets about callers.
    pub(crate) forward: UpstreamForward,
}

/// TLS to an upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["server_name"]))]
pub(crate) struct UpstreamTls {
    /// The name that the certificate of each peer must carry.
    #[schemars(with = "text::Text", example = &"orders.internal")]
    pub(crate) server_name: Option<String>,
    /// The authorities that may vouch for the peers, in PEM, instead of the system's.
    #[schemars(
        with = "text::Path",
        example = &"tls/internal-ca.pem",
        extend("x-default" = "the system's authorities")
    )]
    pub(crate) ca_file: Option<String>,
}

/// How long the gateway waits for the peers of an upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct Timeouts {
    /// How long it may take to connect to a peer.
    #[schemars(with = "text::Duration", example = &"500ms", extend("default" = "1s"))]
    pub(crate) connect: Option<String>,
    /// How long a peer may send nothing of a response that the gateway waits for. Then the request
    /// is 504 `upstream_timeout`.
    #[schemars(with = "text::Duration", example = &"10s", extend("default" = "30s"))]
    pub(crate) read: Option<String>,
    /// How long a peer may read nothing of a request.
    #[schemars(with = "text::Duration", example = &"10s", extend("default" = "30s"))]
    pub(crate) write: Option<String>,
    /// How long an unused connection to a peer is kept for the next request.
    #[schemars(with = "text::Duration", example = &"20s", extend("default" = "60s"))]
    pub(crate) idle: Option<String>,
}

/// How many requests an upstream gets at once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct UpstreamLimits {
    /// How many requests to this upstream may be in flight. More are 503 `overloaded`.
    #[schemars(
        range(min = 1),
        example = 5000,
        extend(
            "x-default" = "half of `limits.in_flight`; all of it for the only upstream",
            "x-unit" = "requests"
        )
    )]
    pub(crate) in_flight: Option<usize>,
}

/// What an upstream gets about callers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct UpstreamForward {
    /// The internal token for the routes of this upstream that name none of their own.
    #[schemars(extend("x-default" = "none"))]
    pub(crate) internal_token: Option<InternalToken>,
}
