//! `listeners`: where clients connect.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Listener {
    pub(crate) address: Option<String>,
    pub(crate) tls: Option<ListenerTls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListenerTls {
    pub(crate) certificates: Vec<Certificate>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Certificate {
    pub(crate) certificate_file: Option<String>,
    pub(crate) key_file: Option<String>,
}
