//! Families of refresh tokens: each token is used once and leads to the next, and all tokens of one
//! login end together.
//!
//! A family belongs to a session and has its id. Only digests of tokens are kept. The successor of
//! a token is kept sealed with a key that is derived from that token. So a client that lost the
//! answer gets the same successor again, and a reader of the store gets nothing.

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

/// How long a family is kept after it could last be used, in seconds: the clocks of gateways may
/// differ.
pub(crate) const FAMILY_MARGIN_S: i64 = 3600;

/// How long after the reading of a family a token of it may be exchanged, by the store's clock, in
/// milliseconds. A later exchange is not carried out.
pub const EXCHANGE_WITHIN_MS: u64 = 5_000;

/// For how many graces a token leads to its successor while the successor was not used.
pub const UNUSED_GRACES: u64 = 10;

/// The longest of these times, in milliseconds, unless the grace itself is longer.
pub const UNUSED_MAX_MS: u64 = 120_000;

/// How many exchanges are remembered before the last one. If there are more within a grace, those
/// whose neighbours are nearest are dropped.
pub(super) const EARLIER_MAX: usize = 7;

/// How long a token leads to a successor that was not used, in milliseconds.
pub(super) fn unused_ms(grace_ms: u64) -> u64 {
    grace_ms.saturating_mul(UNUSED_GRACES).min(UNUSED_MAX_MS).max(grace_ms)
}

/// What a store knows a refresh token by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenDigest {
    /// Its number in its family, the first being 0. Its family vouches for that.
    pub place: u64,
    /// Its SHA-256.
    pub digest: [u8; 32],
}

impl TokenDigest {
    /// Parses what [`Display`](fmt::Display) writes.
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

/// The part of a family that does not change.
#[derive(Clone, PartialEq)]
pub struct Family {
    /// The session that it belongs to.
    pub session: SessionId,
    /// The client to which its tokens were issued.
    pub client: Box<str>,
    /// The scopes that its tokens may have.
    pub scopes: Vec<Box<str>>,
    /// When it began.
    pub created: UnixTime,
    /// When it ends, however often it is used.
    pub ends: UnixTime,
    /// How long it may be idle, in seconds.
    pub idle_s: i64,
    /// The key that distinguishes a token of this family from a made-up one.
    pub key: [u8; 32],
}

/// When a family that was last used at `used` becomes unusable, unless it is used before.
pub(super) fn rests_until(family: &Family, used: UnixTime) -> UnixTime {
    family.ends.min(used.plus(family.idle_s))
}

/// A family as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFamily {
    /// The family itself.
    pub family: Family,
    /// Its one good token.
    pub current: TokenDigest,
    /// When a token of it was last used.
    pub used: UnixTime,
    /// Whether a token of it was used twice.
    pub is_dead: bool,
    /// When it was read, by the store's clock, in milliseconds.
    pub read_ms: u64,
}

/// What a gateway knew of a family when it asked for an exchange. From this the store decides which
/// request was late, even if the command was delayed on its way.
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

/// A requested exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The family.
    pub family: SessionId,
    /// The token that is to be exchanged.
    pub presented: TokenDigest,
    /// The token to exchange it for.
    pub successor: Successor,
    /// How long after its exchange a token leads to its successor, in milliseconds; 0: not at all.
    pub grace_ms: u64,
    /// When the exchange is requested.
    pub now: UnixTime,
    /// What the gateway knows of the family.
    pub premise: Premise,
    /// The end of the login, to be written if the token was used before. `None` if the token was
    /// good when the family was read.
    pub end: Option<LoginEnd>,
}

/// The successor of a token. It is random and made for this one exchange: a client that asks for
/// the same one again has lost the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// Its digest.
    pub digest: TokenDigest,
    /// The token, sealed.
    pub sealed: Vec<u8>,
}

