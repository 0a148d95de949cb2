//! Follows the revocation log into memory, and writes to it.
//!
//! ```text
//! snapshot ─→ position ─tail→ apply, contact, tell the others how far ─tail→ …
//! ```
//!
//! Every read of the log, empty or not, is contact. Without contact the list grows old, and the
//! gate answers for it; nothing that was applied is ever taken back, but by a lift in the log.

mod agree;
mod agreement;
mod append;
pub mod confirm;
mod heartbeat;
pub mod lift;
mod mend;
mod pending;
mod recent;
mod roster;
mod settle;
mod unheard;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::backoff::Backoff;
use crate::clock;
use crate::gate::revocation::{LIFT, ListWriter};
use crate::gate::time::SteadyTime;
use crate::runtime::InForce;
use crate::store::record::Record;
use crate::store::{
    AppendError, Fleet, Listing, Loss, Position, RevocationLog, Roster, Store, StoreError,
    TAIL_RECORDS_MAX, Tail, Writers,
};
use crate::telemetry::families::{Families, is_nearly_full};
use agreement::Agreement;
use pending::Pending;
use recent::Recent;
use roster::KnownGateways;
use unheard::Unheard;

/// How long a cut-off waits for the store's clock.
const DATED_WITHIN: Duration = Duration::from_secs(1);

/// The longest that one read of the log waits for something to happen.
const PATIENCE_MAX: Duration = Duration::from_millis(500);

/// The shortest, for a read that is not meant to wait.
const PATIENCE_MIN: Duration = Duration::from_millis(1);

/// The longest while the store may lack something: who knows better is noticed soon.
const PATIENCE_UNSETTLED: Duration = Duration::from_millis(50);

/// The pause after a read that brought something. A fraction of the propagation that is promised.
const GATHER: Duration = Duration::from_millis(1);

/// How far the wall clock may be set, in seconds, before everything that was told by it is told
/// again.
const CLOCK_STEP_MAX_S: u64 = 60;

/// How often spent entries are dropped.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// The feed of the revocation list.
#[derive(Debug)]
pub struct RevocationFeed {
    log: Arc<dyn RevocationLog>,
    fleet: Arc<dyn Fleet>,
    writer: Mutex<ListWriter>,
    configuration: InForce,
    families: Arc<Families>,
    instance: String,
    pending: Pending,
    recent: Mutex<Recent>,
    /// Rings when records were lost.
    lost: Notify,
    known: KnownGateways,
    unheard: Unheard,
    agreement: Agreement,
    /// The roster as it was last read, and when that began.
    looked: tokio::sync::Mutex<Option<(Instant, Roster)>>,
    /// When this gateway last told the others that it is there, in steady milliseconds; 0: never.
    announced: AtomicU64,
    is_leaving: AtomicBool,
    /// Whether the store's clock was read, or it has none.
    is_dated: watch::Sender<bool>,
    /// Whether our clock was far from the store's when that was looked at last.
    is_apart: AtomicBool,
    /// Held while the others are told something, so that nothing is told after the leave.
    announcing: tokio::sync::Mutex<()>,
    /// How far the log has been applied; `None` before it was first read to its end.
    applied: watch::Sender<Option<Position>>,
    /// Whether the list has been as the store knew it, which had all that it had.
    in_contact: watch::Sender<bool>,
    /// In whose reign the log was read last.
    read_in: AtomicU64,
    /// Whether it is being asked if the store has all that it had.
    is_asking: AtomicBool,
    /// Whether it was reminded meanwhile of the gateways that it may have forgotten.
    has_reminded: AtomicBool,
    /// Whether gateways are waited for that may know what it lacks.
    is_waiting: AtomicBool,
}

/// A revocation that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the log, at this position.
    Durable(u64),
    /// It is applied here only, and will be delivered when the store can be reached.
    Locally,
}

/// What was done to follow the log.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// What came next was read, to this position.
    Read(Position),
    /// Everything that is live was loaded; the log goes on from this position.
    Loaded(Position),
}

impl RevocationFeed {
    /// A feed from `store` into the list of `writer`.
    pub fn new(
        store: Store,
        writer: ListWriter,
        configuration: InForce,
        families: Arc<Families>,
    ) -> Arc<Self> {
        Arc::new(Self {
            log: store.revocations,
            fleet: store.fleet,
            writer: Mutex::new(writer),
            configuration,
            families,
            instance: format!("{:016x}", fastrand::u64(..)),
            pending: Pending::default(),
            recent: Mutex::default(),
            lost: Notify::new(),
            known: KnownGateways::default(),
            unheard: Unheard::default(),
            agreement: Agreement::default(),
            looked: tokio::sync::Mutex::default(),
            announced: AtomicU64::new(0),
            is_leaving: AtomicBool::new(false),
            is_dated: watch::Sender::new(false),
            is_apart: AtomicBool::new(false),
            announcing: tokio::sync::Mutex::default(),
            applied: watch::Sender::new(None),
            in_contact: watch::Sender::new(false),
            read_in: AtomicU64::new(settle::NEVER),
            is_asking: AtomicBool::new(false),
            has_reminded: AtomicBool::new(false),
            is_waiting: AtomicBool::new(false),
        })
    }

