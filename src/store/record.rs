//! Records of the revocation log: a revocation, or the lift of some, and who made it, when and why.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::gate::revocation::{
    Entry, LIFT, Lifted, MadeBy, RevocationId, SESSION_S, Scope, ScopeKind,
};
use crate::gate::time::UnixTime;

/// One record of the log: a revocation, or the lift of some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The revocation. For a lift: its scope, the cut-off that is lifted, and until when gateways
    /// must know the lift.
    pub entry: Entry,
    /// When it was written, in microseconds since 1970.
    pub written_us: u64,
    /// The operator or the gateway that made it.
    pub actor: Box<str>,
    /// Why.
    pub reason: Box<str>,
    /// The account that it is charged to, if an account caused it, and not an operator.
    pub owner: Option<Owner>,
    /// An unknown account caused it: like any record of an account, it leaves room for operators.
    pub is_for_nobody: bool,
    /// A random number that distinguishes records that are otherwise equal. If the mark at a
    /// position changes, the log is another log.
    pub mark: u64,
    /// The revocations that it lifts; empty for a revocation.
    pub lifts: Box<[Lifted]>,
}

/// How many revocations one record lifts at most.
pub const LIFTED_AT_ONCE_MAX: usize = 256;

/// The account that an end is charged to. The records of one account in the log are limited: those
/// beyond the limit are merged into one entry, [`Scope::Grants`], up to the time at which the
/// logins and tokens that they ended had begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The issuer of the subject.
    pub issuer: Box<str>,
    /// The subject whose login or token ended; the client, if the token was about the client.
    pub subject: Box<str>,
    /// When the login or the token began: [`Scope::Grants`] must cut off up to this time to revoke
    /// it.
    pub dated: UnixTime,
    /// The time by which everything that began as early has expired: an entry that replaces this
    /// one must live until then.
    pub until: UnixTime,
}

/// The reason of an entry that replaces others.
pub const MERGED: &str = "merged";

/// A record, as far as this version can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A revocation, or a lift.
    Record(Record),
    /// A record of a newer gateway that revokes nothing.
    Other,
}

/// A record that cannot be read. A revocation among these may revoke anything, so nothing after it
/// can be decided.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Unreadable {
    fn record(why: &str) -> Self {
        Self(format!("a record of the revocation log cannot be read: {why}"))
    }

    /// A session that cannot be read.
    pub(super) fn session(why: &str) -> Self {
        Self(format!("a session cannot be read: {why}"))
    }

    /// A family of refresh tokens that cannot be read.
    pub(super) fn family(why: &str) -> Self {
        Self(format!("a family of refresh tokens cannot be read: {why}"))
    }
}

/// The format of written records. New fields may be added; the meaning of fields may not change.
#[derive(Debug, Serialize, Deserialize)]
struct WrittenRecord<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    scope: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    issuer: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    /// Absent: all times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut_off: Option<i64>,
    /// Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
    #[serde(default)]
    written_us: u64,
    #[serde(borrow, default)]
    actor: Cow<'a, str>,
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    #[serde(default)]
    mark: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    owner: Option<WrittenOwner<'a>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    for_nobody: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lifts: Vec<WrittenLift>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WrittenLift {
    id: String,
    /// Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WrittenOwner<'a> {
    #[serde(borrow)]
    issuer: Cow<'a, str>,
    #[serde(borrow)]
    subject: Cow<'a, str>,
    /// Absent: the same as the cut-off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dated: Option<i64>,
    /// Absent: the same as the expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// The kinds of records: this, and [`LIFT`]. Earlier gateways ignore a lift: for them, what was
/// lifted stays revoked.
const REVOCATION: &str = "revocation";

fn date(time: UnixTime) -> Option<i64> {
    (time != UnixTime::NEVER).then(|| time.as_seconds())
}

fn time(seconds: Option<i64>) -> UnixTime {
    seconds.map_or(UnixTime::NEVER, UnixTime::from_seconds)
}

impl Record {
    /// The id of the revocation that this record is.
    pub fn id(&self) -> RevocationId {
        let made_by = if self.owner.is_some() { MadeBy::Account } else { MadeBy::Operator };
        RevocationId::of(&self.entry, self.written_us, made_by)
    }

    /// Its id, if it is a revocation that can be lifted.
    pub fn liftable_id(&self) -> Option<RevocationId> {
        let is_revocation = !self.is_lift();
        is_revocation.then(|| self.id()).filter(|id| id.is_liftable())
    }

    /// Whether it is a lift, and not a revocation.
    pub fn is_lift(&self) -> bool {
        !self.lifts.is_empty()
    }

    /// Until when the record must be known if the session that it ends is not deleted yet: an entry
    /// of an account lives only as long as the tokens that the session leaves behind.
    pub fn forgotten_at(&self) -> UnixTime {
        match (&self.entry.scope, &self.owner) {
            (Scope::Session(_) | Scope::Grants { .. }, Some(owner)) => owner.until.plus(SESSION_S),
            (_, _) => self.entry.expires,
        }
    }

