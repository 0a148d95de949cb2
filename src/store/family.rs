//! Families of refresh tokens: each token is used once and leads to the next, and all that came of
//! one login end together.
//!
//! A family belongs to a session and has its id. Only digests of tokens are kept. What a token led
//! to is kept sealed with a key that is made of that token, so that who has lost the answer gets
//! the same one again, and who reads the store gets nothing.

use std::fmt;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::log::Charged;
use super::login_end::LoginEnd;
use super::record::Unreadable;
use super::versioned;
use crate::gate::session::SessionId;
use crate::gate::time::UnixTime;

/// How long after it could last be used a family is kept all the same, in seconds: the clocks of
/// gateways may be apart.
pub(crate) const FAMILY_MARGIN_S: i64 = 3600;

/// For how long after a family was read a token of it may be exchanged, by the store's clock, in milliseconds. What
/// arrives later is not carried out.
pub const EXCHANGE_WITHIN_MS: u64 = 5_000;

/// A token leads to its successor for so many graces while the successor was not used.
pub const UNUSED_GRACES: u64 = 10;

/// The longest of these times, in milliseconds, unless the grace itself is longer.
pub const UNUSED_MAX_MS: u64 = 120_000;

/// How many exchanges are remembered before the last one. Of more within a grace, those are dropped whose neighbours
/// are nearest.
pub(super) const EARLIER_MAX: usize = 7;

/// For how long a token leads to a successor that was not used.
pub(super) fn unused_ms(grace_ms: u64) -> u64 {
    grace_ms.saturating_mul(UNUSED_GRACES).min(UNUSED_MAX_MS).max(grace_ms)
}

/// By what a store knows a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenDigest {
    /// Which one of its family it is, the first being 0. Its family vouches for that.
    pub place: u64,
    /// Its SHA-256.
    pub digest: [u8; 32],
}

impl TokenDigest {
    /// Reads one as [`Display`](fmt::Display) writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (place, digest) = text.split_once('.')?;
        let digest = URL_SAFE_NO_PAD.decode(digest).ok()?.try_into().ok()?;
        Some(Self { place: place.parse().ok()?, digest })
    }
}

/// The place, a dot, and the digest in base64url.
impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, digest } = self;
        write!(f, "{place}.{}", URL_SAFE_NO_PAD.encode(digest))
    }
}

/// The family itself, which does not change.
#[derive(Clone, PartialEq)]
pub struct Family {
    /// The session that it belongs to.
    pub session: SessionId,
    /// The client to which its tokens were given.
    pub client: Box<str>,
    /// The scopes that its tokens may have.
    pub scopes: Vec<Box<str>>,
    /// When it began.
    pub created: UnixTime,
    /// When it ends, however often it is used.
    pub ends: UnixTime,
    /// How long it may rest, in seconds.
    pub idle_s: i64,
    /// By what a token of this family is told from one that somebody made up.
    pub key: [u8; 32],
}

/// From when on a family that was last used then is of no use any more, unless it is used before.
pub(super) fn rests_until(family: &Family, used: UnixTime) -> UnixTime {
    family.ends.min(used.plus(family.idle_s))
}

/// A family as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFamily {
    /// What it is.
    pub family: Family,
    /// The one token of it that is good.
    pub current: TokenDigest,
    /// When a token of it was last used.
    pub used: UnixTime,
    /// Whether a token of it was used twice.
    pub is_dead: bool,
    /// When it was read, by the store's clock, in milliseconds.
    pub read_ms: u64,
}

/// What a gateway knew of a family when it asked for an exchange. The store decides by this who was
/// late, even if the command was delayed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Premise {
    /// The current token.
    pub current: TokenDigest,
    /// When that was read, by the store's clock, in milliseconds.
    pub read_ms: u64,
    /// How long before that the token was presented, at most, in milliseconds.
    pub waited_ms: u64,
}

impl Premise {
    /// Whether a token was good when the family was read.
    pub fn holds_for(&self, presented: TokenDigest) -> bool {
        presented == self.current || presented.place > self.current.place
    }
}

/// An exchange that is asked for.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The family.
    pub family: SessionId,
    /// The token that is to be exchanged.
    pub presented: TokenDigest,
    /// For what.
    pub successor: Successor,
    /// How long after its exchange a token leads to what it was exchanged for, in milliseconds; 0: not at all.
    pub grace_ms: u64,
    /// When it is asked for.
    pub now: UnixTime,
    /// What the gateway knows of the family.
    pub premise: Premise,
    /// What is to be written if the token was used before: the end of its login. Not asked for where the family was
    /// read, and the token is the current one.
    pub end: Option<LoginEnd>,
}

/// The token that another one is exchanged for. It is made at random for this one exchange: a
/// client that asks for the same one again has lost the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// Its digest.
    pub digest: TokenDigest,
    /// Itself, sealed.
    pub sealed: Vec<u8>,
}

