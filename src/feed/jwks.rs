//! Keeps the keys of an issuer current: fetches them in the background, and once more when a token
//! names a key that is not there.
//!
//! The load that an attacker can cause at the issuer is bounded: there is one fetch at a time,
//! failed fetches count against the budget too, and key ids that were not found are remembered.

pub mod metrics;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

use super::last_good::LastGoodFiles;
use crate::clock;
use crate::config::without_password;
use crate::fetch::{FetchError, Fetcher};
use crate::gate::keys::{JwksError, KeySet, UnusableKey};
use crate::gate::time::UnixTime;
use crate::runtime::KeyFeed;
use metrics::KeySetMetrics;

/// How many fetches on demand may follow each other at once.
const BUDGET_MAX: u32 = 4;

/// How long it takes until the budget allows another one.
const BUDGET_REFILL: Duration = Duration::from_secs(15);

/// How long a key id that was not found counts as unknown.
const ABSENT_FOR: Duration = Duration::from_secs(30);

/// How many such key ids are remembered.
const ABSENT_MAX: u64 = 10_000;

/// The first pause after a failure; it doubles up to the refresh interval.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// The outcome of looking for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySearch {
    /// The key is there now.
    Found,
    /// The issuer does not have it.
    Absent,
    /// The issuer could not be asked.
    Unavailable,
}

#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Jwks(#[from] JwksError),
    #[error("the key set is empty; if it is so a second time, all keys are withdrawn")]
    Empty,
}

/// The feed of one issuer's keys.
#[derive(Debug)]
pub struct JwksFeed {
    spec: KeyFeed,
    last_good: LastGoodFiles,
    metrics: KeySetMetrics,
    runtime: Handle,
    absent: Cache<Option<Box<str>>, ()>,
    /// Held during a fetch, so that there is only one at a time.
    state: Mutex<FetchState>,
    /// The set was empty, or the copy on disk could not be replaced: the keys are fetched again
    /// soon.
    doubted: Notify,
    /// Whether an older copy on disk can be neither replaced nor removed. A restart would load it.
    is_copy_stuck: AtomicBool,
    /// Counts finished fetches, so that a request that waited for one does not start another.
    completed: AtomicU64,
    last_succeeded: AtomicBool,
}

impl JwksFeed {
    /// A feed for `spec`, whose fetches run on `runtime`.
    pub fn new(
        spec: KeyFeed,
        last_good: LastGoodFiles,
        metrics: KeySetMetrics,
        runtime: Handle,
    ) -> Arc<Self> {
        metrics.begin(&spec.issuer);
        Arc::new(Self {
            spec,
            last_good,
            metrics,
            runtime,
            absent: Cache::builder().max_capacity(ABSENT_MAX).time_to_live(ABSENT_FOR).build(),
            state: Mutex::new(FetchState {
                budget: FetchBudget::full(),
                empty_since: None,
                unusable: vec![],
            }),
            doubted: Notify::new(),
            is_copy_stuck: false.into(),
            completed: AtomicU64::new(0),
            last_succeeded: false.into(),
        })
    }

    /// The issuer that it feeds, and the URL it fetches from.
    pub fn spec(&self) -> &KeyFeed {
        &self.spec
    }

