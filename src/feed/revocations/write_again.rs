//! Brings to the log what is in force here and is not there: what was taken while the store was
//! away, and what the log has lost.

use std::time::Duration;

use super::RevocationFeed;
use crate::clock;
use crate::feed::backoff::Backoff;
use crate::store::record::Record;
use crate::store::{AppendError, LiftPremise, StoreError};

/// Gateways that find the same loss begin within this time of one another: what one has written
/// down again, the others find.
const SPREAD: Duration = Duration::from_millis(500);

impl RevocationFeed {
    /// Hands over what was taken while the store was away.
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
                // It had got there all the same, and somebody has lifted it since.
                Err(AppendError::Lifted) => self.taken_by_the_store(&record),
                // There is no room for this one, or only this one cannot be written: the room that is
                // kept for operators, or for who has an entry, may well be there for the next.
                Err(AppendError::Full | AppendError::Store(StoreError::Unreadable(_))) => {
                    self.pending.postpone(&record);
                    postponed += 1;
                    // All were tried.
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

    /// Writes down again what the log has had and no longer has.
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

    /// Waits until records were lost, or one that was, and is still, may be written down once more.
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

/// The record with a mark of its own. An earlier attempt may be in a log that was lost, or come from
/// another gateway; its place must not be taken for the place of this one.
fn remarked(record: &Record) -> Record {
    Record { mark: fastrand::u64(..), ..record.clone() }
}
