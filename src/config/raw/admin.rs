//! `admin`: where operators connect.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    pub(crate) address: Option<String>,
    pub(crate) token_file: Option<String>,
    pub(crate) token: Option<String>,
}