    /// Publishes the copy on disk, if it is young enough. Reads a file.
    pub fn start_from_last_good(&self) {
        let source = &self.spec.source;
        let copy = match self.last_good.find(&self.spec.issuer, &source.url) {
            Ok(Some(copy)) => copy,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(
                    issuer = &*self.spec.issuer, %error,
                    "the saved copy of the keys cannot be read"
                );
                return;
            }
        };
        let fetched_at = UnixTime::from_seconds(copy.fetched_at);
        let now = clock::now();
        // A copy dated in the future would be trusted for too long.
        if now.since(fetched_at) < 0 || now >= self.stale_from(fetched_at) {
            return;
        }
        match KeySet::from_jwks(copy.jwks.as_bytes(), &source.algorithms) {
            Ok((set, _)) if set.is_empty() => {
                let issuer = &*self.spec.issuer;
                tracing::warn!(issuer, "the saved copy of the keys has no usable key");
            }
            Ok((set, _)) => {
                tracing::info!(
                    issuer = &*self.spec.issuer,
                    age_s = now.since(fetched_at),
                    "starting with the saved copy of the keys"
                );
                self.spec.cell.publish(set, fetched_at, self.stale_from(fetched_at));
            }
            Err(error) => {
                tracing::warn!(
                    issuer = &*self.spec.issuer, %error,
                    "the saved copy of the keys cannot be used"
                );
            }
        }
    }

    /// Fetches once; for start and reload, which wait for it.
    pub async fn prime(self: &Arc<Self>) {
        let _ = self.fetch_once(FetchReason::Scheduled).await;
    }

    /// Fetches for ever: at the refresh interval, sooner after failures.
    pub async fn run(self: Arc<Self>) {
        let refresh = self.spec.source.refresh;
        let mut pause = RETRY_FIRST;
        loop {
            // Without a usable key, or with an outdated copy stuck on disk, the next fetch comes
            // soon.
            let has_keys = self.spec.cell.current().is_some_and(|set| !set.is_empty());
            let is_settled = self.last_succeeded.load(Ordering::Acquire)
                && !self.is_copy_stuck.load(Ordering::Acquire);
            let wait = if has_keys && is_settled {
                pause = RETRY_FIRST;
                refresh
            } else {
                let wait = pause;
                pause = (pause * 2).min(refresh);
                wait
            };
            // The jitter keeps gateways that were started together from fetching together.
            let jitter = 0.9 + fastrand::f64() * 0.2;
            tokio::select! {
                () = tokio::time::sleep(wait.mul_f64(jitter)) => {}
                () = self.doubted.notified() => tokio::time::sleep(RETRY_FIRST).await,
            }
            self.prime().await;
        }
    }

    /// Looks for a key that a token named and that is not in the set.
    pub async fn seek(self: &Arc<Self>, key_id: &Option<Box<str>>) -> KeySearch {
        if self.absent.contains_key(key_id) {
            return KeySearch::Absent;
        }
        let succeeded = self.fetch_once(FetchReason::Demanded).await;
        if self.spec.cell.knows(key_id.as_deref()) {
            return KeySearch::Found;
        }
        if !succeeded {
            return KeySearch::Unavailable;
        }
        self.absent.insert(key_id.clone(), ());
        KeySearch::Absent
    }

    /// Fetches, or waits for the fetch in progress. Returns whether the keys are now those of the
    /// issuer.
    async fn fetch_once(self: &Arc<Self>, reason: FetchReason) -> bool {
        let feed = self.clone();
        let seen = self.completed.load(Ordering::Acquire);
        // A task of its own: a client that disconnects must not cancel the fetch.
        let fetching = self.runtime.spawn(async move {
            let mut state = feed.state.lock().await;
            if feed.completed.load(Ordering::Acquire) != seen {
                return feed.last_succeeded.load(Ordering::Acquire);
            }
            match reason {
                FetchReason::Demanded if !state.budget.take() => return false,
                FetchReason::Demanded | FetchReason::Scheduled => {}
            }
            let succeeded = feed.refresh(&mut state).await;
            feed.last_succeeded.store(succeeded, Ordering::Release);
            feed.completed.fetch_add(1, Ordering::AcqRel);
            succeeded
        });
        fetching.await.unwrap_or(false)
    }

    async fn refresh(&self, state: &mut FetchState) -> bool {
        let issuer = &*self.spec.issuer;
        let (result, succeeded) = match self.fetch(state).await {
            Ok(keys) => {
                // The log's last word on the keys must not be a warning that is over.
                match self.last_succeeded.load(Ordering::Acquire) {
                    true => tracing::debug!(issuer, keys, "fetched keys"),
                    false => tracing::info!(issuer, keys, "fetched the issuer's keys"),
                }
                ("ok", true)
            }
            Err(error) => {
                let url = without_password(&self.spec.source.url);
                tracing::warn!(issuer, url = &*url, %error, "the issuer's keys cannot be fetched");
                ("failed", false)
            }
        };
        self.metrics.fetched(issuer, result);
        succeeded
    }

    async fn fetch(&self, state: &mut FetchState) -> Result<usize, RefreshError> {
        let source = &self.spec.source;
        let fetcher = Fetcher::new(source.timeout, source.ca_pem.as_deref())?;
        let bytes = fetcher.fetch(&source.url).await?;
        let (set, unusable) = KeySet::from_jwks(&bytes, &source.algorithms)?;
        if !set.is_empty() || !unusable.is_empty() {
            state.empty_since = None;
        } else if !state.is_empty_again() {
            self.doubted.notify_one();
            return Err(RefreshError::Empty);
        }
        self.tell_of(unusable, state);
        let keys = set.len();
        self.publish(set, &bytes);
        Ok(keys)
    }

    /// Publishes the set. Keys that it lacks are withdrawn: from the cell, from the copy on disk,
    /// and from later look-ups by id.
    fn publish(&self, set: KeySet, bytes: &[u8]) {
        let (issuer, now) = (&*self.spec.issuer, clock::now());
        let previous = self.spec.cell.current().unwrap_or_default();
        let withdrawn: Vec<_> =
            previous.ids().filter(|id| !set.knows(Some(id))).map(Box::<str>::from).collect();
        if set.is_empty() && !previous.is_empty() {
            tracing::warn!(issuer, "the issuer has no usable key any more: its tokens are refused");
        }
        // The disk comes first: a gateway that is killed in between must not start with withdrawn
        // keys.
        self.keep(bytes, now);
        let is_empty = set.is_empty();
        self.spec.cell.publish(set, now, self.stale_from(now));
        // The issuer has just said that it lacks these keys. Asking again is unnecessary.
        let none = is_empty.then_some(None);
        for id in withdrawn.into_iter().map(Some).chain(none) {
            self.absent.insert(id, ());
        }
    }

    /// Replaces the copy on disk, or withdraws it. If both fail, a fetch tries again soon.
    fn keep(&self, bytes: &[u8], now: UnixTime) {
        let issuer = &*self.spec.issuer;
        let kept = self.last_good.keep(issuer, &self.spec.source.url, bytes, now);
        let settled = kept.or_else(|error| {
            tracing::warn!(issuer, %error, "a copy of the keys cannot be saved");
            self.last_good.withdraw(issuer)
        });
        if let Err(error) = &settled {
            let file = self.last_good.file(issuer);
            tracing::error!(
                issuer,
                file = %file.display(),
                %error,
                "the older copy of the keys can be neither replaced nor removed: a restart while the \
                 issuer is away would bring back what was withdrawn. Remove the file"
            );
        }
        let was_stuck = self.is_copy_stuck.swap(settled.is_err(), Ordering::AcqRel);
        if settled.is_err() && !was_stuck {
            self.doubted.notify_one();
        }
    }

    /// Warns of keys that cannot be used, once for as long as they stay the same.
    fn tell_of(&self, unusable: Vec<UnusableKey>, state: &mut FetchState) {
        let issuer = &*self.spec.issuer;
        let (meant, other): (Vec<_>, Vec<_>) =
            unusable.into_iter().partition(|key| !key.is_for_another_use());
        for key in other {
            tracing::debug!(issuer, %key, "a key of the issuer is not used");
        }
        let meant: Vec<_> = meant.iter().map(ToString::to_string).collect();
        if meant != state.unusable {
            for key in &meant {
                tracing::warn!(issuer, "a key of the issuer cannot be used: {key}");
            }
            state.unusable = meant;
        }
    }

    fn stale_from(&self, fetched_at: UnixTime) -> UnixTime {
        let stale_max = self.spec.source.stale_max.as_secs();
        fetched_at.plus(i64::try_from(stale_max).unwrap_or(i64::MAX))
    }
}

