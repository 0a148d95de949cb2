//! A session as it is kept.

use serde_json::{Map, Value};

use crate::gate::time::UnixTime;

/// What a session is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// Of a login, whose secret a cookie carries.
    Login,
    /// Of a login of which tokens came, which may outlive a cookie, if there is one.
    Tokens,
    /// Of an API key: it was made by an operator, does not rest, and lives for as long as the key.
    ApiKey,
}

/// What a login established. It does not change: who gets other rights gets another session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// What it is of.
    pub kind: SessionKind,
    /// Who logged in.
    pub subject: Box<str>,
    /// Who vouches for that: what `iss` is to a token.
    pub issuer: Box<str>,
    /// How: `password`, `handoff`, `api_key`.
    pub method: Box<str>,
    /// The roles.
    pub roles: Vec<Box<str>>,
    /// The scopes.
    pub scopes: Vec<Box<str>>,
    /// Anything else that is known of the subject.
    pub claims: Map<String, Value>,
    /// When.
    pub created: UnixTime,
    /// When it ends, however busy it is.
    pub ends: UnixTime,
    /// How long it may rest, in seconds.
    pub idle_s: i64,
    /// What it shares with the sessions that it took the place of: the id of the first.
    pub family: Box<str>,
    /// `User-Agent` at login, cut short.
    pub user_agent: Box<str>,
    /// The client's address at login.
    pub address: Box<str>,
    /// What people call it: the name of an API key.
    pub label: Box<str>,
}

/// A session as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSession {
    /// What the login established.
    pub record: SessionRecord,
    /// When it was last used, as far as that was written down.
    pub last_seen: UnixTime,
}
