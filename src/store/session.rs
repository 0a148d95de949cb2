//! Sessions as they are written, and the trait behind which they are kept.

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

/// How many sessions one subject may have. A new one beyond that takes the place of the oldest.
pub const SESSIONS_PER_SUBJECT_MAX: usize = 100;

/// How many API keys there may be; checked before one is made.
pub const API_KEYS_MAX: usize = 1000;

/// By what a session is listed: its subject. API keys are all listed together, and apart from the
/// logins of those for whom they are.
pub(super) fn listed_under(record: &SessionRecord) -> SubjectDigest {
    match record.kind {
        SessionKind::Login(_) | SessionKind::Tokens(_) => {
            SubjectDigest::of(&record.issuer, &record.subject)
        }
        SessionKind::ApiKey(_) => SubjectDigest::of_api_keys(),
    }
}

/// How many sessions may be listed together, before a new one takes the place of the oldest; none
/// does where there is no bound.
pub(super) fn room_for(record: &SessionRecord) -> Option<usize> {
    match record.kind {
        SessionKind::Login(_) | SessionKind::Tokens(_) => Some(SESSIONS_PER_SUBJECT_MAX),
        SessionKind::ApiKey(_) => None,
    }
}

/// How long a session is kept after it could last be used, in seconds: the clocks of gateways may
/// be apart, and a gateway that could not write may still know of a use.
pub(crate) const SESSION_MARGIN_S: i64 = 3600;

/// From when on a session cannot be used, unless it is used before.
pub(super) fn rests_until(session: &StoredSession) -> UnixTime {
    let StoredSession { record, last_seen } = session;
    record.ends.min(last_seen.plus(record.idle_s))
}

/// A session that had to make room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Displaced {
    /// Which one.
    pub id: SessionId,
    /// When it had begun.
    pub created: UnixTime,
    /// The log entry of its end; `None` if there was no room, or nothing had to be written.
    pub end: Option<Charged>,
}

/// The sessions that end with an entry of the revocation log, in the same step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EndedSessions {
    /// No sessions that the store could find without reading them all.
    None,
    /// This one.
    One(SessionId),
    /// Those of a subject that had begun by then.
    Until(SubjectDigest, UnixTime),
}

impl EndedSessions {
    /// The sessions that `entry` ends. `login_issuer` vouches for those who log in.
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

/// A notice of the store that somebody changed a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionNotice {
    /// From now on the store reports every change.
    Begun,
    /// Everything up to a moment ago has been told: up to when the store was asked, which was at
    /// most this long ago, in milliseconds.
    Contact(u64),
    /// This session has changed, or is gone.
    Changed(SessionId),
    /// Something was lost: any session may have changed.
    Anything,
}

/// The sessions.
#[async_trait]
pub trait SessionStore: std::fmt::Debug + Send + Sync {
    /// Writes a new session down, and returns once that is durable, as far as the store can be.
    /// Returns the subject's oldest sessions that had to make room, which are then gone with their
    /// families of refresh tokens. Their `end` is written to the log in the same step, as by
    /// [`charge`](super::RevocationLog::charge). API keys neither make room nor need any.
    async fn create(
        &self,
        id: SessionId,
        session: &StoredSession,
        end: Option<&LoginEnd>,
    ) -> Result<Vec<Displaced>, StoreError>;

    /// A session, unless there certainly is none: an answer that is none is an error.
    async fn find(&self, id: SessionId) -> Result<Option<StoredSession>, StoreError>;

    /// Another number each time that what answers may be another than before: a new connection,
    /// another server, or one that failed or answered wrongly. What was not there before that may
    /// be there now.
    fn era(&self) -> u64;

    /// Notes when sessions were last used. Those that are not there any more are passed over, and
    /// none is ever made younger.
    async fn touch(&self, seen: &[(SessionId, UnixTime)]) -> Result<(), StoreError>;

    /// Deletes a session, and its family of refresh tokens; whether it was there.
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

    /// Drops sessions that have long ended; how many. With them goes what else in the store is
    /// spent and does not go by itself: attempts, families of refresh tokens, things used once.
    async fn prune(&self, now: UnixTime) -> Result<u64, StoreError>;

    /// Listens for changes that are not in the revocation log, somebody's `DEL` for example, until
    /// that fails. Where the store cannot tell, it fails at once with [`StoreError::Refused`].
    async fn listen(&self, hear: &mut (dyn FnMut(SessionNotice) + Send)) -> StoreError;
}

/// The version of the encoding below. New fields may come without a new version; a version that is
/// not known is not read, and what holds it is left alone.
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
    // Texts and numbers can always be written.
    serde_json::to_string(&written).unwrap_or_default()
}

/// Reads what [`encode`], of this version or another, wrote.
///
/// # Errors
///
/// [`Unreadable`]: it is not a session, or one of a later version.
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
