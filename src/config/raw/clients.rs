//! `clients`: who may ask for tokens.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Client {
    pub(crate) id: Option<String>,
    pub(crate) secret_hash: Option<String>,
    pub(crate) public_key_file: Option<String>,
    pub(crate) jwks_file: Option<String>,
    pub(crate) algorithms: Vec<String>,
    pub(crate) public: Option<bool>,
    pub(crate) scopes: Vec<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) lifetime: Option<String>,
    pub(crate) introspection: Option<bool>,
}
