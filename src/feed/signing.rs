//! Keeps the gateway's own signing keys current: which key signs, which are published, which is
//! next.
//!
//! ```text
//! ring in the store ─read, once a second→ upkeep ─compare and replace→ ring in the store
//!                                            └─publish→ who signs; the JWKS; the gate's keys
//! token with a key that is not known ─seek→ one read for all callers ─publish→
//! ```
//!
//! Every gateway maintains the ring, and the first to write wins. What was read stays in memory, so
//! an unavailable store stops neither signing nor verifying.

mod keep;
mod listing;
mod loaded_ring;
pub mod metrics;
mod publication;

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Mutex, MutexGuard, Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::backoff::Backoff;
use super::jwks::KeySearch;
use super::metrics::StoreMetrics;
use crate::clock;
use crate::config::tokens::{SigningKeys, Tokens};
use crate::gate::time::UnixTime;
use crate::issuer::ring::{BeginsTo, Full, KEYS_MAX};
use crate::issuer::signer::Signer;
use crate::issuer::signing_set::{SigningCell, SigningSet};
use crate::runtime::{InForce, Running};
use crate::secret::Secret;
use crate::store::keyring::KeyRingStore;
pub use listing::{KeyState, ListedKey};
use listing::{PublishedKeys, SigningKeySource};
use loaded_ring::{LoadedRing, RingTarget, Trouble};
use metrics::SigningMetrics;

/// How often the ring is read.
const READ_EVERY: Duration = Duration::from_secs(1);

/// The pause while nothing is published yet, because the revocations are still being loaded.
const UNPUBLISHED_PAUSE: Duration = Duration::from_millis(50);

/// The shortest interval between reads for unknown keys, however many requests ask.
const READS_APART: Duration = Duration::from_millis(200);

/// How long after a failure requests do not wait for the store.
const SPARED_FOR: Duration = Duration::from_millis(500);

/// How long a reload waits for the ring.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(2);

/// The length of a key's id, a thumbprint, in characters.
const ID_CHARS: usize = 43;

/// How long an id that was not found counts as unknown. It is a thumbprint, so a key with a chosen
/// id cannot be made.
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// How many such ids are remembered.
const ABSENT_MAX: u64 = 10_000;

/// The feed of the signing keys.
#[derive(Debug)]
pub struct SigningFeed {
    store: Arc<dyn KeyRingStore>,
    in_force: InForce,
    metrics: SigningMetrics,
    store_metrics: StoreMetrics,
    cell: SigningCell,
    /// Held while the store is asked: there is one operation at a time.
    kept: Mutex<KnownKeys>,
    absent: Cache<Box<str>, ()>,
    has_keys: watch::Sender<bool>,
    /// Notified when a key was found to be revoked: the next read is due.
    is_due: Notify,
}

/// The state of the keys.
#[derive(Debug, Default)]
struct KnownKeys {
    ring: Option<LoadedRing>,
    given: Option<(Arc<Tokens>, Vec<Arc<Signer>>)>,
    published: Option<PublishedKeys>,
    last: Option<LastRead>,
    /// The trouble that was reported.
    reported: Option<Trouble>,
}

/// The last read of the store.
#[derive(Clone, Copy, Debug)]
struct LastRead {
    began: Instant,
    ended: Instant,
    succeeded: bool,
}

/// A task on the ring of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RingTask {
    /// Read it.
    Look,
    /// Read and maintain it.
    Upkeep,
    /// Add another key, which begins to sign at this time.
    Rotate(BeginsTo),
}

/// A key that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// `kid`.
    pub id: Box<str>,
    /// When it begins to sign.
    pub signs_from: UnixTime,
}

/// Why keys cannot be listed, or no key can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The gateway issues no tokens.
    #[error("the gateway issues no tokens: the configuration has no `tokens`")]
    NoTokens,
    /// The configuration gives the keys.
    #[error("the signing keys are the files in tokens.signing.key_files; change those")]
    Given,
    /// There are too many.
    #[error(
        "there are {KEYS_MAX} signing keys, the most that are allowed: \
         the oldest is dropped when the last token that it signed is dead"
    )]
    TooMany,
    /// The ring cannot be read or written.
    #[error("{0}")]
    Unavailable(String),
}

impl SigningFeed {
    /// A feed from `store`.
    pub fn new(
        store: Arc<dyn KeyRingStore>,
        in_force: InForce,
        metrics: SigningMetrics,
        store_metrics: StoreMetrics,
    ) -> Arc<Self> {
        metrics.begin();
        Arc::new(Self {
            store,
            in_force,
            metrics,
            store_metrics,
            cell: SigningCell::default(),
            kept: Mutex::default(),
            absent: Cache::builder().max_capacity(ABSENT_MAX).time_to_live(ABSENT_FOR).build(),
            has_keys: watch::Sender::new(false),
            is_due: Notify::new(),
        })
    }

