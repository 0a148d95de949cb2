//! A session as it is stored.

use serde_json::{Map, Value};

use crate::gate::credential::Carrier;
use crate::gate::time::UnixTime;

/// The purpose of a record: a login or an API key, with the data of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// For a login, whose secret a cookie carries.
    Login(LoginDetails),
    /// For a login that tokens came from. These may outlive the cookie, if there is one.
    Tokens(LoginDetails),
    /// For an API key that an operator made. It does not expire for lack of use, and lives as long
    /// as the key.
    ApiKey(ApiKeyDetails),
}

/// The data of a login, apart from the identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginDetails {
    /// Shared with the sessions that it replaced: the id of the first of them.
    pub family: Box<str>,
    /// `User-Agent` at login, cut short.
    pub user_agent: Box<str>,
    /// The client's address at login.
    pub address: Box<str>,
}

/// The data of an API key, apart from the identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiKeyDetails {
    /// Its name, for users.
    pub label: Box<str>,
}

/// An identity that is stored under the digest of a secret: what a login established, or what an
/// operator gave an API key. It does not change: other rights require another session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionRecord {
    /// The purpose.
    pub kind: SessionKind,
    /// The subject.
    pub subject: Box<str>,
    /// The issuer that vouches for the subject, as `iss` does in a token.
    pub issuer: Box<str>,
    /// How the user was authenticated: `password`, `handoff`, `api_key`.
    pub method: Box<str>,
    /// The roles.
    pub roles: Vec<Box<str>>,
    /// The scopes.
    pub scopes: Vec<Box<str>>,
    /// Anything else that is known of the subject.
    pub claims: Map<String, Value>,
    /// When it was created.
    pub created: UnixTime,
    /// When it ends, even if it is in use.
    pub ends: UnixTime,
    /// The idle timeout, in seconds.
    pub idle_s: i64,
}

impl SessionRecord {
    /// The data of its login; `None` for an API key.
    pub fn login(&self) -> Option<&LoginDetails> {
        match &self.kind {
            SessionKind::Login(details) | SessionKind::Tokens(details) => Some(details),
            SessionKind::ApiKey(_) => None,
        }
    }

    /// The data of its API key; `None` for a login.
    pub fn api_key(&self) -> Option<&ApiKeyDetails> {
        match &self.kind {
            SessionKind::ApiKey(details) => Some(details),
            SessionKind::Login(_) | SessionKind::Tokens(_) => None,
        }
    }

    /// The carrier of its secret.
    pub fn carrier(&self) -> Carrier {
        match self.kind {
            SessionKind::Login(_) | SessionKind::Tokens(_) => Carrier::Session,
            SessionKind::ApiKey(_) => Carrier::ApiKey,
        }
    }
}

/// A session as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSession {
    /// The record of the login or the API key.
    pub record: SessionRecord,
    /// When it was last used, as far as that was written.
    pub last_seen: UnixTime,
}