    /// The record as one line of JSON.
    pub fn encode(&self) -> String {
        let Self { entry: Entry { scope, cut_off, expires }, written_us, .. } = self;
        let Self { actor, reason, owner, is_for_nobody, mark, lifts, .. } = self;
        let (issuer, id): (Option<&str>, Option<&str>) = match scope {
            Scope::Token { issuer, id } => (Some(issuer), Some(id)),
            Scope::Session(id) | Scope::Client(id) => (None, Some(id)),
            Scope::Subject { issuer, subject: id } | Scope::Key { issuer, id } => {
                (issuer.as_deref(), Some(id))
            }
            Scope::Issuer(issuer) => (Some(issuer), None),
            Scope::Everything => (None, None),
            Scope::Grants { issuer, subject } => (Some(issuer), Some(subject)),
        };
        let lifts = lifts.iter().map(|Lifted { id, expires }| WrittenLift {
            id: id.to_string(),
            expires: date(*expires),
        });
        let written = WrittenRecord {
            kind: if self.is_lift() { LIFT } else { REVOCATION }.into(),
            scope: scope.kind().as_str().into(),
            issuer: issuer.map(Into::into),
            id: id.map(Into::into),
            cut_off: date(*cut_off),
            expires: date(*expires),
            written_us: *written_us,
            actor: (&**actor).into(),
            reason: (&**reason).into(),
            mark: *mark,
            owner: owner.as_ref().map(|Owner { issuer, subject, dated, until }| WrittenOwner {
                issuer: (&**issuer).into(),
                subject: (&**subject).into(),
                dated: (dated != cut_off).then(|| dated.as_seconds()),
                until: (until != expires).then(|| until.as_seconds()),
            }),
            for_nobody: *is_for_nobody,
            lifts: lifts.collect(),
        };
        // Serializing texts and numbers does not fail.
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// Parses what [`Record::encode`] wrote, in this version or another.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn decode(bytes: &[u8]) -> Result<Read, Unreadable> {
        let written: WrittenRecord<'_> = serde_json::from_slice(bytes)
            .map_err(|error| Unreadable::record(&error.to_string()))?;
        match &*written.kind {
            REVOCATION => Self::read(written, Box::default()).map(Read::Record),
            // A lift that cannot be read lifts nothing.
            LIFT => Ok(lifts_of(&written.lifts)
                .and_then(|lifts| Self::read(written, lifts).ok())
                .filter(|lift| lift.entry.scope.kind().is_liftable())
                .map_or(Read::Other, Read::Record)),
            _ => Ok(Read::Other),
        }
    }

    fn read(written: WrittenRecord<'_>, lifts: Box<[Lifted]>) -> Result<Self, Unreadable> {
        let WrittenRecord { kind: _, scope, issuer, id, cut_off, expires, written_us, .. } =
            written;
        let lacks =
            |what: &str| Unreadable::record(&format!("a revocation by {scope} lacks its {what}"));
        let issuer: Option<Box<str>> = issuer.map(|text| text.into_owned().into());
        let id: Option<Box<str>> = id.map(|text| text.into_owned().into());
        let kind = ScopeKind::ALL.into_iter().find(|kind| kind.as_str() == scope);
        let kind =
            kind.ok_or_else(|| Unreadable::record(&format!("the scope `{scope}` is not known")))?;
        let scope = match kind {
            ScopeKind::Token => Scope::Token {
                issuer: issuer.ok_or_else(|| lacks("issuer"))?,
                id: id.ok_or_else(|| lacks("id"))?,
            },
            ScopeKind::Session => Scope::Session(id.ok_or_else(|| lacks("id"))?),
            ScopeKind::Subject => {
                Scope::Subject { issuer, subject: id.ok_or_else(|| lacks("id"))? }
            }
            ScopeKind::Client => Scope::Client(id.ok_or_else(|| lacks("id"))?),
            ScopeKind::Key => Scope::Key { issuer, id: id.ok_or_else(|| lacks("id"))? },
            ScopeKind::Issuer => Scope::Issuer(issuer.ok_or_else(|| lacks("issuer"))?),
            ScopeKind::Everything => Scope::Everything,
            ScopeKind::Grants => Scope::Grants {
                issuer: issuer.ok_or_else(|| lacks("issuer"))?,
                subject: id.ok_or_else(|| lacks("id"))?,
            },
        };
        let (cut_off, expires) = (time(cut_off), time(expires));
        let owner = written.owner.map(|WrittenOwner { issuer, subject, dated, until }| Owner {
            issuer: issuer.into_owned().into(),
            subject: subject.into_owned().into(),
            dated: dated.map_or(cut_off, UnixTime::from_seconds),
            until: until.map_or(expires, UnixTime::from_seconds),
        });
        Ok(Self {
            entry: Entry { scope, cut_off, expires },
            owner,
            is_for_nobody: written.for_nobody,
            written_us,
            actor: written.actor.into_owned().into(),
            reason: written.reason.into_owned().into(),
            mark: written.mark,
            lifts,
        })
    }
}

/// The revocations that a lift names; `None` if it names none, or one that cannot be lifted.
fn lifts_of(written: &[WrittenLift]) -> Option<Box<[Lifted]>> {
    let lifted = |WrittenLift { id, expires }: &WrittenLift| {
        let id = RevocationId::parse(id).filter(|id| id.is_liftable())?;
        Some(Lifted { id, expires: time(*expires) })
    };
    let lifts: Option<Box<[Lifted]>> = written.iter().map(lifted).collect();
    lifts.filter(|lifts| !lifts.is_empty())
}

#[cfg(test)]
mod tests;