    /// The metrics.
    pub fn metrics(&self) -> &SigningMetrics {
        &self.metrics
    }

    /// Keeps the keys current, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        loop {
            let configuration = self.in_force.load();
            let done = self.run_task(self.kept.lock().await, &configuration, RingTask::Upkeep);
            let pause = match done.await {
                Err(trouble) if trouble.is_unread() => backoff.next(),
                Ok(_) | Err(_) if !*self.has_keys.borrow() => UNPUBLISHED_PAUSE,
                Ok(_) | Err(_) => {
                    backoff.reset();
                    READ_EVERY
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.is_due.notified() => {}
            }
        }
    }

    /// Returns once there are keys, or none are wanted.
    pub async fn loaded(&self) {
        let mut has_keys = self.has_keys.subscribe();
        if self.in_force.load().settings.tokens.is_some() {
            // The sender is part of the feed, so it cannot be dropped meanwhile.
            let _ = has_keys.wait_for(|has_keys| *has_keys).await;
        }
    }

    /// Prepares the keys for a configuration before it is in force, so that its gate knows them
    /// from the start, and no token outlives the key that signed it. The wait is limited: what is
    /// not ready in time follows once the configuration is in force.
    pub async fn prepare(&self, configuration: &Running) {
        let preparing =
            async { self.run_task(self.kept.lock().await, configuration, RingTask::Upkeep).await };
        if tokio::time::timeout(PREPARE_TIMEOUT, preparing).await.is_err() {
            tracing::warn!("the signing keys are not ready for the configuration yet");
        }
    }

    /// The key that signs now. `None` if the keys could not be read yet, or if all of them have
    /// just been revoked.
    pub fn signer(&self, now: UnixTime) -> Option<Arc<Signer>> {
        let set = self.cell.current()?;
        let configuration = self.in_force.load();
        // Read before the list: an entry that is added in between causes another check next time.
        let generation = configuration.gate.revocations.generation();
        if set.is_clear_at(generation) {
            return set.signer(now).cloned();
        }
        let tokens = configuration.settings.tokens.as_ref()?;
        let revoked = listing::revoked(&configuration, tokens, set.ids());
        if revoked.is_empty() {
            set.was_clear_at(generation);
            return set.signer(now).cloned();
        }
        self.is_due.notify_one();
        set.signer_but(&revoked, now).cloned()
    }

    /// The keys as they are now.
    pub fn current(&self) -> Option<Arc<SigningSet>> {
        self.cell.current()
    }

    /// Looks for a key that this gateway does not know: another gateway may have made it.
    pub async fn seek(&self, key_id: &Option<Box<str>>) -> KeySearch {
        let asked = Instant::now();
        let configuration = self.in_force.load();
        let Some(own) = configuration.own_issuer() else { return KeySearch::Absent };
        let is_impossible = |id: &str| id.len() != ID_CHARS || self.absent.contains_key(id);
        if key_id.as_deref().is_some_and(is_impossible) {
            return KeySearch::Absent;
        }
        let is_read = self.read_since(asked, &configuration).await;
        if own.keys().knows(key_id.as_deref()) {
            return KeySearch::Found;
        }
        if !is_read {
            return KeySearch::Unavailable;
        }
        if let Some(id) = key_id {
            self.absent.insert(id.clone(), ());
        }
        KeySearch::Absent
    }

    /// Reads the ring, unless that was done since `asked`. Returns whether it was read.
    async fn read_since(&self, asked: Instant, configuration: &Running) -> bool {
        let kept = self.kept.lock().await;
        if let Some(LastRead { began, ended, succeeded }) = kept.last {
            let is_spared = !succeeded && ended.elapsed() < SPARED_FOR;
            if began >= asked || is_spared {
                return succeeded;
            }
            sleep_until(began + READS_APART).await;
        }
        self.run_task(kept, configuration, RingTask::Look).await.is_ok()
    }

    /// Makes another key.
    ///
    /// # Errors
    ///
    /// [`Refused`]. If it is [`Refused::Unavailable`], there may be a new key all the same.
    pub async fn rotate(&self, begins: BeginsTo) -> Result<NewKey, Refused> {
        let configuration = self.in_force.load();
        match configuration.settings.tokens.as_ref().map(|tokens| &tokens.signing.keys) {
            None => return Err(Refused::NoTokens),
            Some(SigningKeys::Given(_)) => return Err(Refused::Given),
            Some(SigningKeys::Kept(_)) => {}
        }
        let kept = self.kept.lock().await;
        match self.run_task(kept, &configuration, RingTask::Rotate(begins)).await {
            Ok(Some(new)) => Ok(new),
            // Only without `tokens`, or if the configuration gives the keys.
            Ok(None) => Err(Refused::NoTokens),
            Err(Trouble::Full(Full)) => Err(Refused::TooMany),
            Err(trouble) => Err(Refused::Unavailable(trouble.to_string())),
        }
    }

    /// The keys, in the order in which they sign. If the store is unavailable, as this gateway
    /// knows them.
    ///
    /// # Errors
    ///
    /// [`Refused::NoTokens`], [`Refused::Unavailable`] if they were never read.
    pub async fn list(&self) -> Result<Vec<ListedKey>, Refused> {
        let configuration = self.in_force.load();
        let Some(tokens) = &configuration.settings.tokens else { return Err(Refused::NoTokens) };
        self.read_since(Instant::now(), &configuration).await;
        let kept = self.kept.lock().await;
        let Some(source) = kept.source(tokens) else {
            let why = kept.reported.as_ref().map(ToString::to_string);
            return Err(Refused::Unavailable(why.unwrap_or_default()));
        };
        let revoked = listing::revoked(&configuration, tokens, source.ids());
        Ok(source.list(&revoked, clock::shared()))
    }

    /// Runs a task with the keys of a configuration, and publishes the outcome.
    async fn run_task(
        &self,
        mut kept: MutexGuard<'_, KnownKeys>,
        configuration: &Running,
        task: RingTask,
    ) -> Result<Option<NewKey>, Trouble> {
        let Some(tokens) = &configuration.settings.tokens else {
            *kept = KnownKeys::default();
            self.cell.clear();
            return Ok(None);
        };
        let done = match &tokens.signing.keys {
            SigningKeys::Given(files) => kept.take_given(tokens, files),
            SigningKeys::Kept(secret) => {
                let began = Instant::now();
                let done = match RingTarget::by(configuration, tokens, secret.as_ref()) {
                    Ok(target) => self.keep(&mut kept, &target, task).await,
                    Err(trouble) => Err(trouble),
                };
                let succeeded = !done.as_ref().is_err_and(Trouble::is_unread);
                kept.last = Some(LastRead { began, ended: Instant::now(), succeeded });
                done
            }
        };
        self.publish(&mut kept, configuration, tokens);
        kept.tell(done.as_ref().err(), *self.has_keys.borrow());
        done
    }
}

