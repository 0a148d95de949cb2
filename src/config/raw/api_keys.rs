//! `api_keys`: in which header they come, and how long they live.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApiKeys {
    pub(crate) header: Option<String>,
    pub(crate) max_lifetime: Option<String>,
}
