//! `limits`: how much clients may send and hold, and how slowly.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    pub(crate) header_bytes: Option<String>,
    pub(crate) header_count: Option<usize>,
    pub(crate) header_timeout: Option<String>,
    pub(crate) keepalive_timeout: Option<String>,
    pub(crate) body_timeout: Option<String>,
    pub(crate) body_rate: Option<String>,
    pub(crate) body_deadline: Option<String>,
    pub(crate) send_timeout: Option<String>,
    pub(crate) send_rate: Option<String>,
    pub(crate) token_bytes: Option<String>,
    pub(crate) identity_bytes: Option<String>,
    pub(crate) connections: Option<usize>,
    pub(crate) connections_per_address: Option<usize>,
    pub(crate) in_flight: Option<usize>,
    pub(crate) in_flight_per_client: Option<usize>,
    pub(crate) in_flight_own: Option<usize>,
    pub(crate) http2_streams: Option<usize>,
}
