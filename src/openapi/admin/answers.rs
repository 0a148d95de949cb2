//! What the admin API answers.

use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not carried out (RFC 9457).
#[derive(Serialize, ToSchema)]
pub struct Problem {
    /// `urn:portcullis:problem:` and the slug, or `urn:portcullis:denial:` and the slug.
    pub r#type: String,
    /// A few words for people.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// The word for programs.
    pub slug: String,
    /// What was wrong, and what to do.
    pub detail: Option<String>,
    /// Whether the change was made all the same and will survive a restart.
    pub durable: Option<bool>,
}

/// A revocation, or a lift.
#[derive(Serialize, ToSchema)]
pub struct Revocation {
    /// Its id, by which it is lifted; a lift has none.
    pub id: Option<String>,
    /// The ids of the revocations that a lift lifts.
    pub lifts: Option<Vec<String>>,
    /// What it is about: `token`, `session`, `subject`, `grants`, `client`, `key`, `issuer`, `everything`.
    pub scope: String,
    /// The issuer (`iss`).
    pub issuer: Option<String>,
    /// The token (`jti`).
    pub jti: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// The user (`sub`).
    pub subject: Option<String>,
    /// The client.
    pub client: Option<String>,
    /// The key (`kid`).
    pub key: Option<String>,
    /// It applies to what was issued until this time; none: whenever it was issued.
    #[schema(format = DateTime, required = true)]
    pub issued_until: Option<String>,
    /// When it leaves the list; none: never.
    #[schema(format = DateTime, required = true)]
    pub expires_at: Option<String>,
    /// When it was written.
    #[schema(format = DateTime)]
    pub written_at: String,
    /// Who made it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// The revocations in force.
#[derive(Serialize, ToSchema)]
pub struct RevocationList {
    /// How many revocations and lifts there are on all pages.
    pub total: u64,
    /// How many were left out at the beginning.
    pub offset: u64,
    /// The revocations, those that expire first at the top.
    pub revocations: Vec<Revocation>,
    /// The lifts.
    pub lifts: Vec<Revocation>,
}

/// What a change did.
#[derive(Serialize, ToSchema)]
pub struct Changed {
    /// The revocation or lift that was written.
    #[schema(inline)]
    #[serde(flatten)]
    pub revocation: Revocation,
    /// Whether the store has it.
    pub durable: bool,
    /// Its place in the log, if the store has it.
    pub position: Option<u64>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: f64,
    /// With `wait_ms`: how many gateways have it.
    pub confirmed: Option<u64>,
    /// With `wait_ms`: how many gateways there are.
    pub gateways: Option<u64>,
    /// With `wait_ms`: the gateways that have not confirmed.
    pub missing: Option<Vec<Gateway>>,
    /// With `wait_ms`: why it is unknown whether all gateways have it.
    pub unconfirmed: Option<String>,
    /// Of all sessions of a user: how many ended.
    pub ended: Option<u64>,
    /// The API key that was revoked.
    pub api_key: Option<String>,
}

/// A gateway that follows the revocation log.
#[derive(Serialize, ToSchema)]
pub struct Gateway {
    /// Its id, which changes with each start.
    pub id: String,
    /// Its name (`server.name`).
    pub name: String,
    /// Its version.
    pub version: String,
    /// How far it has read the log.
    pub position: u64,
    /// How many records it has yet to read.
    pub lag: u64,
    /// Whether it follows the log at the moment.
    pub follows: bool,
    /// How long it has said nothing, in milliseconds.
    pub silent_ms: u64,
    /// How far its clock is ahead of the store's, in milliseconds; none: not known.
    #[schema(required = true)]
    pub clock_ahead_ms: Option<i64>,
    /// The settings that differ from those of the gateway that is asked.
    pub differs_in: Option<Vec<String>>,
}

/// The gateways that share a store.
#[derive(Serialize, ToSchema)]
pub struct GatewayList {
    /// The head of the log.
    pub position: u64,
    /// The gateways.
    pub gateways: Vec<Gateway>,
}

/// A session that can be used.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// Its id, which is not the value of its cookie.
    pub id: String,
    /// How the user logged in.
    pub method: String,
    /// When they logged in.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last used.
    #[schema(format = DateTime)]
    pub last_seen_at: String,
    /// When it ends, however much it is used.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// When it ends if it is not used.
    #[schema(format = DateTime)]
    pub idle_expires_at: String,
    /// The user's roles.
    pub roles: Vec<String>,
    /// The user's scopes.
    pub scopes: Vec<String>,
    /// The family of its refresh tokens; none: it has none.
    #[schema(required = true)]
    pub family: Option<String>,
    /// The browser that logged in, as it called itself.
    #[schema(required = true)]
    pub user_agent: Option<String>,
    /// The address that it logged in from.
    #[schema(required = true)]
    pub address: Option<String>,
}

/// The sessions of a user.
#[derive(Serialize, ToSchema)]
pub struct SessionList {
    /// The user (`sub`).
    pub subject: String,
    /// The issuer that vouches for them.
    pub issuer: String,
    /// The sessions, the latest login first.
    pub sessions: Vec<Session>,
}

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
pub struct ApiKey {
    /// Its id, by which it is revoked; it is not the key.
    pub id: String,
    /// Who the caller is.
    pub subject: String,
    /// What it is for.
    pub label: String,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its other claims.
    #[schema(value_type = Object)]
    pub claims: (),
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last used; none: never.
    #[schema(format = DateTime, required = true)]
    pub last_used_at: Option<String>,
    /// When it expires.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// An API key that was just made.
#[derive(Serialize, ToSchema)]
pub struct NewApiKey {
    /// What lists show of it.
    #[schema(inline)]
    #[serde(flatten)]
    pub api_key: ApiKey,
    /// The key itself. It is not shown again.
    pub key: String,
}

/// The API keys that can be used.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyList {
    /// The keys, the latest first.
    pub api_keys: Vec<ApiKey>,
}

/// What a signing key does.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SigningKeyState {
    /// It signs.
    Signing,
    /// It is published, and will sign.
    Next,
    /// It has signed, and is published until the last of its tokens has expired.
    Retired,
    /// It was revoked, and is dropped soon.
    Revoked,
}

/// A signing key of the gateway.
#[derive(Serialize, ToSchema)]
pub struct SigningKey {
    /// Its id (`kid`).
    pub id: String,
    /// Its algorithm.
    pub algorithm: String,
    /// What it does.
    pub state: SigningKeyState,
    /// When it was made; none: it was given as a file.
    #[schema(format = DateTime, required = true)]
    pub created_at: Option<String>,
    /// From when it signs; none: it was given as a file.
    #[schema(format = DateTime, required = true)]
    pub signs_from: Option<String>,
    /// When it leaves the key set; none: it is not known yet.
    #[schema(format = DateTime, required = true)]
    pub retires_at: Option<String>,
}

/// The signing keys of the gateway.
#[derive(Serialize, ToSchema)]
pub struct SigningKeyList {
    /// The keys, those that sign later last.
    pub keys: Vec<SigningKey>,
}

/// A signing key that was just made.
#[derive(Serialize, ToSchema)]
pub struct NewSigningKey {
    /// Its id (`kid`).
    pub id: String,
    /// From when it signs.
    #[schema(format = DateTime)]
    pub signs_from: String,
}