    /// Keeps the list current, for ever.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.follow(), self.announce(), self.deliver(), self.restore(), self.prune());
    }

    /// Returns once the list has been loaded and the log of a store read to its end that has all that it
    /// had.
    pub async fn loaded(&self) {
        // The sender is part of the feed, so that it cannot go away meanwhile.
        drop(self.in_contact.subscribe().wait_for(|is_so| *is_so).await);
    }

    /// Returns once what is shared is dated by the store's clock, if it has one.
    pub async fn dated(&self) {
        drop(self.is_dated.subscribe().wait_for(|is_dated| *is_dated).await);
    }

    /// The same, but only for a moment: a store that does not answer takes nothing either. Whoever
    /// writes a cut-off at a gateway that has just started would else date it by its own clock.
    pub async fn dated_soon(&self) {
        drop(tokio::time::timeout(DATED_WITHIN, self.dated()).await);
    }

    /// A page of the live revocations, from the store.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached.
    pub async fn list(&self, offset: u64, limit: u64) -> Result<Listing, StoreError> {
        let listing = self.timed("list", self.log.list(offset, limit, clock::now())).await?;
        let Listing { mut records, total } = listing;
        // A gateway that did not know of a lift may have written down again what was lifted.
        records.retain(|record| !self.was_lifted(record));
        Ok(Listing { records, total })
    }

    async fn follow(&self) {
        let mut backoff = Backoff::default();
        let mut position = None;
        let mut has_loaded = false;
        let mut is_up = true;
        let mut apart_s = clocks_apart_s();
        loop {
            let apart_now_s = clocks_apart_s();
            let has_stepped = apart_now_s.abs_diff(apart_s) > CLOCK_STEP_MAX_S;
            let step = match position {
                None => self.load("start").await.map(Step::Loaded),
                // What is spent and how long an entry stays was told by another clock.
                Some(_) if has_stepped => self.load("clock").await.map(Step::Loaded),
                Some(at) => self.read(at, has_loaded).await,
            };
            match step {
                Ok(step) => {
                    if !is_up {
                        tracing::info!("the revocation log is followed again");
                    }
                    is_up = true;
                    // Only by a load, and only one that did not fail: many small steps are a large one.
                    if matches!(step, Step::Loaded(_)) {
                        apart_s = apart_now_s;
                    }
                    let (Step::Read(next) | Step::Loaded(next)) = step;
                    position = Some(next);
                    match step {
                        Step::Read(_) => backoff.reset(),
                        // A log that is lost again and again must not keep the store busy.
                        Step::Loaded(_) if has_loaded => tokio::time::sleep(backoff.next()).await,
                        Step::Loaded(_) => {}
                    }
                    has_loaded = matches!(step, Step::Loaded(_));
                }
                Err(error) => {
                    if is_up {
                        tracing::error!(%error, "the revocation log cannot be followed");
                    }
                    is_up = false;
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    /// One read of the log.
    async fn read(&self, position: Position, has_loaded: bool) -> Result<Step, StoreError> {
        // Whoever is not counted must not decide: a revocation could be confirmed without it.
        if !self.is_counted() {
            self.count_in(position).await?;
        }
        let max_staleness = self.configuration.load().settings.revocation.max_staleness;
        // What is written after this moment may be missed by the read; what was before is not.
        let begun = self.begin_read().await?;
        let patience = match (has_loaded, self.fleet.is_settled()) {
            // Loading takes its time, and what it found is as old as its beginning.
            (true, true) => PATIENCE_MIN,
            (false, true) => PATIENCE_MAX.min(max_staleness / 4),
            (_, false) => PATIENCE_UNSETTLED.min(max_staleness / 4),
        };
        let read = self.log.tail(position, patience).await;
        // Its duration is mostly waiting, and tells nothing.
        self.families.store_up.set(i64::from(read.is_ok()));
        match read? {
            Tail::Records(records, next) => {
                let is_idle = records.is_empty();
                self.take(records);
                if next.sequence - position.sequence < TAIL_RECORDS_MAX {
                    let lost = self.recent().was_read_to_the_end(begun.at);
                    if lost > 0 {
                        tracing::error!(lost, "the revocation log lost acknowledged writes");
                        self.lost.notify_one();
                    }
                    if self.end_read(begun) {
                        self.in_contact.send_if_modified(|is_so| !std::mem::replace(is_so, true));
                    }
                }
                self.applied.send_if_modified(|applied| applied.replace(next) != Some(next));
                if !is_idle {
                    // Where many revocations arrive, those of a moment are read together.
                    tokio::time::sleep(GATHER).await;
                }
                Ok(Step::Read(next))
            }
            Tail::Lost(Loss::Trimmed) => {
                tracing::warn!(%position, "the revocation log was trimmed past this gateway");
                self.load("trimmed").await.map(Step::Loaded)
            }
            Tail::Lost(Loss::WentBackwards) => {
                tracing::error!(%position, "the revocation log went backwards: writes were lost");
                self.found_loss();
                self.load("went_backwards").await.map(Step::Loaded)
            }
        }
    }

    /// Applies what came through the log.
    fn take(&self, records: Vec<Record>) {
        for record in records {
            let written = Duration::from_micros(clock::micros().saturating_sub(record.written_us));
            self.apply(&record);
            self.families.revocation_propagation.observe(written.as_secs_f64());
            self.recent().read(record);
        }
    }

    fn apply(&self, record: &Record) {
        self.enforce(record);
        let kind = if record.is_lift() { LIFT } else { record.entry.scope.kind().as_str() };
        self.families.revocations_applied.with_label_values(&[kind]).inc();
    }

    /// Applies everything that is live. What is in the list already stays there.
    async fn load(&self, cause: &'static str) -> Result<Position, StoreError> {
        let begun = Instant::now();
        // From the beginning of the log: from now on nothing is confirmed without this gateway, and
        // what was confirmed before is in the snapshot.
        self.count_in(Position::default()).await?;
        if cause == "start" && self.is_shorter_than_read().await? {
            self.found_loss();
        }
        let read = self.begin_read().await?;
        let mut loaded = 0_usize;
        self.recent().begin_search();
        let mut take = |records: Vec<Record>| {
            loaded += records.len();
            let mut recent = self.recent();
            for record in &records {
                self.apply(record);
                recent.found(record);
            }
        };
        let position = self.timed("snapshot", self.log.snapshot(&mut take)).await?;
        self.families.revocation_snapshots.with_label_values(&[cause]).inc();
        if self.recent().end_search(|record| self.was_lifted(record)) > 0 {
            self.lost.notify_one();
        }
        self.end_read(read);
        let took_ms = begun.elapsed().as_millis() as u64;
        tracing::info!(cause, loaded, %position, took_ms, "loaded the revocation list");
        Ok(position)
    }

    /// Notes that everything has been applied that was written until `at`. What nobody else writes
    /// is applied as it is written: a process that stood still has missed nothing.
    fn was_in_contact(&self, at: SteadyTime) {
        match self.log.writers() {
            Writers::ThisGateway => self.writer().complete(),
            Writers::Gateways => self.writer().contact(at),
        }
    }

    async fn prune(&self) {
        let mut was_nearly_full = false;
        loop {
            // Not all gateways at once.
            tokio::time::sleep(PRUNE_EVERY.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            let records = u64::try_from(self.families.revocation_records.get()).unwrap_or(0);
            let entries = self.writer().prune(clock::now()).max(records);
            let entries_max = self.configuration.load().settings.revocation.entries_max;
            let nearly_full = is_nearly_full(entries, entries_max);
            if nearly_full && !was_nearly_full {
                tracing::warn!(entries, entries_max, "the revocation list is nearly full");
            }
            was_nearly_full = nearly_full;
            // Tried again in a minute.
            drop(self.timed("prune", self.log.prune(clock::now())).await);
        }
    }

    fn writer(&self) -> MutexGuard<'_, ListWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn timed<T, E: StoreFault>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let done = self.families.timed(operation, work).await;
        let is_up = done.as_ref().err().is_none_or(|error| !error.is_fault());
        self.families.store_up.set(i64::from(is_up));
        done
    }
}

/// How far the two clocks are apart, in seconds: a number that only a step of one of them changes.
fn clocks_apart_s() -> i64 {
    let steady_s = clock::steady().as_millis() / 1000;
    clock::now().plus(-i64::try_from(steady_s).unwrap_or(0)).as_seconds()
}

/// Tells a store that is at fault from one that says no.
trait StoreFault {
    fn is_fault(&self) -> bool;
}

impl StoreFault for StoreError {
    fn is_fault(&self) -> bool {
        true
    }
}

impl StoreFault for AppendError {
    fn is_fault(&self) -> bool {
        match self {
            Self::Full | Self::Lifted => false,
            Self::Store(_) => true,
        }
    }
}
