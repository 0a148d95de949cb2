//! How sessions are encoded, and the trait of their store.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::digest::SubjectDigest;
use super::error::StoreError;
use super::log::Charged;
use super::login_end::LoginEnd;
use super::record::Unreadable;
use super::versioned;
use crate::gate::revocation::{Entry, Scope};
use crate::gate::session::{
    ApiKeyDetails, LoginDetails, SessionId, SessionKind, SessionRecord, StoredSession,
};
use crate::gate::time::UnixTime;

/// How many sessions one subject may have. Beyond that, a new one replaces the oldest.
pub const SESSIONS_PER_SUBJECT_MAX: usize = 100;

/// How many API keys there may be; checked before one is created.
pub const API_KEYS_MAX: usize = 1000;

/// The digest that a session is listed under: that of its subject. API keys are all listed
/// together, and apart from the logins of their subjects.
pub(super) fn listed_under(record: &SessionRecord) -> SubjectDigest {
    match record.kind {
        SessionKind::Login(_) | SessionKind::Tokens(_) => {
            SubjectDigest::of(&record.issuer, &record.subject)
        }
        SessionKind::ApiKey(_) => SubjectDigest::of_api_keys(),
    }
}

/// How many sessions may be listed together before a new one replaces the oldest; `None` if there
/// is no limit.
pub(super) fn room_for(record: &SessionRecord) -> Option<usize> {
    match record.kind {
        SessionKind::Login(_) | SessionKind::Tokens(_) => Some(SESSIONS_PER_SUBJECT_MAX),
        SessionKind::ApiKey(_) => None,
    }
}

/// How long a session is kept after it could last be used, in seconds: the clocks of gateways may
/// differ, and a gateway that could not write may still know of a use.
pub(crate) const SESSION_MARGIN_S: i64 = 3600;

/// When a session becomes unusable, unless it is used before.
pub(super) fn rests_until(session: &StoredSession) -> UnixTime {
    let StoredSession { record, last_seen } = session;
    record.ends.min(last_seen.plus(record.idle_s))
}

/// A session that was deleted to make room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Displaced {
    /// Its id.
    pub id: SessionId,
    /// When it began.
    pub created: UnixTime,
    /// The log's record of its end; `None` if there was no room, or nothing had to be written.
    pub end: Option<Charged>,
}

/// The sessions that end with an entry of the revocation log, in the same step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EndedSessions {
    /// None that the store could find without reading all sessions.
    None,
    /// This session.
    One(SessionId),
    /// The sessions of a subject that had begun by then.
    Until(SubjectDigest, UnixTime),
}

impl EndedSessions {
    /// The sessions that `entry` ends. `login_issuer` is the issuer of logins.
    pub(super) fn of(entry: &Entry, login_issuer: Option<&str>) -> Self {
        let Entry { scope, cut_off, expires: _ } = entry;
        let until =
            |issuer: &str, subject: &str| Self::Until(SubjectDigest::of(issuer, subject), *cut_off);
        match scope {
            Scope::Session(id) => SessionId::parse(id).map_or(Self::None, Self::One),
            Scope::Subject { issuer: Some(issuer), subject }
            | Scope::Grants { issuer, subject } => until(issuer, subject),
            Scope::Subject { issuer: None, subject } => {
                login_issuer.map_or(Self::None, |issuer| until(issuer, subject))
            }
            Scope::Token { .. }
            | Scope::Client(_)
            | Scope::Key { .. }
            | Scope::Issuer(_)
            | Scope::Everything => Self::None,
        }
    }
}

/// A notice from the store about changes of sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionNotice {
    /// From now on the store reports every change.
    Begun,
    /// Every change up to a moment ago has been reported: up to when the store was asked, which was
    /// at most this long ago, in milliseconds.
    Contact(u64),
    /// This session has changed, or is gone.
    Changed(SessionId),
    /// A notice was lost: any session may have changed.
    Anything,
}

/// The sessions.
#[async_trait]
pub trait SessionStore: std::fmt::Debug + Send + Sync {
    /// Stores a new session, and returns once that is durable, as far as the store can be. Returns
    /// the subject's oldest sessions that made room for it, which are then deleted with their
    /// families of refresh tokens. Their `end` is written to the log in the same step, as by
    /// [`charge`](super::RevocationLog::charge). API keys neither make room nor need any.
    async fn create(
        &self,
        id: SessionId,
        session: &StoredSession,
        end: Option<&LoginEnd>,
    ) -> Result<Vec<Displaced>, StoreError>;

    /// A session; `None` only if there certainly is none. A missing answer is an error.
    async fn find(&self, id: SessionId) -> Result<Option<StoredSession>, StoreError>;

