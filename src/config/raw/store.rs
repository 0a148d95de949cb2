//! `store`: where what must outlive the process is kept.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Store {
    pub(crate) embedded: Option<Embedded>,
    pub(crate) redis: Option<Redis>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Embedded {
    pub(crate) path: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Redis {
    pub(crate) url: Option<String>,
    pub(crate) sentinel: Option<Sentinel>,
    pub(crate) cluster: Option<Vec<String>>,
    pub(crate) username: Option<String>,
    pub(crate) password_file: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) tls: RedisTls,
    pub(crate) prefix: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sentinel {
    pub(crate) master: Option<String>,
    pub(crate) nodes: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RedisTls {
    pub(crate) ca_file: Option<String>,
    pub(crate) certificate_file: Option<String>,
    pub(crate) key_file: Option<String>,
}
