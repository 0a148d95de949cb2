//! Follows the revocation log: loads a snapshot, then applies what is appended.

use std::time::{Duration, Instant};

use super::RevocationFeed;
use super::recent::LatestRecords;
use crate::clock;
use crate::feed::backoff::Backoff;
use crate::gate::revocation::LIFT;
use crate::gate::time::SteadyTime;
use crate::store::record::Record;
use crate::store::{Loss, Position, StoreError, TAIL_RECORDS_MAX, Tail, Writers};

/// The longest time that one read of the log waits for records.
const PATIENCE_MAX: Duration = Duration::from_millis(500);

/// The shortest, for a read that should not wait.
const PATIENCE_MIN: Duration = Duration::from_millis(1);

/// The longest while the store may be incomplete, so that the records others write again are seen
/// soon.
const PATIENCE_UNSETTLED: Duration = Duration::from_millis(50);

/// The pause after a read that returned records. A fraction of the promised propagation time.
const GATHER: Duration = Duration::from_millis(1);

/// How far the wall clock may jump, in seconds, before everything that depends on it is loaded
/// again.
const CLOCK_STEP_MAX_S: u64 = 60;

/// A gateway that has read nothing for so long may have missed that the log was lost.
const OUT_OF_TOUCH: Duration = Duration::from_secs(2);

/// One step of following the log.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The next records were read, to this position.
    Read(Position),
    /// Everything that is live was loaded; the log goes on from this position.
    Loaded(Position),
}

/// Why the whole list is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoadCause {
    /// Nothing was loaded yet.
    Start,
    /// A clock was set: the expiry of entries was computed by the clock before.
    Clock,
    /// The log no longer reaches back to where it was read last.
    Trimmed,
    /// The log lost records, or is another one.
    WentBackwards,
    /// The log was empty when it was last read, so nothing shows whether it is the same log.
    Unmarked,
}

impl LoadCause {
    /// The label value in metrics.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Clock => "clock",
            Self::Trimmed => "trimmed",
            Self::WentBackwards => "went_backwards",
            Self::Unmarked => "unmarked",
        }
    }
}