    /// A number that changes each time that another party may answer than before: a new connection,
    /// another server, or one that failed or answered wrongly. A session that did not exist before
    /// that may exist now.
    fn era(&self) -> u64;

    /// Records when sessions were last used. Sessions that no longer exist are skipped, and a time
    /// never moves back.
    async fn touch(&self, seen: &[(SessionId, UnixTime)]) -> Result<(), StoreError>;

    /// Deletes a session, and its family of refresh tokens; returns whether it existed.
    async fn delete(&self, id: SessionId) -> Result<bool, StoreError>;

    /// The sessions of a subject that can still be used, the latest login first; no API keys.
    async fn of_subject(
        &self,
        issuer: &str,
        subject: &str,
        now: UnixTime,
    ) -> Result<Vec<(SessionId, StoredSession)>, StoreError>;

    /// The API keys that can still be used, the latest first.
    async fn api_keys(&self, now: UnixTime) -> Result<Vec<(SessionId, StoredSession)>, StoreError>;

    /// Drops sessions that ended long ago; returns how many. It also drops other data that is spent
    /// and does not expire by itself: attempts, families of refresh tokens, one-time values.
    async fn prune(&self, now: UnixTime) -> Result<u64, StoreError>;

    /// Listens for changes that are not in the revocation log, for example a manual `DEL`, until
    /// that fails. If the store cannot report changes, it fails at once with
    /// [`StoreError::Refused`].
    async fn listen(&self, hear: &mut (dyn FnMut(SessionNotice) + Send)) -> StoreError;
}

/// The version of the encoding below. New fields do not need a new version; a record of an unknown
/// version is not read, and is left alone.
pub(super) const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct WrittenSession {
    version: u32,
    #[serde(default, skip_serializing_if = "WrittenKind::is_login")]
    kind: WrittenKind,
    #[serde(default)]
    subject: Box<str>,
    #[serde(default)]
    issuer: Box<str>,
    #[serde(default)]
    method: Box<str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    claims: Map<String, Value>,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    ends: i64,
    #[serde(default)]
    idle_s: i64,
    #[serde(default)]
    family: Box<str>,
    #[serde(default)]
    user_agent: Box<str>,
    #[serde(default)]
    address: Box<str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    label: Box<str>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenKind {
    #[default]
    Login,
    Tokens,
    ApiKey,
}

impl WrittenKind {
    fn is_login(&self) -> bool {
        matches!(self, Self::Login)
    }
}

/// The record as one line of JSON.
pub fn encode(record: &SessionRecord) -> String {
    let SessionRecord {
        kind,
        subject,
        issuer,
        method,
        roles,
        scopes,
        claims,
        created,
        ends,
        idle_s,
    } = record.clone();
    let (kind, login, api_key) = match kind {
        SessionKind::Login(login) => (WrittenKind::Login, login, ApiKeyDetails::default()),
        SessionKind::Tokens(login) => (WrittenKind::Tokens, login, ApiKeyDetails::default()),
        SessionKind::ApiKey(api_key) => (WrittenKind::ApiKey, LoginDetails::default(), api_key),
    };
    let LoginDetails { family, user_agent, address } = login;
    let ApiKeyDetails { label } = api_key;
    let written = WrittenSession {
        version: VERSION,
        kind,
        subject,
        issuer,
        method,
        roles,
        scopes,
        claims,
        created: created.as_seconds(),
        ends: ends.as_seconds(),
        idle_s,
        family,
        user_agent,
        address,
        label,
    };
    // Serializing texts and numbers does not fail.
    serde_json::to_string(&written).unwrap_or_default()
}

/// Parses what [`encode`] wrote, in this version or another.
///
/// # Errors
///
/// [`Unreadable`]: it is not a session, or has a later version.
pub fn decode(bytes: &[u8]) -> Result<SessionRecord, Unreadable> {
    let written: WrittenSession = versioned::decode(bytes, VERSION, Unreadable::session)?;
    if written.subject.is_empty() || written.issuer.is_empty() {
        return Err(Unreadable::session("it is nobody's"));
    }
    let WrittenSession { family, user_agent, address, label, .. } = written;
    let login = LoginDetails { family, user_agent, address };
    Ok(SessionRecord {
        kind: match written.kind {
            WrittenKind::Login => SessionKind::Login(login),
            WrittenKind::Tokens => SessionKind::Tokens(login),
            WrittenKind::ApiKey => SessionKind::ApiKey(ApiKeyDetails { label }),
        },
        subject: written.subject,
        issuer: written.issuer,
        method: written.method,
        roles: written.roles,
        scopes: written.scopes,
        claims: written.claims,
        created: UnixTime::from_seconds(written.created),
        ends: UnixTime::from_seconds(written.ends),
        idle_s: written.idle_s,
    })
}

#[cfg(test)]
mod tests;