#[derive(Clone, Copy, Debug)]
enum FetchReason {
    /// The refresh interval has passed.
    Scheduled,
    /// A token named an unknown key. Such fetches use up the budget.
    Demanded,
}

/// The state between two fetches.
#[derive(Debug)]
struct FetchState {
    budget: FetchBudget,
    /// Since when the issuer has answered with an empty set, while that is not accepted yet.
    empty_since: Option<Instant>,
    /// The keys that could not be used last time, as the log reported them.
    unusable: Vec<String>,
}

impl FetchState {
    /// Whether the set was also empty a while ago. A single empty answer may be an error of the
    /// issuer, and a client that can trigger fetches must not make one error count twice.
    fn is_empty_again(&mut self) -> bool {
        let since = *self.empty_since.get_or_insert_with(Instant::now);
        since.elapsed() >= RETRY_FIRST
    }
}

/// A bucket of fetches on demand.
#[derive(Debug)]
struct FetchBudget {
    left: u32,
    refilled: Instant,
}

impl FetchBudget {
    fn full() -> Self {
        Self { left: BUDGET_MAX, refilled: Instant::now() }
    }

    fn take(&mut self) -> bool {
        let earned = self.refilled.elapsed().as_secs() / BUDGET_REFILL.as_secs();
        if earned > 0 {
            self.left = BUDGET_MAX.min(self.left.saturating_add(earned.min(1 << 16) as u32));
            self.refilled = Instant::now();
        }
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        granted
    }
}