/// The outcome of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The token was good. Now its successor is.
    Rotated,
    /// The token was exchanged a moment ago. The successors from it to the current token, each
    /// sealed with its parent.
    Replayed(Vec<Vec<u8>>),
    /// The token was good when the family was read, or led to the one that was, or is within a
    /// grace, but there is no successor to give for it. The store changed nothing.
    Changed,
    /// The exchange arrived too long after the family was read. The store changed nothing.
    TooLate,
    /// The token was exchanged before, or the family is dead because another was: none of its
    /// tokens is good any more. The end of its login is still to be written.
    Reused,
    /// The same, and the login has ended. These records were written about it; `None` if there was
    /// no room.
    Ended(Option<Charged>),
    /// The family was idle, or lived, for too long.
    Expired,
    /// There is no such family, or its session is gone.
    Absent,
}

/// The families. They end with their sessions, in the same step: whatever deletes a session, in
/// [`SessionStore`](super::session::SessionStore) or by the revocation log, deletes its family.
#[async_trait]
pub trait FamilyStore: fmt::Debug + Send + Sync {
    /// Stores a new family with its first token, and returns once that is durable, as far as the
    /// store can be. `false` if its session does not exist: it was ended meanwhile, and nothing
    /// would end the family. If a family of this id exists, nothing is done: each login has a new
    /// id, so it is this family, and the answer was lost.
    ///
    /// The store forgets the family an hour after it could last be used, or later.
    async fn begin(&self, family: &Family, first: TokenDigest) -> Result<bool, StoreError>;

    /// A family, if it exists.
    async fn find(&self, id: SessionId) -> Result<Option<StoredFamily>, StoreError>;

    /// Exchanges a token of a family, in one step, whatever others do at the same time. A token
    /// counts as presented when the family was read, less the time that it had waited by then. The
    /// first of these that holds decides:
    ///
    /// - No family, or no session of this id in the store: [`Rotation::Absent`].
    /// - A family that cannot be read: [`StoreError::Unreadable`], and nothing changes.
    /// - The family was read [`EXCHANGE_WITHIN_MS`] ago, or by another clock:
    ///   [`Rotation::TooLate`].
    /// - A dead family: as in the last case below if `end` is given, because the end has not been
    ///   written then; else [`Rotation::Reused`].
    /// - A family that has ended, or was idle for too long since it was last used, by `now` and, if
    ///   the store has a clock of its own, by that one, too: [`Rotation::Expired`].
    /// - `presented` is the current token, or a later one: the store has lost an exchange, in a
    ///   fail-over for example, and the holder of the token must not suffer from that. `successor`
    ///   replaces the current token. The store records the time by its own clock (a step of a
    ///   gateway's clock does not move it). The family and its session count as used at `now`,
    ///   unless they were used later; [`Rotation::Rotated`].
    /// - `presented` is the token before the current one, and the current one is `successor`: this
    ///   very exchange was asked for before, and is [`Rotation::Rotated`] once more. Nothing
    ///   changes.
    /// - `presented` was exchanged less than `grace_ms` before it was presented (never, if that is
    ///   0), or after that: [`Rotation::Replayed`], however many exchanges followed, or
    ///   [`Rotation::Changed`] if too many followed to know the way. From now on the current token
    ///   may have two holders.
    /// - `presented` is the token before the current one, had only one holder, and was exchanged
    ///   less than [`UNUSED_GRACES`] times `grace_ms`, or [`UNUSED_MAX_MS`], before: the same.
    /// - `presented` was good when the family was read, or led to the token that was current then,
    ///   because that one had not been used: [`Rotation::Changed`].
    /// - Anything else: if `end` is given, it is charged to its account (see
    ///   [`charge`](super::RevocationLog::charge)), the session and the family are deleted, even if
    ///   there is no room in the log, and the outcome is [`Rotation::Ended`]. If not, the family is
    ///   dead from now on, and the outcome is [`Rotation::Reused`].
    async fn rotate(&self, exchange: &Exchange) -> Result<Rotation, StoreError>;
}

/// The version of the encoding below. New fields do not need a new version; an unknown version is
/// not read.
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
    // Serializing texts and numbers does not fail.
    serde_json::to_string(&written).unwrap_or_default()
}

/// Parses what [`encode`] wrote, in this version or another, for the family of this id.
///
/// # Errors
///
/// [`Unreadable`]: it is not a family, or has a later version.
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

/// Does not show the key.
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
