//! `sessions`: how long sessions live, and their cookie.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sessions {
    pub(crate) cookie: Cookie,
    pub(crate) idle_timeout: Option<String>,
    pub(crate) absolute_timeout: Option<String>,
    pub(crate) recheck: Option<String>,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) cache_size: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cookie {
    pub(crate) name: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) same_site: Option<String>,
    pub(crate) dangerous_insecure: Option<bool>,
}
