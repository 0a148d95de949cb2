//! `limits`: how much clients may send and hold, and how slowly.

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// Bounds on what clients send and hold.
///
/// At its start the gateway raises its limit of open descriptors to the hard limit, and divides
/// them between connections and requests in flight. Values of `connections` and `in_flight` above
/// that share are reduced, with a warning. Behind a load balancer that is not in `trusted_proxies`,
/// all clients count as one address.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct Limits {
    /// How long the whole head of a request may be, up to 256KiB. A longer one is 431
    /// `headers_too_large`.
    #[schemars(with = "text::Size", example = &"64KiB", extend("default" = "32KiB"))]
    pub(crate) header_bytes: Option<String>,
    /// How many header fields a request may have. One with more is 431 `headers_too_large`.
    #[schemars(range(min = 1, max = 256), example = 64, extend("default" = 100, "x-unit" = "fields"))]
    pub(crate) header_count: Option<usize>,
    /// How long the head of a request may take, from its first byte to its last. A slower one is
    /// 408 `request_timeout`.
    #[schemars(with = "text::Duration", example = &"5s", extend("default" = "10s"))]
    pub(crate) header_timeout: Option<String>,
    /// How long a connection may idle between two requests. Then the gateway closes it.
    #[schemars(with = "text::Duration", example = &"2m", extend("default" = "75s"))]
    pub(crate) keepalive_timeout: Option<String>,
    /// How long the body of a request may stall. A body that stalls for longer is 408
    /// `request_timeout`.
    #[schemars(with = "text::Duration", example = &"30s", extend("default" = "60s"))]
    pub(crate) body_timeout: Option<String>,
    /// How much of a body must arrive for each second in which the gateway waits for it; a slower
    /// body is 408 `request_timeout`. With `0B/s` any byte ends a stall.
    #[schemars(with = "text::Rate", example = &"8KiB/s", extend("default" = "500B/s"))]
    pub(crate) body_rate: Option<String>,
    /// How long a whole body may take, from its beginning. A slower one is 408 `request_timeout`.
    #[schemars(with = "text::Duration", example = &"1h", extend("default" = "12h"))]
    pub(crate) body_deadline: Option<String>,
    /// How long a client may read nothing of a response that waits for it. Then the gateway drops
    /// the connection, over HTTP/2 the stream. Over HTTP/2 a client must read each piece of up to
    /// 64 KiB within this time.
    #[schemars(with = "text::Duration", example = &"30s", extend("default" = "60s"))]
    pub(crate) send_timeout: Option<String>,
    /// How much of a response a client must read for each second in which the gateway waits for it.
    /// With `0B/s` any byte is enough.
    #[schemars(with = "text::Rate", example = &"8KiB/s", extend("default" = "500B/s"))]
    pub(crate) send_rate: Option<String>,
    /// The longest token that is read, up to 256KiB. A longer one is 401 `token_malformed`; one
    /// longer than `header_bytes` cannot arrive.
    #[schemars(with = "text::Size", example = &"16KiB", extend("default" = "8KiB"))]
    pub(crate) token_bytes: Option<String>,
    /// How long the identity headers of a request may be together, and how long an internal token:
    /// 256B to 64KiB. An identity that does not fit is 431 `identity_too_large`; it is never cut
    /// short.
    #[schemars(with = "text::Size", example = &"16KiB", extend("default" = "8KiB"))]
    pub(crate) identity_bytes: Option<String>,
    /// How many connections of clients may be open. More are closed at once. Without enough open
    /// descriptors it is fewer.
    #[schemars(
        range(min = 1),
        example = 65536,
        extend("x-default" = "as many as descriptors allow", "x-unit" = "connections")
    )]
    pub(crate) connections: Option<usize>,
    /// How many connections one client address may have open. An IPv6 client counts as its /64.
    /// More are closed at once. Addresses in `trusted_proxies` have no limit of their own.
    #[schemars(
        range(min = 1),
        example = 16384,
        extend("x-default" = "a quarter of `connections`, at least 32", "x-unit" = "connections")
    )]
    pub(crate) connections_per_address: Option<usize>,
    /// How many requests to upstreams may be in flight. More are 503 `overloaded`. WebSockets and
    /// event streams are in flight for as long as they are open. Without enough open descriptors it
    /// is fewer.
    #[schemars(
        range(min = 1),
        example = 10000,
        extend("x-default" = "as many as descriptors allow", "x-unit" = "requests")
    )]
    pub(crate) in_flight: Option<usize>,
    /// How many requests to upstreams one client address may have in flight. An IPv6 client counts
    /// as its /64. More are 503 `overloaded`.
    #[schemars(
        range(min = 1),
        example = 2500,
        extend("x-default" = "a quarter of `in_flight`, at least 32", "x-unit" = "requests")
    )]
    pub(crate) in_flight_per_client: Option<usize>,
    /// How many requests to the gateway's own endpoints may be in flight. More are 503
    /// `overloaded`. One client may have a quarter of them, at least 32; logins and tokens leave a
    /// quarter to all others.
    #[schemars(range(min = 1), example = 512, extend("default" = 256, "x-unit" = "requests"))]
    pub(crate) in_flight_own: Option<usize>,
    /// How many streams one HTTP/2 connection may have open at once.
    #[schemars(range(min = 1, max = 1000), example = 100, extend("default" = 32, "x-unit" = "streams"))]
    pub(crate) http2_streams: Option<usize>,
}
