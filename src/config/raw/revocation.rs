//! `revocation`: how the revocation list is kept current, and how old it may be.

use serde::Deserialize;
use serde_yaml::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Revocation {
    pub(crate) max_staleness: Option<String>,
    pub(crate) when_stale: Option<Value>,
    pub(crate) max_entries: Option<u64>,
    pub(crate) accept_local: Option<bool>,
}
