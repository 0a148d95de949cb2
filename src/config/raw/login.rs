//! `login`: how users log in.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::text;

/// How users log in: with a password file or with a service of yours. Exactly one of
/// `password_file` and `handoff` is required.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    "x-since" = "0.1.0",
    "oneOf" = [{ "required": ["password_file"] }, { "required": ["handoff"] }],
))]
pub(crate) struct Login {
    /// The path below which the gateway answers requests itself, on every host: `login`, `logout`,
    /// `session`, `sessions`, and with `tokens` also `token`, `revoke` and `introspect`. No route
    /// may be there.
    #[schemars(with = "text::BasePath", example = &"/account", extend("default" = "/auth"))]
    pub(crate) base: Option<String>,
    /// The issuer that vouches for users who log in: `iss` of their identity, up to 255 bytes. With
    /// `tokens` it is `tokens.issuer`; any other value is an error.
    #[schemars(
        with = "text::Text",
        example = &"https://gateway.example",
        extend("x-default" = "`tokens.issuer`; without `tokens`, `gateway`")
    )]
    pub(crate) issuer: Option<String>,
    /// A file with names, password hashes and identities. It is read again when it changes. A user
    /// whose entry changed, or is gone, has to log in again.
    #[schemars(with = "text::Path", example = &"users.yaml", extend("x-default" = "none"))]
    pub(crate) password_file: Option<String>,
    /// A service of yours that decides who may log in.
    #[schemars(extend("x-default" = "none"))]
    pub(crate) handoff: Option<HandOff>,
    /// Where a login may lead, in addition to paths of the same host: origins for all of their
    /// pages, and whole URLs.
    #[schemars(with = "Vec<text::OriginOrUrl>", example = ["https://app.example"])]
    pub(crate) return_to: Vec<String>,
    /// How many attempts and logins there may be. Beyond it: 429 `rate_limited`.
    pub(crate) attempts: Attempts,
}

/// A service of yours that decides who may log in. The gateway sends it `POST` with
/// `{"username": …, "password": …}`.
///
/// A 2xx whose JSON has a subject is a login; another 4xx is a failed one. Anything else (a 5xx,
/// garbage, more than 64 KiB, no answer in time) decides nothing: 502 or 504. Such an attempt
/// counts against no budget, unless the answer is a 2xx that cannot be read: the service may refuse
/// logins that way.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0", "required" = ["upstream", "path", "subject"]))]
pub(crate) struct HandOff {
    /// The upstream that is asked.
    #[schemars(with = "text::Name", example = &"identity")]
    pub(crate) upstream: Option<String>,
    /// The path to which the name and the password are sent.
    #[schemars(with = "text::RequestPath", example = &"/verify")]
    pub(crate) path: Option<String>,
    /// Where in the answer the subject is.
    #[schemars(with = "text::JsonPointer", example = &"/user/id")]
    pub(crate) subject: Option<String>,
    /// Where in the answer the roles are.
    #[schemars(
        with = "text::JsonPointer",
        example = &"/user/roles",
        extend("x-default" = "no roles")
    )]
    pub(crate) roles: Option<String>,
    /// Where in the answer the scopes are.
    #[schemars(
        with = "text::JsonPointer",
        example = &"/user/scopes",
        extend("x-default" = "no scopes")
    )]
    pub(crate) scopes: Option<String>,
    /// Further claims of the login: for each name, where in the answer its value is.
    #[schemars(
        with = "BTreeMap<String, text::JsonPointer>",
        example = BTreeMap::from([("email", "/user/email")])
    )]
    pub(crate) claims: BTreeMap<String, String>,
    /// How long the service may take for its whole answer, up to 60s. After that the login is 504.
    #[schemars(with = "text::Duration", example = &"5s", extend("default" = "3s"))]
    pub(crate) timeout: Option<String>,
    /// What a client gets when the service refuses a login: `own`, the gateway's 401
    /// `login_failed`; `pass_through`, the 4xx of the service.
    #[schemars(with = "text::OnFailure", example = &"pass_through", extend("default" = "own"))]
    pub(crate) on_failure: Option<String>,
}

/// Budgets for logins, for all gateways of a store together. An IPv6 address counts as its /64.
///
/// Each wrong password makes the next attempt wait twice as long as the one before, up to the whole
/// period when the budget is used up. Successful logins do not wait until their budget is used up.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-since" = "0.1.0"))]
pub(crate) struct Attempts {
    /// How many wrong passwords one name may have in a period. A successful login resets the count.
    #[schemars(with = "text::Budget", example = &"5/1h", extend("default" = "10/15m"))]
    pub(crate) per_account: Option<String>,
    /// How many wrong passwords, and wrong client secrets, one address may send in a period.
    #[schemars(with = "text::Budget", example = &"50/1h", extend("default" = "100/15m"))]
    pub(crate) per_address: Option<String>,
    /// How often one name may log in within a period, whatever the logins deliver.
    #[schemars(with = "text::Budget", example = &"20/1h", extend("default" = "60/15m"))]
    pub(crate) successes_per_account: Option<String>,
    /// How many logins may succeed from one address in a period.
    #[schemars(with = "text::Budget", example = &"200/1h", extend("default" = "1000/15m"))]
    pub(crate) successes_per_address: Option<String>,
}
