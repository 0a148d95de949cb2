//! `routes`: which requests go where, and who may send them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Value;

use super::internal_token::InternalToken;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Route {
    pub(crate) name: Option<String>,
    #[serde(rename = "match")]
    pub(crate) matching: Match,
    pub(crate) upstream: Option<String>,
    pub(crate) public: Option<bool>,
    pub(crate) authenticate: Option<Vec<String>>,
    pub(crate) issuers: Option<Vec<String>>,
    pub(crate) require: Require,
    pub(crate) when_stale: Option<Value>,
    pub(crate) forward: Forward,
    pub(crate) limits: RouteLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Match {
    pub(crate) hosts: Vec<String>,
    pub(crate) path: Option<String>,
    pub(crate) methods: Vec<String>,
    pub(crate) dangerous_path: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Require {
    pub(crate) scopes: Vec<String>,
    pub(crate) any_role: Vec<String>,
    pub(crate) claims: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Forward {
    pub(crate) credential: Option<String>,
    pub(crate) internal_token: Option<InternalToken>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RouteLimits {
    pub(crate) body: Option<String>,
}