impl RevocationFeed {
    /// Follows the log, for ever.
    pub(super) async fn follow(&self) {
        let mut backoff = Backoff::default();
        let mut position: Option<Position> = None;
        let mut has_loaded = false;
        let mut is_up = true;
        let mut apart_s = clocks_apart_s();
        let (mut is_in_doubt, mut is_waiting) = (false, false);
        let mut stepped = Instant::now();
        loop {
            let apart_now_s = clocks_apart_s();
            let has_stepped = apart_now_s.abs_diff(apart_s) > CLOCK_STEP_MAX_S;
            let step = match position {
                None => self.load(LoadCause::Start).await.map(Step::Loaded),
                // The expiry times of entries were computed by another clock.
                Some(_) if has_stepped => self.load(LoadCause::Clock).await.map(Step::Loaded),
                // At its beginning, another log or one that was emptied looks like the one before.
                Some(at) if self.is_unmarked(at) && is_in_doubt => {
                    self.load(LoadCause::Unmarked).await.map(Step::Loaded)
                }
                Some(at) => self.read(at, has_loaded).await,
            };
            let was_waiting = std::mem::replace(&mut is_waiting, self.is_waiting());
            is_in_doubt = match step {
                Ok(Step::Loaded(_)) => false,
                Ok(Step::Read(_)) => is_waiting && !was_waiting || stepped.elapsed() > OUT_OF_TOUCH,
                Err(_) => true,
            };
            match step {
                Ok(step) => {
                    if !is_up {
                        tracing::info!("the revocation log is followed again");
                    }
                    is_up = true;
                    // Only a successful load resets the reference: many small steps add up to a
                    // large one.
                    if matches!(step, Step::Loaded(_)) {
                        apart_s = apart_now_s;
                    }
                    let (Step::Read(next) | Step::Loaded(next)) = step;
                    position = Some(next);
                    match step {
                        Step::Read(_) => backoff.reset(),
                        // A log that is lost again and again must not overload the store.
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
            stepped = Instant::now();
        }
    }

    /// One read of the log.
    async fn read(&self, position: Position, has_loaded: bool) -> Result<Step, StoreError> {
        // A gateway that is not on the roster must not decide: revocations are confirmed without
        // it.
        if !self.is_counted() {
            self.count_in(position).await?;
        }
        let max_staleness = self.configuration.load().settings.revocation.max_staleness;
        // The read may miss what is written after this moment, but nothing that was written before.
        let begun = self.begin_read().await?;
        let patience = match (has_loaded, self.fleet.is_complete()) {
            // A load takes time, and its result is as old as its beginning.
            (true, true) => PATIENCE_MIN,
            (false, true) => PATIENCE_MAX.min(max_staleness / 4),
            (_, false) => PATIENCE_UNSETTLED.min(max_staleness / 4),
        };
        let read = self.log.tail(position, patience).await;
        // The duration is mostly waiting, and means nothing.
        self.store_metrics.up.set(i64::from(read.is_ok()));
        match read? {
            Tail::Records(records, next) => {
                let is_idle = records.is_empty();
                if self.is_unmarked(position) && !is_idle {
                    // Nothing shows whether these are the first records of the log that was empty.
                    // They are in force at once and remembered. The load counts them.
                    for record in records {
                        self.enforce(&record);
                        self.observe_propagation(&record);
                        self.recent().read(record);
                    }
                    return self.load(LoadCause::Unmarked).await.map(Step::Loaded);
                }
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
                    // When many revocations arrive, those of one moment are read together.
                    tokio::time::sleep(GATHER).await;
                }
                Ok(Step::Read(next))
            }
            Tail::Lost(Loss::Trimmed) => {
                tracing::warn!(%position, "the revocation log was trimmed past this gateway");
                self.load(LoadCause::Trimmed).await.map(Step::Loaded)
            }
            Tail::Lost(Loss::WentBackwards) => {
                tracing::error!(%position, "the revocation log went backwards: writes were lost");
                self.found_loss();
                self.load(LoadCause::WentBackwards).await.map(Step::Loaded)
            }
        }
    }

    /// Whether nothing at this position distinguishes the store's log from another one.
    fn is_unmarked(&self, position: Position) -> bool {
        position.is_beginning() && self.log.writers() == Writers::Gateways
    }

    /// Applies the records that the log returned.
    fn take(&self, records: Vec<Record>) {
        for record in records {
            self.apply(&record);
            self.observe_propagation(&record);
            self.recent().read(record);
        }
    }

    /// Measures the time from the writing of a record until now.
    fn observe_propagation(&self, record: &Record) {
        let took = Duration::from_micros(clock::micros().saturating_sub(record.written_us));
        self.metrics.propagation.observe(took.as_secs_f64());
    }

    fn apply(&self, record: &Record) {
        self.enforce(record);
        let kind = if record.is_lift() { LIFT } else { record.entry.scope.kind().as_str() };
        self.metrics.applied.with_label_values(&[kind]).inc();
    }

    /// Applies all live revocations. What is already in the list stays there.
    async fn load(&self, cause: LoadCause) -> Result<Position, StoreError> {
        let begun = Instant::now();
        // The gateway is counted at the beginning of the log: from now on nothing is confirmed
        // without it, and what was confirmed before is in the snapshot. For `Unmarked` it is
        // already counted there.
        if cause != LoadCause::Unmarked || !self.is_counted() {
            self.count_in(Position::default()).await?;
        }
        if cause == LoadCause::Start && self.is_shorter_than_read().await? {
            self.found_loss();
        }
        let read = self.begin_read().await?;
        let mut loaded = 0_usize;
        self.recent().begin_search();
        let mut latest = LatestRecords::default();
        let mut take = |records: Vec<Record>| {
            loaded += records.len();
            let mut recent = self.recent();
            for record in records {
                self.apply(&record);
                if !recent.found(&record) {
                    latest.add(record);
                }
            }
        };
        let position = self.timed("snapshot", self.log.snapshot(&mut take)).await?;
        self.recent().loaded(latest);
        let cause = cause.as_str();
        self.metrics.snapshots.with_label_values(&[cause]).inc();
        if self.recent().end_search(|record| self.was_lifted(record)) > 0 {
            self.lost.notify_one();
        }
        self.end_read(read);
        let took_ms = begun.elapsed().as_millis() as u64;
        tracing::info!(cause, loaded, %position, took_ms, "loaded the revocation list");
        Ok(position)
    }

    /// Notes that everything that was written until `at` has been applied. If no other gateway
    /// writes to the log, records are applied as they are written: a suspended process has missed
    /// nothing.
    pub(super) fn was_in_contact(&self, at: SteadyTime) {
        match self.log.writers() {
            Writers::ThisGateway => self.writer().complete(),
            Writers::Gateways => self.writer().contact(at),
        }
    }
}

/// The difference between the wall clock and the steady clock, in seconds. It changes only when one
/// of them is set.
fn clocks_apart_s() -> i64 {
    let steady_s = clock::steady().as_millis() / 1000;
    clock::now().plus(-i64::try_from(steady_s).unwrap_or(0)).as_seconds()
}
