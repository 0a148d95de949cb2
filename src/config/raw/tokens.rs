//! `tokens`: what the gateway itself issues.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tokens {
    pub(crate) issuer: Option<String>,
    pub(crate) signing: Signing,
    pub(crate) access: Access,
    pub(crate) refresh: Refresh,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Signing {
    pub(crate) algorithm: Option<String>,
    pub(crate) rotate_every: Option<String>,
    pub(crate) publish_before: Option<String>,
    pub(crate) key_files: Vec<String>,
    pub(crate) encryption_key_file: Option<String>,
    pub(crate) encryption_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Access {
    pub(crate) lifetime: Option<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) claims: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Refresh {
    pub(crate) idle: Option<String>,
    pub(crate) absolute: Option<String>,
    pub(crate) rotation_grace: Option<String>,
}
