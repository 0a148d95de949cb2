//! REMEMBER. What must outlive a gateway: the revocation log and which gateways follow it, who is
//! logged in, which refresh tokens are good, how often somebody tried to log in, and the gateway's
//! own signing keys.
//!
//! Two implementations, chosen by the configuration: a file beside the gateway, and Redis. A store
//! is a set of seams, one for each thing that it remembers, so that a new thing is a new trait and
//! not a change to the others.

pub mod account;
pub mod attempts;
mod digest;
pub mod embedded;
pub mod family;
pub mod keyring;
pub mod login_end;
pub mod record;
pub mod redis;
pub mod session;
pub mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::gate::revocation::Lifted;
use crate::gate::time::UnixTime;
use attempts::AttemptLedger;
use family::FamilyStore;
use keyring::KeyRingStore;
use record::Record;
use session::SessionStore;
use settings::StoreSettings;

/// An opened store.
#[derive(Clone, Debug)]
pub struct Store {
    /// Who was cut off.
    pub revocations: Arc<dyn RevocationLog>,
    /// Who follows the log.
    pub fleet: Arc<dyn Fleet>,
    /// Who is logged in.
    pub sessions: Arc<dyn SessionStore>,
    /// How often somebody tried to.
    pub attempts: Arc<dyn AttemptLedger>,
    /// Which refresh tokens are good.
    pub families: Arc<dyn FamilyStore>,
    /// The gateway's own signing keys.
    pub keyring: Arc<dyn KeyRingStore>,
}

impl Store {
    fn of<S>(store: Arc<S>) -> Self
    where
        S: RevocationLog
            + Fleet
            + SessionStore
            + AttemptLedger
            + FamilyStore
            + KeyRingStore
            + 'static,
    {
        Self {
            revocations: store.clone(),
            fleet: store.clone(),
            sessions: store.clone(),
            attempts: store.clone(),
            families: store.clone(),
            keyring: store,
        }
    }
}

/// Why a store did not do as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or did not answer in time. Whether a write was done is not known.
    #[error("{0}")]
    Unavailable(String),
    /// It answers, and takes no writes for now: it is full, or lacks the replicas that it wants. It
    /// can be read all the same.
    #[error("{0}")]
    Refused(String),
    /// It holds something that cannot be understood.
    #[error("{0}")]
    Unreadable(String),
}

impl From<record::Unreadable> for StoreError {
    fn from(error: record::Unreadable) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Why a record was not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The store holds as many live records as it may.
    #[error("the revocation list is full")]
    Full,
    /// It had been written down before, and was lifted since.
    #[error("the revocation was lifted")]
    Lifted,
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A place in the log: everything up to it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Position {
    /// How many records were ever appended. Without gaps, so that a missing one is noticed.
    pub sequence: u64,
    /// The mark of the record there; `None` if it is not known, at the beginning for example.
    pub mark: Option<u64>,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sequence.fmt(f)
    }
}

/// What came after a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// These, in order; none if nothing came in time. The log was read to this position.
    Records(Vec<Record>, Position),
    /// The log does not go on from there; a snapshot must be taken.
    Lost(Loss),
}

/// How a position was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// What came after it is no longer in the log.
    Trimmed,
    /// The log holds less than was read from it, or something else: a fail-over to a replica that
    /// lacked writes, or a server that lost its data.
    WentBackwards,
}

/// How many records one call of [`RevocationLog::tail`] reads at most. Whoever gets that far may
/// not have got to the end.
pub const TAIL_RECORDS_MAX: u64 = 1000;

/// What is asked of an append beside the record.
#[derive(Clone, Copy, Debug)]
pub struct AppendBounds<'a> {
    /// How many live records there may be.
    pub entries_max: u64,
    /// The time now, for making room.
    pub now: UnixTime,
    /// Who vouches for those who log in, if somebody can.
    pub login_issuer: Option<&'a str>,
}

/// What was written on somebody's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charged {
    /// The record, a cut-off that stands for it and others, both, or nothing, if a cut-off that is
    /// there does it.
    pub written: Vec<Record>,
    /// Where the log stands, with that.
    pub position: Position,
}

/// What whoever lifts revocations takes for granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiftPremise {
    /// Some of them are live: an operator asks.
    IsLive,
    /// The lift was in the log before, which has lost it.
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

/// Who can append to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// This process alone: it knows all that is in there, however long it has not looked.
    ThisGateway,
    /// Others as well, unnoticed until the log is read.
    Gateways,
}

/// An append-only log of revocations, with a snapshot of what is still live.
#[async_trait]
pub trait RevocationLog: fmt::Debug + Send + Sync {
    /// Who can append to it.
    fn writers(&self) -> Writers;