impl KnownKeys {
    /// The source of the keys of a configuration, if it has been read.
    fn source(&self, tokens: &Tokens) -> Option<SigningKeySource<'_>> {
        match (&tokens.signing.keys, &self.ring, &self.given) {
            (SigningKeys::Kept(_), Some(known), _) => {
                let ring = known.ring();
                (!ring.keys().is_empty()).then_some(SigningKeySource::Ring(ring))
            }
            (SigningKeys::Given(_), _, Some((of, signers))) if std::ptr::eq(&**of, tokens) => {
                Some(SigningKeySource::Given(signers))
            }
            (SigningKeys::Kept(_), None, _) | (SigningKeys::Given(_), _, _) => None,
        }
    }

    /// Reads the keys that the configuration gives.
    fn take_given(
        &mut self,
        tokens: &Arc<Tokens>,
        files: &[Secret],
    ) -> Result<Option<NewKey>, Trouble> {
        if !self.given.as_ref().is_some_and(|(of, _)| Arc::ptr_eq(of, tokens)) {
            let signers = files.iter().map(|file| Signer::from_pem(file.expose()).map(Arc::new));
            self.given = Some((tokens.clone(), signers.collect::<Result<_, _>>()?));
        }
        Ok(None)
    }

    /// Logs what is wrong, and when it no longer is, once each.
    fn tell(&mut self, trouble: Option<&Trouble>, has_keys: bool) {
        match (trouble, &self.reported) {
            (Some(trouble), Some(reported)) if trouble.is_like(reported) => {}
            (Some(trouble), _) if has_keys => {
                tracing::warn!(%trouble, "the signing keys are not kept current");
            }
            (Some(trouble), _) => tracing::error!(%trouble, "there are no signing keys"),
            (None, Some(_)) => tracing::info!("the signing keys are kept current again"),
            (None, None) => {}
        }
        self.reported = trouble.cloned();
    }
}

#[cfg(test)]
mod tests;
