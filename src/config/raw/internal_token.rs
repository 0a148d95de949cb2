//! `forward.internal_token`, of a route or of an upstream.

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct InternalToken {
    pub(crate) audience: Option<String>,
    pub(crate) header: Option<String>,
    pub(crate) lifetime: Option<String>,
    pub(crate) claims: Vec<String>,
}
