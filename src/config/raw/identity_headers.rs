//! `identity_headers`: the headers that tell upstreams who the caller is.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct IdentityHeaders {
    pub(crate) subject: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) scopes: Option<String>,
    pub(crate) roles: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) claims: BTreeMap<String, String>,
}
