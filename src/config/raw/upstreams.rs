//! `upstreams`: the services behind the gateway.

use serde::Deserialize;

use super::internal_token::InternalToken;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Upstream {
    pub(crate) peers: Vec<String>,
    pub(crate) balance: Option<String>,
    pub(crate) tls: Option<UpstreamTls>,
    pub(crate) timeouts: Timeouts,
    pub(crate) retries: Option<usize>,
    pub(crate) limits: UpstreamLimits,
    pub(crate) forward: UpstreamForward,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpstreamTls {
    pub(crate) server_name: Option<String>,
    pub(crate) ca_file: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    pub(crate) connect: Option<String>,
    pub(crate) read: Option<String>,
    pub(crate) write: Option<String>,
    pub(crate) idle: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpstreamLimits {
    pub(crate) in_flight: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpstreamForward {
    pub(crate) internal_token: Option<InternalToken>,
}
