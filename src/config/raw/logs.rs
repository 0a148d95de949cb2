//! `access_log` and `audit_log`: what is written down.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AccessLog {
    pub(crate) enabled: Option<bool>,
    pub(crate) format: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) subject_key_file: Option<String>,
    pub(crate) query: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditLog {
    pub(crate) file: Option<String>,
}
