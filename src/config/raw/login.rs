//! `login`: how people log in.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Login {
    pub(crate) base: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) password_file: Option<String>,
    pub(crate) handoff: Option<HandOff>,
    pub(crate) return_to: Vec<String>,
    pub(crate) attempts: Attempts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HandOff {
    pub(crate) upstream: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) roles: Option<String>,
    pub(crate) scopes: Option<String>,
    pub(crate) claims: BTreeMap<String, String>,
    pub(crate) timeout: Option<String>,
    pub(crate) on_failure: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Attempts {
    pub(crate) per_account: Option<String>,
    pub(crate) per_address: Option<String>,
    pub(crate) successes_per_account: Option<String>,
    pub(crate) successes_per_address: Option<String>,
}
