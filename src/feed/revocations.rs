//! Follows the revocation log into memory, and writes to it.
//!
//! ```text
//! snapshot ─→ position ─tail→ apply, contact, announce the position ─tail→ …
//! ```
//!
//! Every read of the log, empty or not, counts as contact. Without contact the list grows old, and
//! the gate decides what that means for requests. An applied revocation is undone only by a lift in
//! the log.

mod append;
mod compare_settings;
mod complete_store;
pub mod confirm;
mod follow;
mod heartbeat;
pub mod lift;
pub mod metrics;
mod pending;
mod recent;
mod roster;
mod setting_differences;
mod silent_gateways;
mod write_again;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::metrics::StoreMetrics;
use crate::clock;
use crate::gate::revocation::ListWriter;
use crate::runtime::InForce;
use crate::store::{
    AppendError, Fleet, Listing, Position, RevocationLog, Roster, Store, StoreError, Writers,
};
use metrics::{RevocationMetrics, is_nearly_full};
use pending::Pending;
use recent::Recent;
use roster::KnownGateways;
use setting_differences::ReportedDifferences;
use silent_gateways::SilentGateways;

/// How long a revocation waits until the store's clock is known.
const DATED_WITHIN: Duration = Duration::from_secs(1);

/// How often spent entries are dropped.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// The feed of the revocation list.
#[derive(Debug)]
pub struct RevocationFeed {
    log: Arc<dyn RevocationLog>,
    fleet: Arc<dyn Fleet>,
    writer: Mutex<ListWriter>,
    configuration: InForce,
    metrics: RevocationMetrics,
    store_metrics: StoreMetrics,
    instance: String,
    pending: Pending,
    recent: Mutex<Recent>,
    /// Notified when records were lost.
    lost: Notify,
    known: KnownGateways,
    silent: SilentGateways,
    reported_differences: ReportedDifferences,
    /// The last roster that was read, and when that read began.
    looked: tokio::sync::Mutex<Option<(Instant, Roster)>>,
    /// When this gateway last announced itself, in steady milliseconds; 0: never.
    announced: AtomicU64,
    is_leaving: AtomicBool,
    /// Whether the store's clock has been read, or the store has none.
    is_dated: watch::Sender<bool>,
    /// Whether our clock was far from the store's at the last comparison.
    is_apart: AtomicBool,
    /// Held during an announcement, so that none follows the deregistration.
    announcing: tokio::sync::Mutex<()>,
    /// How far the log has been applied; `None` before it was first read to its end.
    applied: watch::Sender<Option<Position>>,
    /// Whether the list has once been up to date with a store that was complete.
    in_contact: watch::Sender<bool>,
    /// The epoch in which the log was last read.
    read_in: AtomicU64,
    /// Whether the store is being asked if it is complete.
    is_asking: AtomicBool,
    /// Whether the store has meanwhile been reminded of the gateways that it may have forgotten.
    has_reminded: AtomicBool,
    /// Whether gateways that may know what the store lacks are still awaited.
    is_waiting: AtomicBool,
}

/// How a revocation was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the log, at this position.
    Durable(u64),
    /// It is applied at this gateway only, and will be delivered once the store can be reached.
    Locally,
}

impl RevocationFeed {
    /// A feed from `store` into the list of `writer`.
    pub fn new(
        store: Store,
        writer: ListWriter,
        configuration: InForce,
        metrics: RevocationMetrics,
        store_metrics: StoreMetrics,
    ) -> Arc<Self> {
        metrics.begin();
        // Without other gateways, this machine's clock is the only one.
        let is_dated = store.revocations.writers() == Writers::ThisGateway;
        Arc::new(Self {
            log: store.revocations,
            fleet: store.fleet,
            writer: Mutex::new(writer),
            configuration,
            metrics,
            store_metrics,
            instance: format!("{:016x}", fastrand::u64(..)),
            pending: Pending::default(),
            recent: Mutex::default(),
            lost: Notify::new(),
            known: KnownGateways::default(),
            silent: SilentGateways::default(),
            reported_differences: ReportedDifferences::default(),
            looked: tokio::sync::Mutex::default(),
            announced: AtomicU64::new(0),
            is_leaving: AtomicBool::new(false),
            is_dated: watch::Sender::new(is_dated),
            is_apart: AtomicBool::new(false),
            announcing: tokio::sync::Mutex::default(),
            applied: watch::Sender::new(None),
            in_contact: watch::Sender::new(false),
            read_in: AtomicU64::new(complete_store::NEVER),
            is_asking: AtomicBool::new(false),
            has_reminded: AtomicBool::new(false),
            is_waiting: AtomicBool::new(false),
        })
    }

    /// The metrics.
    pub fn metrics(&self) -> &RevocationMetrics {
        &self.metrics
    }

    /// Keeps the list current, for ever.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.follow(), self.announce(), self.deliver(), self.restore(), self.prune());
    }

    /// Returns once the list has been loaded and the log of a complete store has been read to its
    /// end.
    pub async fn loaded(&self) {
        // The sender is part of the feed, so it cannot be dropped meanwhile.
        drop(self.in_contact.subscribe().wait_for(|is_so| *is_so).await);
    }

    /// Returns once shared records are dated by the store's clock, if it has one.
    pub async fn dated(&self) {
        drop(self.is_dated.subscribe().wait_for(|is_dated| *is_dated).await);
    }

    /// Like [`dated`](Self::dated), but waits only briefly: a store that does not answer accepts no
    /// revocation either. Without the wait, a gateway that has just started would date a revocation
    /// by its own clock.
    pub async fn dated_soon(&self) {
        self.is_dated_soon().await;
    }

    /// The same. Returns whether records are dated by the store's clock.
    pub async fn is_dated_soon(&self) -> bool {
        tokio::time::timeout(DATED_WITHIN, self.dated()).await.is_ok()
    }

    /// A page of the live revocations, from the store.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached.
    pub async fn list(&self, offset: u64, limit: u64) -> Result<Listing, StoreError> {
        let listing = self.timed("list", self.log.list(offset, limit, clock::now())).await?;
        let Listing { mut records, total } = listing;
        // A gateway that did not know of a lift may have written the lifted revocation again.
        records.retain(|record| !self.was_lifted(record));
        Ok(Listing { records, total })
    }

    async fn prune(&self) {
        let mut was_nearly_full = false;
        loop {
            // The jitter keeps gateways from pruning at the same time.
            tokio::time::sleep(PRUNE_EVERY.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            let records = self.metrics.records();
            let entries = self.writer().prune(clock::now()).max(records);
            let entries_max = self.configuration.load().settings.revocation.entries_max;
            let nearly_full = is_nearly_full(entries, entries_max);
            if nearly_full && !was_nearly_full {
                tracing::warn!(entries, entries_max, "the revocation list is nearly full");
            }
            was_nearly_full = nearly_full;
            // If it fails, it is tried again in a minute.
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
        let done = self.store_metrics.timed(operation, work).await;
        let is_up = done.as_ref().err().is_none_or(|error| !error.is_fault());
        self.store_metrics.up.set(i64::from(is_up));
        done
    }
}

/// Distinguishes a faulty store from one that declines a request.
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
