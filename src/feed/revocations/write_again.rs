//! Writes to the log what is in force at this gateway but not there: revocations that were accepted
//! while the store was unavailable, and records that the log has lost.

use std::time::Duration;

use super::RevocationFeed;
use crate::clock;
use crate::feed::backoff::Backoff;
use crate::store::record::Record;
use crate::store::{AppendError, LiftPremise, StoreError};

/// Gateways that find the same loss start at random times within this span: what one has written
/// again, the others find.
const SPREAD: Duration = Duration::from_millis(500);

impl RevocationFeed {
    /// Delivers the revocations that were accepted while the store was unavailable.
    pub(super) async fn deliver(&self) {
        let mut backoff = Backoff::default();
        let mut postponed = 0;
        loop {
            let record = self.pending.first().await;
            if self.was_lifted(&record) {
                self.taken_by_the_store(&record);
                continue;
            }
            match self.append_durably(&remarked(&record)).await {
                Ok(position) => {
                    self.taken_by_the_store(&record);
                    tracing::info!(%position, "delivered a revocation that was taken locally");
                    backoff.reset();
                    postponed = 0;
                }
                // It had been written after all, and has been lifted since.
                Err(AppendError::Lifted) => self.taken_by_the_store(&record),
                // Either there is no room for this record, or only this record cannot be written.
                // The next one may use the room that is reserved for operators, or that its owner's
                // entry already has.
                Err(AppendError::Full | AppendError::Store(StoreError::Unreadable(_))) => {
                    self.pending.postpone(&record);
                    postponed += 1;
                    // All have been tried.
                    if postponed >= self.pending.len() {
                        postponed = 0;
                        tokio::time::sleep(backoff.next()).await;
                    }
                }
                Err(AppendError::Store(StoreError::Unavailable(_) | StoreError::Refused(_))) => {
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    fn taken_by_the_store(&self, record: &Record) {
        self.pending.delivered(record);
        self.metrics.pending.set(self.pending.len());
    }

    /// Writes again what the log has lost.
    pub(super) async fn restore(&self) {
        let mut backoff = Backoff::default();
        loop {
            self.wait_for_loss().await;
            tokio::time::sleep(SPREAD.mul_f64(fastrand::f64())).await;
            loop {
                let missing = self.recent().missing(clock::moment());
                if missing.is_empty() {
                    break;
                }
                tracing::warn!(
                    count = missing.len(),
                    "writing lost revocations to the store again"
                );
                for record in missing {
                    if !self.recent().is_missing(&record) {
                        continue;
                    }
                    if self.was_lifted(&record) {
                        self.recent().was_lifted(&record);
                        continue;
                    }
                    match self.write_again(&remarked(&record)).await {
                        Ok(()) => {
                            self.recent().wrote_again(&record, clock::steady());
                            backoff.reset();
                        }
                        Err(AppendError::Lifted) => self.recent().was_lifted(&record),
                        Err(error) => {
                            tracing::warn!(
                                %error,
                                "a lost revocation cannot be written to the store"
                            );
                            tokio::time::sleep(backoff.next()).await;
                        }
                    }
                }
            }
        }
    }

    async fn write_again(&self, record: &Record) -> Result<(), AppendError> {
        if record.is_lift() {
            self.lift_durably(record, LiftPremise::WasWritten).await?;
        } else {
            self.append_durably(record).await?;
        }
        Ok(())
    }

    /// Waits until records are lost, or until a record that is still missing may be written again.
    async fn wait_for_loss(&self) {
        let lost = self.lost.notified();
        let next = self.recent().next_again(clock::now());
        match next {
            None => lost.await,
            Some(next) => {
                let pause = Duration::from_millis(next.millis_since(clock::steady()));
                drop(tokio::time::timeout(pause, lost).await);
            }
        }
    }
}

/// The record with a mark of its own. An earlier attempt may be in a log that was lost, or come
/// from another gateway. The position of that attempt must not be taken for the position of this
/// one.
fn remarked(record: &Record) -> Record {
    Record { mark: fastrand::u64(..), ..record.clone() }
}