/// The outcome of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The token was good. What it was exchanged for now is.
    Rotated,
    /// The token was exchanged a moment ago. What leads from it to the current token: each successor, sealed with its
    /// parent.
    Replayed(Vec<Vec<u8>>),
    /// The token was good when the family was read, or led to what was, or belongs to a grace, and there is nothing to give for it.
    /// Nothing happened.
    Changed,
    /// The exchange arrived too long after the family was read. Nothing happened.
    TooLate,
    /// The token was exchanged before, or the family is dead because another was: nothing of it is
    /// good any more. The end of its login is still to be written down.
    Reused,
    /// The same, and the login has ended: this was written of it; nothing if there was no room.
    Ended(Option<Charged>),
    /// The family has rested, or lived, for too long.
    Expired,
    /// There is no such family, or its session is gone.
    Absent,
}

/// The families. They end with their sessions, in the same step: whatever deletes one, in
/// [`SessionStore`](super::session::SessionStore) or by the revocation log, deletes the other.
#[async_trait]
pub trait FamilyStore: fmt::Debug + Send + Sync {
    /// Writes a new family down, whose first token this is, and returns once that is durable, as
    /// far as the store can be; `false` if its session is not there: it was ended meanwhile, and
    /// nothing would end the family. Where there is one of this id already, nothing is done: ids
    /// are made anew for each login, so that it is this one, and the answer was lost.
    ///
    /// It is forgotten an hour after it could last be used, or later.
    async fn begin(&self, family: &Family, first: TokenDigest) -> Result<bool, StoreError>;

    /// A family, unless there is none.
    async fn find(&self, id: SessionId) -> Result<Option<StoredFamily>, StoreError>;

    /// Exchanges a token of a family, in one step, whatever others do at the same time. A token counts as presented
    /// when the family was read, less the time that it had waited by then. The first of these that holds:
    ///
    /// - No family, or no session of this id in the store: [`Rotation::Absent`].
    /// - A family that cannot be read: [`StoreError::Unreadable`], and nothing changes.
    /// - The family was read [`EXCHANGE_WITHIN_MS`] ago, or by another clock: [`Rotation::TooLate`].
    /// - A dead family: as below, if it is said how its login ends, which nobody has written down then; else
    ///   [`Rotation::Reused`].
    /// - One that has ended, or rested for too long since it was last used, by `now` and, where the
    ///   store has a clock of its own, by that one, too: [`Rotation::Expired`].
    /// - `presented` is the current token, or comes after it: the store has lost an exchange, in a
    ///   fail-over for example, and its holder must not pay for that. `successor` takes its place, the moment is noted by a
    ///   clock that is the store's (a step of a gateway's does not move it), the family and its
    ///   session count as used at `now`, and never as used less lately than they did;
    ///   [`Rotation::Rotated`].
    /// - `presented` is the one before the current, and that one is `successor`: this very exchange
    ///   was asked for before, and is [`Rotation::Rotated`] once more. Nothing changes.
    /// - `presented` was exchanged less than `grace_ms` before it was presented (never, if that is 0), or after that:
    ///   [`Rotation::Replayed`], however far the family has gone since, or [`Rotation::Changed`] if too much happened
    ///   to know the way. From now on the current token has two holders, perhaps.
    /// - `presented` is the one before the current, had one holder only, and was exchanged less than
    ///   [`UNUSED_GRACES`] times `grace_ms`, or [`UNUSED_MAX_MS`], before: the same.
    /// - `presented` was good when the family was read, or led to the token that was current then, as that had not been used:
    ///   [`Rotation::Changed`].
    /// - Anything else: if it is said how its login ends, that is charged to its account (see
    ///   [`charge`](super::RevocationLog::charge)), the session and the family are gone, also if there is no room in the log,
    ///   and [`Rotation::Ended`]. If not, the family is dead from now on, and [`Rotation::Reused`].
    async fn rotate(&self, exchange: &Exchange) -> Result<Rotation, StoreError>;
}

/// The version of the encoding below. New fields may come without a new version; a version that is
/// not known is not read.
pub(super) const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct WrittenFamily {
    version: u32,
    #[serde(default)]
    client: Box<str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<Box<str>>,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    ends: i64,
    #[serde(default)]
    idle_s: i64,
    key: [u8; 32],
}

/// Writes a family as one line of JSON, without its id, which is its key in the store.
pub fn encode(family: &Family) -> String {
    let Family { session: _, client, scopes, created, ends, idle_s, key } = family.clone();
    let written = WrittenFamily {
        version: VERSION,
        client,
        scopes,
        created: created.as_seconds(),
        ends: ends.as_seconds(),
        idle_s,
        key,
    };
    // Texts and numbers can always be written.
    serde_json::to_string(&written).unwrap_or_default()
}

/// Reads what [`encode`], of this version or another, wrote of the family of this id.
///
/// # Errors
///
/// [`Unreadable`]: it is not a family, or one of a later version.
pub fn decode(session: SessionId, bytes: &[u8]) -> Result<Family, Unreadable> {
    let WrittenFamily { version: _, client, scopes, created, ends, idle_s, key } =
        versioned::decode(bytes, VERSION, Unreadable::family)?;
    Ok(Family {
        session,
        client,
        scopes,
        created: UnixTime::from_seconds(created),
        ends: UnixTime::from_seconds(ends),
        idle_s,
        key,
    })
}

/// Without the key.
impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, client, scopes, created, ends, idle_s, key: _ } = self;
        f.debug_struct("Family")
            .field("session", session)
            .field("client", client)
            .field("scopes", scopes)
            .field("created", created)
            .field("ends", ends)
            .field("idle_s", idle_s)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
