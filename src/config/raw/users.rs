//! The password file: which users can log in.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_yaml::Value;

use super::text;

/// A user. Hashes of different cost are a warning: the time that a login takes would reveal which
/// user has which.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["password"]))]
pub(crate) struct User {
    /// The hash of the password, which `portcullis password hash` makes (argon2id).
    #[schemars(with = "text::PasswordHash", example = &"$argon2id$v=19$m=19456,t=2,p=1$…")]
    pub(crate) password: Option<String>,
    /// The user's identity for services: `sub`.
    #[schemars(with = "text::Text", example = &"u-17", extend("x-default" = "the name"))]
    pub(crate) subject: Option<String>,
    /// The roles of the user.
    #[schemars(example = ["admin"])]
    pub(crate) roles: Vec<String>,
    /// The scopes of the user.
    #[schemars(example = ["orders:read"])]
    pub(crate) scopes: Vec<String>,
    /// Further claims of the user, with any JSON value.
    #[schemars(
        with = "BTreeMap<String, serde_json::Value>",
        example = BTreeMap::from([("email", "alice@example.com")])
    )]
    pub(crate) claims: BTreeMap<String, Value>,
}
