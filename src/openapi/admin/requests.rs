//! What the admin API is asked: bodies and queries.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// What can be revoked by an operator.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevocableScope {
    /// One token: `jti` with `issuer`, or `token`.
    Token,
    /// A session, and every token that carries its id: `session`.
    Session,
    /// A user: `subject`, perhaps `issuer`.
    Subject,
    /// A client: `client`.
    Client,
    /// A signing key: `key`, perhaps `issuer`.
    Key,
    /// Everything that an issuer issued: `issuer`.
    Issuer,
    /// Everything that anybody issued.
    Everything,
}

/// What is to be revoked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationRequest {
    /// Which kind of thing; it decides which other fields are needed.
    pub scope: RevocableScope,
    /// A whole JWT, in place of `jti` and `issuer`.
    pub token: Option<String>,
    /// The token's `jti`. A whole number is written as its digits.
    pub jti: Option<String>,
    /// The session's id, or the `sid` of a token.
    pub session: Option<String>,
    /// The user (`sub`).
    pub subject: Option<String>,
    /// The client (`client_id`, or what the issuer calls it).
    pub client: Option<String>,
    /// The id of the key (`kid`).
    pub key: Option<String>,
    /// Name of a configured issuer, or its `iss`.
    pub issuer: Option<String>,
    /// Revoke what was issued until this time: RFC 3339, or seconds since 1970. Default: now.
    #[schema(value_type = Option<Moment>)]
    pub before: Option<()>,
    /// Why; for the audit log.
    #[schema(max_length = 512)]
    pub reason: Option<String>,
    /// Who; for the audit log.
    #[schema(max_length = 128)]
    pub actor: Option<String>,
    /// Wait for the gateways to confirm, for so many milliseconds; 60,000 at most.
    #[schema(format = "uint64")]
    pub wait_ms: Option<u64>,
}

/// A time.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Moment {
    /// RFC 3339.
    Text(String),
    /// Seconds since 1970.
    Seconds(i64),
}

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// How many to leave out at the beginning. Default: 0.
    #[param(format = "uint64")]
    pub offset: Option<u64>,
    /// How many to list; 1,000 at most. Default: 1,000.
    #[param(format = "uint64")]
    pub limit: Option<u64>,
}

/// Who makes a change, why, and how long to wait for the gateways.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Change {
    /// Why; for the audit log.
    #[param(max_length = 512)]
    pub reason: Option<String>,
    /// Who; for the audit log.
    #[param(max_length = 128)]
    pub actor: Option<String>,
    /// Wait for the gateways to confirm, for so many milliseconds; 60,000 at most.
    #[param(format = "uint64")]
    pub wait_ms: Option<u64>,
}

/// Of what all revocations are to be lifted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LiftedScope {
    /// `subject`, `client` or `issuer`.
    pub scope: RevocableScope,
    /// The user (`sub`).
    pub subject: Option<String>,
    /// The client.
    pub client: Option<String>,
    /// Name of a configured issuer, or its `iss`.
    pub issuer: Option<String>,
}

/// Whose sessions.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct User {
    /// The user (`sub`).
    #[param(min_length = 1, max_length = 1024)]
    pub subject: String,
    /// Name of a configured issuer, or its `iss`. Default: `login.issuer`.
    pub issuer: Option<String>,
}

/// Whose API keys.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ApiKeyOwner {
    /// Only keys of this subject.
    pub subject: Option<String>,
}

/// The API key to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyRequest {
    /// Who the caller is to upstreams. Give machines subjects of their own.
    #[schema(min_length = 1, max_length = 1024)]
    pub subject: String,
    /// What the key is for; people read it in lists.
    #[schema(max_length = 128)]
    pub label: Option<String>,
    /// The scopes of the key; 100 at most.
    #[schema(max_items = 100, nullable = false)]
    pub scopes: Option<Vec<String>>,
    /// The roles of the key; 100 at most.
    #[schema(max_items = 100, nullable = false)]
    pub roles: Option<Vec<String>>,
    /// Other claims of the key; 100 at most.
    #[schema(value_type = Option<Object>, nullable = false)]
    pub claims: Option<()>,
    /// How long it lives, for example `90d`; `api_keys.max_lifetime` at most, and by default.
    pub expires_in: Option<String>,
    /// Why; for the audit log.
    #[schema(max_length = 512)]
    pub reason: Option<String>,
    /// Who; for the audit log.
    #[schema(max_length = 128)]
    pub actor: Option<String>,
}

/// How to make the next signing key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationRequest {
    /// Sign with it at once, without publishing it first. For a key that was stolen. Default: false.
    #[schema(nullable = false)]
    pub now: Option<bool>,
    /// Why; for the audit log.
    #[schema(max_length = 512)]
    pub reason: Option<String>,
    /// Who; for the audit log.
    #[schema(max_length = 128)]
    pub actor: Option<String>,
}
