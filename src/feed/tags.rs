//! Keeps the key of the tags in memory. A tag shows that a session's secret, an API key or a
//! refresh token was made by a gateway of this store, not by a client.
//!
//! The key in the store is random. The first gateway creates it once. If the store loses it, a
//! gateway that knows it writes it again. If there is an encryption key, the tags are made with a
//! key derived from both, so nothing has to be decrypted and no decryption can fail. With another
//! encryption key, older secrets are unproven, and are looked up within the budget.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use zeroize::Zeroizing;

use super::backoff::Backoff;
use super::metrics::StoreMetrics;
use crate::gate::session::{TAG_KEY_BYTES, TagKey, TagKeyCell};
use crate::issuer::random;
use crate::runtime::InForce;
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::keyring::KeyRingStore;

/// How often the configuration is checked for another encryption key.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the store is read: it may have lost the key, and got another one.
const READ_EVERY: Duration = Duration::from_secs(30);

/// The longest pause while there is no key yet: without one no client is served.
const FIRST_PAUSE_MAX: Duration = Duration::from_millis(200);

/// The key as it is in the store.
type StoredKey = Zeroizing<[u8; TAG_KEY_BYTES]>;

/// The feed of the key.
#[derive(Debug)]
pub struct TagFeed {
    store: Arc<dyn KeyRingStore>,
    in_force: InForce,
    metrics: StoreMetrics,
    cell: Arc<TagKeyCell>,
    /// Whether the store has answered.
    was_asked: watch::Sender<bool>,
}

/// The inputs of the key in the cell.
struct DerivedFrom {
    kept: StoredKey,
    secret: Option<Secret>,
}

impl TagFeed {
    /// A feed from `store` into the cell of the configuration in force.
    pub fn new(
        store: Arc<dyn KeyRingStore>,
        in_force: InForce,
        metrics: StoreMetrics,
    ) -> Arc<Self> {
        let cell = in_force.load().gate.sessions.tags.clone();
        Arc::new(Self { store, in_force, metrics, cell, was_asked: watch::Sender::new(false) })
    }

    /// Returns once the store has answered. There may still be no key, but only a budget depends on
    /// it.
    pub async fn asked(&self) {
        // The sender is part of the feed, so it cannot be dropped meanwhile.
        let _ = self.was_asked.subscribe().wait_for(|was_asked| *was_asked).await;
    }

    /// Keeps the key current, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut backoff = Backoff::default();
        let mut made: Option<DerivedFrom> = None;
        let mut read: Option<Instant> = None;
        let mut is_told = false;
        loop {
            let mut pause = LOOK_EVERY;
            if read.is_none_or(|read| read.elapsed() >= READ_EVERY) {
                match self.read(made.as_ref().map(|made| &made.kept)).await {
                    Ok(kept) => {
                        (read, is_told) = (Some(Instant::now()), false);
                        backoff.reset();
                        self.publish(&mut made, kept);
                        self.was_asked.send_replace(true);
                    }
                    Err(error) => {
                        let is_away = matches!(error, StoreError::Unavailable(_));
                        if !is_told && !is_away {
                            tracing::warn!(%error, "the key that tells credentials of ours from \
                                made-up ones cannot be used: all count as made up, within the budget");
                        }
                        is_told |= !is_away;
                        // A refusal may be temporary. A damaged key stays damaged.
                        if matches!(error, StoreError::Unreadable(_)) {
                            self.cell.give_up();
                        }
                        pause = match made {
                            Some(_) => backoff.next(),
                            None => backoff.next().min(FIRST_PAUSE_MAX),
                        };
                        self.was_asked
                            .send_if_modified(|was| !is_away && !std::mem::replace(was, true));
                    }
                }
            }
            if let Some(kept) = made.as_ref().map(|made| made.kept.clone()) {
                self.publish(&mut made, kept);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The key in the store, else ours, else a new one, which is written to the store.
    async fn read(&self, ours: Option<&StoredKey>) -> Result<StoredKey, StoreError> {
        self.metrics.timed("read_tag_key", self.kept(ours)).await
    }

    async fn kept(&self, ours: Option<&StoredKey>) -> Result<StoredKey, StoreError> {
        let there = match self.store.tag_key().await?.map(Zeroizing::new) {
            Some(there) => there,
            None => {
                let ours = match ours {
                    Some(ours) => ours.clone(),
                    None => random::bits().map_err(|_| {
                        StoreError::Unavailable("there is no randomness".to_owned())
                    })?,
                };
                Zeroizing::new(self.store.keep_tag_key(&*ours).await?)
            }
        };
        let kept = <[u8; TAG_KEY_BYTES]>::try_from(there.as_slice()).map(Zeroizing::new);
        kept.map_err(|_| {
            StoreError::Unreadable("the store holds something that is none".to_owned())
        })
    }

    /// Publishes the key derived from `kept` and the configuration in force, if it has changed.
    fn publish(&self, made: &mut Option<DerivedFrom>, kept: StoredKey) {
        let configuration = self.in_force.load();
        let tokens = configuration.settings.tokens.as_ref();
        let secret = tokens.and_then(|tokens| tokens.signing.keys.sealed_with());
        let is_same = made.as_ref().is_some_and(|made| {
            *made.kept == *kept
                && made.secret.as_ref().map(Secret::expose) == secret.map(Secret::expose)
        });
        if !is_same {
            self.cell.publish(TagKey::derive(&kept, secret.map(Secret::expose)));
            *made = Some(DerivedFrom { kept, secret: secret.cloned() });
        }
    }
}