    /// Appends a record and returns once it is durable, as far as the store can be.
    ///
    /// In the same step the sessions end that it cuts off and that can be told without looking at
    /// all there are: the one that is named, or those of a subject up to the cut-off. Their
    /// families of refresh tokens end with them.
    async fn append(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Position, AppendError>;

    /// Appends a record that has an [`Owner`](record::Owner), or what stands for it: no account has
    /// more than [`ENTRIES_PER_SUBJECT_MAX`](account::ENTRIES_PER_SUBJECT_MAX) live records, and
    /// some room is left for others. Sessions end as by [`append`](Self::append), those of the
    /// subject that a cut-off hits with them. One without an owner is appended.
    async fn charge(
        &self,
        record: &Record,
        bounds: AppendBounds<'_>,
    ) -> Result<Charged, AppendError>;

    /// The live revocations that these ids name, and that can be lifted.
    async fn find_liftable(&self, sought: &[Lifted]) -> Result<Vec<Record>, StoreError>;

    /// Appends a lift, which takes the place of what it lifts in the same step: there is always room.
    /// `None` if something was to be live and is not. An operator's lift that comes to the store too
    /// late, by the store's clock, does nothing.
    async fn lift(
        &self,
        lift: &Record,
        premise: LiftPremise,
        now: UnixTime,
    ) -> Result<Option<Position>, StoreError>;

    /// Hands every live record to `take`, piece by piece, and returns the position from which the
    /// log goes on. Records may come twice, now and from the tail.
    async fn snapshot(
        &self,
        take: &mut (dyn FnMut(Vec<Record>) + Send),
    ) -> Result<Position, StoreError>;

    /// Waits up to `patience` for records after `position`.
    async fn tail(&self, position: Position, patience: Duration) -> Result<Tail, StoreError>;

    /// A page of the live records.
    async fn list(&self, offset: u64, limit: u64, now: UnixTime) -> Result<Listing, StoreError>;

    /// Drops records that are spent; how many.
    async fn prune(&self, now: UnixTime) -> Result<u64, StoreError>;
}

/// What a gateway tells about itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GatewayState {
    /// Different for every process.
    pub instance: String,
    /// The name that people know it by.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How far it has applied the log.
    pub applied: u64,
    /// The mark of the record there, by which it can be told whether it was this log.
    #[serde(default)]
    pub mark: Option<u64>,
    /// How long it may go on serving from memory once it hears nothing, in milliseconds.
    #[serde(default)]
    pub counted_for_ms: u64,
    /// How far its clock is ahead of the store's, in milliseconds; `None` if that is not known.
    #[serde(default)]
    pub clock_ahead_ms: Option<i64>,
    /// What it must agree on with the others, by the name of the field.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

impl GatewayState {
    /// How long it is still counted once it says nothing, in milliseconds.
    pub fn forgotten_after_ms(&self) -> u64 {
        self.counted_for_ms.max(GATEWAY_FORGOTTEN_AFTER_MS)
    }
}

/// A gateway as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownGateway {
    /// What it told last.
    pub state: GatewayState,
    /// How long ago that was, in milliseconds.
    pub silent_ms: u64,
    /// Whether it was this log that it has applied so far. After a fail-over that lost writes, a
    /// gateway can be at a position that now holds something else, and nobody must take that for
    /// having applied it.
    pub follows: bool,
}

/// All gateways that follow the log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Roster {
    /// The position of the last record of the log.
    pub head: u64,
    /// How many records are kept, those of one scope counted apart and those included that are
    /// about to be dropped.
    pub records: u64,
    /// The gateways, by name.
    pub gateways: Vec<KnownGateway>,
    /// The instances that have taken their leave lately.
    pub left: Vec<String>,
}

/// How long a gateway that says nothing, and did not take its leave, is still counted at least:
/// until then nobody can know that it has stopped serving. In milliseconds.
pub const GATEWAY_FORGOTTEN_AFTER_MS: u64 = 60_000;

/// How long those are waited for at most who may know what a store has lost, in milliseconds. A gateway that
/// follows it is back before that: it looks every two seconds, reads, and writes down what it finds missing
/// half a second later.
pub const SETTLES_WITHIN_MS: u64 = 5_000;

/// What a gateway knows of what a store may have lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knows {
    /// Nothing: it has not followed the store before.
    Nothing,
    /// More than the store has, or it has not found out yet.
    More,
    /// No more: it has written down what was missing.
    NoMore,
}

impl Knows {
    /// As it is told.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::More => "more",
            Self::NoMore => "no more",
        }
    }
}

/// The gateways that follow one log.
#[async_trait]
pub trait Fleet: fmt::Debug + Send + Sync {
    /// The time by the store's clock, in milliseconds since 1970; `None` if it has none but ours.
    async fn time_ms(&self) -> Result<Option<u64>, StoreError>;

    /// Tells how far a gateway is.
    async fn announce(&self, state: &GatewayState) -> Result<(), StoreError>;

    /// Whether the store has all that it had: nobody knows of anything that is missing, or those who
    /// may were waited for. Tells it what a gateway knows, if it is not known to be so.
    async fn settle(&self, instance: &str, knows: Knows) -> Result<bool, StoreError>;

    /// Whether it has, as far as is known here.
    fn is_settled(&self) -> bool;

    /// It has not: this gateway found that records are missing.
    fn doubt(&self);

    /// How often the store was found to be another server, or the same started again.
    fn server_changes(&self) -> u64;

    /// Another number each time that another server may answer.
    fn reign(&self) -> u64;

    /// Puts a gateway back of which the store knows nothing, as it was last heard of. Another
    /// gateway asks for it.
    async fn remind(&self, forgotten: &KnownGateway) -> Result<(), StoreError>;

    /// Takes a gateway off the roster.
    async fn leave(&self, instance: &str) -> Result<(), StoreError>;

    /// Who follows the log, and how far they are.
    async fn roster(&self) -> Result<Roster, StoreError>;
}

/// How long after it is spent a record is kept all the same, in seconds: the clocks of gateways may
/// be apart.
pub(crate) const PRUNE_MARGIN_S: i64 = 3600;

/// Opens the store that the settings name. Redis need not be there yet.
///
/// # Errors
///
/// A text for people: the file cannot be opened or is in use, or the settings cannot work.
pub async fn open(settings: &StoreSettings) -> Result<Store, String> {
    match settings {
        StoreSettings::Embedded { path } => {
            let path = path.clone();
            let opened = tokio::task::spawn_blocking(move || embedded::Embedded::open(&path));
            let store = Arc::new(opened.await.map_err(|error| error.to_string())??);
            Ok(Store::of(store))
        }
        StoreSettings::Redis(redis) => {
            let store = Arc::new(redis::Redis::open(redis)?);
            Ok(Store::of(store))
        }
    }
}
