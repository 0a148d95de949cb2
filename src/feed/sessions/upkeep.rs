//! Continuously applies changes that others make, writes when sessions were used, and drops expired
//! sessions.

use std::time::Duration;

use super::SessionFeed;
use crate::clock;
use crate::feed::backoff::Backoff;
use crate::gate::time::SteadyTime;
use crate::store::StoreError;
use crate::store::session::SessionNotice;

/// How often uses are written.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// How often sessions that have long ended are dropped.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// The pause after a store said that it cannot report changes.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

impl SessionFeed {
    /// Applies the changes that others make in the store, for ever.
    pub(super) async fn listen(&self) {
        let mut backoff = Backoff::default();
        loop {
            let mut hear = |notice: SessionNotice| match notice {
                SessionNotice::Begun => {
                    tracing::debug!("the store reports changes of sessions");
                    self.loads.spoil_all();
                    self.table.notified_from(clock::steady());
                }
                SessionNotice::Contact(ago_ms) => {
                    let asked = clock::steady().as_millis().saturating_sub(ago_ms);
                    self.table.notified_until(SteadyTime::from_millis(asked));
                    backoff.reset();
                }
                SessionNotice::Changed(id) => self.changed(id),
                SessionNotice::Anything => {
                    self.loads.spoil_all();
                    // Sessions that were read before may have changed by now.
                    self.table.notified_from(clock::steady());
                }
            };
            let error = self.store.listen(&mut hear).await;
            match error {
                StoreError::Refused(why) => {
                    tracing::warn!(
                        why,
                        "the store does not report sessions that are deleted by hand"
                    );
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
                StoreError::Unavailable(why) | StoreError::Unreadable(why) => {
                    tracing::debug!(why, "the store does not report changes of sessions");
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    /// Writes when sessions were last used, for ever.
    pub(super) async fn write_seen(&self) {
        loop {
            tokio::time::sleep(WRITE_EVERY).await;
            // Until nothing is left, or the store fails.
            loop {
                let some = self.seen.some();
                if some.is_empty() {
                    break;
                }
                if self
                    .store_metrics
                    .timed("touch_sessions", self.store.touch(&some))
                    .await
                    .is_err()
                {
                    break;
                }
                self.seen.written(&some);
            }
        }
    }

    /// Writes the uses that are still waiting, before the process ends.
    ///
    /// # Errors
    ///
    /// If the store cannot be written.
    pub async fn flush(&self) -> Result<(), StoreError> {
        loop {
            let some = self.seen.some();
            if some.is_empty() {
                return Ok(());
            }
            self.store.touch(&some).await?;
            self.seen.written(&some);
        }
    }

    /// Drops sessions that have long ended, for ever.
    pub(super) async fn prune(&self) {
        loop {
            // The jitter keeps gateways from pruning at the same time.
            tokio::time::sleep(PRUNE_EVERY.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            // If it fails, it is tried again in a minute.
            drop(
                self.store_metrics.timed("prune_sessions", self.store.prune(clock::shared())).await,
            );
        }
    }
}
