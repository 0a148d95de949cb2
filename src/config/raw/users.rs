//! The password file: who can log in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Value;

/// One user of a password file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct User {
    pub(crate) password: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) roles: Vec<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) claims: BTreeMap<String, Value>,
}
