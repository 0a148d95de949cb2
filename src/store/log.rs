//! The revocation log: how records are appended, and how gateways follow it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::error::{AppendError, StoreError};
use super::record::Record;
use crate::gate::revocation::Lifted;
use crate::gate::time::UnixTime;

/// A place in the log: everything up to it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Position {
    /// How many records were ever appended. The numbers have no gaps, so a missing record is
    /// noticed.
    pub sequence: u64,
    /// The mark of the record there; `None` if it is not known, for example at the beginning.
    pub mark: Option<u64>,
}

impl Position {
    /// Whether nothing was ever appended: then no record's mark distinguishes one log from another.
    pub fn is_beginning(self) -> bool {
        self.sequence == 0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sequence.fmt(f)
    }
}

/// The records after a position, or the loss of that position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The records, in order; none if none came in time. The log was read to this position.
    Records(Vec<Record>, Position),
    /// The log does not continue from the position; a snapshot is needed.
    Lost(Loss),
}

/// How a position was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The log no longer holds the records after the position.
    Trimmed,
    /// The log holds less than was read from it, or other records: a fail-over to a replica that
    /// lacked writes, or a server that lost its data.
    WentBackwards,
}

/// How many records one call of [`RevocationLog::tail`] reads at most. If it reads that many, there
/// may be more.
pub const TAIL_RECORDS_MAX: u64 = 1000;

/// The terms of an append.
#[derive(Clone, Copy, Debug)]
pub struct AppendBounds<'a> {
    /// How many live records there may be.
    pub entries_max: u64,
    /// The time now, for dropping spent records.
    pub now: UnixTime,
    /// The issuer of logins, if users can log in.
    pub login_issuer: Option<&'a str>,
}

/// What the caller of a lift knows of the revocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiftPremise {
    /// At least one of them is live: an operator asks.
    IsLive,
    /// The log had the lift before, and has lost it.
    WasWritten,
}

/// Some of the live records, for people.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listing {
    /// The records, in the order of their expiry.
    pub records: Vec<Record>,
    /// How many there are in all.
    pub total: u64,
}

/// The processes that can append to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// Only this process: it knows all records, however long ago it last read the log.
    ThisGateway,
    /// Other gateways as well, which this one notices only when it reads the log.
    Gateways,
}

/// An append-only log of revocations, with a snapshot of what is still live.
#[async_trait]
pub trait RevocationLog: fmt::Debug + Send + Sync {
    /// The processes that can append to this log.
    fn writers(&self) -> Writers;

    /// Appends a record and returns once it is durable, as far as the store can be.
    ///
    /// In the same step, sessions end that the record cuts off, if they can be found without
    /// reading all sessions: the named one, or those of a subject up to the cut-off. Their families
    /// of refresh tokens end with them.
    async fn append(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Position, AppendError>;

    /// Appends a record that has an [`Owner`](super::record::Owner), or a cut-off in its place. No
    /// account has more than [`ENTRIES_PER_SUBJECT_MAX`](super::account::ENTRIES_PER_SUBJECT_MAX)
    /// live records, and some room is left for others. Sessions end as with
    /// [`append`](Self::append); a cut-off ends the subject's sessions that it covers. A record
    /// without an owner is simply appended.
    async fn charge(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Charged, AppendError>;

    /// The live revocations with these ids that can be lifted.
    async fn find_liftable(&self, sought: &[Lifted]) -> Result<Vec<Record>, StoreError>;

    /// Appends a lift, which replaces what it lifts in the same step: there is always room. `None`
    /// if the premise is that a revocation is live and none is. An operator's lift that reaches the
    /// store too late, by the store's clock, does nothing.
    async fn lift(
        &self,
        lift: &Record,
        premise: LiftPremise,
        now: UnixTime,
    ) -> Result<Option<Position>, StoreError>;

    /// Passes every live record to `take`, in pieces, and returns the position from which the log
    /// continues. A record may come twice, here and from the tail.
    async fn snapshot(
        &self,
        take: &mut (dyn FnMut(Vec<Record>) + Send),
    ) -> Result<Position, StoreError>;

    /// Waits up to `patience` for records after `position`.
    async fn tail(&self, position: Position, patience: Duration) -> Result<Tail, StoreError>;

    /// A page of the live records.
    async fn list(&self, offset: u64, limit: u64, now: UnixTime) -> Result<Listing, StoreError>;

    /// Drops spent records; returns how many.
    async fn prune(&self, now: UnixTime) -> Result<u64, StoreError>;
}

/// The records that were written for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charged {
    /// The record, a cut-off that replaces it and others, both, or nothing if an existing cut-off
    /// covers it.
    pub written: Vec<Record>,
    /// The position of the log after that.
    pub position: Position,
}

/// How long a record is kept after it is spent, in seconds: the clocks of gateways may differ.
pub(crate) const PRUNE_MARGIN_S: i64 = 3600;
